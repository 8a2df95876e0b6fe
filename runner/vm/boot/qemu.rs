// SPDX-License-Identifier: GPL-2.0

//! The virtual machine.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::vm::boot::listen::Pace;
use crate::vm::boot::protocol;
use crate::vm::build::kernel::Built;
use crate::vm::build::stage;
use crate::vm::host::cache;
use crate::vm::host::signals;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";

/// How the guest's instructions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// Translated by QEMU.
    Tcg,
    /// By the processor.
    Kvm,
}

impl Accelerator {
    /// QEMU's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Accelerator::Tcg => "tcg",
            Accelerator::Kvm => "kvm",
        }
    }

    /// How much longer than a real machine the guest may take, at worst.
    pub const fn slowness(self) -> u32 {
        match self {
            Accelerator::Tcg => 5,
            Accelerator::Kvm => 2,
        }
    }
}

/// The kernel's command line, and why each word is there.
const CMDLINE: &[&str] = &[
    // The console is for the kernel only; results have a channel of their own.
    "console=ttyS0",
    // A character costs the guest an exit: errors and panics only, a panic says everything.
    "loglevel=4",
    // A panic resets the machine at once, and with -no-reboot that is QEMU's end.
    "panic=-1",
    // Markers written to /dev/kmsg are never dropped by its rate limit.
    "printk.devkmsg=on",
    // Between a watchdog that compares clocks and a host that is busy, the watchdog is wrong.
    "tsc=reliable",
    // Waiting for grace periods is most of what remains of a boot.
    "rcupdate.rcu_expedited=1",
    // Every target process is the same program at the same place, which QEMU translates once.
    "norandmaps",
];

/// How time passes in the guest under TCG. Under KVM it is always real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// By the instructions that were carried out. While the guest has nothing to do but wait for a
    /// timer, the clock jumps to it: so the two seconds that the kernel leaves between an OOM kill
    /// and its reaper (OOM_REAPER_DELAY) cost nothing.
    ///
    /// On one processor: a second one would have its turn after the first, and before QEMU 8.1 has
    /// none at all for as long as the first is busy. RCU then reports a stall.
    Virtual,
    /// As on the host, and the processors run at the same time.
    Real,
}

/// A virtual machine to start.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// The kernel, and what its guest needs.
    pub built: &'a Built,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// What the user adds to the kernel's command line.
    pub append: Option<&'a str>,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// How time passes.
    pub time: Time,
    /// Where the guest's console goes; `None` for this terminal.
    pub console: Option<PathBuf>,
    /// Where QEMU's own messages go.
    pub log: PathBuf,
}

/// QEMU's `,` in an option's value.
fn escaped(prefix: &str, path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = prefix.as_bytes().to_vec();
    for byte in path.as_os_str().as_bytes() {
        bytes.push(*byte);
        if *byte == b',' {
            bytes.push(b',');
        }
    }
    OsString::from_vec(bytes)
}

impl Machine<'_> {
    /// How slow it is.
    pub const fn pace(&self) -> Pace {
        Pace {
            accelerator: self.accelerator.slowness(),
            config: self.built.guest.slowness,
        }
    }

    /// QEMU with all its arguments.
    fn command(&self) -> Command {
        let config = self.built.guest;
        let is_virtual = self.accelerator == Accelerator::Tcg && self.time == Time::Virtual;
        let words = CMDLINE.iter().copied().chain([config.cmdline]);
        let cmdline: Vec<_> = words
            .chain(self.append)
            .filter(|words| !words.is_empty())
            .collect();
        // SIGKILL: a guest has nothing to lose, and QEMU has nothing to put away.
        let mut command = stage::tied(QEMU, "KILL");
        // Nothing that we did not ask for, from no configuration file.
        command.args(["-no-user-config", "-nodefaults", "-display", "none"]);
        command.args(["-machine", "q35", "-accel", self.accelerator.name()]);
        if is_virtual {
            let shift = config.instruction_ns.ilog2();
            command
                .arg("-icount")
                .arg(format!("shift={shift},sleep=off"));
        }
        // `max` and not `host`: it exists with both accelerators.
        let processors = if is_virtual { "1" } else { "2" };
        command.args(["-cpu", "max", "-smp", processors, "-m"]);
        command.arg(config.memory.to_string());
        command.arg("-no-reboot");
        command.arg("-kernel").arg(&self.built.kernel);
        command.arg("-initrd").arg(self.initramfs);
        command.arg("-append").arg(cmdline.join(" "));
        match &self.console {
            Some(path) => {
                command
                    .arg("-chardev")
                    .arg(escaped("file,id=console,path=", path));
                command.args(["-serial", "chardev:console"]);
                command.args(["-chardev", "stdio,id=results,signal=off"]);
                command.args(["-device", "virtio-serial-pci", "-device"]);
                command.arg(format!(
                    "virtserialport,chardev=results,name={}",
                    protocol::PORT
                ));
            }
            None => {
                command.args(["-serial", "mon:stdio"]);
            }
        }
        command
    }

    fn open_log(&self) -> Result<File> {
        File::create(&self.log).map_err(|e| cache::explain(e, "cannot write", &self.log))
    }

    /// Starts the machine; its results can be read from what is returned.
    pub fn start(&self) -> Result<Guest> {
        let (results, writer) = io::pipe().context("cannot make a pipe")?;
        let mut command = self.command();
        command
            // The terminal's Ctrl-C reaches only us.
            .process_group(0)
            // The way back on the results' channel. For QEMU its end is the end of the channel in
            // both directions, so it stays open.
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(self.open_log()?);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {QEMU} (by setpriv of util-linux)"))?;
        Ok(Guest {
            child: Some(child),
            results,
        })
    }

    /// Runs the machine with its console on this terminal, to its end.
    pub fn interact(&self) -> Result<ExitStatus> {
        // QEMU sets the terminal up for itself, and puts it back unless it is killed.
        let _terminal = Terminal::keep();
        let (messages, writer) = io::pipe().context("cannot make a pipe")?;
        let mut command = self.command();
        command.stderr(writer);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {QEMU} (by setpriv of util-linux)"))?;
        drop(command);
        let mut guest = Guest {
            child: Some(child),
            results: messages,
        };
        let mut log = self.open_log()?;
        let mut buffer = [0; 4096];
        loop {
            match guest.read(&mut buffer, None)? {
                Some(0) | None => return guest.wait(),
                Some(n) => io::Write::write_all(&mut log, &buffer[..n])
                    .map_err(|e| cache::explain(e, "cannot write", &self.log))?,
            }
        }
    }
}

/// A machine that runs; dropping it ends it.
#[derive(Debug)]
pub struct Guest {
    child: Option<Child>,
    results: PipeReader,
}

impl Guest {
    /// Reads from the results' channel: the number of bytes, 0 when QEMU has ended, `None` when
    /// the deadline has passed.
    ///
    /// # Errors
    ///
    /// [`signals::Interrupted`] among them.
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

    /// Tells the guest that everything has arrived, for which it waits before it powers off.
    pub fn acknowledge(&mut self) {
        if let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            // Where QEMU has ended already, nobody waits.
            drop(io::Write::write_all(stdin, b"\n"));
        }
    }

    /// How QEMU ended, which it has.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("QEMU was waited for already")?;
        child.wait().context("cannot wait for QEMU")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Errors only where it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The terminal's settings, put back when this is dropped.
struct Terminal(Option<nix::sys::termios::Termios>);

impl Terminal {
    fn keep() -> Self {
        // None where stdin is no terminal, and then there is nothing to put back.
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
        // QEMU makes it non-blocking, and it is the shell's too.
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

/// QEMU's version.
pub fn version() -> Result<String> {
    let text = stage::output(Command::new(QEMU).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(config: &str, time: Time, console: Option<PathBuf>) -> String {
        let built = Built::placeholder(config);
        let machine = Machine {
            built: &built,
            initramfs: Path::new("/i"),
            append: Some("mine"),
            accelerator: Accelerator::Tcg,
            time,
            console,
            log: "/l".into(),
        };
        stage::describe(&machine.command())
    }

    #[test]
    fn results_never_share_a_line_with_the_console() {
        let command = machine("core", Time::Virtual, Some("/a,b".into()));
        assert!(command.contains("file,id=console,path=/a,,b"), "{command}");
        assert!(command.contains("stdio,id=results"), "{command}");
        assert!(command.contains(protocol::PORT), "{command}");
        assert!(command.contains("panic=-1"), "{command}");
        assert!(command.contains("-no-reboot"), "{command}");
        assert!(command.contains(" mine'"), "{command}");
    }

    #[test]
    fn the_shell_is_on_this_terminal() {
        let command = machine("core", Time::Real, None);
        assert!(command.contains("mon:stdio"), "{command}");
        assert!(!command.contains("results"), "{command}");
    }

    #[test]
    fn a_guest_has_what_its_configuration_needs() {
        let core = machine("core", Time::Virtual, Some("/a".into()));
        assert!(core.contains("-m 512 "), "{core}");
        assert!(core.contains("-icount shift=5,sleep=off"), "{core}");
        let debug = machine("debug", Time::Real, Some("/a".into()));
        assert!(debug.contains("-m 1536 "), "{debug}");
        assert!(debug.contains(" slab_debug=F mine'"), "{debug}");
        assert!(!debug.contains("-icount"), "{debug}");
    }
}
