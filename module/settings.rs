// SPDX-License-Identifier: GPL-2.0

//! The settings of a target, and changes of several of them in one step.

use crate::{
    abstractions::{
        breach,
        mmu_notifier::Event, //
    },
    chance::Chance,
    filter::{
        AddressRange,
        CallerFilter,
        ContextFilter,
        Events,
        Filter,
        TaskFilter, //
    },
    log::Arguments,
    notifier::Kind,
    text::{
        self,
        Text, //
    }, //
};
use core::mem;
use kernel::prelude::*;

/// The largest number that is an errno: `MAX_ERRNO` of include/linux/err.h.
const MAX_ERRNO: i32 = 4095;

/// The callback that has the effects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The start.
    Start,
    /// The end, or the second pass.
    End,
    /// The release.
    Release,
}

impl When {
    const ALL: [When; 3] = [When::Start, When::End, When::Release];

    const fn name(self) -> &'static str {
        match self {
            When::Start => "start",
            When::End => "end",
            When::Release => "release",
        }
    }

    /// Parses a name. Fails with `EINVAL`.
    fn parse(word: &str) -> Result<Self> {
        let named = |when: &When| when.name() == word;
        When::ALL.into_iter().find(named).ok_or(EINVAL)
    }

    /// Whether a notifier of that kind has the callback.
    fn is_of(self, kind: Kind) -> bool {
        match self {
            When::Start => true,
            When::End => kind.has_end(),
            When::Release => kind.has_release(),
        }
    }
}

/// Effects of a callback besides its return value. All 0: none.
#[derive(Clone, Copy)]
pub(crate) struct Effects {
    /// The callback that has them. `remove` is always for the start.
    pub(crate) when: When,
    /// Sleeps so many microseconds, or a little longer.
    pub(crate) sleep_us: i32,
    /// Waits so many microseconds without sleeping, or a little longer.
    pub(crate) delay_us: i32,
    /// Allocates so many bytes with `GFP_KERNEL`, and frees them.
    pub(crate) alloc_bytes: i32,
    /// 1: takes a lock that is also held over an allocation.
    pub(crate) lock: i32,
    /// 1: removes its own notifier.
    pub(crate) remove: i32,
}

impl Effects {
    const NONE: Effects = Effects {
        when: When::Start,
        sleep_us: 0,
        delay_us: 0,
        alloc_bytes: 0,
        lock: 0,
        remove: 0,
    };

    fn any_but_remove(&self) -> bool {
        [self.sleep_us, self.delay_us, self.alloc_bytes, self.lock]
            .into_iter()
            .any(|effect| effect != 0)
    }

    fn any_in(&self, when: When) -> bool {
        let removes = when == When::Start && self.remove != 0;
        removes || (self.when == when && self.any_but_remove())
    }
}

/// A fault to inject into one call.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// Return value of a start: 0 or a negative errno.
    pub(crate) errno: i32,
    pub(crate) effects: Effects,
    pub(crate) verbose: i32,
}

/// All settings of a target.
#[derive(Clone)]
pub(crate) struct Settings {
    filter: Filter,
    chance: Chance,
    /// 0: nothing is printed; 1: a line; 2: a stack, too.
    verbose: i32,
    effects: Effects,
    /// 1: the callbacks for page aging return that the page was accessed; 0: that it was not.
    pub(crate) young: i32,
    /// Whether calls are logged into which nothing is injected.
    pub(crate) record_all: bool,
    /// Return value by index of the event: 0 or a negative errno.
    errors: [i32; Event::ALL.len()],
}

impl Settings {
    /// The settings of a new target: nothing is armed.
    pub(crate) const DEFAULT: Settings = Settings {
        filter: Filter::ALL,
        chance: Chance::DEFAULT,
        verbose: 0,
        effects: Effects::NONE,
        young: 0,
        record_all: false,
        errors: [0; Event::ALL.len()],
    };

    /// Whether something may be injected into that callback.
    pub(crate) fn is_armed(&self, when: When) -> bool {
        let fails = || when == When::Start && self.errors.iter().any(|&errno| errno != 0);
        self.effects.any_in(when) || fails()
    }

    fn error(&self, event: Option<Event>) -> i32 {
        // An event that is newer than this module has no error.
        event
            .and_then(|event| self.errors.get(event as usize))
            .map_or(0, |&errno| errno)
    }

    fn strikes(&mut self, call: &Arguments) -> bool {
        self.filter.admits(call) && self.chance.strikes()
    }

    /// Takes the fault to inject into that callback, if any, and counts it.
    pub(crate) fn fault_in(&mut self, when: When, call: &Arguments) -> Option<Fault> {
        let errno = match when {
            When::Start => self.error(call.event),
            When::End | When::Release => 0,
        };
        let armed = errno != 0 || self.effects.any_in(when);
        (armed && self.strikes(call)).then_some(self.fault(errno))
    }

    fn fault(&self, errno: i32) -> Fault {
        Fault {
            errno,
            effects: self.effects,
            verbose: self.verbose,
        }
    }

    /// Writes all settings in one line, which [`Change::parse`] takes.
    pub(crate) fn show(&self, text: &mut Text) -> Result {
        for setting in SETTINGS {
            text.add(fmt!("{}=", setting.key()))?;
            setting.show(self, text)?;
            text.add(fmt!(" "))?;
        }
        let mut blank = "";
        for &event in Event::ALL {
            let errno = self.error(Some(event));
            text.add(fmt!("{blank}{}={errno}", event.name_str()))?;
            blank = " ";
        }
        Ok(())
    }

    /// Writes the error of an event, or that of all of them: `various` if they differ.
    pub(crate) fn show_error(&self, event: Option<Event>, text: &mut Text) -> Result {
        match (event, &self.errors) {
            (None, [first, rest @ ..]) if rest.iter().any(|errno| errno != first) => {
                text.add(fmt!("various"))
            }
            (None, [first, ..]) => text.add(fmt!("{first}")),
            (event, _) => text.add(fmt!("{}", self.error(event))),
        }
    }
}

/// Values that a setting may have, and where they are.
enum Rule {
    Events,
    Range,
    Context,
    Task,
    Caller,
    /// A number, with the least and the most that it may be.
    Number(fn(&mut Settings) -> &mut i32, i32, i32),
    /// A number with the most that it may be; other than 0 it breaks rules, which must be
    /// permitted.
    Breach(fn(&mut Settings) -> &mut i32, i32),
    Callback,
    /// False or true, with a word for each.
    Flag(fn(&mut Settings) -> &mut bool, [&'static str; 2]),
}

/// The folder of a target in which the file of a setting stands.
#[derive(Clone, Copy)]
pub(crate) enum Folder {
    /// The target's own.
    Target,
    /// `fault`: the calls into which something is injected.
    Fault,
    /// `effect`: what is injected.
    Effect,
    /// `breach`: what must be permitted.
    Breach,
}

/// A setting that has a file of its own, other than the error of an event.
pub(crate) struct Setting {
    /// Where its file stands.
    pub(crate) folder: Folder,
    /// The name of the file, which is the key as well.
    pub(crate) name: &'static CStr,
    rule: Rule,
}

const fn setting(folder: Folder, name: &'static CStr, rule: Rule) -> Setting {
    Setting { folder, name, rule }
}

/// All of them, in the order in which `settings` shows them.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(Folder::Fault, c"events", Rule::Events),
    setting(Folder::Fault, c"range", Rule::Range),
    setting(Folder::Fault, c"context", Rule::Context),
    setting(Folder::Fault, c"task", Rule::Task),
    setting(Folder::Fault, c"caller", Rule::Caller),
    setting(
        Folder::Fault,
        c"probability",
        Rule::Number(|settings| &mut settings.chance.probability, 0, 100),
    ),
    setting(
        Folder::Fault,
        c"interval",
        Rule::Number(|settings| &mut settings.chance.interval, 1, i32::MAX),
    ),
    setting(
        Folder::Fault,
        c"times",
        Rule::Number(|settings| &mut settings.chance.times, -1, i32::MAX),
    ),
    setting(
        Folder::Fault,
        c"space",
        Rule::Number(|settings| &mut settings.chance.space, 0, i32::MAX),
    ),
    setting(
        Folder::Fault,
        c"verbose",
        Rule::Number(|settings| &mut settings.verbose, 0, 2),
    ),
    setting(
        Folder::Effect,
        c"sleep_us",
        Rule::Number(|settings| &mut settings.effects.sleep_us, 0, 10_000_000),
    ),
    setting(
        Folder::Effect,
        c"delay_us",
        Rule::Number(|settings| &mut settings.effects.delay_us, 0, 100_000),
    ),
    setting(
        Folder::Breach,
        c"alloc_bytes",
        Rule::Breach(|settings| &mut settings.effects.alloc_bytes, 1 << 20),
    ),
    setting(
        Folder::Breach,
        c"lock",
        Rule::Breach(|settings| &mut settings.effects.lock, 1),
    ),
    setting(
        Folder::Breach,
        c"remove",
        Rule::Breach(|settings| &mut settings.effects.remove, 1),
    ),
    setting(Folder::Effect, c"callback", Rule::Callback),
    setting(
        Folder::Effect,
        c"young",
        Rule::Number(|settings| &mut settings.young, 0, 1),
    ),
    setting(
        Folder::Target,
        c"record",
        Rule::Flag(|settings| &mut settings.record_all, ["injected", "all"]),
    ),
];

impl Setting {
    /// Its key.
    pub(crate) fn key(&self) -> &'static str {
        self.name.to_str().unwrap_or("?")
    }

    /// Writes its value.
    pub(crate) fn show(&self, settings: &Settings, text: &mut Text) -> Result {
        // The fields are found in what may be changed.
        let mut copy = settings.clone();
        match &self.rule {
            Rule::Events => text.add(fmt!("{}", settings.filter.events)),
            Rule::Range => text.add(fmt!("{}", settings.filter.range)),
            Rule::Context => text.add(fmt!("{}", settings.filter.context)),
            Rule::Task => text.add(fmt!("{}", settings.filter.task)),
            Rule::Caller => text.add(fmt!("{}", settings.filter.caller)),
            Rule::Callback => text.add(fmt!("{}", settings.effects.when.name())),
            Rule::Number(field, ..) | Rule::Breach(field, _) => {
                text.add(fmt!("{}", *field(&mut copy)))
            }
            Rule::Flag(field, [off, on]) => {
                text.add(fmt!("{}", if *field(&mut copy) { on } else { off }))
            }
        }
    }

    /// Parses a value. Fails with `EINVAL`, `ERANGE` or `EPERM`.
    fn parse(&self, word: &str, to: &mut Settings) -> Result {
        match &self.rule {
            Rule::Events => to.filter.events = Events::parse(word)?,
            Rule::Range => to.filter.range = AddressRange::parse(word)?,
            Rule::Context => to.filter.context = ContextFilter::parse(word)?,
            Rule::Task => to.filter.task = TaskFilter::parse(word)?,
            Rule::Caller => to.filter.caller = CallerFilter::parse(word)?,
            Rule::Callback => to.effects.when = When::parse(word)?,
            Rule::Number(field, least, most) => *field(to) = number(word, *least, *most)?,
            Rule::Breach(field, most) => {
                let value = number(word, 0, *most)?;
                if value != 0 && !breach::is_permitted() {
                    return Err(EPERM);
                }
                *field(to) = value;
            }
            Rule::Flag(field, [off, on]) => {
                *field(to) = match word {
                    word if word == *off => false,
                    word if word == *on => true,
                    _ => return Err(EINVAL),
                }
            }
        }
        Ok(())
    }

    /// Sets its value to that of `from`, which may have the old one afterwards. Frees nothing.
    fn set(&self, from: &mut Settings, to: &mut Settings) {
        match &self.rule {
            Rule::Events => to.filter.events = from.filter.events,
            Rule::Range => to.filter.range = from.filter.range,
            Rule::Context => to.filter.context = from.filter.context,
            Rule::Task => to.filter.task = from.filter.task,
            Rule::Caller => mem::swap(&mut to.filter.caller, &mut from.filter.caller),
            Rule::Callback => to.effects.when = from.effects.when,
            Rule::Number(field, ..) | Rule::Breach(field, _) => *field(to) = *field(from),
            Rule::Flag(field, _) => *field(to) = *field(from),
        }
    }
}

/// A decimal number in these bounds. Fails with `EINVAL` or `ERANGE`.
fn number(word: &str, least: i32, most: i32) -> Result<i32> {
    match text::parse_i32(word)? {
        number if (least..=most).contains(&number) => Ok(number),
        _ => Err(ERANGE),
    }
}

/// The values of some settings.
pub(crate) struct Change {
    /// For a target of this kind.
    kind: Kind,
    /// Those that are not in `keys` are not used.
    values: Settings,
    /// A bit for each of [`SETTINGS`], by its index.
    keys: u32,
    /// A bit for the error of each event, by its index.
    errors: u32,
}

impl Change {
    /// No values, for a target of that kind.
    pub(crate) const fn new(kind: Kind) -> Self {
        Change {
            kind,
            values: Settings::DEFAULT,
            keys: 0,
            errors: 0,
        }
    }

    /// Takes `key=value ...`, and one at least. Fails with `EINVAL`, `ERANGE` or `EPERM`.
    pub(crate) fn parse(line: &str, kind: Kind) -> Result<Self> {
        let mut change = Change::new(kind);
        for word in line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').ok_or(EINVAL)?;
            change.add(key, value)?;
        }
        if change.keys == 0 && change.errors == 0 {
            return Err(EINVAL);
        }
        Ok(change)
    }

    /// The kind of target that it is for.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Adds a value. Fails with `EINVAL` for a key that is none or that has a value already, and
    /// otherwise as a write to the setting's file.
    pub(crate) fn add(&mut self, key: &str, value: &str) -> Result {
        if key == "error" {
            return self.add_errors(value);
        }
        let known = |(_, setting): &(usize, &Setting)| setting.key() == key;
        let Some((index, setting)) = SETTINGS.iter().enumerate().find(known) else {
            return self.add_error(Event::from_name(key).ok_or(EINVAL)?, value);
        };
        claim(&mut self.keys, index)?;
        setting.parse(value, &mut self.values)?;
        if !self.values.effects.when.is_of(self.kind) {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Adds the error of an event. Fails with `ERANGE` unless it is -4095 to 0, and with `EINVAL`
    /// if it is no number, or if the kind of notifier cannot return it.
    pub(crate) fn add_error(&mut self, event: Event, value: &str) -> Result {
        claim(&mut self.errors, event as usize)?;
        let errno = number(value, -MAX_ERRNO, 0)?;
        if !self.kind.can_return(errno) {
            return Err(EINVAL);
        }
        *self.values.errors.get_mut(event as usize).ok_or(EINVAL)? = errno;
        Ok(())
    }

    /// Adds the error of all events. Fails as [`Self::add_error`].
    pub(crate) fn add_errors(&mut self, value: &str) -> Result {
        Event::ALL
            .iter()
            .try_for_each(|&event| self.add_error(event, value))
    }

    /// Whether it asks for what must be permitted. Its other values are those of
    /// [`Settings::DEFAULT`], which do not.
    pub(crate) fn breaks_rules(&self) -> bool {
        let effects = &self.values.effects;
        effects.alloc_bytes != 0 || effects.lock != 0 || effects.remove != 0
    }

    /// Whether it asks for the lock to be taken in callbacks.
    pub(crate) fn takes_lock(&self) -> bool {
        self.values.effects.lock != 0
    }

    /// Sets the values, once. Neither allocates nor frees, so that a lock may be held: what was set
    /// before and has to be freed is freed with the change.
    pub(crate) fn apply(&mut self, to: &mut Settings) {
        let from = &mut self.values;
        for (index, setting) in SETTINGS.iter().enumerate() {
            if self.keys & (1 << index) != 0 {
                setting.set(from, to);
            }
        }
        for (index, (to, from)) in to.errors.iter_mut().zip(from.errors).enumerate() {
            if self.errors & (1 << index) != 0 {
                *to = from;
            }
        }
    }
}

/// Sets the bit of that index. Fails with `EINVAL` if it is set.
fn claim(bits: &mut u32, index: usize) -> Result {
    let bit = 1u32 << index;
    if *bits & bit != 0 {
        return Err(EINVAL);
    }
    *bits |= bit;
    Ok(())
}

#[kunit_tests(mmu_notifier_inject_settings)]
mod tests {
    use super::*;

    fn error(line: &str) -> Option<Error> {
        Change::parse(line, Kind::Plain).err()
    }

    fn shown(settings: &Settings) -> Result<Text> {
        let mut text = Text::with_capacity(512)?;
        settings.show(&mut text)?;
        Ok(text)
    }

    #[test]
    fn only_what_is_named_changes() -> Result {
        let mut settings = Settings::DEFAULT;
        settings.chance.times = 7;
        settings.effects.sleep_us = 8;
        Change::parse(" times=2  UNMAP=-11 MMU_NOTIFY_CLEAR=-12 ", Kind::Plain)?
            .apply(&mut settings);
        assert_eq!(settings.chance.times, 2);
        assert_eq!(settings.effects.sleep_us, 8);
        assert_eq!(settings.errors, [-11, -12, 0, 0, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn the_error_of_all_events() -> Result {
        let mut settings = Settings::DEFAULT;
        let shown = |settings: &Settings, due: &str| -> Result {
            let mut text = Text::with_capacity(16)?;
            settings.show_error(None, &mut text)?;
            assert_eq!(text.as_bytes(), due.as_bytes());
            Ok(())
        };
        shown(&settings, "0")?;
        Change::parse("error=-5", Kind::Plain)?.apply(&mut settings);
        shown(&settings, "-5")?;
        Change::parse("EXCLUSIVE=-6", Kind::Plain)?.apply(&mut settings);
        shown(&settings, "various")?;
        Change::parse("error=0", Kind::Plain)?.apply(&mut settings);
        shown(&settings, "0")?;
        Ok(())
    }

    #[test]
    fn a_change_keeps_what_is_to_be_freed() -> Result {
        let mut settings = Settings::DEFAULT;
        Change::parse("caller=f", Kind::Plain)?.apply(&mut settings);
        let mut change = Change::parse("times=2 caller=g", Kind::Plain)?;
        change.apply(&mut settings);
        let is = |filter: &CallerFilter, due: &str| -> Result {
            let mut text = Text::with_capacity(16)?;
            text.add(fmt!("{filter}"))?;
            assert_eq!(text.as_bytes(), due.as_bytes());
            Ok(())
        };
        is(&settings.filter.caller, "g")?;
        is(&change.values.filter.caller, "f")
    }

    #[test]
    fn what_is_shown_can_be_written() -> Result {
        let line = "events=CLEAR range=1000-2000 context=blockable task=comm=a=b caller=f.isra.0 \
                    probability=5 interval=6 times=-1 space=7 verbose=2 sleep_us=8 delay_us=9 \
                    alloc_bytes=0 lock=0 remove=0 callback=end young=1 record=all UNMAP=-1 \
                    EXCLUSIVE=-4095";
        let mut settings = Settings::DEFAULT;
        Change::parse(line, Kind::PlainEnd)?.apply(&mut settings);
        let text = shown(&settings)?;
        let line = core::str::from_utf8(text.as_bytes()).map_err(|_| EINVAL)?;
        let mut again = Settings::DEFAULT;
        Change::parse(line, Kind::PlainEnd)?.apply(&mut again);
        assert_eq!(shown(&again)?.as_bytes(), text.as_bytes());
        assert!(text.as_bytes() != shown(&Settings::DEFAULT)?.as_bytes());
        Ok(())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            " ",
            "times",
            "=1",
            "colour=blue",
            "times=1 times=1",
            "UNMAP=-1 MMU_NOTIFY_UNMAP=-1",
            "MMU_NOTIFY_MMU_NOTIFY_UNMAP=-1",
            "error=-1 UNMAP=-1",
            "times=1 callback=end",
            "times=1 record=some",
            "times=1 events=",
            "times=1 caller=f+0x1",
        ] {
            assert_eq!(error(line), Some(EINVAL));
        }
        assert_eq!(error("UNMAP=-11 times=-2"), Some(ERANGE));
        assert_eq!(error("times=1 UNMAP=1"), Some(ERANGE));
        assert_eq!(error("young=2"), Some(ERANGE));
        let range = Kind::Interval(AddressRange::ALL);
        assert!(Change::parse("UNMAP=-11", range).is_ok());
        assert_eq!(Change::parse("callback=release", range).err(), Some(EINVAL));
        assert!(Change::parse("callback=release", Kind::Plain).is_ok());
        assert_eq!(Change::parse("UNMAP=-12", range).err(), Some(EINVAL));
    }

    #[test]
    fn a_new_target_is_not_armed() {
        for when in When::ALL {
            assert!(!Settings::DEFAULT.is_armed(when));
        }
        assert_eq!(Settings::DEFAULT.chance.times, 1);
    }
}
