// SPDX-License-Identifier: GPL-2.0

//! Conditions that disturb the kernel's log.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};

use mn_inject::kmsg::KmsgReader;
use mn_inject::os::limit::Limit;
use mn_inject::os::sys;
use mn_inject::os::wait::Waiter;

use crate::hostile::condition::{Act, Scene};
use crate::hostile::conditions::threads::{Threads, processors};
use crate::random::Rng;

const KMSG: &str = "/dev/kmsg";
const SYSRQ: &str = "/proc/sysrq-trigger";
const LEVELS: &str = "/proc/sys/kernel/printk";

/// Lines of user space that look like those of the kernel, and must not be taken for them.
const LINES: [&str; 4] = [
    "<6>mmu_notifier_inject_invalidate_range_start+0x0/0x60 [mmu_notifier_inject] callback failed \
     with -11 in blockable context.\n",
    "<4>mmu_notifier_inject_invalidate_range_start+0x0/0x60 [mmu_notifier_inject] callback failure \
     not allowed\n",
    "<4>WARNING: mm/mmu_notifier.c:533 at mn_hlist_invalidate_range_start+0x1/0x2, CPU#0: init/1\n",
    "<6>usb 1-1: new high-speed USB device number 2 using xhci_hcd\n",
];

/// Number of lines that are written at once.
const BURST: usize = 40;

/// Longest pause between two acts.
const PAUSE: Duration = Duration::from_millis(150);

/// Number of records that the kernel takes from one open file in five seconds
/// (`DEFAULT_RATELIMIT_BURST`). It drops the others without an error.
const LINES_PER_FILE: usize = 10;

/// Writes records from user space. An open is slow after an overrun: `devkmsg_open()` in
/// kernel/printk/printk.c goes through all records whose text was overwritten.
fn write<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut lines = lines.into_iter().peekable();
    while lines.peek().is_some() {
        let mut kmsg = OpenOptions::new()
            .write(true)
            .open(KMSG)
            .with_context(|| format!("cannot open {KMSG}"))?;
        for line in lines.by_ref().take(LINES_PER_FILE) {
            kmsg.write_all(line.as_bytes())
                .with_context(|| format!("cannot write to {KMSG}"))?;
        }
    }
    Ok(())
}

/// Threads that write records, one for each processor, and one that makes the kernel itself print.
struct Flood {
    lines: Arc<AtomicU64>,
    threads: Threads,
}

pub(crate) fn flood(_: &Waiter, _: u64) -> Result<Box<dyn Act>> {
    write([LINES[0]])?;
    let mut flood = Flood {
        lines: Arc::default(),
        threads: Threads::default(),
    };
    for number in 0..processors() + 1 {
        let lines = flood.lines.clone();
        flood.threads.start(move |is_over| {
            while !is_over.load(Relaxed) {
                let (said, count, pause) = if number == 0 {
                    // The help of sysrq: a line of the kernel, which is also printed to the
                    // console.
                    (fs::write(SYSRQ, "h").context(SYSRQ), 1, PAUSE / 2)
                } else {
                    let burst = LINES.into_iter().cycle().take(BURST);
                    (write(burst), BURST as u64, PAUSE / 100)
                };
                if said.is_err() {
                    return;
                }
                lines.fetch_add(count, Relaxed);
                // Without a pause, the run would never catch up with reading.
                std::thread::sleep(pause);
            }
        });
    }
    Ok(Box::new(flood))
}

impl Act for Flood {
    /// Counts the lines that the threads have written.
    fn act(&mut self, _: &Scene) -> Result<u64> {
        if self.threads.has_one_ended() {
            bail!("nothing can be written to the log any more");
        }
        std::thread::sleep(PAUSE / 10);
        Ok(self.lines.swap(0, Relaxed))
    }
}

/// Stops the run from time to time, until all records that it has not read are overwritten.
struct Overrun {
    rng: Rng,
    /// Lines that may still be written: a log of 4 MiB is overwritten some eight times by all of
    /// them.
    lines_left: usize,
}

pub(crate) fn overrun(_: &Waiter, seed: u64) -> Result<Box<dyn Act>> {
    Ok(Box::new(Overrun {
        rng: Rng::new(seed),
        lines_left: 40_000,
    }))
}

impl Act for Overrun {
    fn act(&mut self, scene: &Scene) -> Result<u64> {
        std::thread::sleep(4 * PAUSE.mul_f64(self.rng.fraction()));
        let Some(run) = scene.run().filter(|_| self.lines_left > 0) else {
            return Ok(0);
        };
        // The run may have ended.
        if kill(run, Signal::SIGSTOP).is_err() {
            return Ok(0);
        }
        let overwritten = overwrite(scene, &mut self.lines_left);
        let _ = kill(run, Signal::SIGCONT);
        overwritten
    }
}

/// Writes until the records at the former end of the log are overwritten. Takes the lines from those
/// that are left.
fn overwrite(scene: &Scene, lines_left: &mut usize) -> Result<u64> {
    const AT_ONCE: usize = 100;
    // Long lines, because text fills the log faster than records do.
    let line = format!("<6>{}\n", "x".repeat(900));
    let mut witness = KmsgReader::open_at_end().context("cannot open /dev/kmsg")?;
    // The witness reads one record for each hundred that are written, so that it falls behind.
    while !scene.is_over() {
        write(std::iter::repeat_n(line.as_str(), AT_ONCE))?;
        *lines_left = lines_left.saturating_sub(AT_ONCE);
        let (_, lost) = witness.read_to(|_| true, &mut Limit::new(Duration::ZERO));
        if lost.is_some_and(|lost| lost.contains("overwritten")) {
            return Ok(1);
        }
    }
    Ok(0)
}

/// Clears the log as `dmesg -C` does.
struct Clear;

pub(crate) fn clear(_: &Waiter, _: u64) -> Result<Box<dyn Act>> {
    Ok(Box::new(Clear))
}

impl Act for Clear {
    fn act(&mut self, _: &Scene) -> Result<u64> {
        sys::clear_log().context("cannot clear the kernel's log")?;
        std::thread::sleep(PAUSE / 50);
        Ok(1)
    }
}

/// Changes the console's log level. Dropping it restores the levels.
struct ConsoleLevel {
    before: String,
    rng: Rng,
}

pub(crate) fn console_level(_: &Waiter, seed: u64) -> Result<Box<dyn Act>> {
    let before = fs::read_to_string(LEVELS).with_context(|| format!("cannot read {LEVELS}"))?;
    Ok(Box::new(ConsoleLevel {
        before,
        rng: Rng::new(seed),
    }))
}

impl Act for ConsoleLevel {
    fn act(&mut self, _: &Scene) -> Result<u64> {
        let level = 1 + self.rng.below(8);
        fs::write(LEVELS, level.to_string()).with_context(|| format!("cannot write {LEVELS}"))?;
        std::thread::sleep(PAUSE / 50);
        Ok(1)
    }
}

impl Drop for ConsoleLevel {
    fn drop(&mut self) {
        if let Err(error) = fs::write(LEVELS, &self.before) {
            eprintln!("mn-selftest: cannot write {LEVELS} back: {error}");
        }
    }
}
