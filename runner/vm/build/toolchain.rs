// SPDX-License-Identifier: GPL-2.0

//! The compilers for the kernel and the module. Both must be built with the same rustc.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::vm::build::stage;
use crate::vm::build::stage::Log;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::key::Key;
use crate::vm::host::progress::Ui;

/// Minimum versions for Linux 7.3 (Documentation/process/changes.rst).
const RUSTC_LEAST: Version = Version(1, 85, 0);
const BINDGEN_LEAST: Version = Version(0, 71, 1);
/// Names of bindgen. Ubuntu has packages with the version in the name.
const BINDGEN_NAMES: &[&str] = &["bindgen", "bindgen-0.72", "bindgen-0.71"];
/// Version of bindgen to build if the host has none or an old one.
const BINDGEN_BUILT: &str = "0.72.1";
/// Suffixes of LLVM programs in order of preference; this program is tested with the first. The
/// empty one stands for the unversioned `clang`.
const LLVM_SUFFIXES: &[&str] = &["-19", "-20", "-21", "-18", ""];

/// LLVM programs that `make LLVM=` calls.
const LLVM_TOOLS: &[&str] = &[
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-strip",
    "llvm-readelf",
];

/// Version of a program: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Finds the first version in a text.
    pub fn find(text: &str) -> Option<Self> {
        text.split(|c: char| !c.is_ascii_digit() && c != '.')
            .find_map(|word| {
                let mut parts = word.split('.').map(str::parse::<u32>);
                let major = parts.next()?.ok()?;
                let minor = parts.next()?.ok()?;
                let patch = parts.next().and_then(Result::ok).unwrap_or(0);
                Some(Version(major, minor, patch))
            })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Programs for the build of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// Rust compiler with the sources of the core library.
    pub rustc: PathBuf,
    /// Those sources, where the compiler has them in another place than kbuild expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
    /// Value of `make LLVM=`: a suffix such as `-19`, or `1` for unversioned names.
    pub llvm: String,
    /// Path of bindgen.
    pub bindgen: PathBuf,
    /// Directory with libclang, if llvm-config knows it; or else bindgen searches for it.
    pub libclang: Option<PathBuf>,
    /// Output of `--version` of each program.
    pub versions: BTreeMap<String, String>,
}

impl Toolchain {
    /// Hash of the versions, as part of the keys of builds.
    pub fn key(&self) -> String {
        let versions = format!("{:?}", self.versions);
        Key::default()
            .part("versions", versions.as_bytes())
            .finish()
    }

    /// Finds the programs. [`deps::provide`](crate::vm::build::deps::provide) has checked before
    /// that they exist.
    pub fn find(bindgen: &Path) -> Result<Self> {
        let rust = rustc()
            .context("no Rust compiler with its sources: see what `mn-inject vm build` asks for")?;
        let suffix = llvm().context("no LLVM: see what `mn-inject vm build` asks for")?;
        let version = |program: &str| -> Result<String> {
            let text = stage::output(Command::new(program).arg("--version"))?;
            Ok(text.lines().next().unwrap_or_default().to_owned())
        };
        let mut versions = BTreeMap::from([("rustc".to_owned(), rust.version)]);
        for tool in ["clang", "ld.lld"] {
            versions.insert(tool.to_owned(), version(&format!("{tool}{suffix}"))?);
        }
        versions.insert(
            "bindgen".to_owned(),
            version(&bindgen.display().to_string())?,
        );
        let libclang = stage::output(Command::new(format!("llvm-config{suffix}")).arg("--libdir"))
            .ok()
            .map(|dir| PathBuf::from(dir.trim()));
        Ok(Toolchain {
            rustc: rust.path,
            library: rust.library,
            llvm: if suffix.is_empty() { "1" } else { suffix }.to_owned(),
            bindgen: bindgen.to_owned(),
            libclang,
            versions,
        })
    }

    /// `make` with this toolchain, in a clean environment; `bindgen` is [`Toolchain::bindgen`] or
    /// calls it.
    pub fn make(&self, bindgen: &Path) -> Command {
        let mut make = stage::tied("make", "TERM");
        stage::clean_environment(&mut make);
        if let Some(libclang) = &self.libclang {
            make.env("LIBCLANG_PATH", libclang);
        }
        if let Some(library) = &self.library {
            make.arg(define("RUST_LIB_SRC", library));
        }
        make.arg(format!("LLVM={}", self.llvm))
            .arg(define("RUSTC", &self.rustc))
            .arg(define("BINDGEN", bindgen))
            // For reproducible builds.
            .arg("KBUILD_BUILD_TIMESTAMP=@0")
            .arg("KBUILD_BUILD_USER=mn-inject")
            .arg("KBUILD_BUILD_HOST=mn-inject");
        make
    }
}

/// `NAME=PATH`. The path may not be valid UTF-8.
pub fn define(name: &str, path: &Path) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(path);
    word
}

/// A Rust compiler.
#[derive(Debug, PartialEq, Eq)]
pub struct Rust {
    /// Path of the compiler.
    path: PathBuf,
    /// Output of its `--version`.
    version: String,
    /// The sources of its library, where kbuild does not expect them.
    library: Option<PathBuf>,
}

/// Finds a Rust compiler that is new enough and has the sources of the core library. Prefers the one
/// of the distribution to the one in `PATH`.
pub fn rustc() -> Option<Rust> {
    // The `rustc` of rustup is a proxy that depends on the environment; the sysroot has the compiler.
    let active = stage::output(Command::new("rustc").args(["--print", "sysroot"]))
        .ok()
        .map(|sysroot| PathBuf::from(sysroot.trim()).join("bin/rustc"));
    [Some(PathBuf::from("/usr/bin/rustc")), active]
        .into_iter()
        .flatten()
        .chain(versioned_rustc(Path::new("/")))
        .find_map(|path| {
            let version = stage::output(Command::new(&path).arg("--version")).ok()?;
            let version = version.trim().to_owned();
            let library = library_of(&path, &version, Path::new("/"))?;
            (Version::find(&version)? >= RUSTC_LEAST).then_some(Rust {
                path,
                version,
                library,
            })
        })
}

/// Compilers in packages that have the version in their names, as Ubuntu has them, newest first.
fn versioned_rustc(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root.join("usr/lib")) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = Version::find(name.to_str()?.strip_prefix("rust-")?)?;
            Some((version, entry.path().join("bin/rustc")))
        })
        .filter(|(_, rustc)| rustc.exists())
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, rustc)| rustc).collect()
}

/// Finds the sources of the library of a compiler: `Some(None)` where kbuild finds them itself, below
/// the sysroot, and `None` if there are none. Ubuntu has them in `/usr/src`, from where they are
/// given to `make` as `RUST_LIB_SRC` (Documentation/rust/quick-start.rst).
fn library_of(rustc: &Path, version: &str, root: &Path) -> Option<Option<PathBuf>> {
    let is_there = |library: &Path| library.join("core/src/lib.rs").exists();
    let sysroot = rustc.parent()?.parent()?;
    if is_there(&sysroot.join("lib/rustlib/src/rust/library")) {
        return Some(None);
    }
    let number = version.split_whitespace().nth(1)?;
    let library = root.join(format!("usr/src/rustc-{number}/library"));
    is_there(&library).then_some(Some(library))
}

/// Suffix of the first LLVM of which all programs exist.
pub fn llvm() -> Option<&'static str> {
    LLVM_SUFFIXES.iter().copied().find(|suffix| {
        LLVM_TOOLS
            .iter()
            .all(|tool| in_path(&format!("{tool}{suffix}")).is_some())
    })
}

/// Path of the first bindgen in `PATH` that is new enough.
pub fn system_bindgen() -> Option<PathBuf> {
    BINDGEN_NAMES.iter().find_map(|name| {
        let bindgen = in_path(name)?;
        let version = stage::output(Command::new(&bindgen).arg("--version")).ok()?;
        (Version::find(&version)? >= BINDGEN_LEAST).then_some(bindgen)
    })
}

/// Whether cargo exists, to build bindgen.
pub fn can_build_bindgen() -> bool {
    cargo().is_some()
}

/// Provides bindgen: the one in `PATH`, or one in the cache, which is built if necessary.
pub fn bindgen(cache: &Cache, ui: &Ui) -> Result<PathBuf> {
    if let Some(bindgen) = system_bindgen() {
        return Ok(bindgen);
    }
    let dir = cache.path("bindgen").join(BINDGEN_BUILT);
    let program = dir.join("bin/bindgen");
    if program.exists() {
        return Ok(program);
    }
    let _lock = cache.lock("bindgen", ui)?;
    if program.exists() {
        return Ok(program);
    }
    let task = ui.begin("bindgen", &format!("building bindgen {BINDGEN_BUILT}"));
    let mut log = Log::create(cache.path("logs/bindgen.log"))?;
    let temp = cache.temp_dir()?;
    let cargo = cargo().context("cargo is not in PATH")?;
    let mut install = stage::tied(cargo, "TERM");
    stage::clean_environment(&mut install);
    // bindgen runs a few seconds per kernel. At this level it takes little more than half of the
    // time to build that the release profile takes.
    install
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_TARGET_DIR", temp.path().join("target"))
        .current_dir(temp.path())
        .args([
            "install",
            "bindgen-cli",
            "--locked",
            "--version",
            BINDGEN_BUILT,
        ])
        .arg("--root")
        .arg(temp.path().join("root"));
    let mut crates = 0;
    stage::run(&task, &mut log, &mut install, |line| {
        if line.trim_start().starts_with("Compiling") {
            crates += 1;
            task.note(&format!("{crates} crates"));
        }
    })?;
    cache::make_dir(&cache.path("bindgen"))?;
    std::fs::rename(temp.path().join("root"), &dir)
        .map_err(|e| cache::explain(e, "cannot put bindgen to", &dir))?;
    task.done(&format!("built bindgen {BINDGEN_BUILT}"));
    Ok(program)
}

fn cargo() -> Option<PathBuf> {
    in_path("cargo")
}

/// Finds a program in `PATH`.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_output_of_programs() {
        for (text, version) in [
            ("rustc 1.96.0 (ac68faa20 2026-05-25)", Version(1, 96, 0)),
            ("bindgen 0.72.1", Version(0, 72, 1)),
            ("Debian clang version 19.1.7 (3~deb12u1)", Version(19, 1, 7)),
            ("QEMU emulator version 10.0 (x)", Version(10, 0, 0)),
        ] {
            assert_eq!(Version::find(text), Some(version), "{text}");
        }
        assert_eq!(Version::find("1.85"), Some(Version(1, 85, 0)));
        assert_eq!(Version::find("no version 3 here"), None);
        assert!(Version(1, 100, 0) > RUSTC_LEAST);
    }

    /// Makes a file below `root`, with its folders.
    fn touch(root: &Path, path: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn compilers_with_the_version_in_their_names_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(versioned_rustc(root).is_empty());
        for path in [
            "usr/lib/rust-1.85/bin/rustc",
            "usr/lib/rust-1.100/bin/rustc",
            "usr/lib/rust-1.75/bin/cargo",
            "usr/lib/rustlib/bin/rustc",
        ] {
            touch(root, path);
        }
        let found = versioned_rustc(root);
        let found: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            found,
            [
                "usr/lib/rust-1.100/bin/rustc",
                "usr/lib/rust-1.85/bin/rustc"
            ]
        );
    }

    #[test]
    fn the_sources_of_the_library_are_found_where_ubuntu_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let rustc = root.join("usr/lib/rust-1.85/bin/rustc");
        let library = || library_of(&rustc, "rustc 1.85.1 (4eb161250 2025-03-15)", root);
        assert_eq!(library(), None);
        touch(root, "usr/src/rustc-1.85.0/library/core/src/lib.rs");
        assert_eq!(library(), None);
        touch(root, "usr/src/rustc-1.85.1/library/core/src/lib.rs");
        let due = root.join("usr/src/rustc-1.85.1/library");
        assert_eq!(library(), Some(Some(due)));
        touch(
            root,
            "usr/lib/rust-1.85/lib/rustlib/src/rust/library/core/src/lib.rs",
        );
        assert_eq!(library(), Some(None));
    }
}
