// SPDX-License-Identifier: GPL-2.0

//! Helpers of the cases: processes, targets, and the module's files.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::errno::Errno;

use mn_inject::injector::formats::{Counters, Entry, Mm, Seq, check_order, complete_lines, log};
use mn_inject::injector::line::{errno_of, write_once};
use mn_inject::injector::{control_file, files, formats, target_file};
use mn_inject::os::kernel;
use mn_inject::os::limit::Limit;
use mn_inject::os::sys;
use mn_inject::os::wait::Waiter;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::fuzz::setting::path_of;
use crate::module_cases::outcome::{Failure, Outcome, demand, same};

/// Time limit for one step. Under TCG, a second of the guest is less than a second of a busy host.
pub const STEP: Duration = Duration::from_secs(20);

/// A setting for calls that are made to misbehave in any way: a delay, which the kernel does not
/// notice.
pub const MISBEHAVE: (&str, &str) = ("delay_us", "1");

/// The environment of the cases.
pub struct Rig<'a> {
    /// For all waiting.
    pub waiter: &'a Waiter,
    /// The module's file, if it is known.
    pub module: Option<&'a Path>,
    names: Cell<u32>,
}

/// A target that is detached when the case ends.
#[derive(Debug)]
pub struct Attached {
    /// Name of the target.
    pub name: String,
    attached: bool,
}

/// One write(2) to an open file; a part of it is never taken.
pub fn write(file: &File, bytes: &[u8]) -> Outcome<Result<(), Errno>> {
    match write_once(file, bytes) {
        Ok(()) => Ok(Ok(())),
        Err(error) if error.kind() == ErrorKind::WriteZero => {
            Err(Failure::Wrong(format!("bytes taken: {error}")))
        }
        Err(error) => Ok(Err(errno_of(&error))),
    }
}

/// Opens a file for reading and writing.
pub fn open(path: &Path) -> Outcome<File> {
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?)
}

/// Makes one write(2) to `control`.
pub fn control(bytes: &[u8]) -> Outcome<Result<(), Errno>> {
    write(&open(&control_file())?, bytes)
}

/// Reads a file in the module's folder.
pub fn read(name: &str) -> Outcome<String> {
    let path = files::path(name);
    fs::read_to_string(&path)
        .map_err(|error| Failure::Wrong(format!("cannot read {}: {error}", path.display())))
}

/// The number of log entries since the module was loaded.
pub fn total() -> Outcome<u64> {
    formats::total(&read("total")?).map_err(|error| Failure::Wrong(format!("total: {error:#}")))
}

/// The line of a target in `control`, or `None`.
pub fn listed(name: &str) -> Outcome<Option<String>> {
    let start = format!("name={name} ");
    Ok(read("control")?
        .lines()
        .find(|line| line.starts_with(&start))
        .map(str::to_owned))
}

/// Demands that a line to `control` returns that errno, and changes nothing.
pub fn refused(line: &[u8], due: Errno) -> Outcome {
    let before = read("control")?;
    let seen = control(line)?;
    let what = format!(
        "\"{}\" to control",
        line[..line.len().min(80)].escape_ascii()
    );
    same(&what, seen, Err(due))?;
    same("control after it", read("control")?, before)
}

/// Waits until `done` returns true. Returns false after [`STEP`].
pub fn wait_for(mut done: impl FnMut() -> Outcome<bool>) -> Outcome<bool> {
    let mut limit = Limit::new(STEP);
    loop {
        if done()? {
            return Ok(true);
        }
        if limit.is_over() {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Skips a case that causes a WARN on a machine that a WARN would bring down.
pub fn may_warn() -> Outcome {
    for path in [
        "/proc/sys/kernel/panic_on_warn",
        "/proc/sys/kernel/warn_limit",
    ] {
        if kernel::number(path).unwrap_or(0) != 0 {
            return Err(Failure::Skip(
                "a WARN would bring the machine down (panic_on_warn, warn_limit)",
            ));
        }
    }
    Ok(())
}

impl<'a> Rig<'a> {
    /// Makes a rig. `module` is the module's file, if it is known.
    pub fn new(waiter: &'a Waiter, module: Option<&'a Path>) -> Self {
        Rig {
            waiter,
            module,
            names: Cell::new(0),
        }
    }

    /// Makes a name that no other target has.
    pub fn name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("mn-inject.{}-case{}", std::process::id(), self.names.get())
    }

    /// Starts a subject that is ready for an operation.
    pub fn start(&self, operation: Operation) -> Outcome<Subject> {
        Ok(Subject::start(operation, self.waiter, STEP)?)
    }

    /// Attaches a process, which must succeed. Any number of calls may be made to misbehave.
    pub fn attach(&self, pid: i32, words: &str) -> Outcome<Attached> {
        let name = self.name();
        let line = format!("attach {pid} name={name} times=-1 {words}");
        let line = line.trim_end();
        match control(line.as_bytes())? {
            Ok(()) => Ok(Attached {
                name,
                attached: true,
            }),
            Err(Errno::EOPNOTSUPP) if words.contains("two-pass") => Err(Failure::Skip(
                "the kernel calls interval notifiers in one pass only",
            )),
            Err(errno) => Err(Failure::Wrong(format!("\"{line}\" got {errno:?}"))),
        }
    }

    /// Starts a subject that is ready for an operation, and attaches a target whose `range` is the
    /// watched addresses.
    pub fn subject(&self, operation: Operation, words: &str) -> Outcome<(Subject, Attached)> {
        let subject = self.start(operation)?;
        let attached = self.attach(subject.pid().as_raw(), words)?;
        attached.set_range(subject.watched())?;
        Ok((subject, attached))
    }

    /// Makes a victim: a subject that is killed and stopped in `PTRACE_EVENT_EXIT`, before its
    /// memory is freed, and a target whose `range` is the watched addresses.
    pub fn victim(&self, words: &str) -> Outcome<(Subject, Attached)> {
        let (subject, attached) = self.subject(Operation::Hold, words)?;
        subject.hold_at_exit()?;
        subject.kill()?;
        subject.wait_held(self.waiter, STEP)?;
        Ok((subject, attached))
    }

    /// Makes the subject carry out its operation `times` times, which must succeed.
    pub fn act(&self, subject: &mut Subject, times: usize) -> Outcome {
        for _ in 0..times {
            let result = subject.act(self.waiter, STEP)?;
            same("what the operation returned", result, 0)?;
        }
        Ok(())
    }

    /// Ends the subject and waits for it.
    pub fn finish(&self, subject: Subject) -> Outcome {
        Ok(subject.finish(self.waiter, STEP)?)
    }
}

/// Reaps the memory of a victim as the OOM reaper does, by process_mrelease(2).
pub fn mrelease(victim: &Subject) -> Outcome<Result<(), Errno>> {
    let pidfd = sys::pidfd_open(victim.pid()).context("pidfd_open failed")?;
    Ok(sys::process_mrelease(&pidfd))
}

impl Attached {
    /// Takes over a target that was attached in another way, to detach it when the case ends.
    pub fn adopt(name: String) -> Self {
        Attached {
            name,
            attached: true,
        }
    }

    /// Path of a file of the target, which is named by its path or by the key of its setting.
    pub fn path(&self, name: &str) -> PathBuf {
        target_file(&self.name, path_of(name))
    }

    /// Reads a file of the target, without the last newline.
    pub fn read(&self, name: &str) -> Outcome<String> {
        let text = read(&format!("targets/{}/{}", self.name, path_of(name)))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Writes a setting, which must succeed.
    pub fn set(&self, name: &str, value: &str) -> Outcome {
        let result = write(&open(&self.path(name))?, value.as_bytes())?;
        same(&format!("{value:?} to {name}"), result, Ok(()))
    }

    /// Writes several settings, one after the other, which must succeed.
    pub fn set_all(&self, settings: &[(&str, &str)]) -> Outcome {
        settings
            .iter()
            .try_for_each(|(name, value)| self.set(name, value))
    }

    /// Writes a line to `settings`, and returns the result of the write.
    pub fn change(&self, line: &str) -> Outcome<Result<(), Errno>> {
        write(&open(&self.path("settings"))?, line.as_bytes())
    }

    /// Sets `range` to these addresses.
    pub fn set_range(&self, (start, end): (u64, u64)) -> Outcome {
        self.set("range", &format!("{start:#x}-{end:#x}"))
    }

    /// Reads and parses a file of the target. Text that is not as documented is a finding.
    fn parsed<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> Outcome<T> {
        let text = read(&format!("targets/{}/{name}", self.name))?;
        parse(&text).map_err(|error| Failure::Wrong(format!("{name}: {error:#}")))
    }

    /// Its counters.
    pub fn counters(&self) -> Outcome<Counters> {
        self.parsed("counters", Counters::parse)
    }

    /// The counts of its address space.
    pub fn mm(&self) -> Outcome<Mm> {
        self.parsed("mm", |text| {
            let mm = Mm::parse(text)?;
            mm.check().map(|()| mm)
        })
    }

    /// Begins to look at its range: the number of the last invalidation of that.
    pub fn read_begin(&self) -> Outcome<Seq> {
        self.set("read_begin", "begin")?;
        self.parsed("read_begin", |text| {
            let seq = Seq::parse(text)?;
            seq.check().map(|()| seq)
        })
    }

    /// The entries of its log.
    pub fn log(&self) -> Outcome<Vec<Entry>> {
        self.parsed("log", |text| {
            ensure!(complete_lines(text) == text, "its last line is cut");
            let entries = log(text)?;
            entries.iter().try_for_each(Entry::check)?;
            check_order(&entries)?;
            Ok(entries)
        })
    }

    /// Waits until a callback is made to misbehave, which the module logs just before.
    pub fn wait_misbehaves(&self) -> Outcome {
        let misbehaves = wait_for(|| Ok(self.log()?.iter().any(|entry| entry.injected)))?;
        demand(misbehaves, || "no callback did as it was told".into())
    }

    /// Whether each of the starts on these addresses was made to misbehave, in order. Needs
    /// `record` all from the beginning.
    pub fn injected(&self, watched: (u64, u64)) -> Outcome<Vec<bool>> {
        Ok(self
            .log()?
            .iter()
            .filter(|entry| entry.is_start_in(watched))
            .map(|entry| entry.injected)
            .collect())
    }

    /// Demands that state (`live` or `gone`), both in the file `state` and in `control`.
    pub fn demand_state(&self, state: &str) -> Outcome {
        same("state", self.read("state")?.as_str(), state)?;
        let line = listed(&self.name)?;
        demand(
            line.as_ref()
                .is_some_and(|line| line.ends_with(&format!(" state={state}"))),
            || format!("control: expected state={state}, got {line:?}"),
        )
    }

    /// Detaches the target, which must succeed.
    pub fn detach(mut self) -> Outcome {
        self.attached = false;
        let line = format!("detach {}", self.name);
        same(&line, control(line.as_bytes())?, Ok(()))?;
        same("control after it", listed(&self.name)?, None)
    }

    /// Leaves the target alone from now on: it is detached, or the module is unloaded.
    pub fn forget(&mut self) {
        self.attached = false;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if !self.attached {
            return;
        }
        let line = format!("detach {}", self.name);
        let result = match control(line.as_bytes()) {
            // ENOENT: a case that expects the target to exist has found that itself.
            Ok(Ok(()) | Err(Errno::ENOENT)) => return,
            Ok(Err(errno)) => anyhow!(errno),
            Err(failure) => anyhow!("{failure:?}"),
        };
        eprintln!("mn-selftest: \"{line}\" failed: {result}");
    }
}
