// SPDX-License-Identifier: GPL-2.0

//! The contract of `invalidate_range_start`: its rules, and what the kernel says of whoever breaks
//! them.
//!
//! Both are tables. `mn-inject list --rules` prints them, `docs/contract.md` is made from that, the
//! scenarios in [`crate::scenario::cases`] name the rules, and the oracle computes from [`RULE_ROWS`] what is
//! due. [`steps`] has what is due of each step of a scenario that takes several.

pub mod outcome;
pub mod registration;
pub mod steps;

use nix::libc::EAGAIN;
use serde::{Deserialize, Serialize};

use crate::model::{Arming, Call, Context, Expectation, Injection, Later, Notifier, NotifierKind};

/// The form of the check that a kernel is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Info line, and a pr_warn in blockable context.
    Seed,
    /// Info line, and a WARN unless the failure is `-EAGAIN` in non-blockable context.
    Mainline,
}

impl Form {
    /// Both.
    pub const ALL: [Form; 2] = [Form::Seed, Form::Mainline];
}

/// A rule.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rule {
    /// Its number, by which scenarios name it.
    pub number: u8,
    /// What it says.
    pub text: &'static str,
    /// The kernel's function or comment that it comes from.
    pub source: &'static str,
}

/// The rules.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule {
        number: 1,
        text: "A start in blockable context must not fail. The caller goes on as if it had not.",
        source: "mn_hlist_invalidate_range_start(), mn_itree_invalidate()",
    },
    Rule {
        number: 2,
        text: "A start in non-blockable context may fail, with -EAGAIN and nothing else.",
        source: "mn_hlist_invalidate_range_start()",
    },
    Rule {
        number: 3,
        text: "A notifier whose start can fail must not have an end.",
        source: "comment above invalidate_range_start in struct mmu_notifier_ops",
    },
    Rule {
        number: 4,
        text: "All plain notifiers are started, the last registered first, also after one has failed. If one \
               has, whoever has an end gets it at once; in blockable context the caller's own end follows.",
        source: "mn_hlist_invalidate_range_start()",
    },
    Rule {
        number: 5,
        text: "Where a start refuses in non-blockable context, nothing of that VMA is zapped. process_mrelease \
               returns EAGAIN, the OOM reaper tries 10 times.",
        source: "zap_vma_for_reaping(), oom_reap_task(), process_mrelease(2)",
    },
    Rule {
        number: 6,
        text: "A callback must not sleep in non-blockable context. It may in blockable context.",
        source: "non_block_start() in mn_hlist_invalidate_range_start()",
    },
    Rule {
        number: 7,
        text: "A callback must not wait for reclaim: it must not allocate with what may reclaim, and must not take \
               a lock that is held over such an allocation elsewhere.",
        source: "fs_reclaim_acquire(), which passes through the notifiers' lockdep map",
    },
    Rule {
        number: 8,
        text: "A blockable invalidation must not come from an atomic section.",
        source: "might_sleep() in mmu_notifier_invalidate_range_start()",
    },
    Rule {
        number: 9,
        text: "A read side of an interval notifier must be tried again if, and only if, an invalidation of its \
               range collided with it. A new one waits until the invalidation is over. Of two passes, the \
               second is made for whoever agreed in the first.",
        source: "mmu_interval_read_begin(), mmu_interval_read_retry(), mn_itree_finish_pass()",
    },
    Rule {
        number: 10,
        text: "Interval and plain notifiers of one address space do not get in each other's way: whoever refuses, \
               each of them can be removed at once.",
        source: "__mmu_notifier_invalidate_range_start(), mmu_interval_notifier_remove()",
    },
    Rule {
        number: 11,
        text: "A notifier is registered with an address space in use, by a caller that may sleep and does not hold \
               mmap_lock (or holds it for writing, for the functions that want that), once; it is not removed from \
               its own callbacks; its release is called once.",
        source: "mmu_notifier_register(), mmu_notifier_unregister(), mmu_interval_notifier_insert()",
    },
];

/// What somebody does that the contract has a word on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// A start agrees, and neither sleeps nor allocates.
    Agrees,
    /// A start fails with `-EAGAIN`.
    Refuses,
    /// A start fails with another error.
    FailsOtherwise,
    /// A callback sleeps.
    Sleeps,
    /// A callback allocates with `GFP_KERNEL`.
    Allocates,
    /// A callback takes a lock that was held over such an allocation.
    TakesLock,
    /// A blockable invalidation comes from an atomic section.
    CallsInAtomic,
    /// Somebody registers while holding `mmap_lock`, where that is taken.
    RegistersUnderLock,
    /// Somebody registers without `mmap_lock`, where the caller must hold it.
    RegistersWithoutLock,
    /// Somebody registers with an address space that nobody uses any more.
    RegistersAfterExit,
    /// Somebody registers in an atomic section.
    RegistersInAtomic,
    /// Somebody registers a notifier that is registered already.
    RegistersTwice,
    /// A callback removes its own notifier.
    RemovesItself,
}

impl Behaviour {
    /// In words that fit behind "a notifier".
    pub const fn words(self) -> &'static str {
        match self {
            Behaviour::Agrees => "agrees",
            Behaviour::Refuses => "fails with -EAGAIN",
            Behaviour::FailsOtherwise => "fails with another error",
            Behaviour::Sleeps => "sleeps",
            Behaviour::Allocates => "allocates with GFP_KERNEL",
            Behaviour::TakesLock => "takes a lock that was held over such an allocation",
            Behaviour::CallsInAtomic => "is called by an atomic section",
            Behaviour::RegistersUnderLock => "is registered under mmap_lock",
            Behaviour::RegistersWithoutLock => {
                "is registered without the lock that the caller must hold"
            }
            Behaviour::RegistersAfterExit => "is registered with an mm without users",
            Behaviour::RegistersInAtomic => "is registered in an atomic section",
            Behaviour::RegistersTwice => "is registered a second time",
            Behaviour::RemovesItself => "removes itself from its callback",
        }
    }
}

/// What the kernel has to say of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelMessage {
    /// `SYMBOL callback failed with ERRNO in [non-]blockable context.`
    Info,
    /// `SYMBOL callback failure not allowed`
    PrWarn,
    /// `WARN_ON(blockable || _ret != -EAGAIN)` of mn_hlist_invalidate_range_start().
    CheckWarn,
    /// `WARN_ON(ops->invalidate_range_end)` of the same.
    EndWarn,
    /// `WARN_ON(blockable)` of mn_itree_invalidate().
    IntervalWarn,
    /// `BUG: scheduling in a non-blocking section`
    NonBlockSchedule,
    /// `BUG: sleeping function called from invalid context at include/linux/mmu_notifier.h`
    CallerSleep,
    /// The same in another place, and with lockdep its `Invalid wait context`; however many.
    AtomicSleep,
    /// `WARNING: possible circular` or `recursive locking`: lockdep's one report, about somebody
    /// who holds `mmu_notifier_invalidate_range_start`.
    LockdepInvalidation,
    /// The same about somebody in a read-side section of SRCU.
    LockdepSrcu,
    /// The same about somebody who holds `mmap_lock`.
    LockdepMmapLock,
    /// The same about somebody who holds another lock, or whose lock it does not name.
    LockdepOther,
    /// Lock assertions about `mmap_lock`: WARNs, and with lockdep its own reports; however many.
    LockWarn,
    /// `WARN_ON(mm_users <= 0)` of __mmu_interval_notifier_insert().
    DeadWarn,
    /// `BUG_ON(mm_users <= 0)` of __mmu_notifier_register().
    DeadBug,
}

impl KernelMessage {
    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            KernelMessage::Info => "info",
            KernelMessage::PrWarn => "pr_warn",
            KernelMessage::CheckWarn => "WARN_ON (the check)",
            KernelMessage::EndWarn => "WARN_ON (it has an end)",
            KernelMessage::IntervalWarn => "WARN_ON (interval)",
            KernelMessage::NonBlockSchedule => "BUG: scheduling in a non-blocking section",
            KernelMessage::CallerSleep => {
                "BUG: sleeping function called from invalid context (mmu_notifier.h)"
            }
            KernelMessage::AtomicSleep => "BUG: sleeping function called from invalid context",
            KernelMessage::LockdepInvalidation => "lockdep report (in an invalidation)",
            KernelMessage::LockdepSrcu => "lockdep report (in an SRCU read side)",
            KernelMessage::LockdepMmapLock => "lockdep report (under mmap_lock)",
            KernelMessage::LockdepOther => "lockdep report (under another lock)",
            KernelMessage::LockWarn => "lock assertions (mmap_lock not held)",
            KernelMessage::DeadWarn => "WARN_ON (no users)",
            KernelMessage::DeadBug => "kernel BUG (no users)",
        }
    }

    /// Whether it is lockdep's one report.
    pub const fn is_of_lockdep(self) -> bool {
        matches!(
            self,
            KernelMessage::LockdepInvalidation
                | KernelMessage::LockdepSrcu
                | KernelMessage::LockdepMmapLock
                | KernelMessage::LockdepOther
        )
    }

    /// Whether it is one of those that the kernel makes of itself or of any driver, and not of
    /// failing callbacks: a scenario has to say that it is about them.
    pub const fn is_symptom(self) -> bool {
        !matches!(
            self,
            KernelMessage::Info
                | KernelMessage::PrWarn
                | KernelMessage::CheckWarn
                | KernelMessage::EndWarn
                | KernelMessage::IntervalWarn
        )
    }
}

/// What the kernel must be able to check for a complaint to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// `CONFIG_DEBUG_ATOMIC_SLEEP`
    AtomicSleep,
    /// `CONFIG_PROVE_LOCKING`
    Lockdep,
}

impl Needs {
    /// The option that it takes.
    pub const fn option(self) -> &'static str {
        match self {
            Needs::AtomicSleep => "DEBUG_ATOMIC_SLEEP",
            Needs::Lockdep => "PROVE_LOCKING",
        }
    }

    /// Why a scenario is skipped on a kernel without; constant text.
    pub const fn reason(self) -> &'static str {
        match self {
            Needs::AtomicSleep => "needs CONFIG_DEBUG_ATOMIC_SLEEP",
            Needs::Lockdep => "needs CONFIG_PROVE_LOCKING, with lockdep on",
        }
    }
}

/// What the kernel says of an act.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RuleRow {
    /// The rule it belongs to.
    pub rule: u8,
    /// The act.
    pub behaviour: Behaviour,
    /// The kinds of notifiers.
    pub kinds: &'static [NotifierKind],
    /// The contexts.
    pub contexts: &'static [Context],
    /// Whether it breaks the rule.
    pub breaks: bool,
    /// What a kernel of the seed form says, in this order.
    pub seed: &'static [KernelMessage],
    /// What one of the mainline form says.
    pub mainline: &'static [KernelMessage],
    /// What it takes to see that.
    pub needs: Option<Needs>,
}

use KernelMessage::{
    AtomicSleep, CallerSleep, CheckWarn, DeadBug, DeadWarn, EndWarn, Info, IntervalWarn, LockWarn,
    LockdepInvalidation, LockdepMmapLock, LockdepSrcu, NonBlockSchedule, PrWarn,
};

const PLAIN: &[NotifierKind] = &[NotifierKind::Plain];
const PAIRED: &[NotifierKind] = &[NotifierKind::PlainEnd];
const HLIST: &[NotifierKind] = &[NotifierKind::Plain, NotifierKind::PlainEnd];
const ITREE: &[NotifierKind] = &[NotifierKind::Interval, NotifierKind::IntervalTwoPass];
const EACH: &[NotifierKind] = &NotifierKind::ALL;
const BLOCKABLE: &[Context] = &[Context::Blockable];
const NON_BLOCKABLE: &[Context] = &[Context::NonBlockable];
const BOTH: &[Context] = &[Context::Blockable, Context::NonBlockable];

const fn silent(
    rule: u8,
    behaviour: Behaviour,
    kinds: &'static [NotifierKind],
    contexts: &'static [Context],
) -> RuleRow {
    RuleRow {
        rule,
        behaviour,
        kinds,
        contexts,
        breaks: false,
        seed: &[],
        mainline: &[],
        needs: None,
    }
}

const fn broken(
    rule: u8,
    behaviour: Behaviour,
    kinds: &'static [NotifierKind],
    contexts: &'static [Context],
    seed: &'static [KernelMessage],
    mainline: &'static [KernelMessage],
) -> RuleRow {
    RuleRow {
        breaks: true,
        seed,
        mainline,
        ..silent(rule, behaviour, kinds, contexts)
    }
}

/// A broken rule of which both forms say the same, where the kernel can check it.
const fn checked(
    rule: u8,
    behaviour: Behaviour,
    kinds: &'static [NotifierKind],
    contexts: &'static [Context],
    said: &'static [KernelMessage],
    needs: Needs,
) -> RuleRow {
    RuleRow {
        needs: Some(needs),
        ..broken(rule, behaviour, kinds, contexts, said, said)
    }
}

/// What the kernel says of which act. For each behaviour, kind and context there is one clause at most.
#[rustfmt::skip]
pub const RULE_ROWS: &[RuleRow] = &[
    silent(1, Behaviour::Agrees, EACH, BOTH),
    broken(1, Behaviour::Refuses, PLAIN, BLOCKABLE, &[Info, PrWarn], &[Info, CheckWarn]),
    broken(1, Behaviour::FailsOtherwise, PLAIN, BLOCKABLE, &[Info, PrWarn], &[Info, CheckWarn]),
    broken(1, Behaviour::Refuses, ITREE, BLOCKABLE, &[IntervalWarn], &[IntervalWarn]),
    RuleRow { seed: &[Info], mainline: &[Info], ..silent(2, Behaviour::Refuses, PLAIN, NON_BLOCKABLE) },
    broken(2, Behaviour::FailsOtherwise, PLAIN, NON_BLOCKABLE, &[Info], &[Info, CheckWarn]),
    silent(2, Behaviour::Refuses, ITREE, NON_BLOCKABLE),
    broken(3, Behaviour::Refuses, PAIRED, BLOCKABLE, &[Info, PrWarn, EndWarn], &[Info, CheckWarn, EndWarn]),
    broken(3, Behaviour::FailsOtherwise, PAIRED, BLOCKABLE, &[Info, PrWarn, EndWarn], &[Info, CheckWarn, EndWarn]),
    broken(3, Behaviour::Refuses, PAIRED, NON_BLOCKABLE, &[Info, EndWarn], &[Info, EndWarn]),
    broken(3, Behaviour::FailsOtherwise, PAIRED, NON_BLOCKABLE, &[Info, EndWarn], &[Info, CheckWarn, EndWarn]),
    silent(6, Behaviour::Sleeps, EACH, BLOCKABLE),
    checked(6, Behaviour::Sleeps, EACH, NON_BLOCKABLE, &[NonBlockSchedule], Needs::AtomicSleep),
    checked(7, Behaviour::Allocates, EACH, BOTH, &[LockdepInvalidation], Needs::Lockdep),
    checked(7, Behaviour::TakesLock, EACH, BOTH, &[LockdepInvalidation], Needs::Lockdep),
    checked(8, Behaviour::CallsInAtomic, EACH, BLOCKABLE, &[CallerSleep], Needs::AtomicSleep),
    checked(11, Behaviour::RegistersUnderLock, EACH, BOTH, &[LockdepMmapLock], Needs::Lockdep),
    broken(11, Behaviour::RegistersWithoutLock, EACH, BOTH, &[LockWarn], &[LockWarn]),
    broken(11, Behaviour::RegistersAfterExit, HLIST, BOTH, &[DeadBug], &[DeadBug]),
    broken(11, Behaviour::RegistersAfterExit, ITREE, BOTH, &[DeadWarn], &[DeadWarn]),
    checked(11, Behaviour::RegistersInAtomic, EACH, BOTH, &[AtomicSleep], Needs::AtomicSleep),
    // No kernel looks.
    broken(11, Behaviour::RegistersTwice, HLIST, BOTH, &[], &[]),
    checked(11, Behaviour::RemovesItself, HLIST, BOTH, &[LockdepSrcu], Needs::Lockdep),
    checked(11, Behaviour::RemovesItself, ITREE, BOTH, &[LockdepInvalidation], Needs::Lockdep),
];

impl RuleRow {
    /// What a kernel of that form says.
    pub const fn said(&self, promise: Form) -> &'static [KernelMessage] {
        match promise {
            Form::Seed => self.seed,
            Form::Mainline => self.mainline,
        }
    }
}

/// The clause on an act; none where the kernel has no word on it.
pub fn clause(
    behaviour: Behaviour,
    kind: NotifierKind,
    context: Context,
) -> Option<&'static RuleRow> {
    RULE_ROWS.iter().find(|clause| {
        clause.behaviour == behaviour
            && clause.kinds.contains(&kind)
            && clause.contexts.contains(&context)
    })
}

/// What a start does that returns that.
pub const fn act_of_errno(returned: i32) -> Behaviour {
    match returned {
        0 => Behaviour::Agrees,
        errno if errno == -EAGAIN => Behaviour::Refuses,
        _ => Behaviour::FailsOtherwise,
    }
}

/// What a misdeed is in the contract.
pub const fn act_of_misdeed(misdeed: Injection) -> Behaviour {
    match misdeed {
        Injection::Sleep => Behaviour::Sleeps,
        Injection::Delay => Behaviour::Agrees,
        Injection::Allocate => Behaviour::Allocates,
        Injection::Lock => Behaviour::TakesLock,
        Injection::Remove => Behaviour::RemovesItself,
    }
}

/// What a kernel of that form says of one call, in its order: of what the callback did, and then
/// of what it returned.
pub fn said_of_call(
    promise: Form,
    notifier: Notifier,
    call: &Call,
) -> impl Iterator<Item = KernelMessage> {
    let misdeed = match notifier.arming {
        Arming::AtStart(misdeed) if call.injected => Some(act_of_misdeed(misdeed)),
        _ => None,
    };
    let context = call.context;
    misdeed
        .into_iter()
        .chain([act_of_errno(call.returned)])
        .filter_map(move |behaviour| clause(behaviour, notifier.kind, context))
        .flat_map(move |clause| clause.said(promise).iter().copied())
}

/// What is said of an end, or of a second pass: of what it did.
pub fn said_of_end(promise: Form, notifier: Notifier, later: &Later) -> &'static [KernelMessage] {
    match notifier.arming {
        Arming::AtEnd(misdeed) if later.injected => {
            clause(act_of_misdeed(misdeed), notifier.kind, later.context)
                .map_or(&[], |clause| clause.said(promise))
        }
        _ => &[],
    }
}

/// Whether the two forms say different things of a call.
pub fn depends_on_form(notifier: Notifier, call: &Call) -> bool {
    let [seed, mainline] =
        Form::ALL.map(|promise| said_of_call(promise, notifier, call).collect::<Vec<_>>());
    seed != mainline
}

/// What is said of an invalidation before its first callback.
pub fn said_of_caller(promise: Form, expectation: &Expectation) -> &'static [KernelMessage] {
    if !expectation.is_atomic {
        return &[];
    }
    clause(
        Behaviour::CallsInAtomic,
        NotifierKind::Plain,
        expectation.context,
    )
    .map_or(&[], |clause| clause.said(promise))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FollowUp;

    #[test]
    fn rules_are_numbered_from_one() {
        for (number, rule) in (1..).zip(RULES) {
            assert_eq!(rule.number, number);
        }
    }

    #[test]
    fn no_two_clauses_speak_of_the_same() {
        for (index, a) in RULE_ROWS.iter().enumerate() {
            for b in &RULE_ROWS[index + 1..] {
                let same = a.behaviour == b.behaviour
                    && a.kinds.iter().any(|kind| b.kinds.contains(kind))
                    && a.contexts
                        .iter()
                        .any(|context| b.contexts.contains(context));
                assert!(!same, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn whatever_a_start_returns_has_its_clause() {
        for kind in NotifierKind::ALL {
            for context in [Context::Blockable, Context::NonBlockable] {
                for errno in [0, -EAGAIN, -nix::libc::EBUSY] {
                    // An interval notifier has no other way to fail.
                    if kind.is_interval() && errno == -nix::libc::EBUSY {
                        continue;
                    }
                    let clause = clause(act_of_errno(errno), kind, context);
                    assert!(clause.is_some(), "{kind} {context} {errno}");
                }
            }
        }
    }

    #[test]
    fn an_end_that_did_nothing_is_not_complained_about() {
        let notifier = Notifier {
            kind: NotifierKind::PlainEnd,
            arming: Arming::AtEnd(Injection::Sleep),
            is_elsewhere: false,
        };
        let end = |injected| Later {
            notifier: 0,
            seq: 0,
            time_ns: 0,
            op: FollowUp::End,
            start: 0,
            end: 4096,
            context: Context::NonBlockable,
            tid: 1,
            injected,
        };
        for promise in Form::ALL {
            let said = |injected| said_of_end(promise, notifier, &end(injected));
            assert_eq!(said(true), [NonBlockSchedule]);
            assert_eq!(said(false), []);
        }
    }

    #[test]
    fn only_what_is_broken_is_complained_about() {
        for clause in RULE_ROWS.iter().filter(|clause| !clause.breaks) {
            for promise in Form::ALL {
                // The info line comes for every failure, legal ones included.
                assert!(
                    clause.said(promise).iter().all(|said| *said == Info),
                    "{clause:?}"
                );
            }
        }
    }
}
