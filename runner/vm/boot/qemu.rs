// SPDX-License-Identifier: GPL-2.0

//! The arguments of QEMU.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::vm::boot::gdb;
use crate::vm::boot::machine::{Accelerator, Machine, Start, Time};
use crate::vm::boot::protocol;
use crate::vm::build::stage;

/// Name of the program.
pub const QEMU: &str = "qemu-system-x86_64";

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

/// Environment variable with the path of the state that is saved or restored. It is part of a command
/// for the shell, in which a path would have to be quoted.
const STATE: &str = "MN_INJECT_STATE";

/// Destination of a state, for the monitor. QEMU has `file:` since 8.2 only.
pub(super) const SAVE: &str = "exec:cat >\"$MN_INJECT_STATE\"";

/// Source of a state.
const RESTORE: &str = "exec:cat \"$MN_INJECT_STATE\"";

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

/// QEMU with all arguments.
pub(super) fn command(machine: &Machine<'_>, accelerator: Accelerator) -> Command {
    let config = machine.built.guest;
    let is_virtual = accelerator == Accelerator::Tcg && machine.time == Time::Virtual;
    let mut cmdline = machine.parameters(CMDLINE);
    if machine.gdb.is_some() {
        cmdline = format!("{cmdline} {}", gdb::APPEND);
    }
    // SIGKILL, as neither the guest nor QEMU has a state to save.
    let mut command = stage::tied(QEMU, "KILL");
    // No default devices, and no configuration file of the user.
    command.args(["-no-user-config", "-nodefaults", "-display", "none"]);
    // A debug kernel spends more than half of its boot on the ACPI tables of a PC. The other
    // machine has only the PIT to measure the TSC against, which needs a clock that does not
    // depend on the load of the host. Without a bus of PCI, the kernel takes no notice of what memmap=
    // declares to be persistent (e820__reserve_resources_late()).
    let (kind, serial) = if is_virtual && machine.built.has("PCI_MMCONFIG") {
        ("microvm,rtc=on,pcie=on", "virtio-serial-device")
    } else if is_virtual {
        ("microvm,rtc=on", "virtio-serial-device")
    } else {
        ("q35", "virtio-serial-pci")
    };
    command.args(["-machine", kind, "-accel", accelerator.name()]);
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
    command.arg("-kernel").arg(&machine.built.kernel);
    command.arg("-initrd").arg(machine.initramfs);
    command.arg("-append").arg(cmdline);
    if let Some(stub) = machine.gdb {
        command
            .arg("-chardev")
            .arg(escaped(
                "socket,id=gdb,server=on,wait=off,path=",
                stub.socket(),
            ))
            .args(["-gdb", "chardev:gdb"]);
        if stub.waits() {
            command.arg("-S");
        }
    }
    match machine.start {
        Start::Boot => {}
        Start::Saved { monitor, state } => {
            command.env(STATE, state);
            command
                .arg("-qmp")
                .arg(escaped("unix:server=on,wait=off,path=", monitor));
        }
        Start::Restored { state, .. } => {
            command.env(STATE, state);
            command.args(["-incoming", RESTORE]);
        }
    }
    match &machine.console {
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

/// First line of `qemu-system-x86_64 --version`.
pub fn version() -> Result<String> {
    let text = stage::output(Command::new(QEMU).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::args::Gdb;
    use crate::vm::boot::gdb::Stub;
    use crate::vm::boot::machine::Platform;
    use crate::vm::build::kernel::Built;
    use std::path::PathBuf;

    fn machine(config: &str, time: Time, console: Option<PathBuf>) -> String {
        debugged(config, time, console, None)
    }

    fn debugged(config: &str, time: Time, console: Option<PathBuf>, gdb: Option<&Stub>) -> String {
        let built = Built::placeholder(config);
        let machine = Machine {
            built: &built,
            initramfs: Path::new("/i"),
            append: Some("mine"),
            platform: Platform::Qemu(Accelerator::Tcg),
            time,
            start: Start::Boot,
            console,
            log: "/l".into(),
            gdb,
        };
        stage::describe(&command(&machine, Accelerator::Tcg))
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
        assert!(core.contains("-m 640 "), "{core}");
        assert!(core.contains("-icount shift=5,sleep=off"), "{core}");
        assert!(core.contains("-machine microvm"), "{core}");
        let debug = machine("debug", Time::Real, Some("/a".into()));
        assert!(debug.contains("-m 1536 "), "{debug}");
        assert!(
            debug.contains(" slab_debug=F kunit.autorun=0 mine'"),
            "{debug}"
        );
        assert!(!debug.contains("-icount"), "{debug}");
        assert!(debug.contains("-machine q35"), "{debug}");
    }
}
