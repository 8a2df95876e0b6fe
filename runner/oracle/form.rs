// SPDX-License-Identifier: GPL-2.0

//! Recognises the form of the kernel's check from its complaints.

use std::collections::HashMap;

use nix::libc::EAGAIN;

use crate::model::{
    Arming, AttachedNotifier, Call, Context, Finding, FindingKind, Form, NotifierKind, Recognised,
    Verdict, Window,
};
use crate::oracle::expect::{Sites, calls};
use crate::oracle::message::{Caller, Content};
use crate::oracle::seen::{Scan, Seen};

/// Counts of the complaints of the whole run.
#[derive(Debug, Default)]
pub(super) struct Recognition<'a> {
    /// Calls that failed in blockable context.
    blockable_failures: u64,
    /// pr_warns about calls in blockable context.
    pr_warns: u64,
    /// WARNs about calls in blockable context.
    warns: u64,
    /// WARNs about calls in non-blockable context.
    other_warns: u64,
    /// pr_warns about calls in non-blockable context.
    other_pr_warns: u64,
    /// Places of the first WARN behind the info line of a blockable failure.
    sites: SiteCounts<'a>,
    /// Places of the first WARN behind that of another failure that mainline complains about.
    other_sites: SiteCounts<'a>,
    /// Places of all WARNs.
    all_sites: SiteCounts<'a>,
    /// Places of the WARNs about notifiers that have ends: the check's, and the one about the end.
    paired_sites: SiteCounts<'a>,
    /// Places of the WARNs in windows in which interval notifiers failed and no others.
    interval_sites: SiteCounts<'a>,
    /// Whether windows were left out.
    is_partial: bool,
}

/// Places of WARNs with the number of WARNs, in the order in which they were first seen.
type SiteCounts<'a> = Vec<(&'a str, u64)>;

/// A failure: an info line and the complaints of the same task until its next info line.
struct Failure<'a> {
    /// Number of the info line.
    kmsg_seq: u64,
    context: Context,
    errno: i32,
    is_paired: bool,
    pr_warns: u64,
    sites: Vec<&'a str>,
}

fn count<'a>(sites: &mut SiteCounts<'a>, site: &'a str) {
    match sites.iter_mut().find(|(known, _)| *known == site) {
        Some((_, count)) => *count += 1,
        None => sites.push((site, 1)),
    }
}

/// The most frequent place; of several, the one that was seen first.
fn most<'a>(sites: &[(&'a str, u64)]) -> Option<&'a str> {
    let most = sites.iter().rev().max_by_key(|(_, count)| *count);
    most.map(|(site, _)| *site)
}

/// The criteria by which scenarios are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Criteria {
    pub(super) form: Form,
    /// Whether the kernel has no check at all, which the findings name.
    pub(super) no_check: bool,
    /// Whether the form is a guess: only calls about which both forms print the same are judged.
    pub(super) is_guess: bool,
}

impl<'a> Recognition<'a> {
    /// Adds the complaints of a window.
    pub(super) fn add(&mut self, window: &'a Window, scan: &Scan<'a>) {
        let failed =
            |wanted: fn(NotifierKind) -> bool| failing(window).any(|(kind, _)| wanted(kind));
        if failed(NotifierKind::is_interval) {
            // No line before their WARN names them, so in a window in which other notifiers fail,
            // too, the place is not known.
            if !failed(|kind| !kind.is_interval()) {
                for seen in &scan.ours {
                    if let Content::Warn { site, .. } = seen.message.content {
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
        let mut last: HashMap<Option<Caller>, Failure<'a>> = HashMap::new();
        for (seen, context) in scan.ours.iter().zip(contexts) {
            let task = seen.message.task;
            match (seen.message.content, last.get_mut(&task)) {
                (Content::Info { errno, symbol, .. }, _) => {
                    let failure = Failure {
                        kmsg_seq: seen.record.seq,
                        context: context.unwrap_or(Context::Blockable),
                        errno,
                        is_paired: symbol.is_paired,
                        pr_warns: 0,
                        sites: Vec::new(),
                    };
                    if let Some(before) = last.insert(task, failure) {
                        self.add_failure(&before);
                    }
                }
                (Content::PrWarn { .. }, Some(failure)) => failure.pr_warns += 1,
                (Content::PrWarn { .. }, None) => self.pr_warns += 1,
                (Content::Warn { site, .. }, failure) => {
                    count(&mut self.all_sites, site);
                    match failure {
                        Some(failure) => failure.sites.push(site),
                        None => self.warns += 1,
                    }
                }
                _ => {}
            }
        }
        // A map has no order, and the order decides between places that are equally frequent.
        let mut open: Vec<Failure<'a>> = last.into_values().collect();
        open.sort_by_key(|failure| failure.kmsg_seq);
        for failure in open {
            self.add_failure(&failure);
        }
    }

    /// Adds the complaints about one failure.
    fn add_failure(&mut self, failure: &Failure<'a>) {
        let mut warns = failure.sites.len() as u64;
        if failure.is_paired {
            for site in &failure.sites {
                count(&mut self.paired_sites, site);
            }
            // One of them is due because of the end, whatever the form of the check.
            warns = warns.saturating_sub(1);
        }
        if failure.context == Context::NonBlockable {
            self.other_pr_warns += failure.pr_warns;
            self.other_warns += warns;
        } else {
            self.pr_warns += failure.pr_warns;
            self.warns += warns;
        }
        // A second WARN is not the check's.
        if warns > 0
            && let Some(site) = failure.sites.first()
        {
            if failure.context == Context::Blockable {
                count(&mut self.sites, site);
            } else if failure.errno != -EAGAIN {
                count(&mut self.other_sites, site);
            }
        }
    }

    /// Notes that a window is left out, because its evidence is in doubt.
    pub(super) fn leave_out(&mut self) {
        self.is_partial = true;
    }

    /// The places of the WARNs; empty where none was seen.
    pub(super) fn sites(&self) -> Sites<'a> {
        let check = most(&self.sites).or_else(|| most(&self.other_sites));
        let of_ends: Vec<_> = self
            .paired_sites
            .iter()
            .copied()
            // The check of the seed form has no WARN, so all of these are about ends. So they are if
            // no failure shows the place of the check.
            .filter(|(site, _)| Some(*site) != check || self.form() == Recognised::Seed)
            .collect();
        let check = check.or_else(|| most(&self.all_sites)).unwrap_or_default();
        Sites {
            check,
            end: most(&of_ends).unwrap_or_default(),
            interval: most(&self.interval_sites).unwrap_or_default(),
        }
    }

    /// The form that the complaints show.
    pub(super) fn form(&self) -> Recognised {
        match (self.blockable_failures, self.pr_warns, self.warns) {
            (0, ..) => Recognised::Unknown,
            (_, 0, 0) => Recognised::InfoOnly,
            (_, _, 0) => Recognised::Seed,
            (_, 0, _) => Recognised::Mainline,
            _ => Recognised::Mixed,
        }
    }

    /// The form that the kernel is held to: the one that is demanded, or else the one that the
    /// complaints show.
    pub(super) fn criteria(&self, demanded: Option<Form>) -> Criteria {
        let recognised = self.form();
        let form = match (demanded, recognised) {
            (Some(Form::Seed), _) => Form::Seed,
            (Some(Form::Mainline), _) => Form::Mainline,
            (None, Recognised::Seed) => Form::Seed,
            (None, Recognised::Mainline) => Form::Mainline,
            // The more frequent complaint decides.
            (None, Recognised::Mixed) if self.warns > self.pr_warns => Form::Mainline,
            (None, Recognised::InfoOnly | Recognised::Unknown)
                if self.other_warns > self.other_pr_warns =>
            {
                Form::Mainline
            }
            (None, Recognised::Mixed | Recognised::InfoOnly | Recognised::Unknown) => Form::Seed,
        };
        Criteria {
            form,
            no_check: recognised == Recognised::InfoOnly,
            is_guess: recognised == Recognised::Unknown && demanded.is_none(),
        }
    }

    /// The verdict on the form itself.
    pub(super) fn verdict(&self, windows: &[Window], demanded: Option<Form>) -> Verdict {
        let form = self.form();
        let counts = format!(
            "{} calls failed in blockable context; about them came {} pr_warn and {} WARN",
            self.blockable_failures, self.pr_warns, self.warns
        );
        let wrong = match (form, demanded) {
            (Recognised::Unknown, _) => return self.unknown(windows),
            (Recognised::Seed, None | Some(Form::Seed))
            | (Recognised::Mainline, None | Some(Form::Mainline)) => return Verdict::Pass,
            (Recognised::InfoOnly, _) => format!("the kernel has no check: {counts}"),
            (Recognised::Mixed, _) => format!("the kernel has a mixture of checks: {counts}"),
            (Recognised::Seed | Recognised::Mainline, _) => {
                format!("the kernel has another form of the check than was demanded: {counts}")
            }
        };
        Verdict::Fail {
            findings: vec![Finding {
                due: match demanded {
                    None => None,
                    Some(Form::Seed) => Some(Recognised::Seed.to_string()),
                    Some(Form::Mainline) => Some(Recognised::Mainline.to_string()),
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

/// Reason for which the form is not judged.
pub const NOTHING_FAILED: &str = "nothing failed in blockable context";

/// The calls that failed, each with the kind of its notifier.
fn failing(window: &Window) -> impl Iterator<Item = (NotifierKind, &Call)> {
    window.observations.iter().flat_map(|o| {
        let failed = o.calls.iter().filter(|call| call.returned != 0);
        failed.filter_map(|call| Some((o.kind(call)?, call)))
    })
}

/// The context of each info line about the module's callbacks; [`None`] for the other messages.
///
/// The module's log has it even where the line's text is wrong: the n-th info line of a task is
/// about the n-th of its calls that failed, provided that there are as many of both.
fn contexts(window: &Window, scan: &Scan<'_>) -> Vec<Option<Context>> {
    let task_of = |call: &Call| scan.format.callers.then_some(Caller::Task(call.tid));
    let is_info = |seen: &&Seen<'_>| matches!(seen.message.content, Content::Info { .. });

    let mut known: HashMap<Option<Caller>, Vec<Context>> = HashMap::new();
    for (observation, call) in calls(window) {
        // An interval notifier has no info line.
        let kind = window.observations[observation.0].kind(call);
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
        .map(|seen| match seen.message.content {
            Content::Info { context, .. } => {
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
