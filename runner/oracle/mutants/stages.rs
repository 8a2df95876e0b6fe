// SPDX-License-Identifier: GPL-2.0

//! The order of the scenarios on a mutant: those that could notice run first.

use crate::oracle::mutants::claim::Claim;
use crate::scenario::{self, Scenario};

/// Scenarios that show the places of the kernel's WARNs: of the check, of the one about ends, and of
/// the one about interval notifiers. They are part of every first run, since a few scenarios by
/// themselves may not tell these apart, and would fail on a correct kernel.
const PLACES: [&str; 3] = [
    "munmap-whole-eagain",
    "r01-interval-refuses",
    "r03-paired-refuses",
];

impl Claim {
    /// Names of the scenarios of the first run on the mutant: those that it claims or, if it claims
    /// none, those of the rule that it breaks, and with them those that show the places of the WARNs.
    /// If they kill it as claimed, its fate is settled.
    /// Otherwise all scenarios that [`Claim::only`] admits have to run.
    ///
    /// `None` if these are all scenarios, or none; and for a mutant that must be doubted, since no
    /// scenario at all may blame the kernel then.
    pub fn first(&self) -> Option<Vec<String>> {
        if self.is_to_be_doubted() {
            return None;
        }
        let selected = scenario::select(&self.only);
        let could_notice = |scenario: &Scenario| {
            if self.killed_by.is_empty() {
                self.rule
                    .is_some_and(|rule| scenario.rules().contains(&rule))
            } else {
                self.killed_by.contains(&scenario.name())
            }
        };
        if !selected.iter().any(could_notice) {
            return None;
        }
        let first: Vec<String> = selected
            .iter()
            .filter(|scenario| could_notice(scenario) || PLACES.contains(&scenario.name().as_str()))
            .map(Scenario::name)
            .collect();
        (first.len() < selected.len()).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Recognised;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn claim(rule: Option<u8>, only: &[&str], killed_by: &[&str]) -> Claim {
        Claim {
            rule,
            only: owned(only),
            killed_by: owned(killed_by),
            ..Claim::default()
        }
    }

    #[test]
    fn claimed_scenarios_run_first() {
        let both = ["munmap-whole-eagain", "mrelease-eagain"];
        let with_places = [both[0], both[1], PLACES[1], PLACES[2]];
        let claims = [
            claim(Some(1), &[], &both),
            claim(None, &["m*"], &both),
            // The verdict on the form is no scenario.
            claim(Some(1), &[], &[Recognised::RESULT, both[1], both[0]]),
        ];
        for claim in claims {
            let due = match claim.only.as_slice() {
                [] => owned(&with_places),
                _ => owned(&both),
            };
            assert_eq!(claim.first(), Some(due), "{claim:?}");
        }
        // The command line admits fewer than the mutant claims.
        let fewer = claim(None, &["mrelease-*"], &both);
        assert_eq!(fewer.first(), Some(owned(&both[1..])));
    }

    #[test]
    fn scenarios_of_the_rule_run_first_if_none_is_claimed() {
        let first = claim(Some(3), &[], &[]).first().unwrap();
        for scenario in scenario::select(&[]) {
            assert_eq!(
                first.contains(&scenario.name()),
                scenario.rules().contains(&3) || PLACES.contains(&scenario.name().as_str()),
                "{}",
                scenario.name()
            );
        }
        assert!(first.contains(&"r03-paired-refuses".to_owned()));
        let fewer = claim(Some(3), &["r03-paired-*", "fork-*"], &[]).first();
        assert!(fewer.unwrap().iter().all(|name| name.starts_with("r03-")));
    }

    #[test]
    fn the_places_of_the_warns_are_shown_by_scenarios_that_exist() {
        for name in PLACES {
            assert_eq!(scenario::select(&[name.to_owned()]).len(), 1, "{name}");
        }
    }

    #[test]
    fn all_scenarios_run_at_once_if_none_can_be_left_out() {
        let mut lie = claim(Some(1), &[], &[]);
        lie.doubted_by = owned(&["munmap-whole-eagain"]);
        let mut doubted = claim(Some(1), &[], &[]);
        doubted.doubts = owned(&["records were lost"]);
        let claims = [
            lie,
            doubted,
            // It claims nothing.
            claim(None, &[], &[]),
            claim(None, &[], &[Recognised::RESULT]),
            // The scenarios that could notice do not run, or are all that run.
            claim(Some(1), &["mrelease-*"], &["munmap-whole-eagain"]),
            claim(Some(1), &["mrelease-*"], &[]),
            claim(None, &["fork-unarmed"], &["fork-unarmed"]),
            claim(Some(1), &["r01-*"], &[]),
        ];
        for claim in claims {
            assert_eq!(claim.first(), None, "{claim:?}");
        }
    }
}
