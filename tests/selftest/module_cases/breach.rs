// SPDX-License-Identifier: GPL-2.0

//! `zap` and the other ways to register a notifier, and that none of them breaks a rule of the
//! kernel in a module that is loaded without `breach=1`.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::unistd::gettid;

use mn_inject::model::NotifierEvent;
use mn_inject::os::kernel;
use mn_inject::os::sys;
use mn_inject::os::sys::{Area, HUGE, PAGE};
use mn_inject::trigger::operation::Operation;

use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, control, read, refused, write};
use crate::module_cases::unload::loaded_with;

/// Each kind that registers a notifier, with the words that it needs.
const KINDS: [&str; 6] = [
    "kind=plain",
    "kind=plain-end",
    "kind=plain-young",
    "kind=secondary-tlbs",
    "kind=interval range=1000-2000",
    "kind=interval-two-pass range=1000-2000",
];

/// Writes to `zap`, and returns the result of the write.
fn zap(attached: &Attached, text: &str) -> Outcome<Result<(), Errno>> {
    let file = OpenOptions::new()
        .write(true)
        .open(attached.path("zap"))
        .context("cannot open zap")?;
    write(&file, text.as_bytes())
}

/// Reads the first byte of a page of this process, which need not be mapped in.
fn byte(memory: &File, address: u64) -> Outcome<u8> {
    let mut byte = [0];
    memory
        .read_exact_at(&mut byte, address)
        .context("cannot read /proc/self/mem")?;
    Ok(byte[0])
}

pub fn zaps(rig: &Rig<'_>) -> Outcome {
    let area = Area::map(8, None).context("cannot map memory")?;
    area.unmap(6, 2).context("munmap failed")?;
    let page = |index: u64| area.range().0 + index * PAGE as u64;
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
        .context("cannot open /proc/self/mem")?;
    for index in 0..6 {
        memory
            .write_all_at(b"x", page(index))
            .context("cannot write to /proc/self/mem")?;
    }

    let attached = rig.attach(std::process::id() as i32, "")?;
    attached.set_range((page(0), page(8)))?;
    attached.set("record", "all")?;
    for (text, errno) in [
        // Nothing is mapped after page 5.
        (format!("{:#x}-{:#x}", page(5), page(7)), Errno::EFAULT),
        (format!("{:#x}-{:#x}", page(6), page(7)), Errno::EFAULT),
        (format!("{:#x}-{:#x}", page(1) + 1, page(2)), Errno::EINVAL),
        (
            format!("{:#x}-{:#x} atomic", page(1), page(2)),
            Errno::EPERM,
        ),
    ] {
        same(&text, zap(&attached, &text)?, Err(errno))?;
    }
    let due = (page(1), page(3));
    let text = format!("{:#x}-{:#x}", due.0, due.1);
    same(&text, zap(&attached, &text)?, Ok(()))?;

    let log = attached.log()?;
    let ours: Vec<_> = log
        .iter()
        .filter(|entry| entry.is_start_in((page(0), page(6))))
        .filter(|entry| entry.tid == gettid().as_raw() && entry.event == Some(NotifierEvent::Clear))
        .map(|entry| (entry.start, entry.end))
        .collect();
    same("calls by this thread", ours, vec![due])?;
    for (index, due) in [(0, b'x'), (1, 0), (2, 0), (3, b'x')] {
        same("a byte", byte(&memory, page(index))?, due)?;
    }
    attached.detach()?;

    // `zap` works with each kind, and fails once the process has exited.
    let subject = rig.start(Operation::Hold)?;
    let attached = rig.attach(subject.pid().as_raw(), "kind=none")?;
    let (start, _) = subject.watched();
    let text = format!("{start:#x}-{:#x}", start + PAGE as u64);
    same("of a live one", zap(&attached, &text)?, Ok(()))?;
    rig.finish(subject)?;
    same(
        "of one that is gone",
        zap(&attached, &text)?,
        Err(Errno::ESRCH),
    )?;
    attached.detach()
}

/// Huge pages that the kernel keeps for hugetlbfs. Their number is put back on drop.
struct HugePages {
    before: u64,
}

impl HugePages {
    /// The number of huge pages of the size that [`Area::map_huge`] maps.
    const NUMBER: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

    /// Makes the kernel keep one more.
    fn add_one() -> Outcome<Self> {
        if !Path::new(Self::NUMBER).exists() {
            return Err(Failure::Skip("the kernel has no huge pages of 2 MiB"));
        }
        let before = Self::number()?;
        let added = HugePages { before };
        Self::set(before + 1)?;
        // The kernel makes fewer of them if it has no memory in one piece.
        if Self::number()? != before + 1 {
            return Err(Failure::Skip("there is no memory for a huge page"));
        }
        Ok(added)
    }

    fn number() -> Outcome<u64> {
        let number = kernel::number(Self::NUMBER);
        Ok(number.with_context(|| format!("no number in {}", Self::NUMBER))?)
    }

    fn set(number: u64) -> Outcome {
        fs::write(Self::NUMBER, number.to_string())
            .with_context(|| format!("cannot write {}", Self::NUMBER))?;
        Ok(())
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Err(failure) = Self::set(self.before) {
            eprintln!("mn-selftest: a huge page is left: {failure:?}");
        }
    }
}

pub fn zaps_no_huge_page(rig: &Rig<'_>) -> Outcome {
    let _kept = HugePages::add_one()?;
    let area = Area::map_huge(None).context("cannot map a huge page")?;
    let page = |index: u64| area.range().0 + index * PAGE as u64;
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
        .context("cannot open /proc/self/mem")?;
    let touched = [0, 1, HUGE as u64 - 1];
    for index in touched {
        memory
            .write_all_at(b"x", page(index))
            .context("cannot write to /proc/self/mem")?;
    }
    let attached = rig.attach(std::process::id() as i32, "kind=none")?;
    // Without the check in the module, the first of these is a BUG of the kernel.
    for (first, end) in [
        (1, 2),
        (0, 1),
        (HUGE as u64 - 1, HUGE as u64),
        (0, HUGE as u64),
    ] {
        let text = format!("{:#x}-{:#x}", page(first), page(end));
        same(&text, zap(&attached, &text)?, Err(Errno::EINVAL))?;
    }
    for index in touched {
        same("a byte", byte(&memory, page(index))?, b'x')?;
    }
    area.unmap(0, area.pages()).context("munmap failed")?;
    attached.detach()
}

pub fn locked(rig: &Rig<'_>) -> Outcome {
    let mut subject = rig.start(Operation::Dontneed)?;
    let pid = subject.pid().as_raw();
    let (start, end) = subject.watched();
    for kind in ["plain", "plain-end", "plain-young"] {
        let attached = rig.attach(pid, &format!("kind={kind} how=locked"))?;
        attached.set_range((start, end))?;
        attached.set("record", "all")?;
        rig.act(&mut subject, 2)?;
        same("calls", attached.injected((start, end))?.len(), 2)?;
        attached.detach()?;
        // Works only if mmap_lock is not held any more.
        rig.act(&mut subject, 1)?;
    }
    rig.attach(pid, "kind=secondary-tlbs how=locked")?
        .detach()?;
    rig.act(&mut subject, 1)?;
    // Two, because the kernel does more for the first interval notifier of an address space.
    let words = format!("kind=interval range={start:#x}-{end:#x} how=locked");
    let both = [rig.attach(pid, &words)?, rig.attach(pid, &words)?];
    rig.act(&mut subject, 2)?;
    for attached in both {
        same("calls", attached.counters()?.calls, 2)?;
        attached.detach()?;
    }
    rig.finish(subject)
}

pub fn by_target(rig: &Rig<'_>) -> Outcome {
    let (mut subject, first) = rig.subject(Operation::Dontneed, "")?;
    let again = |words: &str| -> Outcome<(String, Result<(), Errno>)> {
        let name = rig.name();
        let line = format!("attach @{} name={name} {words}", first.name);
        Ok((name, control(line.trim_end().as_bytes())?))
    };
    let (name, result) = again("")?;
    same("attach @NAME", result, Ok(()))?;
    let second = Attached::adopt(name);
    same("pid", second.read("pid")?, first.read("pid")?)?;
    second.set_range(subject.watched())?;
    second.set("record", "all")?;
    rig.act(&mut subject, 1)?;
    same("calls", second.injected(subject.watched())?.len(), 1)?;
    second.detach()?;
    refused(b"attach @nobody name=mn-inject-x", Errno::ENOENT)?;
    refused(format!("attach @{}", first.name).as_bytes(), Errno::EINVAL)?;

    rig.finish(subject)?;
    first.demand_state("gone")?;
    for words in ["", "how=locked", "how=get", "kind=interval range=1000-2000"] {
        same("attach a gone @NAME", again(words)?.1, Err(Errno::ESRCH))?;
    }
    let (name, result) = again("kind=none")?;
    same("hold a gone @NAME", result, Ok(()))?;
    let held = Attached::adopt(name);
    held.demand_state("gone")?;
    held.detach()
}

pub fn not_allowed(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let pid = subject.pid().as_raw();
    for kind in KINDS {
        for how in ["unlocked", "recursive", "atomic", "twice"] {
            // An interval notifier cannot be registered twice, and not every kernel has two passes.
            let errno = match (kind.contains("interval"), how) {
                (true, "twice") => Errno::EINVAL,
                _ => Errno::EPERM,
            };
            let name = rig.name();
            let line = format!("attach {pid} name={name} {kind} how={how}");
            match control(line.as_bytes())? {
                Err(Errno::EOPNOTSUPP) if kind.contains("two-pass") => {}
                seen => same(&line, seen, Err(errno))?,
            }
        }
    }
    let attached = rig.attach(pid, "")?;
    for name in ["remove", "lock", "alloc_bytes"] {
        let line = format!("{name}=1");
        same(&line, attached.change(&line)?, Err(Errno::EPERM))?;
        let line = format!("{name}=0");
        same(&line, attached.change(&line)?, Ok(()))?;
    }
    demand(!attached.path("breach").exists(), || {
        "there is a folder breach without the permission".into()
    })?;
    let (start, _) = subject.watched();
    let text = format!("{start:#x}-{:#x}", start + PAGE as u64);
    // Only of a process that the writer may trace.
    let seen = without_ptrace(|| zap(&attached, &text))?;
    same("zap without CAP_SYS_PTRACE", seen, Err(Errno::EPERM))?;
    same("zap with it", zap(&attached, &text)?, Ok(()))?;
    let own = rig.attach(std::process::id() as i32, "kind=none")?;
    let area = Area::map(1, None).context("cannot map memory")?;
    let (start, end) = area.range();
    let text = format!("{start:#x}-{end:#x}");
    let seen = without_ptrace(|| zap(&own, &text))?;
    same("zap of its own without CAP_SYS_PTRACE", seen, Ok(()))?;
    own.detach()?;
    attached.detach()
}

/// The bits of `tainted` (Documentation/admin-guide/tainted-kernels.rst) that the module sets.
const TAINT_USER: u64 = 1 << 6;
const TAINT_TEST: u64 = 1 << 18;

fn tainted() -> Outcome<u64> {
    Ok(kernel::number("/proc/sys/kernel/tainted").context("cannot read tainted")?)
}

pub fn taints(rig: &Rig<'_>) -> Outcome {
    same("breach", read("breach")?.as_str(), "0\n")?;
    let test = tainted()? & TAINT_TEST;
    same("tainted by a module for tests", test, TAINT_TEST)?;
    loaded_with(rig, c"breach=1", || {
        same("breach", read("breach")?.as_str(), "1\n")?;
        if tainted()? & TAINT_USER != 0 {
            return Err(Failure::Skip("the kernel is tainted by a breach already"));
        }
        // Without a notifier the settings have no effect.
        let attached = rig.attach(std::process::id() as i32, "kind=none")?;
        attached.set_all(&[("remove", "0"), ("sleep_us", "1")])?;
        same("tainted by no breach", tainted()? & TAINT_USER, 0)?;
        attached.set("remove", "1")?;
        same("tainted", tainted()? & TAINT_USER, TAINT_USER)
    })
}

/// Calls a function in a thread without `CAP_SYS_PTRACE`.
fn without_ptrace<T: Send>(work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            sys::give_up_ptrace().context("cannot give up CAP_SYS_PTRACE")?;
            work()
        });
        match thread.join() {
            Ok(result) => result,
            Err(_) => Err(Failure::Wrong("a thread panicked".into())),
        }
    })
}
