// SPDX-License-Identifier: GPL-2.0

//! The oracle: a correct kernel passes, and every kind of wrong message is found.

mod blame;
mod bulk;
mod damage;
mod demands;
mod form;
mod order;
mod properties;
mod records;
mod sites;
mod witnesses;

use mn_inject::kmsg::Record;
use mn_inject::model::{
    Arming, Call, Context, Count, FindingKind, Form, Injection, KernelMessage, NotifierEvent,
    NotifierKind, Observation, ReaperMessage, Recognised, ScenarioResult, Verdict, Window,
};
use mn_inject::oracle::{Judgement, NOTHING_FAILED, is_callback_warn, is_judged, judge};

use crate::history::*;

const DID_NOT_FIRE: FindingKind = FindingKind::DidNotFire;
const FIRED: FindingKind = FindingKind::FiredWhenItShouldNot;

const NOTIFIER_WARN: &str =
    "WARNING: mm/mmu_notifier.c:534 at mn_hlist_invalidate_range_start+0xcd/0x1a0, CPU#1: a/1";
const LOCK_WARN: &str = "WARNING: include/linux/rwsem.h:85 at find_vma+0x1/0x2, CPU#1: a/1";
const LOCKDEP: &str = "WARNING: possible circular locking dependency detected";

/// The reasons why there is no verdict.
fn no_verdict(result: &ScenarioResult) -> String {
    match &result.verdict {
        Verdict::NoVerdict { reasons } => reasons.join("\n"),
        other => panic!("{} is {other:?}", result.name),
    }
}

/// Whether a call failed in blockable context, which shows the form.
fn is_recognisable(windows: &[Window]) -> bool {
    windows
        .iter()
        .flat_map(|window| &window.observations)
        .flat_map(|o| &o.calls)
        .any(|call| call.returned != 0 && call.context == Context::Blockable)
}

/// A failing unmap and its two controls, and failing and successful calls of the reapers.
fn suite() -> Vec<Vec<Plan>> {
    vec![
        one(Trigger::Unmap(Arming::Fail(EAGAIN)), 2),
        one(Trigger::Unmap(Arming::Filtered(EAGAIN)), 2),
        one(Trigger::Unmap(Arming::Unarmed), 2),
        one(Trigger::Mrelease(Arming::Fail(EAGAIN)), 3),
        [
            one(Trigger::Oom(Arming::Fail(EAGAIN)), 20),
            one(Trigger::Oom(Arming::Unarmed), 2),
        ]
        .concat(),
        one(Trigger::Mrelease(Arming::Fail(-16)), 1),
    ]
}

/// A window with two scenarios of one call each.
fn both(style: Style, first: Trigger, second: Trigger) -> Window {
    let plans = [[one(first, 1), one(second, 1)].concat()];
    history(style, &plans, &[]).windows.remove(0)
}
