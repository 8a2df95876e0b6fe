// SPDX-License-Identifier: GPL-2.0

//! The scenarios: each trigger with each way to set the injector of one notifier, and the cases
//! of the contract.

mod bugs;
pub mod cases;
mod edges;
pub mod known_bugs;
mod pattern;
pub mod script;
pub mod triggers;

use nix::libc::EAGAIN;

use crate::contract::{Needs, chain};
use crate::model::{Arming, Context, Expectation, Notifier, NotifierKind};
use crate::scenario::cases::{Boot, CASES, Case};

pub use pattern::is_wanted;
pub use triggers::{Refused, TRIGGERS, Trigger, TriggerKind, blockable};

/// The notifiers, and the setting of their injectors.
#[derive(Clone, Copy, Debug)]
pub enum Setting {
    /// One plain notifier.
    One(Arming),
    /// A mirror that agrees, and one plain notifier behind it if that is to fail.
    Mirrored(Arming),
    /// One mirror that agrees, on memory at an edge.
    Edge,
    /// Those of a case of the contract.
    Case(&'static Case),
}

/// An operation on a process with notifiers, and its expected effects.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The way in which the kernel is made to call the notifiers.
    pub trigger: Trigger,
    /// The notifiers.
    pub setting: Setting,
}

impl Scenario {
    /// Its name: `[a-z0-9-]` only, so that every reader of KTAP keeps it.
    pub fn name(&self) -> String {
        match (self.setting, self.setting_name()) {
            (Setting::Case(case), _) => case.name.to_owned(),
            (Setting::Edge, _) => edges::name(&self.trigger),
            (_, Some(setting)) => format!("{}-{setting}", self.trigger.name),
            (_, None) => self.trigger.name.to_owned(),
        }
    }

    /// How the injector is set, in a word; nothing for an edge, where it is not, and for a case of the
    /// contract, which may set several.
    pub fn setting_name(&self) -> Option<String> {
        let arming = match self.setting {
            Setting::Case(_) | Setting::Edge => return None,
            Setting::Mirrored(Arming::Fail(_)) => return Some("mirrored-eagain".into()),
            Setting::Mirrored(_) => return Some("mirrored".into()),
            Setting::One(arming) => arming,
        };
        Some(match arming {
            Arming::Fail(errno) => nix::errno::Errno::from_raw(-errno)
                .to_string()
                .split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase(),
            Arming::Filtered(_) => "filtered".into(),
            Arming::Unarmed | Arming::AtStart(_) | Arming::AtEnd(_) | Arming::AtRelease(_) => {
                "unarmed".into()
            }
        })
    }

    /// A description for people.
    pub fn about(&self) -> &'static str {
        match self.setting {
            Setting::Case(case) => case.about,
            Setting::One(_) | Setting::Mirrored(_) | Setting::Edge => self.trigger.about,
        }
    }

    /// The notifiers, in the order in which they are attached.
    pub fn notifiers(&self) -> Vec<Notifier> {
        let notifier = |kind, arming| Notifier {
            kind,
            arming,
            is_elsewhere: false,
        };
        match self.setting {
            Setting::One(arming) => vec![notifier(NotifierKind::Plain, arming)],
            Setting::Mirrored(arming) => {
                let mirror = notifier(NotifierKind::Mirror, Arming::Unarmed);
                let plain = notifier(NotifierKind::Plain, arming);
                let fails = matches!(arming, Arming::Fail(_));
                std::iter::once(mirror)
                    .chain(fails.then_some(plain))
                    .collect()
            }
            Setting::Edge => vec![notifier(NotifierKind::Mirror, Arming::Unarmed)],
            Setting::Case(case) => case.notifiers.to_vec(),
        }
    }

    /// The rules of the contract that it is about.
    pub fn rules(&self) -> &'static [u8] {
        match (self.setting, self.trigger.context) {
            (Setting::Case(case), _) => case.rules,
            (Setting::Mirrored(Arming::Fail(_)), Context::Blockable) => &[1, 12],
            (Setting::Mirrored(Arming::Fail(_)), Context::NonBlockable) => &[2, 5, 12],
            (Setting::Mirrored(_) | Setting::Edge, _) => &[12],
            (Setting::One(_), Context::Blockable) => &[1],
            (Setting::One(_), Context::NonBlockable) => &[2, 5],
        }
    }

    /// Whether it breaks one of them.
    pub fn breaks(&self) -> bool {
        match self.setting {
            Setting::Case(case) => case.breaks,
            Setting::One(Arming::Fail(errno)) | Setting::Mirrored(Arming::Fail(errno)) => {
                !self.trigger.calls.admits(0)
                    && (self.trigger.context == Context::Blockable || errno != -EAGAIN)
            }
            Setting::One(_) | Setting::Mirrored(_) | Setting::Edge => false,
        }
    }

    /// The check, or the part of memory management, that the kernel must have.
    pub fn needs(&self) -> Option<Needs> {
        match self.setting {
            Setting::Case(case) => case.needs.or(self.trigger.needs),
            Setting::One(_) | Setting::Mirrored(_) | Setting::Edge => self.trigger.needs,
        }
    }

    /// Whether the module must have been loaded with `breach=1`.
    pub fn needs_breach(&self) -> bool {
        let is_breach = |notifier: &Notifier| {
            let injection = notifier.arming.injection();
            injection.is_some_and(|injection| injection.is_breach())
        };
        self.trigger.kind.needs_breach() || self.notifiers().iter().any(is_breach)
    }

    /// Reason why User Mode Linux cannot have it.
    pub fn why_not_user_mode(&self) -> Option<&'static str> {
        self.trigger.why_not_user_mode()
    }

    /// The boot that it runs on.
    pub fn boot(&self) -> Boot {
        match self.setting {
            Setting::Case(case) => case.boot,
            Setting::One(_) | Setting::Mirrored(_) | Setting::Edge => Boot::Shared,
        }
    }

    /// The effects that are expected of every kernel, whatever its form of the check.
    pub fn expectation(&self) -> Expectation {
        let trigger = self.trigger;
        let agreed = Refused {
            outcome: 0,
            calls: trigger.calls,
            reaper: trigger.reaper,
            pages: trigger.pages,
        };
        let effect = if chain::is_refused(&self.notifiers(), trigger.context) {
            trigger.refused.unwrap_or(agreed)
        } else {
            agreed
        };
        let (said, judges_symptoms) = match self.setting {
            Setting::Case(case) => (case.said().to_vec(), case.judges_symptoms()),
            Setting::One(_) | Setting::Mirrored(_) | Setting::Edge => (Vec::new(), false),
        };
        Expectation {
            event: trigger.event,
            last_event: trigger.last_event,
            context: trigger.context,
            calls: effect.calls,
            extent: trigger.extent,
            outcome: effect.outcome,
            reaper: effect.reaper,
            pages: effect.pages,
            is_atomic: matches!(trigger.kind, TriggerKind::Zap { is_atomic: true }),
            said,
            judges_symptoms,
            end: trigger.kind.end(),
        }
    }
}

/// All scenarios. Those that share a boot come first, so that they run before the others spoil
/// it.
fn all() -> impl Iterator<Item = Scenario> {
    let suite = TRIGGERS.iter().flat_map(|&trigger| {
        trigger.armings.iter().map(move |&arming| Scenario {
            trigger,
            setting: Setting::One(arming),
        })
    });
    let mirrored = TRIGGERS.iter().flat_map(|&trigger| {
        let failure = Arming::Fail(-EAGAIN);
        let fails = trigger.armings.contains(&failure);
        let armings = std::iter::once(Arming::Unarmed).chain(fails.then_some(failure));
        armings.map(move |arming| Scenario {
            trigger,
            setting: Setting::Mirrored(arming),
        })
    });
    let cases = CASES.iter().map(|case| Scenario {
        trigger: case.trigger,
        setting: Setting::Case(case),
    });
    let edges = edges::all().map(|trigger| Scenario {
        trigger,
        setting: Setting::Edge,
    });
    suite.chain(mirrored).chain(edges).chain(cases)
}

/// All scenarios whose name matches one of the patterns; all of them if there is no pattern.
pub fn select(only: &[String]) -> Vec<Scenario> {
    all()
        .filter(|scenario| is_wanted(only, &scenario.name()))
        .collect()
}

/// The message for a user whose patterns match no scenario.
pub fn none_matches(only: &[String]) -> String {
    format!(
        "mn-inject: no scenario matches {}; `mn-inject list` shows them all",
        only.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Injection;
    use std::collections::HashSet;

    #[test]
    fn most_scenarios_need_no_breach() {
        let needs = |name: &str| {
            let found = select(&[name.to_owned()]);
            found.iter().map(Scenario::needs_breach).collect::<Vec<_>>()
        };
        for name in ["munmap-whole-eagain", "mrelease-eagain", "r06-plain-sleeps"] {
            assert_eq!(needs(name), [false], "{name}");
        }
        for scenario in select(&[]) {
            let allocates_or_locks = scenario.notifiers().iter().any(|notifier| {
                matches!(
                    notifier.arming,
                    Arming::AtStart(Injection::Allocate | Injection::Lock)
                        | Arming::AtEnd(Injection::Allocate | Injection::Lock)
                )
            });
            assert!(
                scenario.needs_breach() || !allocates_or_locks,
                "{}",
                scenario.name()
            );
        }
    }

    #[test]
    fn names_are_unique_and_survive_every_parser() {
        let names: Vec<_> = select(&[]).iter().map(Scenario::name).collect();
        let unique: HashSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for name in &names {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(fits) && !name.is_empty(), "{name}");
        }
        assert!(
            names.iter().any(|name| name == "munmap-whole-eagain"),
            "{names:?}"
        );
    }
}
