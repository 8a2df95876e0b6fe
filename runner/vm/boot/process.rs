// SPDX-License-Identifier: GPL-2.0

//! The process of a machine.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::vm::boot::machine::{Machine, Platform, Start};
use crate::vm::boot::place::Place;
use crate::vm::boot::{qemu, uml};
use crate::vm::host::cache;
use crate::vm::host::signals;

impl Machine<'_> {
    fn command(&self) -> (Command, Option<Place>) {
        match self.platform {
            Platform::Qemu(accelerator) => (qemu::command(self, accelerator), None),
            Platform::Uml => {
                let place = Place::take();
                (
                    uml::command(self, place.as_ref().map(Place::processor)),
                    place,
                )
            }
        }
    }

    /// The file for the messages of the process: a log, or the console, to which User Mode Linux
    /// writes its own.
    fn open_log(&self) -> Result<(&Path, File)> {
        let path = match (self.platform, &self.console) {
            (Platform::Uml, Some(console)) => console,
            _ => &self.log,
        };
        let file = File::create(path).map_err(|e| cache::explain(e, "cannot write", path))?;
        Ok((path, file))
    }

    fn spawn(&self, command: &mut Command) -> Result<Child> {
        let program = match self.platform {
            Platform::Qemu(_) => Path::new(qemu::QEMU),
            Platform::Uml => &self.built.kernel,
        };
        command.spawn().with_context(|| {
            format!(
                "cannot start {} (by setpriv of util-linux)",
                program.display()
            )
        })
    }
    /// Starts the machine with its results channel connected to this process.
    pub fn start(&self) -> Result<Guest> {
        let (results, writer) = io::pipe().context("cannot make a pipe")?;
        let (mut command, place) = self.command();
        command
            // Ctrl-C on the terminal must not end QEMU; only this program handles it.
            .process_group(0)
            // The direction from host to guest of the results channel. QEMU closes both directions
            // when stdin ends, so it stays open.
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(self.open_log()?.1);
        let child = self.spawn(&mut command)?;
        let mut guest = Guest {
            child: Some(child),
            results,
            _place: place,
        };
        if let Start::Restored { line, .. } = self.start {
            guest.send(&format!("{line}\n"));
        }
        Ok(guest)
    }

    /// Runs the machine with its console on this terminal until QEMU exits.
    pub fn interact(&self) -> Result<ExitStatus> {
        // QEMU changes the terminal settings, and restores them unless it is killed.
        let _terminal = Terminal::keep();
        let (messages, writer) = io::pipe().context("cannot make a pipe")?;
        let (mut command, place) = self.command();
        command.stderr(writer);
        let child = self.spawn(&mut command)?;
        drop(command);
        let mut guest = Guest {
            child: Some(child),
            results: messages,
            _place: place,
        };
        let (path, mut log) = self.open_log()?;
        let mut buffer = [0; 4096];
        loop {
            match guest.read(&mut buffer, None)? {
                Some(0) | None => return guest.wait(),
                Some(n) => io::Write::write_all(&mut log, &buffer[..n])
                    .map_err(|e| cache::explain(e, "cannot write", path))?,
            }
        }
    }
}

/// A running machine. It is killed on drop.
#[derive(Debug)]
pub struct Guest {
    child: Option<Child>,
    results: PipeReader,
    _place: Option<Place>,
}

impl Guest {
    /// Reads from the results channel.
    ///
    /// Returns the number of bytes, 0 when QEMU has exited, or `None` when the deadline has passed.
    ///
    /// # Errors
    ///
    /// The channel cannot be read, or [`signals::Interrupted`].
    pub fn read(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> Result<Option<usize>> {
        if !signals::wait_readable(self.results.as_fd(), deadline)? {
            return Ok(None);
        }
        loop {
            match self.results.read(buffer) {
                Ok(n) => return Ok(Some(n)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).context("cannot read the results' channel"),
            }
        }
    }

    /// Acknowledges the results. The guest does not power off before that.
    pub fn acknowledge(&mut self) {
        self.send("\n");
    }

    fn send(&mut self, text: &str) {
        if let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            // An error means that QEMU has exited, which is seen when its channel is read.
            drop(io::Write::write_all(stdin, text.as_bytes()));
        }
    }

    /// Waits for QEMU to exit.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let mut child = self
            .child
            .take()
            .context("the machine was waited for already")?;
        child.wait().context("cannot wait for the machine")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Errors mean that it has exited already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Terminal settings, restored on drop.
struct Terminal(Option<nix::sys::termios::Termios>);

impl Terminal {
    fn keep() -> Self {
        // `None` if stdin is not a terminal.
        Terminal(nix::sys::termios::tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        if let Some(settings) = &self.0
            && let Err(e) = tcsetattr(io::stdin(), SetArg::TCSANOW, settings)
        {
            eprintln!("cannot put the terminal's settings back ({e}); `stty sane` does");
        }
        // QEMU makes the terminal non-blocking, which would affect the user's shell.
        if let Err(e) = nonblocking_off() {
            eprintln!("cannot make the terminal blocking again: {e}");
        }
    }
}

fn nonblocking_off() -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    for fd in [io::stdin().as_fd(), io::stdout().as_fd()] {
        let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
        fcntl(fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    }
    Ok(())
}
