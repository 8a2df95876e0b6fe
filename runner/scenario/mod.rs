// SPDX-License-Identifier: GPL-2.0

//! The scenarios: a table of what triggers a notifier, times how the injector is set; and the
//! cases of the contract, which stand in [`crate::scenario::cases`].

pub mod cases;
pub mod known_bugs;
pub mod procedure;

use nix::libc::EAGAIN as LIBC_EAGAIN;

use crate::contract::{Needs, chain};
use crate::model::{
    Arming, Context, Count, End, Expectation, Notifier, NotifierEvent, NotifierKind, PagesFate,
    ReaperMessage,
};
use crate::scenario::cases::{Boot, CASES, Case};
use crate::scenario::procedure::Procedure;
use crate::trigger::operation::Operation;

/// How a notifier is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// A process does something to its own memory.
    Own(Operation),
    /// `process_mrelease(2)` on a process that is held on its way out.
    Mrelease,
    /// A memory cgroup runs out, and the OOM reaper takes the victim, which is held.
    MemcgOom,
    /// The whole machine is declared out of memory (sysrq `f`), and so on.
    GlobalOom,
    /// The module zaps the pages, as a driver may; or in an atomic section, as nobody may.
    Zap {
        /// Whether it holds a spinlock meanwhile.
        is_atomic: bool,
    },
    /// Several steps.
    Procedure(Procedure),
}

impl TriggerKind {
    /// Whether the OOM reaper is the one that calls.
    pub const fn is_oom(self) -> bool {
        matches!(self, TriggerKind::MemcgOom | TriggerKind::GlobalOom)
    }

    /// How the process is at the end.
    pub const fn end(self) -> End {
        match self {
            TriggerKind::Procedure(procedure) => procedure.end(),
            _ => End::There,
        }
    }
}

/// What a refusal changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the operation returns.
    pub outcome: i32,
    /// How many calls there are.
    pub calls: Count,
    /// The OOM reaper's last word.
    pub reaper: Option<ReaperMessage>,
    /// What becomes of the pages.
    pub pages: Option<PagesFate>,
}

/// One way to reach a notifier, and what the kernel does on it.
///
/// The counts are those of Linux 7.2 and 7.3 for an area of 16 pages of its own.
#[derive(Clone, Copy, Debug)]
pub struct Trigger {
    /// First part of the scenarios' names.
    pub name: &'static str,
    /// What happens, for people.
    pub about: &'static str,
    /// How.
    pub kind: TriggerKind,
    /// The event of the calls.
    pub event: NotifierEvent,
    /// Their context.
    pub context: Context,
    /// How many there are on the area.
    pub calls: Count,
    /// The OOM reaper's last word where nobody refuses.
    pub reaper: Option<ReaperMessage>,
    /// What becomes of the area's pages where nobody refuses, if that is looked at.
    pub pages: Option<PagesFate>,
    /// What a refusal changes; in blockable context the kernel goes on as if there were none.
    pub refused: Option<Refused>,
    /// The ways in which the injector is set.
    pub armings: &'static [Arming],
}

const EAGAIN: i32 = -LIBC_EAGAIN;
const EBUSY: i32 = -(nix::libc::EBUSY);
const EINTR: i32 = -(nix::libc::EINTR);
const ENOMEM: i32 = -(nix::libc::ENOMEM);

/// One failure, and the two twins in which nothing may fail.
const ONE_ERROR: &[Arming] = &[
    Arming::Fail(EAGAIN),
    Arming::Filtered(EAGAIN),
    Arming::Unarmed,
];

/// Every kind of error, and the twins.
const ALL_ERRORS: &[Arming] = &[
    Arming::Fail(EAGAIN),
    Arming::Fail(EBUSY),
    Arming::Fail(EINTR),
    Arming::Fail(ENOMEM),
    Arming::Filtered(EAGAIN),
    Arming::Unarmed,
];

/// The twins alone.
const NO_ERROR: &[Arming] = &[Arming::Filtered(EAGAIN), Arming::Unarmed];

/// A trigger in blockable context.
pub const fn blockable(
    name: &'static str,
    about: &'static str,
    operation: Operation,
    event: NotifierEvent,
    calls: Count,
) -> Trigger {
    Trigger {
        name,
        about,
        kind: TriggerKind::Own(operation),
        event,
        context: Context::Blockable,
        calls,
        reaper: None,
        pages: None,
        refused: None,
        armings: ONE_ERROR,
    }
}

use Count::{AtLeast, Exactly};
use NotifierEvent::{Clear, ProtectionPage, ProtectionVma, Unmap};

/// `munmap` of a whole VMA.
pub const MUNMAP: Trigger = Trigger {
    pages: Some(PagesFate::Gone),
    armings: ALL_ERRORS,
    ..blockable(
        "munmap-whole",
        "munmap of a whole VMA",
        Operation::MunmapWhole,
        Unmap,
        Exactly(1),
    )
};

/// `madvise(MADV_DONTNEED)`.
pub const DONTNEED: Trigger = Trigger {
    pages: Some(PagesFate::Zeroed),
    armings: ALL_ERRORS,
    ..blockable(
        "madvise-dontneed",
        "madvise(MADV_DONTNEED) of a VMA",
        Operation::Dontneed,
        Clear,
        Exactly(1),
    )
};

/// `fork`.
pub const FORK: Trigger = Trigger {
    pages: Some(PagesFate::Kept),
    ..blockable(
        "fork",
        "fork, which write-protects private pages",
        Operation::Fork,
        ProtectionPage,
        Exactly(1),
    )
};

/// `process_mrelease(2)`.
pub const MRELEASE: Trigger = Trigger {
    name: "mrelease",
    about: "process_mrelease of a dying process",
    kind: TriggerKind::Mrelease,
    event: Clear,
    context: Context::NonBlockable,
    calls: Exactly(1),
    reaper: None,
    pages: Some(PagesFate::Gone),
    refused: Some(Refused {
        outcome: EAGAIN,
        calls: Exactly(1),
        reaper: None,
        pages: Some(PagesFate::Kept),
    }),
    armings: ALL_ERRORS,
};

/// The OOM reaper, after a memory cgroup ran out.
pub const MEMCG_OOM: Trigger = Trigger {
    name: "oom-memcg",
    about: "the OOM reaper after a memory cgroup ran out",
    kind: TriggerKind::MemcgOom,
    event: Clear,
    context: Context::NonBlockable,
    calls: Exactly(1),
    reaper: Some(ReaperMessage::Reaped),
    pages: Some(PagesFate::Gone),
    // MAX_OOM_REAP_RETRIES in mm/oom_kill.c
    refused: Some(Refused {
        outcome: 0,
        calls: Exactly(10),
        reaper: Some(ReaperMessage::UnableToReap),
        pages: Some(PagesFate::Kept),
    }),
    armings: ONE_ERROR,
};

/// All triggers, in the order in which they run.
#[rustfmt::skip]
pub const TRIGGERS: &[Trigger] = &[
    MUNMAP,
    blockable("munmap-part", "munmap of pages inside a VMA", Operation::MunmapPart, Unmap, Exactly(1)),
    blockable("munmap-two-vmas", "munmap across two VMAs", Operation::MunmapTwoVmas, Unmap, Exactly(1)),
    DONTNEED,
    blockable("madvise-dontneed-two-vmas", "madvise(MADV_DONTNEED) across two VMAs", Operation::DontneedTwoVmas, Clear, Exactly(2)),
    blockable("madvise-free", "madvise(MADV_FREE) of a VMA", Operation::Free, Clear, Exactly(1)),
    blockable("madvise-pageout", "madvise(MADV_PAGEOUT) of a shared memfd", Operation::Pageout, Clear, AtLeast(1)),
    blockable("madvise-cold", "madvise(MADV_COLD), which must not notify", Operation::Cold, Clear, Exactly(0)),
    blockable("madvise-willneed", "madvise(MADV_WILLNEED), which must not notify", Operation::Willneed, Clear, Exactly(0)),
    Trigger {
        pages: Some(PagesFate::Kept),
        ..blockable("mprotect", "mprotect to read-only", Operation::Mprotect, ProtectionVma, Exactly(1))
    },
    blockable("mprotect-same", "mprotect to what it is, which must not notify", Operation::MprotectSame, ProtectionVma, Exactly(0)),
    // The move of the page tables, then the unmapping of what they left.
    blockable("mremap", "mremap to another address", Operation::Mremap, Unmap, Exactly(2)),
    FORK,
    blockable("copy-on-write", "write to a page shared with a child", Operation::CopyOnWrite, Clear, Exactly(1)),
    MRELEASE,
    MEMCG_OOM,
    Trigger {
        name: "oom-global",
        about: "the OOM reaper after sysrq f",
        kind: TriggerKind::GlobalOom,
        event: Clear,
        context: Context::NonBlockable,
        calls: Exactly(1),
        reaper: Some(ReaperMessage::Reaped),
        pages: Some(PagesFate::Gone),
        refused: None,
        armings: NO_ERROR,
    },
];

/// Who is attached, and what they are told to do.
#[derive(Clone, Copy, Debug)]
pub enum Setting {
    /// One plain notifier.
    One(Arming),
    /// Those of a case of the contract.
    Case(&'static Case),
}

/// Something that is done to a process with notifiers on it, and what is due then.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// How the notifiers are reached.
    pub trigger: Trigger,
    /// The notifiers.
    pub setting: Setting,
}

impl Scenario {
    /// Its name: `[a-z0-9-]` only, so that every reader of KTAP keeps it.
    pub fn name(&self) -> String {
        let suffix = match self.setting {
            Setting::Case(case) => return case.name.to_owned(),
            Setting::One(Arming::Fail(errno)) => nix::errno::Errno::from_raw(-errno)
                .to_string()
                .split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase(),
            Setting::One(Arming::Filtered(_)) => "filtered".into(),
            Setting::One(Arming::Unarmed | Arming::AtStart(_) | Arming::AtEnd(_)) => {
                "unarmed".into()
            }
        };
        format!("{}-{suffix}", self.trigger.name)
    }

    /// What happens, for people.
    pub fn about(&self) -> &'static str {
        match self.setting {
            Setting::Case(case) => case.about,
            Setting::One(_) => self.trigger.about,
        }
    }

    /// The notifiers, in the order in which they are attached.
    pub fn notifiers(&self) -> Vec<Notifier> {
        match self.setting {
            Setting::One(arming) => vec![Notifier {
                kind: NotifierKind::Plain,
                arming,
                is_elsewhere: false,
            }],
            Setting::Case(case) => case.notifiers.to_vec(),
        }
    }

    /// The rules of the contract that it is about.
    pub fn rules(&self) -> &'static [u8] {
        match (self.setting, self.trigger.context) {
            (Setting::Case(case), _) => case.rules,
            (_, Context::Blockable) => &[1],
            (_, Context::NonBlockable) => &[2, 5],
        }
    }

    /// Whether somebody breaks one of them.
    pub fn breaks(&self) -> bool {
        match self.setting {
            Setting::Case(case) => case.breaks,
            Setting::One(Arming::Fail(errno)) => {
                !self.trigger.calls.admits(0)
                    && (self.trigger.context == Context::Blockable || errno != EAGAIN)
            }
            Setting::One(_) => false,
        }
    }

    /// What the kernel must be able to check.
    pub fn needs(&self) -> Option<Needs> {
        match self.setting {
            Setting::Case(case) => case.needs,
            Setting::One(_) => None,
        }
    }

    /// Which boot it runs on.
    pub fn boot(&self) -> Boot {
        match self.setting {
            Setting::Case(case) => case.boot,
            Setting::One(_) => Boot::Shared,
        }
    }

    /// What it demands of the kernel, whatever its form of the check.
    pub fn expectation(&self) -> Expectation {
        let trigger = self.trigger;
        let agreed = Refused {
            outcome: 0,
            calls: trigger.calls,
            reaper: trigger.reaper,
            pages: trigger.pages,
        };
        let effect = if chain::is_refused(&self.notifiers(), trigger.context) {
            trigger.refused.unwrap_or(agreed)
        } else {
            agreed
        };
        let (said, judges_symptoms) = match self.setting {
            Setting::Case(case) => (case.said().to_vec(), case.judges_symptoms()),
            Setting::One(_) => (Vec::new(), false),
        };
        Expectation {
            event: trigger.event,
            context: trigger.context,
            calls: effect.calls,
            outcome: effect.outcome,
            reaper: effect.reaper,
            pages: effect.pages,
            is_atomic: matches!(trigger.kind, TriggerKind::Zap { is_atomic: true }),
            said,
            judges_symptoms,
            end: trigger.kind.end(),
        }
    }
}

/// All scenarios: those that share a boot first, so that what one of the others spoils is not
/// theirs.
fn all() -> impl Iterator<Item = Scenario> {
    let suite = TRIGGERS.iter().flat_map(|&trigger| {
        trigger.armings.iter().map(move |&arming| Scenario {
            trigger,
            setting: Setting::One(arming),
        })
    });
    let cases = CASES.iter().map(|case| Scenario {
        trigger: case.trigger,
        setting: Setting::Case(case),
    });
    suite.chain(cases)
}

/// All scenarios whose name matches one of the patterns; all of them if there is no pattern.
pub fn select(only: &[String]) -> Vec<Scenario> {
    all()
        .filter(|scenario| is_wanted(only, &scenario.name()))
        .collect()
}

/// What to tell a user whose patterns match nothing.
pub fn none_matches(only: &[String]) -> String {
    format!(
        "mn-inject: no scenario matches {}; `mn-inject list` shows them all",
        only.join(", ")
    )
}

/// Whether the name matches one of the patterns, or there is none.
pub fn is_wanted(only: &[String], name: &str) -> bool {
    only.is_empty() || only.iter().any(|pattern| matches(pattern, name))
}

/// Whether `name` matches a shell pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut p, mut n) = (pattern.as_bytes(), name.as_bytes());
    // Where to go on if the last `*` has to take one character more.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (p.split_first(), n.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, n));
                p = rest;
            }
            (Some((&want, rest_p)), Some((&have, rest_n))) if want == b'?' || want == have => {
                (p, n) = (rest_p, rest_n);
            }
            (None, None) => return true,
            _ => match retry {
                Some((rest, [_, shorter @ ..])) => {
                    retry = Some((rest, shorter));
                    (p, n) = (rest, shorter);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_survive_every_parser() {
        let names: Vec<_> = select(&[]).iter().map(Scenario::name).collect();
        let unique: HashSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for name in &names {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(fits) && !name.is_empty(), "{name}");
        }
        assert!(
            names.iter().any(|name| name == "munmap-whole-eagain"),
            "{names:?}"
        );
    }

    #[test]
    fn every_trigger_has_both_negative_twins() {
        for trigger in TRIGGERS {
            assert!(
                trigger.armings.contains(&Arming::Unarmed),
                "{}",
                trigger.name
            );
            assert!(
                trigger
                    .armings
                    .iter()
                    .any(|a| matches!(a, Arming::Filtered(_))),
                "{}",
                trigger.name
            );
        }
    }

    #[test]
    fn every_error_is_tried_in_both_contexts() {
        for context in [Context::Blockable, Context::NonBlockable] {
            for errno in [EAGAIN, EBUSY, EINTR, ENOMEM] {
                assert!(
                    TRIGGERS.iter().any(|trigger| trigger.context == context
                        && trigger.armings.contains(&Arming::Fail(errno))),
                    "{errno} in {context} context"
                );
            }
        }
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, result) in [
            ("munmap-*", "munmap-whole-eagain", true),
            ("munmap-*", "madvise-free-eagain", false),
            ("*-eagain", "munmap-whole-eagain", true),
            ("*-eagain", "munmap-whole-eagain-x", false),
            ("*whole*", "munmap-whole-eagain", true),
            ("mprotec?-*d", "mprotect-unarmed", true),
            ("mprotect", "mprotect-unarmed", false),
            ("", "fork-eagain", false),
            ("*", "", true),
            ("**a*b", "xaab", true),
            ("*a*bc", "xabab", false),
        ] {
            assert_eq!(matches(pattern, name), result, "{pattern} {name}");
        }
    }
}
