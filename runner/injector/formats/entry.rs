// SPDX-License-Identifier: GPL-2.0

//! `log` of a target.

use anyhow::{Context as _, Result, bail, ensure};

use crate::injector::formats::words::{
    context, event, hex, lines, number, one_of, signed, unescape, values,
};
use crate::model::{Call, Context, FollowUp, Later, NotifierEvent};

/// The keys of a line, in their order.
const KEYS: [&str; 14] = [
    "seq", "time_ns", "op", "event", "start", "end", "context", "tid", "comm", "injected",
    "returned", "cur_seq", "owner", "callers",
];

/// The callback that an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `invalidate_range_start`, or `invalidate` or `invalidate_start` of an interval notifier.
    Start,
    /// Any other callback.
    Later(FollowUp),
}

impl Op {
    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Start => "start",
            Op::Later(later) => later.name(),
        }
    }

    /// Returns the callback with that name.
    fn parse(word: &str) -> Result<Self> {
        if word == Op::Start.name() {
            return Ok(Op::Start);
        }
        one_of(
            word,
            FollowUp::ALL.map(|later| (later.name(), Op::Later(later))),
        )
    }

    /// Whether it is called with an event.
    const fn has_event(self) -> bool {
        match self {
            Op::Start => true,
            Op::Later(later) => later.has_event(),
        }
    }
}

/// One line of a target's `log`: one call of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position among all entries of all targets since the module was loaded, from 0.
    pub seq: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// The callback.
    pub op: Op,
    /// Why the kernel invalidates (`enum mmu_notifier_event`); [`None`] for callbacks without.
    pub event: Option<NotifierEvent>,
    /// First byte of the range; 0 for a release.
    pub start: u64,
    /// First byte after the range; 0 for a release.
    pub end: u64,
    /// Whether the callback may sleep (`mmu_notifier_range_blockable()`). One without an event must
    /// not.
    pub context: Context,
    /// Thread that made the call (`current->pid`).
    pub tid: i32,
    /// Its `comm`, unescaped.
    pub comm: String,
    /// Whether the call was made to fail or to misbehave.
    pub injected: bool,
    /// Return value of the callback: 0 or a negative errno; for page aging, 1 if it said that the
    /// page was accessed.
    pub returned: i32,
    /// Sequence number of the invalidation, for interval notifiers; 0 for others.
    pub cur_seq: u64,
    /// Whether the range has an owner.
    pub owner: bool,
    /// Functions of the kernel that made the call, the innermost first; empty where the kernel has
    /// no stack traces or no names.
    pub callers: Vec<String>,
}

impl Entry {
    /// Parses a line of `log`, without its newline.
    ///
    /// # Errors
    ///
    /// The line is not as the module writes it.
    pub fn parse(line: &str) -> Result<Self> {
        let words = values(line, KEYS)?;
        Self::from_words(words).with_context(|| format!("in {line:?}"))
    }

    fn from_words(words: [&str; KEYS.len()]) -> Result<Self> {
        let [
            seq,
            time_ns,
            op,
            event_name,
            start,
            end,
            context_name,
            tid,
            comm,
            injected,
            returned,
            cur_seq,
            owner,
            callers,
        ] = words;
        let op = Op::parse(op)?;
        ensure!(
            callers.bytes().all(|byte| byte.is_ascii_graphic()),
            "{callers:?} are no callers"
        );
        Ok(Entry {
            seq: number(seq).context("seq")?,
            time_ns: number(time_ns).context("time_ns")?,
            op,
            event: match event_name {
                "NONE" if !op.has_event() => None,
                name if op.has_event() => Some(event(name)?),
                name => bail!("{} has no event, and not {name:?}", op.name()),
            },
            start: hex(start)?,
            end: hex(end)?,
            context: context(context_name)?,
            tid: number(tid).context("tid")?,
            comm: unescape(comm)?,
            injected: one_of(injected, [("0", false), ("1", true)])?,
            returned: signed(returned).context("returned")?,
            cur_seq: number(cur_seq).context("cur_seq")?,
            owner: one_of(owner, [("0", false), ("1", true)])?,
            callers: callers
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Checks the values that come from the kernel. Only for callers that have no oracle.
    ///
    /// # Errors
    ///
    /// The range ends before it starts, the sequence number is even and not 0 (an invalidation has
    /// an odd one, `mn_itree_inv_start_range()` of mm/mmu_notifier.c), the thread has no name, or
    /// the range has an owner for an event other than `MIGRATE` and `EXCLUSIVE`.
    pub fn check(&self) -> Result<()> {
        let Entry {
            start,
            end,
            cur_seq,
            ..
        } = self;
        ensure!(start <= end, "start behind end in {self:?}");
        ensure!(
            *cur_seq == 0 || cur_seq % 2 == 1,
            "{cur_seq} is even, so no invalidation has it, in {self:?}"
        );
        ensure!(!self.comm.is_empty(), "an empty comm in {self:?}");
        let may_have_owner = matches!(
            self.event,
            Some(NotifierEvent::Migrate | NotifierEvent::Exclusive)
        );
        ensure!(!self.owner || may_have_owner, "an owner in {self:?}");
        Ok(())
    }

    /// Whether it is a start whose range has a byte in common with this one.
    pub fn is_start_in(&self, (start, end): (u64, u64)) -> bool {
        self.op == Op::Start && self.start < end && start < self.end
    }

    /// The start as the model has it, of the scenario's notifier of that index.
    ///
    /// # Errors
    ///
    /// It has no event, so it is no start.
    pub fn into_call(self, notifier: usize) -> Result<Call> {
        Ok(Call {
            notifier,
            seq: self.seq,
            time_ns: self.time_ns,
            event: self.event.context("a start without an event")?,
            start: self.start,
            end: self.end,
            context: self.context,
            tid: self.tid,
            comm: self.comm,
            injected: self.injected,
            returned: self.returned,
            cur_seq: self.cur_seq,
            owner: Some(self.owner),
            callers: self.callers,
        })
    }

    /// Another callback as the model has it, of the scenario's notifier of that index.
    pub fn into_later(self, op: FollowUp, notifier: usize) -> Later {
        Later {
            notifier,
            seq: self.seq,
            time_ns: self.time_ns,
            op,
            start: self.start,
            end: self.end,
            context: self.context,
            tid: self.tid,
            injected: self.injected,
        }
    }
}

/// The part of a log that consists of whole lines. A read may end in the middle of one.
pub fn complete_lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |last| last + 1)]
}

/// Parses a log, or the beginning of one. A cut last line is left out.
///
/// # Errors
///
/// A line is not as the module writes it.
pub fn log(text: &str) -> Result<Vec<Entry>> {
    lines(complete_lines(text)).map(Entry::parse).collect()
}

/// Checks that the numbers of the entries of one target rise.
///
/// # Errors
///
/// One does not.
pub fn check_order(entries: &[Entry]) -> Result<()> {
    for pair in entries.windows(2) {
        let (before, after) = (pair[0].seq, pair[1].seq);
        ensure!(before < after, "seq={after} follows seq={before}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "seq=7 time_ns=1203 op=start event=MMU_NOTIFY_CLEAR start=0x7000 \
                        end=0xffffffffffffffff context=non-blockable tid=34 \
                        comm=oom\\x20reap\\x5c injected=1 returned=-11 cur_seq=5 \
                        owner=0 callers=zap+0x1,b";

    fn entry() -> Entry {
        Entry {
            seq: 7,
            time_ns: 1203,
            op: Op::Start,
            event: Some(NotifierEvent::Clear),
            start: 0x7000,
            end: u64::MAX,
            context: Context::NonBlockable,
            tid: 34,
            comm: "oom reap\\".to_owned(),
            injected: true,
            returned: -11,
            cur_seq: 5,
            owner: false,
            callers: vec!["zap+0x1".to_owned(), "b".to_owned()],
        }
    }

    #[test]
    fn a_line_is_read() {
        assert_eq!(Entry::parse(LINE).unwrap(), entry());
        entry().check().unwrap();
    }

    #[test]
    fn every_callback_is_known() {
        for (word, op) in [
            ("start", Op::Start),
            ("end", Op::Later(FollowUp::End)),
            ("finish", Op::Later(FollowUp::Finish)),
            ("release", Op::Later(FollowUp::Release)),
        ] {
            let line = LINE.replace("op=start", &format!("op={word}"));
            assert_eq!(Entry::parse(&line).unwrap(), Entry { op, ..entry() });
            assert_eq!(op.name(), word);
        }
    }

    #[test]
    fn callbacks_without_an_event_are_known() {
        for (word, op) in [
            ("clear_flush_young", FollowUp::ClearFlushYoung),
            ("clear_young", FollowUp::ClearYoung),
            ("test_young", FollowUp::TestYoung),
            ("arch_invalidate_secondary_tlbs", FollowUp::SecondaryTlbs),
        ] {
            let with_event = LINE.replace("op=start", &format!("op={word}"));
            assert!(Entry::parse(&with_event).is_err(), "{word}");
            let line = with_event.replace("event=MMU_NOTIFY_CLEAR", "event=NONE");
            let line = line.replace("returned=-11", "returned=1");
            let expected = Entry {
                op: Op::Later(op),
                event: None,
                returned: 1,
                ..entry()
            };
            assert_eq!(Entry::parse(&line).unwrap(), expected);
            expected.check().unwrap();
            assert!(expected.into_call(0).is_err());
        }
        let without = LINE.replace("event=MMU_NOTIFY_CLEAR", "event=NONE");
        assert!(Entry::parse(&without).is_err());
    }

    #[test]
    fn only_events_of_device_memory_have_an_owner() {
        let owned = LINE.replace("owner=0", "owner=1");
        assert!(Entry::parse(&owned).unwrap().check().is_err());
        for event in ["MIGRATE", "EXCLUSIVE"] {
            let line = owned.replace("MMU_NOTIFY_CLEAR", &format!("MMU_NOTIFY_{event}"));
            let entry = Entry::parse(&line).unwrap();
            assert!(entry.owner);
            entry.check().unwrap();
        }
    }

    #[test]
    fn a_kernel_without_names_has_no_callers() {
        let line = LINE.replace("callers=zap+0x1,b", "callers=");
        assert_eq!(Entry::parse(&line).unwrap().callers, [""; 0]);
    }

    #[test]
    fn other_lines_are_refused() {
        for (from, to) in [
            ("seq=7", "seq=-7"),
            ("seq=7", "seq=+7"),
            ("time_ns=1203", "time_ns=x"),
            ("op=start", "op=begin"),
            ("event=MMU_NOTIFY_CLEAR", "event=MMU_NOTIFY_CLEARED"),
            ("event=MMU_NOTIFY_CLEAR", "event=UNKNOWN"),
            ("start=0x7000", "start=7000"),
            ("start=0x7000", "start=0x+7000"),
            ("context=non-blockable", "context=maybe"),
            (" tid=34", ""),
            ("tid=34", "tid=-1"),
            ("tid=34", "tid=2147483648"),
            ("\\x20", "\\xZZ"),
            ("\\x5c", "\\x5"),
            ("\\x5c", "\\"),
            ("\\x20", "\t"),
            ("injected=1", "injected=2"),
            ("returned=-11", "returned="),
            ("returned=-11", "returned=+11"),
            ("cur_seq=5", "cur_seq=-5"),
            ("cur_seq=5", "cur_seq=odd"),
            (" cur_seq=5", ""),
            (" owner=0", ""),
            ("owner=0", "owner=2"),
            ("callers=zap", "callers=z\u{e4}p"),
            ("callers=zap+0x1,b", "callers=a,b more=1"),
        ] {
            let line = LINE.replace(from, to);
            assert_ne!(line, LINE, "{from}");
            assert!(Entry::parse(&line).is_err(), "{line}");
        }
    }

    #[test]
    fn values_of_a_wrong_kernel_are_read_and_fail_the_check() {
        for (from, to) in [
            ("end=0xffffffffffffffff", "end=0x6fff"),
            ("cur_seq=5", "cur_seq=8"),
            ("comm=oom\\x20reap\\x5c", "comm="),
        ] {
            let line = LINE.replace(from, to);
            assert_ne!(line, LINE, "{from}");
            assert!(Entry::parse(&line).unwrap().check().is_err(), "{line}");
        }
        let plain = LINE.replace("cur_seq=5", "cur_seq=0");
        Entry::parse(&plain).unwrap().check().unwrap();
    }

    #[test]
    fn the_cut_end_of_a_log_is_left_out() {
        let second = LINE.replace("seq=7", "seq=9");
        let cut = &second[..20];
        let entries = log(&format!("{LINE}\n{second}\n{cut}")).unwrap();
        assert_eq!(entries.len(), 2);
        check_order(&entries).unwrap();
        assert!(log("").unwrap().is_empty());
        assert!(log(LINE).unwrap().is_empty());
        assert!(log("nonsense\n").is_err());
    }

    #[test]
    fn numbers_that_do_not_rise_fail_the_check() {
        let second = LINE.replace("seq=7", "seq=9");
        for text in [format!("{second}\n{LINE}\n"), format!("{LINE}\n{LINE}\n")] {
            assert!(check_order(&log(&text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_start_is_found_by_its_range() {
        let start = Entry {
            start: 0x1000,
            end: 0x3000,
            ..entry()
        };
        assert!(start.is_start_in((0x2fff, 0x4000)));
        assert!(!start.is_start_in((0x3000, 0x4000)));
        assert!(!start.is_start_in((0, 0x1000)));
        let op = Op::Later(FollowUp::End);
        assert!(!Entry { op, ..start }.is_start_in((0x2fff, 0x4000)));
    }

    #[test]
    fn the_model_gets_all_of_an_entry() {
        let call = entry().into_call(2).unwrap();
        assert_eq!((call.notifier, call.seq, call.time_ns), (2, 7, 1203));
        assert_eq!(
            (Some(call.event), call.start, call.end),
            (entry().event, 0x7000, u64::MAX)
        );
        assert_eq!((call.context, call.tid), (Context::NonBlockable, 34));
        assert_eq!((call.comm, call.injected), (entry().comm, true));
        assert_eq!((call.returned, call.cur_seq), (-11, 5));
        assert_eq!(call.callers, entry().callers);

        let later = entry().into_later(FollowUp::Finish, 1);
        let expected = Later {
            notifier: 1,
            seq: 7,
            time_ns: 1203,
            op: FollowUp::Finish,
            start: 0x7000,
            end: u64::MAX,
            context: Context::NonBlockable,
            tid: 34,
            injected: true,
        };
        assert_eq!(later, expected);
    }
}
