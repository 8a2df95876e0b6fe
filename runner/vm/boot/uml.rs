// SPDX-License-Identifier: GPL-2.0

//! The arguments of User Mode Linux.

use std::process::Command;

use crate::vm::boot::machine::{Machine, Time};
use crate::vm::build::{stage, toolchain};

/// Kernel command line of every guest.
const CMDLINE: &[&str] = &[
    // As for QEMU.
    "loglevel=4",
    "panic=-1",
    "printk.devkmsg=on",
    "rcupdate.rcu_expedited=1",
    "norandmaps",
    // kmemleak scans the memory of the initramfs forever, and takes what is put there after it was freed
    // for references (arch/um/kernel/initrd.c takes it from memblock).
    "retain_initrd",
    // System calls of the guest are caught by a filter, which is quicker than ptrace.
    "seccomp=on",
    // No terminals but those that are named.
    "con=null",
    "ssl=null",
];

/// Command line for a guest whose results go over the serial line, and its console to standard
/// error.
const RECORDED: &[&str] = &["con0=null,fd:2", "ssl0=fd:0,fd:1", "console=tty0"];

/// Command line for a guest whose serial line is this terminal.
const INTERACTIVE: &[&str] = &["ssl0=fd:0,fd:1", "console=ttyS0"];

/// The kernel with all arguments. It is kept on the processor, if one is given: the kernel and its
/// processes run in turn, and on different processors, each would wait for the other one to wake up
/// from idleness, which takes more than half of the time.
pub(super) fn command(machine: &Machine<'_>, processor: Option<usize>) -> Command {
    // SIGKILL, as for QEMU.
    let mut command = match processor {
        None => stage::tied(&machine.built.kernel, "KILL"),
        Some(processor) => {
            let mut command = stage::tied("taskset", "KILL");
            command.args(["--cpu-list", &processor.to_string()]);
            command.arg(&machine.built.kernel);
            command
        }
    };
    // Its memory is a file without a name, on the first of these that is set, or else on /dev/shm,
    // which need not be executable elsewhere.
    for name in ["TMPDIR", "TMP", "TEMP"] {
        command.env_remove(name);
    }
    command.arg(format!("mem={}M", machine.built.guest.memory));
    command.arg(toolchain::define("initrd", machine.initramfs));
    if let Some(dir) = machine.initramfs.parent() {
        // For its pid and its control socket; ~/.uml without it.
        command.arg(toolchain::define("uml_dir", dir));
    }
    let lines = match machine.console {
        Some(_) => RECORDED,
        None => INTERACTIVE,
    };
    command.args(lines);
    if machine.time == Time::Virtual {
        command.arg("time-travel=inf-cpu");
    }
    command.args(machine.parameters(CMDLINE).split_ascii_whitespace());
    command
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::vm::boot::machine::{Platform, Start};
    use crate::vm::build::kernel::Built;

    fn words(time: Time, console: Option<PathBuf>) -> String {
        let built = Built::placeholder("core");
        let machine = Machine {
            built: &built,
            initramfs: Path::new("/d/i"),
            append: Some("mine too"),
            platform: Platform::Uml,
            time,
            start: Start::Boot,
            console,
            log: "/l".into(),
            gdb: None,
        };
        stage::describe(&command(&machine, None))
    }

    #[test]
    fn results_and_console_have_channels_of_their_own() {
        let words = words(Time::Virtual, Some("/a".into()));
        assert!(
            words.contains("mem=640M initrd=/d/i uml_dir=/d "),
            "{words}"
        );
        assert!(words.contains("con0=null,fd:2 ssl0=fd:0,fd:1"), "{words}");
        assert!(words.contains("time-travel=inf-cpu"), "{words}");
        assert!(words.ends_with(" mine too"), "{words}");
    }

    #[test]
    fn a_shell_is_on_this_terminal_in_real_time() {
        let words = words(Time::Real, None);
        assert!(words.contains("ssl0=fd:0,fd:1 console=ttyS0"), "{words}");
        assert!(!words.contains("time-travel"), "{words}");
    }
}
