// SPDX-License-Identifier: GPL-2.0

//! The virtual machine: the arguments of QEMU, and its process.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::vm::boot::gdb::{self, Stub};
use crate::vm::boot::protocol;
use crate::vm::build::kernel::Built;
use crate::vm::build::stage;
use crate::vm::host::cache;
use crate::vm::host::signals;

/// Name of the program.
pub const QEMU: &str = "qemu-system-x86_64";

/// Accelerator of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU translates the instructions of the guest.
    Tcg,
    /// The processor executes them (hardware virtualisation).
    Kvm,
}

impl Accelerator {
    /// Value of QEMU's `-accel`.
    pub const fn name(self) -> &'static str {
        match self {
            Accelerator::Tcg => "tcg",
            Accelerator::Kvm => "kvm",
        }
    }

    /// Upper bound of the factor by which the guest is slower than a real machine.
    pub const fn slowness(self) -> u32 {
        match self {
            Accelerator::Tcg => 5,
            Accelerator::Kvm => 2,
        }
    }
}

/// Kernel command line of every guest.
const CMDLINE: &[&str] = &[
    // For messages of the kernel only; results have a channel of their own.
    "console=ttyS0",
    // Errors only, as every character causes a VM exit. A panic raises the level by itself.
    "loglevel=4",
    // A panic resets the machine at once. With -no-reboot QEMU then exits.
    "panic=-1",
    // No rate limit on /dev/kmsg, or it could drop markers.
    "printk.devkmsg=on",
    // On a busy host the timer interrupt may come too late for its test, which is a panic.
    "no_timer_check",
    // On a busy host the clocksource watchdog would mistake the TSC for unstable.
    "tsc=reliable",
    // Without it, most of the boot time is spent on waiting for RCU grace periods.
    "rcupdate.rcu_expedited=1",
    // Without it, QEMU would translate the program again for every process of the guest.
    "norandmaps",
];

/// Clock of a guest under TCG. Under KVM it is always the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Time is the number of executed instructions. While the guest is idle, the clock jumps to
    /// its next timer: so the two seconds between an OOM kill and the OOM reaper
    /// (OOM_REAPER_DELAY in mm/oom_kill.c) take no real time.
    ///
    /// The guest has one processor, as QEMU would execute two of them in turn. Before 8.1 it does
    /// not run the second one at all while the first is busy, and RCU reports a stall.
    Virtual,
    /// Time is that of the host. The guest has two processors, which run in parallel.
    Real,
}

/// Upper bound of the factor by which a guest is slower than a real machine with the configuration
/// `core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Factor of the accelerator.
    pub accelerator: u32,
    /// Factor of the kernel configuration.
    pub config: u32,
}

impl Pace {
    /// Product of both.
    pub const fn all(self) -> u32 {
        self.accelerator * self.config
    }
}

/// Description of a virtual machine.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// Kernel, with the requirements of its guest.
    pub built: &'a Built,
    /// Path of the initramfs.
    pub initramfs: &'a Path,
    /// Additional parameters on the kernel command line.
    pub append: Option<&'a str>,
    /// Accelerator.
    pub accelerator: Accelerator,
    /// Clock under TCG.
    pub time: Time,
    /// Log of the guest's console; `None` connects the console to this terminal.
    pub console: Option<PathBuf>,
    /// Log of QEMU's own messages.
    pub log: PathBuf,
    /// Stub for gdb, if one is to be there.
    pub gdb: Option<&'a Stub>,
}

/// Appends a path to an option of QEMU, where a comma in the path must be doubled.
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
    /// Factor for time limits.
    pub const fn pace(&self) -> Pace {
        Pace {
            accelerator: self.accelerator.slowness(),
            config: self.built.guest.slowness,
        }
    }

    /// QEMU with all arguments.
    fn command(&self) -> Command {
        let config = self.built.guest;
        let is_virtual = self.accelerator == Accelerator::Tcg && self.time == Time::Virtual;
        let words = CMDLINE.iter().copied().chain([config.cmdline]);
        let cmdline: Vec<_> = words
            .chain(self.append)
            .chain(self.gdb.map(|_| gdb::APPEND))
            .filter(|words| !words.is_empty())
            .collect();
        // SIGKILL, as neither the guest nor QEMU has a state to save.
        let mut command = stage::tied(QEMU, "KILL");
        // No default devices, and no configuration file of the user.
        command.args(["-no-user-config", "-nodefaults", "-display", "none"]);
        // A debug kernel spends more than half of its boot on the ACPI tables of a PC. The other
        // machine has only the PIT to measure the TSC against, which needs a clock that does not
        // depend on the load of the host.
        let (machine, serial) = if is_virtual {
            ("microvm,rtc=on", "virtio-serial-device")
        } else {
            ("q35", "virtio-serial-pci")
        };
        command.args(["-machine", machine, "-accel", self.accelerator.name()]);
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
        if let Some(stub) = self.gdb {
            command
                .arg("-chardev")
                .arg(escaped(
                    "socket,id=gdb,server=on,wait=off,path=",
                    &stub.socket(),
                ))
                .args(["-gdb", "chardev:gdb"]);
            if stub.waits() {
                command.arg("-S");
            }
        }
        match &self.console {
            Some(path) => {
                command
                    .arg("-chardev")
                    .arg(escaped("file,id=console,path=", path));
                command.args(["-serial", "chardev:console"]);
                command.args(["-chardev", "stdio,id=results,signal=off"]);
                command.args(["-device", serial, "-device"]);
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

    /// Starts the machine with its results channel connected to this process.
    pub fn start(&self) -> Result<Guest> {
        let (results, writer) = io::pipe().context("cannot make a pipe")?;
        let mut command = self.command();
        command
            // Ctrl-C on the terminal must not end QEMU; only this program handles it.
            .process_group(0)
            // The direction from host to guest of the results channel. QEMU closes both directions
            // when stdin ends, so it stays open.
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

    /// Runs the machine with its console on this terminal until QEMU exits.
    pub fn interact(&self) -> Result<ExitStatus> {
        // QEMU changes the terminal settings, and restores them unless it is killed.
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

/// A running machine. It is killed on drop.
#[derive(Debug)]
pub struct Guest {
    child: Option<Child>,
    results: PipeReader,
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
        if let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            // An error means that QEMU has exited.
            drop(io::Write::write_all(stdin, b"\n"));
        }
    }

    /// Waits for QEMU to exit.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("QEMU was waited for already")?;
        child.wait().context("cannot wait for QEMU")
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

/// First line of `qemu-system-x86_64 --version`.
pub fn version() -> Result<String> {
    let text = stage::output(Command::new(QEMU).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::args::Gdb;

    fn machine(config: &str, time: Time, console: Option<PathBuf>) -> String {
        debugged(config, time, console, None)
    }

    fn debugged(config: &str, time: Time, console: Option<PathBuf>, gdb: Option<&Stub>) -> String {
        let built = Built::placeholder(config);
        let machine = Machine {
            built: &built,
            initramfs: Path::new("/i"),
            append: Some("mine"),
            accelerator: Accelerator::Tcg,
            time,
            console,
            log: "/l".into(),
            gdb,
        };
        stage::describe(&machine.command())
    }

    #[test]
    fn gdb_attaches_to_a_kernel_at_known_addresses() -> Result<()> {
        for (when, waits) in [(Gdb::Run, false), (Gdb::Wait, true)] {
            let stub = Stub::new(when)?;
            let command = debugged("core", Time::Real, None, Some(&stub));
            let socket = stub.socket();
            let chardev = format!("socket,id=gdb,server=on,wait=off,path={}", socket.display());
            assert!(command.contains(&chardev), "{command}");
            assert!(command.contains(" -gdb chardev:gdb "), "{command}");
            assert!(command.contains(" mine nokaslr'"), "{command}");
            assert_eq!(command.contains(" -S "), waits, "{command}");
        }
        let command = machine("core", Time::Real, None);
        assert!(
            !command.contains("gdb") && !command.contains("kaslr"),
            "{command}"
        );
        Ok(())
    }

    #[test]
    fn results_have_a_channel_of_their_own() {
        let command = machine("core", Time::Virtual, Some("/a,b".into()));
        assert!(command.contains("file,id=console,path=/a,,b"), "{command}");
        assert!(command.contains("stdio,id=results"), "{command}");
        assert!(command.contains(protocol::PORT), "{command}");
        assert!(command.contains("panic=-1"), "{command}");
        assert!(command.contains("-no-reboot"), "{command}");
        assert!(command.contains(" mine'"), "{command}");
    }

    #[test]
    fn the_console_of_a_shell_is_this_terminal() {
        let command = machine("core", Time::Real, None);
        assert!(command.contains("mon:stdio"), "{command}");
        assert!(!command.contains("results"), "{command}");
    }

    #[test]
    fn a_guest_meets_the_requirements_of_its_configuration() {
        let core = machine("core", Time::Virtual, Some("/a".into()));
        assert!(core.contains("-m 512 "), "{core}");
        assert!(core.contains("-icount shift=5,sleep=off"), "{core}");
        assert!(core.contains("-machine microvm"), "{core}");
        let debug = machine("debug", Time::Real, Some("/a".into()));
        assert!(debug.contains("-m 1536 "), "{debug}");
        assert!(debug.contains(" slab_debug=F mine'"), "{debug}");
        assert!(!debug.contains("-icount"), "{debug}");
        assert!(debug.contains("-machine q35"), "{debug}");
    }
}
