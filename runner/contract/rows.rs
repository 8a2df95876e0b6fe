// SPDX-License-Identifier: GPL-2.0

//! The table of messages: one row for each behaviour, kind of notifier and context.

use serde::Serialize;

use crate::contract::behaviour::Behaviour;
use crate::contract::needs::Needs;
use crate::model::KernelMessage::{
    AtomicSleep, CallerSleep, CheckWarn, DeadBug, DeadWarn, EndWarn, Info, IntervalWarn, LockWarn,
    LockdepInvalidation, LockdepMmapLock, LockdepSrcu, NonBlockSchedule, PrWarn,
};
use crate::model::{Context, Form, KernelMessage, NotifierKind};

/// The kernel's messages about a behaviour.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RuleRow {
    /// Number of the rule that the row belongs to.
    pub rule: u8,
    /// The behaviour.
    pub behaviour: Behaviour,
    /// The kinds of notifiers that the row holds for.
    pub kinds: &'static [NotifierKind],
    /// Notifiers of these kinds that the row does not hold for, in words.
    pub except: Option<&'static str>,
    /// The contexts that the row holds for.
    pub contexts: &'static [Context],
    /// Whether the behaviour breaks the rule.
    pub breaks: bool,
    /// The messages of a kernel of the seed form, in their order.
    pub seed: &'static [KernelMessage],
    /// The messages of a kernel of the mainline form, in their order.
    pub mainline: &'static [KernelMessage],
    /// The kernel option that the messages depend on.
    pub needs: Option<Needs>,
}

impl RuleRow {
    /// The row for a behaviour; [`None`] where the contract has no rule about it.
    pub fn find(
        behaviour: Behaviour,
        kind: NotifierKind,
        context: Context,
    ) -> Option<&'static RuleRow> {
        RULE_ROWS.iter().find(|row| {
            row.behaviour == behaviour
                && row.kinds.contains(&kind)
                && row.contexts.contains(&context)
        })
    }

    /// The messages of a kernel of that form, in their order.
    pub const fn messages(&self, form: Form) -> &'static [KernelMessage] {
        match form {
            Form::Seed => self.seed,
            Form::Mainline => self.mainline,
        }
    }
}

const PLAIN: &[NotifierKind] = &[NotifierKind::Plain, NotifierKind::PlainYoung];
const PAIRED: &[NotifierKind] = &[NotifierKind::PlainEnd, NotifierKind::Mirror];
const HLIST: &[NotifierKind] = &[
    NotifierKind::Plain,
    NotifierKind::PlainEnd,
    NotifierKind::PlainYoung,
    NotifierKind::Mirror,
];
const ITREE: &[NotifierKind] = &[NotifierKind::Interval, NotifierKind::IntervalTwoPass];
const EACH: &[NotifierKind] = &NotifierKind::WITH_START;
const BLOCKABLE: &[Context] = &[Context::Blockable];
const NON_BLOCKABLE: &[Context] = &[Context::NonBlockable];
const BOTH: &[Context] = &[Context::Blockable, Context::NonBlockable];

/// A behaviour that keeps the rule, and that the kernel prints nothing about.
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
        except: None,
        contexts,
        breaks: false,
        seed: &[],
        mainline: &[],
        needs: None,
    }
}

/// A behaviour that breaks the rule.
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

/// A behaviour that breaks the rule, with the same messages in both forms if the kernel has the
/// option.
const fn checked(
    rule: u8,
    behaviour: Behaviour,
    kinds: &'static [NotifierKind],
    contexts: &'static [Context],
    messages: &'static [KernelMessage],
    needs: Needs,
) -> RuleRow {
    RuleRow {
        needs: Some(needs),
        ..broken(rule, behaviour, kinds, contexts, messages, messages)
    }
}

/// The rows, by rule. There is at most one for each behaviour, kind and context.
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
    RuleRow {
        except: Some("the first one of its mm, which is as a plain one"),
        ..broken(11, Behaviour::RegistersAfterExit, ITREE, BOTH, &[DeadWarn], &[DeadWarn])
    },
    checked(11, Behaviour::RegistersInAtomic, EACH, BOTH, &[AtomicSleep], Needs::AtomicSleep),
    // No kernel checks this.
    broken(11, Behaviour::RegistersTwice, HLIST, BOTH, &[], &[]),
    checked(11, Behaviour::RemovesItself, HLIST, BOTH, &[LockdepSrcu], Needs::Lockdep),
    checked(11, Behaviour::RemovesItself, ITREE, BOTH, &[LockdepInvalidation], Needs::Lockdep),
];

#[cfg(test)]
mod tests {
    use nix::libc::{EAGAIN, EBUSY};

    use super::*;

    #[test]
    fn no_two_rows_overlap() {
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
    fn every_return_value_of_a_start_has_a_row() {
        for kind in NotifierKind::WITH_START {
            for context in [Context::Blockable, Context::NonBlockable] {
                for returned in [0, -EAGAIN, -EBUSY] {
                    // An interval notifier has no other way to fail.
                    if kind.is_interval() && returned == -EBUSY {
                        continue;
                    }
                    let row = RuleRow::find(Behaviour::of_return(returned), kind, context);
                    assert!(row.is_some(), "{kind} {context} {returned}");
                }
            }
        }
    }

    #[test]
    fn only_broken_rules_have_complaints() {
        for row in RULE_ROWS.iter().filter(|row| !row.breaks) {
            for form in Form::ALL {
                // The info line is printed for every failure, legal ones included.
                let messages = row.messages(form);
                assert!(messages.iter().all(|message| *message == Info), "{row:?}");
            }
        }
    }
}
