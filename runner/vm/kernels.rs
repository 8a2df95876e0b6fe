// SPDX-License-Identifier: GPL-2.0

//! The table of kernels for `--kernel`: packaged sources, with the tested versions.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// A packaged kernel source.
#[derive(Debug)]
pub struct Packaged {
    /// Value of `--kernel`.
    pub name: &'static str,
    /// Name of the package, and of the directory and the tar archive in it.
    pub package: &'static str,
    /// Debian suites that have the package, in the order in which their lists are read.
    pub suites: &'static [&'static str],
    /// Versions on which the scenarios passed, both with and without the seed patch, oldest first.
    pub tested: &'static [&'static str],
    /// File name and text of the seed patch.
    pub seed: (&'static str, &'static str),
}

/// Seed patch; its context lines are the same in all kernels of the table.
const SEED: (&str, &str) = ("seed.patch", include_str!("build/patches/seed.patch"));

/// Default of `--kernel`.
pub const DEFAULT: &str = "7.3";

/// Table of kernels, newest first.
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

/// Finds a kernel by name.
pub fn find(name: &str) -> Option<&'static Packaged> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}

/// Parser for the name of a kernel on the command line. The error has the known names.
pub fn parser() -> impl TypedValueParser<Value = &'static Packaged> {
    PossibleValuesParser::new(KERNELS.iter().map(|kernel| kernel.name))
        .try_map(|name| find(&name).ok_or("there is no such kernel"))
}

/// Whether this program was tested with this version of the package.
pub fn is_tested(package: &str, version: &str) -> bool {
    KERNELS
        .iter()
        .any(|kernel| kernel.package == package && kernel.tested.contains(&version))
}

impl Packaged {
    /// Chooses an offer, and returns its index. Offers are pairs of version and suite, newest first.
    ///
    /// Prefers the newest tested version; without one, the newest version in the first of
    /// [`suites`](Self::suites) that has any.
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
    fn names_and_packages_are_unique() {
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
    fn a_tested_version_is_preferred_to_the_first_suite() {
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
    fn only_a_version_in_the_table_is_tested() {
        assert!(is_tested("linux-source-7.3", "7.3.4-1~bpo13+1"));
        assert!(!is_tested("linux-source-7.3", "7.3.4-1"));
        assert!(!is_tested("linux-source-0.0", "7.3.4-1~bpo13+1"));
    }
}
