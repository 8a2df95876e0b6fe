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
use crate::vm::host::cache::{Cache, Key};
use crate::vm::host::progress::Ui;

/// Minimum versions for Linux 7.3 (Documentation/process/changes.rst).
const RUSTC_LEAST: Version = Version(1, 85, 0);
const BINDGEN_LEAST: Version = Version(0, 71, 1);
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
        let (rustc, rustc_version) = rustc()
            .context("no Rust compiler with its sources: see what `mn-inject vm build` asks for")?;
        let suffix = llvm().context("no LLVM: see what `mn-inject vm build` asks for")?;
        let version = |program: &str| -> Result<String> {
            let text = stage::output(Command::new(program).arg("--version"))?;
            Ok(text.lines().next().unwrap_or_default().to_owned())
        };
        let mut versions = BTreeMap::from([("rustc".to_owned(), rustc_version)]);
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
            rustc,
            llvm: if suffix.is_empty() { "1" } else { suffix }.to_owned(),
            bindgen: bindgen.to_owned(),
            libclang,
            versions,
        })
    }

    /// `make` with this toolchain, in a clean environment.
    pub fn make(&self) -> Command {
        let mut make = stage::tied("make", "TERM");
        stage::clean_environment(&mut make);
        if let Some(libclang) = &self.libclang {
            make.env("LIBCLANG_PATH", libclang);
        }
        make.arg(format!("LLVM={}", self.llvm))
            .arg(define("RUSTC", &self.rustc))
            .arg(define("BINDGEN", &self.bindgen))
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

/// Finds a Rust compiler that is new enough and has the sources of the core library, and returns its
/// path and version. Prefers the one of the distribution to the one in `PATH`.
pub fn rustc() -> Option<(PathBuf, String)> {
    // The `rustc` of rustup is a proxy that depends on the environment; the sysroot has the compiler.
    let active = stage::output(Command::new("rustc").args(["--print", "sysroot"]))
        .ok()
        .map(|sysroot| PathBuf::from(sysroot.trim()).join("bin/rustc"));
    [Some(PathBuf::from("/usr/bin/rustc")), active]
        .into_iter()
        .flatten()
        .find_map(|rustc| {
            let library = rustc
                .parent()?
                .parent()?
                .join("lib/rustlib/src/rust/library");
            if !library.join("core/src/lib.rs").exists() {
                return None;
            }
            let version = stage::output(Command::new(&rustc).arg("--version")).ok()?;
            (Version::find(&version)? >= RUSTC_LEAST).then(|| (rustc, version.trim().to_owned()))
        })
}

/// Suffix of the first LLVM of which all programs exist.
pub fn llvm() -> Option<&'static str> {
    LLVM_SUFFIXES.iter().copied().find(|suffix| {
        LLVM_TOOLS
            .iter()
            .all(|tool| in_path(&format!("{tool}{suffix}")).is_some())
    })
}

/// Path of bindgen in `PATH`, if it is new enough.
pub fn system_bindgen() -> Option<PathBuf> {
    let bindgen = in_path("bindgen")?;
    let version = stage::output(Command::new(&bindgen).arg("--version")).ok()?;
    (Version::find(&version)? >= BINDGEN_LEAST).then_some(bindgen)
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
        assert_eq!(Version::find("no version 3 here"), None);
        assert!(Version(1, 100, 0) > RUSTC_LEAST);
    }
}
