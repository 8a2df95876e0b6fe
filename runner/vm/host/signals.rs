// SPDX-License-Identifier: GPL-2.0

//! Waits for a file descriptor, SIGINT, SIGTERM and SIGHUP at the same time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// A signal asked the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Becomes readable with the first signal. It is never read, so it stays readable for every waiter.
static SIGNALLED: OnceLock<UnixStream> = OnceLock::new();

/// Installs the signal handlers. May be called more than once.
pub fn install() -> Result<()> {
    if SIGNALLED.get().is_some() {
        return Ok(());
    }
    let (reader, writer) = UnixStream::pair().context("cannot make a socket pair for signals")?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let writer = writer.try_clone().context("cannot duplicate a socket")?;
        signal_hook::low_level::pipe::register(signal, writer)
            .with_context(|| format!("cannot take note of signal {signal}"))?;
    }
    // If another thread was faster, its socket is used.
    SIGNALLED.get_or_init(|| reader);
    Ok(())
}

/// Waits until `fd` is readable, and returns true; or until the deadline, and returns false.
///
/// # Errors
///
/// [`Interrupted`] after a signal, even if `fd` is readable.
pub fn wait_readable(fd: impl AsFd, deadline: Option<Instant>) -> Result<bool> {
    let signalled = SIGNALLED.get().map(AsFd::as_fd);
    wait(fd.as_fd(), signalled, deadline)
}

/// Returns [`Interrupted`] after a signal.
pub fn check() -> Result<()> {
    if let Some(signalled) = SIGNALLED.get()
        && wait(signalled.as_fd(), None, Some(Instant::now()))?
    {
        return Err(Interrupted.into());
    }
    Ok(())
}

fn wait(
    fd: BorrowedFd<'_>,
    signalled: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
) -> Result<bool> {
    loop {
        let mut fds = vec![PollFd::new(fd, PollFlags::POLLIN)];
        fds.extend(signalled.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up to milliseconds, or the last one before the deadline would be spent
                // on a busy loop.
                let left = left + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => continue,
            Err(e) => return Err(io::Error::from(e)).context("cannot wait with poll()"),
            Ok(_) => {}
        }
        let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        if fds.get(1).is_some_and(ready) {
            return Err(Interrupted.into());
        }
        if ready(&fds[0]) {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_ends_at_the_deadline() -> Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(!wait(reader.as_fd(), None, Some(soon))?);
        assert!(Instant::now() >= soon);
        // Not by closing the writer: a child that another test is starting may have inherited it.
        io::Write::write_all(&mut writer, b"x")?;
        assert!(wait(reader.as_fd(), None, Some(soon))?);
        Ok(())
    }

    #[test]
    fn a_signal_takes_precedence() -> Result<()> {
        let (reader, _writer) = io::pipe()?;
        let (signalled, signal) = io::pipe()?;
        drop(signal);
        let error = wait(reader.as_fd(), Some(signalled.as_fd()), None).unwrap_err();
        assert!(error.is::<Interrupted>());
        Ok(())
    }
}
