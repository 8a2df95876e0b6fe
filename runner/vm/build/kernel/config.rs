// SPDX-License-Identifier: GPL-2.0

//! The kernel configurations.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::vm::arch::Arch;
use crate::vm::build::module::Extra;
use crate::vm::config_line::ConfigLine;

/// A kernel configuration and the requirements of its guest.
#[derive(Debug)]
pub struct Config {
    /// Name on the command line.
    pub name: &'static str,
    /// Architecture of the kernel.
    pub arch: Arch,
    /// Fragments that `make allnoconfig` starts from: an option in none of them is off, unless
    /// another one selects it. A later fragment overrides an earlier one.
    fragments: &'static [&'static str],
    /// Kconfig entries on top of [`KCONFIG`].
    kconfig: &'static str,
    /// A module for the suite besides ours.
    pub extra: Option<Extra>,
    /// Memory of the guest, in MiB.
    pub memory: u32,
    /// Additional parameters on the kernel command line of the guest.
    pub cmdline: &'static str,
    /// Factor by which the guest is slower than one with the configuration `core`.
    pub slowness: u32,
    /// Nanoseconds per instruction while time is virtual, a power of two.
    ///
    /// The longer an instruction takes, the less time a busy guest spends on waiting. But the
    /// timer interrupt comes a thousand times a second, and if its handler takes longer than that
    /// interval, the guest makes no progress.
    pub instruction_ns: u32,
}

/// Options that all configurations ask for and no kernel declares.
const KCONFIG: &str = include_str!("../configs/Kconfig");

/// The module that calls mm/mapping_dirty_helpers.c.
const DIRTY: Extra = Extra {
    file: "mn_dirty.ko",
    sources: &[
        ("Kbuild", include_str!("../../../../tests/dirty/Kbuild")),
        (
            "mn_dirty.c",
            include_str!("../../../../tests/dirty/mn_dirty.c"),
        ),
    ],
};

const CORE: &str = include_str!("../configs/core.config");
const DEBUG: &str = include_str!("../configs/debug.config");
const FULL: &str = include_str!("../configs/full.config");
const UML: &str = include_str!("../configs/uml.config");

/// hugepages=4: For the scenarios on hugetlbfs, each of which takes two at most.
const CORE_CMDLINE: &str = "hugepages=4";

/// log_buf_len: The reports of the debug options are long, and none may be lost.
/// kmemleak=on: A kernel may have it built in but off by default.
/// slab_debug=F: The slab allocator's arrays of free objects still hold the addresses of objects
/// that were handed out, and kmemleak takes these for references. Caches with consistency checks
/// have no such arrays.
/// kunit.autorun=0: As for the other configurations with KUnit, the module's unit tests run when
/// they are asked for, in a boot of their own.
const DEBUG_CMDLINE: &str = "hugepages=4 log_buf_len=16M kmemleak=on slab_debug=F kunit.autorun=0";

/// hugepages=16: One with a memory failure is lost.
/// memmap=2G!4G: The device whose pages have 1 GiB takes one for itself, and the memory that a machine
/// has below 4 GiB is not in one piece.
const FULL_CMDLINE: &str = "hugepages=16 numa=fake=2 memmap=2G!4G";

const CONFIGS: &[Config] = &[
    Config {
        name: "core",
        arch: Arch::X86,
        fragments: &[CORE],
        kconfig: "",
        extra: None,
        // With less than 512 MiB that are free, hugepage_init() turns transparent huge pages off.
        memory: 640,
        cmdline: CORE_CMDLINE,
        slowness: 1,
        instruction_ns: 32,
    },
    Config {
        name: "full",
        arch: Arch::X86,
        fragments: &[CORE, FULL],
        kconfig: include_str!("../configs/full.Kconfig"),
        extra: Some(DIRTY),
        memory: 5120,
        cmdline: FULL_CMDLINE,
        slowness: 1,
        instruction_ns: 32,
    },
    Config {
        name: "debug",
        arch: Arch::X86,
        fragments: &[CORE, DEBUG],
        kconfig: "",
        extra: None,
        memory: 1536,
        cmdline: DEBUG_CMDLINE,
        slowness: 8,
        instruction_ns: 4,
    },
    Config {
        name: "rt",
        arch: Arch::X86,
        fragments: &[CORE, include_str!("../configs/rt.config")],
        kconfig: "",
        extra: None,
        memory: 768,
        cmdline: "hugepages=4 log_buf_len=16M kunit.autorun=0",
        slowness: 6,
        instruction_ns: 8,
    },
    Config {
        name: "core",
        arch: Arch::Um,
        fragments: &[CORE, UML],
        kconfig: "",
        extra: None,
        memory: 512,
        cmdline: "",
        slowness: 1,
        instruction_ns: 1,
    },
    Config {
        name: "debug",
        arch: Arch::Um,
        fragments: &[CORE, DEBUG, UML],
        kconfig: "",
        extra: None,
        memory: 1536,
        cmdline: DEBUG_CMDLINE,
        slowness: 4,
        instruction_ns: 1,
    },
];

/// Options that exist only in some kernels and must be set there: the Kconfig file that declares
/// the option, and its name.
const OPTIONAL: &[(&str, &str)] = &[
    // Up to 7.2 it selects SYSCTL, which has no prompt of its own; 7.3 merged the two options.
    ("fs/proc/Kconfig", "PROC_SYSCTL"),
];

/// Finds a configuration by architecture and name.
///
/// # Errors
///
/// Names the known configurations.
pub fn config(arch: Arch, name: &str) -> Result<&'static Config> {
    let mut known = CONFIGS.iter().filter(|config| config.arch == arch);
    known
        .clone()
        .find(|config| config.name == name)
        .with_context(|| {
            let names: Vec<_> = known.by_ref().map(|config| config.name).collect();
            let machine = match arch {
                Arch::X86 => "",
                Arch::Um => " with --machine uml",
            };
            format!(
                "there is no configuration {name:?}{machine}; there is: {}",
                names.join(", ")
            )
        })
}

impl Config {
    /// Kconfig entries for what the configuration asks for and no kernel declares.
    pub(super) fn kconfig(&self) -> String {
        format!("{KCONFIG}{}", self.kconfig)
    }

    /// Input of `make allnoconfig` for a source tree. The last addition of an option counts.
    pub(super) fn text(&self, tree: &Path, additions: &[ConfigLine]) -> String {
        let mut lines = self.fragments.concat();
        for (file, name) in OPTIONAL {
            let kconfig = fs::read_to_string(tree.join(file)).unwrap_or_default();
            let entry = format!("config {name}");
            if kconfig.lines().any(|line| line == entry) {
                lines.push_str(&format!("CONFIG_{name}=y\n"));
            }
        }
        for addition in additions {
            lines.push_str(&format!("{}\n", addition.line()));
        }
        merged(&lines)
    }
}

/// A fragment in which the last one of several lines about an option is left.
fn merged(fragment: &str) -> String {
    let mut seen = HashSet::new();
    let mut lines: Vec<_> = fragment.lines().rev().collect();
    lines.retain(|line| option(line).is_none_or(|name| seen.insert(name)));
    lines.iter().rev().map(|line| format!("{line}\n")).collect()
}

/// Name of the option that a line sets or unsets.
fn option(line: &str) -> Option<&str> {
    let rest = line
        .strip_prefix("# CONFIG_")
        .and_then(|rest| rest.strip_suffix(" is not set"));
    rest.or_else(|| line.strip_prefix("CONFIG_")?.split('=').next())
}

/// Lines of the fragment `asked` that the resulting `.config` does not honour.
pub(super) fn dropped(asked: &str, got: &str) -> Vec<String> {
    let got: HashSet<_> = got.lines().collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Needs;
    use crate::vm::host::cache;

    #[test]
    fn a_dropped_option_is_named() {
        let asked =
            "# a comment\nCONFIG_A=y\nCONFIG_B=2\n# CONFIG_C is not set\n# CONFIG_D is not set\n";
        assert!(dropped(asked, "CONFIG_A=y\nCONFIG_B=2\n# CONFIG_C is not set\n").is_empty());
        assert_eq!(
            dropped(asked, "CONFIG_A=y\nCONFIG_B=21\nCONFIG_C=m\n"),
            ["CONFIG_B=2", "# CONFIG_C is not set"]
        );
    }

    #[test]
    fn an_addition_replaces_what_the_configuration_sets() -> Result<()> {
        let no_tree = Path::new("/no/such/tree");
        let text = |additions: &[&str]| {
            let lines = additions.iter().map(|line| line.parse());
            let lines: Result<Vec<ConfigLine>, _> = lines.collect();
            let lines = lines.map_err(anyhow::Error::msg)?;
            anyhow::Ok(config(Arch::X86, "core")?.text(no_tree, &lines))
        };
        let plain = text(&[])?;
        let line = "CONFIG_ZSMALLOC=y";
        assert_eq!(text(&[line])?, format!("{plain}{line}\n"));
        assert_eq!(
            text(&["CONFIG_SMP=n"])?,
            plain.replace("CONFIG_SMP=y\n", "") + "# CONFIG_SMP is not set\n"
        );
        let twice = text(&["CONFIG_NR_CPUS=2", "CONFIG_NR_CPUS=4"])?;
        assert_eq!(twice, text(&["CONFIG_NR_CPUS=4"])?);
        Ok(())
    }

    #[test]
    fn the_options_that_scenarios_need_are_those_of_the_debug_and_the_full_kernel() -> Result<()> {
        let text =
            |name| anyhow::Ok(config(Arch::X86, name)?.text(Path::new("/no/such/tree"), &[]));
        let text = format!("{}{}", text("debug")?, text("full")?);
        for needs in Needs::ALL {
            let line = format!("CONFIG_{}=y", needs.option());
            assert!(text.lines().any(|other| other == line), "{line}");
        }
        Ok(())
    }

    #[test]
    fn a_configuration_is_found_by_name() {
        assert!(config(Arch::X86, "core").is_ok());
        let text = format!("{:#}", config(Arch::X86, "cor").unwrap_err());
        assert!(text.contains("core, full, debug, rt"), "{text}");
        let text = format!("{:#}", config(Arch::Um, "rt").unwrap_err());
        assert!(
            text.contains("--machine uml; there is: core, debug"),
            "{text}"
        );
    }

    #[test]
    fn only_a_line_about_the_same_option_is_replaced() {
        assert_eq!(option("CONFIG_A=y"), Some("A"));
        assert_eq!(option("# CONFIG_A is not set"), Some("A"));
        for other in [
            "CONFIG_AB=y",
            "# CONFIG_AB is not set",
            "# CONFIG_A is a comment",
        ] {
            assert_ne!(option(other), Some("A"), "{other}");
        }
    }

    #[test]
    fn a_later_fragment_overrides_an_earlier_one() {
        let first = "# a comment\nCONFIG_A=y\nCONFIG_AB=y\n# CONFIG_C is not set\n";
        assert_eq!(merged(first), first);
        assert_eq!(
            merged(&format!("{first}# CONFIG_A is not set\nCONFIG_C=y\n")),
            "# a comment\nCONFIG_AB=y\n# CONFIG_A is not set\nCONFIG_C=y\n"
        );
    }

    #[test]
    fn an_option_is_set_only_in_a_tree_that_has_it() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let kconfig = dir.path().join("fs/proc/Kconfig");
        cache::write_atomically(&kconfig, b"config SYSCTL\n\tbool \"x\"\n")?;
        let core = config(Arch::X86, "core")?;
        assert_eq!(core.text(dir.path(), &[]), CORE);
        cache::write_atomically(&kconfig, b"config PROC_SYSCTL\n\tbool \"x\"\n")?;
        assert_eq!(
            core.text(dir.path(), &[]),
            format!("{CORE}CONFIG_PROC_SYSCTL=y\n")
        );
        Ok(())
    }
}
