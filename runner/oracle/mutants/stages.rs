// SPDX-License-Identifier: GPL-2.0

//! The order of the scenarios on a mutant: those that could notice run first.

use crate::oracle::mutants::claim::Claim;
use crate::scenario;

impl Claim {
    /// Names of the scenarios of the first run on the mutant: those that it claims or, if it claims
    /// none, those of the rule that it breaks. If they kill it as claimed, its fate is settled.
    /// Otherwise all scenarios that [`Claim::only`] admits have to run.
    ///
    /// `None` if these are all scenarios, or none; and for a mutant that must be doubted, since no
    /// scenario at all may blame the kernel then.
    pub fn first(&self) -> Option<Vec<String>> {
        if self.is_to_be_doubted() {
            return None;
        }
        let selected = scenario::select(&self.only);
        let first: Vec<String> = selected
            .iter()
            .filter(|scenario| {
                if self.killed_by.is_empty() {
                    self.rule
                        .is_some_and(|rule| scenario.rules().contains(&rule))
                } else {
                    self.killed_by.contains(&scenario.name())
                }
            })
            .map(scenario::Scenario::name)
            .collect();
        (!first.is_empty() && first.len() < selected.len()).then_some(first)
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
        let claims = [
            claim(Some(1), &[], &both),
            claim(None, &["m*"], &both),
            // The verdict on the form is no scenario.
            claim(Some(1), &[], &[Recognised::RESULT, both[1], both[0]]),
        ];
        for claim in claims {
            assert_eq!(claim.first(), Some(owned(&both)), "{claim:?}");
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
                scenario.rules().contains(&3),
                "{}",
                scenario.name()
            );
        }
        assert!(first.contains(&"r03-paired-refuses".to_owned()));
        let fewer = claim(Some(3), &["r03-paired-*", "munmap-*"], &[]).first();
        assert!(fewer.unwrap().iter().all(|name| name.starts_with("r03-")));
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
            claim(Some(1), &["munmap-*"], &[]),
        ];
        for claim in claims {
            assert_eq!(claim.first(), None, "{claim:?}");
        }
    }
}
