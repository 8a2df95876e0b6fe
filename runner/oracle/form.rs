// SPDX-License-Identifier: GPL-2.0

//! Recognises in which form the kernel under test states the rule.

use std::collections::HashMap;

use nix::libc::EAGAIN;

use crate::model::{Arming, Call, Context, Expect, Finding, FindingKind, Form, Verdict, Window};

use super::expect::{Promise, calls};
use super::message::{Caller, What};
use super::seen::{Scan, Seen};

/// What the complaints of the whole run tell.
#[derive(Debug, Default)]
pub(super) struct Recognition<'a> {
    /// Calls that failed in blockable context.
    blockable_failures: u64,
    /// Complaints of each form about calls in blockable context.
    pr_warns: u64,
    warns: u64,
    /// WARNs about calls in the other context, and pr_warns about them.
    other_warns: u64,
    other_pr_warns: u64,
    /// From where the WARN behind the info line of a blockable failure came, and how often.
    sites: Vec<(&'a str, u64)>,
    /// The same for the other failures that mainline complains about.
    other_sites: Vec<(&'a str, u64)>,
    /// The same for all WARNs.
    all_sites: Vec<(&'a str, u64)>,
    /// Whether there are windows that could not be used.
    is_partial: bool,
}

/// The last info line of a task.
struct LastInfo {
    context: Context,
    errno: i32,
    /// A second WARN is not the check's.
    had_warn: bool,
}

fn count<'a>(sites: &mut Vec<(&'a str, u64)>, site: &'a str) {
    match sites.iter_mut().find(|(known, _)| *known == site) {
        Some((_, count)) => *count += 1,
        None => sites.push((site, 1)),
    }
}

/// How scenarios are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) promise: Promise,
    /// The kernel has no check: a word for the findings.
    pub(super) no_check: bool,
    /// The promise is a guess: only what both forms have in common can be judged.
    pub(super) is_guess: bool,
}

impl<'a> Recognition<'a> {
    /// Takes a window into account.
    pub(super) fn add(&mut self, window: &'a Window, scan: &Scan<'a>) {
        let contexts = contexts(window, scan);
        self.blockable_failures += failing(window)
            .filter(|call| call.context == Context::Blockable)
            .count() as u64;

        let mut last: HashMap<Option<Caller>, LastInfo> = HashMap::new();
        for (seen, context) in scan.ours.iter().zip(contexts) {
            let task = seen.message.task;
            let info = last.get_mut(&task);
            let is_other = info
                .as_ref()
                .is_some_and(|info| info.context == Context::NonBlockable);
            match seen.message.what {
                What::Info { errno, .. } => {
                    let info = LastInfo {
                        context: context.unwrap_or(Context::Blockable),
                        errno,
                        had_warn: false,
                    };
                    last.insert(task, info);
                }
                What::PrWarn { .. } if is_other => self.other_pr_warns += 1,
                What::PrWarn { .. } => self.pr_warns += 1,
                What::Warn { site, .. } => {
                    if is_other {
                        self.other_warns += 1;
                    } else {
                        self.warns += 1;
                    }
                    count(&mut self.all_sites, site);
                    let Some(info) = info else { continue };
                    if !std::mem::replace(&mut info.had_warn, true) {
                        if !is_other {
                            count(&mut self.sites, site);
                        } else if info.errno != -EAGAIN {
                            count(&mut self.other_sites, site);
                        }
                    }
                }
                What::Reaper { .. } | What::Malformed => {}
            }
        }
    }

    /// Notes that a window exists which cannot be used.
    pub(super) fn leave_out(&mut self) {
        self.is_partial = true;
    }

    /// The place of the check's WARN; empty where none was seen.
    pub(super) fn site(&self) -> &'a str {
        // Of several that are equally frequent, the first that was seen.
        let most = |sites: &[(&'a str, u64)]| {
            let most = sites.iter().rev().max_by_key(|(_, count)| *count);
            most.map(|(site, _)| *site)
        };
        most(&self.sites)
            .or_else(|| most(&self.other_sites))
            .or_else(|| most(&self.all_sites))
            .unwrap_or_default()
    }

    /// The form.
    pub(super) fn form(&self) -> Form {
        match (self.blockable_failures, self.pr_warns, self.warns) {
            (0, ..) => Form::Unknown,
            (_, 0, 0) => Form::InfoOnly,
            (_, _, 0) => Form::Seed,
            (_, 0, _) => Form::Mainline,
            _ => Form::Mixed,
        }
    }

    /// The promise the kernel is held to.
    pub(super) fn rule(&self, demanded: Expect) -> Rule {
        let form = self.form();
        let promise = match (demanded, form) {
            (Expect::Seed, _) => Promise::Seed,
            (Expect::Mainline, _) => Promise::Mainline,
            (Expect::Auto, Form::Seed) => Promise::Seed,
            (Expect::Auto, Form::Mainline) => Promise::Mainline,
            // Whichever comes closer.
            (Expect::Auto, Form::Mixed) if self.warns > self.pr_warns => Promise::Mainline,
            (Expect::Auto, Form::InfoOnly | Form::Unknown)
                if self.other_warns > self.other_pr_warns =>
            {
                Promise::Mainline
            }
            (Expect::Auto, Form::Mixed | Form::InfoOnly | Form::Unknown) => Promise::Seed,
        };
        Rule {
            promise,
            no_check: form == Form::InfoOnly,
            is_guess: form == Form::Unknown && demanded == Expect::Auto,
        }
    }

    /// The verdict on the form itself.
    pub(super) fn verdict(&self, windows: &[Window], demanded: Expect) -> Verdict {
        let form = self.form();
        let counts = format!(
            "{} calls failed in blockable context; about them came {} pr_warn and {} WARN",
            self.blockable_failures, self.pr_warns, self.warns
        );
        let wrong = match (form, demanded) {
            (Form::Unknown, _) => return self.unknown(windows),
            (Form::Seed, Expect::Auto | Expect::Seed)
            | (Form::Mainline, Expect::Auto | Expect::Mainline) => return Verdict::Pass,
            (Form::InfoOnly, _) => format!("the kernel has no check: {counts}"),
            (Form::Mixed, _) => format!("the kernel has a mixture of checks: {counts}"),
            (Form::Seed | Form::Mainline, _) => {
                format!("the kernel has another form of the check than was demanded: {counts}")
            }
        };
        Verdict::Fail {
            findings: vec![Finding {
                kind: FindingKind::Form,
                text: wrong,
                due: match demanded {
                    Expect::Auto => None,
                    Expect::Seed => Some(Form::Seed.to_string()),
                    Expect::Mainline => Some(Form::Mainline.to_string()),
                },
                seen: Some(form.to_string()),
                kmsg_seq: None,
                call_seq: None,
            }],
        }
    }

    fn unknown(&self, windows: &[Window]) -> Verdict {
        let wanted = windows
            .iter()
            .flat_map(|window| &window.observations)
            .filter(|o| {
                matches!(o.arming, Arming::Inject(_))
                    && o.expectation.context == Context::Blockable
                    && !o.expectation.calls.admits(0)
            })
            .count();
        if self.is_partial || wanted > 0 {
            Verdict::NoVerdict {
                reasons: vec![format!(
                    "no call is known for sure to have failed in blockable context, though \
                     {wanted} scenarios were to make one fail"
                )],
            }
        } else {
            Verdict::Skip {
                reason: NOTHING_FAILED.to_owned(),
            }
        }
    }
}

/// Why the form is not judged.
pub const NOTHING_FAILED: &str = "nothing failed in blockable context";

fn failing(window: &Window) -> impl Iterator<Item = &Call> {
    window
        .observations
        .iter()
        .flat_map(|o| &o.calls)
        .filter(|call| call.returned != 0)
}

/// The context of each info line of ours, nothing for the other messages.
///
/// The module knows it better than the line says it: the n-th info line of a task is about the
/// n-th of its calls that failed, provided that there are as many of both.
fn contexts(window: &Window, scan: &Scan<'_>) -> Vec<Option<Context>> {
    let task_of = |call: &Call| scan.told.callers.then_some(Caller::Task(call.tid));
    let is_info = |seen: &&Seen<'_>| matches!(seen.message.what, What::Info { .. });

    let mut known: HashMap<Option<Caller>, Vec<Context>> = HashMap::new();
    for (_, call) in calls(window) {
        if call.returned != 0 {
            known.entry(task_of(call)).or_default().push(call.context);
        }
    }
    let mut lines: HashMap<Option<Caller>, usize> = HashMap::new();
    for seen in scan.ours.iter().filter(is_info) {
        *lines.entry(seen.message.task).or_default() += 1;
    }
    known.retain(|task, contexts| lines.get(task) == Some(&contexts.len()));

    let mut next: HashMap<Option<Caller>, usize> = HashMap::new();
    scan.ours
        .iter()
        .map(|seen| match seen.message.what {
            What::Info { context, .. } => {
                let at = next.entry(seen.message.task).or_default();
                let of_call = known
                    .get(&seen.message.task)
                    .and_then(|contexts| contexts.get(*at));
                *at += 1;
                Some(*of_call.unwrap_or(&context))
            }
            _ => None,
        })
        .collect()
}
