// SPDX-License-Identifier: GPL-2.0

//! `mn-inject vm`: from a machine with nothing to a verdict on a kernel.
//!
//! [`deps`] → [`source`] and [`toolchain`] → [`patch`] and [`kernel`] with [`module`] →
//! [`initramfs`] → [`accel`] and [`qemu`] → [`listen`] → [`results`] or [`exercise`]. [`guest`] is
//! the part that runs inside. [`suite`] boots what a run takes, and [`merge`] makes one report of it;
//! [`repeat`] does that many times, and [`batch`] for many kernels, as far as there is [`room`], for
//! [`matrix`] and [`mutants`].

mod accel;
mod batch;
mod cache;
mod deps;
mod exercise;
pub mod guest;
mod initramfs;
mod kernel;
pub mod kernels;
mod listen;
mod matrix;
mod merge;
mod module;
mod mutants;
mod patch;
mod progress;
mod qemu;
mod repeat;
mod results;
mod room;
mod signals;
mod source;
mod stage;
mod suite;
mod toolchain;

pub use self::module::unit_tests as module_unit_tests;
pub use self::stage::command_line;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use self::cache::Cache;
use self::guest::{GuestOptions, Mode};
use self::initramfs::Shell;
use self::kernel::{Built, Origin, Spec};
use self::patch::Patch;
use self::progress::Ui;
use self::qemu::{Accelerator, Machine, Time};
use self::room::Room;
use self::signals::Interrupted;
use self::suite::Suite;
use self::toolchain::Toolchain;
use crate::cli::{
    Base, Format, KernelArgs, VmBuildArgs, VmCommand, VmFloorArgs, VmRunArgs, VmShellArgs,
};
use crate::exercise::Task;
use crate::exit::Exit;
use crate::model::{Report, VmInfo};
use crate::scenario;

/// How many runs the cache keeps.
const RUNS_KEPT: usize = 20;
/// How long a guest that does nothing may take.
const FLOOR_LIMIT: Duration = Duration::from_secs(60);

/// Does a command, and says on stderr what kept it from being done.
///
/// # Errors
///
/// None that a user could cause: those are told and become [`Exit::Unavailable`].
pub fn main(command: VmCommand) -> Result<Exit> {
    signals::install()?;
    let ui = Ui::new();
    let result = match command {
        VmCommand::Run(args) => run(&args, &ui),
        VmCommand::Matrix(args) => matrix::run(&args, &ui),
        VmCommand::Mutants(args) => mutants::run(&args, &ui),
        VmCommand::Build(args) => build(&args, &ui),
        VmCommand::Stress(args) => exercise::run(Task::Stress(args.options), &args.machine, &ui),
        VmCommand::Fuzz(args) => exercise::run(Task::Fuzz(args.options), &args.machine, &ui),
        VmCommand::Hostile(args) => exercise::run(Task::Hostile(args.options), &args.machine, &ui),
        VmCommand::Flood(args) => exercise::run(Task::Flood(args.options), &args.machine, &ui),
        VmCommand::Shell(args) => shell(&args, &ui),
        VmCommand::Floor(args) => floor(&args, &ui),
        VmCommand::Clean => cache::clean(&ui).map(|()| Exit::Pass),
    };
    Ok(result.unwrap_or_else(|error| {
        if error.is::<Interrupted>() {
            ui.text("mn-inject: interrupted");
            return Exit::Interrupted;
        }
        ui.text(&format!("mn-inject: {error:#}"));
        Exit::Unavailable
    }))
}

/// `vm build`
fn build(args: &VmBuildArgs, ui: &Ui) -> Result<Exit> {
    let cache = Cache::open()?;
    let built = provide(
        &args.kernel,
        Needs {
            werror: args.werror,
            ..Needs::default()
        },
        &cache,
        ui,
    )?;
    let mut out = std::io::stdout().lock();
    for (name, path) in [
        ("kernel", &built.kernel),
        ("config", &built.config),
        ("source", &built.tree),
        ("module", &built.module),
    ] {
        writeln!(out, "{name} {}", path.display()).context("cannot write to stdout")?;
    }
    Ok(Exit::Pass)
}

/// `vm shell`
fn shell(args: &VmShellArgs, ui: &Ui) -> Result<Exit> {
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
    let (accelerator, why) = accel::choose(args.accel, &built, &cache, ui)?;
    let busybox = deps::busybox().context("no statically linked busybox")?;
    let temp = cache.temp_dir()?;
    let options = GuestOptions { mode: Mode::Shell };
    let initramfs = initramfs::write(
        temp.path(),
        &options,
        Some(&built.module),
        Some(&Shell { busybox }),
    )?;
    let machine = Machine {
        built: &built,
        initramfs: &initramfs,
        append: None,
        accelerator,
        // `sleep` is to mean what it says.
        time: Time::Real,
        console: None,
        log: temp.path().join("qemu.log"),
    };
    ui.line("guest", &format!("{} ({why})", accelerator.name()));
    let status = machine.interact()?;
    if !status.success() {
        let log = fs::read_to_string(&machine.log).unwrap_or_default();
        anyhow::bail!("[guest] QEMU failed ({status})\n{}", stage::tail(&log));
    }
    Ok(Exit::Pass)
}

/// `vm floor`
fn floor(args: &VmFloorArgs, ui: &Ui) -> Result<Exit> {
    let cache = Cache::open()?;
    let built = provide(&args.kernel, Needs::default(), &cache, ui)?;
    let (accelerator, why) = accel::choose(args.accel, &built, &cache, ui)?;
    ui.line("guest", &format!("{} ({why})", accelerator.name()));
    let temp = cache.temp_dir()?;
    let options = GuestOptions {
        mode: Mode::PowerOff,
    };
    let initramfs = initramfs::write(temp.path(), &options, None, None)?;
    let console = temp.path().join("console.log");
    let machine = Machine {
        built: &built,
        initramfs: &initramfs,
        append: None,
        accelerator,
        time: Time::Virtual,
        console: Some(console.clone()),
        log: temp.path().join("qemu.log"),
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

/// `vm run`
fn run(args: &VmRunArgs, ui: &Ui) -> Result<Exit> {
    if scenario::select(&args.suite.only).is_empty() {
        ui.text(&scenario::none_matches(&args.suite.only));
        return Ok(Exit::Usage);
    }
    let cache = Cache::open()?;
    // Before anything that takes long: a directory that cannot be written is known at once.
    let output = output(args.output.as_deref(), &cache)?;
    let built = provide(&args.kernel, Needs::default(), &cache, ui)?;
    let suite = Suite {
        expect: args.suite.expect,
        only: &args.suite.only,
        accel: args.accel,
        append: args.append.as_deref(),
        output: &output,
    };
    if args.times > 1 {
        let exit = repeat::run(args.times, &built, &suite, &cache, ui)?;
        ui.line("output", &output.display().to_string());
        return Ok(exit);
    }
    let report = suite::judge(&built, &suite, &Room::of_this_machine(), &cache, ui)?;
    show(&report, args.suite.format)?;
    ui.line("output", &output.display().to_string());
    Ok(crate::report::exit(&report))
}

/// Where the logs go.
struct Output {
    path: PathBuf,
    /// Keeps it in the cache until the command ends, if it is there.
    _hold: Option<cache::Hold>,
}

impl std::ops::Deref for Output {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

fn output(output: Option<&Path>, cache: &Cache) -> Result<Output> {
    if let Some(output) = output {
        cache::make_dir(output)?;
        let path = std::path::absolute(output)
            .with_context(|| format!("{} is not a usable path", output.display()))?;
        return Ok(Output { path, _hold: None });
    }
    let runs = cache.dir("runs")?;
    cache::keep_newest(&runs, RUNS_KEPT - 1);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_millis());
    let path = runs.join(format!("{now:013}-{}", std::process::id()));
    cache::make_dir(&path)?;
    let _hold = cache::hold(&path)?;
    Ok(Output { path, _hold })
}

/// `logs` has what is in `output` besides the report.
fn vm_info(
    built: &Built,
    accelerator: Accelerator,
    accelerator_reason: String,
    ui: &Ui,
    mut logs: Vec<(String, String)>,
    output: &Path,
) -> VmInfo {
    let info = &built.info;
    logs.push((
        "report".to_owned(),
        output.join("report.json").display().to_string(),
    ));
    VmInfo {
        source: info.source.clone(),
        tested: built.tested,
        base: info.base.clone(),
        config: info.config.clone(),
        patches: info.patches.clone(),
        accelerator: accelerator.name().to_owned(),
        accelerator_reason,
        stages: ui.stages(),
        logs,
    }
}

fn show(report: &Report, format: Format) -> Result<()> {
    let mut out = std::io::stdout().lock();
    crate::report::print(report, format, &mut out)
        .and_then(|()| out.flush())
        .context("cannot write the report to stdout")
}

/// What one command needs and another does not.
#[derive(Clone, Copy, Default)]
struct Needs {
    /// A shell for the guest.
    shell: bool,
    /// That the module builds without a warning.
    werror: bool,
}

/// The kernel and the module that were asked for, and everything that takes.
fn provide(args: &KernelArgs, needs: Needs, cache: &Cache, ui: &Ui) -> Result<Built> {
    // What the user got wrong is said first.
    kernel::config(&args.config)?;
    let mut patches = match args.base {
        Base::Seed => vec![kernel::seed(args.kernel)],
        Base::Mainline => Vec::new(),
    };
    let mut module_patches = Vec::new();
    for path in &args.patch {
        let patch = Patch::read(path)?;
        if patch.is_of_module() {
            module_patches.push(patch);
        } else {
            patches.push(patch);
        }
    }
    let tree = match &args.linux {
        None => None,
        Some(dir) => Some(fs::canonicalize(dir).with_context(|| {
            format!(
                "cannot find {}; give --linux the top of a kernel tree",
                dir.display()
            )
        })?),
    };
    let uses = deps::Uses {
        packaged: tree.is_none(),
        patches: tree.is_none() && !(patches.is_empty() && module_patches.is_empty()),
        shell: needs.shell,
    };
    deps::provide(uses, args.install_deps, ui)?;

    // Both are waited for together: one is busy with the network and the disk, the other with
    // the processor.
    let (bindgen, origin) = std::thread::scope(|scope| {
        let bindgen = scope.spawn(|| toolchain::bindgen(cache, ui));
        let origin = match tree {
            Some(dir) => Ok(Origin::Tree(dir)),
            None => source::provide(args.kernel, cache, ui).map(|source| Origin::Packaged {
                source,
                base: args.base.name(),
                patches,
            }),
        };
        let bindgen = bindgen
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that builds bindgen panicked")));
        (bindgen, origin)
    });
    let toolchain = Toolchain::find(&bindgen?)?;
    let spec = Spec {
        origin: origin?,
        config: args.config.clone(),
        module_patches,
    };
    kernel::provide(&spec, &toolchain, needs.werror, cache, ui)
}
