// SPDX-License-Identifier: GPL-2.0

//! A message reduced to the parts that are compared: due and seen messages have the same type.

use std::fmt;

use crate::kmsg::Record;
use crate::model::{
    CALLBACK_SYMBOL, Context, KernelMessage, MODULE_NAME, PAIRED_SYMBOL, ReaperMessage,
};

/// `KERN_CRIT`.
pub(super) const LEVEL_CRIT: u8 = 2;
/// `KERN_ERR`.
pub(super) const LEVEL_ERR: u8 = 3;
/// `KERN_WARNING`.
pub(super) const LEVEL_WARNING: u8 = 4;
/// `KERN_INFO`.
pub(super) const LEVEL_INFO: u8 = 6;

/// Content of a message, without its level and its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content<'a> {
    /// The line that the kernel prints for every failure.
    Info {
        errno: i32,
        context: Context,
        symbol: CallbackSymbol,
    },
    /// The complaint of the seed form.
    PrWarn { symbol: CallbackSymbol },
    /// A WARN of the code that calls notifiers.
    Warn {
        site: &'a str,
        pid: i32,
        /// `None` in all messages of a window where the kernel does not print it.
        comm: Option<&'a str>,
    },
    /// The OOM reaper's closing line.
    Reaper {
        word: ReaperMessage,
        pid: i32,
        comm: &'a str,
    },
    /// The first line of a report of one of the kernel's general debugging checks.
    Symptom(KernelMessage),
    /// A line about a callback of the module that is none of these; never due.
    Malformed,
}

/// Symbol of one of the module's callbacks, as the kernel prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallbackSymbol {
    /// Whether it is the callback of a notifier that has ends as well.
    pub(super) is_paired: bool,
    /// Whether the offset is 0, so that the symbol is the callback's first byte.
    pub(super) is_at_start: bool,
}

impl Content<'_> {
    /// Whether a seen message with this content can be an altered form of the one that was due.
    pub(super) fn may_be(&self, due: &Content<'_>) -> bool {
        match (self, due) {
            (Content::Info { .. }, Content::Info { .. })
            | (Content::PrWarn { .. }, Content::PrWarn { .. })
            | (Content::Warn { .. }, Content::Warn { .. })
            | (Content::Malformed, Content::Info { .. } | Content::PrWarn { .. }) => true,
            (Content::Symptom(seen), Content::Symptom(due)) => {
                seen == due || (seen.is_of_lockdep() && due.is_of_lockdep())
            }
            // A closing line with the other word, or of another victim, is another message.
            (
                Content::Reaper { word, pid, .. },
                Content::Reaper {
                    word: due_word,
                    pid: due_pid,
                    ..
                },
            ) => word == due_word && pid == due_pid,
            _ => false,
        }
    }

    /// Whether the two differ in the task only, which a WARN names in its header.
    pub(super) fn is_but_for_task(&self, other: &Content<'_>) -> bool {
        match (self, other) {
            (Content::Warn { site: a, .. }, Content::Warn { site: b, .. }) => a == b,
            _ => self == other,
        }
    }
}

/// A message about a callback of the module or about a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Message<'a> {
    pub(super) content: Content<'a>,
    pub(super) level: u8,
    /// The task that printed it; `None` in all messages of a window without `caller=`.
    pub(super) task: Option<Caller>,
}

impl Message<'_> {
    /// Parts in which a seen message differs from the one that was due, for a person.
    pub(super) fn difference(&self, due: &Message<'_>) -> String {
        let mut parts = Vec::new();
        let mut part = |name: &str, seen: String, due: String| {
            if seen != due {
                parts.push(format!("{name} is {seen}, not {due}"));
            }
        };
        part("the level", self.level.to_string(), due.level.to_string());
        if let (Some(seen), Some(due)) = (self.task, due.task) {
            part("the task", seen.to_string(), due.to_string());
        }
        match (self.content, due.content) {
            (
                Content::Info { errno, context, .. },
                Content::Info {
                    errno: due_errno,
                    context: due_context,
                    ..
                },
            ) => {
                part("the errno", errno.to_string(), due_errno.to_string());
                part(
                    "the context word",
                    context.to_string(),
                    due_context.to_string(),
                );
            }
            (
                Content::Warn { site, pid, comm },
                Content::Warn {
                    site: due_site,
                    pid: due_pid,
                    comm: due_comm,
                },
            ) => {
                part("the place", site.to_owned(), due_site.to_owned());
                part("the pid", pid.to_string(), due_pid.to_string());
                if let (Some(seen), Some(due)) = (comm, due_comm) {
                    part("the comm", seen.to_owned(), due.to_owned());
                }
            }
            (Content::Reaper { comm, .. }, Content::Reaper { comm: due_comm, .. }) => {
                part("the comm", comm.to_owned(), due_comm.to_owned());
            }
            (Content::Symptom(seen), Content::Symptom(due)) => {
                part("it", seen.word().to_owned(), due.word().to_owned());
            }
            (Content::Malformed, _) => parts.push("the text is another".to_owned()),
            _ => {}
        }
        if let (
            Content::Info { symbol, .. } | Content::PrWarn { symbol },
            Content::Info {
                symbol: due_symbol, ..
            }
            | Content::PrWarn { symbol: due_symbol },
        ) = (self.content, due.content)
        {
            if symbol.is_paired != due_symbol.is_paired {
                parts.push("the symbol is that of another callback".to_owned());
            }
            if !symbol.is_at_start {
                parts.push("the symbol is not printed as at +0x0".to_owned());
            }
        }
        parts.join(", ")
    }
}

impl fmt::Display for CallbackSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_paired {
            PAIRED_SYMBOL
        } else {
            CALLBACK_SYMBOL
        };
        write!(f, "{name}+0x0/... [{MODULE_NAME}]")
    }
}

/// The format of `dmesg --raw`, with `...` for the parts that are not compared.
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.level)?;
        if let Some(task) = self.task {
            write!(f, "[{task}]")?;
        }
        match self.content {
            Content::Info {
                errno,
                context,
                symbol,
            } => write!(
                f,
                " {symbol} callback failed with {errno} in {context} context."
            ),
            Content::PrWarn { symbol } => write!(f, " {symbol} callback failure not allowed"),
            Content::Symptom(message) => write!(f, " {} ...", message.word()),
            Content::Warn { site, pid, comm } => write!(
                f,
                " WARNING: {} at ..., CPU#...: {}/{pid}",
                if site.is_empty() {
                    "mm/mmu_notifier.c:..."
                } else {
                    site
                },
                comm.unwrap_or("...")
            ),
            Content::Reaper { word, pid, comm } => match word {
                ReaperMessage::Reaped => {
                    write!(f, " oom_reaper: reaped process {pid} ({comm}), now ...")
                }
                ReaperMessage::UnableToReap => {
                    write!(f, " oom_reaper: unable to reap pid:{pid} ({comm})")
                }
            },
            Content::Malformed => write!(f, " (a line about a callback of {MODULE_NAME})"),
        }
    }
}

/// A record in the same format.
pub(super) fn shown(record: &Record) -> String {
    match &record.caller {
        Some(caller) => format!("<{}>[{caller}] {}", record.level, record.text),
        None => format!("<{}> {}", record.level, record.text),
    }
}

/// The `caller=` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Caller {
    /// A thread, by its pid in the initial namespace.
    Task(i32),
    /// An interrupt on a CPU, or `u32::MAX` for anything unknown.
    Other(u32),
}

impl Caller {
    pub(super) fn of(record: &Record) -> Option<Self> {
        let caller = record.caller.as_deref()?;
        let task = caller.strip_prefix('T').and_then(|tid| tid.parse().ok());
        let cpu = caller.strip_prefix('C').and_then(|cpu| cpu.parse().ok());
        Some(match task {
            Some(tid) => Caller::Task(tid),
            None => Caller::Other(cpu.unwrap_or(u32::MAX)),
        })
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Task(tid) => write!(f, "T{tid}"),
            Caller::Other(cpu) => write!(f, "C{cpu}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: CallbackSymbol = CallbackSymbol {
        is_paired: false,
        is_at_start: true,
    };

    fn info(errno: i32, context: Context, symbol: CallbackSymbol) -> Content<'static> {
        Content::Info {
            errno,
            context,
            symbol,
        }
    }

    fn warn(site: &'static str, pid: i32, comm: Option<&'static str>) -> Content<'static> {
        Content::Warn { site, pid, comm }
    }

    fn reaper(word: ReaperMessage, pid: i32, comm: &'static str) -> Content<'static> {
        Content::Reaper { word, pid, comm }
    }

    fn message(content: Content<'_>) -> Message<'_> {
        Message {
            content,
            level: 4,
            task: Some(Caller::Task(7)),
        }
    }

    #[test]
    fn a_difference_names_the_parts_that_differ() {
        const BLOCKABLE: Context = Context::Blockable;
        let paired = CallbackSymbol {
            is_paired: true,
            is_at_start: false,
        };
        for (seen, due, text) in [
            (
                info(-11, BLOCKABLE, OURS),
                info(-16, Context::NonBlockable, OURS),
                "the errno is -11, not -16, the context word is blockable, not non-blockable",
            ),
            (
                info(-11, BLOCKABLE, paired),
                info(-11, BLOCKABLE, OURS),
                "the symbol is that of another callback, the symbol is not printed as at +0x0",
            ),
            (
                Content::PrWarn { symbol: paired },
                Content::PrWarn { symbol: OURS },
                "the symbol is that of another callback, the symbol is not printed as at +0x0",
            ),
            (
                warn("a.c:1", 1, Some("x")),
                warn("a.c:2", 2, Some("y")),
                "the place is a.c:1, not a.c:2, the pid is 1, not 2, the comm is x, not y",
            ),
            (warn("a.c:1", 1, None), warn("a.c:1", 1, Some("y")), ""),
            (
                reaper(ReaperMessage::Reaped, 1, "x"),
                reaper(ReaperMessage::Reaped, 1, "y"),
                "the comm is x, not y",
            ),
            (
                Content::Malformed,
                info(-11, BLOCKABLE, OURS),
                "the text is another",
            ),
        ] {
            assert_eq!(message(seen).difference(&message(due)), text);
        }
        let due = message(Content::Malformed);
        let seen = Message {
            level: 3,
            task: Some(Caller::Other(0)),
            content: Content::PrWarn { symbol: OURS },
        };
        assert_eq!(
            seen.difference(&due),
            "the level is 3, not 4, the task is C0, not T7"
        );
    }

    #[test]
    fn a_message_is_printed_like_the_kernels_line() {
        let paired = CallbackSymbol {
            is_paired: true,
            ..OURS
        };
        for (content, text) in [
            (
                info(-11, Context::NonBlockable, OURS),
                "mmu_notifier_inject_invalidate_range_start+0x0/... [mmu_notifier_inject] \
                 callback failed with -11 in non-blockable context.",
            ),
            (
                Content::PrWarn { symbol: paired },
                "mmu_notifier_inject_paired_invalidate_range_start+0x0/... \
                 [mmu_notifier_inject] callback failure not allowed",
            ),
            (
                warn("a.c:1", 7, Some("x")),
                "WARNING: a.c:1 at ..., CPU#...: x/7",
            ),
            (
                warn("", 7, None),
                "WARNING: mm/mmu_notifier.c:... at ..., CPU#...: .../7",
            ),
            (
                reaper(ReaperMessage::Reaped, 7, "x"),
                "oom_reaper: reaped process 7 (x), now ...",
            ),
            (
                reaper(ReaperMessage::UnableToReap, 7, "x"),
                "oom_reaper: unable to reap pid:7 (x)",
            ),
            (
                Content::Symptom(KernelMessage::LockdepSrcu),
                "lockdep report (in an SRCU read side) ...",
            ),
        ] {
            assert_eq!(message(content).to_string(), format!("<4>[T7] {text}"));
        }
    }

    #[test]
    fn a_message_can_only_be_an_altered_one_of_its_kind() {
        let (sleep, lockdep) = (
            Content::Symptom(KernelMessage::AtomicSleep),
            Content::Symptom(KernelMessage::LockdepOther),
        );
        assert!(sleep.may_be(&sleep) && !sleep.may_be(&lockdep));
        let due = Content::Symptom(KernelMessage::LockdepInvalidation);
        assert!(lockdep.may_be(&due));
        assert_eq!(
            message(lockdep).difference(&message(due)),
            "it is lockdep report (under another lock), not lockdep report (in an invalidation)"
        );
        let line = reaper(ReaperMessage::Reaped, 1, "x");
        assert!(line.may_be(&reaper(ReaperMessage::Reaped, 1, "y")));
        assert!(!line.may_be(&reaper(ReaperMessage::Reaped, 2, "x")));
        assert!(!line.may_be(&reaper(ReaperMessage::UnableToReap, 1, "x")));
        assert!(Content::Malformed.may_be(&Content::PrWarn { symbol: OURS }));
        assert!(!Content::Malformed.may_be(&line));
    }

    /// The header of a WARN has the pid besides `caller=`.
    #[test]
    fn a_warn_of_another_task_differs_in_the_task_only() {
        let due = warn("a.c:1", 1, Some("x"));
        assert!(warn("a.c:1", 2, Some("y")).is_but_for_task(&due));
        assert!(!warn("a.c:2", 1, Some("x")).is_but_for_task(&due));
        assert!(!Content::Malformed.is_but_for_task(&due));
    }

    #[test]
    fn a_caller_is_a_thread_or_a_cpu_or_unknown() {
        let caller = |caller: &str| {
            Caller::of(&Record {
                seq: 1,
                time_us: 1,
                level: 6,
                facility: 0,
                caller: Some(caller.to_owned()),
                text: String::new(),
            })
        };
        assert_eq!(caller("T7"), Some(Caller::Task(7)));
        assert_eq!(caller("C7"), Some(Caller::Other(7)));
        assert_eq!(caller("?"), Some(Caller::Other(u32::MAX)));
    }
}
