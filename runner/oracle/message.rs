// SPDX-License-Identifier: GPL-2.0

//! A message reduced to what is compared: due and seen ones have the same type.

use std::fmt;

use crate::kmsg::Record;
use crate::model::{
    CALLBACK_SYMBOL, Context, KernelMessage, MODULE_NAME, PAIRED_SYMBOL, ReaperMessage,
};

/// `KERN_INFO`.
pub(super) const LEVEL_INFO: u8 = 6;
/// `KERN_CRIT`.
pub(super) const LEVEL_CRIT: u8 = 2;
/// `KERN_ERR`.
pub(super) const LEVEL_ERR: u8 = 3;
/// `KERN_WARNING`.
pub(super) const LEVEL_WARNING: u8 = 4;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What<'a> {
    /// The line that is printed on every failure.
    Info {
        errno: i32,
        context: Context,
        symbol: Callback,
    },
    /// The complaint of the seed form.
    PrWarn { symbol: Callback },
    /// A WARN of the code that calls notifiers.
    Warn {
        site: &'a str,
        pid: i32,
        /// `None` on all sides where the kernel does not print it.
        comm: Option<&'a str>,
    },
    /// The OOM reaper's closing line.
    Reaper {
        word: ReaperMessage,
        pid: i32,
        comm: &'a str,
    },
    /// Something that the kernel finds wrong with itself.
    Symptom(KernelMessage),
    /// A line about our callback that is none of these; never due.
    Malformed,
}

/// Which of the module's callbacks a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Callback {
    /// That of a notifier that has ends as well.
    pub(super) is_paired: bool,
    /// Whether the symbol is the callback's first byte.
    pub(super) is_start: bool,
}

impl What<'_> {
    /// Whether a seen message of this kind can be the other one gone wrong.
    pub(super) fn may_be(&self, due: &What<'_>) -> bool {
        match (self, due) {
            (What::Info { .. }, What::Info { .. })
            | (What::PrWarn { .. }, What::PrWarn { .. })
            | (What::Warn { .. }, What::Warn { .. })
            | (What::Malformed, What::Info { .. } | What::PrWarn { .. }) => true,
            (What::Symptom(seen), What::Symptom(due)) => {
                seen == due || (seen.is_of_lockdep() && due.is_of_lockdep())
            }
            // The other word is another message, and another victim's is too.
            (
                What::Reaper { word, pid, .. },
                What::Reaper {
                    word: due_word,
                    pid: due_pid,
                    ..
                },
            ) => word == due_word && pid == due_pid,
            _ => false,
        }
    }

    /// Whether nothing but the task differs.
    pub(super) fn is_but_for_task(&self, other: &What<'_>) -> bool {
        match (self, other) {
            (What::Warn { site: a, .. }, What::Warn { site: b, .. }) => a == b,
            _ => self == other,
        }
    }
}

/// A message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Message<'a> {
    pub(super) what: What<'a>,
    pub(super) level: u8,
    /// The task that printed it; `None` on all sides where the kernel does not tell.
    pub(super) task: Option<Caller>,
}

impl Message<'_> {
    /// In what a seen message differs from the one that was due.
    pub(super) fn difference(&self, due: &Message<'_>) -> String {
        let mut parts = Vec::new();
        let mut part = |what: &str, seen: String, due: String| {
            if seen != due {
                parts.push(format!("{what} is {seen}, not {due}"));
            }
        };
        part("the level", self.level.to_string(), due.level.to_string());
        if let (Some(seen), Some(due)) = (self.task, due.task) {
            part("the task", seen.to_string(), due.to_string());
        }
        match (self.what, due.what) {
            (
                What::Info { errno, context, .. },
                What::Info {
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
                What::Warn { site, pid, comm },
                What::Warn {
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
            (What::Reaper { comm, .. }, What::Reaper { comm: due_comm, .. }) => {
                part("the comm", comm.to_owned(), due_comm.to_owned());
            }
            (What::Symptom(seen), What::Symptom(due)) => {
                part("it", seen.word().to_owned(), due.word().to_owned());
            }
            (What::Malformed, _) => parts.push("the text is another".to_owned()),
            _ => {}
        }
        if let (
            What::Info { symbol, .. } | What::PrWarn { symbol },
            What::Info {
                symbol: due_symbol, ..
            }
            | What::PrWarn { symbol: due_symbol },
        ) = (self.what, due.what)
        {
            if symbol.is_paired != due_symbol.is_paired {
                parts.push("the symbol is that of another callback".to_owned());
            }
            if !symbol.is_start {
                parts.push("the symbol is not printed as at +0x0".to_owned());
            }
        }
        parts.join(", ")
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_paired {
            PAIRED_SYMBOL
        } else {
            CALLBACK_SYMBOL
        };
        write!(f, "{name}+0x0/... [{MODULE_NAME}]")
    }
}

/// As `/dev/kmsg` and `dmesg --raw` would have it.
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.level)?;
        if let Some(task) = self.task {
            write!(f, "[{task}]")?;
        }
        match self.what {
            What::Info {
                errno,
                context,
                symbol,
            } => write!(
                f,
                " {symbol} callback failed with {errno} in {context} context."
            ),
            What::PrWarn { symbol } => write!(f, " {symbol} callback failure not allowed"),
            What::Symptom(complaint) => write!(f, " {} ...", complaint.word()),
            What::Warn { site, pid, comm } => write!(
                f,
                " WARNING: {} at ..., CPU#...: {}/{pid}",
                if site.is_empty() {
                    "mm/mmu_notifier.c:..."
                } else {
                    site
                },
                comm.unwrap_or("...")
            ),
            What::Reaper { word, pid, comm } => match word {
                ReaperMessage::Reaped => {
                    write!(f, " oom_reaper: reaped process {pid} ({comm}), now ...")
                }
                ReaperMessage::UnableToReap => {
                    write!(f, " oom_reaper: unable to reap pid:{pid} ({comm})")
                }
            },
            What::Malformed => write!(f, " (a line about a callback of {MODULE_NAME})"),
        }
    }
}

/// A record in the same shape.
pub(super) fn shown(record: &Record) -> String {
    match &record.caller {
        Some(caller) => format!("<{}>[{caller}] {}", record.level, record.text),
        None => format!("<{}> {}", record.level, record.text),
    }
}

/// The `caller=` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Caller {
    /// A thread.
    Task(i32),
    /// An interrupt on a CPU, or something we do not know.
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

    const OURS: Callback = Callback {
        is_paired: false,
        is_start: true,
    };

    fn info(errno: i32, context: Context, symbol: Callback) -> What<'static> {
        What::Info {
            errno,
            context,
            symbol,
        }
    }

    fn warn(site: &'static str, pid: i32, comm: Option<&'static str>) -> What<'static> {
        What::Warn { site, pid, comm }
    }

    fn reaper(word: ReaperMessage, pid: i32, comm: &'static str) -> What<'static> {
        What::Reaper { word, pid, comm }
    }

    fn message(what: What<'_>) -> Message<'_> {
        Message {
            what,
            level: 4,
            task: Some(Caller::Task(7)),
        }
    }

    #[test]
    fn a_difference_is_told_by_what_differs() {
        const BLOCKABLE: Context = Context::Blockable;
        let paired = Callback {
            is_paired: true,
            is_start: false,
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
                What::PrWarn { symbol: paired },
                What::PrWarn { symbol: OURS },
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
                What::Malformed,
                info(-11, BLOCKABLE, OURS),
                "the text is another",
            ),
        ] {
            assert_eq!(message(seen).difference(&message(due)), text);
        }
        let due = message(What::Malformed);
        let seen = Message {
            level: 3,
            task: Some(Caller::Other(0)),
            what: What::PrWarn { symbol: OURS },
        };
        assert_eq!(
            seen.difference(&due),
            "the level is 3, not 4, the task is C0, not T7"
        );
    }

    /// As somebody would look for it in the log.
    #[test]
    fn a_message_reads_like_the_kernels_line() {
        let paired = Callback {
            is_paired: true,
            ..OURS
        };
        for (what, text) in [
            (
                info(-11, Context::NonBlockable, OURS),
                "mmu_notifier_inject_invalidate_range_start+0x0/... [mmu_notifier_inject] \
                 callback failed with -11 in non-blockable context.",
            ),
            (
                What::PrWarn { symbol: paired },
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
                What::Symptom(KernelMessage::LockdepSrcu),
                "lockdep report (in an SRCU read side) ...",
            ),
        ] {
            assert_eq!(message(what).to_string(), format!("<4>[T7] {text}"));
        }
    }

    #[test]
    fn a_message_can_only_be_one_of_its_kind_gone_wrong() {
        let (sleep, lockdep) = (
            What::Symptom(KernelMessage::AtomicSleep),
            What::Symptom(KernelMessage::LockdepOther),
        );
        assert!(sleep.may_be(&sleep) && !sleep.may_be(&lockdep));
        let due = What::Symptom(KernelMessage::LockdepInvalidation);
        assert!(lockdep.may_be(&due));
        assert_eq!(
            message(lockdep).difference(&message(due)),
            "it is lockdep report (under another lock), not lockdep report (in an invalidation)"
        );
        let line = reaper(ReaperMessage::Reaped, 1, "x");
        assert!(line.may_be(&reaper(ReaperMessage::Reaped, 1, "y")));
        assert!(!line.may_be(&reaper(ReaperMessage::Reaped, 2, "x")));
        assert!(!line.may_be(&reaper(ReaperMessage::UnableToReap, 1, "x")));
        assert!(What::Malformed.may_be(&What::PrWarn { symbol: OURS }));
        assert!(!What::Malformed.may_be(&line));
    }

    /// A WARN names its task twice.
    #[test]
    fn a_warn_of_another_task_is_the_same_but_for_that() {
        let due = warn("a.c:1", 1, Some("x"));
        assert!(warn("a.c:1", 2, Some("y")).is_but_for_task(&due));
        assert!(!warn("a.c:2", 1, Some("x")).is_but_for_task(&due));
        assert!(!What::Malformed.is_but_for_task(&due));
    }

    #[test]
    fn whoever_printed_is_a_thread_or_something_else() {
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
