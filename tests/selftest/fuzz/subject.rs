// SPDX-License-Identifier: GPL-2.0

//! A target whose settings are written: its files and their expected contents.

use anyhow::{Context as _, Result};

use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::fuzz::kind::{Kind, is_interval};
use crate::fuzz::order::Order;
use crate::fuzz::setting;
use crate::fuzz::setting::SETTINGS;

/// The read-only files of a target: its identity, its records, and its address space.
pub const READ_ONLY: [&str; 6] = ["pid", "kind", "state", "counters", "log", "mm"];

/// A target and the expected contents of its files.
#[derive(Debug)]
pub struct Target {
    /// Name of the target.
    pub name: String,
    /// Kind of its notifier.
    pub kind: Kind,
    /// Files of [`SETTINGS`]; [`None`] for those that a module without `breach=1` does not have.
    pub files: Vec<Option<Open>>,
    /// The file for the errors of all events.
    pub error: Open,
    /// The file with all settings.
    pub settings: Open,
    /// Files of [`READ_ONLY`].
    pub read_only: Vec<Open>,
    /// Files of [`Order`].
    pub orders: Vec<Open>,
    /// Number that `read_begin` shows, which nothing changes, because nothing invalidates the range;
    /// 0 for a kind that has none.
    pub seq: u64,
    /// Expected contents of `files`, without newlines.
    pub values: Vec<String>,
}

impl Target {
    /// Opens the files of the new target `name`, to which nothing has been written.
    pub fn open(name: &str, kind: Kind) -> Result<Self> {
        let open = |file: &str| Open::new(&format!("targets/{name}/{file}"));
        let mut target = Target {
            name: name.into(),
            kind,
            files: SETTINGS
                .iter()
                .map(|one| one.has_file().then(|| open(one.path)).transpose())
                .collect::<Result<_>>()?,
            error: open("effect/error")?,
            settings: open("settings")?,
            read_only: READ_ONLY.into_iter().map(open).collect::<Result<_>>()?,
            orders: Order::ALL
                .into_iter()
                .map(|order| open(order.path()))
                .collect::<Result<_>>()?,
            seq: 0,
            values: setting::defaults(),
        };
        if is_interval(kind) {
            let begin = &target.orders[0];
            begin
                .write(b"begin", 0)
                .with_context(|| format!("\"begin\" > {} failed", begin.name))?;
            let text = begin.line()?;
            target.seq = text
                .strip_prefix("seq=")
                .and_then(|number| number.trim_end().parse().ok())
                .with_context(|| format!("{} reads {text:?}", begin.name))?;
        }
        Ok(target)
    }

    /// Checks what the file of that order reads. Returns the deviation, if any.
    pub fn check_order(&self, index: usize) -> Option<String> {
        let (file, seq) = (
            &self.orders[index],
            is_interval(self.kind).then_some(self.seq),
        );
        let due = Order::ALL[index].shows(seq).map(|line| line + "\n");
        let seen = file.try_line().map_err(|error| finding::errno_of(&error));
        (seen != due).then(|| format!("{}: expected {due:?}, read {seen:?}", file.name))
    }

    /// Checks `settings`. Returns the deviation, if any.
    pub fn check_settings(&self) -> Result<Option<String>> {
        let due = setting::settings_line(&self.values);
        let seen = self.settings.line()?;
        Ok((seen != due).then(|| {
            format!(
                "targets/{}/settings: expected {due:?}, read {seen:?}",
                self.name
            )
        }))
    }

    /// Checks the content of `files[index]`. Returns the deviation, if any.
    pub fn check_file(&self, index: usize) -> Result<Option<String>> {
        match &self.files[index] {
            Some(file) => check(file, &self.values[index]),
            None => Ok(None),
        }
    }

    /// Checks the file for the errors of all events. Returns the deviation, if any.
    pub fn check_error(&self) -> Result<Option<String>> {
        check(&self.error, setting::common_error(&self.values))
    }

    /// Checks all files that can be written, and `settings`. Returns the deviations.
    pub fn check_all(&self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for index in 0..self.files.len() {
            wrong.extend(self.check_file(index)?);
        }
        wrong.extend(self.check_error()?);
        wrong.extend((0..self.orders.len()).filter_map(|index| self.check_order(index)));
        wrong.extend(self.check_settings()?);
        Ok(wrong)
    }

    /// Adopts the files' actual contents as the expected ones, so that a deviation is reported once.
    pub fn resync(&mut self) -> Result<()> {
        for (value, file) in self.values.iter_mut().zip(&self.files) {
            if let Some(file) = file {
                *value = file.line()?.trim_end_matches('\n').to_owned();
            }
        }
        Ok(())
    }
}

/// Checks that a file has this text and a newline. Returns the deviation, if any.
fn check(file: &Open, text: &str) -> Result<Option<String>> {
    let due = format!("{text}\n");
    let seen = file.line()?;
    Ok((seen != due).then(|| format!("{}: expected {due:?}, read {seen:?}", file.name)))
}
