// SPDX-License-Identifier: GPL-2.0

//! Ctrl-C and SIGTERM as something that can be waited for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The user wants the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Becomes readable with the first signal and stays so: nobody reads it, so every waiter sees it.
static SIGNALLED: OnceLock<UnixStream> = OnceLock::new();

/// Starts to take note of Ctrl-C, SIGTERM and SIGHUP. May be called more than once.
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
    // Lost only where another thread was first, and then that one is used.
    SIGNALLED.get_or_init(|| reader);
    Ok(())
}

/// Waits until `fd` can be read (true) or the deadline has passed (false).
///
/// # Errors
///
/// [`Interrupted`] as soon as there was a signal.
pub fn wait_readable(fd: impl AsFd, deadline: Option<Instant>) -> Result<bool> {
    let signalled = SIGNALLED.get().map(AsFd::as_fd);
    wait(fd.as_fd(), signalled, deadline)
}

/// Errors with [`Interrupted`] where there was a signal.
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
                // Rounded up, so that a deadline is never missed by spinning up to it.
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
    fn a_deadline_passes() -> Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(!wait(reader.as_fd(), None, Some(soon))?);
        assert!(Instant::now() >= soon);
        // Not by closing the other end: a program that another test is starting may have it, too.
        io::Write::write_all(&mut writer, b"x")?;
        assert!(wait(reader.as_fd(), None, Some(soon))?);
        Ok(())
    }

    #[test]
    fn a_signal_comes_first() -> Result<()> {
        let (reader, _writer) = io::pipe()?;
        let (signalled, signal) = io::pipe()?;
        drop(signal);
        let error = wait(reader.as_fd(), Some(signalled.as_fd()), None).unwrap_err();
        assert!(error.is::<Interrupted>());
        Ok(())
    }
}
