// SPDX-License-Identifier: GPL-2.0

//! The measured process: both of its ends.
//!
//! Each variant has a process of its own, since an address space that has had a notifier is not the
//! same again: its list of notifiers stays until it is freed. The process writes `ready`. To
//! `filled CALLS` and `empty CALLS` it answers `took` and a number of nanoseconds for each call. It
//! ends with its input.

use std::io::{self, BufRead as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::mman::MmapAdvise;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use mn_inject::os::sys::Area;
use mn_inject::os::wait::Patience;
use mn_inject::trigger::peer;
use mn_inject::trigger::peer::Peer;

/// Subcommand of this program that is the process, and its name in messages.
pub const COMMAND: &str = "measured";

/// Number of pages that are zapped by each call.
pub const PAGES: usize = 16;

/// Calls that are made first and not measured.
const WARM_UP: usize = 10;

/// Time limit for an answer. The process is busy all the time, and measures thousands of calls.
pub const STEP: Duration = Duration::from_secs(60);

/// Body of the process. Returns at the end of its input.
pub fn main() -> Result<()> {
    peer::introduce(c"mn-measured")?;
    let area = Area::map(PAGES, None)?;
    let mut output = io::stdout().lock();
    writeln!(output, "ready {PAGES}")?;
    output.flush()?;
    for line in io::stdin().lock().lines() {
        let line = line.context("standard input")?;
        let is_filled = match line.split_once(' ') {
            Some(("filled", _)) => true,
            Some(("empty", _)) => false,
            _ => bail!("{line:?} is no command for a measured process"),
        };
        let calls = line.split_once(' ').and_then(|(_, n)| n.parse().ok());
        let calls = calls.with_context(|| format!("{line:?} has no number"))?;
        measure(&area, is_filled, WARM_UP)?;
        let took = measure(&area, is_filled, calls)?;
        let took: Vec<_> = took.iter().map(u64::to_string).collect();
        writeln!(output, "took {}", took.join(" "))?;
        output.flush()?;
    }
    Ok(())
}

/// Nanoseconds of each call of `madvise(2)`.
fn measure(area: &Area, is_filled: bool, calls: usize) -> Result<Vec<u64>> {
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        if is_filled {
            area.fill()?;
        }
        let begin = Instant::now();
        area.advise(MmapAdvise::MADV_DONTNEED)?;
        let end = begin.elapsed();
        took.push(u64::try_from(end.as_nanos())?);
    }
    Ok(took)
}

/// The other end. Dropping it ends the process.
#[derive(Debug)]
pub struct Measured {
    peer: Peer,
}

impl Measured {
    /// Starts a process.
    ///
    /// # Errors
    ///
    /// It cannot be started, or does not answer.
    pub fn start(patience: &dyn Patience) -> Result<Self> {
        let mut peer = Peer::start(COMMAND)?;
        peer.answer("ready", patience, STEP)?;
        Ok(Measured { peer })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.peer.pid()
    }

    /// Nanoseconds of each of so many calls, before which all pages are written, or none.
    ///
    /// # Errors
    ///
    /// The process does not answer.
    pub fn measure(
        &mut self,
        is_filled: bool,
        calls: usize,
        patience: &dyn Patience,
    ) -> Result<Vec<u64>> {
        let word = if is_filled { "filled" } else { "empty" };
        self.peer.say(&format!("{word} {calls}"))?;
        let took = self.peer.answer("took", patience, STEP)?;
        let took: Vec<u64> = took
            .split(' ')
            .map(|number| number.parse().with_context(|| format!("{number:?} ns")))
            .collect::<Result<_>>()?;
        if took.len() != calls {
            bail!("{} of {calls} calls were measured", took.len());
        }
        Ok(took)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.peer.close();
        if let Err(errno) = waitpid(self.pid(), None) {
            eprintln!(
                "mn-selftest: cannot wait for {COMMAND} {}: {errno}",
                self.pid()
            );
        }
    }
}
