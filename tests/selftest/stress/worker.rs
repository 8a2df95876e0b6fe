// SPDX-License-Identifier: GPL-2.0

//! A thread that works on the module, and the calls that all of them make. Each call knows which
//! errors it may end with; every other one is a finding.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use nix::errno::Errno;

use mn_inject::injector::FOLDER;
use mn_inject::os::wait::Limit;

use crate::stress::choice;
use crate::stress::choice::Choices;
use crate::stress::errno::{Call, is_allowed};
use crate::stress::held::Held;
use crate::stress::parse;
use crate::stress::parse::Sums;
use crate::stress::session::Session;
use crate::stress::victims::Victim;
use crate::stress::world::{Harm, Kind, Moment, Target, World};

/// How long a process that an attach did not find may take to end.
const ENDING: Duration = Duration::from_secs(30);

/// No more of a log than that is read at once; everything else is shorter.
const BYTES: usize = 64 << 10;

/// What a worker is doing, for whoever looks whether it goes on.
#[derive(Debug)]
pub struct Beat {
    /// The worker.
    pub name: String,
    /// Steps so far.
    pub steps: AtomicU64,
    /// Its thread id; 0 before it runs.
    pub tid: AtomicU64,
    doing: Mutex<&'static str>,
}

impl Beat {
    /// That of a worker that does not run yet.
    pub fn new(name: String) -> Self {
        Beat {
            name,
            steps: AtomicU64::new(0),
            tid: AtomicU64::new(0),
            doing: Mutex::new("starting"),
        }
    }

    /// What it is doing.
    pub fn doing(&self) -> &'static str {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, &'static str> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next step begins.
    pub fn step(&self, doing: &'static str) {
        *self.lock() = doing;
        self.steps.fetch_add(1, SeqCst);
    }
}

/// A thread that works on the module.
#[derive(Debug)]
pub struct Worker {
    /// What all share.
    pub world: Arc<World>,
    /// What it does next.
    pub choices: Choices,
    /// What its present step draws from.
    pub rng: Rng,
    /// What it is doing.
    pub beat: Arc<Beat>,
    /// Files that it holds open.
    pub held: Vec<Held>,
    /// Its session, where it has one.
    pub session: Option<Session>,
}

/// What is wanted of an attach.
#[derive(Clone, Debug)]
pub struct Wish {
    /// How.
    pub kind: Kind,
    /// To whom, where it is one of ours.
    pub victim: Option<Arc<Victim>>,
    /// The number that is written.
    pub pid: i32,
    /// What the target may be told.
    pub harm: Harm,
}

/// The errno of an error of the standard library's.
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Writes `text` as one write(2).
pub fn write_once(file: &mut File, text: &str) -> Result<(), Errno> {
    match file.write(text.as_bytes()) {
        Ok(written) if written == text.len() => Ok(()),
        // The module takes all or nothing.
        Ok(_) => Err(Errno::EOVERFLOW),
        Err(error) => Err(errno_of(&error)),
    }
}

/// Reads from the beginning of a file with one read(2): what changes meanwhile makes two of them
/// not fit together.
pub fn read_once(file: &File) -> Result<String, Errno> {
    let mut bytes = vec![0; BYTES];
    let length = file
        .read_at(&mut bytes, 0)
        .map_err(|error| errno_of(&error))?;
    bytes.truncate(length);
    // The module escapes what is not ASCII.
    String::from_utf8(bytes).map_err(|_| Errno::EILSEQ)
}

/// A file of the module's.
pub fn root(file: &str) -> PathBuf {
    Path::new(FOLDER).join(file)
}

/// A file of a target's.
pub fn path(name: &str, file: &str) -> PathBuf {
    Path::new(FOLDER).join("targets").join(name).join(file)
}

impl Worker {
    /// The worker of that name and number.
    pub fn new(world: Arc<World>, name: String, number: u64) -> Self {
        let mut choices = Choices::new(world.seed, number);
        Worker {
            world,
            rng: choices.step(),
            choices,
            beat: Arc::new(Beat::new(name)),
            held: Vec::new(),
            session: None,
        }
    }

    /// Keeps a finding, with what it takes to come here again.
    pub fn finding(&self, text: impl Display) {
        self.world.finding(format!(
            "{text} ({} in step {}, \"{}\", of seed {})",
            self.beat.name,
            self.beat.steps.load(SeqCst),
            self.beat.doing(),
            self.world.seed
        ));
    }

    /// A call has failed: keeps a finding where it may not do so like that.
    fn judge(&self, call: Call, errno: Errno, upset: bool, what: impl Display) {
        if !is_allowed(call, errno, upset) {
            self.finding(format_args!("{call} failed with {errno}: {what}"));
        }
    }

    /// Opens a file that the module has for as long as it is loaded.
    pub fn open_root(&self, path: &Path, write: bool, moment: Moment) -> Option<File> {
        let result = OpenOptions::new().read(!write).write(write).open(path);
        match result {
            Ok(file) => Some(file),
            Err(error) => {
                let upset = self.world.presence.is_upset_since(moment);
                self.judge(Call::OpenRoot, errno_of(&error), upset, path.display());
                None
            }
        }
    }

    /// Reads a file that the module has for as long as it is loaded.
    pub fn read_root(&self, name: &str) -> Option<String> {
        let moment = self.world.presence.moment();
        let path = root(name);
        let file = self.open_root(&path, false, moment)?;
        self.read_open_root(&file, name, moment)
    }

    /// Reads such a file that is open since `moment`.
    pub fn read_open_root(&self, file: &File, name: &str, moment: Moment) -> Option<String> {
        match read_once(file) {
            Ok(text) => Some(text),
            Err(errno) => {
                let upset = self.world.presence.is_upset_since(moment);
                self.judge(Call::ReadRoot, errno, upset, name);
                None
            }
        }
    }

    /// Writes a line to `control`. [`None`] where the module is not there.
    pub fn write_control(&self, line: &str, moment: Moment) -> Option<Result<(), Errno>> {
        let mut file = self.open_root(&root("control"), true, moment)?;
        Some(write_once(&mut file, line))
    }

    /// Writes a line to `control`, which must be refused so. False where the module was not there.
    pub fn say(&self, line: &str, expected: Errno) -> bool {
        let moment = self.world.presence.moment();
        let Some(result) = self.write_control(line, moment) else {
            return false;
        };
        if result == Err(expected) {
            return true;
        }
        if !self.world.presence.is_upset_since(moment) || result != Err(Errno::EIO) {
            self.finding(format_args!(
                "{line:?} > control came to {result:?}, not to {expected}"
            ));
        }
        false
    }

    /// A range for an interval notifier or a filter: everything, what a thread of the victim works
    /// on, or nothing that anybody uses.
    pub fn range(&mut self, victim: Option<&Victim>) -> (u64, u64) {
        let area = victim.and_then(Victim::area);
        match (self.rng.u32(..4), area) {
            (0 | 1, _) | (2, None) => (0x1000, 0x7fff_ffff_f000),
            (2, Some(area)) => area,
            _ => (0x1000, 0x2000),
        }
    }

    /// The line that attaches as wished, and the target that comes of it.
    pub fn attach_line(&mut self, wish: &Wish, moment: Moment) -> (String, Target) {
        let name = self.world.new_name();
        let mut line = format!("attach {} name={name} kind={}", wish.pid, wish.kind.word());
        let (start, end) = self.range(wish.victim.as_deref());
        if wish.kind.has_range() {
            line.push_str(&format!(" range={start:#x}-{end:x}"));
        }
        if choice::once_in(4, &mut self.rng) {
            line.push_str(" how=locked");
        }
        let target = Target {
            name,
            kind: wish.kind,
            victim: wish.victim.clone(),
            harm: wish.harm,
            sleeps: choice::once_in(4, &mut self.rng),
            unloads: moment.unloads,
            detachers: AtomicU32::new(0),
            seen: Mutex::new(Sums::default()),
        };
        (line, target)
    }

    /// An attach has come to `result`: the target, where there is one now, bound so that it can do
    /// no more than it may.
    pub fn attached(
        &mut self,
        wish: &Wish,
        target: Target,
        result: Result<(), Errno>,
        upset: bool,
    ) -> Option<Arc<Target>> {
        let call = match wish.kind {
            Kind::TwoPass => Call::AttachTwoPass,
            _ => Call::Attach,
        };
        match (result, &wish.victim) {
            (Ok(()), _) => {}
            (Err(Errno::ESRCH), Some(victim)) => {
                self.world.counts.one("attach: no such process");
                self.is_ending(victim);
                return None;
            }
            (Err(errno), _) => {
                let pid = wish.pid;
                self.judge(call, errno, upset, format_args!("{:?} {pid}", wish.kind));
                return None;
            }
        }
        let target = Arc::new(target);
        // Nobody else knows it yet, so nobody can undo this in between.
        if target.sleeps {
            self.set(&target, "context", "blockable");
        }
        if target.harm != Harm::Nothing {
            self.set(&target, "times", "2");
        }
        Some(target)
    }

    /// Attaches as wished. The target is not in the world yet.
    pub fn attach(&mut self, wish: &Wish) -> Option<Arc<Target>> {
        let moment = self.world.presence.moment();
        let (line, target) = self.attach_line(wish, moment);
        let result = self.write_control(&line, moment)?;
        let upset = self.world.presence.is_upset_since(moment);
        self.attached(wish, target, result, upset)
    }

    /// An attach did not find the process: it has to be on its way out then.
    pub fn is_ending(&self, victim: &Victim) {
        let mut limit = Limit::new(ENDING);
        while !victim.is_dead() {
            if limit.is_over() {
                self.finding(format_args!(
                    "attach did not find process {}, which lives",
                    victim.pid
                ));
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Detaches a target. False where somebody else does, or the module has gone.
    pub fn detach(&self, target: &Arc<Target>) -> bool {
        let moment = self.world.presence.moment();
        target.begin_detach();
        self.world.remove_target(target);
        match self.write_control(&format!("detach {}", target.name), moment) {
            None => false,
            Some(Ok(())) => true,
            Some(Err(errno)) => {
                let upset = target.is_contested()
                    || target.unloads != moment.unloads
                    || self.world.presence.is_upset_since(moment);
                self.judge(Call::Detach, errno, upset, &target.name);
                false
            }
        }
    }

    /// Opens a file of a target's.
    pub fn open_target(&self, target: &Target, file: &str, write: bool) -> Option<File> {
        let moment = self.world.presence.moment();
        let path = path(&target.name, file);
        match OpenOptions::new().read(!write).write(write).open(&path) {
            Ok(file) => Some(file),
            Err(error) => {
                let upset = self.world.is_upset(target, moment);
                self.judge(Call::OpenTarget, errno_of(&error), upset, path.display());
                None
            }
        }
    }

    /// Reads an open file of a target's, at least its beginning.
    pub fn read_open(&self, target: &Target, what: &str, file: &File) -> Option<String> {
        let moment = self.world.presence.moment();
        match read_once(file) {
            Ok(text) => Some(text),
            Err(errno) => {
                let upset = self.world.is_upset(target, moment);
                let what = format_args!("{}/{what}", target.name);
                self.judge(Call::ReadTarget, errno, upset, what);
                None
            }
        }
    }

    /// Writes to an open file of a target's a value that it takes.
    pub fn set_open(&self, target: &Target, what: &str, file: &mut File, value: &str) -> bool {
        let moment = self.world.presence.moment();
        match write_once(file, value) {
            Ok(()) => true,
            Err(errno) => {
                let upset = self.world.is_upset(target, moment);
                let what = format_args!("{value:?} > {}/{what}", target.name);
                self.judge(Call::SetKnob, errno, upset, what);
                false
            }
        }
    }

    /// Reads a file of a target's.
    pub fn read(&self, target: &Target, what: &str) -> Option<String> {
        let file = self.open_target(target, what, false)?;
        self.read_open(target, what, &file)
    }

    /// Sets a file of a target's to a value that it takes.
    pub fn set(&self, target: &Target, what: &str, value: &str) -> bool {
        match self.open_target(target, what, true) {
            Some(mut file) => self.set_open(target, what, &mut file, value),
            None => false,
        }
    }

    /// Writes to a file of a target's a value that it takes, or refuses with that.
    pub fn may_refuse(&self, target: &Target, what: &str, value: &str, with: Errno) -> bool {
        let Some(mut file) = self.open_target(target, what, true) else {
            return false;
        };
        let moment = self.world.presence.moment();
        match write_once(&mut file, value) {
            Ok(()) => true,
            Err(errno) if errno == with => true,
            Err(errno) => {
                let upset = self.world.is_upset(target, moment);
                let what = format_args!("{value:?} > {}/{what}", target.name);
                self.judge(Call::SetKnob, errno, upset, what);
                false
            }
        }
    }

    /// Writes to a file of a target's a value that it must refuse with one of these.
    pub fn refused(&self, target: &Target, what: &str, value: &str, with: &[Errno]) -> bool {
        let Some(mut file) = self.open_target(target, what, true) else {
            return false;
        };
        let moment = self.world.presence.moment();
        match write_once(&mut file, value) {
            Err(errno) if with.contains(&errno) => true,
            Err(Errno::EIO) if self.world.is_upset(target, moment) => false,
            result => {
                let name = &target.name;
                self.finding(format_args!(
                    "{value:?} > {name}/{what} came to {result:?}, not to one of {with:?}"
                ));
                false
            }
        }
    }

    /// Reads a target's counters, and looks that none has gone back.
    pub fn counters(&self, target: &Target) -> Option<Sums> {
        // Who reads later must not compare earlier.
        let mut seen = target.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read(target, "counters")?;
        match parse::counters(&text) {
            Ok(sums) => {
                if let Some(name) = sums.gone_back(&seen) {
                    let before = *seen;
                    self.finding(format_args!(
                        "{name} of {} has gone back: {before:?}, then {sums:?}",
                        target.name
                    ));
                }
                let counts = &self.world.counts;
                counts.add(CALLBACKS, sums.calls.saturating_sub(seen.calls));
                counts.add(INJECTED, sums.injected.saturating_sub(seen.injected));
                *seen = sums;
                Some(sums)
            }
            Err(error) => {
                self.finding(format_args!("counters of {}: {error:#}", target.name));
                None
            }
        }
    }
}

/// What is counted of the targets' own counters.
pub const CALLBACKS: &str = "callbacks seen";
/// The same of those that were made to fail.
pub const INJECTED: &str = "failures injected";
