// SPDX-License-Identifier: GPL-2.0

//! The state of a guest that has booted, from which other guests go on: where a run has many boots,
//! only the first one takes the time of a boot.
//!
//! Only under TCG: under KVM a boot takes no longer than that.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use tempfile::TempDir;

use crate::vm::boot::initramfs;
use crate::vm::boot::listen::BOOT;
use crate::vm::boot::machine::{Machine, Start};
use crate::vm::boot::monitor::Monitor;
use crate::vm::boot::protocol::{GuestOptions, Mode, READY};
use crate::vm::boot::qemu;
use crate::vm::boot::socket::Socket;
use crate::vm::build::stage::Lines;
use crate::vm::host::cache::Cache;

/// Time limit for saving, which takes a tenth of a second on an idle host.
const SAVE: Duration = Duration::from_secs(60);

/// Bandwidth of the migration in bytes per second: no limit.
const BANDWIDTH: u64 = 1 << 40;

/// A saved state. Its files exist as long as this value.
#[derive(Debug)]
pub struct Snapshot {
    state: PathBuf,
    initramfs: PathBuf,
    _dir: TempDir,
}

impl Snapshot {
    /// Boots a guest until its runner asks for its task, and saves it. `machine` is the guest but for
    /// its start and its initramfs.
    ///
    /// # Errors
    ///
    /// The guest does not come so far, QEMU cannot save it, or
    /// [`Interrupted`](crate::vm::host::signals::Interrupted).
    pub fn take(machine: &Machine<'_>, cache: &Cache) -> Result<Self> {
        let dir = cache.temp_dir()?;
        let options = GuestOptions {
            mode: Mode::Later,
            channel: machine.platform.channel(),
        };
        let modules = initramfs::modules(machine.built);
        let initramfs = initramfs::write(dir.path(), &options, &modules, None)?;
        let state = dir.path().join("state");
        let socket = Socket::new("monitor")?;
        let machine = Machine {
            initramfs: &initramfs,
            start: Start::Saved {
                monitor: socket.path(),
                state: &state,
            },
            ..machine.clone()
        };
        save(&machine, socket.path())?;
        Ok(Snapshot {
            state,
            initramfs,
            _dir: dir,
        })
    }

    /// The initramfs that the guest had. QEMU wants the same for every guest that goes on from it.
    pub fn initramfs(&self) -> &Path {
        &self.initramfs
    }

    /// Start of a guest that goes on with a task. `line` is its [`Mode`] as JSON.
    pub fn start<'a>(&'a self, line: &'a str) -> Start<'a> {
        let state = &self.state;
        Start::Restored { state, line }
    }
}

/// Starts the machine, and saves it as soon as it is ready. It does not go on after that.
fn save(machine: &Machine<'_>, monitor: &Path) -> Result<()> {
    let mut guest = machine.start()?;
    let deadline = Instant::now() + BOOT * machine.pace().all();
    let mut lines = Lines::default();
    let mut buffer = [0; 4096];
    let mut is_ready = false;
    while !is_ready {
        match guest.read(&mut buffer, Some(deadline))? {
            None => bail!("the guest was not ready in time"),
            Some(0) => bail!("the guest ended"),
            Some(n) => lines.feed(&buffer[..n], |line| is_ready |= line == READY),
        }
    }
    let mut monitor = Monitor::connect(monitor, Instant::now() + SAVE)?;
    monitor.execute(
        "migrate-set-capabilities",
        &json!({ "capabilities": [{ "capability": "events", "state": true }] }),
    )?;
    monitor.execute(
        "migrate-set-parameters",
        &json!({ "max-bandwidth": BANDWIDTH }),
    )?;
    monitor.execute("migrate", &json!({ "uri": qemu::SAVE }))?;
    loop {
        let data = monitor.event("MIGRATION")?;
        match data["status"].as_str() {
            Some("completed") => return Ok(()),
            Some("failed" | "cancelled") | None => bail!("QEMU could not save the guest: {data}"),
            Some(_) => {}
        }
    }
}
