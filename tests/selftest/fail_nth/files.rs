// SPDX-License-Identifier: GPL-2.0

//! Opening, reading and writing the module's files.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;

use mn_inject::injector::files;
use mn_inject::injector::line::errno_of;

use crate::fail_nth::attach::{words, write_line};
use crate::fail_nth::call::Call;
use crate::fail_nth::world::{Stage, State, World};
use crate::fuzz::kind::{INTERVAL, Kind};
use crate::fuzz::order::Order;
use crate::fuzz::setting::{Rule, Setting, path_of};
use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, open};

/// Size of the buffer of a read, in bytes: more than any of the files has.
const BUFFER: usize = 64 << 10;

/// A target, and one of its files or of the module's.
pub struct Place {
    world: Rc<World>,
    attached: Rc<Attached>,
    path: PathBuf,
    before: State,
    settings: String,
}

impl Place {
    /// A file of the target of that kind.
    pub fn of_target(stage: &Stage<'_>, kind: Kind, file: &str) -> Outcome<Self> {
        let attached = stage.target(kind)?;
        let path = attached.path(file);
        Self::new(stage.world()?, attached, path)
    }

    /// A file of a new target.
    fn of_new_target(stage: &Stage<'_>, kind: Kind, file: &str) -> Outcome<Self> {
        let world = stage.world()?;
        let pid = world.subject.pid().as_raw();
        let attached = stage.rig.attach(pid, &words(&world, kind))?;
        let path = attached.path(file);
        Self::new(world, Rc::new(attached), path)
    }

    /// A file of the module.
    pub fn of_module(stage: &Stage<'_>, file: &str) -> Outcome<Self> {
        Self::new(stage.world()?, stage.target(INTERVAL)?, files::path(file))
    }

    fn new(world: Rc<World>, attached: Rc<Attached>, path: PathBuf) -> Outcome<Self> {
        Ok(Place {
            before: world.state()?,
            settings: attached.read("settings")?,
            world,
            attached,
            path,
        })
    }

    fn demand_unchanged(&self) -> Outcome {
        self.world.demand(&self.before)?;
        let settings = self.attached.read("settings")?;
        same("settings", &settings, &self.settings)
    }
}

/// Opens a file.
pub struct Open {
    place: Place,
    opened: Option<OwnedFd>,
}

impl Open {
    /// Opens that file.
    pub fn new(place: Place) -> Self {
        let opened = None;
        Open { place, opened }
    }
}

impl Call for Open {
    fn make(&mut self) -> Result<(), Errno> {
        self.opened = Some(fcntl::open(
            &self.place.path,
            OFlag::O_RDWR | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?);
        Ok(())
    }

    fn succeeded(&mut self) -> Outcome {
        self.opened = None;
        self.place.demand_unchanged()
    }

    fn failed(&mut self) -> Outcome {
        self.place.demand_unchanged()
    }
}

/// Opens a file of a target for the first time: of a new target each time.
pub struct OpenFirst<'a> {
    stage: &'a Stage<'a>,
    kind: Kind,
    file: &'static str,
    open: Option<Open>,
}

impl<'a> OpenFirst<'a> {
    /// Opens that file.
    pub fn new(stage: &'a Stage<'a>, kind: Kind, file: &'static str) -> Self {
        OpenFirst {
            stage,
            kind,
            file,
            open: None,
        }
    }

    fn open(&mut self) -> Outcome<&mut Open> {
        let absent = || Failure::Wrong("nothing was prepared".into());
        self.open.as_mut().ok_or_else(absent)
    }
}

impl Call for OpenFirst<'_> {
    fn prepare(&mut self) -> Outcome {
        // First, since its target is listed as long as it is there.
        self.open = None;
        let place = Place::of_new_target(self.stage, self.kind, self.file)?;
        self.open = Some(Open::new(place));
        Ok(())
    }

    fn make(&mut self) -> Result<(), Errno> {
        self.open.as_mut().ok_or(Errno::EBADF)?.make()
    }

    fn succeeded(&mut self) -> Outcome {
        self.open()?.succeeded()
    }

    fn failed(&mut self) -> Outcome {
        self.open()?.failed()
    }
}

/// Contents of an open file, read from its beginning in one call.
pub struct Contents {
    file: File,
    buffer: Vec<u8>,
    length: usize,
}

impl Contents {
    /// Nothing is read so far.
    pub fn of(file: File) -> Self {
        Contents {
            file,
            // Not zeroed by the kernel: every page of it must be there before the first call.
            buffer: vec![1; BUFFER],
            length: 0,
        }
    }

    /// Reads them.
    pub fn read(&mut self) -> Result<(), Errno> {
        self.length = self
            .file
            .read_at(&mut self.buffer, 0)
            .map_err(|error| errno_of(&error))?;
        Ok(())
    }

    /// The bytes of the last read.
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Demands that the last read gave these bytes.
    pub fn demand(&self, due: &[u8]) -> Outcome {
        demand(self.bytes() == due, || {
            format!(
                "read: expected \"{}\", got \"{}\"",
                due.escape_ascii(),
                self.bytes().escape_ascii()
            )
        })
    }
}

/// Reads a file from its beginning.
pub struct Read {
    place: Place,
    contents: Contents,
    due: Vec<u8>,
}

impl Read {
    /// Reads that file, whose content must not change meanwhile.
    pub fn new(place: Place) -> Outcome<Self> {
        let mut read = Read {
            contents: Contents::of(open(&place.path)?),
            place,
            due: Vec::new(),
        };
        read.due = read.content()?;
        Ok(read)
    }

    fn content(&mut self) -> Outcome<Vec<u8>> {
        let path = self.place.path.display().to_string();
        self.make().map_err(|errno| {
            Failure::Wrong(format!("read of {path} without a fault: {errno:?}"))
        })?;
        Ok(self.contents.bytes().to_vec())
    }
}

impl Call for Read {
    fn make(&mut self) -> Result<(), Errno> {
        self.contents.read()
    }

    fn succeeded(&mut self) -> Outcome {
        self.contents.demand(&self.due)?;
        self.place.demand_unchanged()
    }

    fn failed(&mut self) -> Outcome {
        self.place.demand_unchanged()?;
        let seen = self.content()?;
        demand(seen == self.due, || {
            format!("after it, \"{}\" is read", seen.escape_ascii())
        })
    }
}

/// Writes a setting other than the one that is there.
pub struct Set {
    place: Place,
    file: File,
    path: &'static str,
    value: String,
    before: String,
}

impl Set {
    /// Writes that setting of the target of a kind that takes all settings.
    pub fn new(stage: &Stage<'_>, kind: Kind, setting: &Setting) -> Outcome<Self> {
        Self::value(stage, kind, setting.path, |before| other(setting, before))
    }

    /// Writes the error of all events.
    pub fn common_error(stage: &Stage<'_>, kind: Kind) -> Outcome<Self> {
        Self::value(stage, kind, "effect/error", |_| "-11".into())
    }

    fn value(
        stage: &Stage<'_>,
        kind: Kind,
        path: &'static str,
        value: impl FnOnce(&str) -> String,
    ) -> Outcome<Self> {
        let place = Place::of_target(stage, kind, path)?;
        let before = place.attached.read(path)?;
        Ok(Set {
            file: open(&place.path)?,
            place,
            path,
            value: value(&before),
            before,
        })
    }
}

/// A value of a setting other than `before`.
fn other(setting: &Setting, before: &str) -> String {
    match setting.rule {
        Rule::Events => "MMU_NOTIFY_CLEAR".into(),
        Rule::Range => "0x1000-0x2000".into(),
        Rule::Word(words) => {
            let mut others = words.iter().filter(|word| **word != before);
            others.next().copied().unwrap_or_default().into()
        }
        Rule::Task => "comm=fail-nth".into(),
        Rule::Caller => "do_exit".into(),
        Rule::Number(min, max) => [min, max]
            .map(|number| number.to_string())
            .into_iter()
            .find(|number| number != before)
            .unwrap_or_default(),
        Rule::Error => "-11".into(),
        Rule::Callback => "end".into(),
        Rule::Breach(_) => "0".into(),
    }
}

impl Call for Set {
    fn make(&mut self) -> Result<(), Errno> {
        write_line(&self.file, self.value.as_bytes())
    }

    fn succeeded(&mut self) -> Outcome {
        let attached = &self.place.attached;
        same(self.path, attached.read(self.path)?, self.value.clone())?;
        attached.set(self.path, &self.before)?;
        self.place.demand_unchanged()
    }

    fn failed(&mut self) -> Outcome {
        let seen = self.place.attached.read(self.path)?;
        same(self.path, &seen, &self.before)?;
        self.place.demand_unchanged()
    }
}

/// The settings that [`Change`] writes in one line.
const CHANGED: [(&str, &str); 3] = [
    ("events", "MMU_NOTIFY_CLEAR"),
    ("task", "comm=fail-nth"),
    ("MMU_NOTIFY_UNMAP", "-11"),
];

/// Writes several settings in one line.
pub struct Change {
    place: Place,
    file: File,
    line: String,
    back: String,
}

impl Change {
    /// Writes `settings` of the target of that kind.
    pub fn new(stage: &Stage<'_>, kind: Kind) -> Outcome<Self> {
        let place = Place::of_target(stage, kind, "settings")?;
        let words = |value: &dyn Fn(&str, &str) -> Outcome<String>| {
            let words = CHANGED.iter().map(|(key, new)| {
                let value = value(key, new)?;
                Ok(format!("{key}={value}"))
            });
            words.collect::<Outcome<Vec<_>>>()
        };
        let line = words(&|_, new| Ok(new.to_owned()))?.join(" ");
        let back = words(&|key, _| place.attached.read(path_of(key)))?.join(" ");
        Ok(Change {
            file: open(&place.path)?,
            place,
            line,
            back,
        })
    }
}

impl Call for Change {
    fn make(&mut self) -> Result<(), Errno> {
        write_line(&self.file, self.line.as_bytes())
    }

    fn succeeded(&mut self) -> Outcome {
        let attached = &self.place.attached;
        for (key, value) in CHANGED {
            same(key, attached.read(path_of(key))?.as_str(), value)?;
        }
        same(&self.back, attached.change(&self.back)?, Ok(()))?;
        self.place.demand_unchanged()
    }

    fn failed(&mut self) -> Outcome {
        self.place.demand_unchanged()
    }
}

/// Writes an order.
pub struct Obey {
    place: Place,
    file: File,
    line: String,
    /// The file of which the content must stay, whatever comes of the order.
    shown: Option<(&'static str, String)>,
}

impl Obey {
    /// Writes that order to the target of that kind, which has such orders.
    pub fn new(stage: &Stage<'_>, kind: Kind, order: Order) -> Outcome<Self> {
        let place = Place::of_target(stage, kind, order.path())?;
        let line = match order {
            Order::Begin => {
                // The number stays the same, as nothing invalidates the range.
                place.attached.read_begin()?;
                "begin".into()
            }
            Order::Retry => place.attached.read_begin()?.0.to_string(),
            Order::Copy => "copy".into(),
            Order::Zap => place.world.range(),
        };
        let begin = Order::Begin.path();
        // Each zap is an invalidation of the range.
        let shown = match order {
            Order::Begin | Order::Retry => Some((begin, place.attached.read(begin)?)),
            // Each copy is counted.
            Order::Copy | Order::Zap => None,
        };
        Ok(Obey {
            file: File::options()
                .write(true)
                .open(&place.path)
                .with_context(|| format!("cannot open {}", place.path.display()))?,
            place,
            line,
            shown,
        })
    }

    fn demand_unchanged(&self) -> Outcome {
        if let Some((path, due)) = &self.shown {
            same(path, &self.place.attached.read(path)?, due)?;
        }
        self.place.demand_unchanged()
    }
}

impl Call for Obey {
    fn make(&mut self) -> Result<(), Errno> {
        write_line(&self.file, self.line.as_bytes())
    }

    fn succeeded(&mut self) -> Outcome {
        self.demand_unchanged()
    }

    fn failed(&mut self) -> Outcome {
        self.demand_unchanged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::kind::PLAIN_END;
    use crate::fuzz::setting::SETTINGS;

    #[test]
    fn every_setting_has_another_value() {
        for setting in SETTINGS.iter().filter(|setting| setting.has_file()) {
            for before in [setting.default, "-1"] {
                let value = other(setting, before);
                let taken = setting.rule.judge(value.as_bytes(), PLAIN_END);
                assert!(taken.is_ok(), "{}: {value:?}: {taken:?}", setting.path);
                assert_ne!(value, before, "{}", setting.path);
            }
        }
    }
}
