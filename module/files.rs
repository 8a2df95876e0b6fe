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
    how::How,
    injector::Injector,
    notifier::Attached,
    readings::Readings,
    settings::{
        Change,
        Folder,
        Setting,
        SETTINGS, //
    },
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

/// The target that a folder of files belongs to.
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

/// Contents of a file that is not a setting, and what it accepts.
enum Knob {
    /// Something about the target.
    Fact(fn(&Subject, &mut Text) -> Result),
    /// Something that is done when it is written.
    Order(fn(&Subject, &str) -> Result),
    /// The same, with a result that stays to be read.
    Question {
        show: fn(&Subject, &mut Text) -> Result,
        ask: fn(&Subject, &str) -> Result,
    },
}

/// A file in a target's folder.
struct Entry {
    name: &'static CStr,
    knob: Knob,
}

/// The files in a target's folder, but for the log and those of single settings.
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
            text.add(fmt!(
                "users={} count={} tlb_flush_pending={}",
                mm::users(mm),
                mm::count(mm),
                mm::tlb_flush_pending(mm)
            ))
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
            if injector.with_seq_lock(|| attached.read_retry(seq))? {
                Err(EAGAIN)
            } else {
                Ok(())
            }
        }),
    },
    Entry {
        name: c"mirror",
        knob: Knob::Question {
            show: |subject, text| match subject.injector.mirror() {
                Ok(mirror) => mirror.show(text),
                Err(_) => text.add(fmt!("none")),
            },
            ask: |subject, line| {
                if line != "copy" {
                    return Err(EINVAL);
                }
                subject.injector.mirror()?;
                subject.injector.copy_page_table(&subject.mm);
                Ok(())
            },
        },
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
        knob: Knob::Question {
            show: |subject, text| subject.injector.settings().show(text),
            ask: |subject, line| {
                let injector = &subject.injector;
                injector.change(Change::parse(line, injector.kind())?)
            },
        },
    },
];

struct EntryFile {
    subject: Arc<Subject>,
    entry: &'static Entry,
}

impl FileOperations for EntryFile {
    fn mode(&self) -> u16 {
        match self.entry.knob {
            Knob::Fact(_) => 0o400,
            Knob::Order(_) => 0o200,
            Knob::Question { .. } => 0o600,
        }
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        match &self.entry.knob {
            Knob::Fact(show) | Knob::Question { show, .. } => {
                show_line(&self.subject, position, out, |text| {
                    show(&self.subject, text)
                })
            }
            Knob::Order(_) => Err(EPERM),
        }
    }

    fn write(&self, data: &[u8]) -> Result {
        let line = text::line(data)?;
        match &self.entry.knob {
            Knob::Fact(_) => Err(EPERM),
            Knob::Order(obey) => obey(&self.subject, line),
            Knob::Question { ask, .. } => ask(&self.subject, line),
        }
    }
}

/// Copies out the text that `show` makes, with a newline at its end. No text waits for a callback,
/// and none changes anything: `grep -r` reads all of them.
fn show_line(
    subject: &Subject,
    position: &mut u64,
    out: &mut dyn Output,
    show: impl FnOnce(&mut Text) -> Result,
) -> Result<usize> {
    subject.readings.read(position, out, |text| {
        show(text)?;
        if text.as_bytes().last() != Some(&b'\n') {
            text.add(fmt!("\n"))?;
        }
        Ok(())
    })
}

/// A file of one setting.
struct SettingFile {
    subject: Arc<Subject>,
    setting: &'static Setting,
}

impl FileOperations for SettingFile {
    fn mode(&self) -> u16 {
        0o600
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        show_line(&self.subject, position, out, |text| {
            let settings = self.subject.injector.settings();
            self.setting.show(&settings, text)
        })
    }

    fn write(&self, data: &[u8]) -> Result {
        let injector = &self.subject.injector;
        let mut change = Change::new(injector.kind());
        change.add(self.setting.key(), text::line(data)?)?;
        injector.change(change)
    }
}

/// `actions/EVENT/error`, or `effect/error`, which is for all events.
struct ErrorFile {
    subject: Arc<Subject>,
    event: Option<Event>,
}

impl FileOperations for ErrorFile {
    fn mode(&self) -> u16 {
        0o600
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        show_line(&self.subject, position, out, |text| {
            let settings = self.subject.injector.settings();
            settings.show_error(self.event, text)
        })
    }

    fn write(&self, data: &[u8]) -> Result {
        let injector = &self.subject.injector;
        let mut change = Change::new(injector.kind());
        let line = text::line(data)?;
        match self.event {
            Some(event) => change.add_error(event, line)?,
            None => change.add_errors(line)?,
        }
        injector.change(change)
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
    _settings: KVec<File<SettingFile>>,
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

        let fault = Dir::new(c"fault", Some(dir.clone()))?;
        let effect = Dir::new(c"effect", Some(dir.clone()))?;
        let breach = breach::is_permitted()
            .then(|| Dir::new(c"breach", Some(dir.clone())))
            .transpose()?;
        let mut settings = KVec::with_capacity(SETTINGS.len(), GFP_KERNEL)?;
        for setting in SETTINGS {
            let dir = match setting.folder {
                Folder::Target => Some(&dir),
                Folder::Fault => Some(&fault),
                Folder::Effect => Some(&effect),
                Folder::Breach => breach.as_ref(),
            };
            if let Some(dir) = dir {
                let subject = subject.clone();
                let file = File::new(setting.name, dir, SettingFile { subject, setting })?;
                settings.push(file, GFP_KERNEL)?;
            }
        }

        let actions = Dir::new(c"actions", Some(dir.clone()))?;
        let mut errors = KVec::with_capacity(1 + Event::ALL.len(), GFP_KERNEL)?;
        let file = |event| ErrorFile {
            subject: subject.clone(),
            event,
        };
        errors.push(File::new(c"error", &effect, file(None))?, GFP_KERNEL)?;
        for &event in Event::ALL {
            let dir = Dir::new(event.name(), Some(actions.clone()))?;
            let file = file(Some(event));
            errors.push(File::new(c"error", &dir, file)?, GFP_KERNEL)?;
        }

        Ok(Files {
            _entries: entries,
            _settings: settings,
            _errors: errors,
            _log: File::new(c"log", &dir, LogFile(subject.injector.clone()))?,
        })
    }
}
