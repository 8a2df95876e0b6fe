// SPDX-License-Identifier: GPL-2.0

//! The messages that are due about one callback, computed from the table.

use crate::contract::behaviour::Behaviour;
use crate::contract::rows::RuleRow;
use crate::model::{Arming, Call, Expectation, Form, KernelMessage, Later, Notifier, NotifierKind};

/// The messages about one start, in their order: first those about the injection, then those about
/// the value that the callback returned.
pub fn messages_of_call(
    form: Form,
    notifier: Notifier,
    call: &Call,
) -> impl Iterator<Item = KernelMessage> {
    let injected = match notifier.arming {
        Arming::AtStart(injection) if call.injected => Some(Behaviour::of_injection(injection)),
        _ => None,
    };
    let context = call.context;
    injected
        .into_iter()
        .chain([Behaviour::of_return(call.returned)])
        .filter_map(move |behaviour| RuleRow::find(behaviour, notifier.kind, context))
        .flat_map(move |row| row.messages(form).iter().copied())
}

/// The messages about an end or a second pass: those about its injection.
pub fn messages_of_end(form: Form, notifier: Notifier, end: &Later) -> &'static [KernelMessage] {
    match notifier.arming {
        Arming::AtEnd(injection) if end.injected => {
            let behaviour = Behaviour::of_injection(injection);
            RuleRow::find(behaviour, notifier.kind, end.context)
                .map_or(&[], |row| row.messages(form))
        }
        _ => &[],
    }
}

/// The messages about the caller of an invalidation, which come before its first callback.
pub fn messages_of_caller(form: Form, expectation: &Expectation) -> &'static [KernelMessage] {
    if !expectation.is_atomic {
        return &[];
    }
    let context = expectation.context;
    RuleRow::find(Behaviour::CallsInAtomic, NotifierKind::Plain, context)
        .map_or(&[], |row| row.messages(form))
}

/// Whether the two forms have different messages about a start.
pub fn depends_on_form(notifier: Notifier, call: &Call) -> bool {
    let [seed, mainline] =
        Form::ALL.map(|form| messages_of_call(form, notifier, call).collect::<Vec<_>>());
    seed != mainline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, FollowUp, Injection};

    #[test]
    fn an_end_without_an_injection_has_no_message() {
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
        for form in Form::ALL {
            let messages = |injected| messages_of_end(form, notifier, &end(injected));
            assert_eq!(messages(true), [KernelMessage::NonBlockSchedule]);
            assert_eq!(messages(false), []);
        }
    }
}
