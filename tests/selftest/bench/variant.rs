// SPDX-License-Identifier: GPL-2.0

//! The table of what is compared.

/// Notifier of the measured process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifier {
    /// None, as in almost every process.
    None,
    /// One in C that does nothing.
    Null,
    /// A target, with these settings.
    Target {
        /// Kind of the notifier.
        kind: &'static str,
        /// The line that is written to `settings`, if any.
        settings: &'static str,
    },
}

/// A variant of the measurement.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Name in the report.
    pub name: &'static str,
    /// Notifier of the measured process.
    pub notifier: Notifier,
    /// Whether the 16 pages that are zapped are there, or none of them.
    pub is_filled: bool,
    /// Number of targets on another process.
    pub elsewhere: usize,
    /// Name of the variant that it is compared with, which comes before it.
    pub to: Option<&'static str>,
    /// Greatest ratio to that, in thousandths, if there is a goal.
    pub goal: Option<u64>,
}

const NONE: &str = "no notifier";
const NULL: &str = "C notifier that does nothing";
const DISARMED: &str = "target, disarmed";
const NONE_FILLED: &str = "16 pages, no notifier";
const NULL_FILLED: &str = "16 pages, C notifier that does nothing";

/// Greatest ratio of what must not change a figure. The same path of the kernel is not always the
/// same number of instructions.
const UNCHANGED: u64 = 1005;

/// Greatest ratio of a target that is disarmed to a notifier that does nothing.
const DISARMED_AT_MOST: u64 = 1020;

const fn variant(name: &'static str, notifier: Notifier, to: Option<&'static str>) -> Variant {
    Variant {
        name,
        notifier,
        is_filled: false,
        elsewhere: 0,
        to,
        goal: None,
    }
}

const fn filled(variant: Variant) -> Variant {
    Variant {
        is_filled: true,
        ..variant
    }
}

const fn goal(goal: u64, variant: Variant) -> Variant {
    Variant {
        goal: Some(goal),
        ..variant
    }
}

const fn plain(settings: &'static str) -> Notifier {
    Notifier::Target {
        kind: "plain",
        settings,
    }
}

/// `notifier` with so many targets elsewhere.
const fn elsewhere(
    name: &'static str,
    notifier: Notifier,
    count: usize,
    to: &'static str,
) -> Variant {
    Variant {
        elsewhere: count,
        goal: Some(UNCHANGED),
        ..variant(name, notifier, Some(to))
    }
}

/// All variants, in the order in which they are measured: the number of targets elsewhere only
/// grows.
pub const VARIANTS: &[Variant] = &[
    filled(variant(NONE_FILLED, Notifier::None, None)),
    filled(variant(NULL_FILLED, Notifier::Null, Some(NONE_FILLED))),
    filled(goal(
        DISARMED_AT_MOST,
        variant("16 pages, target, disarmed", plain(""), Some(NULL_FILLED)),
    )),
    variant(NONE, Notifier::None, None),
    variant(NULL, Notifier::Null, Some(NONE)),
    variant(DISARMED, plain(""), Some(NULL)),
    variant(
        "target with ends, disarmed",
        Notifier::Target {
            kind: "plain-end",
            settings: "",
        },
        Some(NULL),
    ),
    variant(
        "target, armed, excluded by events",
        plain("delay_us=1 events=UNMAP"),
        Some(NULL),
    ),
    variant(
        "target, armed, excluded by caller",
        plain("delay_us=1 caller=copy_page_range"),
        Some(NULL),
    ),
    variant(
        "target, disarmed, with a log of all calls",
        plain("record=all"),
        Some(NULL),
    ),
    elsewhere("no notifier, 1 target elsewhere", Notifier::None, 1, NONE),
    elsewhere("disarmed, 1 target elsewhere", plain(""), 1, DISARMED),
    elsewhere(
        "no notifier, 100 targets elsewhere",
        Notifier::None,
        100,
        NONE,
    ),
    elsewhere("disarmed, 100 targets elsewhere", plain(""), 100, DISARMED),
    elsewhere(
        "no notifier, 1000 targets elsewhere",
        Notifier::None,
        1000,
        NONE,
    ),
    elsewhere(
        "disarmed, 1000 targets elsewhere",
        plain(""),
        1000,
        DISARMED,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_compared_with_one_before_it() {
        for (index, variant) in VARIANTS.iter().enumerate() {
            let before = &VARIANTS[..index];
            assert!(before.iter().all(|one| one.name != variant.name));
            assert!(before.iter().all(|one| one.elsewhere <= variant.elsewhere));
            if let Some(to) = variant.to {
                assert!(before.iter().any(|one| one.name == to), "{to}");
            }
            assert!(variant.goal.is_none() || variant.to.is_some());
        }
    }
}
