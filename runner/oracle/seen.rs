// SPDX-License-Identifier: GPL-2.0

//! Picks the messages about the module's callbacks and about the victims out of a window's records.

use std::collections::{HashMap, HashSet};

use crate::kmsg::Record;
use crate::model::{KernelMessage, Window};
use crate::oracle::lines::Line;
use crate::oracle::lockdep;
use crate::oracle::message::{CallbackSymbol, Caller, Content, Message};
use crate::oracle::symbol::Symbol;
use crate::oracle::warn::WarnHeader;

/// A message with the record that it was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) message: Message<'a>,
    pub(super) record: &'a Record,
    /// Whether the symbol can be an altered one of a callback of the module.
    pub(super) is_near: bool,
}

/// Optional parts of the kernel's lines; the same for all lines of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineFormat {
    /// Whether each line names the task that printed it: `CONFIG_PRINTK_CALLER`.
    pub(super) callers: bool,
    /// Whether the headers of WARNs have the comm.
    pub(super) comms: bool,
}

/// The messages of a window.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    /// Messages about the module's callbacks and about the victims, in the log's order.
    pub(super) ours: Vec<Seen<'a>>,
    /// Messages about callbacks of other drivers, in the log's order.
    pub(super) foreign: Vec<Seen<'a>>,
    /// Number of WARNs in the log, those of unrelated code included.
    pub(super) warn_headers: u64,
    pub(super) format: LineFormat,
}

impl<'a> Scan<'a> {
    /// Classifies the records of a window.
    pub(super) fn of(window: &'a Window) -> Self {
        let lines: Vec<(Line<'a>, &'a Record)> = window
            .records
            .iter()
            .enumerate()
            .map(|(at, record)| (line_of(&window.records, at), record))
            .filter(|(line, _)| *line != Line::Noise)
            .collect();
        let format = LineFormat {
            callers: lines.iter().all(|(_, record)| record.caller.is_some()),
            comms: lines.iter().all(|(line, _)| match line {
                Line::Warn(header) => header.comm.is_some(),
                _ => true,
            }),
        };
        let mut classifier = Classifier {
            format,
            victims: window.observations.iter().map(|o| o.pid).collect(),
            tasks: tasks(window),
            judges_symptoms: judges_symptoms(window),
            reported: HashSet::new(),
            last_info: HashMap::new(),
        };
        let mut scan = Scan {
            ours: Vec::new(),
            foreign: Vec::new(),
            warn_headers: 0,
            format,
        };
        for (line, record) in lines {
            scan.warn_headers += u64::from(matches!(line, Line::Warn(_)));
            let task = format.callers.then(|| Caller::of(record)).flatten();
            let is_near = match line {
                Line::Info { symbol, .. } | Line::PrWarn { symbol } => symbol.is_near_ours(),
                _ => false,
            };
            if let Some((is_ours, content)) = classifier.classify(line, task) {
                let seen = Seen {
                    message: Message {
                        content,
                        level: record.level,
                        task,
                    },
                    record,
                    is_near,
                };
                if is_ours {
                    scan.ours.push(seen);
                } else {
                    scan.foreign.push(seen);
                }
            }
        }
        scan
    }
}

/// The line in the record at that index, with the lock that a report of lockdep is about.
fn line_of(records: &[Record], at: usize) -> Line<'_> {
    let record = &records[at];
    match Line::of(record) {
        Line::Symptom(symptom) if symptom.is_of_lockdep() => {
            // Lines of other tasks can stand in between.
            let report = records[at..].iter();
            let report = report.filter(|other| other.is_kernel() && other.caller == record.caller);
            Line::Symptom(lockdep::report(report.map(|record| record.text.as_str())))
        }
        line => line,
    }
}

/// The threads that act in a window.
fn tasks(window: &Window) -> HashSet<i32> {
    let mut tasks = HashSet::new();
    for o in &window.observations {
        tasks.extend(o.calls.iter().map(|call| call.tid));
        tasks.extend(&o.actors);
        tasks.insert(o.pid);
    }
    tasks
}

/// Whether a scenario of the window is about the kernel's general debugging checks.
pub(super) fn judges_symptoms(window: &Window) -> bool {
    let mut observations = window.observations.iter();
    observations.any(|o| o.expectation.judges_symptoms)
}

/// The last info line of a task: the WARN after it is about the same callback.
struct LastInfo<'a> {
    is_ours: bool,
    /// Places of the WARNs after it; a second WARN of the same place is about another callback.
    sites: Vec<&'a str>,
}

/// State of the classification, line by line.
struct Classifier<'a> {
    format: LineFormat,
    victims: HashSet<i32>,
    tasks: HashSet<i32>,
    judges_symptoms: bool,
    /// Messages that were seen in a task. Those that can come any number of times count once.
    reported: HashSet<(Option<Caller>, KernelMessage)>,
    last_info: HashMap<Option<Caller>, LastInfo<'a>>,
}

impl<'a> Classifier<'a> {
    /// Whether the line is about the module's callbacks or victims, and its content; [`None`] for
    /// a line that does not matter.
    fn classify(&mut self, line: Line<'a>, task: Option<Caller>) -> Option<(bool, Content<'a>)> {
        let callback = |symbol: &Symbol<'_>| CallbackSymbol {
            is_paired: symbol.is_paired(),
            is_at_start: symbol.is_at_start(),
        };
        Some(match line {
            Line::Info {
                symbol,
                errno,
                context,
            } => {
                let is_ours = symbol.is_ours();
                let sites = Vec::new();
                self.last_info.insert(task, LastInfo { is_ours, sites });
                (
                    is_ours,
                    Content::Info {
                        errno,
                        context,
                        symbol: callback(&symbol),
                    },
                )
            }
            Line::PrWarn { symbol } => (
                symbol.is_ours(),
                Content::PrWarn {
                    symbol: callback(&symbol),
                },
            ),
            Line::Symptom(symptom) => return self.symptom(symptom, task),
            Line::Warn(header) => {
                if self.judges_symptoms
                    && let Some(symptom) = header.symptom()
                {
                    return self.symptom(symptom, task);
                }
                if !header.is_of_notifiers() {
                    return None;
                }
                (self.is_our_warn(&header, task), self.warn(&header))
            }
            Line::Reaper { word, pid, comm } => {
                if !self.victims.contains(&pid) {
                    return None;
                }
                (true, Content::Reaper { word, pid, comm })
            }
            Line::Malformed { about_ours } => (about_ours, Content::Malformed),
            Line::Noise => return None,
        })
    }

    /// Message of a general debugging check. It counts where a scenario is about such checks and if
    /// it comes from a task of the window; any other one is trouble of the run.
    fn symptom(
        &mut self,
        symptom: KernelMessage,
        task: Option<Caller>,
    ) -> Option<(bool, Content<'a>)> {
        let is_ours = match task {
            Some(Caller::Task(tid)) => self.tasks.contains(&tid),
            Some(Caller::Other(_)) => false,
            None => true,
        };
        if !(self.judges_symptoms && is_ours) {
            return None;
        }
        let comes_often = matches!(
            symptom,
            KernelMessage::LockWarn | KernelMessage::AtomicSleep
        );
        let is_new = self.reported.insert((task, symptom));
        (is_new || !comes_often).then_some((true, Content::Symptom(symptom)))
    }

    fn warn(&self, header: &WarnHeader<'a>) -> Content<'a> {
        Content::Warn {
            site: header.site(),
            pid: header.pid,
            comm: header.comm.filter(|_| self.format.comms),
        }
    }

    /// Whether a WARN is about a callback of the module. Its header does not name the callback: the
    /// info line before it does, and otherwise the task decides.
    fn is_our_warn(&mut self, header: &WarnHeader<'a>, task: Option<Caller>) -> bool {
        let of_our_task = self.tasks.contains(&header.pid);
        // Without callers, an info line of another task can stand in between.
        if !self.format.callers && of_our_task {
            return true;
        }
        match self.last_info.get_mut(&task) {
            Some(info) if info.is_ours => true,
            Some(info) if !info.sites.contains(&header.site()) => {
                info.sites.push(header.site());
                false
            }
            _ => of_our_task,
        }
    }
}
