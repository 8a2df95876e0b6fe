// SPDX-License-Identifier: GPL-2.0

//! Which accelerator runs the guest.
//!
//! A `/dev/kvm` that can be opened need not work: nested virtualisation that is broken lets the
//! guest hang before its first line. So a guest has to answer before KVM is used.

use std::fs::{self, OpenOptions};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::vm::args::Accel;
use crate::vm::boot::initramfs;
use crate::vm::boot::protocol;
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::boot::qemu;
use crate::vm::boot::qemu::{Accelerator, Machine, Time};
use crate::vm::build::kernel::Built;
use crate::vm::host::cache;
use crate::vm::host::cache::{Cache, Key};
use crate::vm::host::progress::Ui;

/// How long the guest may take to answer; where KVM works it takes a tenth of that.
const DEADLINE: Duration = Duration::from_secs(5);

const KVM: &str = "/dev/kvm";

/// What was found out about KVM on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// Of what would make it another answer.
    key: String,
    /// Why it does not work, where it does not.
    broken: Option<String>,
}

/// The accelerator to use, and why that one.
pub fn choose(
    wanted: Accel,
    built: &Built,
    cache: &Cache,
    ui: &Ui,
) -> Result<(Accelerator, String)> {
    if wanted == Accel::Tcg {
        return Ok((Accelerator::Tcg, "asked for".to_owned()));
    }
    let answer = answer(built, cache, ui)?;
    match (wanted, answer) {
        (Accel::Kvm, Some(why)) => bail!(
            "[accel] KVM was asked for and does not work: {why}. Use --accel tcg, or --accel auto, which chooses"
        ),
        (_, None) => Ok((Accelerator::Kvm, "a guest ran with it".to_owned())),
        (_, Some(why)) => Ok((Accelerator::Tcg, format!("KVM does not work: {why}"))),
    }
}

/// `None` where KVM works, or else why it does not.
fn answer(built: &Built, cache: &Cache, ui: &Ui) -> Result<Option<String>> {
    if let Err(e) = OpenOptions::new().read(true).write(true).open(KVM) {
        let hint = match e.kind() {
            std::io::ErrorKind::PermissionDenied => " (the group `kvm` usually may)",
            _ => "",
        };
        return Ok(Some(format!("{KVM} cannot be opened: {e}{hint}")));
    }
    let key = key()?;
    let file = cache.path("accel.json");
    let known = || {
        let text = fs::read(&file).ok()?;
        let answer = serde_json::from_slice::<Answer>(&text).ok()?;
        (answer.key == key).then_some(answer)
    };
    let before = |known: Answer| known.broken.map(|why| format!("{why} (found out before)"));
    if let Some(known) = known() {
        return Ok(before(known));
    }
    // Several guests may be about to start, and one answer is enough.
    let _lock = cache.lock("accel", ui)?;
    if let Some(known) = known() {
        return Ok(before(known));
    }
    let task = ui.begin("accel", "trying KVM with a guest that only has to answer");
    let broken = probe(built, cache)?;
    task.done(match &broken {
        None => "KVM works",
        Some(why) => why,
    });
    let answer = Answer { key, broken };
    cache::write_atomically(&file, &serde_json::to_vec_pretty(&answer)?)?;
    Ok(answer.broken)
}

/// Changes with the host's boot, processor and kernel, and with QEMU.
fn key() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu: String = read("/proc/cpuinfo")
        .lines()
        .filter(|line| line.starts_with("model name") || line.starts_with("flags"))
        .take(2)
        .collect();
    Ok(Key::default()
        .part("qemu", qemu::version()?.as_bytes())
        .part("kernel", read("/proc/version").as_bytes())
        .part("boot", read("/proc/sys/kernel/random/boot_id").as_bytes())
        .part("cpu", cpu.as_bytes())
        .finish())
}

/// Boots a guest with KVM that only answers.
fn probe(built: &Built, cache: &Cache) -> Result<Option<String>> {
    let temp = cache.temp_dir()?;
    let options = GuestOptions { mode: Mode::Probe };
    let initramfs = initramfs::write(temp.path(), &options, None, None)?;
    let machine = Machine {
        built,
        initramfs: &initramfs,
        append: None,
        accelerator: Accelerator::Kvm,
        time: Time::Real,
        console: Some(temp.path().join("console")),
        log: temp.path().join("log"),
    };
    let mut guest = machine.start()?;
    let deadline = Instant::now() + DEADLINE;
    let mut said = Vec::new();
    let mut buffer = [0; 256];
    loop {
        match guest.read(&mut buffer, Some(deadline))? {
            None => {
                return Ok(Some(format!(
                    "{KVM} opens, but a guest did not answer within {} s",
                    DEADLINE.as_secs()
                )));
            }
            Some(0) => break,
            Some(n) => said.extend_from_slice(&buffer[..n]),
        }
        if String::from_utf8_lossy(&said).contains(protocol::PROBE_ANSWER) {
            return Ok(None);
        }
    }
    let status = guest.wait()?;
    let log = fs::read_to_string(temp.path().join("log")).unwrap_or_default();
    let word = log.lines().last().unwrap_or("it said nothing");
    Ok(Some(format!(
        "QEMU ended before the guest answered ({status}; {word})"
    )))
}
