// SPDX-License-Identifier: GPL-2.0

//! The module's interface in debugfs, as `module/control.rs` and `module/files.rs` make it.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};

use crate::kernel;
use crate::model::{Call, Context, Counters, MODULE_NAME, NotifierEvent};

/// The module's folder, where debugfs is mounted in its usual place.
pub const FOLDER: &str = "/sys/kernel/debug/mmu_notifier_inject";

/// First part of the names of our targets; the runner's pid and the target's follow.
const NAME_PREFIX: &str = "mn-inject.";

/// Writes `text` as one write(2), since that is what the module takes for one line.
fn write_once(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
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

/// Calls of all targets since the module was loaded.
pub fn total_calls() -> Result<u64> {
    let path = Path::new(FOLDER).join("total");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} does not hold a number: {text:?}", path.display()))
}

/// Says `line` to the module.
fn control(line: &str) -> Result<()> {
    let path = Path::new(FOLDER).join("control");
    write_once(&path, line).with_context(|| format!("\"{line}\" > {} failed", path.display()))
}

/// The module, loaded from a file. Unloaded when dropped.
#[derive(Debug)]
pub struct LoadedModule(());

impl LoadedModule {
    /// Loads the module from `path`. Its folder must not be there yet.
    pub fn load(path: &Path) -> Result<Self> {
        if is_there() {
            bail!(
                "the module is loaded already; unload it (rmmod {MODULE_NAME}), or leave out --module"
            );
        }
        let file =
            File::open(path).with_context(|| format!("cannot open module {}", path.display()))?;
        finit_module(&file, c"", ModuleInitFlags::empty()).with_context(|| {
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
    name: String,
    folder: PathBuf,
    log: File,
    unread: String,
    attached: bool,
}

impl Attachment {
    /// Attaches a notifier to the process `pid`; it agrees to everything.
    pub fn new(pid: i32) -> Result<Self> {
        let name = format!("{NAME_PREFIX}{}-{pid}", std::process::id());
        control(&format!("attach {pid} name={name}"))?;
        let folder = Path::new(FOLDER).join("targets").join(&name);
        let log = File::open(folder.join("log"));
        match log {
            Ok(log) => Ok(Attachment {
                name,
                folder,
                log,
                unread: String::new(),
                attached: true,
            }),
            Err(error) => {
                control(&format!("detach {name}"))?;
                Err(error).with_context(|| format!("cannot open the log in {}", folder.display()))
            }
        }
    }

    fn set(&self, file: &str, value: &str) -> Result<()> {
        let path = self.folder.join(file);
        write_once(&path, value).with_context(|| format!("{value:?} > {} failed", path.display()))
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

    /// The calls since the last time.
    pub fn new_calls(&mut self) -> Result<Vec<Call>> {
        let path = self.folder.join("log");
        self.log
            .read_to_string(&mut self.unread)
            .with_context(|| format!("cannot read {}", path.display()))?;
        // A reader never sees part of a line that stays so: the rest comes with the next read.
        let complete = self.unread.rfind('\n').map_or(0, |last| last + 1);
        let calls = self.unread[..complete]
            .lines()
            .map(|line| parse_call(line).with_context(|| format!("in {}", path.display())))
            .collect();
        self.unread.drain(..complete);
        calls
    }

    /// The module's counters.
    pub fn counters(&self) -> Result<Counters> {
        let path = self.folder.join("counters");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        parse_counters(text.trim()).with_context(|| format!("in {}", path.display()))
    }

    /// Detaches the notifier, and waits until no callback of it runs any more.
    pub fn detach(mut self) -> Result<()> {
        self.attached = false;
        control(&format!("detach {}", self.name))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.attached
            && let Err(error) = control(&format!("detach {}", self.name))
        {
            eprintln!("mn-inject: {error:#}");
        }
    }
}

/// Detaches what an earlier run of this program left because it was killed.
pub fn detach_stale() -> Result<()> {
    let targets = Path::new(FOLDER).join("targets");
    let entries =
        fs::read_dir(&targets).with_context(|| format!("cannot read {}", targets.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", targets.display()))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some((runner, _)) = name
            .strip_prefix(NAME_PREFIX)
            .and_then(|pids| pids.split_once('-'))
        else {
            continue;
        };
        if kernel::is_dead(runner) {
            control(&format!("detach {name}"))?;
        }
    }
    Ok(())
}

/// Splits a line of `key=value` words, and demands these keys in this order.
fn values<'a, const N: usize>(line: &'a str, keys: [&str; N]) -> Result<[&'a str; N]> {
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

/// A hexadecimal number with `0x`.
fn hex(text: &str) -> Result<u64> {
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

/// Parses one line of a target's `log`.
pub fn parse_call(line: &str) -> Result<Call> {
    let [
        seq,
        time_ns,
        event,
        start,
        end,
        context,
        tid,
        comm,
        returned,
    ] = values(
        line,
        [
            "seq", "time_ns", "event", "start", "end", "context", "tid", "comm", "returned",
        ],
    )?;
    Ok(Call {
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
        returned: returned
            .parse()
            .with_context(|| format!("returned in {line:?}"))?,
    })
}

/// Parses a target's `counters`.
pub fn parse_counters(line: &str) -> Result<Counters> {
    let [calls, injected, overwritten] = values(line, ["calls", "injected", "overwritten"])?;
    let number = |text: &str| {
        text.parse()
            .with_context(|| format!("{text:?} is no number in {line:?}"))
    };
    Ok(Counters {
        calls: number(calls)?,
        injected: number(injected)?,
        overwritten: number(overwritten)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "seq=7 time_ns=1203 event=CLEAR start=0x7000 end=0xffffffffffffffff \
                        context=nonblockable tid=34 comm=oom\\x20reap\\x5c returned=-11";

    #[test]
    fn parses_a_call() {
        let call = parse_call(LINE).unwrap();
        assert_eq!(call.seq, 7);
        assert_eq!(call.event, NotifierEvent::Clear);
        assert_eq!((call.start, call.end), (0x7000, u64::MAX));
        assert_eq!(call.context, Context::NonBlockable);
        assert_eq!(call.comm, "oom reap\\");
        assert_eq!(call.returned, -11);
    }

    #[test]
    fn refuses_what_the_module_does_not_write() {
        for (from, to) in [
            ("event=CLEAR", "event=CLEARED"),
            ("context=nonblockable", "context=maybe"),
            ("seq=7", "seq=-7"),
            ("start=0x7000", "start=7000"),
            ("returned=-11", "returned="),
            ("returned=-11", "returned=-11 more=1"),
            (" tid=34", ""),
            ("\\x20", "\\xZZ"),
            ("\\x5c", "\\x5"),
        ] {
            let line = LINE.replace(from, to);
            assert_ne!(line, LINE);
            assert!(parse_call(&line).is_err(), "{line}");
        }
    }

    #[test]
    fn parses_counters() {
        let counters = parse_counters("calls=5 injected=3 overwritten=0").unwrap();
        assert_eq!((counters.calls, counters.injected), (5, 3));
        assert!(parse_counters("calls=5 injected=3").is_err());
        assert!(parse_counters("calls=5 injected=x overwritten=0").is_err());
    }
}
