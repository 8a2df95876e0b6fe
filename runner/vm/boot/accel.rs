// SPDX-License-Identifier: GPL-2.0

//! Chooses the platform of a kernel, and of QEMU the accelerator.
//!
//! KVM may not work although `/dev/kvm` can be opened: with broken nested virtualisation the guest
//! hangs before its first message. So KVM is used only after a guest ran with it.

use std::fs::{self, OpenOptions};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::vm::arch::Arch;
use crate::vm::args::Accel;
use crate::vm::boot::initramfs;
use crate::vm::boot::machine::{Accelerator, Machine, Platform, Start, Time};
use crate::vm::boot::protocol;
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::boot::qemu;
use crate::vm::build::kernel::Built;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::key::Key;
use crate::vm::host::progress::Ui;

/// Time limit for the answer of the guest. It takes a tenth of that where KVM works.
const DEADLINE: Duration = Duration::from_secs(5);

const KVM: &str = "/dev/kvm";

/// Result of the last test of KVM, kept in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// Hash of the host's properties, for which the result holds.
    key: String,
    /// Reason why KVM does not work; `None` if it does.
    broken: Option<String>,
}

/// Chooses the platform, which follows from the architecture of the kernel; for QEMU also the
/// accelerator. Returns it with the reason, for the report.
///
/// # Errors
///
/// KVM was asked for and does not work; or it could not be tested.
pub fn choose(wanted: Accel, built: &Built, cache: &Cache, ui: &Ui) -> Result<(Platform, String)> {
    if built.guest.arch == Arch::Um {
        if wanted != Accel::Auto {
            bail!("--accel is an option of QEMU, which --machine uml does not start");
        }
        let why = "User Mode Linux: one processor, no huge pages, a BUG stops the machine";
        return Ok((Platform::Uml, why.to_owned()));
    }
    let (accelerator, why) = choose_accelerator(wanted, built, cache, ui)?;
    Ok((Platform::Qemu(accelerator), why))
}

fn choose_accelerator(
    wanted: Accel,
    built: &Built,
    cache: &Cache,
    ui: &Ui,
) -> Result<(Accelerator, String)> {
    if wanted == Accel::Tcg {
        return Ok((Accelerator::Tcg, "asked for".to_owned()));
    }
    match (wanted, why_no_kvm(built, cache, ui)?) {
        (Accel::Kvm, Some(why)) => bail!(
            "[accel] KVM was asked for and does not work: {why}. Use --accel tcg, or --accel auto, which chooses"
        ),
        (_, None) => Ok((Accelerator::Kvm, "a guest ran with it".to_owned())),
        (_, Some(why)) => Ok((Accelerator::Tcg, format!("KVM does not work: {why}"))),
    }
}

/// Reason why KVM does not work, from the cache if possible; `None` if it does.
fn why_no_kvm(built: &Built, cache: &Cache, ui: &Ui) -> Result<Option<String>> {
    if let Err(e) = OpenOptions::new().read(true).write(true).open(KVM) {
        let hint = match e.kind() {
            std::io::ErrorKind::PermissionDenied => " (the group `kvm` usually may)",
            _ => "",
        };
        return Ok(Some(format!("{KVM} cannot be opened: {e}{hint}")));
    }
    let key = key()?;
    let file = cache.path("accel.json");
    let cached = || {
        let text = fs::read(&file).ok()?;
        let answer = serde_json::from_slice::<Answer>(&text).ok()?;
        (answer.key == key).then_some(answer)
    };
    let reason = |cached: Answer| cached.broken.map(|why| format!("{why} (found out before)"));
    if let Some(cached) = cached() {
        return Ok(reason(cached));
    }
    // Of several guests that start at the same time, one makes the test.
    let _lock = cache.lock("accel", ui)?;
    if let Some(cached) = cached() {
        return Ok(reason(cached));
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

/// Hash of the versions of QEMU and of the host's kernel, the boot, and the processor.
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

/// Boots a guest with KVM that only answers. Returns the reason if it does not.
fn probe(built: &Built, cache: &Cache) -> Result<Option<String>> {
    let temp = cache.temp_dir()?;
    let platform = Platform::Qemu(Accelerator::Kvm);
    let options = GuestOptions {
        mode: Mode::Probe,
        channel: platform.channel(),
    };
    let initramfs = initramfs::write(temp.path(), &options, &[], None)?;
    let machine = Machine {
        built,
        initramfs: &initramfs,
        append: None,
        platform,
        time: Time::Real,
        start: Start::Boot,
        console: Some(temp.path().join("console")),
        log: temp.path().join("log"),
        gdb: None,
    };
    let mut guest = machine.start()?;
    let deadline = Instant::now() + DEADLINE;
    let mut output = Vec::new();
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
            Some(n) => output.extend_from_slice(&buffer[..n]),
        }
        if String::from_utf8_lossy(&output).contains(protocol::PROBE_ANSWER) {
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
