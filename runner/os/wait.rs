// SPDX-License-Identifier: GPL-2.0

//! Waiting for processes and descriptors with a deadline, without missing a signal that ends us.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Why a wait ended without what was waited for.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error("{what} did not come within {} s", .after.as_secs_f32())]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A signal asks us to end.
    #[error("ended by {0}")]
    Interrupted(Signal),
    /// The kernel refused.
    #[error("waiting for {what} failed: {errno}")]
    System {
        /// What was waited for.
        what: String,
        /// Why.
        errno: Errno,
    },
}

/// A time limit, of which only the time counts in which this process looks whether it has passed.
///
/// While a guest is paused or a control group frozen, nothing can come: who takes that time for
/// waiting finds that something waits for ever.
#[derive(Debug)]
pub struct Limit {
    left: Duration,
    looked: Instant,
}

impl Limit {
    /// How often it is looked at least.
    const SLICE: Duration = Duration::from_millis(100);

    /// A limit that begins now.
    pub fn new(limit: Duration) -> Self {
        Limit {
            left: limit,
            looked: Instant::now(),
        }
    }

    /// Whether it has passed. To be asked at least after each [`Self::slice`].
    pub fn is_over(&mut self) -> bool {
        self.is_over_at(Instant::now())
    }

    fn is_over_at(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.looked);
        self.looked = now;
        // A busy machine may be late, and everybody is then.
        self.left = self.left.saturating_sub(passed.min(2 * Self::SLICE));
        self.left.is_zero()
    }

    /// For how long to wait until it is asked again.
    pub fn slice(&self) -> Duration {
        self.left.min(Self::SLICE)
    }
}

/// The signals that end a run, and `SIGCHLD`, as a descriptor.
///
/// While one exists they are blocked in this thread, so a run ends where it waits, and everything
/// it has set up is taken down by its owners.
#[derive(Debug)]
pub struct Waiter {
    signals: SignalFd,
    before: SigSet,
}

const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

impl Waiter {
    /// Blocks the signals. Only one may exist at a time, in the main thread.
    pub fn new() -> Result<Self, Errno> {
        let mut mask = SigSet::empty();
        for signal in ENDING {
            mask.add(signal);
        }
        mask.add(Signal::SIGCHLD);
        let before = SigSet::thread_get_mask()?;
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Waiter { signals, before })
    }

    /// Takes the pending signals. Fails if one of them ends the run.
    pub fn check(&self) -> Result<(), WaitError> {
        loop {
            match self.signals.read_signal() {
                Ok(Some(info)) => {
                    let signal = ENDING
                        .into_iter()
                        .find(|&signal| u32::try_from(signal as i32) == Ok(info.ssi_signo));
                    if let Some(signal) = signal {
                        return Err(WaitError::Interrupted(signal));
                    }
                }
                Ok(None) => return Ok(()),
                Err(errno) => {
                    return Err(WaitError::System {
                        what: "a signal".into(),
                        errno,
                    });
                }
            }
        }
    }

    /// Sleeps until `fd` can be read (if there is one), a signal comes, or for that long.
    fn sleep(&self, fd: Option<BorrowedFd<'_>>, time: Duration) -> Result<bool, Errno> {
        // Rounded up: a wait of nothing would spin.
        let time =
            PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(fd) = fd {
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        match poll(&mut fds, time) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(fds.get(1).is_some_and(|fd| fd.any().unwrap_or(false)))
    }

    /// Waits until `fd` can be read, or has come to its end.
    pub fn readable(
        &self,
        fd: BorrowedFd<'_>,
        what: &str,
        limit: Duration,
    ) -> Result<(), WaitError> {
        let mut left = Limit::new(limit);
        loop {
            self.check()?;
            let ready = self
                .sleep(Some(fd), left.slice())
                .map_err(|errno| WaitError::System {
                    what: what.into(),
                    errno,
                })?;
            if ready {
                return Ok(());
            }
            if left.is_over() {
                return Err(WaitError::Deadline {
                    what: what.into(),
                    after: limit,
                });
            }
        }
    }

    /// Waits until some child may have changed its state, or for that long.
    pub fn child_changes(&self, limit: Duration) -> Result<(), WaitError> {
        self.check()?;
        let slept = self.sleep(None, limit);
        slept.map(drop).map_err(|errno| WaitError::System {
            what: "a child".into(),
            errno,
        })
    }

    /// Waits until the child `pid` changes its state, and takes the change.
    pub fn child(&self, pid: Pid, what: &str, limit: Duration) -> Result<WaitStatus, WaitError> {
        let mut left = Limit::new(limit);
        let system = |errno| WaitError::System {
            what: what.into(),
            errno,
        };
        loop {
            self.check()?;
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                Ok(status) => return Ok(status),
                Err(errno) => return Err(system(errno)),
            }
            if left.is_over() {
                return Err(WaitError::Deadline {
                    what: what.into(),
                    after: limit,
                });
            }
            self.sleep(None, left.slice()).map_err(system)?;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and the program is about to end.
        let _ = self.before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_passes_while_somebody_looks() {
        let mut limit = Limit::new(Duration::from_secs(1));
        let begin = limit.looked;
        for look in 1..10 {
            assert!(!limit.is_over_at(begin + look * Limit::SLICE), "{look}");
        }
        assert_eq!(limit.slice(), Limit::SLICE);
        assert!(limit.is_over_at(begin + 10 * Limit::SLICE));
        assert_eq!(limit.slice(), Duration::ZERO);
    }

    #[test]
    fn no_limit_passes_while_all_stands_still() {
        let mut limit = Limit::new(Duration::from_secs(1));
        let begin = limit.looked;
        assert!(!limit.is_over_at(begin + Duration::from_secs(3600)));
        // The clock may be read by another processor.
        assert!(!limit.is_over_at(begin));
    }
}
