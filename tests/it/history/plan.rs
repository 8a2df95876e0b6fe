// SPDX-License-Identifier: GPL-2.0

//! Scenarios, and their observations before anything was observed.

use mn_inject::model::{
    Arming, AttachedNotifier, Call, Context, Count, Counters, End, Expectation, FollowUp,
    Initiator, Later, Notifier, NotifierEvent, NotifierKind, Observation, ReaperMessage, Remains,
};

/// `-EAGAIN`.
pub const EAGAIN: i32 = -11;
/// The OOM reaper's thread.
pub const REAPER_TID: i32 = 40;
/// The runner's thread.
pub const RUNNER_TID: i32 = 70;

/// The operation of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The subject unmaps memory: blockable.
    Unmap(Arming),
    /// The runner calls `process_mrelease`: non-blockable.
    Mrelease(Arming),
    /// The OOM reaper reaps the victim: non-blockable.
    Oom(Arming),
}

/// A scenario with one plain notifier.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub trigger: Trigger,
    /// Calls on the watched addresses.
    pub calls: u64,
    /// Calls on other addresses of the process, which succeed.
    pub elsewhere: u64,
}

/// A scenario with one call on other addresses.
pub fn one(trigger: Trigger, calls: u64) -> Vec<Plan> {
    vec![Plan {
        trigger,
        calls,
        elsewhere: 1,
    }]
}

/// An observation without calls.
pub fn observation(plan: &Plan, pid: i32) -> Observation {
    let (arming, context) = match plan.trigger {
        Trigger::Unmap(arming) => (arming, Context::Blockable),
        Trigger::Mrelease(arming) | Trigger::Oom(arming) => (arming, Context::NonBlockable),
    };
    let refuses = matches!(arming, Arming::Fail(_)) && plan.calls > 0;
    Observation {
        scenario: format!("scenario-{pid}"),
        notifiers: vec![attached(NotifierKind::Plain, arming)],
        expectation: Expectation {
            event: NotifierEvent::Unmap,
            last_event: None,
            context,
            calls: Count::Exactly(plan.calls),
            extent: None,
            outcome: 0,
            reaper: match plan.trigger {
                Trigger::Oom(_) if refuses => Some(ReaperMessage::UnableToReap),
                Trigger::Oom(_) => Some(ReaperMessage::Reaped),
                _ => None,
            },
            pages: None,
            is_atomic: false,
            said: Vec::new(),
            judges_symptoms: false,
            end: End::There,
        },
        pid,
        comm: "victim (1)".into(),
        initiator: match plan.trigger {
            Trigger::Unmap(_) => Initiator::Thread(pid),
            Trigger::Mrelease(_) => Initiator::Thread(RUNNER_TID),
            Trigger::Oom(_) => Initiator::OomReaper,
        },
        watched: (0x1000, 0x4000),
        calls: Vec::new(),
        later: Vec::new(),
        pages: None,
        steps: Vec::new(),
        remains: Remains {
            stuck: Vec::new(),
            reads: Some(true),
            mm: Some((0, 1)),
            flushes: Some(0),
        },
        actors: Vec::new(),
        outcome: 0,
        trouble: None,
        millis: 5,
    }
}

/// A notifier that was not called.
pub fn attached(kind: NotifierKind, arming: Arming) -> AttachedNotifier {
    AttachedNotifier {
        notifier: Notifier {
            kind,
            arming,
            is_elsewhere: false,
        },
        counters: Counters::default(),
    }
}

/// An end on other addresses that is in no counter.
pub fn end_elsewhere() -> Later {
    Later {
        notifier: 0,
        seq: 0,
        time_ns: 0,
        op: FollowUp::End,
        start: 0x9000,
        end: 0xa000,
        context: Context::Blockable,
        tid: 1,
        injected: false,
    }
}

/// A call on the watched addresses.
pub fn call(trigger: Trigger, pid: i32, arming: Arming) -> Call {
    let (context, tid, comm) = match trigger {
        Trigger::Unmap(_) => (Context::Blockable, pid, "victim (1)"),
        Trigger::Mrelease(_) => (Context::NonBlockable, RUNNER_TID, "mn-inject"),
        Trigger::Oom(_) => (Context::NonBlockable, REAPER_TID, "oom_reaper"),
    };
    Call {
        notifier: 0,
        seq: 0,
        time_ns: 0,
        event: NotifierEvent::Unmap,
        start: 0x2000,
        end: 0x3000,
        context,
        tid,
        comm: comm.into(),
        injected: matches!(arming, Arming::Fail(_)),
        returned: match arming {
            Arming::Fail(errno) => errno,
            Arming::Filtered(_)
            | Arming::Unarmed
            | Arming::AtStart(_)
            | Arming::AtEnd(_)
            | Arming::AtRelease(_) => 0,
        },
        cur_seq: 0,
        owner: Some(false),
        callers: Vec::new(),
    }
}
