// SPDX-License-Identifier: GPL-2.0

//! Builds kernels, and keeps what was built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::contract::Needs;
use crate::vm::build::module;
use crate::vm::build::module::Sources;
use crate::vm::build::patch::{Patch, Tree};
use crate::vm::build::source::Source;
use crate::vm::build::stage;
use crate::vm::build::stage::Log;
use crate::vm::build::toolchain;
use crate::vm::build::toolchain::Toolchain;
use crate::vm::host::cache;
use crate::vm::host::cache::{Cache, Hold, Key};
use crate::vm::host::progress::Ui;
use crate::vm::kernels;
use crate::vm::kernels::Packaged;

/// A configuration: what it is made of, and what its guest needs.
#[derive(Debug)]
pub struct Config {
    /// Its name.
    pub name: &'static str,
    /// Everything that is not in one of these is off.
    fragments: &'static [&'static str],
    /// The guest's memory, in MiB.
    pub memory: u32,
    /// What the guest's kernel command line has on top.
    pub cmdline: &'static str,
    /// How many times slower its guest is than that of `core`.
    pub slowness: u32,
    /// How long an instruction takes where time is virtual, a power of two. The longer, the less
    /// a busy guest waits for what takes a time; but its timer's interrupt comes a thousand times
    /// per second, and one that takes longer than until the next never ends.
    pub instruction_ns: u32,
}

const CORE: &str = include_str!("configs/core.config");

/// The configurations.
const CONFIGS: &[Config] = &[
    Config {
        name: "core",
        fragments: &[CORE],
        memory: 512,
        cmdline: "",
        slowness: 1,
        instruction_ns: 32,
    },
    Config {
        name: "debug",
        fragments: &[CORE, include_str!("configs/debug.config")],
        memory: 1536,
        // Complaints are long, and none may be lost. kmemleak is off unless it is asked for, and
        // misses what the allocator remembers from having handed it out: not where it checks
        // itself, since it has no cache of its own there.
        cmdline: "log_buf_len=16M kmemleak=on slab_debug=F",
        slowness: 8,
        instruction_ns: 4,
    },
];

/// Options that only some kernels have, and there stand for one that we ask for: the file that
/// tells which ones have it, and its name.
const OTHER_NAMES: &[(&str, &str)] = &[
    // Selects SYSCTL, which nobody can set by itself there; 7.3 made one of the two.
    ("fs/proc/Kconfig", "PROC_SYSCTL"),
];

/// A kernel's seed patch as a patch like any other.
pub fn seed(kernel: &Packaged) -> Patch {
    let (name, text) = kernel.seed;
    Patch {
        name: name.to_owned(),
        text: text.as_bytes().to_vec(),
    }
}

/// Where the source of a kernel comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A package, with patches.
    Packaged {
        /// The source in the cache.
        source: Source,
        /// `seed` or `mainline`.
        base: &'static str,
        /// What is applied, in that order; the seed patch is one of them.
        patches: Vec<Patch>,
    },
    /// The user's own tree, which is never written to.
    Tree(PathBuf),
}

/// A kernel to build.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its source.
    pub origin: Origin,
    /// Name of its configuration.
    pub config: String,
    /// What is changed in its module.
    pub module_patches: Vec<Patch>,
}

/// What was built from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildInfo {
    /// Package and version of the source, or the user's tree.
    pub source: String,
    /// `seed`, `mainline` or `user tree`.
    pub base: String,
    /// Name of the configuration.
    pub config: String,
    /// `NAME (sha256:...)`, in the order in which they were applied.
    pub patches: Vec<String>,
    /// What it was built with.
    pub toolchain: Toolchain,
}

/// A kernel and its module, ready to boot.
#[derive(Clone, Debug)]
pub struct Built {
    /// The kernel: an ELF file with a PVH entry, which QEMU starts without unpacking it.
    pub kernel: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// The module for it.
    pub module: PathBuf,
    /// The source tree it was built from. A packaged one is in the state of whatever kernel was
    /// built from it last.
    pub tree: PathBuf,
    /// What it was built from.
    pub info: BuildInfo,
    /// Whether its source is one that this program was tested with.
    pub tested: bool,
    /// What its guest needs.
    pub guest: &'static Config,
    /// Keeps it in the cache meanwhile.
    _hold: Hold,
}

/// How many kernels the cache keeps, of some 20 MB each.
const IMAGES_KEPT: usize = 40;

const KERNEL: &str = "vmlinux";
const CONFIG: &str = "config";
const INFO: &str = "build.json";

/// The configuration of that name.
pub fn config(name: &str) -> Result<&'static Config> {
    CONFIGS
        .iter()
        .find(|config| config.name == name)
        .with_context(|| {
            let known: Vec<_> = CONFIGS.iter().map(|config| config.name).collect();
            format!(
                "there is no configuration {name:?}; there is: {}",
                known.join(", ")
            )
        })
}

impl Config {
    /// Whether a kernel with this configuration can check that.
    pub fn checks(&self, needs: Needs) -> bool {
        let option = format!("CONFIG_{}=y", needs.option());
        let mut lines = self.fragments.iter().flat_map(|text| text.lines());
        lines.any(|line| line == option)
    }

    /// What the Kconfig of that tree is given.
    fn text(&self, tree: &Path) -> String {
        let mut text = self.fragments.concat();
        for (file, name) in OTHER_NAMES {
            let kconfig = fs::read_to_string(tree.join(file)).unwrap_or_default();
            let entry = format!("config {name}");
            if kconfig.lines().any(|line| line == entry) {
                text.push_str(&format!("CONFIG_{name}=y\n"));
            }
        }
        text
    }
}

impl Spec {
    fn info(&self, toolchain: &Toolchain) -> BuildInfo {
        let (source, base, patches) = match &self.origin {
            Origin::Packaged {
                source,
                base,
                patches,
            } => (source.name(), *base, patches.as_slice()),
            Origin::Tree(dir) => (dir.display().to_string(), "user tree", &[][..]),
        };
        let describe =
            |patch: &Patch| format!("{} (sha256:{})", patch.name, cache::sha256(&patch.text));
        let all = patches.iter().chain(&self.module_patches);
        BuildInfo {
            source,
            base: base.to_owned(),
            config: self.config.clone(),
            patches: all.map(describe).collect(),
            toolchain: toolchain.clone(),
        }
    }

    /// Changes with whatever would change the kernel. The patches count by what they contain,
    /// not by their names.
    fn key(&self, toolchain: &Toolchain, tree: &Path) -> Result<String> {
        let asked = config(&self.config)?.text(tree);
        let key = Key::default()
            .part("config", asked.as_bytes())
            .part("toolchain", toolchain.key().as_bytes());
        let key = match &self.origin {
            Origin::Packaged {
                source, patches, ..
            } => patches.iter().fold(
                key.part("source", source.name().as_bytes()),
                |key, patch| key.part("patch", &patch.text),
            ),
            Origin::Tree(dir) => key
                .part("tree", dir.as_os_str().as_encoded_bytes())
                .part("files", fingerprint(dir)?.as_bytes()),
        };
        Ok(key.finish())
    }

    /// Whether its source is one that this program was tested with.
    fn is_tested(&self) -> bool {
        match &self.origin {
            Origin::Packaged { source, .. } => kernels::is_tested(&source.package, &source.version),
            Origin::Tree(_) => false,
        }
    }

    /// The source tree.
    fn tree(&self, cache: &Cache) -> PathBuf {
        match &self.origin {
            Origin::Packaged { source, .. } => Tree::new(&source.dir(cache)).path().to_owned(),
            Origin::Tree(dir) => dir.clone(),
        }
    }

    /// A word for everything that is built in the same tree.
    fn tree_id(&self) -> String {
        match &self.origin {
            Origin::Packaged { source, .. } => source.id(),
            Origin::Tree(dir) => format!(
                "tree-{}",
                Key::default()
                    .part("dir", dir.as_os_str().as_encoded_bytes())
                    .finish()
            ),
        }
    }
}

/// The kernel and the module; built only where they are not in the cache. With `werror` the module
/// is built in any case, and a warning is an error.
pub fn provide(
    spec: &Spec,
    toolchain: &Toolchain,
    werror: bool,
    cache: &Cache,
    ui: &Ui,
) -> Result<Built> {
    if let Origin::Tree(dir) = &spec.origin {
        check_tree(dir)?;
    }
    let guest = config(&spec.config)?;
    let key = spec.key(toolchain, &spec.tree(cache))?;
    let image = cache.path("images").join(&key);
    let sources = Sources::new(&spec.module_patches, cache.temp_dir()?.path())?;
    let module = image.join(sources.key()).join(module::FILE);
    // Names may differ where contents do not; the report says what was asked for now.
    let built = |hold: Hold| Built {
        kernel: image.join(KERNEL),
        config: image.join(CONFIG),
        module: module.clone(),
        tree: spec.tree(cache),
        info: spec.info(toolchain),
        tested: spec.is_tested(),
        guest,
        _hold: hold,
    };
    let cached = || -> Result<Option<Built>> {
        let Some(hold) = cache::hold(&image)? else {
            return Ok(None);
        };
        if werror || !module.exists() {
            return Ok(None);
        }
        ui.line("kernel", &format!("cached: {}", image.display()));
        cache::touch(&image)?;
        Ok(Some(built(hold)))
    };
    if let Some(built) = cached()? {
        return Ok(built);
    }
    let _lock = cache.lock(&spec.tree_id(), ui)?;
    if let Some(built) = cached()? {
        return Ok(built);
    }
    let build = Build {
        spec,
        toolchain,
        cache,
        ui,
        key: &key,
        dir: cache.path("build").join(format!(
            "{}-{}-{}",
            spec.tree_id(),
            spec.config,
            toolchain.key()
        )),
        image: &image,
    };
    let tree = build.kernel()?;
    let hold = cache::hold(&image)?.with_context(|| {
        let image = image.display();
        format!("{image}: somebody has removed it meanwhile; the same command builds it again")
    })?;
    let task = ui.begin("module", "building the module");
    let mut log = Log::create(log_path(cache, "module", spec))?;
    let staged = cache.path("module").join(&key);
    sources.stage(&staged)?;
    let mut make = toolchain.make();
    make.arg("-C")
        .arg(&build.dir)
        .arg(toolchain::define("M", &staged))
        .arg("modules");
    if werror {
        make.arg("W=e");
    }
    stage::run(&task, &mut log, &mut make, |_| {})?;
    cache::write_atomically(&module, &cache::read(&staged.join(module::FILE))?)?;
    task.done("built the module");
    drop(tree);
    Ok(built(hold))
}

/// A log that no build in another tree writes to.
fn log_path(cache: &Cache, what: &str, spec: &Spec) -> PathBuf {
    cache
        .path("logs")
        .join(format!("{what}-{}.log", spec.tree_id()))
}

/// One build of a kernel.
struct Build<'a> {
    spec: &'a Spec,
    toolchain: &'a Toolchain,
    cache: &'a Cache,
    ui: &'a Ui,
    key: &'a str,
    /// What `make` gets as `O=`.
    dir: PathBuf,
    image: &'a Path,
}

impl Build<'_> {
    /// Brings tree and build directory to the state of this kernel, and keeps the kernel.
    fn kernel(&self) -> Result<PathBuf> {
        let task = self
            .ui
            .begin("kernel", &format!("building {}", self.describe()));
        let mut log = Log::create(log_path(self.cache, "kernel", self.spec))?;
        cache::make_dir(&self.dir)?;
        let (tree, changed) = self.tree()?;

        let state = self.dir.join("mn-inject.state");
        let built = fs::read_to_string(&state).is_ok_and(|built| built == self.key);
        if built && self.image.exists() {
            task.done("the build directory is in the state of this kernel");
            return Ok(tree);
        }
        match fs::remove_file(&state) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(cache::explain(e, "cannot remove", &state));
            }
            _ => {}
        }
        if changed.is_empty() {
            task.line("no source file changes");
        } else {
            let names: Vec<_> = changed
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            task.line(&format!(
                "changed since the last build: {}",
                names.join(", ")
            ));
        }
        task.note("configuring");
        self.configure(&tree, &mut log, &task)?;

        let mut make = self.toolchain.make();
        make.arg("-C")
            .arg(&tree)
            .arg(toolchain::define("O", &self.dir))
            .arg(format!(
                "-j{}",
                std::thread::available_parallelism().map_or(1, usize::from)
            ))
            .args(["vmlinux", "modules"]);
        let mut steps = 0u32;
        stage::run(&task, &mut log, &mut make, |line| {
            if line.starts_with("  ") {
                steps += 1;
                task.note(&format!("{steps} steps, {}", line.trim()));
            }
        })?;
        self.keep()?;
        cache::write_atomically(&state, self.key.as_bytes())?;
        task.done(&format!("built {}", self.describe()));
        Ok(tree)
    }

    fn describe(&self) -> String {
        match &self.spec.origin {
            Origin::Packaged {
                source, patches, ..
            } => {
                let names: Vec<_> = patches.iter().map(|patch| patch.name.as_str()).collect();
                let with = if names.is_empty() {
                    "no patch".to_owned()
                } else {
                    names.join(", ")
                };
                format!("{} with {with}, config {}", source.name(), self.spec.config)
            }
            Origin::Tree(dir) => format!("{}, config {}", dir.display(), self.spec.config),
        }
    }

    /// The source tree in the state of this kernel, and what was written for that.
    fn tree(&self) -> Result<(PathBuf, Vec<PathBuf>)> {
        match &self.spec.origin {
            Origin::Packaged {
                source, patches, ..
            } => {
                let tree = Tree::new(&source.dir(self.cache));
                let scratch = self.cache.temp_dir()?;
                let plan = tree.plan(patches, scratch.path())?;
                let written = tree.bring_to(&plan)?;
                Ok((tree.path().to_owned(), written))
            }
            Origin::Tree(dir) => Ok((dir.clone(), Vec::new())),
        }
    }

    /// Makes `.config`, and errors where it is not what was asked for.
    fn configure(
        &self,
        tree: &Path,
        log: &mut Log,
        task: &crate::vm::host::progress::Task<'_>,
    ) -> Result<()> {
        let fragment = self.dir.join("mn-inject.config");
        let asked = config(&self.spec.config)?.text(tree);
        cache::write_atomically(&fragment, asked.as_bytes())?;
        let mut make = self.toolchain.make();
        make.arg("-C")
            .arg(tree)
            .arg(toolchain::define("O", &self.dir))
            .env("KCONFIG_ALLCONFIG", &fragment)
            .arg("allnoconfig");
        stage::run(task, log, &mut make, |_| {})?;
        let file = self.dir.join(".config");
        let got = String::from_utf8_lossy(&cache::read(&file)?).into_owned();
        let dropped = dropped(&asked, &got);
        if !dropped.is_empty() {
            let rust = if dropped.iter().any(|line| line == "CONFIG_RUST=y") {
                self.why_no_rust(tree)
            } else {
                String::new()
            };
            bail!(
                "[kernel] this kernel's configuration dropped what the configuration {:?} asks for: {}. \
                 The result is {}{rust}",
                self.spec.config,
                dropped.join(", "),
                file.display()
            );
        }
        Ok(())
    }

    /// The kernel's own words on why it cannot have Rust.
    fn why_no_rust(&self, tree: &Path) -> String {
        let mut make: Command = self.toolchain.make();
        make.arg("-s")
            .arg("-C")
            .arg(tree)
            .arg(toolchain::define("O", &self.dir))
            .arg("rustavailable");
        match stage::output(&mut make) {
            Ok(_) => String::new(),
            Err(e) => format!("\n{}", stage::tail(&format!("{e:#}"))),
        }
    }

    /// Keeps the kernel where later runs find it.
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
        if let Some(parent) = self.image.parent() {
            cache::make_dir(parent)?;
        }
        // What was used of late is not among those that go.
        if let Some(parent) = self.image.parent() {
            cache::keep_newest(parent, IMAGES_KEPT - 1);
        }
        fs::rename(&whole, self.image)
            .map_err(|e| cache::explain(e, "cannot keep the kernel in", self.image))
    }
}

/// The lines of `asked` that `got` does not honour.
fn dropped(asked: &str, got: &str) -> Vec<String> {
    let got: std::collections::HashSet<_> = got.lines().collect();
    asked
        .lines()
        .filter(|line| match line.strip_prefix("# CONFIG_") {
            Some(rest) => rest.strip_suffix(" is not set").is_some_and(|name| {
                let set = format!("CONFIG_{name}=");
                got.iter().any(|line| line.starts_with(&set))
            }),
            None => line.starts_with("CONFIG_") && !got.contains(line),
        })
        .map(str::to_owned)
        .collect()
}

/// Errors where a tree of the user's cannot be built.
fn check_tree(dir: &Path) -> Result<()> {
    for needed in ["Kconfig", "Makefile", "mm/mmu_notifier.c"] {
        if !dir.join(needed).exists() {
            bail!(
                "{}: not a Linux source tree ({needed} is missing); give --linux the top of one",
                dir.display()
            );
        }
    }
    for built in [".config", "include/config", "arch/x86/include/generated"] {
        if dir.join(built).exists() {
            bail!(
                "{}: it was built in place ({built} is there), and the kernel refuses to build from \
                 such a tree in another directory. Run `make mrproper` in it (this removes its .config; \
                 keep a copy), or give --linux a clean `git worktree`",
                dir.display()
            );
        }
    }
    Ok(())
}

/// Changes with every file of a tree, by name, size and time of its last change.
fn fingerprint(dir: &Path) -> Result<String> {
    use std::os::unix::fs::MetadataExt;
    let mut lines = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(current) = dirs.pop() {
        let entries =
            fs::read_dir(&current).map_err(|e| cache::explain(e, "cannot read", &current))?;
        for entry in entries {
            let entry = entry.map_err(|e| cache::explain(e, "cannot read", &current))?;
            let path = entry.path();
            let meta =
                fs::symlink_metadata(&path).map_err(|e| cache::explain(e, "cannot read", &path))?;
            if meta.is_dir() {
                if entry.file_name() != ".git" {
                    dirs.push(path);
                }
            } else {
                lines.push(format!(
                    "{} {} {}.{:09}",
                    path.display(),
                    meta.size(),
                    meta.mtime(),
                    meta.mtime_nsec()
                ));
            }
        }
    }
    lines.sort_unstable();
    Ok(cache::sha256(lines.join("\n").as_bytes()))
}

#[cfg(test)]
impl Built {
    /// Nothing that exists, for tests of what is said about it.
    pub fn of_nothing(name: &str) -> Self {
        Built {
            kernel: "/kernel".into(),
            config: "/config".into(),
            module: "/module".into(),
            tree: "/tree".into(),
            info: BuildInfo {
                source: "test".to_owned(),
                base: "seed".to_owned(),
                config: name.to_owned(),
                patches: Vec::new(),
                toolchain: Toolchain {
                    rustc: "/rustc".into(),
                    llvm: "1".to_owned(),
                    bindgen: "/bindgen".into(),
                    libclang: None,
                    versions: std::collections::BTreeMap::new(),
                },
            },
            tested: true,
            guest: config(name).unwrap(),
            _hold: cache::hold(Path::new("/")).unwrap().unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_was_dropped_is_named() {
        let asked =
            "# a comment\nCONFIG_A=y\nCONFIG_B=2\n# CONFIG_C is not set\n# CONFIG_D is not set\n";
        assert!(dropped(asked, "CONFIG_A=y\nCONFIG_B=2\n# CONFIG_C is not set\n").is_empty());
        assert_eq!(
            dropped(asked, "CONFIG_A=y\nCONFIG_B=21\nCONFIG_C=m\n"),
            ["CONFIG_B=2", "# CONFIG_C is not set"]
        );
    }

    #[test]
    fn configurations_are_found_by_name() {
        assert!(config("core").is_ok());
        let text = format!("{:#}", config("cor").unwrap_err());
        assert!(text.contains("core"), "{text}");
    }

    #[test]
    fn an_option_is_asked_for_by_the_name_that_a_tree_has_for_it() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let kconfig = dir.path().join("fs/proc/Kconfig");
        cache::write_atomically(&kconfig, b"config SYSCTL\n\tbool \"x\"\n")?;
        let core = config("core")?;
        assert_eq!(core.text(dir.path()), CORE);
        cache::write_atomically(&kconfig, b"config PROC_SYSCTL\n\tbool \"x\"\n")?;
        assert_eq!(
            core.text(dir.path()),
            format!("{CORE}CONFIG_PROC_SYSCTL=y\n")
        );
        Ok(())
    }

    #[test]
    fn the_key_follows_contents_and_not_names() -> Result<()> {
        let toolchain = Toolchain {
            rustc: "/r".into(),
            llvm: "1".to_owned(),
            bindgen: "/b".into(),
            libclang: None,
            versions: Default::default(),
        };
        let spec = |name: &str, text: &str| Spec {
            origin: Origin::Packaged {
                source: Source {
                    package: "p".to_owned(),
                    version: "1".to_owned(),
                    suite: "s".to_owned(),
                },
                base: "mainline",
                patches: vec![Patch {
                    name: name.to_owned(),
                    text: text.into(),
                }],
            },
            config: "core".to_owned(),
            module_patches: Vec::new(),
        };
        let tree = Path::new("/no/such/tree");
        let key = spec("a", "x").key(&toolchain, tree)?;
        assert_eq!(key, spec("b", "x").key(&toolchain, tree)?);
        assert_ne!(key, spec("a", "y").key(&toolchain, tree)?);
        let mut other = toolchain.clone();
        other.versions.insert("rustc".to_owned(), "2".to_owned());
        assert_ne!(key, spec("a", "x").key(&other, tree)?);
        Ok(())
    }

    #[test]
    fn a_changed_file_changes_the_fingerprint_of_a_tree() -> Result<()> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join(".git"))?;
        fs::write(dir.path().join("a"), "1")?;
        let before = fingerprint(dir.path())?;
        fs::write(dir.path().join(".git/x"), "1")?;
        assert_eq!(before, fingerprint(dir.path())?);
        fs::write(dir.path().join("a"), "12")?;
        assert_ne!(before, fingerprint(dir.path())?);
        Ok(())
    }

    #[test]
    fn a_tree_that_cannot_be_built_is_explained() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let text = format!("{:#}", check_tree(dir.path()).unwrap_err());
        assert!(text.contains("Kconfig"), "{text}");
        fs::create_dir(dir.path().join("mm"))?;
        for file in ["Kconfig", "Makefile", "mm/mmu_notifier.c", ".config"] {
            fs::write(dir.path().join(file), "")?;
        }
        let text = format!("{:#}", check_tree(dir.path()).unwrap_err());
        assert!(text.contains("make mrproper"), "{text}");
        Ok(())
    }
}
