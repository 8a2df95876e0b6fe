// SPDX-License-Identifier: GPL-2.0

//! `settings` of a target.

use anyhow::{Context as _, Result, bail, ensure};

use crate::injector::formats::words::{
    context, event, number, one_line, one_of, range, signed, values,
};
use crate::model::{Context, NotifierEvent};

/// The keys of the line, in their order.
const KEYS: [&str; 18 + NotifierEvent::ALL.len()] = [
    "events",
    "range",
    "context",
    "task",
    "caller",
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
    "young",
    "record",
    "MMU_NOTIFY_UNMAP",
    "MMU_NOTIFY_CLEAR",
    "MMU_NOTIFY_PROTECTION_VMA",
    "MMU_NOTIFY_PROTECTION_PAGE",
    "MMU_NOTIFY_SOFT_DIRTY",
    "MMU_NOTIFY_RELEASE",
    "MMU_NOTIFY_MIGRATE",
    "MMU_NOTIFY_EXCLUSIVE",
];

/// The largest errno (`MAX_ERRNO` of include/linux/err.h).
const MAX_ERRNO: i32 = 4095;

/// Callback that has the effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// The start.
    Start,
    /// The end or the second pass.
    End,
    /// The release.
    Release,
}

/// The threads whose calls a setting is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskFilter {
    /// All threads.
    All,
    /// The thread of that id, in the initial pid namespace.
    Tid(i32),
    /// Threads of that `comm`.
    Comm(String),
}

/// All settings of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The events of the calls that are meant; [`None`] for all, also those that are newer than
    /// the module.
    pub events: Option<Vec<NotifierEvent>>,
    /// The addresses that are meant; [`None`] for all.
    pub range: Option<(u64, u64)>,
    /// The context that is meant; [`None`] for both.
    pub context: Option<Context>,
    /// The threads that are meant.
    pub task: TaskFilter,
    /// The function of the kernel from which the calls that are meant come; [`None`] for all.
    pub caller: Option<String>,
    /// Percent of the calls that are meant.
    pub probability: u32,
    /// Every so many of them.
    pub interval: u32,
    /// How many are left to be made to fail; [`None`] (-1) for any number.
    pub times: Option<u32>,
    /// How many are left to be let through first.
    pub space: u32,
    /// 0: silent; 1: a line in the kernel's log for each; 2: a stack, too.
    pub verbose: u32,
    /// Microseconds that the callback sleeps.
    pub sleep_us: u32,
    /// Microseconds that the callback waits without sleeping.
    pub delay_us: u32,
    /// Bytes that the callback allocates.
    pub alloc_bytes: u32,
    /// Whether the callback takes a mutex that was held over an allocation.
    pub lock: bool,
    /// Whether the callback removes its own notifier.
    pub remove: bool,
    /// Whether the callbacks for page aging say that the page was accessed.
    pub young: bool,
    /// The callback that sleeps, waits, allocates and takes the mutex.
    pub callback: Callback,
    /// Whether all calls are logged, rather than those that were made to fail or to misbehave.
    pub records_all: bool,
    /// Return value of the start for each event, in the order of [`NotifierEvent::ALL`]: 0 or a
    /// negative errno.
    pub errors: [i32; NotifierEvent::ALL.len()],
}

impl Settings {
    /// Parses `settings`.
    ///
    /// # Errors
    ///
    /// The text is not as the module writes it.
    pub fn parse(text: &str) -> Result<Self> {
        let line = one_line(text);
        let words = values(line, KEYS)?;
        Self::from_words(words).with_context(|| format!("in {line:?}"))
    }

    fn from_words(words: [&str; KEYS.len()]) -> Result<Self> {
        let [
            events_word,
            range_word,
            context_word,
            task_word,
            caller_word,
            probability,
            interval,
            times_word,
            space,
            verbose,
            sleep_us,
            delay_us,
            alloc_bytes,
            lock,
            remove,
            callback,
            young,
            record,
            errors @ ..,
        ] = words;
        let is_on = [("0", false), ("1", true)];
        Ok(Settings {
            events: events(events_word)?,
            range: range(range_word)?,
            context: match context_word {
                "any" => None,
                word => Some(context(word)?),
            },
            task: task(task_word)?,
            caller: caller(caller_word)?,
            probability: number(probability)?,
            interval: number(interval)?,
            times: match times_word {
                "-1" => None,
                times => Some(number(times)?),
            },
            space: number(space)?,
            verbose: number(verbose)?,
            sleep_us: number(sleep_us)?,
            delay_us: number(delay_us)?,
            alloc_bytes: number(alloc_bytes)?,
            lock: one_of(lock, is_on)?,
            remove: one_of(remove, is_on)?,
            young: one_of(young, is_on)?,
            callback: one_of(
                callback,
                [
                    ("start", Callback::Start),
                    ("end", Callback::End),
                    ("release", Callback::Release),
                ],
            )?,
            records_all: one_of(record, [("injected", false), ("all", true)])?,
            errors: errors_of(errors)?,
        })
    }
}

fn events(text: &str) -> Result<Option<Vec<NotifierEvent>>> {
    match text {
        "all" => Ok(None),
        names => names.split(',').map(event).collect::<Result<_>>().map(Some),
    }
}

fn task(text: &str) -> Result<TaskFilter> {
    match text.split_once('=') {
        None if text == "all" => Ok(TaskFilter::All),
        Some(("tid", tid)) => Ok(TaskFilter::Tid(number(tid)?)),
        Some(("comm", comm)) if !comm.is_empty() => Ok(TaskFilter::Comm(comm.to_owned())),
        _ => bail!("{text:?} are no threads"),
    }
}

fn caller(text: &str) -> Result<Option<String>> {
    let is_symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte);
    ensure!(
        !text.is_empty() && text.bytes().all(is_symbol),
        "{text:?} is no function"
    );
    Ok((text != "all").then(|| text.to_owned()))
}

fn errors_of(words: [&str; NotifierEvent::ALL.len()]) -> Result<[i32; NotifierEvent::ALL.len()]> {
    let mut errors = [0; NotifierEvent::ALL.len()];
    for (error, word) in errors.iter_mut().zip(words) {
        *error = signed(word)?;
        ensure!(
            (-MAX_ERRNO..=0).contains(error),
            "{word:?} is no error of a callback"
        );
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = "events=MMU_NOTIFY_UNMAP,MMU_NOTIFY_CLEAR range=0x1000-0x2000 \
         context=any task=all caller=all probability=100 interval=1 times=-1 space=2 verbose=0 \
         sleep_us=3 delay_us=4 alloc_bytes=5 lock=0 remove=1 callback=start young=1 record=all MMU_NOTIFY_UNMAP=0 \
         MMU_NOTIFY_CLEAR=0 MMU_NOTIFY_PROTECTION_VMA=-11 MMU_NOTIFY_PROTECTION_PAGE=0 \
         MMU_NOTIFY_SOFT_DIRTY=0 MMU_NOTIFY_RELEASE=0 MMU_NOTIFY_MIGRATE=0 \
         MMU_NOTIFY_EXCLUSIVE=-4095\n";

    #[test]
    fn settings_are_read() {
        let expected = Settings {
            events: Some(vec![NotifierEvent::Unmap, NotifierEvent::Clear]),
            range: Some((0x1000, 0x2000)),
            context: None,
            task: TaskFilter::All,
            caller: None,
            probability: 100,
            interval: 1,
            times: None,
            space: 2,
            verbose: 0,
            sleep_us: 3,
            delay_us: 4,
            alloc_bytes: 5,
            lock: false,
            remove: true,
            young: true,
            callback: Callback::Start,
            records_all: true,
            errors: [0, 0, -11, 0, 0, 0, 0, -4095],
        };
        assert_eq!(Settings::parse(SETTINGS).unwrap(), expected);
        let filter = |from: &str, to: &str| Settings::parse(&SETTINGS.replace(from, to)).unwrap();
        assert_eq!(
            filter("events=MMU_NOTIFY_UNMAP,MMU_NOTIFY_CLEAR", "events=all").events,
            None
        );
        assert_eq!(filter("range=0x1000-0x2000", "range=all").range, None);
        assert_eq!(
            filter("context=any", "context=non-blockable").context,
            Some(Context::NonBlockable)
        );
        assert_eq!(filter("times=-1", "times=7").times, Some(7));
        assert_eq!(filter("task=all", "task=tid=5").task, TaskFilter::Tid(5));
        assert_eq!(
            filter("task=all", "task=comm=a=b").task,
            TaskFilter::Comm("a=b".to_owned())
        );
        assert_eq!(
            filter("caller=all", "caller=f.isra.0").caller.as_deref(),
            Some("f.isra.0")
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for (from, to) in [
            ("events=MMU_NOTIFY_UNMAP", "events=UNMAP"),
            ("events=MMU_NOTIFY_UNMAP,MMU_NOTIFY_CLEAR", "events="),
            ("0x2000", "0x1000"),
            ("range=0x1000", "range=1000"),
            ("context=any", "context=all"),
            ("task=all", "task=any"),
            ("task=all", "task=tid=x"),
            ("task=all", "task=comm="),
            ("caller=all", "caller="),
            ("caller=all", "caller=f+0x1"),
            ("probability=100", "probability=+100"),
            ("interval=1", "interval=-1"),
            ("times=-1", "times=-2"),
            ("space=2", "space="),
            ("verbose=0", "verbose=x"),
            ("sleep_us=3", "sleep_us=-3"),
            ("delay_us=4", "delay_us=4.0"),
            ("alloc_bytes=5", "alloc_bytes=0x5"),
            ("lock=0 ", ""),
            ("lock=0", "lock=2"),
            ("remove=1", "remove=yes"),
            ("young=1", "young=2"),
            (" young=1", ""),
            ("callback=start", "callback=finish"),
            ("record=all", "record=some"),
            ("UNMAP=0", "UNMAP="),
            ("UNMAP=0", "UNMAP=0 MMU_NOTIFY_UNMAP=0"),
            ("UNMAP=0", "UNMAP=+0"),
            ("UNMAP=0", "UNMAP=1"),
            ("MMU_NOTIFY_CLEAR=0 ", ""),
            ("-4095", "-4096"),
            ("-4095\n", "-4095 more=1\n"),
        ] {
            let text = SETTINGS.replace(from, to);
            assert_ne!(text, SETTINGS, "{from}");
            assert!(Settings::parse(&text).is_err(), "{text}");
        }
    }
}
