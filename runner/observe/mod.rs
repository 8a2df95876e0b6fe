// SPDX-License-Identifier: GPL-2.0

//! Carries out scenarios between two markers in the kernel's log, and records what is seen.
//!
//! A [`setup`] is a process with its notifiers; [`steps`] are what some scenarios do to it;
//! [`removal`] takes it down, and looks whether anything is left.

pub mod aftermath;
pub mod kmemleak;
pub mod kunit;
pub mod preflight;
mod removal;
mod setup;
mod steps;
pub mod watch;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;

use crate::injector;
use crate::injector::Connection;
use crate::kmsg::{KmsgReader, Record};
use crate::model::{Initiator, Observation, Remains, Window};
use crate::os::cgroup;
use crate::os::kernel;
use crate::os::wait::{Limit, WaitError, Waiter};
use crate::scenario::{Scenario, TriggerKind};
use crate::trigger::helper::Helper;

use setup::Setup;

/// The longest that one step of a scenario may take. Under TCG a second of the guest's is less than
/// one of the host's where it is busy.
const STEP: Duration = Duration::from_secs(20);

/// The longest that the OOM reaper may take: its delay of 2 s, and 1 s for each victim that it
/// cannot reap, with room for a slow machine.
const REAPER: Duration = Duration::from_secs(30);

/// How long a signal may go unnoticed.
const SLICE: Duration = Duration::from_millis(200);

/// First part of the names of our cgroups; the runner's pid follows.
pub const CGROUP_PREFIX: &str = "mn-inject.";

/// Addresses where nothing is ever mapped, for a filter that lets nothing through.
const NOWHERE: (u64, u64) = (0x1000, 0x2000);

/// Why a window has no full record.
pub enum WindowError {
    /// The scenarios could not be carried out; the window says why, the session can go on.
    Scenario(Box<Window>),
    /// Nothing more can be done.
    Session(anyhow::Error),
}

/// The counts that must not be moved by anybody but the scenarios of a window.
#[derive(Clone, Copy)]
struct Witnesses {
    warns: Option<u64>,
    entries: u64,
}

impl Witnesses {
    fn read() -> Result<Self> {
        Ok(Witnesses {
            warns: kernel::warn_count(),
            entries: injector::total_entries()?,
        })
    }
}

/// A run's hold on the machine.
pub struct Session {
    kmsg: KmsgReader,
    module: Connection,
    waiter: Waiter,
    /// Does what may wait for ever.
    helper: Helper,
    cgroups: usize,
}

impl Session {
    /// Takes hold of the kernel's log and of the module, and removes what an earlier run left
    /// because it was killed.
    pub fn open() -> Result<Self> {
        let waiter = Waiter::new().context("cannot block signals")?;
        let module = Connection::open()?;
        module.claim()?;
        cgroup::remove_stale(CGROUP_PREFIX)?;
        let mut session = Session {
            kmsg: KmsgReader::open_at_end().context("cannot open /dev/kmsg")?,
            module,
            waiter,
            helper: Helper::start()?,
            cgroups: 0,
        };
        for name in injector::stale()? {
            // One that nobody can detach was left by a scenario that says so.
            session.detach(&name)?;
        }
        Ok(session)
    }

    /// Ends the session. Fails if a signal came that nobody has seen yet.
    pub fn close(self) -> Result<()> {
        Ok(self.waiter.check()?)
    }

    /// Carries out `group` between two markers.
    pub fn window(&mut self, group: &[Scenario]) -> Result<Window, WindowError> {
        let begin = Instant::now();
        match self.try_window(group) {
            Ok(window) => Ok(window),
            Err(error) if is_interrupt(&error) => Err(WindowError::Session(error)),
            Err(error) => Err(WindowError::Scenario(Box::new(no_window(
                group,
                &format!("{error:#}"),
                begin,
            )))),
        }
    }

    fn try_window(&mut self, group: &[Scenario]) -> Result<Window> {
        let mut subjects = Vec::with_capacity(group.len());
        for &scenario in group {
            let subject = self
                .subject(scenario)
                .with_context(|| format!("cannot set up {}", scenario.name()))?;
            subjects.push(subject);
        }

        let label = group.first().map(Scenario::name).unwrap_or_default();
        self.kmsg
            .skip_to_end()
            .context("cannot seek in /dev/kmsg")?;
        let begin = self.kmsg.mark(&format!("begin {label}"))?;
        let (drained, _) = self
            .kmsg
            .read_to(|record| begin.is(record), &mut Limit::new(STEP));
        if !drained.last().is_some_and(|record| begin.is(record)) {
            bail!("the begin marker is not in /dev/kmsg");
        }
        let before = Witnesses::read()?;

        let acted = self.act(&mut subjects);
        // Whatever has happened, nothing fails any more from here on.
        let disarmed: Result<()> = subjects.iter().try_for_each(Setup::disarm);

        let end = self.kmsg.mark(&format!("end {label}"))?;
        let (records, lost) = self.kmsg.read_until(&end, &mut Limit::new(STEP));
        let after = Witnesses::read()?;
        acted?;
        disarmed?;

        // Read before anything is removed: a release is logged, too.
        let mut observations = Vec::with_capacity(subjects.len());
        for subject in &mut subjects {
            observations.push(subject.observation()?);
        }
        for (subject, observation) in subjects.into_iter().zip(&mut observations) {
            self.take_down(subject, observation)
                .with_context(|| format!("cannot take down {}", observation.scenario))?;
        }
        Ok(Window {
            observations,
            records,
            lost,
            warn_count: before.warns.zip(after.warns),
            total_entries: (before.entries, after.entries),
        })
    }

    /// Makes happen what the scenarios are about.
    fn act(&mut self, subjects: &mut [Setup]) -> Result<()> {
        // Its own reader: it must see the reaper's last words, not take them from the window's.
        // Opened before anybody dies, so that it cannot be late.
        let mut reaper = None;
        if subjects
            .iter()
            .any(|subject| subject.scenario.trigger.kind.is_oom())
        {
            reaper = Some(KmsgReader::open_at_end().context("cannot open /dev/kmsg")?);
        }
        let mut victims = Vec::new();
        for subject in subjects.iter_mut() {
            let pid = subject.target.pid();
            match subject.scenario.trigger.kind {
                TriggerKind::Own(_) => subject.outcome = subject.target.act(&self.waiter, STEP)?,
                TriggerKind::Mrelease => subject.outcome = self.mrelease(subject)?,
                TriggerKind::MemcgOom => {
                    subject.target.act_and_die()?;
                    subject.target.wait_held(&self.waiter, STEP)?;
                    victims.push(pid);
                }
                TriggerKind::GlobalOom => {
                    // The OOM killer takes the worst, and this is as bad as can be.
                    set_oom_score_adj(pid, 1000)?;
                    fs::write("/proc/sysrq-trigger", "f").context("f > /proc/sysrq-trigger")?;
                    subject.target.wait_held(&self.waiter, STEP)?;
                    // The held victim would be the worst again.
                    set_oom_score_adj(pid, -1000)?;
                    victims.push(pid);
                }
                TriggerKind::Zap { is_atomic } => subject.zap(is_atomic)?,
                TriggerKind::Procedure(procedure) => self.carry_out(procedure, subject)?,
            }
        }
        match reaper {
            Some(reaper) => self.reaped(victims, reaper),
            None => Ok(()),
        }
    }

    /// Lets the process be reaped. Returns 0 or a negative errno.
    fn mrelease(&self, subject: &mut Setup) -> Result<i32> {
        subject.begin_mrelease()?;
        subject.end_mrelease(&self.waiter)
    }

    /// Waits until the OOM reaper is done with all victims.
    fn reaped(&self, mut left: Vec<Pid>, mut reaper: KmsgReader) -> Result<()> {
        let mut limit = Limit::new(REAPER);
        while !left.is_empty() {
            if limit.is_over() {
                bail!("the OOM reaper said nothing about {left:?} within {REAPER:?}");
            }
            // In slices, for a signal to be seen in between.
            reaper.read_to(
                |record| {
                    left.retain(|&pid| !is_last_word(record, pid));
                    left.is_empty()
                },
                &mut Limit::new(SLICE),
            );
            self.waiter.check()?;
        }
        Ok(())
    }
}

fn set_oom_score_adj(pid: Pid, value: i32) -> Result<()> {
    let path = format!("/proc/{pid}/oom_score_adj");
    fs::write(&path, value.to_string()).with_context(|| format!("{value} > {path} failed"))
}

/// Whether the record is what the OOM reaper says when it is done with that victim.
fn is_last_word(record: &Record, pid: Pid) -> bool {
    record.is_kernel()
        && [
            format!("oom_reaper: reaped process {pid} ("),
            format!("oom_reaper: unable to reap pid:{pid} ("),
        ]
        .iter()
        .any(|start| record.text.starts_with(start))
}

fn is_interrupt(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| matches!(cause.downcast_ref(), Some(WaitError::Interrupted(_))))
}

/// A window in which nothing was seen, for scenarios that could not be carried out.
fn no_window(group: &[Scenario], why: &str, begin: Instant) -> Window {
    let observation = |scenario: &Scenario| Observation {
        scenario: scenario.name(),
        notifiers: Vec::new(),
        expectation: scenario.expectation(),
        pid: 0,
        comm: String::new(),
        initiator: Initiator::Thread(0),
        watched: NOWHERE,
        calls: Vec::new(),
        later: Vec::new(),
        pages: None,
        steps: Vec::new(),
        remains: Remains::default(),
        actors: Vec::new(),
        outcome: 0,
        trouble: Some(why.to_owned()),
        millis: begin.elapsed().as_millis() as u64,
    };
    Window {
        observations: group.iter().map(observation).collect(),
        records: Vec::new(),
        lost: None,
        warn_count: None,
        total_entries: (0, 0),
    }
}
