// SPDX-License-Identifier: GPL-2.0

//! Waiting for descriptors and child processes with a time limit.
//!
//! The main thread waits by a [`Waiter`], which also ends the wait when a signal asks the program
//! to end. Other threads wait by a [`PollWaiter`]. A function that works in either takes
//! a [`Patience`].

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

pub use crate::os::limit::Limit;

/// Reason why a wait ended without its event.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The time limit passed.
    #[error("{what} did not come within {} s", .after.as_secs_f32())]
    Deadline {
        /// The event.
        what: String,
        /// The time limit.
        after: Duration,
    },
    /// A signal asks the program to end.
    #[error("ended by {0}")]
    Interrupted(Signal),
    /// A system call failed.
    #[error("waiting for {what} failed: {errno}")]
    System {
        /// The event.
        what: String,
        /// Its errno.
        errno: Errno,
    },
}

/// A way to wait, in slices so that a [`Limit`] can be checked.
pub trait Patience {
    /// Checks whether the program is to end.
    ///
    /// # Errors
    ///
    /// [`WaitError::Interrupted`], or [`WaitError::System`] where that cannot be found out.
    fn check(&self) -> Result<(), WaitError>;

    /// Sleeps until `fd` (if there is one) can be read or its other end is closed, until a signal
    /// comes that this waits for, or for at most `time`. Returns whether `fd` is ready.
    ///
    /// # Errors
    ///
    /// The errno of `poll(2)`.
    fn sleep(&self, fd: Option<BorrowedFd<'_>>, time: Duration) -> Result<bool, Errno>;

    /// Waits until `fd` can be read or its other end is closed. `what` is for messages.
    ///
    /// # Errors
    ///
    /// Each [`WaitError`].
    fn readable(&self, fd: BorrowedFd<'_>, what: &str, limit: Duration) -> Result<(), WaitError> {
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

    /// Waits until the child `pid` changes its state, and takes the change (`waitpid(2)`). `what`
    /// is for messages.
    ///
    /// # Errors
    ///
    /// Each [`WaitError`].
    fn child(&self, pid: Pid, what: &str, limit: Duration) -> Result<WaitStatus, WaitError> {
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

/// Polls the descriptors for at most `time`, rounded up: a timeout of 0 ms would spin.
fn poll_for(fds: &mut [PollFd<'_>], time: Duration) -> Result<(), Errno> {
    let time = PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(fds, time) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The signals that end a run, and `SIGCHLD`, as a descriptor.
///
/// While it exists, they are blocked in this thread. So a run ends only where it waits, and
/// everything that it has set up is taken down by its owners.
#[derive(Debug)]
pub struct Waiter {
    signals: SignalFd,
    before: SigSet,
}

const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

impl Waiter {
    /// Blocks the signals. Only one may exist at a time, in the main thread.
    ///
    /// # Errors
    ///
    /// The errno of `pthread_sigmask(3)` or `signalfd(2)`.
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

    /// Waits until some child may have changed its state, or for that time.
    pub fn child_changes(&self, time: Duration) -> Result<(), WaitError> {
        self.check()?;
        let slept = self.sleep(None, time);
        slept.map(drop).map_err(|errno| WaitError::System {
            what: "a child".into(),
            errno,
        })
    }

    /// [`Patience::child`].
    pub fn child(&self, pid: Pid, what: &str, limit: Duration) -> Result<WaitStatus, WaitError> {
        Patience::child(self, pid, what, limit)
    }
}

impl Patience for Waiter {
    fn check(&self) -> Result<(), WaitError> {
        Waiter::check(self)
    }

    fn sleep(&self, fd: Option<BorrowedFd<'_>>, time: Duration) -> Result<bool, Errno> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(fd.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        poll_for(&mut fds, time)?;
        Ok(fds.get(1).is_some_and(|fd| fd.any().unwrap_or(false)))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and the program is about to end.
        let _ = self.before.thread_set_mask();
    }
}

/// Waits by `poll(2)` and takes no signals. Any thread may use it, and any number of them at a
/// time.
#[derive(Clone, Copy, Debug, Default)]
pub struct PollWaiter;

impl PollWaiter {
    /// Time between two looks at a child: there is no `SIGCHLD` to wait for, and a pidfd does not
    /// report a child that stops.
    const CHILD: Duration = Duration::from_millis(1);
}

impl Patience for PollWaiter {
    fn check(&self) -> Result<(), WaitError> {
        Ok(())
    }

    fn sleep(&self, fd: Option<BorrowedFd<'_>>, time: Duration) -> Result<bool, Errno> {
        let Some(fd) = fd else {
            poll_for(&mut [], time.min(Self::CHILD))?;
            return Ok(false);
        };
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        poll_for(&mut fds, time)?;
        Ok(fds[0].any().unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Long enough for a machine that has much else to do; no test waits for it.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_pipe_is_readable_when_it_is_written_or_closed() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        PollWaiter.readable(reader.as_fd(), "a byte", LONG).unwrap();

        let (reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        PollWaiter
            .readable(reader.as_fd(), "the end", LONG)
            .unwrap();
    }

    #[test]
    fn a_wait_without_its_event_ends_at_the_limit() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let limit = Duration::from_millis(5);
        let error = PollWaiter.readable(reader.as_fd(), "a byte", limit);
        assert_eq!(
            error.unwrap_err().to_string(),
            "a byte did not come within 0.005 s"
        );
    }

    #[test]
    fn several_threads_wait_at_a_time() {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut child = Command::new("cat")
                        .stdin(Stdio::piped())
                        .stdout(Stdio::piped())
                        .spawn()
                        .unwrap();
                    let pid = Pid::from_raw(child.id() as i32);
                    let mut input = child.stdin.take().unwrap();
                    let output = child.stdout.take().unwrap();
                    input.write_all(b"x\n").unwrap();
                    PollWaiter.readable(output.as_fd(), "a line", LONG).unwrap();

                    let still = PollWaiter.child(pid, "the end", Duration::from_millis(5));
                    assert!(matches!(still, Err(WaitError::Deadline { .. })));
                    drop(input);
                    let status = PollWaiter.child(pid, "the end", LONG).unwrap();
                    assert_eq!(status, WaitStatus::Exited(pid, 0));
                    // It was waited for, so it is no child any more.
                    assert!(child.wait().is_err());
                    let gone = PollWaiter.child(pid, "the end", LONG);
                    assert!(matches!(gone, Err(WaitError::System { .. })));
                });
            }
        });
    }
}
