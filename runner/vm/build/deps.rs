// SPDX-License-Identifier: GPL-2.0

//! The programs and headers that the host must have, and the packages that contain them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::vm::build::{elf, stage, toolchain};
use crate::vm::host::progress::Ui;

/// A requirement of the host.
struct Need {
    /// Description, for systems whose packages are not known.
    what: &'static str,
    /// Whether the host meets it.
    there: fn() -> bool,
    /// Packages in Debian 12 and in Debian 13.
    debian: [&'static [&'static str]; 2],
    /// Purpose.
    used_by: UsedBy,
}

/// Purpose of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UsedBy {
    Everything,
    /// Packaged kernel sources.
    Packaged,
    /// Patches of the kernel or the module, and trees of the user.
    Git,
    /// `vm shell`.
    Shell,
}

/// Purposes of a run.
#[derive(Clone, Copy, Debug)]
pub struct Uses {
    /// Builds a packaged kernel source instead of a tree of the user.
    pub packaged: bool,
    /// Applies patches, or takes a tree of the user.
    pub git: bool,
    /// Boots a guest with a shell.
    pub shell: bool,
}

macro_rules! program {
    ($name:literal, $package:literal) => {
        program!($name, $package, UsedBy::Everything)
    };
    ($name:literal, $package:literal, $used_by:expr) => {
        Need {
            what: $name,
            there: || toolchain::in_path($name).is_some(),
            debian: [&[$package], &[$package]],
            used_by: $used_by,
        }
    };
}

const NEEDS: &[Need] = &[
    Need {
        what: "clang, lld and the LLVM binary tools, version 18 or later",
        there: || toolchain::llvm().is_some(),
        debian: [&["clang-19", "lld-19", "llvm-19"]; 2],
        used_by: UsedBy::Everything,
    },
    Need {
        what: "libclang of the same version (for bindgen)",
        there: libclang,
        debian: [&["libclang-19-dev"]; 2],
        used_by: UsedBy::Everything,
    },
    Need {
        what: "rustc 1.85 or later with the sources of its standard library (for rustup: `rustup component add rust-src`)",
        there: || toolchain::rustc().is_some(),
        debian: [&["rustc-web", "rust-web-src"], &["rustc", "rust-src"]],
        used_by: UsedBy::Everything,
    },
    Need {
        what: "bindgen 0.71.1 or later, or cargo to build it",
        there: || toolchain::system_bindgen().is_some() || toolchain::can_build_bindgen(),
        debian: [&["cargo-web"], &["bindgen"]],
        used_by: UsedBy::Everything,
    },
    program!("make", "make"),
    program!("flex", "flex"),
    program!("bison", "bison"),
    program!("bc", "bc"),
    Need {
        what: "the headers of the C library",
        there: || header("stdio.h"),
        debian: [&["libc6-dev"]; 2],
        used_by: UsedBy::Everything,
    },
    Need {
        what: "the headers of libelf (for objtool)",
        there: || header("gelf.h"),
        debian: [&["libelf-dev"]; 2],
        used_by: UsedBy::Everything,
    },
    program!("setpriv", "util-linux"),
    program!("qemu-system-x86_64", "qemu-system-x86"),
    program!("tar", "tar", UsedBy::Packaged),
    program!("xz", "xz-utils", UsedBy::Packaged),
    program!("git", "git", UsedBy::Git),
    Need {
        what: "a statically linked busybox",
        there: || busybox().is_some(),
        debian: [&["busybox-static"]; 2],
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
        .chain(["/bin/busybox".into(), "/usr/bin/busybox".into()])
        .find(|path| {
            std::fs::read(path).is_ok_and(|elf| {
                elf::interpreter(&elf).is_ok_and(|interpreter| interpreter.is_none())
            })
        })
}

/// A Debian release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debian {
    Bookworm,
    Trixie,
}

fn debian(os_release: &str) -> Option<Debian> {
    let value = |key: &str| {
        os_release.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name == key).then(|| value.trim_matches('"').to_owned())
        })
    };
    match (value("ID")?.as_str(), value("VERSION_CODENAME")?.as_str()) {
        ("debian", "bookworm") => Some(Debian::Bookworm),
        ("debian", "trixie") => Some(Debian::Trixie),
        _ => None,
    }
}

fn needed(uses: Uses) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(move |need| match need.used_by {
        UsedBy::Everything => true,
        UsedBy::Packaged => uses.packaged,
        UsedBy::Git => uses.git,
        UsedBy::Shell => uses.shell,
    })
}

/// Checks all requirements. With `install`, installs missing packages.
///
/// # Errors
///
/// Requirements that are not met: one error with all of them and the command that installs them.
pub fn provide(uses: Uses, install: bool, ui: &Ui) -> Result<()> {
    let missing: Vec<_> = needed(uses).filter(|need| !(need.there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some(release) = debian(&os_release) else {
        bail!(unknown_system(&missing));
    };
    let packages = packages(&missing, release);
    let commands = apt(&packages, nix::unistd::geteuid().is_root());
    let typed: Vec<_> = commands.iter().map(|words| words.join(" ")).collect();
    let typed = typed.join(" && ");
    if !install {
        bail!(
            "missing packages: {}\nInstall them with\n    {typed}\nor give --install-deps, which does that",
            packages.join(" ")
        );
    }
    let task = ui.begin(
        "packages",
        &format!("installing {} packages", packages.len()),
    );
    for words in &commands {
        task.line(&words.join(" "));
        // In the foreground, as sudo may ask for a password.
        let status = Command::new(&words[0])
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(std::io::stderr())
            .status()
            .with_context(|| format!("cannot start `{}`", words.join(" ")))?;
        crate::vm::host::signals::check()?;
        if !status.success() {
            bail!(
                "[packages] `{}` failed ({status}); its output is above. Run it by hand and see",
                words.join(" ")
            );
        }
    }
    let still: Vec<_> = missing
        .iter()
        .filter(|need| !(need.there)())
        .map(|need| need.what)
        .collect();
    if !still.is_empty() {
        bail!(
            "[packages] all packages were installed, and still there is no {}",
            still.join("; no ")
        );
    }
    task.done("installed");
    Ok(())
}

fn packages(missing: &[&Need], release: Debian) -> Vec<&'static str> {
    missing
        .iter()
        .flat_map(|need| {
            need.debian[match release {
                Debian::Bookworm => 0,
                Debian::Trixie => 1,
            }]
        })
        .copied()
        .collect()
}

fn apt(packages: &[&str], root: bool) -> Vec<Vec<String>> {
    let sudo = (!root).then_some("sudo");
    let words = |rest: &[&str]| {
        sudo.iter()
            .chain(["apt-get"].iter())
            .chain(rest)
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    vec![words(&["update"]), words(&install)]
}

fn unknown_system(missing: &[&Need]) -> String {
    let list: Vec<_> = missing
        .iter()
        .map(|need| format!("  - {}", need.what))
        .collect();
    format!(
        "this is not Debian 12 or 13, and this is missing:\n{}\nInstall it in this system's way. \
         The packaged kernel source is Debian's, too: give a tree of your own (7.2 or later) with --linux DIR",
        list.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_os_release() {
        let text = "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(debian(text), Some(Debian::Bookworm));
        let text = "ID=\"debian\"\nVERSION_CODENAME=\"trixie\"\n";
        assert_eq!(debian(text), Some(Debian::Trixie));
        assert_eq!(debian("ID=fedora\nVERSION_CODENAME=\n"), None);
        assert_eq!(debian(""), None);
    }

    #[test]
    fn one_command_installs_all_missing_packages() {
        let all: Vec<_> = NEEDS.iter().collect();
        for (release, rust) in [
            (Debian::Bookworm, "rust-web-src"),
            (Debian::Trixie, "rust-src"),
        ] {
            let packages = packages(&all, release);
            assert!(packages.contains(&rust));
            assert!(packages.contains(&"qemu-system-x86"));
            let commands = apt(&packages, false);
            assert_eq!(commands[0].join(" "), "sudo apt-get update");
            let install = commands[1].join(" ");
            assert!(install.starts_with("sudo apt-get install -y"), "{install}");
            assert!(packages.iter().all(|package| install.contains(package)));
            assert!(apt(&packages, true)[1][0] == "apt-get");
        }
    }

    #[test]
    fn an_unknown_system_gets_a_list_and_an_alternative() {
        let all: Vec<_> = NEEDS.iter().collect();
        let text = unknown_system(&all);
        assert!(text.contains("--linux DIR"));
        assert!(NEEDS.iter().all(|need| text.contains(need.what)));
    }

    #[test]
    fn only_requirements_of_the_run_are_checked() {
        let uses = Uses {
            packaged: false,
            git: false,
            shell: false,
        };
        assert!(needed(uses).all(|need| need.used_by == UsedBy::Everything));
        let uses = Uses {
            packaged: true,
            git: true,
            shell: true,
        };
        assert_eq!(needed(uses).count(), NEEDS.len());
    }
}
