// SPDX-License-Identifier: GPL-2.0

//! Recognises in which form the kernel under test states the rule.

use std::collections::HashMap;

use nix::libc::EAGAIN;

use crate::contract::Form;
use crate::model::{
    Arming, AttachedNotifier, Call, Context, Expect, Finding, FindingKind, NotifierKind,
    Recognised, Verdict, Window,
};

use crate::oracle::expect::{Sites, calls};
use crate::oracle::message::{Caller, What};
use crate::oracle::seen::{Scan, Seen};

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
    /// The same behind the info lines of notifiers that have ends: the check's, and their own.
    paired_sites: Vec<(&'a str, u64)>,
    /// The same where interval notifiers failed and nobody else did.
    interval_sites: Vec<(&'a str, u64)>,
    /// Whether there are windows that could not be used.
    is_partial: bool,
}

/// An info line, with what the same task said until the next.
struct Said<'a> {
    context: Context,
    errno: i32,
    is_paired: bool,
    pr_warns: u64,
    sites: Vec<&'a str>,
}

fn count<'a>(sites: &mut Vec<(&'a str, u64)>, site: &'a str) {
    match sites.iter_mut().find(|(known, _)| *known == site) {
        Some((_, count)) => *count += 1,
        None => sites.push((site, 1)),
    }
}

/// Of several that are equally frequent, the first that was seen.
fn most<'a>(sites: &[(&'a str, u64)]) -> Option<&'a str> {
    let most = sites.iter().rev().max_by_key(|(_, count)| *count);
    most.map(|(site, _)| *site)
}

/// How scenarios are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) promise: Form,
    /// The kernel has no check: a word for the findings.
    pub(super) no_check: bool,
    /// The promise is a guess: only what both forms have in common can be judged.
    pub(super) is_guess: bool,
}

impl<'a> Recognition<'a> {
    /// Takes a window into account.
    pub(super) fn add(&mut self, window: &'a Window, scan: &Scan<'a>) {
        let failed =
            |wanted: fn(NotifierKind) -> bool| failing(window).any(|(kind, _)| wanted(kind));
        if failed(NotifierKind::is_interval) {
            // Their WARN has no line that names them, so where others fail too it is anybody's.
            if !failed(|kind| !kind.is_interval()) {
                for seen in &scan.ours {
                    if let What::Warn { site, .. } = seen.message.what {
                        count(&mut self.interval_sites, site);
                    }
                }
            }
            return;
        }
        self.blockable_failures += failing(window)
            .filter(|(_, call)| call.context == Context::Blockable)
            .count() as u64;

        let contexts = contexts(window, scan);
        let mut last: HashMap<Option<Caller>, Said<'a>> = HashMap::new();
        for (seen, context) in scan.ours.iter().zip(contexts) {
            let task = seen.message.task;
            match (seen.message.what, last.get_mut(&task)) {
                (What::Info { errno, symbol, .. }, _) => {
                    let said = Said {
                        context: context.unwrap_or(Context::Blockable),
                        errno,
                        is_paired: symbol.is_paired,
                        pr_warns: 0,
                        sites: Vec::new(),
                    };
                    if let Some(before) = last.insert(task, said) {
                        self.learn(&before);
                    }
                }
                (What::PrWarn { .. }, Some(said)) => said.pr_warns += 1,
                (What::PrWarn { .. }, None) => self.pr_warns += 1,
                (What::Warn { site, .. }, said) => {
                    count(&mut self.all_sites, site);
                    match said {
                        Some(said) => said.sites.push(site),
                        None => self.warns += 1,
                    }
                }
                _ => {}
            }
        }
        for said in last.values() {
            self.learn(said);
        }
    }

    /// Takes into account what was said about one failure.
    fn learn(&mut self, said: &Said<'a>) {
        let mut warns = said.sites.len() as u64;
        if said.is_paired {
            for site in &said.sites {
                count(&mut self.paired_sites, site);
            }
            // One is due because it has an end, and says nothing about the check.
            warns = warns.saturating_sub(1);
        }
        if said.context == Context::NonBlockable {
            self.other_pr_warns += said.pr_warns;
            self.other_warns += warns;
        } else {
            self.pr_warns += said.pr_warns;
            self.warns += warns;
        }
        // A second WARN is not the check's.
        if warns > 0
            && let Some(site) = said.sites.first()
        {
            if said.context == Context::Blockable {
                count(&mut self.sites, site);
            } else if said.errno != -EAGAIN {
                count(&mut self.other_sites, site);
            }
        }
    }

    /// Notes that a window exists which cannot be used.
    pub(super) fn leave_out(&mut self) {
        self.is_partial = true;
    }

    /// The places of the WARNs; empty where none was seen.
    pub(super) fn sites(&self) -> Sites<'a> {
        let check = most(&self.sites)
            .or_else(|| most(&self.other_sites))
            .or_else(|| most(&self.all_sites))
            .unwrap_or_default();
        let of_ends: Vec<_> = self
            .paired_sites
            .iter()
            .copied()
            // In the seed form the check has none, and whatever came is theirs.
            .filter(|(site, _)| *site != check || self.form() == Recognised::Seed)
            .collect();
        Sites {
            check,
            end: most(&of_ends).unwrap_or_default(),
            interval: most(&self.interval_sites).unwrap_or_default(),
        }
    }

    /// The form.
    pub(super) fn form(&self) -> Recognised {
        match (self.blockable_failures, self.pr_warns, self.warns) {
            (0, ..) => Recognised::Unknown,
            (_, 0, 0) => Recognised::InfoOnly,
            (_, _, 0) => Recognised::Seed,
            (_, 0, _) => Recognised::Mainline,
            _ => Recognised::Mixed,
        }
    }

    /// The promise the kernel is held to.
    pub(super) fn rule(&self, demanded: Expect) -> Rule {
        let form = self.form();
        let promise = match (demanded, form) {
            (Expect::Seed, _) => Form::Seed,
            (Expect::Mainline, _) => Form::Mainline,
            (Expect::Auto, Recognised::Seed) => Form::Seed,
            (Expect::Auto, Recognised::Mainline) => Form::Mainline,
            // Whichever comes closer.
            (Expect::Auto, Recognised::Mixed) if self.warns > self.pr_warns => Form::Mainline,
            (Expect::Auto, Recognised::InfoOnly | Recognised::Unknown)
                if self.other_warns > self.other_pr_warns =>
            {
                Form::Mainline
            }
            (Expect::Auto, Recognised::Mixed | Recognised::InfoOnly | Recognised::Unknown) => {
                Form::Seed
            }
        };
        Rule {
            promise,
            no_check: form == Recognised::InfoOnly,
            is_guess: form == Recognised::Unknown && demanded == Expect::Auto,
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
            (Recognised::Unknown, _) => return self.unknown(windows),
            (Recognised::Seed, Expect::Auto | Expect::Seed)
            | (Recognised::Mainline, Expect::Auto | Expect::Mainline) => return Verdict::Pass,
            (Recognised::InfoOnly, _) => format!("the kernel has no check: {counts}"),
            (Recognised::Mixed, _) => format!("the kernel has a mixture of checks: {counts}"),
            (Recognised::Seed | Recognised::Mainline, _) => {
                format!("the kernel has another form of the check than was demanded: {counts}")
            }
        };
        Verdict::Fail {
            findings: vec![Finding {
                due: match demanded {
                    Expect::Auto => None,
                    Expect::Seed => Some(Recognised::Seed.to_string()),
                    Expect::Mainline => Some(Recognised::Mainline.to_string()),
                },
                seen: Some(form.to_string()),
                ..Finding::new(FindingKind::Form, wrong)
            }],
        }
    }

    fn unknown(&self, windows: &[Window]) -> Verdict {
        let fails = |notifier: &AttachedNotifier| {
            matches!(notifier.notifier.arming, Arming::Fail(_))
                && !notifier.notifier.kind.is_interval()
        };
        let wanted = windows
            .iter()
            .flat_map(|window| &window.observations)
            .filter(|o| {
                o.notifiers.iter().any(fails)
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

/// The calls that failed, each with what sort of notifier it was made to.
fn failing(window: &Window) -> impl Iterator<Item = (NotifierKind, &Call)> {
    window.observations.iter().flat_map(|o| {
        let failed = o.calls.iter().filter(|call| call.returned != 0);
        failed.filter_map(|call| Some((o.kind(call)?, call)))
    })
}

/// The context of each info line of ours, nothing for the other messages.
///
/// The module knows it better than the line says it: the n-th info line of a task is about the
/// n-th of its calls that failed, provided that there are as many of both.
fn contexts(window: &Window, scan: &Scan<'_>) -> Vec<Option<Context>> {
    let task_of = |call: &Call| scan.told.callers.then_some(Caller::Task(call.tid));
    let is_info = |seen: &&Seen<'_>| matches!(seen.message.what, What::Info { .. });

    let mut known: HashMap<Option<Caller>, Vec<Context>> = HashMap::new();
    for (observation, call) in calls(window) {
        // An interval notifier has no info line.
        let kind = window.observations[observation].kind(call);
        if call.returned != 0 && kind.is_some_and(|kind| !kind.is_interval()) {
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
