// SPDX-License-Identifier: GPL-2.0

//! The module's interface in debugfs, as `module/control.rs` and `module/files.rs` make it.

pub mod sources;

use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use nix::unistd::Pid;

use crate::model::{Call, Context, Counters, FollowUp, Later, MODULE_NAME, NotifierEvent};
use crate::os::kernel;
use crate::trigger::guard::Guard;

/// The module's folder, where debugfs is mounted in its usual place.
pub const FOLDER: &str = "/sys/kernel/debug/mmu_notifier_inject";

/// The module's device: what is attached through an open file of it is detached when that is
/// closed, also where its owner was killed.
pub const DEVICE: &str = "/dev/mmu_notifier_inject";

/// First part of the names of our targets; the runner's pid and the target's follow.
const NAME_PREFIX: &str = "mn-inject.";

/// The name of the target that a run has to itself, without a notifier: names are unique.
const CLAIM: &str = "mn-inject.run";

/// Writes `text` as one write(2), since that is what the module takes for one line.
fn write_once(mut file: impl Write, text: &str) -> io::Result<()> {
    let written = file.write(text.as_bytes())?;
    if written != text.len() {
        return Err(io::Error::new(
            io::ErrorKind::WriteZero,
            format!("only {written} of {} bytes were taken", text.len()),
        ));
    }
    Ok(())
}

/// Whether the module is loaded and its folder can be reached.
pub fn is_there() -> bool {
    Path::new(FOLDER).join("control").exists()
}

/// Whether that process is the run that has claimed the module.
pub fn is_claimed_by(run: Pid) -> bool {
    let targets = fs::read_to_string(control_file()).unwrap_or_default();
    let (name, pid) = (format!("name={CLAIM}"), format!("pid={run}"));
    targets.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&name.as_str()) && words.contains(&pid.as_str())
    })
}

/// The targets that runs have left that were killed. Those that are attached by way of the device
/// are not among them: they go with it.
pub fn stale() -> Result<Vec<String>> {
    let path = control_file();
    let targets =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let names = targets
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("name="));
    Ok(names
        .filter(|name| is_stale(name))
        .map(str::to_owned)
        .collect())
}

/// Whether a target is one of a run that is no more, by its name.
fn is_stale(name: &str) -> bool {
    let run = name
        .strip_prefix(NAME_PREFIX)
        .and_then(|rest| rest.split_once('-'));
    run.is_some_and(|(pid, _)| kernel::is_dead(pid))
}

/// What detaches a target.
pub fn detach_line(name: &str) -> String {
    format!("detach {name}")
}

/// Log entries of all targets since the module was loaded.
pub fn total_entries() -> Result<u64> {
    let path = Path::new(FOLDER).join("total");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} does not hold a number: {text:?}", path.display()))
}

/// A hold on the module: what was attached through it is detached when it is dropped, or when this
/// process is killed.
#[derive(Clone, Debug)]
pub struct Connection(Arc<File>);

impl Connection {
    /// Opens the module's device. While it is open the module cannot be unloaded.
    pub fn open() -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(DEVICE);
        let file = file.with_context(|| {
            format!("cannot open {DEVICE}; the module makes it where devtmpfs is mounted on /dev")
        })?;
        Ok(Connection(Arc::new(file)))
    }

    fn say(&self, line: &str) -> Result<()> {
        write_once(&*self.0, line).with_context(|| format!("\"{line}\" > {DEVICE} failed"))
    }

    /// Keeps other runs away for as long as the connection lasts: of two at a time, each would count
    /// the calls of the other.
    pub fn claim(&self) -> Result<()> {
        let line = format!("attach {} name={CLAIM} kind=none", std::process::id());
        match write_once(&*self.0, &line) {
            Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => bail!(
                "another run is at work with the module (its process is that of the target {CLAIM} \
                 in {}); wait until it has ended",
                control_file().display()
            ),
            result => result.with_context(|| format!("\"{line}\" > {DEVICE} failed")),
        }
    }

    /// Attaches a notifier; it agrees to everything, and logs all calls.
    pub fn attach(&self, what: &Attach<'_>) -> Result<Attachment> {
        let name = what.name();
        self.say(&what.line())?;
        let folder = Path::new(FOLDER).join("targets").join(&name);
        let attachment = LogReader::open(folder.join("log"), what.index).and_then(|log| {
            let attachment = Attachment {
                connection: self.clone(),
                name: name.clone(),
                folder,
                log,
                attached: true,
            };
            attachment.set("record", "all")?;
            Ok(attachment)
        });
        if attachment.is_err() {
            // Where it was attached, it is detached already when it is dropped.
            let _ = self.say(&detach_line(&name));
        }
        attachment
    }
}

/// What is to be attached to which process.
#[derive(Clone, Copy, Debug)]
pub struct Attach<'a> {
    /// The process.
    pub pid: i32,
    /// The target's number among those of the process, which is part of its name.
    pub index: usize,
    /// The kind of notifier: a word that the module knows.
    pub kind: &'a str,
    /// The addresses that an interval notifier watches.
    pub range: Option<(u64, u64)>,
}

impl Attach<'_> {
    /// The target's name.
    pub fn name(&self) -> String {
        format!(
            "{NAME_PREFIX}{}-{}-{}",
            std::process::id(),
            self.pid,
            self.index
        )
    }

    /// The line that attaches it.
    pub fn line(&self) -> String {
        self.line_to(&self.pid.to_string(), "")
    }

    /// The line that attaches it to another object than the process, in another way; `how` is a
    /// further option, or empty.
    pub fn line_to(&self, object: &str, how: &str) -> String {
        let mut line = format!("attach {object} name={} kind={}", self.name(), self.kind);
        if let Some((start, end)) = self.range {
            line.push_str(&format!(" range={start:#x}-{end:#x}"));
        }
        if !how.is_empty() {
            line.push_str(&format!(" how={how}"));
        }
        line
    }
}

/// A file in a target's folder.
pub fn target_file(name: &str, file: &str) -> PathBuf {
    Path::new(FOLDER).join("targets").join(name).join(file)
}

/// The file that takes the lines of everybody.
pub fn control_file() -> PathBuf {
    Path::new(FOLDER).join("control")
}

/// The module, loaded from a file. Unloaded when dropped.
#[derive(Debug)]
pub struct LoadedModule(());

impl LoadedModule {
    /// Loads the module from `path` with these parameters. Its folder must not be there yet.
    pub fn load(path: &Path, parameters: &CStr) -> Result<Self> {
        demand_absent()?;
        let file =
            File::open(path).with_context(|| format!("cannot open module {}", path.display()))?;
        finit_module(&file, parameters, ModuleInitFlags::empty()).with_context(|| {
            format!(
                "the kernel does not take module {}: see the last lines of dmesg for why",
                path.display()
            )
        })?;
        let loaded = LoadedModule(());
        if !is_there() {
            bail!(
                "the module is loaded, but {FOLDER} is not there: mount debugfs on /sys/kernel/debug"
            );
        }
        Ok(loaded)
    }
}

/// Refuses a module that is loaded already: somebody else has loaded it.
fn demand_absent() -> Result<()> {
    if is_there() {
        bail!(
            "the module is loaded already; unload it (rmmod {MODULE_NAME}), or leave out --module"
        );
    }
    Ok(())
}

impl LoadedModule {
    /// The same with a guard, which unloads it where this process is killed.
    pub fn load_guarded(path: &Path, parameters: &CStr, guard: Option<&mut Guard>) -> Result<Self> {
        demand_absent()?;
        if let Some(guard) = guard {
            guard.guard_module()?;
        }
        Self::load(path, parameters)
    }

    /// Leaves it loaded.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        let name = CString::new(MODULE_NAME).unwrap_or_default();
        if let Err(errno) = delete_module(&name, DeleteModuleFlags::O_NONBLOCK) {
            eprintln!("mn-inject: cannot unload {MODULE_NAME}: {errno}");
        }
    }
}

/// A process with a notifier of ours on its address space. Detached when dropped.
#[derive(Debug)]
pub struct Attachment {
    connection: Connection,
    name: String,
    folder: PathBuf,
    log: LogReader,
    attached: bool,
}

/// Reads the log of a target, each entry once.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    file: File,
    /// Number of the notifier.
    index: usize,
    unread: String,
}

impl LogReader {
    fn open(path: PathBuf, index: usize) -> Result<Self> {
        Ok(LogReader {
            file: File::open(&path).with_context(|| format!("cannot open {}", path.display()))?,
            path,
            index,
            unread: String::new(),
        })
    }

    /// What was logged since the last time.
    pub fn new_entries(&mut self) -> Result<Entries> {
        let path = &self.path;
        self.file
            .read_to_string(&mut self.unread)
            .with_context(|| format!("cannot read {}", path.display()))?;
        // A reader never sees part of a line that stays so: the rest comes with the next read.
        let complete = self.unread.rfind('\n').map_or(0, |last| last + 1);
        let mut entries = Entries::default();
        for line in self.unread[..complete].lines() {
            let entry = parse_entry(line, self.index);
            match entry.with_context(|| format!("in {}", path.display()))? {
                Entry::Start(call) => entries.calls.push(call),
                Entry::Later(later) => entries.later.push(later),
            }
        }
        self.unread.drain(..complete);
        Ok(entries)
    }
}

impl Attachment {
    /// The target's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes to a file in the target's folder.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        let path = self.folder.join(file);
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| write_once(file, value))
            .with_context(|| format!("{value:?} > {} failed", path.display()))
    }

    /// Reads a file in the target's folder.
    pub fn get(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Only calls that touch an address from the first to before the second are meant.
    pub fn set_range(&self, (start, end): (u64, u64)) -> Result<()> {
        self.set("range", &format!("{start:#x}-{end:#x}"))
    }

    /// Sets what calls with any event return: 0 or a negative errno.
    pub fn set_errors(&self, errno: i32) -> Result<()> {
        for event in NotifierEvent::ALL {
            self.set(&format!("actions/{event}/error"), &errno.to_string())?;
        }
        Ok(())
    }

    /// What was logged since the last time.
    pub fn new_entries(&mut self) -> Result<Entries> {
        self.log.new_entries()
    }

    /// Another reader of the log, for what is logged from now on.
    pub fn follow(&self) -> Result<LogReader> {
        let mut log = LogReader::open(self.folder.join("log"), self.log.index)?;
        log.new_entries()?;
        Ok(log)
    }

    /// The module's counters.
    pub fn counters(&self) -> Result<Counters> {
        let text = self.get("counters")?;
        parse_counters(&text).with_context(|| format!("counters of {}", self.name))
    }

    /// `mm_users` and `mm_count` of the address space, as its counts are.
    pub fn mm_counts(&self) -> Result<(i64, i64)> {
        let text = self.get("mm")?;
        let [users, count] = values(text.trim_end(), ["users", "count"])?;
        let number = |text: &str| {
            text.parse()
                .with_context(|| format!("{text:?} is no number in mm of {}", self.name))
        };
        Ok((number(users)?, number(count)?))
    }

    /// Notes that somebody else has detached it, or is about to for ever.
    pub fn forget(mut self) {
        self.attached = false;
    }

    /// Detaches the notifier, and waits until no callback of it runs any more.
    pub fn detach(mut self) -> Result<()> {
        self.attached = false;
        self.connection.say(&detach_line(&self.name))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.attached
            && let Err(error) = self.connection.say(&detach_line(&self.name))
        {
            eprintln!("mn-inject: {error:#}");
        }
    }
}

/// Splits a line of `key=value` words, and demands these keys in this order.
pub fn values<'a, const N: usize>(line: &'a str, keys: [&str; N]) -> Result<[&'a str; N]> {
    let mut words = line.split(' ');
    let mut found = [""; N];
    for (slot, key) in found.iter_mut().zip(keys) {
        let value = words
            .next()
            .and_then(|word| word.strip_prefix(key))
            .and_then(|rest| rest.strip_prefix('='));
        match value {
            Some(value) => *slot = value,
            None => bail!("no {key}= where it should stand in {line:?}"),
        }
    }
    if words.next().is_some() {
        bail!("more words than expected in {line:?}");
    }
    Ok(found)
}

/// A hexadecimal number with `0x`, as the module writes addresses.
pub fn hex(text: &str) -> Result<u64> {
    let digits = text
        .strip_prefix("0x")
        .with_context(|| format!("{text:?} does not begin with 0x"))?;
    u64::from_str_radix(digits, 16).with_context(|| format!("{text:?} is no address"))
}

/// Undoes the module's `\xNN`.
fn unescape(word: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find("\\x") {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest
            .get(at + 2..at + 4)
            .with_context(|| format!("cut escape in {word:?}"))?;
        bytes.push(
            u8::from_str_radix(digits, 16).with_context(|| format!("bad escape in {word:?}"))?,
        );
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a target's log has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The starts of invalidations.
    pub calls: Vec<Call>,
    /// The other entries.
    pub later: Vec<Later>,
}

impl Entries {
    /// When the injector did something for the first time, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn first_injected(&self) -> Option<u64> {
        let calls = self.calls.iter().map(|call| (call.injected, call.time_ns));
        let later = self
            .later
            .iter()
            .map(|later| (later.injected, later.time_ns));
        let injected = calls.chain(later).filter(|(injected, _)| *injected);
        injected.map(|(_, time_ns)| time_ns).min()
    }
}

/// One line of a target's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The start of an invalidation.
    Start(Call),
    /// An end, a finish or a release.
    Later(Later),
}

/// Parses one line of the `log` of a scenario's notifier of that index.
pub fn parse_entry(line: &str, notifier: usize) -> Result<Entry> {
    let [
        seq,
        time_ns,
        op,
        event,
        start,
        end,
        context,
        tid,
        comm,
        injected,
        returned,
        cur_seq,
        callers,
    ] = values(
        line,
        [
            "seq", "time_ns", "op", "event", "start", "end", "context", "tid", "comm", "injected",
            "returned", "cur_seq", "callers",
        ],
    )?;
    cur_seq
        .parse::<u64>()
        .with_context(|| format!("cur_seq in {line:?}"))?;
    let call = Call {
        notifier,
        seq: seq.parse().with_context(|| format!("seq in {line:?}"))?,
        time_ns: time_ns
            .parse()
            .with_context(|| format!("time_ns in {line:?}"))?,
        event: NotifierEvent::from_name(event)
            .with_context(|| format!("unknown event in {line:?}"))?,
        start: hex(start)?,
        end: hex(end)?,
        context: match context {
            "blockable" => Context::Blockable,
            "nonblockable" => Context::NonBlockable,
            _ => bail!("unknown context in {line:?}"),
        },
        tid: tid.parse().with_context(|| format!("tid in {line:?}"))?,
        comm: unescape(comm)?,
        injected: match injected {
            "0" => false,
            "1" => true,
            _ => bail!("injected in {line:?}"),
        },
        returned: returned
            .parse()
            .with_context(|| format!("returned in {line:?}"))?,
        cur_seq: cur_seq
            .parse()
            .with_context(|| format!("cur_seq in {line:?}"))?,
        callers: callers
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    let op = match op {
        "start" => return Ok(Entry::Start(call)),
        "end" => FollowUp::End,
        "finish" => FollowUp::Finish,
        "release" => FollowUp::Release,
        _ => bail!("unknown op in {line:?}"),
    };
    Ok(Entry::Later(Later {
        notifier,
        seq: call.seq,
        time_ns: call.time_ns,
        op,
        start: call.start,
        end: call.end,
        context: call.context,
        tid: call.tid,
        injected: call.injected,
    }))
}

/// Parses a target's `counters`.
pub fn parse_counters(text: &str) -> Result<Counters> {
    // What follows says the same in more detail.
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let [calls, injected, overwritten] = values(line(), ["calls", "injected", "overwritten"])?;
    let second = ["starts", "refused", "ends", "paired", "alloc_failed"];
    let [_, _, ends, _, _] = values(line(), second)?;
    let number = |number: &str| {
        number
            .parse()
            .with_context(|| format!("{number:?} is no number in {text:?}"))
    };
    Ok(Counters {
        calls: number(calls)?,
        injected: number(injected)?,
        ends: number(ends)?,
        overwritten: number(overwritten)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_run_has_left_is_stale() {
        let alive = std::process::id();
        assert!(is_stale("mn-inject.4194305-7-1001"));
        assert!(!is_stale(&format!("mn-inject.{alive}-7-1001")));
        for others in [
            "mn-inject.run",
            "kvm",
            "x-mn-inject.4194305-7",
            "mn-inject.4194305",
        ] {
            assert!(!is_stale(others), "{others}");
        }
    }

    const LINE: &str = "seq=7 time_ns=1203 op=start event=CLEAR start=0x7000 \
                        end=0xffffffffffffffff context=nonblockable tid=34 \
                        comm=oom\\x20reap\\x5c injected=1 returned=-11 cur_seq=5 callers=a,b";

    #[test]
    fn parses_a_call() {
        let Entry::Start(call) = parse_entry(LINE, 2).unwrap() else {
            panic!("no start");
        };
        assert_eq!((call.notifier, call.seq, call.cur_seq), (2, 7, 5));
        assert_eq!(call.event, NotifierEvent::Clear);
        assert_eq!((call.start, call.end), (0x7000, u64::MAX));
        assert_eq!(call.context, Context::NonBlockable);
        assert_eq!(call.comm, "oom reap\\");
        assert!(call.injected);
        assert_eq!(call.returned, -11);
        assert_eq!(call.callers, ["a", "b"]);
    }

    #[test]
    fn what_is_no_start_comes_later() {
        for (op, follow_up) in [
            ("end", FollowUp::End),
            ("finish", FollowUp::Finish),
            ("release", FollowUp::Release),
        ] {
            let line = LINE.replace("op=start", &format!("op={op}"));
            let Entry::Later(later) = parse_entry(&line, 1).unwrap() else {
                panic!("{line}");
            };
            assert_eq!((later.op, later.notifier, later.seq), (follow_up, 1, 7));
            assert!(later.injected);
        }
    }

    #[test]
    fn a_kernel_without_names_has_no_callers() {
        let line = LINE.replace("callers=a,b", "callers=");
        let Entry::Start(call) = parse_entry(&line, 0).unwrap() else {
            panic!("no start");
        };
        assert!(call.callers.is_empty());
    }

    #[test]
    fn refuses_what_the_module_does_not_write() {
        for (from, to) in [
            ("event=CLEAR", "event=CLEARED"),
            ("context=nonblockable", "context=maybe"),
            ("seq=7", "seq=-7"),
            ("start=0x7000", "start=7000"),
            ("returned=-11", "returned="),
            ("cur_seq=5", "cur_seq=-5"),
            (" cur_seq=5", ""),
            ("callers=a,b", "callers=a,b more=1"),
            ("op=start", "op=begin"),
            ("injected=1", "injected=2"),
            (" tid=34", ""),
            ("\\x20", "\\xZZ"),
            ("\\x5c", "\\x5"),
        ] {
            let line = LINE.replace(from, to);
            assert_ne!(line, LINE);
            assert!(parse_entry(&line, 0).is_err(), "{line}");
        }
    }

    #[test]
    fn parses_counters() {
        const FIRST: &str = "calls=5 injected=3 overwritten=0";
        const SECOND: &str = "starts=5 refused=3 ends=2 paired=yes alloc_failed=0";
        let text = |first: &str, second: &str| format!("{first}\n{second}\nevent=CLEAR x\n");
        let counters = parse_counters(&text(FIRST, SECOND)).unwrap();
        assert_eq!((counters.calls, counters.injected), (5, 3));
        assert_eq!((counters.ends, counters.overwritten), (2, 0));
        for (from, to) in [("injected=3", "injected=x"), (" overwritten=0", "")] {
            assert!(parse_counters(&text(&FIRST.replace(from, to), SECOND)).is_err());
        }
        for (from, to) in [("ends=2", "ends=x"), (" paired=yes", "")] {
            assert!(parse_counters(&text(FIRST, &SECOND.replace(from, to))).is_err());
        }
        assert!(parse_counters(FIRST).is_err());
    }
}
