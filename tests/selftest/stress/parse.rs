// SPDX-License-Identifier: GPL-2.0

//! What the module shows, read strictly: a line that is not as documented is a finding.

use anyhow::{Context as _, Result, bail, ensure};

use mn_inject::injector::{hex, values};

/// Sums of a target's `counters`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls of the notifier.
    pub calls: u64,
    /// How many were made to fail or to misbehave.
    pub injected: u64,
    /// Log entries that were overwritten.
    pub overwritten: u64,
    /// Calls of `invalidate_range_start`.
    pub starts: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// Calls of `invalidate_range_end` or `invalidate_finish`.
    pub ends: u64,
}

impl Sums {
    /// The counter that has gone back since `earlier`, where one has.
    pub fn gone_back(&self, earlier: &Sums) -> Option<&'static str> {
        [
            ("calls", self.calls, earlier.calls),
            ("injected", self.injected, earlier.injected),
            ("overwritten", self.overwritten, earlier.overwritten),
            ("starts", self.starts, earlier.starts),
            ("refused", self.refused, earlier.refused),
            ("ends", self.ends, earlier.ends),
        ]
        .into_iter()
        .find(|(_, now, before)| now < before)
        .map(|(name, ..)| name)
    }

    /// Whether every start that was not refused had its end.
    pub fn is_paired(&self) -> bool {
        self.starts.checked_sub(self.refused) == Some(self.ends)
    }
}

/// Names of the events, in the kernel's order.
pub const EVENTS: [&str; 8] = [
    "UNMAP",
    "CLEAR",
    "PROTECTION_VMA",
    "PROTECTION_PAGE",
    "SOFT_DIRTY",
    "RELEASE",
    "MIGRATE",
    "EXCLUSIVE",
];

fn number(text: &str) -> Result<u64> {
    // Not only `parse`: that takes a plus sign.
    ensure!(
        text.bytes().all(|byte| byte.is_ascii_digit()),
        "{text:?} is no number"
    );
    text.parse()
        .with_context(|| format!("{text:?} is no number"))
}

fn numbers<const N: usize>(line: &str, keys: [&str; N]) -> Result<[u64; N]> {
    let mut found = [0; N];
    for (slot, text) in found.iter_mut().zip(values(line, keys)?) {
        *slot = number(text).with_context(|| format!("in {line:?}"))?;
    }
    Ok(found)
}

fn one_of(text: &str, known: &[&str]) -> Result<()> {
    ensure!(known.contains(&text), "{text:?} is none of {known:?}");
    Ok(())
}

/// A target's `counters`.
pub fn counters(text: &str) -> Result<Sums> {
    let mut lines = text.lines();
    let mut next = || lines.next().context("a line is missing");
    let [calls, injected, overwritten] = numbers(next()?, ["calls", "injected", "overwritten"])?;
    let pairs = next()?;
    let [starts, refused, ends, paired, alloc_failed] = values(
        pairs,
        ["starts", "refused", "ends", "paired", "alloc_failed"],
    )?;
    one_of(paired, &["yes", "no", "na"]).with_context(|| format!("in {pairs:?}"))?;
    number(alloc_failed)?;
    for line in lines {
        let [event, context, calls, injected] =
            values(line, ["event", "context", "calls", "injected"])?;
        one_of(event, &EVENTS)
            .and_then(|()| one_of(context, &["blockable", "nonblockable"]))
            .with_context(|| format!("in {line:?}"))?;
        // Not compared: calls may come between the moments at which the two are read.
        number(calls)?;
        number(injected)?;
    }
    Ok(Sums {
        calls,
        injected,
        overwritten,
        starts: number(starts)?,
        refused: number(refused)?,
        ends: number(ends)?,
    })
}

/// What is looked at in a line of a target's `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// Who called.
    pub tid: u64,
    /// What the call was about.
    pub event: String,
}

/// A line of a target's `log`.
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
    let check = || {
        number(time_ns)?;
        one_of(op, &["start", "end", "finish", "release"])?;
        one_of(event, &EVENTS)?;
        one_of(context, &["blockable", "nonblockable"])?;
        one_of(injected, &["0", "1"])?;
        ensure!(!comm.is_empty(), "an empty comm");
        ensure!(hex(start)? <= hex(end)?, "start behind end");
        returned
            .parse::<i32>()
            .with_context(|| format!("{returned:?} is no number"))?;
        let cur_seq = number(cur_seq)?;
        ensure!(
            cur_seq == 0 || cur_seq % 2 == 1,
            "{cur_seq} is even, so no invalidation has it"
        );
        // A function has a name; its offset and module may follow. None where nobody is known.
        ensure!(
            callers.bytes().all(|byte| byte.is_ascii_graphic()),
            "{callers:?} are no callers"
        );
        Ok(Entry {
            seq: number(seq)?,
            tid: number(tid)?,
            event: event.to_owned(),
        })
    };
    check().with_context(|| format!("in {line:?}"))
}

/// A target's `log`, or its beginning: the last line is left out where it is cut. Fails where
/// `seq` does not rise.
pub fn log(text: &str) -> Result<Vec<Entry>> {
    let complete = text.rfind('\n').map_or(0, |last| last + 1);
    let entries = text[..complete]
        .lines()
        .map(entry)
        .collect::<Result<Vec<_>>>()?;
    for pair in entries.windows(2) {
        if pair[1].seq <= pair[0].seq {
            bail!("seq={} follows seq={}", pair[1].seq, pair[0].seq);
        }
    }
    Ok(entries)
}

/// A target's `settings`.
pub fn settings(text: &str) -> Result<()> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let [
        _events,
        _range,
        context,
        _task,
        probability,
        interval,
        times,
        space,
        verbose,
        sleep_us,
        delay_us,
        alloc_bytes,
        lock,
        remove,
        callback,
        record,
        errors,
    ] = values(
        line,
        [
            "events",
            "range",
            "context",
            "task",
            "probability",
            "interval",
            "times",
            "space",
            "verbose",
            "sleep_us",
            "delay_us",
            "alloc_bytes",
            "lock",
            "remove",
            "callback",
            "record",
            "errors",
        ],
    )?;
    let check = || {
        one_of(context, &["any", "blockable", "nonblockable"])?;
        one_of(callback, &["start", "end"])?;
        one_of(record, &["injected", "all"])?;
        for text in [
            probability,
            interval,
            space,
            verbose,
            sleep_us,
            delay_us,
            alloc_bytes,
            lock,
            remove,
        ] {
            number(text)?;
        }
        ensure!(
            times == "-1" || number(times).is_ok(),
            "{times:?} are no times"
        );
        let errors = errors
            .split(',')
            .map(|text| Ok(text.parse::<i32>()?))
            .collect::<Result<Vec<_>>>()?;
        ensure!(
            errors.len() == EVENTS.len() && errors.iter().all(|errno| (-4095..=0).contains(errno)),
            "{errors:?} are no errors"
        );
        Ok(())
    };
    check().with_context(|| format!("in {line:?}"))
}

/// A target's `mm`.
pub fn mm(text: &str) -> Result<()> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let [_users, count] = numbers(line, ["users", "count"])?;
    // The target holds it.
    ensure!(count >= 1, "nobody holds it in {line:?}");
    Ok(())
}

/// A target's `read_begin`: the number of an invalidation, so it is odd.
pub fn sequence(text: &str) -> Result<u64> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let [seq] = numbers(line, ["seq"])?;
    ensure!(seq % 2 == 1, "{seq} is even, so no invalidation has it");
    Ok(seq)
}

/// The names of the targets in what `control` or the device shows.
pub fn list(text: &str) -> Result<Vec<String>> {
    let check = |line: &str| {
        let [name, pid, kind, range, owner, state] =
            values(line, ["name", "pid", "kind", "range", "owner", "state"])?;
        number(pid)?;
        one_of(
            kind,
            &[
                "none",
                "plain",
                "plain-end",
                "interval",
                "interval-two-pass",
            ],
        )?;
        one_of(owner, &["control", "session"])?;
        one_of(state, &["live", "gone"])?;
        if range != "all" {
            let (start, end) = range.split_once('-').context("no range")?;
            ensure!(hex(start)? < hex(end)?, "an empty range");
        }
        Ok(name.to_owned())
    };
    text.lines()
        .map(|line| check(line).with_context(|| format!("in {line:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTERS: &str = "calls=9 injected=2 overwritten=1\n\
         starts=5 refused=1 ends=4 paired=yes alloc_failed=0\n\
         event=UNMAP context=blockable calls=9 injected=2\n";

    #[test]
    fn counters_are_read() {
        let sums = counters(COUNTERS).unwrap();
        assert_eq!((sums.calls, sums.injected, sums.overwritten), (9, 2, 1));
        assert!(sums.is_paired());
        for (from, to) in [
            ("calls=9 injected=2 o", "calls=+9 injected=2 o"),
            ("overwritten=1\n", "overwritten=1 more=1\n"),
            ("paired=yes", "paired=maybe"),
            ("event=UNMAP", "event=UNMAPPED"),
            ("calls=9 injected=2\n", "calls=9 injected=-2\n"),
            ("starts=5 ", ""),
        ] {
            let text = COUNTERS.replace(from, to);
            assert_ne!(text, COUNTERS, "{from}");
            assert!(counters(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_counter_that_goes_back_is_named() {
        let before = counters(COUNTERS).unwrap();
        assert_eq!(before.gone_back(&before), None);
        let mut after = before;
        after.refused -= 1;
        assert_eq!(after.gone_back(&before), Some("refused"));
        assert!(!after.is_paired());
        after.refused = 6;
        assert!(!after.is_paired());
    }

    const LINE: &str = "seq=7 time_ns=12 op=start event=CLEAR start=0x1000 end=0xffffffffffffffff \
         context=blockable tid=34 comm=a\\x20b injected=1 returned=-11 cur_seq=7 callers=zap+0x1,b";

    #[test]
    fn log_lines_are_read() {
        let entry = entry(LINE).unwrap();
        assert_eq!((entry.seq, entry.tid), (7, 34));
        for (from, to) in [
            ("op=start", "op=begin"),
            ("injected=1", "injected=2"),
            ("start=0x1000", "start=1000"),
            ("end=0xffffffffffffffff", "end=0x1"),
            ("returned=-11", "returned="),
            ("comm=a\\x20b", "comm="),
            ("cur_seq=7", "cur_seq=8"),
            ("cur_seq=7 ", ""),
            ("tid=34", "tid=-1"),
        ] {
            let line = LINE.replace(from, to);
            assert_ne!(line, LINE, "{from}");
            assert!(super::entry(&line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_log_rises_and_its_cut_end_is_left_out() {
        let second = LINE.replace("seq=7", "seq=9");
        let cut = &second[..20];
        assert_eq!(log(&format!("{LINE}\n{second}\n{cut}")).unwrap().len(), 2);
        assert!(log(&format!("{second}\n{LINE}\n")).is_err());
        assert!(log(&format!("{LINE}\n{LINE}\n")).is_err());
    }

    const SETTINGS: &str = "events=all range=0x1000-0x2000 context=any task=all probability=100 \
         interval=1 times=-1 space=0 verbose=0 sleep_us=0 delay_us=0 alloc_bytes=0 lock=0 \
         remove=0 callback=start record=injected errors=0,0,-11,0,0,0,0,0\n";

    #[test]
    fn settings_are_read() {
        settings(SETTINGS).unwrap();
        for (from, to) in [
            ("times=-1", "times=-2"),
            ("errors=0,", "errors="),
            ("-11", "-4096"),
            ("callback=start", "callback=finish"),
            ("record=injected", "record=some"),
            ("lock=0 ", ""),
        ] {
            let text = SETTINGS.replace(from, to);
            assert_ne!(text, SETTINGS, "{from}");
            assert!(settings(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_and_numbers_are_read() {
        mm("users=0 count=1\n").unwrap();
        assert_eq!(sequence("seq=7\n").unwrap(), 7);
        for bad in ["users=1 count=0\n", "users=-1 count=1\n", "count=1\n"] {
            assert!(mm(bad).is_err(), "{bad}");
        }
        for bad in ["seq=8\n", "7\n", "seq=x\n"] {
            assert!(sequence(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_list_is_read() {
        let text = "name=a pid=1 kind=plain range=all owner=control state=live\n\
                    name=b pid=2 kind=interval range=0x1000-0x2000 owner=session state=gone\n";
        assert_eq!(list(text).unwrap(), ["a", "b"]);
        assert!(list("").unwrap().is_empty());
        for (from, to) in [
            ("state=gone", "state=lost"),
            ("0x2000", "0x1000"),
            ("kind=plain ", "kind=plane "),
        ] {
            assert!(list(&text.replace(from, to)).is_err(), "{to}");
        }
    }
}
