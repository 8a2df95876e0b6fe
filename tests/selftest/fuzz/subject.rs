// SPDX-License-Identifier: GPL-2.0

//! A target whose settings are written: its files, and what they must read.

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::fuzz::kind::{Kind, is_interval};
use crate::fuzz::order::Order;
use crate::fuzz::setting;
use crate::fuzz::setting::SETTINGS;

/// The files of a target that cannot be written: what it is, what it has seen, what depends on its
/// kind, and all settings.
pub const READ_ONLY: [&str; 8] = [
    "pid",
    "kind",
    "state",
    "counters",
    "log",
    "mm",
    "read_begin",
    "settings",
];

/// Where in [`READ_ONLY`] the file is that only interval notifiers have.
const READ_BEGIN: usize = 6;

/// A target, with what its files must read.
#[derive(Debug)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// How its notifier is made.
    pub kind: Kind,
    /// The files of [`SETTINGS`].
    pub files: Vec<Open>,
    /// The files of [`READ_ONLY`].
    pub read_only: Vec<Open>,
    /// The files of [`Order`].
    pub orders: Vec<Open>,
    /// What `read_begin` has shown; 0 where it shows nothing.
    pub seq: u64,
    /// What `files` must read, without newlines.
    pub values: Vec<String>,
}

impl Subject {
    /// Opens the files of the target `name`, which nobody has written to.
    pub fn open(name: &str, kind: Kind) -> Result<Self> {
        let open = |file: &str| Open::new(&format!("targets/{name}/{file}"));
        let mut subject = Subject {
            name: name.into(),
            kind,
            files: SETTINGS
                .iter()
                .map(|one| open(one.path))
                .collect::<Result<_>>()?,
            read_only: READ_ONLY.into_iter().map(open).collect::<Result<_>>()?,
            orders: Order::ALL
                .into_iter()
                .map(|order| open(order.path()))
                .collect::<Result<_>>()?,
            seq: 0,
            values: setting::defaults(),
        };
        if is_interval(kind) {
            let text = subject.read_only[READ_BEGIN].line()?;
            subject.seq = text
                .strip_prefix("seq=")
                .and_then(|number| number.trim_end().parse().ok())
                .with_context(|| format!("targets/{name}/read_begin reads {text:?}"))?;
        }
        Ok(subject)
    }

    /// What is wrong with `read_begin`: nobody invalidates the range of a subject.
    fn check_begin(&self) -> Option<String> {
        let file = &self.read_only[READ_BEGIN];
        let seen = file.try_line();
        let right = match &seen {
            Ok(text) => is_interval(self.kind) && *text == format!("seq={}\n", self.seq),
            Err(error) => !is_interval(self.kind) && finding::errno_of(error) == Errno::EOPNOTSUPP,
        };
        (!right).then(|| format!("{}: read {seen:?}", file.name))
    }

    /// What is wrong with `settings`.
    pub fn check_settings(&self) -> Result<Option<String>> {
        let due = setting::settings_line(&self.values);
        let seen = self.read_only[READ_ONLY.len() - 1].line()?;
        Ok((seen != due).then(|| {
            format!(
                "targets/{}/settings: expected {due:?}, read {seen:?}",
                self.name
            )
        }))
    }

    /// What is wrong with what the file of that number reads.
    pub fn check_file(&self, index: usize) -> Result<Option<String>> {
        let due = format!("{}\n", self.values[index]);
        let seen = self.files[index].line()?;
        Ok((seen != due).then(|| {
            format!(
                "{}: expected {due:?}, read {seen:?}",
                self.files[index].name
            )
        }))
    }

    /// What is wrong with any file that can be written.
    pub fn check_all(&self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for index in 0..self.files.len() {
            wrong.extend(self.check_file(index)?);
        }
        wrong.extend(self.check_begin());
        wrong.extend(self.check_settings()?);
        Ok(wrong)
    }

    /// Takes what the files read for right, so that one deviation is found once.
    pub fn resync(&mut self) -> Result<()> {
        for (value, file) in self.values.iter_mut().zip(&self.files) {
            *value = file.line()?.trim_end_matches('\n').to_owned();
        }
        Ok(())
    }
}
