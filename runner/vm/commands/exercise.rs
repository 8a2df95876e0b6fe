// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm stress`, `fuzz`, `hostile` and `flood`: a guest that carries out an exercise.
//!
//! Its processors run at the same time and its clock is the host's: races are what is looked for.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::exercise::{Exercise, ExerciseReport, SCHEMA, Task, Word};
use crate::model::exit::Exit;
use crate::model::{KernelInfo, TOOL};
use crate::report;
use crate::vm::args::VmExerciseArgs;
use crate::vm::boot::accel;
use crate::vm::boot::info::vm_info;
use crate::vm::boot::initramfs;
use crate::vm::boot::listen;
use crate::vm::boot::listen::{Ending, Pace, line_with, listen};
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::boot::qemu::{Machine, Time};
use crate::vm::build::provide::{Needs, provide};
use crate::vm::build::stage;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::output::output;
use crate::vm::host::progress::Ui;

/// From the start of QEMU to [`Word::Begin`], on a real machine.
const BOOT: Duration = Duration::from_secs(12);
/// Between two words of the guest, on a real machine. It says one every second, but the checks at
/// the end take longer.
const SILENCE: Duration = Duration::from_secs(6);

/// What is added to the guest's kernel command line.
fn append(task: &Task, asked: Option<&str>) -> String {
    let own = match task {
        // The module is loaded many times, and its unit tests would run each time.
        Task::Stress(_) => "kunit.enable=0",
        // One window of it is read when it is over, and a WARN has some thirty lines.
        Task::Flood(_) => "log_buf_len=8M",
        Task::Fuzz(_) | Task::Hostile(_) => "",
    };
    format!("{own} {}", asked.unwrap_or_default())
}

/// Boots a guest for the exercise, and prints what came of it.
pub fn run(task: Task, args: &VmExerciseArgs, ui: &Ui) -> Result<Exit> {
    let cache = Cache::open()?;
    // Before anything that takes long: a directory that cannot be written is known at once.
    let output = output(args.output.as_deref(), &cache)?;
    let built = provide(&args.kernel, Needs::default(), &cache, ui)?;
    let (accelerator, why) = accel::choose(args.accel, &built, &cache, ui)?;
    ui.line("guest", &format!("{} ({why})", accelerator.name()));

    let temp = cache.temp_dir()?;
    let options = GuestOptions {
        mode: Mode::Exercise(task.clone()),
    };
    let initramfs = initramfs::write(temp.path(), &options, Some(&built.module), None)?;
    let console = output.join("console.log");
    let append = append(&task, args.append.as_deref());
    let machine = Machine {
        built: &built,
        initramfs: &initramfs,
        append: Some(&append),
        accelerator,
        time: Time::Real,
        console: Some(console.clone()),
        log: output.join("qemu.log"),
    };
    let progress = ui.begin("guest", task.name());
    let begin = Instant::now();
    let mut talk = Talk::default();
    let results = output.join("results.jsonl");
    let heard = listen(&machine, &mut talk, Some(&results), &progress)?;
    let console_text = fs::read(&console).unwrap_or_default();
    let console_text = String::from_utf8_lossy(&console_text);
    let (kernel, mut exercise) = talk.finish(heard.ending, &console_text);
    if exercise.trouble.is_empty() && exercise.findings.is_empty() {
        progress.done("finished");
    } else {
        let log = fs::read_to_string(&machine.log).unwrap_or_default();
        if !log.trim().is_empty() {
            exercise
                .trouble
                .push(format!("QEMU said: {}", log.trim().replace('\n', "; ")));
        }
        progress.done("finished, and not all is well");
        ui.text(&format!(
            "[guest] the console's last lines, of {}:\n{}",
            console.display(),
            stage::tail(&console_text)
        ));
    }
    let logs = [
        ("console", &console),
        ("results", &results),
        ("qemu", &machine.log),
    ]
    .map(|(what, path)| (what.to_owned(), path.display().to_string()))
    .to_vec();
    exercise.millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let report = ExerciseReport {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        task,
        again: stage::command_line(),
        kernel,
        vm: Some(vm_info(&built, accelerator, why, ui, logs, &output)),
        exercise,
    };
    cache::write_report(&output.join("report.json"), &report)?;
    report::print_exercise(&report, args.format, &mut std::io::stdout().lock())
        .context("cannot write the report to stdout")?;
    ui.line("output", &output.display().to_string());
    Ok(report.exit())
}

/// What the guest has said so far.
#[derive(Debug, Default)]
struct Talk {
    kernel: Option<KernelInfo>,
    said: Option<String>,
    done: Option<Exercise>,
    broken: Option<String>,
}

impl listen::Conversation for Talk {
    fn line(&mut self, line: &str) {
        if self.broken.is_some() {
            return;
        }
        match serde_json::from_str(line) {
            Ok(Word::Begin(kernel)) => self.kernel = Some(kernel),
            Ok(Word::Say(said)) => self.said = Some(said),
            Ok(Word::End(done)) => self.done = Some(*done),
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

impl Talk {
    /// What came of it: what the guest says where it came to its end, or else what became of it.
    fn finish(self, ending: Option<Ending>, console: &str) -> (Option<KernelInfo>, Exercise) {
        let begun = self.kernel.is_some();
        if self.broken.is_none()
            && let Some(done) = self.done
        {
            return (self.kernel, done);
        }
        let said = self
            .said
            .map_or_else(String::new, |said| format!("; it had said: {said}"));
        let panic = line_with(console, "Kernel panic - not syncing");
        let complaint = line_with(console, "mn-inject: ");
        let mut exercise = Exercise::default();
        match (self.broken, panic, complaint, ending) {
            (Some(broken), ..) => exercise.trouble.push(broken),
            (None, _, Some(complaint), _) => {
                exercise
                    .trouble
                    .push(format!("the guest gave up: {complaint}{said}"));
            }
            // Only after it began: what keeps a guest from booting is not the exercise's doing.
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
        (self.kernel, exercise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::commands::exercise::listen::Conversation as _;

    fn hear(words: &[Word], ending: Option<Ending>, console: &str) -> Exercise {
        let mut talk = Talk::default();
        for word in words {
            talk.line(&serde_json::to_string(word).unwrap());
        }
        talk.finish(ending, console).1
    }

    fn words() -> Vec<Word> {
        vec![
            Word::Begin(KernelInfo::default()),
            Word::Say("12 attached".to_owned()),
            Word::End(Box::new(Exercise {
                operations: vec![("attach".to_owned(), 12)],
                ..Exercise::default()
            })),
        ]
    }

    #[test]
    fn what_came_to_its_end_is_what_the_guest_says() {
        let done = hear(&words(), None, "");
        assert_eq!(done.operations, [("attach".to_owned(), 12)]);
        assert!(done.findings.is_empty() && done.trouble.is_empty());
    }

    #[test]
    fn a_kernel_that_dies_or_hangs_is_found_out() {
        let words = &words()[..2];
        let panic = "[ T1] Kernel panic - not syncing: x\n";
        let done = hear(words, Some(Ending::Closed), panic);
        assert!(done.findings[0].contains("panicked"), "{done:?}");
        assert!(done.findings[0].contains("12 attached"), "{done:?}");
        let done = hear(words, Some(Ending::Deadline), "");
        assert!(done.findings[0].contains("hung"), "{done:?}");
    }

    #[test]
    fn what_did_not_begin_or_is_lost_proves_nothing() {
        let panic = "Kernel panic - not syncing: VFS";
        for (words, ending, console) in [
            (&words()[..0], Ending::Closed, panic),
            (&words()[..0], Ending::Deadline, ""),
            (&words()[..2], Ending::Closed, ""),
            (&words()[..2], Ending::Closed, "mn-inject: cannot go on"),
        ] {
            let done = hear(words, Some(ending), console);
            assert!(done.findings.is_empty(), "{done:?}");
            assert_eq!(done.trouble.len(), 1, "{done:?}");
        }
        let mut talk = Talk::default();
        talk.line("nonsense");
        assert!(talk.over());
        assert_eq!(talk.finish(None, "").1.trouble.len(), 1);
    }
}
