// SPDX-License-Identifier: GPL-2.0

//! Recording of a run: everything that its boots sent, from which the oracle makes the report.
//!
//! The host builds it while the run goes on, and writes the same [`Event`]s to `results.jsonl`.
//! `mn-inject judge` builds it again from that file.

use serde::Deserialize;

use crate::model::boot::Boot;
use crate::model::coverage::Site;
use crate::model::events::{Event, RunEvent};
use crate::model::options::Part;
use crate::model::report::{EARLIEST, SCHEMA, VmInfo};

/// Recording of a whole run, as far as its lines are known.
///
/// Without [`Recording::millis`], or with a boot that is not whole, the recording was cut short: the
/// oracle gives such a run no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The plan of the run, from the first line.
    pub run: RunEvent,
    /// The boots, in the order of [`RunEvent::parts`], each from its own lines.
    pub boots: Vec<Boot>,
    /// The virtual machine, from the last line; absent on real hardware, and until that line.
    pub vm: Option<VmInfo>,
    /// Duration of the run in milliseconds, from the last line; absent until then. On the host's
    /// clock: under TCG the guest's is virtual.
    pub millis: Option<u64>,
    /// The functions of the kernel that call notifiers, from the last line; empty until then, and
    /// where its code is not known.
    pub sites: Vec<Site>,
}

impl Recording {
    /// Creates a recording in which nothing has happened yet.
    pub fn new(run: RunEvent) -> Self {
        Recording {
            boots: run.parts.iter().cloned().map(Boot::new).collect(),
            run,
            vm: None,
            millis: None,
            sites: Vec::new(),
        }
    }

    /// Reads the contents of `results.jsonl`.
    ///
    /// A last line without a newline was being written when the run was killed. It is left out, so
    /// the recording is cut short.
    ///
    /// # Errors
    ///
    /// The file is no recording, has another version of the format, or was changed after the run.
    /// The sentence begins with the number of the line, from 1, and says what to do.
    pub fn read(file: &[u8]) -> Result<Self, String> {
        let mut lines = (1..).zip(file.split_inclusive(|byte| *byte == b'\n'));
        let Some((_, first)) = lines.next() else {
            return Err(format!("the file is empty; {WRITTEN_BY}"));
        };
        let mut recording = Recording::new(first_line(first)?);
        for (number, line) in lines.filter(|(_, line)| line.ends_with(b"\n")) {
            let event = serde_json::from_slice(line).map_err(|error| {
                let (at, why) = explained(&error);
                format!("line {number}, {at}: {why}; {CHANGED}")
            })?;
            recording
                .take(event)
                .map_err(|why| format!("line {number}: {why}; {CHANGED}"))?;
        }
        Ok(recording)
    }

    /// Adds the next event.
    ///
    /// # Errors
    ///
    /// The event cannot follow on those before it; the sentence says why. It is not added, and
    /// everything that was added before stays.
    pub fn take(&mut self, event: Event) -> Result<(), String> {
        if self.millis.is_some() {
            return Err("the run goes on after its end".to_owned());
        }
        match event {
            Event::Run(_) => Err("the run begins twice".to_owned()),
            Event::Boot { part, sent } => self.boot(&part)?.take(sent),
            Event::Lost { part, reasons, .. } => {
                self.boot(&part)?.lost.extend(reasons);
                Ok(())
            }
            Event::Host { vm, millis, sites } => {
                self.vm = vm;
                self.millis = Some(millis);
                self.sites = sites;
                Ok(())
            }
        }
    }

    fn boot(&mut self, part: &Part) -> Result<&mut Boot, String> {
        self.boots
            .iter_mut()
            .find(|boot| boot.part == *part)
            .ok_or_else(|| format!("the run has no boot \"{}\"", part.name()))
    }
}

/// Advice for a file that is no recording.
const WRITTEN_BY: &str = "name a results.jsonl, which `run --output` and `vm run` write";

/// Advice for a line that no run writes.
const CHANGED: &str = "the file was damaged, or edited after the run: run the scenarios again";

/// Parses the first line, whose version must be one that this program reads.
fn first_line(line: &[u8]) -> Result<RunEvent, String> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: Option<u32>,
        tool: Option<String>,
    }
    let Versioned { schema, tool } = serde_json::from_slice(line).map_err(|error| {
        let (at, why) = explained(&error);
        format!("line 1, {at}: this is no results.jsonl of mn-inject ({why}); {WRITTEN_BY}")
    })?;
    match schema {
        None => Err(format!(
            "line 1: this is no results.jsonl of mn-inject, or one from before version 7 of the \
             format: it has no \"schema\", and this mn-inject reads versions {EARLIEST} to {SCHEMA}; \
             {WRITTEN_BY}"
        )),
        Some(EARLIEST..=SCHEMA) => match serde_json::from_slice(line) {
            Ok(Event::Run(run)) => Ok(run),
            Ok(_) => Err(format!("line 1: the run does not begin there; {CHANGED}")),
            Err(error) => {
                let (at, why) = explained(&error);
                Err(format!("line 1, {at}: {why}; {CHANGED}"))
            }
        },
        Some(other) => Err(format!(
            "line 1: the file has version {other} of the format, and this mn-inject reads versions \
             {EARLIEST} to {SCHEMA}; judge it with {}, which wrote it, or run the scenarios again",
            tool.unwrap_or_else(|| "the mn-inject".to_owned())
        )),
    }
}

/// Place in the line and reason of an error of the JSON parser, which sees one line at a time and
/// so has no use for its number.
fn explained(error: &serde_json::Error) -> (String, String) {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let why = text.strip_suffix(&format!(" at line {line} column {column}"));
    (format!("column {column}"), why.unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::boot::tests::{begin, whole};

    fn run(parts: &[Part]) -> RunEvent {
        RunEvent {
            schema: SCHEMA,
            tool: "test".to_owned(),
            expect: None,
            scenarios: vec!["a".to_owned()],
            parts: parts.to_vec(),
        }
    }

    fn file(events: &[Event]) -> String {
        let line = |event| serde_json::to_string(event).unwrap() + "\n";
        events.iter().map(line).collect()
    }

    fn events() -> Vec<Event> {
        let part = Part::Spoiled;
        let boot = |sent| Event::Boot {
            part: part.clone(),
            sent,
        };
        let mut events = vec![Event::Run(run(&[Part::Together, part.clone()]))];
        events.extend(whole().into_iter().map(boot));
        events.push(Event::Lost {
            part: Part::Together,
            reasons: vec!["the guest hung".to_owned()],
            unreadable: None,
        });
        events.push(Event::Host {
            vm: None,
            millis: 7,
            sites: Vec::new(),
        });
        events
    }

    fn error(file: &[u8]) -> String {
        Recording::read(file).unwrap_err()
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let recording = Recording::read(file(&events()).as_bytes()).unwrap();
        assert_eq!(recording.millis, Some(7));
        assert_eq!(recording.boots[0].lost, ["the guest hung"]);
        assert!(recording.boots[1].is_whole);
    }

    #[test]
    fn a_file_that_is_cut_short_has_all_whole_lines() {
        let text = file(&events());
        let cut = &text[..text.len() - 3];
        let recording = Recording::read(cut.as_bytes()).unwrap();
        assert_eq!(recording.millis, None);
        assert!(recording.boots[1].is_whole);
    }

    #[test]
    fn a_cut_at_any_byte_is_no_error_after_the_first_line() {
        let text = file(&events());
        let first = text.find('\n').unwrap();
        for length in first..text.len() {
            let recording = Recording::read(&text.as_bytes()[..length]).unwrap();
            assert_eq!(recording.millis, None, "{length}");
        }
        for length in 0..first {
            error(&text.as_bytes()[..length]);
        }
    }

    #[test]
    fn another_file_is_an_error_with_advice() {
        let empty = error(b"");
        assert!(empty.starts_with("the file is empty; name a"), "{empty}");
        for (text, why) in [
            (
                "[   12.3] printk\n",
                "line 1, column 8: this is no results.jsonl",
            ),
            ("{\n", "line 1, column 0: this is no results.jsonl"),
            ("{\"progress\":\"begin\"}\n", "before version 7"),
        ] {
            let wrong = error(text.as_bytes());
            assert!(wrong.contains(why), "{wrong}");
            assert!(wrong.contains("`run --output`"), "{wrong}");
        }
    }

    #[test]
    fn another_version_is_an_error_that_names_its_writer() {
        let of_version = |version: u32| {
            let (own, other) = (
                format!("\"schema\":{SCHEMA}"),
                format!("\"schema\":{version}"),
            );
            file(&events()).replacen(&own, &other, 1)
        };
        for version in [EARLIEST - 1, SCHEMA + 1] {
            let wrong = error(of_version(version).as_bytes());
            assert!(wrong.contains("reads versions"), "{wrong}");
            assert!(
                wrong.contains("judge it with test, which wrote it"),
                "{wrong}"
            );
        }
        for version in EARLIEST..=SCHEMA {
            let read = Recording::read(of_version(version).as_bytes());
            assert!(read.is_ok(), "{version}: {read:?}");
        }
    }

    #[test]
    fn a_changed_line_is_an_error_with_its_number() {
        let text = file(&events());
        for (from, to, why) in [
            ("\"deadline_ms\":1", "\"deadline\":1", "line 3, column "),
            (
                "\"reasons\":[\"the",
                "\"reasons\":[\"\\ud800",
                "line 7, column ",
            ),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let wrong = error(changed.as_bytes());
            assert!(
                wrong.starts_with(why) && wrong.ends_with(CHANGED),
                "{wrong}"
            );
            assert!(!wrong.contains("at line 1"), "{wrong}");
        }
        // No byte is replaced by another on the way.
        let mut bytes = text.into_bytes();
        let at = bytes.windows(4).position(|part| part == b"hung").unwrap();
        bytes[at] = 0xff;
        let wrong = error(&bytes);
        assert!(wrong.starts_with("line 7, column "), "{wrong}");
    }

    #[test]
    fn a_line_in_the_wrong_place_is_an_error_with_its_number() {
        let mut twice = events();
        twice.insert(1, twice[0].clone());
        let wrong = error(file(&twice).as_bytes());
        assert_eq!(wrong, format!("line 2: the run begins twice; {CHANGED}"));

        let mut unplanned = events();
        unplanned[1] = Event::Boot {
            part: Part::Alone("b".to_owned()),
            sent: begin(),
        };
        let wrong = error(file(&unplanned).as_bytes());
        assert!(
            wrong.contains("line 2: the run has no boot \"b\""),
            "{wrong}"
        );

        let mut late = events();
        late.remove(0);
        let wrong = error(file(&late).as_bytes());
        assert!(wrong.starts_with("line 1: "), "{wrong}");

        let mut more = events();
        more.push(more[2].clone());
        let wrong = error(file(&more).as_bytes());
        assert!(
            wrong.starts_with("line 9: the run goes on after its end"),
            "{wrong}"
        );
    }
}
