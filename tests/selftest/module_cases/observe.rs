// SPDX-License-Identifier: GPL-2.0

//! What a target's `counters` and `log` say, read strictly: whatever is not as documented is an
//! error.

use anyhow::{Context as _, Result, bail};

use mn_inject::injector::{hex, values};

/// `counters`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Callbacks that ask before something is invalidated.
    pub calls: u64,
    /// Those that were made to fail or to misbehave.
    pub injected: u64,
    /// Log entries that made room for later ones.
    pub overwritten: u64,
    /// Calls of `invalidate_range_start`, or of an interval notifier's `invalidate`.
    pub starts: u64,
    /// Those that refused.
    pub refused: u64,
    /// Calls of `invalidate_range_end`, or of the second pass.
    pub ends: u64,
    /// Whether every start that did not refuse had its end: `yes`, `no` or `na`.
    pub paired: String,
    /// Allocations that failed.
    pub alloc_failed: u64,
    /// Event, context, calls, and those made to fail.
    pub events: Vec<(String, String, u64, u64)>,
}

/// One line of `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position among all entries of all targets.
    pub seq: u64,
    /// When.
    pub time_ns: u64,
    /// `start`, `end`, `finish` or `release`.
    pub op: String,
    /// The event.
    pub event: String,
    /// First address.
    pub start: u64,
    /// First address behind.
    pub end: u64,
    /// `blockable` or `nonblockable`.
    pub context: String,
    /// The thread.
    pub tid: i32,
    /// Its name.
    pub comm: String,
    /// Whether the call was made to fail or to misbehave.
    pub injected: bool,
    /// What the callback returned.
    pub returned: i32,
    /// The number of the invalidation that an interval notifier is called with; 0 for others.
    pub cur_seq: u64,
    /// The functions that called, the innermost first.
    pub callers: Vec<String>,
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .with_context(|| format!("{text:?} is no number of its kind"))
}

/// Reads `counters`.
pub fn counters(text: &str) -> Result<Counters> {
    let mut lines = text.lines();
    let [calls, injected, overwritten] = values(
        lines.next().unwrap_or_default(),
        ["calls", "injected", "overwritten"],
    )?;
    let [starts, refused, ends, paired, alloc_failed] = values(
        lines.next().unwrap_or_default(),
        ["starts", "refused", "ends", "paired", "alloc_failed"],
    )?;
    let events = lines
        .map(|line| {
            let [event, context, calls, injected] =
                values(line, ["event", "context", "calls", "injected"])?;
            Ok((
                event.to_owned(),
                context.to_owned(),
                number(calls)?,
                number(injected)?,
            ))
        })
        .collect::<Result<_>>()?;
    Ok(Counters {
        calls: number(calls)?,
        injected: number(injected)?,
        overwritten: number(overwritten)?,
        starts: number(starts)?,
        refused: number(refused)?,
        ends: number(ends)?,
        paired: paired.to_owned(),
        alloc_failed: number(alloc_failed)?,
        events,
    })
}

/// Reads a line of `log`.
pub fn entry(line: &str) -> Result<Entry> {
    let [
        seq,
        time_ns,
        op,
        event,
        start,
        end,
        context,
        tid,
        comm,
        injected,
        returned,
        cur_seq,
        callers,
    ] = values(
        line,
        [
            "seq", "time_ns", "op", "event", "start", "end", "context", "tid", "comm", "injected",
            "returned", "cur_seq", "callers",
        ],
    )?;
    if !["start", "end", "finish", "release"].contains(&op)
        || !["blockable", "nonblockable"].contains(&context)
        || !["0", "1"].contains(&injected)
    {
        bail!("op, context or injected is not as documented in {line:?}");
    }
    Ok(Entry {
        seq: number(seq)?,
        time_ns: number(time_ns)?,
        op: op.into(),
        event: event.into(),
        start: hex(start)?,
        end: hex(end)?,
        context: context.into(),
        tid: number(tid)?,
        comm: comm.into(),
        injected: injected == "1",
        returned: number(returned)?,
        cur_seq: number(cur_seq)?,
        callers: callers.split(',').map(str::to_owned).collect(),
    })
}

impl Entry {
    /// Whether it is a start that touches these addresses.
    pub fn is_start_in(&self, (start, end): (u64, u64)) -> bool {
        self.op == "start" && self.start < end && start < self.end
    }
}

/// Reads `mm`: the users of an address space, and how many hold it.
pub fn mm(text: &str) -> Result<(u32, u32)> {
    let [users, count] = values(text, ["users", "count"])?;
    Ok((number(users)?, number(count)?))
}

/// Reads `read_begin`.
pub fn sequence(text: &str) -> Result<u64> {
    let [seq] = values(text, ["seq"])?;
    number(seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_counters_are_read() {
        let text = "calls=3 injected=2 overwritten=0\n\
                    starts=3 refused=1 ends=2 paired=yes alloc_failed=0\n\
                    event=UNMAP context=blockable calls=3 injected=2\n";
        let seen = counters(text).unwrap();
        assert_eq!((seen.calls, seen.ends, seen.paired.as_str()), (3, 2, "yes"));
        assert_eq!(
            seen.events,
            [("UNMAP".to_owned(), "blockable".to_owned(), 3, 2)]
        );
        assert!(counters("calls=3 injected=2 overwritten=0\n").is_err());
        assert!(counters(&text.replace("starts", "begins")).is_err());
    }

    #[test]
    fn documented_counts_are_read() {
        assert_eq!(mm("users=1 count=3").unwrap(), (1, 3));
        assert_eq!(sequence("seq=7").unwrap(), 7);
        for bad in ["users=1", "users=-1 count=3", "count=3 users=1", "seq=1"] {
            assert!(mm(bad).is_err(), "{bad}");
        }
        assert!(sequence("7").is_err());
    }

    #[test]
    fn documented_entries_are_read_and_no_others() {
        let line = "seq=7 time_ns=12 op=start event=CLEAR start=0x1000 end=0x3000 \
                    context=nonblockable tid=5 comm=a\\x20b injected=1 returned=-11 cur_seq=3 \
                    callers=f,g";
        let seen = entry(line).unwrap();
        assert!(seen.is_start_in((0x2fff, 0x4000)));
        assert!(!seen.is_start_in((0x3000, 0x4000)));
        assert_eq!(
            (seen.returned, seen.cur_seq, seen.callers.len()),
            (-11, 3, 2)
        );
        for (from, to) in [
            ("op=start", "op=begin"),
            ("injected=1", "injected=2"),
            ("=0x1000", "=1000"),
            (" tid=5", ""),
            (" cur_seq=3", ""),
            ("cur_seq=3", "cur_seq=odd"),
        ] {
            assert!(entry(&line.replace(from, to)).is_err(), "{from}");
        }
        assert!(entry(&format!("{line} more=1")).is_err());
    }
}
