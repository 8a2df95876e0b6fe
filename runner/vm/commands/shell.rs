// SPDX-License-Identifier: GPL-2.0

//! `vm shell`: boots a guest with a shell on the console.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::model::exit::Exit;
use crate::vm::arch::Arch;
use crate::vm::args::VmShellArgs;
use crate::vm::boot::accel;
use crate::vm::boot::gdb::Stub;
use crate::vm::boot::initramfs::{self, Shell};
use crate::vm::boot::machine::{Machine, Start, Time};
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::build::provide::{Needs, provide};
use crate::vm::build::{packages, stage};
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;

/// `vm shell`
pub fn run(args: &VmShellArgs, ui: &Ui) -> Result<Exit> {
    let cache = Cache::open()?;
    let built = provide(
        &args.kernel,
        Needs {
            shell: true,
            ..Needs::default()
        },
        &cache,
        ui,
    )?;
    if args.gdb.is_some() && args.kernel.machine.arch() == Arch::Um {
        bail!(
            "--gdb is an option of QEMU. User Mode Linux is a process of this machine: boot the shell, \
             then `gdb -p $(pgrep --oldest vmlinux)`"
        );
    }
    let (platform, why) = accel::choose(args.accel, &built, &cache, ui)?;
    let busybox = packages::busybox().context("no statically linked busybox")?;
    let temp = cache.temp_dir()?;
    let options = GuestOptions {
        mode: Mode::Shell,
        channel: platform.channel(),
    };
    let initramfs = initramfs::write(
        temp.path(),
        &options,
        &initramfs::modules(&built),
        Some(&Shell { busybox }),
    )?;
    let stub = args.gdb.map(Stub::new).transpose()?;
    let machine = Machine {
        built: &built,
        initramfs: &initramfs,
        append: None,
        platform,
        // For the user, a second in the guest must be a second.
        time: Time::Real,
        start: Start::Boot,
        console: None,
        log: temp.path().join("qemu.log"),
        gdb: stub.as_ref(),
    };
    if let Some(stub) = &stub {
        for line in stub.advice(&built) {
            ui.line("gdb", &line);
        }
    }
    ui.line("guest", &format!("{} ({why})", platform.name()));
    let status = machine.interact()?;
    if !status.success() {
        let log = fs::read_to_string(&machine.log).unwrap_or_default();
        bail!("[guest] QEMU failed ({status})\n{}", stage::tail(&log));
    }
    Ok(Exit::Pass)
}
