// SPDX-License-Identifier: GPL-2.0

//! Very many failures in one run, each accounted for three times: by the entry in the module's log,
//! by the module's counters, and by the lines that the kernel prints.

use anyhow::{Context as _, Result};
use nix::libc::EAGAIN;

use mn_inject::model::{Arming, Count, Notifier, NotifierEvent, NotifierKind, Verdict, Window};
use mn_inject::observe::{Session, WindowError};
use mn_inject::oracle;
use mn_inject::scenario::cases::{Boot, Case};
use mn_inject::scenario::{Scenario, Setting, Trigger, blockable};
use mn_inject::trigger::operation::{OFTEN, Operation};

use crate::exercise::Exercise;
use crate::task::FloodOptions;

/// Number of notifiers that fail in each invalidation.
const NOTIFIERS: usize = 16;

/// A plain notifier that fails: the kernel prints the same two lines each time, or three with a
/// WARN. A notifier with an end would cause another WARN of its own.
const FAILS: Notifier = Notifier {
    kind: NotifierKind::Plain,
    arming: Arming::Fail(-EAGAIN),
    is_elsewhere: false,
};

const TRIGGER: Trigger = Trigger {
    armings: &[],
    ..blockable(
        "flood",
        "madvise(MADV_DONTNEED) of a VMA, very often",
        Operation::DontneedOften,
        NotifierEvent::Clear,
        Count::Exactly(OFTEN),
    )
};

/// One window of the flood, small enough that neither the ring of a target nor the kernel's log
/// overflows before it is read.
static CASE: Case = Case {
    name: "flood",
    about: "every notifier fails each time",
    rules: &[1],
    breaks: true,
    notifiers: &[FAILS; NOTIFIERS],
    trigger: TRIGGER,
    needs: None,
    boot: Boot::Shared,
    known_bug: None,
};

/// Sums over all windows.
#[derive(Default)]
struct Sums {
    windows: u64,
    counted: u64,
    logged: u64,
    matched: u64,
}

/// Makes at least as many callbacks fail as the options demand.
pub fn run(
    options: &FloodOptions,
    say: &mut dyn FnMut(&str),
    exercise: &mut Exercise,
) -> Result<()> {
    let mut sums = Sums::default();
    let done = carry_out(options, say, &mut sums, exercise);
    for (name, count) in [
        ("windows", sums.windows),
        ("failures counted by the module", sums.counted),
        ("failures in its log", sums.logged),
        (
            "lines of the kernel about them, each in its place",
            sums.matched,
        ),
    ] {
        exercise.operations.push((name.to_owned(), count));
    }
    done
}

fn carry_out(
    options: &FloodOptions,
    say: &mut dyn FnMut(&str),
    sums: &mut Sums,
    exercise: &mut Exercise,
) -> Result<()> {
    let scenario = Scenario {
        trigger: TRIGGER,
        setting: Setting::Case(&CASE),
    };
    let mut session = Session::open()?;
    while sums.counted < options.failures {
        say(&format!(
            "{} of {} failures",
            sums.counted, options.failures
        ));
        let window = match session.window(&[scenario]) {
            Ok(window) => window,
            Err(WindowError::Scenario(window)) => *window,
            Err(WindowError::Session(error)) => return Err(error),
        };
        sums.add(&window);
        let judgement = oracle::judge(std::slice::from_ref(&window), options.expect);
        let results = judgement.results.iter();
        sums.matched += results.clone().map(|r| r.matched.len() as u64).sum::<u64>();
        let verdicts = results.map(|result| &result.verdict);
        let number = sums.windows;
        for verdict in verdicts.chain([&judgement.form_verdict]) {
            match verdict {
                Verdict::Pass => {}
                Verdict::Fail { findings } | Verdict::KnownBug { findings, .. } => {
                    let texts = findings.iter().map(|finding| {
                        serde_json::to_string(finding).context("cannot write a finding as JSON")
                    });
                    for text in texts {
                        exercise
                            .findings
                            .push(format!("window {number}: {}", text?));
                    }
                }
                Verdict::NoVerdict { reasons } => {
                    let reasons = reasons.iter();
                    exercise
                        .trouble
                        .extend(reasons.map(|reason| format!("window {number}: {reason}")));
                }
                Verdict::Skip { reason } => {
                    exercise.trouble.push(format!("window {number}: {reason}"));
                }
            }
        }
        if !(exercise.findings.is_empty() && exercise.trouble.is_empty()) {
            // More windows would only repeat this.
            break;
        }
    }
    session.close()
}

impl Sums {
    fn add(&mut self, window: &Window) {
        self.windows += 1;
        for o in &window.observations {
            self.counted += o.counters().injected;
            self.logged += o.calls.iter().filter(|call| call.returned != 0).count() as u64;
        }
    }
}
