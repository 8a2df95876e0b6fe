// SPDX-License-Identifier: GPL-2.0

//! Boots a guest in which the calling program carries out a task of its own ([`Mode::Program`]).

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use crate::model::VmInfo;
use crate::vm::args::{Accel, VmGuestArgs};
use crate::vm::boot::accel;
use crate::vm::boot::info::vm_info;
use crate::vm::boot::initramfs;
use crate::vm::boot::listen::{Conversation, Ending, listen};
use crate::vm::boot::machine::{Machine, Start, Time};
use crate::vm::boot::protocol::{GuestOptions, Mode};
use crate::vm::build::module::Extra;
use crate::vm::build::provide::{Needs, provide};
use crate::vm::build::stage;
use crate::vm::host::cache::Cache;
use crate::vm::host::output::{Output, output};
use crate::vm::host::progress::Ui;

/// Task of a program in a guest.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// Name of the task, for a person.
    pub name: &'a str,
    /// The task, in the format that the program reads in the guest.
    pub options: Value,
    /// Addition to the guest's kernel command line, before the user's.
    pub append: &'a str,
    /// Clock of the guest. A virtual one needs TCG, whatever the accelerator that was asked for.
    pub time: Time,
    /// A module besides ours, at [`EXTRA_MODULE`](crate::vm::boot::protocol::EXTRA_MODULE) in the guest.
    pub extra: Option<Extra>,
}

/// State of the exchange with a guest about its task.
pub trait Account: Conversation {
    /// Handles the end of the guest. `console` is the text of its console.
    fn end(&mut self, ending: Option<Ending>, console: &str);

    /// Whether the task was carried out without an error; called after [`Account::end()`].
    fn is_well(&self) -> bool;
}

/// Result of a guest that has ended.
pub struct Ran {
    /// The virtual machine, for a report.
    pub vm: VmInfo,
    /// Messages of QEMU in one line; usually empty.
    pub qemu: String,
    /// Time from the start of QEMU to its end, on the host's clock.
    pub took: Duration,
    /// Directory with the logs.
    pub output: Output,
}

/// Boots a guest for the task, and reads its lines until it ends.
///
/// # Errors
///
/// The guest cannot be built or started. An error in the guest is left to `account`.
pub fn run(
    task: &Task<'_>,
    args: &VmGuestArgs,
    account: &mut impl Account,
    ui: &Ui,
) -> Result<Ran> {
    let cache = Cache::open()?;
    // Before the build, which takes long: a directory that cannot be written is an early error.
    let output = output(args.output.as_deref(), &cache)?;
    let needs = Needs {
        extra: task.extra,
        ..Needs::default()
    };
    let built = provide(&args.kernel, needs, &cache, ui)?;
    let accel = match task.time {
        Time::Virtual => Accel::Tcg,
        Time::Real => args.accel,
    };
    let (platform, why) = accel::choose(accel, &built, &cache, ui)?;
    ui.line("guest", &format!("{} ({why})", platform.name()));

    let temp = cache.temp_dir()?;
    let options = GuestOptions {
        mode: Mode::Program(task.options.clone()),
        channel: platform.channel(),
    };
    let modules = initramfs::modules(&built);
    let initramfs = initramfs::write(temp.path(), &options, &modules, None)?;
    let console = output.join("console.log");
    let asked = args.append.as_deref().unwrap_or_default();
    let append = format!("{} {asked}", task.append);
    let machine = Machine {
        built: &built,
        initramfs: &initramfs,
        append: Some(&append),
        platform,
        time: task.time,
        start: Start::Boot,
        console: Some(console.clone()),
        log: output.join("qemu.log"),
        gdb: None,
    };
    let progress = ui.begin("guest", task.name);
    let begin = Instant::now();
    let results = output.join("results.jsonl");
    let channel = listen(&machine, account, Some(&results), &progress)?;
    let console_text = fs::read(&console).unwrap_or_default();
    let console_text = String::from_utf8_lossy(&console_text);
    account.end(channel.ending, &console_text);
    if account.is_well() {
        progress.done("finished");
    } else {
        progress.done("finished, and not all is well");
        ui.text(&format!(
            "[guest] the console's last lines, of {}:\n{}",
            console.display(),
            stage::tail(&console_text)
        ));
    }
    let qemu = fs::read_to_string(&machine.log).unwrap_or_default();
    let log = platform.has_log().then_some(("qemu", &machine.log));
    let logs = [("console", &console), ("results", &results)]
        .into_iter()
        .chain(log)
        .map(|(what, path)| (what.to_owned(), path.display().to_string()))
        .collect();
    Ok(Ran {
        vm: vm_info(&built, platform, why, ui, logs, &output),
        qemu: qemu.trim().replace('\n', "; "),
        took: begin.elapsed(),
        output,
    })
}
