// SPDX-License-Identifier: GPL-2.0

//! Picks the messages that are about our callback and our victims out of a window's records.

use std::collections::{HashMap, HashSet};

use crate::kmsg::Record;
use crate::model::{KernelMessage, Window};

use crate::oracle::lines;
use crate::oracle::lines::{Line, Symbol, WarnHeader};
use crate::oracle::message::{Callback, Caller, Message, What};

/// A message with the record it was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) message: Message<'a>,
    pub(super) record: &'a Record,
    /// Whether the symbol could be ours gone wrong.
    pub(super) is_near: bool,
}

/// What the kernel's lines tell about themselves; the same for all lines of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Whether each line names the task that printed it.
    pub(super) callers: bool,
    /// Whether WARN headers name the comm.
    pub(super) comms: bool,
}

/// A window's records, sorted out.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    /// About our callback and our victims, in the log's order.
    pub(super) ours: Vec<Seen<'a>>,
    /// The same messages about the callbacks of others.
    pub(super) foreign: Vec<Seen<'a>>,
    /// Headers of WARNs, whoever's.
    pub(super) warn_headers: u64,
    pub(super) told: Told,
}

impl<'a> Scan<'a> {
    pub(super) fn of(window: &'a Window) -> Self {
        let lines: Vec<(Line<'a>, &'a Record)> = window
            .records
            .iter()
            .enumerate()
            .map(|(at, record)| (line_of(&window.records, at), record))
            .filter(|(line, _)| *line != Line::Noise)
            .collect();
        let told = Told {
            callers: lines.iter().all(|(_, record)| record.caller.is_some()),
            comms: lines.iter().all(|(line, _)| match line {
                Line::Warn(header) => header.comm.is_some(),
                _ => true,
            }),
        };
        let mut sorter = Sorter {
            told,
            victims: window.observations.iter().map(|o| o.pid).collect(),
            tasks: tasks(window),
            judges_symptoms: judges_symptoms(window),
            said_before: HashSet::new(),
            last_info: HashMap::new(),
        };
        let mut scan = Scan {
            ours: Vec::new(),
            foreign: Vec::new(),
            warn_headers: 0,
            told,
        };
        for (line, record) in lines {
            scan.warn_headers += u64::from(matches!(line, Line::Warn(_)));
            let task = told.callers.then(|| Caller::of(record)).flatten();
            let is_near = match line {
                Line::Info { symbol, .. } | Line::PrWarn { symbol } => symbol.is_near_ours(),
                _ => false,
            };
            if let Some((is_ours, what)) = sorter.sort(line, task) {
                let seen = Seen {
                    message: Message {
                        what,
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

/// What the record at that index says, with what follows on it.
fn line_of(records: &[Record], at: usize) -> Line<'_> {
    let record = &records[at];
    match Line::of(record) {
        Line::Symptom(symptom) if symptom.is_of_lockdep() => {
            // Others may write in between.
            let report = records[at..].iter();
            let report = report.filter(|other| other.is_kernel() && other.caller == record.caller);
            Line::Symptom(lines::lockdep(report.map(|record| record.text.as_str())))
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

/// Whether a scenario of the window is about what the kernel finds wrong with itself.
pub(super) fn judges_symptoms(window: &Window) -> bool {
    let mut observations = window.observations.iter();
    observations.any(|o| o.expectation.judges_symptoms)
}

/// The last info line of a task: the WARN after it is about the same callback.
struct LastInfo<'a> {
    is_ours: bool,
    /// Where WARNs after it came from; a second one from the same place is not its own.
    sites: Vec<&'a str>,
}

struct Sorter<'a> {
    told: Told,
    victims: HashSet<i32>,
    tasks: HashSet<i32>,
    judges_symptoms: bool,
    /// What tasks have been told that they may be told many times.
    said_before: HashSet<(Option<Caller>, KernelMessage)>,
    last_info: HashMap<Option<Caller>, LastInfo<'a>>,
}

impl<'a> Sorter<'a> {
    /// Whether the line is ours, and what it says; nothing where it is of no interest.
    fn sort(&mut self, line: Line<'a>, task: Option<Caller>) -> Option<(bool, What<'a>)> {
        let callback = |symbol: &Symbol<'_>| Callback {
            is_paired: symbol.is_paired(),
            is_start: symbol.is_start(),
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
                    What::Info {
                        errno,
                        context,
                        symbol: callback(&symbol),
                    },
                )
            }
            Line::PrWarn { symbol } => (
                symbol.is_ours(),
                What::PrWarn {
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
                (true, What::Reaper { word, pid, comm })
            }
            Line::Malformed { about_ours } => (about_ours, What::Malformed),
            Line::Noise => return None,
        })
    }

    /// Only where a scenario is about them, and of our tasks: elsewhere they are trouble.
    fn symptom(
        &mut self,
        symptom: KernelMessage,
        task: Option<Caller>,
    ) -> Option<(bool, What<'a>)> {
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
        let is_new = self.said_before.insert((task, symptom));
        (is_new || !comes_often).then_some((true, What::Symptom(symptom)))
    }

    fn warn(&self, header: &WarnHeader<'a>) -> What<'a> {
        What::Warn {
            site: header.site(),
            pid: header.pid,
            comm: header.comm.filter(|_| self.told.comms),
        }
    }

    /// A WARN does not name the callback: the info line before it does, and the task.
    fn is_our_warn(&mut self, header: &WarnHeader<'a>, task: Option<Caller>) -> bool {
        let of_our_task = self.tasks.contains(&header.pid);
        // Without callers, an info line of someone else's task can stand in between.
        if !self.told.callers && of_our_task {
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
