// SPDX-License-Identifier: GPL-2.0

//! The kernels that `--kernel` names: packaged sources, and what they were tested with.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// A packaged kernel source that we build from.
#[derive(Debug)]
pub struct Packaged {
    /// What `--kernel` calls it.
    pub name: &'static str,
    /// Name of the package, and of the directory and the archive in it.
    pub package: &'static str,
    /// Debian's suites that have it, in the order in which they are asked.
    pub suites: &'static [&'static str],
    /// Versions with which the suite passed on both bases, oldest first.
    pub tested: &'static [&'static str],
    /// The seed patch for it: its file's name, and its text.
    pub seed: (&'static str, &'static str),
}

/// The seed patch; the lines around it are the same in all of these kernels.
const SEED: (&str, &str) = ("seed.patch", include_str!("build/patches/seed.patch"));

/// What `--kernel` is where it is not given.
pub const DEFAULT: &str = "7.3";

/// The kernels, newest first.
pub const KERNELS: &[Packaged] = &[
    Packaged {
        name: DEFAULT,
        package: "linux-source-7.3",
        suites: &["trixie-backports"],
        tested: &["7.3.4-1~bpo13+1"],
        seed: SEED,
    },
    Packaged {
        name: "7.2",
        package: "linux-source-7.2",
        suites: &["trixie-backports", "forky", "sid"],
        tested: &["7.2.12-1~bpo13+1"],
        seed: SEED,
    },
];

/// The kernel of that name.
pub fn find(name: &str) -> Option<&'static Packaged> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}

/// Reads a kernel's name from the command line, and says which there are where it is unknown.
pub fn parser() -> impl TypedValueParser<Value = &'static Packaged> {
    PossibleValuesParser::new(KERNELS.iter().map(|kernel| kernel.name))
        .try_map(|name| find(&name).ok_or("there is no such kernel"))
}

/// Whether that version of that package is one that we tested with.
pub fn is_tested(package: &str, version: &str) -> bool {
    KERNELS
        .iter()
        .any(|kernel| kernel.package == package && kernel.tested.contains(&version))
}

impl Packaged {
    /// The place of the offer to take, of pairs of a version and its suite, the newest first: the
    /// newest version that we tested with, or else the newest of the first suite that has one.
    pub fn choose(&self, offers: &[(&str, &str)]) -> Option<usize> {
        let tested = self
            .tested
            .iter()
            .rev()
            .find_map(|tested| offers.iter().position(|(version, _)| version == tested));
        tested.or_else(|| {
            self.suites
                .iter()
                .find_map(|wanted| offers.iter().position(|(_, suite)| suite == wanted))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kernel_can_be_named() {
        assert_eq!(
            find(DEFAULT).map(|kernel| kernel.package),
            Some("linux-source-7.3")
        );
        assert!(find("2.4").is_none());
        let names: HashSet<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
        let packages: HashSet<_> = KERNELS.iter().map(|kernel| kernel.package).collect();
        assert_eq!(
            (names.len(), packages.len()),
            (KERNELS.len(), KERNELS.len())
        );
    }

    #[test]
    fn a_tested_version_is_preferred_and_else_the_first_suite_is_taken() {
        let kernel = Packaged {
            name: "7.3",
            package: "linux-source-7.3",
            suites: &["stable", "testing"],
            tested: &["7.3.3-1", "7.3.4-1"],
            seed: SEED,
        };
        let offers = [
            ("7.3.6-1", "testing"),
            ("7.3.5-1", "stable"),
            ("7.3.4-1", "testing"),
            ("7.3.3-1", "stable"),
        ];
        assert_eq!(kernel.choose(&offers), Some(2));
        assert_eq!(kernel.choose(&offers[..2]), Some(1));
        assert_eq!(kernel.choose(&offers[..1]), Some(0));
        assert_eq!(kernel.choose(&[]), None);
    }

    #[test]
    fn only_what_was_tested_is_called_so() {
        assert!(is_tested("linux-source-7.3", "7.3.4-1~bpo13+1"));
        assert!(!is_tested("linux-source-7.3", "7.3.4-1"));
        assert!(!is_tested("linux-source-0.0", "7.3.4-1~bpo13+1"));
    }
}
