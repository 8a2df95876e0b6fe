// SPDX-License-Identifier: GPL-2.0

//! The table of the programs and headers that the host must have, and the packages that contain
//! them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::vm::build::system::System;
use crate::vm::build::{elf, stage, toolchain};

/// A requirement of the host.
#[derive(Debug)]
pub struct Need {
    /// Description, for systems whose packages are not known.
    pub what: &'static str,
    /// A way to meet it without a package, or with one that is not the system's.
    pub otherwise: Option<&'static str>,
    /// Whether the host meets it.
    pub there: fn() -> bool,
    /// Packages that meet it.
    pub packages: Packages,
    /// Purpose.
    pub used_by: UsedBy,
}

/// Names of packages, by system.
#[derive(Debug)]
pub struct Packages {
    bookworm: &'static [&'static str],
    trixie: &'static [&'static str],
    noble: &'static [&'static str],
    apt: &'static [&'static str],
    fedora: &'static [&'static str],
    arch: &'static [&'static str],
    suse: &'static [&'static str],
}

impl Packages {
    /// Packages of one system.
    pub const fn of(&self, system: System) -> &'static [&'static str] {
        match system {
            System::Bookworm => self.bookworm,
            System::Trixie => self.trixie,
            System::Noble => self.noble,
            System::Apt => self.apt,
            System::Fedora => self.fedora,
            System::Arch => self.arch,
            System::Suse => self.suse,
        }
    }

    /// Packages with the same names wherever apt is.
    const fn new(
        apt: &'static [&'static str],
        fedora: &'static [&'static str],
        arch: &'static [&'static str],
        suse: &'static [&'static str],
    ) -> Self {
        Packages {
            bookworm: apt,
            trixie: apt,
            noble: apt,
            apt,
            fedora,
            arch,
            suse,
        }
    }
}

/// Purpose of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// Every build.
    Everything,
    /// Packaged kernel sources.
    Packaged,
    /// Patches of the kernel or the module, and trees of the user.
    Git,
    /// `vm shell`.
    Shell,
    /// Virtual machines.
    Qemu,
}

/// A program whose package has the same name everywhere.
macro_rules! program {
    ($name:literal) => {
        program!(
            $name,
            UsedBy::Everything,
            Packages::new(&[$name], &[$name], &[$name], &[$name])
        )
    };
    ($name:literal, $used_by:expr, $packages:expr) => {
        Need {
            what: $name,
            otherwise: None,
            there: || toolchain::in_path($name).is_some(),
            packages: $packages,
            used_by: $used_by,
        }
    };
}

/// All requirements. The packages of the Rust compiler and of bindgen are those that
/// Documentation/rust/quick-start.rst names.
pub const NEEDS: &[Need] = &[
    Need {
        what: "clang, lld and the LLVM binary tools, version 18 or later",
        otherwise: None,
        there: || toolchain::llvm().is_some(),
        packages: Packages {
            bookworm: &["clang-19", "lld-19", "llvm-19"],
            trixie: &["clang-19", "lld-19", "llvm-19"],
            // 18 in Ubuntu 24.04.
            noble: &["clang", "lld", "llvm"],
            apt: &["clang", "lld", "llvm"],
            fedora: &["clang", "lld", "llvm"],
            arch: &["clang", "lld", "llvm"],
            // clang links the host's programs with the start files of gcc.
            suse: &["clang", "lld", "llvm", "gcc"],
        },
        used_by: UsedBy::Everything,
    },
    Need {
        what: "libclang of the same version (for bindgen)",
        otherwise: None,
        there: libclang,
        packages: Packages {
            bookworm: &["libclang-19-dev"],
            trixie: &["libclang-19-dev"],
            noble: &["libclang-dev"],
            apt: &["libclang-dev"],
            fedora: &["clang-libs"],
            arch: &["clang"],
            suse: &["libclang13"],
        },
        used_by: UsedBy::Everything,
    },
    Need {
        what: "rustc 1.85 or later with the sources of its standard library",
        otherwise: Some("a toolchain of rustup with `rustup component add rust-src`"),
        there: || toolchain::rustc().is_some(),
        packages: Packages {
            bookworm: &["rustc-web", "rust-web-src"],
            trixie: &["rustc", "rust-src"],
            noble: &["rustc-1.85", "rust-1.85-src"],
            apt: &["rustc", "rust-src"],
            fedora: &["rust", "rust-src"],
            arch: &["rust", "rust-src"],
            suse: &["rust", "rust-src"],
        },
        used_by: UsedBy::Everything,
    },
    Need {
        what: "bindgen 0.71.1 or later, or cargo to build it",
        otherwise: Some("any cargo in PATH, with which it is built in the cache"),
        there: || toolchain::system_bindgen().is_some() || toolchain::can_build_bindgen(),
        packages: Packages {
            // Debian 12 has bindgen 0.60.
            bookworm: &["cargo-web"],
            trixie: &["bindgen"],
            noble: &["bindgen-0.71"],
            apt: &["bindgen"],
            fedora: &["bindgen-cli"],
            arch: &["rust-bindgen"],
            suse: &["rust-bindgen"],
        },
        used_by: UsedBy::Everything,
    },
    program!("make"),
    program!("flex"),
    program!("bison"),
    program!("bc"),
    Need {
        what: "the headers of the C library",
        otherwise: None,
        there: || header("stdio.h"),
        packages: Packages::new(
            &["libc6-dev"],
            &["glibc-devel"],
            &["glibc"],
            &["glibc-devel"],
        ),
        used_by: UsedBy::Everything,
    },
    Need {
        what: "the headers of libelf (for objtool)",
        otherwise: None,
        there: || header("gelf.h"),
        packages: Packages::new(
            &["libelf-dev"],
            &["elfutils-libelf-devel"],
            &["libelf"],
            &["libelf-devel"],
        ),
        used_by: UsedBy::Everything,
    },
    program!(
        "setpriv",
        UsedBy::Everything,
        Packages::new(
            &["util-linux"],
            &["util-linux"],
            &["util-linux"],
            &["util-linux"]
        )
    ),
    program!(
        "qemu-system-x86_64",
        UsedBy::Qemu,
        Packages::new(
            &["qemu-system-x86"],
            &["qemu-system-x86"],
            &["qemu-system-x86"],
            &["qemu-x86"]
        )
    ),
    program!(
        "tar",
        UsedBy::Packaged,
        Packages::new(&["tar"], &["tar"], &["tar"], &["tar"])
    ),
    program!(
        "xz",
        UsedBy::Packaged,
        Packages::new(&["xz-utils"], &["xz"], &["xz"], &["xz"])
    ),
    program!(
        "git",
        UsedBy::Git,
        Packages::new(&["git"], &["git"], &["git"], &["git"])
    ),
    Need {
        what: "a statically linked busybox",
        otherwise: Some("one that was built with CONFIG_STATIC=y, as `busybox-static` in PATH"),
        there: || busybox().is_some(),
        packages: Packages::new(
            &["busybox-static"],
            &["busybox"],
            &["busybox"],
            &["busybox-static"],
        ),
        used_by: UsedBy::Shell,
    },
];

fn libclang() -> bool {
    let Some(suffix) = toolchain::llvm() else {
        return false;
    };
    let Ok(dir) = stage::output(Command::new(format!("llvm-config{suffix}")).arg("--libdir"))
    else {
        // Without llvm-config the path of libclang is not known here; bindgen searches for it, and
        // fails with an error message if there is none.
        return true;
    };
    std::fs::read_dir(dir.trim()).is_ok_and(|files| {
        files.flatten().any(|file| {
            file.file_name()
                .to_string_lossy()
                .starts_with("libclang.so")
        })
    })
}

fn header(name: &str) -> bool {
    [
        "/usr/include",
        "/usr/include/x86_64-linux-gnu",
        "/usr/local/include",
    ]
    .iter()
    .any(|dir| Path::new(dir).join(name).exists())
}

/// Finds a statically linked busybox: the guest has no libraries.
pub fn busybox() -> Option<PathBuf> {
    ["busybox-static", "busybox"]
        .iter()
        .filter_map(|name| toolchain::in_path(name))
        // A user's PATH may be without the folders of root's programs.
        .chain(
            ["bin", "usr/bin", "sbin", "usr/sbin"]
                .map(|dir| Path::new("/").join(dir).join("busybox")),
        )
        .find(|path| {
            std::fs::read(path).is_ok_and(|elf| {
                elf::interpreter(&elf).is_ok_and(|interpreter| interpreter.is_none())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_has_packages_for_every_requirement() {
        for need in NEEDS {
            for system in System::ALL {
                let packages = need.packages.of(system);
                assert!(!packages.is_empty(), "{} in {system:?}", need.what);
                for package in packages {
                    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                    assert!(
                        package.starts_with(allowed)
                            && package.chars().all(|c| allowed(c) || "-.+_".contains(c)),
                        "{package:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_requirement_has_its_own_row() {
        for (index, need) in NEEDS.iter().enumerate() {
            assert!(NEEDS[..index].iter().all(|other| other.what != need.what));
        }
    }
}
