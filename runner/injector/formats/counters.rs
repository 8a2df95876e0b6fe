// SPDX-License-Identifier: GPL-2.0

//! `counters` of a target.

use anyhow::{Context as _, Result};

use crate::injector::formats::words::{context, event, lines, number, numbers, one_of, values};
use crate::model;
use crate::model::{Context, NotifierEvent};

/// All counters of a target. The module reads one after the other, so two of them may be a call
/// apart while calls are under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of the start: `invalidate_range_start`, or `invalidate` of an interval notifier.
    pub calls: u64,
    /// Starts that were made to fail or to misbehave.
    pub injected: u64,
    /// Log entries that were overwritten.
    pub overwritten: u64,
    /// The same as `calls`, in the line about pairs.
    pub starts: u64,
    /// Starts that returned an error.
    pub refused: u64,
    /// Calls of `invalidate_range_end`, or of the second pass.
    pub ends: u64,
    /// Whether every start that returned 0 had its end; [`None`] (`na`) for a kind of notifier
    /// that has no end.
    pub paired: Option<bool>,
    /// Allocations that failed.
    pub alloc_failed: u64,
    /// The starts by event and context, without those of which there was none.
    pub events: Vec<EventCount>,
}

/// The starts with one event in one context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventCount {
    /// The event.
    pub event: NotifierEvent,
    /// The context.
    pub context: Context,
    /// Calls of the start.
    pub calls: u64,
    /// Starts that were made to fail or to misbehave.
    pub injected: u64,
}

impl Counters {
    /// Parses `counters`.
    ///
    /// # Errors
    ///
    /// The text is not as the module writes it.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = lines(text);
        let mut next = || lines.next().context("a line is missing");
        let [calls, injected, overwritten] =
            numbers(next()?, ["calls", "injected", "overwritten"])?;
        let pairs = next()?;
        let [starts, refused, ends, paired, alloc_failed] = values(
            pairs,
            ["starts", "refused", "ends", "paired", "alloc_failed"],
        )?;
        let mut counters = Counters {
            calls,
            injected,
            overwritten,
            starts: number(starts)?,
            refused: number(refused)?,
            ends: number(ends)?,
            paired: one_of(
                paired,
                [("yes", Some(true)), ("no", Some(false)), ("na", None)],
            )?,
            alloc_failed: number(alloc_failed)?,
            events: Vec::new(),
        };
        for line in lines {
            let count = EventCount::parse(line).with_context(|| format!("in {line:?}"))?;
            counters.events.push(count);
        }
        Ok(counters)
    }

    /// Whether every start that returned 0 had its end, by the numbers.
    pub fn is_paired(&self) -> bool {
        self.starts.checked_sub(self.refused) == Some(self.ends)
    }
}

impl EventCount {
    fn parse(line: &str) -> Result<Self> {
        let keys = ["event", "context", "calls", "injected"];
        let [event_name, context_name, calls, injected] = values(line, keys)?;
        Ok(EventCount {
            event: event(event_name)?,
            context: context(context_name)?,
            calls: number(calls)?,
            injected: number(injected)?,
        })
    }
}

impl From<&Counters> for model::Counters {
    fn from(counters: &Counters) -> Self {
        model::Counters {
            calls: counters.calls,
            injected: counters.injected,
            ends: counters.ends,
            overwritten: counters.overwritten,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTERS: &str = "calls=9 injected=2 overwritten=1\n\
         starts=9 refused=1 ends=8 paired=yes alloc_failed=3\n\
         event=MMU_NOTIFY_UNMAP context=non-blockable calls=2 injected=0\n\
         event=MMU_NOTIFY_UNMAP context=blockable calls=7 injected=2\n";

    #[test]
    fn all_counters_are_read() {
        let counters = Counters::parse(COUNTERS).unwrap();
        let count = |context, calls, injected| EventCount {
            event: NotifierEvent::Unmap,
            context,
            calls,
            injected,
        };
        let expected = Counters {
            calls: 9,
            injected: 2,
            overwritten: 1,
            starts: 9,
            refused: 1,
            ends: 8,
            paired: Some(true),
            alloc_failed: 3,
            events: vec![
                count(Context::NonBlockable, 2, 0),
                count(Context::Blockable, 7, 2),
            ],
        };
        assert_eq!(counters, expected);
        let reported = model::Counters {
            calls: 9,
            injected: 2,
            ends: 8,
            overwritten: 1,
        };
        assert_eq!(model::Counters::from(&counters), reported);
    }

    #[test]
    fn a_notifier_without_calls_has_no_events() {
        let text = "calls=0 injected=0 overwritten=0\n\
                    starts=0 refused=0 ends=0 paired=na alloc_failed=0\n";
        assert_eq!(Counters::parse(text).unwrap(), Counters::default());
        let unpaired = text.replace("paired=na", "paired=no");
        assert_eq!(Counters::parse(&unpaired).unwrap().paired, Some(false));
    }

    #[test]
    fn other_texts_are_refused() {
        for (from, to) in [
            ("calls=9 injected=2 o", "calls=+9 injected=2 o"),
            ("injected=2 o", "injected=x o"),
            (" overwritten=1", ""),
            ("overwritten=1\n", "overwritten=1 more=1\n"),
            ("starts=9 ", ""),
            ("starts=9", "begins=9"),
            ("starts=9", "starts=-9"),
            ("refused=1", "refused="),
            ("ends=8", "ends=x"),
            (" paired=yes", ""),
            ("paired=yes", "paired=maybe"),
            ("alloc_failed=3", "alloc_failed=x"),
            (
                "event=MMU_NOTIFY_UNMAP context=b",
                "event=MMU_NOTIFY_UNMAPPED context=b",
            ),
            (
                "event=MMU_NOTIFY_UNMAP context=b",
                "event=UNKNOWN context=b",
            ),
            ("context=blockable", "context=any"),
            ("injected=2\n", "injected=-2\n"),
            ("injected=2\n", "injected=2\r\n"),
            ("injected=2\n", "injected=2\n\n"),
        ] {
            let text = COUNTERS.replace(from, to);
            assert_ne!(text, COUNTERS, "{from}");
            assert!(Counters::parse(&text).is_err(), "{text}");
        }
        assert!(Counters::parse("").is_err());
        assert!(Counters::parse("calls=9 injected=2 overwritten=1\n").is_err());
    }

    #[test]
    fn pairs_are_counted() {
        let mut counters = Counters::parse(COUNTERS).unwrap();
        assert!(counters.is_paired());
        counters.refused -= 1;
        assert!(!counters.is_paired());
        counters.refused = 10;
        assert!(!counters.is_paired());
    }
}
