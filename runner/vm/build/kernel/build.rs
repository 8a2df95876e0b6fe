// SPDX-License-Identifier: GPL-2.0

//! Builds a kernel and the module, unless both are in the cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::vm::build::kernel::bindgen;
use crate::vm::build::kernel::built::Built;
use crate::vm::build::kernel::config::{Config, config, dropped};
use crate::vm::build::kernel::configured;
use crate::vm::build::kernel::fault::Dropped;
use crate::vm::build::kernel::kept::{ModuleBuild, kept, lost};
use crate::vm::build::kernel::part::{Part, Patched};
use crate::vm::build::kernel::spec::{Keys, Origin, Spec};
use crate::vm::build::module;
use crate::vm::build::module::Sources;
use crate::vm::build::patch::Tree;
use crate::vm::build::stage;
use crate::vm::build::stage::Log;
use crate::vm::build::toolchain;
use crate::vm::build::toolchain::Toolchain;
use crate::vm::host::cache;
use crate::vm::host::cache::{Cache, Hold};
use crate::vm::host::progress::{Task, Ui};

/// Maximum number of kernels in the cache; each takes about 20 MB. All of `tests/mutants/` fit, for
/// both machines.
const IMAGES_KEPT: usize = 400;
/// Maximum number of modules in the cache; each takes less than 1 MB.
const MODULES_KEPT: usize = 200;

const KERNEL: &str = "vmlinux";
const CONFIG: &str = "config";
const INFO: &str = "build.json";

/// Provides the kernel and the module, from the cache if possible.
///
/// With `werror` the module is always built, and a warning is an error.
///
/// # Errors
///
/// A source tree that cannot be built, a patch that does not apply, an option that the kernel
/// dropped, a failed program, or [`Interrupted`](crate::vm::host::signals::Interrupted).
pub fn provide(
    spec: &Spec,
    toolchain: &Toolchain,
    werror: bool,
    cache: &Cache,
    ui: &Ui,
) -> Result<Built> {
    let build = Build::new(spec, toolchain, werror, cache, ui)?;
    if let Some(built) = build.cached()? {
        return Ok(built);
    }
    let _lock = match &spec.origin {
        Origin::Packaged { .. } => Some(cache.lock(&spec.tree_id(), ui)?),
        // The mirror holds its lock.
        Origin::Tree(_) => None,
    };
    // Another run may have built it while this one waited for the lock.
    match build.cached()? {
        Some(built) => Ok(built),
        None => build.run(),
    }
}

/// The build of one kernel and its module.
struct Build<'a> {
    spec: &'a Spec,
    toolchain: &'a Toolchain,
    /// Whether to build the module in any case, with warnings as errors.
    werror: bool,
    cache: &'a Cache,
    ui: &'a Ui,
    guest: &'static Config,
    /// Key of what the module is compiled from, besides its sources.
    interface: String,
    /// Build directory of the kernel, the `O=` of `make`.
    dir: PathBuf,
    /// Directory in the cache for the kernel.
    image: PathBuf,
    module: ModuleBuild,
    extra: Option<ModuleBuild>,
}

impl<'a> Build<'a> {
    fn new(
        spec: &'a Spec,
        toolchain: &'a Toolchain,
        werror: bool,
        cache: &'a Cache,
        ui: &'a Ui,
    ) -> Result<Self> {
        let guest = config(spec.arch, &spec.config)?;
        let Keys { kernel, interface } = spec.keys(toolchain, &spec.tree(cache))?;
        let dir = spec.dir("build", toolchain, cache);
        let staged = spec.dir("module", toolchain, cache);
        let image = cache.path("images").join(&kernel);
        let module = |what, sources: Sources, file, suffix: &str| ModuleBuild {
            what,
            staged: with_suffix(&staged, suffix),
            kept: cache
                .path("modules")
                .join(format!("{interface}-{}", sources.key())),
            sources,
            file,
        };
        let sources = Sources::new(&spec.module_patches, cache.temp_dir()?.path())?;
        let extra = spec.extra.or(guest.extra);
        let extra = extra
            .as_ref()
            .map(|extra| module(extra.file, Sources::of(extra), extra.file, "-extra"));
        let module = module("the module", sources, module::FILE, "");
        Ok(Build {
            spec,
            toolchain,
            werror,
            cache,
            ui,
            guest,
            interface,
            dir,
            image,
            module,
            extra,
        })
    }

    /// The kernel and the module from the cache.
    fn cached(&self) -> Result<Option<Built>> {
        if self.werror {
            return Ok(None);
        }
        let Some(image) = self.kept_image()? else {
            return Ok(None);
        };
        let mut holds = vec![image];
        for module in self.modules() {
            match module.kept()? {
                Some(hold) => holds.push(hold),
                None => return Ok(None),
            }
        }
        self.ui
            .line("kernel", &format!("cached: {}", self.image.display()));
        self.built(holds).map(Some)
    }

    fn modules(&self) -> impl Iterator<Item = &ModuleBuild> {
        std::iter::once(&self.module).chain(&self.extra)
    }

    fn kept_image(&self) -> Result<Option<Hold>> {
        kept(&self.image, KERNEL)
    }

    /// Builds the kernel and the modules, except those that are in the cache. The caller must hold
    /// the lock of the source tree.
    fn run(&self) -> Result<Built> {
        let image = match self.kept_image()? {
            Some(image) => image,
            None => {
                self.kernel()?;
                self.kept_image()?.with_context(|| lost(&self.image))?
            }
        };
        let mut holds = vec![image];
        for module in self.modules() {
            holds.push(match module.kept()? {
                Some(hold) if !self.werror => hold,
                _ => {
                    self.module(module)?;
                    module.kept()?.with_context(|| lost(&module.kept))?
                }
            });
        }
        self.built(holds)
    }

    fn built(&self, holds: Vec<Hold>) -> Result<Built> {
        let config = self.image.join(CONFIG);
        Ok(Built {
            kernel: self.image.join(KERNEL),
            options: String::from_utf8_lossy(&cache::read(&config)?).into_owned(),
            config,
            module: self.module.path(),
            extra: self.extra.as_ref().map(ModuleBuild::path),
            tree: match &self.spec.origin {
                Origin::Packaged { .. } => self.spec.tree(self.cache),
                Origin::Tree(mirror) => mirror.tree().to_owned(),
            },
            // Not the `build.json` of the cache: the names of the patches may differ from those
            // that the kernel was built with, as only their contents count.
            info: self.spec.info(self.toolchain),
            origin: self.spec.origin.clone(),
            tested: self.spec.is_tested(),
            guest: self.guest,
            _holds: holds,
        })
    }

    /// Brings source tree and build directory to the state of this kernel, and keeps the kernel.
    fn kernel(&self) -> Result<()> {
        let what = self.spec.describe();
        let task = self.ui.begin("kernel", &format!("building {what}"));
        let mut log = self.log("kernel")?;
        cache::make_dir(&self.dir)?;
        let (tree, patched) = self.tree()?;

        let state = self.state();
        let is_built = fs::read_to_string(&state).is_ok_and(|built| built == self.interface);
        match fs::remove_file(&state) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(cache::explain(e, "cannot remove", &state));
            }
            _ => {}
        }
        let mut part = None;
        if let Some(patched) = &patched {
            let last = patched.begin(&self.dir)?;
            if let Some(last) = &last {
                task.line(&changes(&patched.changes(last)));
            }
            self.date(|path| last.as_ref().is_none_or(|last| patched.differs(last, path)))?;
            part = last
                .filter(|_| is_built)
                .and_then(|last| Part::since(&last, patched));
        }
        self.declare_options(&tree)?;
        let headers = self.spec.arch.bound_headers();
        if !headers.is_empty() {
            bindgen::write(&self.dir, &self.toolchain.bindgen, headers)?;
        }
        let asked = self.guest.text(&tree, &self.spec.config_add);
        if !configured::is_configured(&self.dir, &tree, &asked) {
            task.note("configuring");
            self.configure(&tree, &asked, &mut log, &task)?;
            part = None;
        }
        self.make_kernel(&tree, part.as_ref(), &mut log, &task)?;
        configured::note(&self.dir, &tree, &asked)?;
        if let Some(patched) = &patched {
            patched.note(&self.dir)?;
        }
        self.keep()?;
        cache::write_atomically(&state, self.interface.as_bytes())?;
        task.done(&format!("built {what}"));
        Ok(())
    }

    /// Path of a file with the interface of the kernel that was built last in the build directory.
    /// It does not exist while one is being built, nor after that has failed.
    fn state(&self) -> PathBuf {
        self.dir.join("mn-inject.state")
    }

    /// Brings the source tree to the state of this kernel. Returns its path and which files are not
    /// the originals; a mirror is in that state already.
    fn tree(&self) -> Result<(PathBuf, Option<Patched>)> {
        match &self.spec.origin {
            Origin::Packaged {
                source, patches, ..
            } => {
                let tree = Tree::new(&source.dir(self.cache));
                let scratch = self.cache.temp_dir()?;
                let plan = tree.plan(patches, scratch.path())?;
                tree.bring_to(&plan)?;
                Ok((tree.path().to_owned(), Some(Patched::of(&plan))))
            }
            Origin::Tree(mirror) => Ok((mirror.path(), None)),
        }
    }

    /// Dates the files of a tree that patches change, see [`Tree::date()`].
    fn date(&self, is_new: impl Fn(&Path) -> bool) -> Result<()> {
        match &self.spec.origin {
            Origin::Packaged { source, .. } => Tree::new(&source.dir(self.cache)).date(is_new),
            Origin::Tree(_) => Ok(()),
        }
    }

    /// Path of the Kconfig file that stands for the top one of the source tree.
    fn kconfig(&self) -> PathBuf {
        self.dir.join("mn-inject.Kconfig")
    }

    /// Writes a copy of the top Kconfig file of the source tree with the options of this program.
    /// The tree is left as it is.
    fn declare_options(&self, tree: &Path) -> Result<()> {
        let mut text = cache::read(&tree.join("Kconfig"))?;
        text.extend_from_slice(b"\n");
        text.extend_from_slice(self.guest.kconfig().as_bytes());
        cache::write_if_changed(&self.kconfig(), &text)
    }

    /// Writes `.config`.
    ///
    /// # Errors
    ///
    /// An option that the configuration asks for and the kernel dropped.
    fn configure(&self, tree: &Path, asked: &str, log: &mut Log, task: &Task<'_>) -> Result<()> {
        let fragment = self.dir.join("mn-inject.config");
        cache::write_atomically(&fragment, asked.as_bytes())?;
        let mut make = self.make_in(tree);
        make.env("KCONFIG_ALLCONFIG", &fragment).arg("allnoconfig");
        stage::run(task, log, &mut make, |_| {})?;
        let file = self.dir.join(".config");
        let got = String::from_utf8_lossy(&cache::read(&file)?).into_owned();
        let dropped = dropped(asked, &got);
        if !dropped.is_empty() {
            let rust = if dropped.iter().any(|line| line == "CONFIG_RUST=y") {
                self.why_no_rust(tree)
            } else {
                String::new()
            };
            return Err(Dropped(format!(
                "[kernel] this kernel's configuration dropped what the configuration {:?}{} asks for: {}. \
                 The result is {}{rust}",
                self.spec.config,
                if self.spec.config_add.is_empty() {
                    ""
                } else {
                    " with --config-add"
                },
                dropped.join(", "),
                file.display()
            ))
            .into());
        }
        Ok(())
    }

    /// Message of `make rustavailable` on why the toolchain cannot build Rust code.
    fn why_no_rust(&self, tree: &Path) -> String {
        let mut make = self.make_in(tree);
        make.arg("-s").arg("rustavailable");
        match stage::output(&mut make) {
            Ok(_) => String::new(),
            Err(e) => format!("\n{}", stage::tail(&format!("{e:#}"))),
        }
    }

    /// Makes the kernel. What changed since the last build is in `part`, if one is given.
    fn make_kernel(
        &self,
        tree: &Path,
        part: Option<&Part>,
        log: &mut Log,
        task: &Task<'_>,
    ) -> Result<()> {
        let mut steps = 0u32;
        let mut run = |make: &mut Command| {
            stage::run(task, log, make, |line| {
                if line.starts_with("  ") {
                    steps += 1;
                    task.note(&format!("{steps} steps, {}", line.trim()));
                }
            })
        };
        if let Some(part) = part {
            // For make, it depends on the directories through which make does not go.
            let linked = self.dir.join("vmlinux.o");
            fs::remove_file(&linked).map_err(|e| cache::explain(e, "cannot remove", &linked))?;
            // One job, so in this order: nothing else makes the link wait for what is compiled.
            let mut make = self.make_in(tree);
            make.args(["-j1", &part.walk()]);
            run(make.args([part.dir, "vmlinux"]))?;
            if part.is_compiled(tree, &self.dir)? {
                return Ok(());
            }
        }
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut make = self.make_in(tree);
        make.arg(format!("-j{jobs}"));
        run(make.args(["vmlinux", "modules"]))
    }

    /// `make` for the source tree, with the build directory as `O=`.
    fn make_in(&self, tree: &Path) -> Command {
        let mut make = self.make();
        make.arg("-C")
            .arg(tree)
            .arg(toolchain::define("O", &self.dir));
        make
    }

    /// `make` with the toolchain and the Kconfig file that every build in the directory needs.
    fn make(&self) -> Command {
        let arch = self.spec.arch;
        let bindgen = if arch.bound_headers().is_empty() {
            self.toolchain.bindgen.clone()
        } else {
            bindgen::path(&self.dir)
        };
        let mut make = self.toolchain.make(&bindgen);
        make.args(arch.make())
            .arg(toolchain::define("KBUILD_KCONFIG", &self.kconfig()));
        make
    }

    /// Copies the kernel and its configuration to the cache.
    fn keep(&self) -> Result<()> {
        if self.image.exists() {
            return Ok(());
        }
        let temp = self.cache.temp_dir()?;
        let whole = temp.path().join("image");
        cache::make_dir(&whole)?;
        for (from, to) in [("vmlinux", KERNEL), (".config", CONFIG)] {
            let from = self.dir.join(from);
            fs::copy(&from, whole.join(to))
                .map_err(|e| cache::explain(e, "cannot keep a copy of", &from))?;
        }
        let info = serde_json::to_vec_pretty(&self.spec.info(self.toolchain))?;
        cache::write_atomically(&whole.join(INFO), &info)?;
        let images = self.cache.dir("images")?;
        // Every use of an image makes it the newest, so the least recently used one is removed.
        cache::keep_newest(&images, IMAGES_KEPT - 1);
        fs::rename(&whole, &self.image)
            .map_err(|e| cache::explain(e, "cannot keep the kernel in", &self.image))
    }

    /// Builds a module against the build directory of a kernel with the same interface, and keeps
    /// it.
    fn module(&self, module: &ModuleBuild) -> Result<()> {
        if fs::read_to_string(self.state()).is_ok_and(|built| built == self.interface) {
            // The headers are those of the source tree.
            self.tree()?;
        } else {
            self.kernel()?;
        }
        let task = self
            .ui
            .begin("module", &format!("building {}", module.what));
        let mut log = self.log("module")?;
        let staged = &module.staged;
        module.sources.stage(staged)?;
        // It is not known for which headers its objects were compiled.
        self.date(|_| true)?;
        let mut make = self.make();
        make.arg("-C")
            .arg(&self.dir)
            .arg(toolchain::define("M", staged))
            .args(self.spec.arch.make_module())
            .arg("modules");
        if self.werror {
            make.arg("W=e");
        }
        stage::run(&task, &mut log, &mut make, |_| {})?;
        let bytes = cache::read(&staged.join(module.file))?;
        cache::keep_newest(&self.cache.dir("modules")?, MODULES_KEPT - 1);
        cache::write_atomically(&module.path(), &bytes)?;
        task.done(&format!("built {}", module.what));
        Ok(())
    }

    /// Creates the log of a stage. Builds in different source trees have different logs.
    fn log(&self, stage: &str) -> Result<Log> {
        let name = format!("{stage}-{}.log", self.spec.tree_id());
        Log::create(self.cache.path("logs").join(name))
    }
}

/// Adds to the last component of a path.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Message about the source files that have changed.
fn changes(changed: &[PathBuf]) -> String {
    if changed.is_empty() {
        return "no source file changes".to_owned();
    }
    let names: Vec<_> = changed
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    format!("changed since the last build: {}", names.join(", "))
}
