// SPDX-License-Identifier: GPL-2.0

//! Which compilers build the kernel and the module: the same ones for both, as Rust demands.

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

/// What 7.3 asks for (Documentation/process/changes.rst).
const RUSTC_LEAST: Version = Version(1, 85, 0);
const BINDGEN_LEAST: Version = Version(0, 71, 1);
/// The bindgen that is built where the machine has none that is new enough.
const BINDGEN_BUILT: &str = "0.72.1";
/// LLVM's versions in the order in which they are tried; the first is the one we test with. The
/// empty one is the unversioned `clang`.
const LLVM_SUFFIXES: &[&str] = &["-19", "-20", "-21", "-18", ""];

/// The tools of LLVM that `make LLVM=` calls.
const LLVM_TOOLS: &[&str] = &[
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-strip",
    "llvm-readelf",
];

/// A version of a program: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The first thing in a text that looks like a version.
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

/// The programs that build the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// The Rust compiler, which has its sources with it.
    pub rustc: PathBuf,
    /// What `make LLVM=` gets: `-19`, or `1` for unversioned names.
    pub llvm: String,
    /// bindgen.
    pub bindgen: PathBuf,
    /// Where bindgen finds libclang, where it would not by itself.
    pub libclang: Option<PathBuf>,
    /// What each program says of its version.
    pub versions: BTreeMap<String, String>,
}

impl Toolchain {
    /// Changes with whatever would change what is built.
    pub fn key(&self) -> String {
        let versions = format!("{:?}", self.versions);
        Key::default()
            .part("versions", versions.as_bytes())
            .finish()
    }

    /// Finds the programs. [`crate::vm::build::deps::provide`] was there before, so a missing one is odd.
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

    /// `make` with this toolchain, in an environment of its own.
    pub fn make(&self) -> Command {
        let mut make = stage::tied("make", "TERM");
        stage::clean_environment(&mut make);
        if let Some(libclang) = &self.libclang {
            make.env("LIBCLANG_PATH", libclang);
        }
        make.arg(format!("LLVM={}", self.llvm))
            .arg(define("RUSTC", &self.rustc))
            .arg(define("BINDGEN", &self.bindgen))
            // Two builds of the same thing are the same.
            .arg("KBUILD_BUILD_TIMESTAMP=@0")
            .arg("KBUILD_BUILD_USER=mn-inject")
            .arg("KBUILD_BUILD_HOST=mn-inject");
        make
    }
}

/// `NAME=PATH`, whatever bytes the path has.
pub fn define(name: &str, path: &Path) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(path);
    word
}

/// The first Rust compiler that is new enough and has the sources of the core library: the
/// distribution's, or else the one that is used here anyway. With its version.
pub fn rustc() -> Option<(PathBuf, String)> {
    // rustup's `rustc` asks the environment which compiler to be; the sysroot has the real one.
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

/// The suffix of the first LLVM that is complete.
pub fn llvm() -> Option<&'static str> {
    LLVM_SUFFIXES.iter().copied().find(|suffix| {
        LLVM_TOOLS
            .iter()
            .all(|tool| in_path(&format!("{tool}{suffix}")).is_some())
    })
}

/// The machine's own bindgen, where it is new enough.
pub fn system_bindgen() -> Option<PathBuf> {
    let bindgen = in_path("bindgen")?;
    let version = stage::output(Command::new(&bindgen).arg("--version")).ok()?;
    (Version::find(&version)? >= BINDGEN_LEAST).then_some(bindgen)
}

/// Whether cargo is there to build a bindgen.
pub fn can_build_bindgen() -> bool {
    cargo().is_some()
}

/// The bindgen to use: the machine's own, or one that is built here, once.
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
    // It runs a few seconds per kernel, and is compiled at this level in little more than half of
    // the time that the release profile takes.
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

/// Where PATH has a program.
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
    fn versions_are_found_in_what_programs_say() {
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
