// SPDX-License-Identifier: GPL-2.0

//! The host's end: boots a guest for a task, and reports the outcome.
//!
//! The guest's processors run in parallel and its clock is the host's, because the tasks look for
//! races; but for `bench`, which counts instructions.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use mn_inject::model::KernelInfo;
use mn_inject::model::exit::Exit;
use mn_inject::report::format::SimpleFormat;
use mn_inject::vm::arch::Arch;
use mn_inject::vm::args::{Accel, VmGuestArgs};
use mn_inject::vm::boot::listen::{Conversation, Ending, line_with};
use mn_inject::vm::boot::machine::{Pace, Time};
use mn_inject::vm::boot::program::{self, Account};
use mn_inject::vm::boot::protocol::EXTRA_MODULE;
use mn_inject::vm::build::kernel::config;
use mn_inject::vm::host::cache;
use mn_inject::vm::host::progress::Ui;
use mn_inject::vm::with_ui;

use crate::cli::VmCommand;
use crate::exercise::Exercise;
use crate::guest::GuestEvent;
use crate::report::ExerciseReport;
use crate::task::Task;
use crate::usage::nothing_matches;
use crate::{NAME, TOOL, bench, report};

/// Time limit from the start of QEMU to [`GuestEvent::Begin`], on a real machine.
const BOOT: Duration = Duration::from_secs(12);
/// Time limit between two events of the guest, on a real machine. It sends one every second, but
/// the checks at the end take longer.
const SILENCE: Duration = Duration::from_secs(6);

/// Addition to the guest's kernel command line.
const fn append(task: &Task) -> &'static str {
    match task {
        // The module is loaded many times, and its unit tests would run each time.
        Task::Stress(_) | Task::FailNth(_) => "kunit.enable=0",
        // The log is read after each window, and a WARN has some thirty lines.
        Task::Flood(_) => "log_buf_len=8M",
        // The last one counts. An open of /dev/kmsg takes the longer after an overrun the more
        // records there were, so the long log of the debug configuration is not for this.
        Task::Hostile(_) => "log_buf_len=4M",
        Task::Cases(_) | Task::Fuzz(_) | Task::Bench(_) => "",
    }
}

/// Carries out a command. If it cannot be carried out, prints the reason to stderr.
///
/// # Errors
///
/// None that a user can cause: those are printed and become [`Exit::Unavailable`].
pub fn main(command: VmCommand) -> Result<Exit> {
    let (task, guest, format) = match command {
        VmCommand::Cases(args) => (Task::Cases(args.options), args.guest, args.format),
        VmCommand::Fuzz(args) => (Task::Fuzz(args.options), args.guest, args.format),
        VmCommand::Stress(args) => (Task::Stress(args.options), args.guest, args.format),
        VmCommand::Hostile(args) => (Task::Hostile(args.options), args.guest, args.format),
        VmCommand::Flood(args) => (Task::Flood(args.options), args.guest, args.format),
        VmCommand::Bench(args) => (Task::Bench(args.options), args.guest, args.format),
        VmCommand::FailNth(args) => (Task::FailNth(args.options), args.guest, args.format),
    };
    with_ui(NAME, |ui| run(task, &guest, format, ui))
}

/// Boots a guest for the task, and prints the report.
fn run(mut task: Task, guest: &VmGuestArgs, format: SimpleFormat, ui: &Ui) -> Result<Exit> {
    if let Some(why) = nothing_matches(&task) {
        ui.text(&why);
        return Ok(Exit::Usage);
    }
    let (mut time, mut extra) = (Time::Real, None);
    if let Task::Bench(options) = &mut task {
        if guest.accel == Accel::Kvm || guest.kernel.machine.arch() == Arch::Um {
            bail!("bench counts instructions, which only QEMU with --accel tcg can");
        }
        options.null = Some(EXTRA_MODULE.into());
        options.instruction_ns =
            Some(config(guest.kernel.machine.arch(), &guest.kernel.config)?.instruction_ns);
        (time, extra) = (Time::Virtual, Some(bench::NULL));
    }
    let own = program::Task {
        name: task.name(),
        options: serde_json::to_value(&task).context("cannot write the task as JSON")?,
        append: append(&task),
        time,
        extra,
    };
    let mut talk = Talk::default();
    let ran = program::run(&own, guest, &mut talk, ui)?;
    let mut exercise = talk.exercise;
    if !exercise.is_well() && !ran.qemu.is_empty() {
        exercise.trouble.push(format!("QEMU said: {}", ran.qemu));
    }
    exercise.millis = u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX);
    let report = ExerciseReport {
        schema: report::SCHEMA,
        tool: TOOL.to_owned(),
        task,
        again: report::command_line(),
        kernel: talk.kernel,
        vm: Some(ran.vm),
        exercise,
    };
    cache::write_report(&ran.output.join("report.json"), &report)?;
    report
        .print(format, &mut io::stdout().lock())
        .context("cannot write the report to stdout")?;
    ui.line("output", &ran.output.display().to_string());
    Ok(report.exit())
}

/// The events of the guest so far.
#[derive(Debug, Default)]
struct Talk {
    kernel: Option<KernelInfo>,
    said: Option<String>,
    done: Option<Exercise>,
    broken: Option<String>,
    /// The outcome, once the guest has ended.
    exercise: Exercise,
}

impl Conversation for Talk {
    fn line(&mut self, line: &str) {
        if self.broken.is_some() {
            return;
        }
        match serde_json::from_str(line) {
            Ok(GuestEvent::Begin(kernel)) => self.kernel = Some(kernel),
            Ok(GuestEvent::Say(said)) => self.said = Some(said),
            Ok(GuestEvent::End(done)) => self.done = Some(*done),
            Err(e) => {
                let start: String = line.chars().take(80).collect();
                self.broken = Some(format!(
                    "a line on the results' channel could not be read ({e}): {start}"
                ));
            }
        }
    }

    fn over(&self) -> bool {
        self.done.is_some() || self.broken.is_some()
    }

    fn patience(&self, pace: Pace) -> Duration {
        let real = if self.kernel.is_some() { SILENCE } else { BOOT };
        real * pace.all()
    }

    fn note(&self) -> Option<String> {
        self.said.clone()
    }
}

impl Account for Talk {
    /// Takes the outcome that the guest has sent, or else describes how the guest ended.
    fn end(&mut self, ending: Option<Ending>, console: &str) {
        self.exercise = match (&self.broken, self.done.take()) {
            (None, Some(done)) => done,
            _ => self.cut_short(ending, console),
        };
    }

    fn is_well(&self) -> bool {
        self.exercise.is_well()
    }
}

impl Talk {
    fn cut_short(&self, ending: Option<Ending>, console: &str) -> Exercise {
        let begun = self.kernel.is_some();
        let said = self
            .said
            .as_ref()
            .map_or_else(String::new, |said| format!("; it had said: {said}"));
        let panic = line_with(console, "Kernel panic - not syncing");
        let complaint = line_with(console, "mn-inject: ");
        let mut exercise = Exercise::default();
        match (&self.broken, panic, complaint, ending) {
            (Some(broken), ..) => exercise.trouble.push(broken.clone()),
            (None, _, Some(complaint), _) => {
                exercise
                    .trouble
                    .push(format!("the guest gave up: {complaint}{said}"));
            }
            // Only after it began: a guest that does not boot is not a finding of the exercise.
            (None, Some(panic), None, _) if begun => {
                exercise
                    .findings
                    .push(format!("the guest's kernel panicked: {panic}{said}"));
            }
            (None, None, None, Some(Ending::Deadline)) if begun => {
                exercise.findings.push(format!(
                    "the guest hung: it said nothing until its deadline{said}"
                ));
            }
            (None, Some(panic), None, _) => {
                exercise.trouble.push(format!(
                    "the guest's kernel panicked as it started: {panic}"
                ));
            }
            (None, None, None, Some(Ending::Deadline)) => {
                exercise
                    .trouble
                    .push("the guest hung before its runner began".to_owned());
            }
            (None, None, None, _) => {
                exercise
                    .trouble
                    .push(format!("the guest ended too early{said}"));
            }
        }
        exercise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(words: &[GuestEvent], ending: Option<Ending>, console: &str) -> Exercise {
        let mut talk = Talk::default();
        for word in words {
            talk.line(&serde_json::to_string(word).unwrap());
        }
        talk.end(ending, console);
        talk.exercise
    }

    fn words() -> Vec<GuestEvent> {
        vec![
            GuestEvent::Begin(KernelInfo::default()),
            GuestEvent::Say("12 attached".to_owned()),
            GuestEvent::End(Box::new(Exercise {
                operations: vec![("attach".to_owned(), 12)],
                ..Exercise::default()
            })),
        ]
    }

    #[test]
    fn the_outcome_is_that_of_the_guest() {
        let done = outcome_of(&words(), None, "");
        assert_eq!(done.operations, [("attach".to_owned(), 12)]);
        assert!(done.findings.is_empty() && done.trouble.is_empty());
    }

    #[test]
    fn a_panic_and_a_hang_are_findings() {
        let words = &words()[..2];
        let panic = "[ T1] Kernel panic - not syncing: x\n";
        let done = outcome_of(words, Some(Ending::Closed), panic);
        assert!(done.findings[0].contains("panicked"), "{done:?}");
        assert!(done.findings[0].contains("12 attached"), "{done:?}");
        let done = outcome_of(words, Some(Ending::Deadline), "");
        assert!(done.findings[0].contains("hung"), "{done:?}");
    }

    #[test]
    fn a_guest_that_does_not_begin_or_is_lost_proves_nothing() {
        let panic = "Kernel panic - not syncing: VFS";
        for (words, ending, console) in [
            (&words()[..0], Ending::Closed, panic),
            (&words()[..0], Ending::Deadline, ""),
            (&words()[..2], Ending::Closed, ""),
            (&words()[..2], Ending::Closed, "mn-inject: cannot go on"),
        ] {
            let done = outcome_of(words, Some(ending), console);
            assert!(done.findings.is_empty(), "{done:?}");
            assert_eq!(done.trouble.len(), 1, "{done:?}");
        }
        let mut talk = Talk::default();
        talk.line("nonsense");
        assert!(talk.over());
        talk.end(None, "");
        assert_eq!(talk.exercise.trouble.len(), 1);
    }
}
