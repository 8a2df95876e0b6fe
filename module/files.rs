// SPDX-License-Identifier: GPL-2.0

//! The debugfs files of one target.

use crate::{
    abstractions::{
        breach,
        debugfs::{
            Dir,
            File,
            FileOperations, //
        },
        mm,
        mmu_notifier::Event,
        Output, //
    },
    filter::{
        AddressRange,
        ContextFilter,
        Events,
        TaskFilter, //
    },
    how::How,
    injector::Injector,
    notifier::Attached,
    readings::Readings,
    text::{
        self,
        Text, //
    },
    zap::Zap, //
};
use kernel::{
    mm::Mm,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// What the files of a target are about.
pub(crate) struct Subject {
    /// The process, as it was given.
    pub(crate) pid: i32,
    /// How the notifier was registered.
    pub(crate) how: How,
    /// The notifier's injector.
    pub(crate) injector: Arc<Injector>,
    /// The notifier.
    pub(crate) attached: Attached,
    /// The number that `mmu_interval_read_begin()` returned last; 0, which it never returns, before
    /// the first call.
    pub(crate) begun: Atomic<u64>,
    /// Who reads the files.
    pub(crate) readings: Arc<Readings>,
    // Dropped last, by the order of the fields: a notifier that its own callback removes relies on
    // it (`Callback::remove`).
    /// Its address space, which stays there (`mmgrab`) as long as the target does.
    pub(crate) mm: ARef<Mm>,
}

impl Subject {
    /// Whether some process still uses the address space, in a word.
    pub(crate) fn state(&self) -> &'static str {
        if mm::users(&self.mm) > 0 {
            "live"
        } else {
            "gone"
        }
    }
}

/// What a file shows and takes.
enum Knob {
    /// Something about the target.
    Fact(fn(&Subject, &mut Text) -> Result),
    /// A number of the injector's, with the least and the most that it may be.
    Number(fn(&Injector) -> &Atomic<i32>, i32, i32),
    /// A number of the injector's with the most that it may be; other than 0 it breaks rules, which
    /// must be permitted.
    Breach(fn(&Injector) -> &Atomic<i32>, i32),
    /// A setting of the injector's that is off or on, with a word for each.
    Flag {
        words: [&'static str; 2],
        get: fn(&Injector) -> bool,
        set: fn(&Injector, bool) -> Result,
    },
    /// Something that is done when it is written.
    Order(fn(&Subject, &str) -> Result),
    /// The same, with a result that stays to be read.
    Question {
        show: fn(&Subject, &mut Text) -> Result,
        ask: fn(&Subject, &str) -> Result,
    },
    /// Another setting of the injector's.
    Setting {
        show: fn(&Injector, &mut Text) -> Result,
        store: fn(&Injector, &str) -> Result,
    },
}

/// A file in a target's folder.
struct Entry {
    name: &'static CStr,
    knob: Knob,
}

/// The files that stand directly in a target's folder, but for the log. The settings are in the
/// order in which `settings` shows them.
const ENTRIES: &[Entry] = &[
    Entry {
        name: c"pid",
        knob: Knob::Fact(|subject, text| text.add(fmt!("{}", subject.pid))),
    },
    Entry {
        name: c"kind",
        knob: Knob::Fact(|subject, text| text.add(fmt!("{}", subject.injector.kind()))),
    },
    Entry {
        name: c"how",
        knob: Knob::Fact(|subject, text| subject.how.show(subject.attached.users(), text)),
    },
    Entry {
        name: c"state",
        knob: Knob::Fact(|subject, text| text.add(fmt!("{}", subject.state()))),
    },
    Entry {
        name: c"mm",
        knob: Knob::Fact(|subject, text| {
            let mm = &subject.mm;
            text.add(fmt!("users={} count={}", mm::users(mm), mm::count(mm)))
        }),
    },
    Entry {
        name: c"read_begin",
        knob: Knob::Question {
            show: |subject, text| match subject.begun.load(Relaxed) {
                0 => text.add(fmt!("seq=none")),
                seq => text.add(fmt!("seq={seq}")),
            },
            ask: |subject, line| {
                if line != "begin" {
                    return Err(EINVAL);
                }
                subject.begun.store(subject.attached.read_begin()?, Relaxed);
                Ok(())
            },
        },
    },
    Entry {
        name: c"read_retry",
        knob: Knob::Order(|subject, line| {
            let seq = text::parse_u64(line)?;
            let Subject {
                injector, attached, ..
            } = subject;
            if injector.with_mirror(|| attached.read_retry(seq))? {
                Err(EAGAIN)
            } else {
                Ok(())
            }
        }),
    },
    Entry {
        name: c"zap",
        knob: Knob::Order(|subject, line| {
            Zap::parse(line)?.carry_out(&subject.mm, &subject.injector)
        }),
    },
    Entry {
        name: c"counters",
        knob: Knob::Fact(|subject, text| subject.injector.show_counters(text)),
    },
    Entry {
        name: c"settings",
        knob: Knob::Fact(|subject, text| show_settings(&subject.injector, text)),
    },
    Entry {
        name: c"events",
        knob: Knob::Setting {
            show: |injector, text| text.add(fmt!("{}", injector.filter().events)),
            store: |injector, line| {
                let events = Events::parse(line)?;
                injector.update_filter(|filter| filter.events = events);
                Ok(())
            },
        },
    },
    Entry {
        name: c"range",
        knob: Knob::Setting {
            show: |injector, text| text.add(fmt!("{}", injector.filter().range)),
            store: |injector, line| {
                let range = AddressRange::parse(line)?;
                injector.update_filter(|filter| filter.range = range);
                Ok(())
            },
        },
    },
    Entry {
        name: c"context",
        knob: Knob::Setting {
            show: |injector, text| text.add(fmt!("{}", injector.filter().context)),
            store: |injector, line| {
                let context = ContextFilter::parse(line)?;
                injector.update_filter(|filter| filter.context = context);
                Ok(())
            },
        },
    },
    Entry {
        name: c"task",
        knob: Knob::Setting {
            show: |injector, text| text.add(fmt!("{}", injector.filter().task)),
            store: |injector, line| {
                let task = TaskFilter::parse(line)?;
                injector.update_filter(|filter| filter.task = task);
                Ok(())
            },
        },
    },
    Entry {
        name: c"probability",
        knob: Knob::Number(|injector| &injector.chance.probability, 0, 100),
    },
    Entry {
        name: c"interval",
        knob: Knob::Number(|injector| &injector.chance.interval, 1, i32::MAX),
    },
    Entry {
        name: c"times",
        knob: Knob::Number(|injector| &injector.chance.times, -1, i32::MAX),
    },
    Entry {
        name: c"space",
        knob: Knob::Number(|injector| &injector.chance.space, 0, i32::MAX),
    },
    Entry {
        name: c"verbose",
        knob: Knob::Number(|injector| &injector.verbose, 0, 2),
    },
    Entry {
        name: c"sleep_us",
        knob: Knob::Number(|injector| &injector.misdeeds.sleep_us, 0, 10_000_000),
    },
    Entry {
        name: c"delay_us",
        knob: Knob::Number(|injector| &injector.misdeeds.delay_us, 0, 100_000),
    },
    Entry {
        name: c"alloc_bytes",
        knob: Knob::Breach(|injector| &injector.misdeeds.alloc_bytes, 1 << 20),
    },
    Entry {
        name: c"lock",
        knob: Knob::Setting {
            show: |injector, text| text.add(fmt!("{}", injector.misdeeds.lock.load(Relaxed))),
            store: |injector, line| {
                let value = number(line, 0, 1)?;
                if value != 0 {
                    breach::permit()?;
                    injector.hold_lock_over_allocation()?;
                }
                injector.misdeeds.lock.store(value, Relaxed);
                Ok(())
            },
        },
    },
    Entry {
        name: c"remove",
        knob: Knob::Breach(|injector| &injector.misdeeds.remove, 1),
    },
    Entry {
        name: c"young",
        knob: Knob::Number(|injector| &injector.young, 0, 1),
    },
    Entry {
        name: c"callback",
        knob: Knob::Flag {
            words: ["start", "end"],
            get: Injector::misbehaves_in_end,
            set: Injector::set_misbehaves_in_end,
        },
    },
    Entry {
        name: c"record",
        knob: Knob::Flag {
            words: ["injected", "all"],
            get: Injector::records_all,
            set: |injector, all| {
                injector.set_records_all(all);
                Ok(())
            },
        },
    },
];

/// A decimal number in these bounds. Fails with `EINVAL` or `ERANGE`.
fn number(line: &str, least: i32, most: i32) -> Result<i32> {
    match text::parse_i32(line)? {
        number if (least..=most).contains(&number) => Ok(number),
        _ => Err(ERANGE),
    }
}

impl Knob {
    fn is_setting(&self) -> bool {
        matches!(
            self,
            Knob::Number(..) | Knob::Breach(..) | Knob::Flag { .. } | Knob::Setting { .. }
        )
    }

    /// Shows a setting; nothing for anything else.
    fn show_setting(&self, injector: &Injector, text: &mut Text) -> Result {
        match self {
            Knob::Fact(_) | Knob::Order(_) | Knob::Question { .. } => Ok(()),
            Knob::Number(field, ..) | Knob::Breach(field, ..) => {
                text.add(fmt!("{}", field(injector).load(Relaxed)))
            }
            Knob::Flag {
                words: [off, on],
                get,
                ..
            } => text.add(fmt!("{}", if get(injector) { on } else { off })),
            Knob::Setting { show, .. } => show(injector, text),
        }
    }
}

/// All settings in one line, so that a script sees them with one read.
fn show_settings(injector: &Injector, text: &mut Text) -> Result {
    for Entry { name, knob } in ENTRIES.iter().filter(|entry| entry.knob.is_setting()) {
        text.add(fmt!("{}=", name.to_str().unwrap_or("?")))?;
        knob.show_setting(injector, text)?;
        text.add(fmt!(" "))?;
    }
    text.add(fmt!("errors="))?;
    let mut comma = "";
    for &event in Event::ALL {
        text.add(fmt!("{comma}{}", injector.error(event)))?;
        comma = ",";
    }
    Ok(())
}

struct EntryFile {
    subject: Arc<Subject>,
    entry: &'static Entry,
}

impl FileOperations for EntryFile {
    fn mode(&self) -> u16 {
        match self.entry.knob {
            Knob::Fact(_) => 0o400,
            Knob::Order(_) => 0o200,
            Knob::Question { .. }
            | Knob::Number(..)
            | Knob::Breach(..)
            | Knob::Flag { .. }
            | Knob::Setting { .. } => 0o600,
        }
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        let Subject {
            injector, readings, ..
        } = &*self.subject;
        if matches!(self.entry.knob, Knob::Order(_)) {
            return Err(EPERM);
        }
        // No text waits for a callback, and none changes anything: `grep -r` reads all of them.
        readings.read(position, out, |text| {
            match &self.entry.knob {
                Knob::Fact(show) | Knob::Question { show, .. } => show(&self.subject, text)?,
                setting => setting.show_setting(injector, text)?,
            }
            if text.as_bytes().last() != Some(&b'\n') {
                text.add(fmt!("\n"))?;
            }
            Ok(())
        })
    }

    fn write(&self, data: &[u8]) -> Result {
        let line = text::line(data)?;
        let injector = &self.subject.injector;
        match &self.entry.knob {
            Knob::Fact(_) => Err(EPERM),
            Knob::Order(obey) => obey(&self.subject, line),
            Knob::Question { ask, .. } => ask(&self.subject, line),
            Knob::Number(field, least, most) => {
                field(injector).store(number(line, *least, *most)?, Relaxed);
                Ok(())
            }
            Knob::Breach(field, most) => {
                let value = number(line, 0, *most)?;
                if value != 0 {
                    breach::permit()?;
                }
                field(injector).store(value, Relaxed);
                Ok(())
            }
            Knob::Flag {
                words: [off, on],
                set,
                ..
            } => match line {
                word if word == *off => set(injector, false),
                word if word == *on => set(injector, true),
                _ => Err(EINVAL),
            },
            Knob::Setting { store, .. } => store(injector, line),
        }
    }
}

/// `actions/EVENT/error`.
struct ErrorFile {
    subject: Arc<Subject>,
    event: Event,
}

impl FileOperations for ErrorFile {
    fn mode(&self) -> u16 {
        0o600
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        let Subject {
            injector, readings, ..
        } = &*self.subject;
        readings.read(position, out, |text| {
            text.add(fmt!("{}\n", injector.error(self.event)))
        })
    }

    fn write(&self, data: &[u8]) -> Result {
        let errno = text::parse_i32(text::line(data)?)?;
        self.subject.injector.set_error(self.event, errno)
    }
}

struct LogFile(Arc<Injector>);

impl FileOperations for LogFile {
    fn mode(&self) -> u16 {
        0o400
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        self.0.log().read(position, out)
    }
}

/// A target's folder with all its files. Dropping it removes them, and waits for their readers.
pub(crate) struct Files {
    _entries: KVec<File<EntryFile>>,
    _errors: KVec<File<ErrorFile>>,
    _log: File<LogFile>,
}

impl Files {
    /// Creates the folder `name` in `targets`. Fails with `EEXIST`, `ENOMEM` and the like.
    pub(crate) fn new(name: &CStr, targets: &Arc<Dir>, subject: &Arc<Subject>) -> Result<Self> {
        let dir = Dir::new(name, Some(targets.clone()))?;

        let mut entries = KVec::with_capacity(ENTRIES.len(), GFP_KERNEL)?;
        for entry in ENTRIES {
            let subject = subject.clone();
            let file = File::new(entry.name, &dir, EntryFile { subject, entry })?;
            entries.push(file, GFP_KERNEL)?;
        }

        let actions = Dir::new(c"actions", Some(dir.clone()))?;
        let mut errors = KVec::with_capacity(Event::ALL.len(), GFP_KERNEL)?;
        for &event in Event::ALL {
            let dir = Dir::new(event.name(), Some(actions.clone()))?;
            let file = ErrorFile {
                subject: subject.clone(),
                event,
            };
            errors.push(File::new(c"error", &dir, file)?, GFP_KERNEL)?;
        }

        Ok(Files {
            _entries: entries,
            _errors: errors,
            _log: File::new(c"log", &dir, LogFile(subject.injector.clone()))?,
        })
    }
}
