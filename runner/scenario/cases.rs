// SPDX-License-Identifier: GPL-2.0

//! The cases of the contract: for each rule the cases that obey it and the cases that break it,
//! with one notifier or several. Their names begin with the number of the rule.

use nix::libc;
use serde::Serialize;

use crate::contract::registration::behaviour;
use crate::contract::{Behaviour, Needs, RuleRow};
use crate::model::{
    Arming, Context, Count, Extent, Form, Injection, KernelMessage, Notifier, NotifierEvent,
    NotifierKind,
};
use crate::scenario::bugs::{
    ASKED_AFTER_THE_START, Bug, COLLAPSED_AGAIN, DAMON_ASKS_OF_PARTS, END_AFTER_REFUSAL_UNNOTICED,
    END_MISSING_AT_ZERO, HOLE_PROTECTED_BESIDE, INTERVAL_REMOVAL_WAITS, INTERVAL_SLEEP_UNNOTICED,
    LOCK_IN_PLAIN_UNNOTICED, OLD_WITHOUT_A_QUESTION, PAGEMAP_SCAN_ANNOUNCES_THE_REST,
    SPLIT_OF_NOTHING_HUGE, UFFD_MOVE_ANNOUNCES_THE_REST, UFFD_PROTECT_ANNOUNCES_A_GIGABYTE,
    WALK_ENDS_AT_A_SKIP,
};
use crate::scenario::script::{Script, Steps};
use crate::scenario::triggers::{
    DONTNEED, FORK, MEMCG_OOM, MPROTECT, MRELEASE, MREMAP, MUNMAP, REAP_ATTEMPTS, Trigger,
    TriggerKind, blockable, made,
};
use crate::trigger::operation::Operation;
use crate::trigger::place::Place::{AtZero, HugetlbShared, Table, Tables};
use crate::trigger::remote::Remote;

/// The boot that a scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Boot {
    /// One boot for all scenarios that leave it as they found it.
    Shared,
    /// One boot for all scenarios that leave something behind permanently that does not affect
    /// the others: a task that waits forever, a dead address space that is locked.
    Spoiled,
    /// A boot of its own: the scenario turns lockdep off or stops all registrations, or would if the
    /// kernel were wrong.
    Own,
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// Its name, which is the scenario's.
    pub name: &'static str,
    /// A description for people.
    pub about: &'static str,
    /// The numbers of the rules that it tries.
    pub rules: &'static [u8],
    /// Whether it breaks one of them.
    pub breaks: bool,
    /// The notifiers, in the order in which they are attached.
    pub notifiers: &'static [Notifier],
    /// The way in which the kernel is made to call them.
    pub trigger: Trigger,
    /// The check that the kernel must have.
    pub needs: Option<Needs>,
    /// The boot that it runs on.
    pub boot: Boot,
    /// The bug of the kernel that it shows.
    pub known_bug: Option<&'static Bug>,
}

impl Case {
    /// The row about the behaviour of the caller, not of a notifier.
    pub fn tried(&self) -> Option<&'static RuleRow> {
        let context = self.trigger.context;
        match self.trigger.kind {
            TriggerKind::Zap { is_atomic: true } => {
                RuleRow::find(Behaviour::CallsInAtomic, NotifierKind::Plain, context)
            }
            TriggerKind::Script(script) => match script.steps {
                Steps::Register(registration) => {
                    RuleRow::find(behaviour(registration)?, registration.kind, context)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The kernel's messages about a registration.
    pub fn said(&self) -> &'static [KernelMessage] {
        // They are the same in both forms.
        match (self.trigger.kind, self.tried()) {
            (TriggerKind::Script(_), Some(row)) => row.messages(Form::Seed),
            _ => &[],
        }
    }

    /// Whether the kernel's complaints about itself (lockdep, sleeping in atomic context) are
    /// judged here.
    pub fn judges_symptoms(&self) -> bool {
        self.needs.is_some() || self.tried().is_some()
    }
}

const EAGAIN: Arming = Arming::Fail(-libc::EAGAIN);
const EBUSY: Arming = Arming::Fail(-libc::EBUSY);
const AGREES: Arming = Arming::Unarmed;
const SLEEPS: Arming = Arming::AtStart(Injection::Sleep);
const ALLOCATES: Arming = Arming::AtStart(Injection::Allocate);
const SLEEPS_AT_END: Arming = Arming::AtEnd(Injection::Sleep);
const SLEEPS_AT_RELEASE: Arming = Arming::AtRelease(Injection::Sleep);
const WAITS_AT_END: Arming = Arming::AtEnd(Injection::Delay);
const ALLOCATES_AT_END: Arming = Arming::AtEnd(Injection::Allocate);
const LOCKS: Arming = Arming::AtStart(Injection::Lock);
const REMOVES: Arming = Arming::AtStart(Injection::Remove);

const fn notifier(kind: NotifierKind, arming: Arming) -> Notifier {
    Notifier {
        kind,
        arming,
        is_elsewhere: false,
    }
}

const fn plain(arming: Arming) -> Notifier {
    notifier(NotifierKind::Plain, arming)
}

const fn paired(arming: Arming) -> Notifier {
    notifier(NotifierKind::PlainEnd, arming)
}

const fn interval(arming: Arming) -> Notifier {
    notifier(NotifierKind::Interval, arming)
}

const fn two_pass(arming: Arming) -> Notifier {
    notifier(NotifierKind::IntervalTwoPass, arming)
}

const YOUNG: &[Notifier] = &[notifier(NotifierKind::PlainYoung, AGREES)];

const MIRROR: &[Notifier] = &[notifier(NotifierKind::Mirror, AGREES)];

/// An interval notifier on addresses next to those that are worked on.
const fn elsewhere(arming: Arming) -> Notifier {
    Notifier {
        is_elsewhere: true,
        ..interval(arming)
    }
}

const fn keeps(
    name: &'static str,
    about: &'static str,
    rules: &'static [u8],
    trigger: Trigger,
    notifiers: &'static [Notifier],
) -> Case {
    Case {
        name,
        about,
        rules,
        breaks: false,
        notifiers,
        trigger,
        needs: None,
        boot: Boot::Shared,
        known_bug: None,
    }
}

const fn breaks(
    name: &'static str,
    about: &'static str,
    rules: &'static [u8],
    trigger: Trigger,
    notifiers: &'static [Notifier],
) -> Case {
    Case {
        breaks: true,
        ..keeps(name, about, rules, trigger, notifiers)
    }
}

const fn needing(needs: Needs, case: Case) -> Case {
    Case {
        needs: Some(needs),
        ..case
    }
}

/// lockdep reports once, and turns itself off.
const fn lockdep(case: Case) -> Case {
    apart(needing(Needs::Lockdep, case))
}

/// The kernel, or a wrong one, leaves something behind that concerns all other scenarios.
const fn apart(case: Case) -> Case {
    Case {
        boot: Boot::Own,
        ..case
    }
}

const fn leaving(case: Case) -> Case {
    Case {
        boot: Boot::Spoiled,
        ..case
    }
}

const fn showing(bug: &'static Bug, case: Case) -> Case {
    Case {
        known_bug: Some(bug),
        ..case
    }
}

/// The module zaps the pages of the process.
const fn zap(is_atomic: bool) -> Trigger {
    Trigger {
        kind: TriggerKind::Zap { is_atomic },
        ..DONTNEED
    }
}

/// A script with so many invalidations of the watched addresses.
const fn steps(script: Script, calls: u64, event: NotifierEvent, context: Context) -> Trigger {
    Trigger {
        extent: None,
        context,
        ..made(
            TriggerKind::Script(script),
            "script",
            "several steps",
            event,
            Count::Exactly(calls),
        )
    }
}

/// `madvise(MADV_DONTDUMP)` of a page, which must not notify.
const DONTDUMP: Trigger = blockable(
    "dontdump",
    "a VMA is split",
    Operation::DontDumpPart,
    NotifierEvent::Clear,
    Count::Exactly(0),
);

/// An operation of the process that the kernel carries out in steps. A step may be announced a second
/// time, if the kernel has to begin it again.
const fn in_steps(operation: Operation, event: NotifierEvent) -> Trigger {
    blockable("steps", "in steps", operation, event, Count::OrMore(1))
        .reaching(Extent::Steps { times: 2 })
}

/// A script in which khugepaged collapses pages. It announces each attempt, and may have to try again.
const fn collapses(script: Script) -> Trigger {
    Trigger {
        calls: Count::OrMore(1),
        ..steps(script, 1, NotifierEvent::Clear, Context::Blockable)
    }
    .at(Table)
    .needing(Needs::HugePages)
}

/// A script without one.
const fn registers(script: Script) -> Trigger {
    steps(script, 0, NotifierEvent::Unmap, Context::Blockable)
}

use Context::{Blockable, NonBlockable};
use NotifierEvent::{Clear, ProtectionPage, ProtectionVma, Unmap};

/// All cases, by rule.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    keeps("r01-interval-agrees", "munmap, an interval notifier agrees", &[1], MUNMAP, &[interval(AGREES)]),
    keeps("r01-two-pass-agrees", "munmap, an interval notifier in two passes agrees", &[1, 9], MUNMAP, &[two_pass(AGREES)]),
    breaks("r01-interval-refuses", "munmap, an interval notifier refuses", &[1], MUNMAP, &[interval(EAGAIN)]),
    breaks("r01-two-pass-refuses", "munmap, an interval notifier in two passes refuses", &[1], MUNMAP, &[two_pass(EAGAIN)]),
    breaks("r01-interval-refuses-dontneed", "madvise, an interval notifier refuses", &[1], DONTNEED, &[interval(EAGAIN)]),
    breaks("r01-interval-refuses-fork", "fork, an interval notifier refuses", &[1], FORK, &[interval(EAGAIN)]),
    breaks("r01-two-fail", "munmap, two plain notifiers fail with different errors", &[1, 4], MUNMAP, &[plain(EAGAIN), plain(EBUSY)]),
    keeps("r01-told-before-munmap", "munmap, the pages are there while a plain notifier is told", &[1], steps(Script::PAGES_IN_START_OF_MUNMAP, 1, Unmap, Blockable), &[plain(SLEEPS)]),
    keeps("r01-told-before-dontneed", "the same with madvise", &[1], steps(Script::PAGES_IN_START_OF_DONTNEED, 1, Clear, Blockable), &[plain(SLEEPS)]),

    keeps("r01-zapped-before-end", "munmap, the pages are gone while an end runs", &[1, 4], steps(Script::PAGES_IN_END_OF_MUNMAP, 1, Unmap, Blockable), &[paired(SLEEPS_AT_END)]),
    keeps("r01-zapped-before-end-dontneed", "the same with madvise", &[1, 4], steps(Script::PAGES_IN_END_OF_DONTNEED, 1, Clear, Blockable), &[paired(SLEEPS_AT_END)]),

    keeps("r02-interval-refuses", "process_mrelease, an interval notifier refuses", &[2, 5], MRELEASE, &[interval(EAGAIN)]),
    keeps("r02-two-refuse", "process_mrelease, two plain notifiers refuse", &[2, 4], MRELEASE, &[plain(EAGAIN), plain(EAGAIN)]),
    breaks("r02-one-refuses-one-fails", "process_mrelease, a plain notifier refuses and one fails otherwise", &[2, 4], MRELEASE, &[plain(EAGAIN), plain(EBUSY)]),
    breaks("r02-one-fails-one-refuses", "the same in the other order", &[2, 4], MRELEASE, &[plain(EBUSY), plain(EAGAIN)]),

    keeps("r03-paired-agrees", "munmap, a notifier with ends agrees", &[3, 4], MUNMAP, &[paired(AGREES)]),
    keeps("r03-paired-agrees-mrelease", "process_mrelease, a notifier with ends agrees", &[3, 4], MRELEASE, &[paired(AGREES)]),
    breaks("r03-paired-refuses", "munmap, a notifier with ends refuses", &[1, 3], MUNMAP, &[paired(EAGAIN)]),
    breaks("r03-paired-fails", "munmap, a notifier with ends fails otherwise", &[1, 3], MUNMAP, &[paired(EBUSY)]),
    breaks("r03-paired-refuses-mrelease", "process_mrelease, a notifier with ends refuses", &[3], MRELEASE, &[paired(EAGAIN)]),
    breaks("r03-paired-fails-mrelease", "process_mrelease, a notifier with ends fails otherwise", &[2, 3], MRELEASE, &[paired(EBUSY)]),

    keeps("r04-all-agree", "munmap, three notifiers agree", &[4], MUNMAP, &[paired(AGREES), plain(AGREES), paired(AGREES)]),
    keeps("r04-all-agree-mrelease", "process_mrelease, three notifiers agree", &[4], MRELEASE, &[paired(AGREES), plain(AGREES), paired(AGREES)]),
    keeps("r04-first-refuses", "process_mrelease, the first to be called refuses", &[4, 5], MRELEASE, &[paired(AGREES), paired(AGREES), plain(EAGAIN)]),
    keeps("r04-middle-refuses", "process_mrelease, the one in the middle refuses", &[4, 5], MRELEASE, &[paired(AGREES), plain(EAGAIN), paired(AGREES)]),
    keeps("r04-last-refuses", "process_mrelease, the last to be called refuses", &[4, 5], MRELEASE, &[plain(EAGAIN), paired(AGREES), paired(AGREES)]),
    breaks("r04-first-fails-munmap", "munmap, the first to be called fails", &[1, 4], MUNMAP, &[paired(AGREES), paired(AGREES), plain(EAGAIN)]),
    breaks("r04-last-fails-munmap", "munmap, the last to be called fails", &[1, 4], MUNMAP, &[plain(EAGAIN), paired(AGREES), paired(AGREES)]),
    breaks("r04-paired-fails-munmap", "munmap, one with ends fails, between two that agree", &[1, 3, 4], MUNMAP, &[paired(AGREES), paired(EAGAIN), paired(AGREES)]),

    keeps("r05-paired-agrees-oom", "the OOM reaper, a notifier with ends agrees", &[5], MEMCG_OOM, &[paired(AGREES)]),
    keeps("r05-one-refuses-oom", "the OOM reaper, one of two refuses", &[4, 5], MEMCG_OOM, &[paired(AGREES), plain(EAGAIN)]),
    keeps("r05-interval-agrees-oom", "the OOM reaper, an interval notifier agrees", &[5], MEMCG_OOM, &[interval(AGREES)]),
    keeps("r05-interval-refuses-oom", "the OOM reaper, an interval notifier refuses", &[5], MEMCG_OOM, &[interval(EAGAIN)]),
    keeps("r05-others-reaped", "process_mrelease, a plain notifier refuses for some pages, and all others go", &[2, 5], steps(Script::REAPS_OTHERS, 1, Clear, NonBlockable), &[plain(EAGAIN)]),
    keeps("r05-reaped-before-end", "process_mrelease, the pages are gone while an end runs", &[4, 5], steps(Script::PAGES_IN_END_OF_REAPING, 1, Clear, NonBlockable), &[paired(WAITS_AT_END)]),
    keeps("r05-let-go-oom", "the OOM reaper, a notifier refuses ten times, and the victim is gone before the last word", &[5], steps(Script::LET_GO, REAP_ATTEMPTS, Clear, NonBlockable), &[plain(EAGAIN)]),
    breaks("r05-plain-fails-oom", "the OOM reaper, a plain notifier fails otherwise", &[2, 5], MEMCG_OOM, &[plain(EBUSY)]),

    needing(Needs::AtomicSleep, keeps("r06-plain-sleeps", "munmap, a plain notifier sleeps", &[6], MUNMAP, &[plain(SLEEPS)])),
    needing(Needs::AtomicSleep, keeps("r06-interval-sleeps", "munmap, an interval notifier sleeps", &[6], MUNMAP, &[interval(SLEEPS)])),
    needing(Needs::AtomicSleep, keeps("r06-plain-agrees-mrelease", "process_mrelease, a plain notifier does not sleep", &[6], MRELEASE, &[plain(AGREES)])),
    needing(Needs::AtomicSleep, breaks("r06-plain-sleeps-mrelease", "process_mrelease, a plain notifier sleeps", &[6], MRELEASE, &[plain(SLEEPS)])),
    needing(Needs::AtomicSleep, breaks("r06-paired-sleeps-mrelease", "process_mrelease, one with ends sleeps", &[6], MRELEASE, &[paired(SLEEPS)])),
    showing(&INTERVAL_SLEEP_UNNOTICED, needing(Needs::AtomicSleep, breaks("r06-interval-sleeps-mrelease", "process_mrelease, an interval notifier sleeps", &[6], MRELEASE, &[interval(SLEEPS)]))),
    needing(Needs::AtomicSleep, keeps("r06-end-sleeps", "munmap, an end sleeps", &[6], MUNMAP, &[paired(SLEEPS_AT_END)])),
    needing(Needs::AtomicSleep, breaks("r06-end-sleeps-mrelease", "process_mrelease, an end sleeps", &[6], MRELEASE, &[paired(SLEEPS_AT_END)])),
    showing(&END_AFTER_REFUSAL_UNNOTICED, needing(Needs::AtomicSleep, breaks("r06-end-sleeps-after-refusal", "process_mrelease, an end sleeps that comes since another refuses", &[6], MRELEASE, &[paired(SLEEPS_AT_END), plain(EAGAIN)]))),
    showing(&INTERVAL_SLEEP_UNNOTICED, needing(Needs::AtomicSleep, breaks("r06-second-pass-sleeps-mrelease", "process_mrelease, a second pass sleeps", &[6], MRELEASE, &[two_pass(SLEEPS_AT_END)]))),
    needing(Needs::AtomicSleep, breaks("r06-plain-sleeps-oom", "the OOM reaper, a plain notifier sleeps", &[6], MEMCG_OOM, &[plain(SLEEPS)])),

    lockdep(keeps("r07-plain-agrees", "munmap, a plain notifier neither allocates nor locks", &[7], MUNMAP, &[plain(AGREES)])),
    lockdep(keeps("r07-interval-agrees", "the same with an interval notifier", &[7], MUNMAP, &[interval(AGREES)])),
    lockdep(breaks("r07-plain-allocates", "munmap, a plain notifier allocates", &[7], MUNMAP, &[plain(ALLOCATES)])),
    lockdep(breaks("r07-interval-allocates", "munmap, an interval notifier allocates", &[7], MUNMAP, &[interval(ALLOCATES)])),
    lockdep(breaks("r07-end-allocates", "munmap, an end allocates", &[7], MUNMAP, &[paired(ALLOCATES_AT_END)])),
    lockdep(breaks("r07-second-pass-allocates", "munmap, a second pass allocates", &[7], MUNMAP, &[two_pass(ALLOCATES_AT_END)])),
    showing(&LOCK_IN_PLAIN_UNNOTICED, lockdep(breaks("r07-plain-locks", "munmap, a plain notifier takes a lock that was held over an allocation", &[7], MUNMAP, &[plain(LOCKS)]))),
    lockdep(breaks("r07-interval-locks", "the same with an interval notifier", &[7], MUNMAP, &[interval(LOCKS)])),

    needing(Needs::AtomicSleep, keeps("r08-zap", "the module zaps the pages", &[8], zap(false), &[plain(AGREES)])),
    needing(Needs::AtomicSleep, breaks("r08-zap-in-atomic", "the module zaps the pages with a spinlock held", &[8], zap(true), &[plain(AGREES)])),

    keeps("r09-read-undisturbed", "a read side that nothing disturbs", &[9], steps(Script::READ, 0, Clear, Blockable), &[interval(AGREES)]),
    keeps("r09-read-disturbed", "a read side that an invalidation collides with, and again without", &[9], steps(Script::READ_DISTURBED, 1, Clear, Blockable), &[interval(AGREES)]),
    keeps("r09-read-elsewhere", "a read side while other addresses are invalidated", &[9], steps(Script::READ_ELSEWHERE, 0, Clear, Blockable), &[elsewhere(AGREES)]),
    keeps("r09-one-beside", "munmap, one interval notifier is on its addresses, and one next to them", &[9], MUNMAP, &[interval(AGREES), elsewhere(AGREES)]),
    keeps("r09-read-waits", "a read side that begins in an invalidation waits for its end", &[9], steps(Script::READ_WAITS, 1, Clear, Blockable), &[interval(AGREES), interval(SLEEPS)]),
    keeps("r09-change-in-invalidation", "in an invalidation one interval notifier beside it comes, and another one goes", &[9, 11], steps(Script::CHANGE_IN_INVALIDATION, 1, Clear, Blockable), &[interval(AGREES), interval(SLEEPS)]),
    keeps("r09-read-refused", "a read side while an invalidation is refused in process_mrelease", &[2, 9], steps(Script::READ_REFUSED, 1, Clear, NonBlockable), &[interval(EAGAIN)]),
    breaks("r09-read-failed", "a read side while an interval notifier fails where it must not", &[1, 9], steps(Script::READ_FAILED, 1, Clear, Blockable), &[interval(EAGAIN)]),
    keeps("r09-two-pass-before-refusal", "process_mrelease, one in two passes has begun when another refuses", &[2, 9], MRELEASE, &[two_pass(AGREES), interval(EAGAIN), two_pass(AGREES)]),
    breaks("r09-two-pass-around-failure", "munmap, two in two passes agree, and one between them fails", &[1, 9], MUNMAP, &[two_pass(AGREES), interval(EAGAIN), two_pass(AGREES)]),

    keeps("r10-both-agree", "munmap, an interval and a plain notifier agree", &[10], MUNMAP, &[interval(AGREES), plain(AGREES)]),
    keeps("r10-both-agree-mrelease", "process_mrelease, both agree", &[10], MRELEASE, &[interval(AGREES), plain(AGREES)]),
    keeps("r10-interval-and-paired-agree", "munmap, an interval notifier and one with ends agree", &[4, 10], MUNMAP, &[interval(AGREES), paired(AGREES)]),
    keeps("r10-interval-first-interval-refuses", "process_mrelease, the interval notifier refuses", &[10], MRELEASE, &[interval(EAGAIN), plain(AGREES)]),
    keeps("r10-plain-first-interval-refuses", "the same, registered in the other order", &[10], MRELEASE, &[plain(AGREES), interval(EAGAIN)]),
    showing(&INTERVAL_REMOVAL_WAITS, leaving(keeps("r10-interval-first-plain-refuses", "process_mrelease, the plain notifier refuses", &[10], MRELEASE, &[interval(AGREES), plain(EAGAIN)]))),
    showing(&INTERVAL_REMOVAL_WAITS, leaving(keeps("r10-plain-first-plain-refuses", "the same, registered in the other order", &[10], MRELEASE, &[plain(EAGAIN), interval(AGREES)]))),
    showing(&INTERVAL_REMOVAL_WAITS, leaving(keeps("r10-plain-refuses-interval-elsewhere", "the same, the interval notifier is on other addresses", &[10], MRELEASE, &[elsewhere(AGREES), plain(EAGAIN)]))),
    breaks("r10-plain-fails-munmap", "munmap, the plain notifier fails where it must not", &[1, 10], MUNMAP, &[interval(AGREES), plain(EAGAIN)]),
    breaks("r10-interval-fails-munmap", "munmap, the interval notifier fails where it must not", &[1, 10], MUNMAP, &[plain(AGREES), interval(EAGAIN)]),

    keeps("r11-under-lock", "registered by the functions for callers that hold mmap_lock", &[11], registers(Script::REGISTER_LOCKED), &[]),
    keeps("r11-interval-under-lock", "the same with an interval notifier", &[11], registers(Script::REGISTER_INTERVAL_LOCKED), &[]),
    keeps("r11-two-on-one", "two notifiers of the same kind on one mm", &[11], MUNMAP, &[plain(AGREES), plain(AGREES)]),
    keeps("r11-two-on-one-mrelease", "process_mrelease, two notifiers of the same kind agree", &[5, 11], MRELEASE, &[plain(AGREES), plain(AGREES)]),
    apart(keeps("r11-in-forked-child", "registered with a forked child that has executed nothing", &[11], registers(Script::REGISTER_IN_CHILD), &[])),
    keeps("r11-register-in-invalidation", "in an invalidation a notifier with ends comes, and waits for its end", &[4, 11], steps(Script::REGISTER_WAITS, 1, Clear, Blockable), &[plain(SLEEPS)]),
    keeps("r11-release-at-exit", "the release of a process that exits comes once", &[11], steps(Script::RELEASE_AT_EXIT, 0, Unmap, Blockable), &[plain(AGREES)]),
    keeps("r11-all-release-at-exit", "a process exits, and notifiers of each kind are told of it once", &[10, 11], steps(Script::RELEASE_AT_EXIT, 0, Unmap, Blockable), &[interval(AGREES), plain(AGREES), two_pass(AGREES)]),
    keeps("r11-truncated-in-release", "a file is truncated while the release of a process that has it mapped sleeps", &[11], steps(Script::TRUNCATED_IN_RELEASE, 2, Clear, Blockable), &[plain(SLEEPS_AT_RELEASE)]),
    apart(keeps("r11-exit-in-removal", "a process exits while the release of a notifier that is being removed sleeps", &[11], steps(Script::EXIT_IN_REMOVAL, 0, Unmap, Blockable), &[plain(AGREES)])),
    keeps("r11-release-at-removal", "the release of a notifier that is removed comes once", &[11], steps(Script::RELEASE_AT_REMOVAL, 1, Clear, Blockable), &[plain(AGREES)]),
    leaving(breaks("r11-without-lock", "registered by the functions for callers that hold mmap_lock, without", &[11], registers(Script::REGISTER_UNLOCKED), &[])),
    lockdep(breaks("r11-lock-held", "registered while mmap_lock is held, by the function that takes it", &[11], registers(Script::REGISTER_RECURSIVE), &[])),
    lockdep(breaks("r11-interval-lock-held", "an interval notifier that is not the first is registered while mmap_lock is held", &[11], registers(Script::REGISTER_INTERVAL_RECURSIVE), &[elsewhere(AGREES)])),
    breaks("r11-interval-after-exit", "an interval notifier registered with an mm without users", &[11], registers(Script::REGISTER_INTERVAL_AFTER_EXIT), &[elsewhere(AGREES)]),
    leaving(needing(Needs::AtomicSleep, breaks("r11-in-atomic", "registered in an atomic section", &[11], registers(Script::REGISTER_IN_ATOMIC), &[]))),
    leaving(breaks("r11-same-twice", "the same struct registered twice, which no kernel notices", &[11], registers(Script::REGISTER_TWICE), &[])),
    lockdep(breaks("r11-removes-itself", "a plain notifier removes itself in its callback", &[11], steps(Script::REMOVE_IN_CALLBACK, 1, Unmap, Blockable), &[plain(REMOVES)])),
    lockdep(breaks("r11-interval-removes-itself", "an interval notifier removes itself in its callback", &[11], steps(Script::REMOVE_IN_CALLBACK, 1, Unmap, Blockable), &[interval(REMOVES)])),

    keeps("r12-munmap-at-zero", "munmap of a mapping at address 0", &[12], MUNMAP.at(AtZero), MIRROR),
    keeps("r12-dontneed-at-zero", "madvise(MADV_DONTNEED) of a mapping at address 0", &[12], DONTNEED.at(AtZero), MIRROR),
    showing(&END_MISSING_AT_ZERO, keeps("r12-mprotect-at-zero", "mprotect of a mapping at address 0", &[12], MPROTECT.at(AtZero), MIRROR)),
    keeps("r12-fork-at-zero", "fork of a process with a mapping at address 0", &[12], FORK.at(AtZero), MIRROR),
    keeps("r12-munmap-tables", "munmap of whole page tables", &[12], MUNMAP.at(Tables), MIRROR),
    keeps("r12-dontneed-tables", "madvise(MADV_DONTNEED) of whole page tables", &[12], DONTNEED.at(Tables), MIRROR),
    keeps("r12-mprotect-tables", "mprotect of whole page tables", &[12], MPROTECT.at(Tables), MIRROR),
    keeps("r12-mremap-tables", "mremap of whole page tables, which are moved as they are", &[12], MREMAP.at(Tables), MIRROR),
    keeps("r12-fork-tables", "fork of a process with whole page tables", &[12], FORK.at(Tables), MIRROR),

    showing(&HOLE_PROTECTED_BESIDE, keeps("r12-pagemap-scan-hole", "PAGEMAP_SCAN of 4 KiB where a huge page of hugetlbfs is missing", &[12], steps(Script::PROTECT_HOLE, 1, ProtectionVma, Blockable).at(HugetlbShared).needing(Needs::HugetlbUserfaultfd), &[plain(AGREES)])),

    keeps("r13-mglru-asks", "the multi-generational LRU ages pages", &[13], registers(Script::AGE), YOUNG),
    showing(&DAMON_ASKS_OF_PARTS, keeps("r13-damon-asks", "DAMON samples pages", &[13], registers(Script::SAMPLE), YOUNG)),
    showing(&OLD_WITHOUT_A_QUESTION, keeps("r13-cold-asks", "madvise(MADV_COLD) makes pages old", &[13], registers(Script::MAKE_COLD), YOUNG)),
    showing(&OLD_WITHOUT_A_QUESTION, keeps("r13-clear-refs-asks", "1 > /proc/self/clear_refs makes pages old", &[13], registers(Script::CLEAR_REFERENCED), YOUNG)),

    keeps("r13-khugepaged-asks", "khugepaged asks about each page that it may collapse", &[13], collapses(Script::ASKED_BEFORE_COLLAPSE), YOUNG),
    showing(&ASKED_AFTER_THE_START, keeps("r13-khugepaged-asks-in-time", "khugepaged does not ask about pages that it has announced", &[13], collapses(Script::ASKED_AFTER_START), YOUNG)),

    showing(&COLLAPSED_AGAIN, keeps("r14-khugepaged-scan", "khugepaged scans folios of 64 KiB, which it cannot make larger", &[14], steps(Script::SCAN_COLLAPSED, 0, Clear, Blockable).at(Table).needing(Needs::HugePages), &[plain(AGREES)])),
    keeps("r14-uffd-move-tables", "UFFDIO_MOVE of whole page tables", &[14], in_steps(Operation::UffdMove, Clear).at(Tables).needing(Needs::Userfaultfd), &[plain(AGREES)]),
    showing(&UFFD_MOVE_ANNOUNCES_THE_REST, keeps("r14-uffd-move-zeroes", "UFFDIO_MOVE of pages of zeroes, which are moved one by one", &[14], in_steps(Operation::UffdMoveZeroes, Clear).needing(Needs::Userfaultfd), &[plain(AGREES)])),
    showing(&PAGEMAP_SCAN_ANNOUNCES_THE_REST, keeps("r14-pagemap-scan-regions", "PAGEMAP_SCAN of more regions than the kernel has room for at a time", &[14], in_steps(Operation::ScanRegions, ProtectionVma).needing(Needs::UserfaultfdWp), &[plain(AGREES)])),
    keeps("r14-dontdump-small", "madvise(MADV_DONTDUMP) of a page where no huge page fits", &[14], DONTDUMP, &[plain(AGREES)]),
    showing(&SPLIT_OF_NOTHING_HUGE, keeps("r14-dontdump-part", "madvise(MADV_DONTDUMP) of a page, which changes no page", &[14], DONTDUMP.at(Tables).needing(Needs::HugePages), &[plain(AGREES)])),
    showing(&UFFD_PROTECT_ANNOUNCES_A_GIGABYTE, keeps("r14-hugetlb-uffd-writeprotect", "UFFDIO_WRITEPROTECT of a page in a shared gigabyte of hugetlbfs", &[14], blockable("protect", "one huge page", Operation::UffdProtectHugetlb, ProtectionVma, Count::Exactly(1)).at(HugetlbShared).needing(Needs::HugetlbUserfaultfd), &[plain(AGREES)])),

    showing(&WALK_ENDS_AT_A_SKIP, keeps("r14-driver-protects-file", "a driver write-protects a memfd in all of its mappings, the first of which is private", &[14], made(TriggerKind::Remote(Remote::ProtectFileBesides), "protect", "one mapping", ProtectionPage, Count::Exactly(1)).needing(Needs::DirtyHelpers), &[plain(AGREES)])),

    // Last: the kernel kills the caller while it holds locks.
    leaving(breaks("r11-after-exit", "a plain notifier registered with an mm without users", &[11], registers(Script::REGISTER_AFTER_EXIT), &[])),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::contract::outcome::StepOutcome;
    use crate::contract::registration::outcome;
    use crate::contract::{RULE_ROWS, RULES};
    use crate::model::{End, Way};
    use crate::scenario::{Scenario, Setting, select};

    #[test]
    fn every_rule_is_kept_and_broken_on_every_form() {
        let scenarios = select(&[]);
        for rule in RULES {
            let of_rule = |breaks| {
                let about =
                    |s: &&Scenario| s.rules().contains(&rule.number) && s.breaks() == breaks;
                scenarios.iter().filter(about).count()
            };
            // Each scenario runs on kernels of both forms.
            for promise in Form::ALL {
                assert!(
                    of_rule(false) > 0,
                    "{promise:?}: no scenario keeps rule {}",
                    rule.number
                );
                // Only the kernel can break rules 4, 5, 9, 10, 12, 13 and 14. In the scenarios of all
                // but the last two the driver breaks another rule.
                assert!(
                    of_rule(true) > 0 || rule.number >= 13,
                    "{promise:?}: no scenario breaks rule {}",
                    rule.number
                );
            }
        }
    }

    /// The rows about the behaviour of the notifiers and of the caller.
    fn rows_of(scenario: &Scenario) -> Vec<&'static RuleRow> {
        let of_roles = scenario.notifiers().into_iter().filter_map(|notifier| {
            let behaviour = match notifier.arming {
                Arming::Fail(errno) => Behaviour::of_return(errno),
                Arming::AtStart(injection)
                | Arming::AtEnd(injection)
                | Arming::AtRelease(injection) => Behaviour::of_injection(injection),
                Arming::Filtered(_) | Arming::Unarmed => Behaviour::Agrees,
            };
            RuleRow::find(behaviour, notifier.kind, scenario.trigger.context)
        });
        let of_case = match scenario.setting {
            Setting::Case(case) => case.tried(),
            Setting::One(_) | Setting::Mirrored(_) | Setting::Edge => None,
        };
        of_roles.chain(of_case).collect()
    }

    #[test]
    fn every_row_is_tried() {
        let tried: BTreeSet<String> = select(&[])
            .iter()
            .flat_map(rows_of)
            .map(|row| format!("{row:?}"))
            .collect();
        for row in RULE_ROWS {
            assert!(
                tried.contains(&format!("{row:?}")),
                "no scenario tries {row:?}"
            );
        }
    }

    /// In other scenarios a symptom is trouble, and a missing one is not found.
    #[test]
    fn a_scenario_of_which_a_symptom_is_due_judges_symptoms() {
        let (mut about, mut others) = (0, 0);
        for scenario in select(&[]) {
            let rows = rows_of(&scenario);
            let mut due = rows
                .iter()
                .flat_map(|row| Form::ALL.map(|form| row.messages(form)))
                .flatten();
            if due.any(|message| message.is_symptom()) {
                assert!(
                    scenario.expectation().judges_symptoms,
                    "{}",
                    scenario.name()
                );
                about += 1;
            } else {
                others += 1;
            }
        }
        assert!(about > 0 && others > 0);
    }

    #[test]
    fn a_notifier_removes_itself_only_in_a_scenario_that_needs_breach() {
        let removes = |notifier: &Notifier| notifier.arming == REMOVES;
        let mut count = 0;
        for case in CASES
            .iter()
            .filter(|case| case.notifiers.iter().any(removes))
        {
            assert!(case.trigger.kind.needs_breach(), "{}", case.name);
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn a_script_of_a_registration_ends_as_the_registration_does() {
        let mut count = 0;
        for case in CASES {
            let TriggerKind::Script(script) = case.trigger.kind else {
                continue;
            };
            let Steps::Register(registration) = script.steps else {
                continue;
            };
            let end = match (outcome(registration), registration.way) {
                (StepOutcome::Done(_), Way::AfterExit) => End::Gone,
                (StepOutcome::Done(0), way) if way != Way::Twice => End::There,
                _ => End::Left,
            };
            assert_eq!(script.end, end, "{}", case.name);
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn names_begin_with_their_rule() {
        for case in CASES {
            let first = case
                .name
                .get(1..3)
                .and_then(|number| number.parse::<u8>().ok());
            assert!(
                case.name.starts_with('r') && case.rules.iter().any(|rule| first == Some(*rule)),
                "{}",
                case.name
            );
        }
    }
}
