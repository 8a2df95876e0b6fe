// SPDX-License-Identifier: GPL-2.0

//! The list of targets that `control` and the device show.

use anyhow::{Context as _, Result, ensure};

use crate::injector::formats::words::{lines, number, one_of, range, values};
use crate::model::NotifierKind;

/// The file that a target was attached through, which decides how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `control`: it stays until it is detached.
    Control,
    /// An open file of the device: it is detached when that is closed.
    Session,
}

/// A target in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The process, as it was given.
    pub pid: i32,
    /// The kind of notifier; [`None`] where the target only holds the address space.
    pub kind: Option<NotifierKind>,
    /// The addresses of an interval notifier; [`None`] for all.
    pub range: Option<(u64, u64)>,
    /// The file that it was attached through.
    pub owner: Owner,
    /// Whether a process still uses the address space.
    pub is_live: bool,
}

impl Target {
    fn parse(line: &str) -> Result<Self> {
        let keys = ["name", "pid", "kind", "range", "owner", "state"];
        let [name, pid, kind_name, range_word, owner, state] = values(line, keys)?;
        ensure!(!name.is_empty(), "a target without a name");
        Ok(Target {
            name: name.to_owned(),
            pid: number(pid)?,
            kind: kind(kind_name)?,
            range: range(range_word)?,
            owner: one_of(
                owner,
                [("control", Owner::Control), ("session", Owner::Session)],
            )?,
            is_live: one_of(state, [("live", true), ("gone", false)])?,
        })
    }
}

fn kind(text: &str) -> Result<Option<NotifierKind>> {
    if text == "none" {
        return Ok(None);
    }
    one_of(text, NotifierKind::ALL.map(|kind| (kind.name(), kind))).map(Some)
}

/// Parses the list of targets.
///
/// # Errors
///
/// The text is not as the module writes it.
pub fn targets(text: &str) -> Result<Vec<Target>> {
    lines(text)
        .map(|line| Target::parse(line).with_context(|| format!("in {line:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "name=a pid=1 kind=plain range=all owner=control state=live\n\
        name=b pid=2 kind=interval range=0x1000-0x2000 owner=session state=gone\n\
        name=c pid=3 kind=none range=all owner=session state=live\n";

    #[test]
    fn targets_are_read() {
        let target = |name: &str, pid, kind| Target {
            name: name.to_owned(),
            pid,
            kind,
            range: None,
            owner: Owner::Session,
            is_live: true,
        };
        let expected = [
            Target {
                owner: Owner::Control,
                ..target("a", 1, Some(NotifierKind::Plain))
            },
            Target {
                range: Some((0x1000, 0x2000)),
                is_live: false,
                ..target("b", 2, Some(NotifierKind::Interval))
            },
            target("c", 3, None),
        ];
        assert_eq!(targets(LIST).unwrap(), expected);
        assert!(targets("").unwrap().is_empty());
    }

    #[test]
    fn every_kind_is_known() {
        for known in NotifierKind::ALL {
            assert_eq!(kind(known.name()).unwrap(), Some(known));
        }
        assert_eq!(kind("none").unwrap(), None);
        assert!(kind("all").is_err());
    }

    #[test]
    fn other_texts_are_refused() {
        for (from, to) in [
            ("name=a", "name="),
            ("pid=2", "pid=-2"),
            ("pid=2", "pid=+2"),
            ("kind=plain ", "kind=plane "),
            ("kind=plain ", ""),
            ("0x2000", "0x1000"),
            ("range=0x1000", "range=1000"),
            ("owner=control", "owner=other"),
            ("state=gone", "state=lost"),
            ("state=gone", "state=gone more=1"),
            ("state=gone\n", "state=gone\n\n"),
        ] {
            let text = LIST.replace(from, to);
            assert_ne!(text, LIST, "{from}");
            assert!(targets(&text).is_err(), "{text}");
        }
    }
}
