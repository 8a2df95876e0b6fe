// SPDX-License-Identifier: GPL-2.0

//! The debugfs files of one target.

use crate::{
    abstractions::{
        debugfs::{
            Dir,
            File,
            FileOperations, //
        },
        mmu_notifier::Event, //
    },
    filter::{
        AddressRange,
        ContextFilter, //
    },
    injector::Injector,
    text::{
        self,
        Text, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc,
    uaccess::UserSliceWriter, //
};

/// Room for what a file with a single value shows.
type Value = Text<128>;

/// A file of a target that shows one thing about it, and may set it.
struct Knob {
    name: &'static CStr,
    show: fn(&Target) -> Result<Value>,
    store: Option<fn(&Injector, &str) -> Result>,
}

/// The files that stand directly in a target's folder.
const KNOBS: [Knob; 4] = [
    Knob {
        name: c"pid",
        show: |target| Value::new(fmt!("{}\n", target.pid)),
        store: None,
    },
    Knob {
        name: c"range",
        show: |target| Value::new(fmt!("{}\n", target.injector.filter().range)),
        store: Some(|injector, line| {
            let range = AddressRange::parse(line)?;
            injector.update_filter(|filter| filter.range = range);
            Ok(())
        }),
    },
    Knob {
        name: c"context",
        show: |target| Value::new(fmt!("{}\n", target.injector.filter().context)),
        store: Some(|injector, line| {
            let context = ContextFilter::parse(line)?;
            injector.update_filter(|filter| filter.context = context);
            Ok(())
        }),
    },
    Knob {
        name: c"counters",
        show: |target| {
            let injector = &target.injector;
            Value::new(fmt!(
                "calls={} injected={} overwritten={}\n",
                injector.calls(),
                injector.injected(),
                injector.log().overwritten(),
            ))
        },
        store: None,
    },
];

/// What the files of a target are about.
#[derive(Clone)]
struct Target {
    pid: i32,
    injector: Arc<Injector>,
}

struct KnobFile {
    target: Target,
    knob: &'static Knob,
}

impl FileOperations for KnobFile {
    const MODE: u16 = 0o600;

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        let value = (self.knob.show)(&self.target)?;
        text::copy_out(value.as_bytes(), position, out)
    }

    fn write(&self, data: &[u8]) -> Result {
        let store = self.knob.store.ok_or(EPERM)?;
        store(&self.target.injector, text::line(data)?)
    }
}

/// `actions/EVENT/error`.
struct ErrorFile {
    injector: Arc<Injector>,
    event: Event,
}

impl FileOperations for ErrorFile {
    const MODE: u16 = 0o600;

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        let value = Value::new(fmt!("{}\n", self.injector.error(self.event)))?;
        text::copy_out(value.as_bytes(), position, out)
    }

    fn write(&self, data: &[u8]) -> Result {
        let errno = text::parse_i32(text::line(data)?)?;
        self.injector.set_error(self.event, errno)
    }
}

struct LogFile(Arc<Injector>);

impl FileOperations for LogFile {
    const MODE: u16 = 0o400;

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        self.0.log().read(position, out)
    }
}

/// A target's folder with all its files. Dropping it removes them, and waits for their readers.
pub(crate) struct Files {
    _knobs: KVec<File<KnobFile>>,
    _errors: KVec<File<ErrorFile>>,
    _log: File<LogFile>,
}

impl Files {
    /// Creates the folder `name` in `targets`. Fails with `EEXIST`, `ENOMEM` and the like.
    pub(crate) fn new(
        name: &CStr,
        targets: &Arc<Dir>,
        pid: i32,
        injector: &Arc<Injector>,
    ) -> Result<Self> {
        let dir = Dir::new(name, Some(targets.clone()))?;

        let mut knobs = KVec::new();
        for knob in &KNOBS {
            let file = KnobFile {
                target: Target {
                    pid,
                    injector: injector.clone(),
                },
                knob,
            };
            knobs.push(File::new(knob.name, &dir, file)?, GFP_KERNEL)?;
        }

        let actions = Dir::new(c"actions", Some(dir.clone()))?;
        let mut errors = KVec::new();
        for &event in Event::ALL {
            let dir = Dir::new(event.name(), Some(actions.clone()))?;
            let file = ErrorFile {
                injector: injector.clone(),
                event,
            };
            errors.push(File::new(c"error", &dir, file)?, GFP_KERNEL)?;
        }

        Ok(Files {
            _knobs: knobs,
            _errors: errors,
            _log: File::new(c"log", &dir, LogFile(injector.clone()))?,
        })
    }
}
