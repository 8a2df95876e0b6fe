// SPDX-License-Identifier: GPL-2.0

//! The program as the first process (init) of a guest.

mod disks;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::Value;
use signal_hook::consts::{SIGTERM, SIGUSR1, SIGUSR2};

use crate::injector::FOLDER;
use crate::injector::load::load_file;
use crate::model::{Ownership, RunOptions};
use crate::vm::boot::protocol::{
    Channel, EXTRA_MODULE, GuestOptions, MODULE, Mode, OPTIONS, PORT, PROBE_ANSWER, READY, SERIAL,
};

/// Function that carries out the task of [`Mode::Program`] in a guest.
pub type Program = fn(Value, &mut Port) -> Result<()>;

/// Channel to the host.
#[derive(Debug)]
pub struct Port(File);

impl Port {
    /// Sends a line of JSON to the host.
    ///
    /// # Errors
    ///
    /// The port cannot be written.
    pub fn send(&mut self, line: &impl Serialize) -> Result<()> {
        send(&mut self.0, line)
    }
}

/// File system that the guest needs.
struct Mount {
    kind: &'static str,
    target: &'static str,
    data: Option<&'static str>,
}

const fn plain(kind: &'static str, target: &'static str) -> Mount {
    Mount {
        kind,
        target,
        data: None,
    }
}

/// File systems to mount, in this order: later ones are mounted inside of earlier ones.
const MOUNTS: &[Mount] = &[
    plain("proc", "/proc"),
    plain("sysfs", "/sys"),
    plain("devtmpfs", "/dev"),
    plain("debugfs", "/sys/kernel/debug"),
    plain("cgroup2", "/sys/fs/cgroup"),
    Mount {
        kind: "tmpfs",
        target: "/tmp",
        data: Some("mode=1777"),
    },
];

/// Whether this process is the init of our guest. It has pid 1, and procfs is not mounted yet, which
/// excludes the first process of a pid namespace.
pub fn is_init() -> bool {
    std::process::id() == 1 && Path::new(OPTIONS).exists() && !Path::new("/proc/version").exists()
}

/// Carries out the task in the guest's options, and powers the machine off. `program` carries out
/// [`Mode::Program`]; it is [`None`] in a program without such a task.
pub fn init(program: Option<Program>) -> ! {
    // A panic ends in an orderly power-off, too. `Progress::End` was not sent, so the host gives no
    // verdict.
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| work(program)));
    match result {
        Ok(Ok(())) => {}
        Ok(Err(e)) => complain(&format!("mn-inject: {e:#}")),
        Err(_) => complain("mn-inject: the runner panicked"),
    }
    power_off()
}

/// Mounts the file systems, and carries out the task.
fn work(program: Option<Program>) -> Result<()> {
    let options = fs::read(OPTIONS).with_context(|| format!("cannot read {OPTIONS}"))?;
    let options: GuestOptions =
        serde_json::from_slice(&options).with_context(|| format!("cannot read {OPTIONS}"))?;
    if options.mode == Mode::PowerOff {
        return Ok(());
    }
    for mount in MOUNTS {
        mount_one(mount)?;
    }
    disks::set_up()?;
    match options.mode {
        Mode::Shell => {
            load_module(MODULE)?;
            load_extra()?;
            shell(options.channel)
        }
        mode => carry_out(mode, open_port(options.channel)?, program),
    }
}

/// Carries out a task for which there is a channel to the host.
fn carry_out(mode: Mode, mut port: File, program: Option<Program>) -> Result<()> {
    match mode {
        Mode::Suite(run) => suite(&run, &mut port),
        Mode::Program(task) => {
            let program = program.context("this program has no task of its own in a guest")?;
            let mut port = Port(port);
            program(task, &mut port)?;
            wait_for_host(&mut port.0)
        }
        Mode::Later => {
            writeln!(port, "{READY}").context("cannot write to the results' channel")?;
            match read_mode(&mut port)? {
                Mode::Later => bail!("the host asked for nothing"),
                mode => carry_out(mode, port, program),
            }
        }
        Mode::Probe => {
            writeln!(port, "{PROBE_ANSWER}").context("cannot write to the results' channel")?;
            wait_for_host(&mut port)
        }
        Mode::Shell | Mode::PowerOff => bail!("the host asked for something that needs no channel"),
    }
}

/// Reads a line with a mode, and nothing after it.
fn read_mode(port: &mut File) -> Result<Mode> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        port.read_exact(&mut byte)
            .context("cannot read from the channel to the host")?;
        if byte == *b"\n" {
            return serde_json::from_slice(&line).context("cannot read the host's line");
        }
        line.push(byte[0]);
    }
}

fn mount_one(entry: &Mount) -> Result<()> {
    mount(
        Some(entry.kind),
        entry.target,
        Some(entry.kind),
        MsFlags::empty(),
        entry.data,
    )
    .with_context(|| format!("cannot mount {} on {}", entry.kind, entry.target))
}

fn load_module(path: &str) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    load_file(&file, c"")
        .with_context(|| format!("cannot load {path}; see the kernel's log on the console"))
}

/// Loads the module that the configuration has besides ours, if it has one.
fn load_extra() -> Result<()> {
    if Path::new(EXTRA_MODULE).exists() {
        load_module(EXTRA_MODULE)?;
    }
    Ok(())
}

/// Opens the channel to the host.
fn open_port(channel: Channel) -> Result<File> {
    match channel {
        Channel::VirtioSerial => open_virtio_port(),
        Channel::Serial => open_serial_line(),
    }
}

/// Opens the serial line, which passes on every byte as it is.
fn open_serial_line() -> Result<File> {
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(SERIAL)
        .with_context(|| format!("cannot open {SERIAL}"))?;
    let settings = tcgetattr(&port).with_context(|| format!("cannot read settings of {SERIAL}"))?;
    let mut raw = settings;
    cfmakeraw(&mut raw);
    tcsetattr(&port, SetArg::TCSANOW, &raw)
        .with_context(|| format!("cannot change the settings of {SERIAL}"))?;
    Ok(port)
}

/// Opens the virtio-serial port, which is found by its name.
fn open_virtio_port() -> Result<File> {
    const PORTS: &str = "/sys/class/virtio-ports";
    let ports = fs::read_dir(PORTS).with_context(|| format!("cannot read {PORTS}"))?;
    for port in ports {
        let port = port.with_context(|| format!("cannot read {PORTS}"))?;
        let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
        if name.trim() == PORT {
            let path = PathBuf::from("/dev").join(port.file_name());
            return OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .with_context(|| format!("cannot open {}", path.display()));
        }
    }
    bail!("there is no virtio-serial port with the name {PORT}")
}

/// Runs the scenarios, and sends their lines to the host.
fn suite(options: &RunOptions, port: &mut File) -> Result<()> {
    load_extra()?;
    let mut lost = None;
    let module = Some(Path::new(MODULE));
    crate::suite::run(options, module, Ownership::Ours, &mut |progress| {
        if let Err(e) = send(port, &progress) {
            lost.get_or_insert(e);
        }
    })?;
    if let Some(e) = lost {
        return Err(e).context("the results' channel to the host broke");
    }
    wait_for_host(port)
}

/// Waits for the byte by which the host confirms that it has everything. A write to the port only
/// queues data, and data that QEMU has not passed on at power-off is lost.
fn wait_for_host(port: &mut File) -> Result<()> {
    port.read_exact(&mut [0])
        .context("the host did not say that it has the results")
}

/// Writes a line of JSON.
fn send(port: &mut File, line: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(line).context("cannot write a result as JSON")?;
    line.push(b'\n');
    port.write_all(&line)
        .context("cannot write to the results' channel")
}

/// Runs a shell on the console until it exits, or until `poweroff` and the like signal this process.
fn shell(channel: Channel) -> Result<()> {
    let console = |write: bool| -> Result<Stdio> {
        Ok(OpenOptions::new()
            .read(!write)
            .write(write)
            .open(SERIAL)
            .with_context(|| format!("cannot open {SERIAL}"))?
            .into())
    };
    let at_any_time = match channel {
        Channel::VirtioSerial => "; Ctrl-A X ends it at any time",
        Channel::Serial => "",
    };
    println!(
        "The module is loaded, and debugfs is mounted on /sys/kernel/debug.\n\
         `exit` ends the guest{at_any_time}."
    );
    io::stdout()
        .flush()
        .context("cannot write to the console")?;
    // Not by `Command::current_dir`: with it, a statically linked standard library starts programs in
    // a way that needs sockets, and this kernel has no network.
    std::env::set_current_dir(FOLDER).with_context(|| format!("cannot enter {FOLDER}"))?;
    // The kernel's messages about notifiers are to be visible on the console.
    fs::write("/proc/sys/kernel/printk", "7").context("cannot set the console's log level")?;
    // `cttyhack` gives the shell a terminal of its own, and with it Ctrl-C and job control.
    let mut shell = Command::new("/bin/busybox");
    shell
        .args(["setsid", "cttyhack", "/bin/sh"])
        .env_clear()
        .env("PATH", "/bin")
        .env("HOME", "/root")
        .env("TERM", "vt100")
        .env("PS1", "guest# ")
        .stdin(console(false)?)
        .stdout(console(true)?)
        .stderr(console(true)?);
    // busybox's `poweroff`, `halt` and `reboot` only send a signal to the first process.
    let (mut reader, mut writer) = io::pipe().context("cannot make a pipe")?;
    for signal in [SIGUSR1, SIGUSR2, SIGTERM] {
        let writer = writer.try_clone().context("cannot duplicate a pipe")?;
        signal_hook::low_level::pipe::register(signal, writer)
            .with_context(|| format!("cannot take note of signal {signal}"))?;
    }
    let shell = shell.spawn().context("cannot start /bin/busybox")?;
    let shell = Pid::from_raw(shell.id().try_into().context("no process id")?);
    std::thread::spawn(move || {
        // The first process inherits every orphan, and must wait for it. The status of the shell is
        // ignored: it is that of the last command. If waiting fails, the guest ends, too.
        loop {
            match waitpid(None, None) {
                Ok(status) if status.pid() == Some(shell) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        writer.write_all(b"x")
    });
    reader
        .read_exact(&mut [0])
        .context("cannot wait for the shell's end")
}

/// Writes an error to the kernel's log, at a level that is printed on the console.
fn complain(text: &str) {
    let written = OpenOptions::new()
        .write(true)
        .open("/dev/kmsg")
        .and_then(|mut kmsg| kmsg.write_all(format!("<2>{text}\n").as_bytes()));
    if written.is_err() {
        eprintln!("{text}");
    }
}

fn power_off() -> ! {
    nix::unistd::sync();
    // reboot() returns only if it fails. Then the exit of the first process makes the kernel panic,
    // which the host recognises.
    let Err(e) = reboot(RebootMode::RB_POWER_OFF);
    complain(&format!("mn-inject: cannot power off: {e}"));
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::boot::protocol::MOUNT_POINTS;

    #[test]
    fn options_are_read_as_they_were_written() -> Result<()> {
        for mode in [
            Mode::Suite(RunOptions::default()),
            Mode::Program(serde_json::json!({ "task": { "writes": 1 } })),
            Mode::Later,
            Mode::Shell,
            Mode::Probe,
            Mode::PowerOff,
        ] {
            let options = GuestOptions {
                mode,
                channel: Channel::Serial,
            };
            let text = serde_json::to_string(&options)?;
            assert_eq!(serde_json::from_str::<GuestOptions>(&text)?, options);
        }
        Ok(())
    }

    #[test]
    fn every_mount_has_its_mount_point() {
        for mount in MOUNTS {
            assert!(
                MOUNT_POINTS
                    .iter()
                    .any(|point| mount.target.starts_with(point)),
                "{}",
                mount.target
            );
        }
    }
}
