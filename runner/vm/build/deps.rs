// SPDX-License-Identifier: GPL-2.0

//! Checks that the host has what a build needs, and installs it.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::vm::build::packages::{NEEDS, Need, UsedBy};
use crate::vm::build::system::System;
use crate::vm::build::toolchain;
use crate::vm::host::progress::Ui;

/// Purposes of a run.
#[derive(Clone, Copy, Debug)]
pub struct Uses {
    /// Builds a packaged kernel source instead of a tree of the user.
    pub packaged: bool,
    /// Applies patches, or takes a tree of the user.
    pub git: bool,
    /// Boots a guest with a shell.
    pub shell: bool,
    /// Boots a virtual machine.
    pub qemu: bool,
}

fn needed(uses: Uses) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(move |need| match need.used_by {
        UsedBy::Everything => true,
        UsedBy::Packaged => uses.packaged,
        UsedBy::Git => uses.git,
        UsedBy::Shell => uses.shell,
        UsedBy::Qemu => uses.qemu,
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
    let has = |program: &str| toolchain::in_path(program).is_some();
    let Some(system) = System::recognise(&os_release, has) else {
        bail!(unknown_system(&missing));
    };
    let packages = packages(&missing, system);
    let commands = system.install(&packages, nix::unistd::geteuid().is_root());
    let typed: Vec<_> = commands.iter().map(|words| words.join(" ")).collect();
    let typed = typed.join(" && ");
    if !install {
        bail!(
            "missing packages:\n{}\nInstall them with\n    {typed}\nor give --install-deps, which does that",
            table(&missing, system)
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
    let still: Vec<_> = missing.into_iter().filter(|need| !(need.there)()).collect();
    if !still.is_empty() {
        bail!(
            "[packages] all packages were installed, and still this is missing:\n{}",
            list(&still)
        );
    }
    task.done("installed");
    Ok(())
}

/// The packages of a system for these requirements, each once.
fn packages(missing: &[&Need], system: System) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for package in missing.iter().flat_map(|need| need.packages.of(system)) {
        if !packages.contains(package) {
            packages.push(*package);
        }
    }
    packages
}

/// A line for each requirement: its packages, and what it is.
fn table(missing: &[&Need], system: System) -> String {
    let names: Vec<_> = missing
        .iter()
        .map(|need| need.packages.of(system).join(" "))
        .collect();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let rows = names.iter().zip(missing);
    let lines: Vec<_> = rows
        .map(|(names, need)| format!("  {names:width$}  {}", need.what))
        .collect();
    lines.join("\n")
}

/// A line for each requirement, and one for each other way to meet it.
fn list(missing: &[&Need]) -> String {
    let lines: Vec<_> = missing
        .iter()
        .map(|need| match need.otherwise {
            Some(otherwise) => format!("  - {}\n    (or {otherwise})", need.what),
            None => format!("  - {}", need.what),
        })
        .collect();
    lines.join("\n")
}

fn unknown_system(missing: &[&Need]) -> String {
    format!(
        "this is missing:\n{}\nInstall it in this system's way. The names of the packages are known \
         for Debian 12, Ubuntu 24.04, Fedora, Arch Linux, openSUSE Tumbleweed and what is newer",
        list(missing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_installs_all_missing_packages() {
        let all: Vec<_> = NEEDS.iter().collect();
        for (system, some) in [
            (System::Bookworm, ["rust-web-src", "clang-19"]),
            (System::Trixie, ["rust-src", "bindgen"]),
            (System::Noble, ["rust-1.85-src", "bindgen-0.71"]),
            (System::Apt, ["rust-src", "busybox-static"]),
            (System::Fedora, ["elfutils-libelf-devel", "bindgen-cli"]),
            (System::Arch, ["rust-bindgen", "qemu-system-x86"]),
            (System::Suse, ["libelf-devel", "qemu-x86"]),
        ] {
            let packages = packages(&all, system);
            for one in some {
                assert!(packages.contains(&one), "{one} in {system:?}");
            }
            let commands = system.install(&packages, false);
            let last = commands.last().map(|words| words.join(" "));
            let last = last.expect("no command");
            assert!(packages.iter().all(|package| last.contains(package)));
            let mut once = packages.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), packages.len(), "{system:?}");
        }
    }

    #[test]
    fn each_missing_requirement_is_named_with_its_packages() {
        let missing: Vec<_> = NEEDS
            .iter()
            .filter(|need| ["bc", "setpriv", "qemu-system-x86_64"].contains(&need.what))
            .collect();
        assert_eq!(
            table(&missing, System::Suse),
            "  bc          bc\n  util-linux  setpriv\n  qemu-x86    qemu-system-x86_64"
        );
    }

    #[test]
    fn an_unknown_system_gets_a_list_with_other_ways() {
        let all: Vec<_> = NEEDS.iter().collect();
        let text = unknown_system(&all);
        assert!(NEEDS.iter().all(|need| text.contains(need.what)));
        assert!(text.contains("(or a toolchain of rustup"), "{text}");
    }

    #[test]
    fn only_requirements_of_the_run_are_checked() {
        let uses = Uses {
            packaged: false,
            git: false,
            shell: false,
            qemu: false,
        };
        assert!(needed(uses).all(|need| need.used_by == UsedBy::Everything));
        let uses = Uses {
            packaged: true,
            git: true,
            shell: true,
            qemu: true,
        };
        assert_eq!(needed(uses).count(), NEEDS.len());
    }
}
