// SPDX-License-Identifier: GPL-2.0

//! The contract with several notifiers of several kinds: a correct kernel passes, and one that
//! leaves out, doubles or moves a message or a callback fails.

mod callbacks;
mod effects;
mod extents;
mod properties;

use mn_inject::model::{
    Arming, Context, Count, End, Finding, FindingKind, FollowUp, Form, Later, NotifierEvent,
    NotifierKind, Observation, Pages, PagesFate, Recognised, Seen, Step, StepKind, Verdict, Window,
};
use mn_inject::oracle::judge;

use crate::history::*;

/// The notifiers of a scenario, and the context of their calls.
#[derive(Clone, Debug)]
struct Setting {
    context: Context,
    notifiers: Vec<(NotifierKind, Arming)>,
    invalidations: u64,
}

/// Windows that show the form and the places of the WARNs, and then the setting's window.
fn run_of(kernel: Kernel, setting: &Setting) -> Vec<Window> {
    let mut writer = Writer::new(Style::of(kernel), &[]);
    let fails = |kind| (kind, Arming::Fail(EAGAIN));
    let mut windows = Vec::new();
    for (pid, notifiers) in [
        (100, vec![fails(NotifierKind::Plain)]),
        (101, vec![fails(NotifierKind::PlainEnd)]),
        (102, vec![fails(NotifierKind::Interval)]),
    ] {
        let learned = Setting {
            context: Context::Blockable,
            notifiers,
            invalidations: 1,
        };
        windows.push(window(&mut writer, &learned, pid));
    }
    windows.push(window(&mut writer, setting, 103));
    windows
}

fn window(writer: &mut Writer<'_>, setting: &Setting, pid: i32) -> Window {
    let (warns, calls) = (writer.warn_count(), writer.call_seq());
    let trigger = match setting.context {
        Context::Blockable => Trigger::Unmap(Arming::Unarmed),
        Context::NonBlockable => Trigger::Mrelease(Arming::Unarmed),
    };
    let plan = Plan {
        trigger,
        calls: setting.invalidations,
        elsewhere: 0,
    };
    let mut o = observation(&plan, pid);
    o.notifiers = setting
        .notifiers
        .iter()
        .map(|&(kind, arming)| attached(kind, arming))
        .collect();
    o.expectation.calls = Count::Exactly(setting.invalidations);
    for number in 0..setting.invalidations {
        writer.invalidation(&mut o, 0, 2 * number + 3);
    }
    let (window, _) = writer.end(vec![o], warns, calls);
    window
}

fn verdict_of(windows: &[Window], demanded: Option<Form>) -> Verdict {
    judge(windows, demanded).results.pop().unwrap().verdict
}

/// The kinds of the findings; none without a failure.
fn found(verdict: &Verdict) -> Vec<FindingKind> {
    match verdict {
        Verdict::Fail { findings } => findings.iter().map(|finding| finding.kind).collect(),
        _ => Vec::new(),
    }
}

/// The verdict on an interval notifier that succeeds, with a change to the observation.
fn with(change: impl FnOnce(&mut Observation)) -> Verdict {
    with_setting(&[(NotifierKind::Interval, Arming::Unarmed)], 1, change)
}

/// The verdict on these notifiers and so many invalidations, with a change to the observation.
fn with_setting(
    notifiers: &[(NotifierKind, Arming)],
    invalidations: u64,
    change: impl FnOnce(&mut Observation),
) -> Verdict {
    let setting = Setting {
        context: Context::NonBlockable,
        notifiers: notifiers.to_vec(),
        invalidations,
    };
    let mut windows = run_of(Kernel::Mainline, &setting);
    let o = &mut windows.last_mut().unwrap().observations[0];
    o.expectation.pages = Some(PagesFate::Gone);
    o.pages = Some(Pages {
        gone: 3,
        ..Pages::default()
    });
    change(o);
    verdict_of(&windows, None)
}
