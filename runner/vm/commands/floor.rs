// SPDX-License-Identifier: GPL-2.0

//! `vm floor`: measures the time of a boot without any work in the guest.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::model::exit::Exit;
use crate::vm::args::VmFloorArgs;
use crate::vm::boot::machine::{Machine, Start, Time};
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::boot::{accel, initramfs};
use crate::vm::build::provide::{Needs, provide};
use crate::vm::build::stage;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;

/// Time limit for the boot with the configuration `core`.
const FLOOR_LIMIT: Duration = Duration::from_secs(60);

/// `vm floor`
pub fn run(args: &VmFloorArgs, ui: &Ui) -> Result<Exit> {
    let cache = Cache::open()?;
    let built = provide(&args.kernel, Needs::default(), &cache, ui)?;
    let (platform, why) = accel::choose(args.accel, &built, &cache, ui)?;
    ui.line("guest", &format!("{} ({why})", platform.name()));
    let temp = cache.temp_dir()?;
    let options = GuestOptions {
        mode: Mode::PowerOff,
        channel: platform.channel(),
    };
    let initramfs = initramfs::write(temp.path(), &options, &[], None)?;
    let console = temp.path().join("console.log");
    let machine = Machine {
        built: &built,
        initramfs: &initramfs,
        append: None,
        platform,
        time: Time::Virtual,
        start: Start::Boot,
        console: Some(console.clone()),
        log: temp.path().join("qemu.log"),
        gdb: None,
    };
    let begin = Instant::now();
    let mut guest = machine.start()?;
    let ended = guest.read(
        &mut [0; 64],
        Some(begin + FLOOR_LIMIT * built.guest.slowness),
    )?;
    let took = begin.elapsed();
    let text = String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).into_owned();
    if ended != Some(0) || text.contains("Kernel panic") {
        anyhow::bail!(
            "[guest] it did not power off as it should; its console's last lines:\n{}",
            stage::tail(&text)
        );
    }
    writeln!(std::io::stdout(), "{:.3} s", took.as_secs_f64()).context("cannot write to stdout")?;
    Ok(Exit::Pass)
}
