// SPDX-License-Identifier: GPL-2.0

//! Carries out scenarios between two markers in the kernel's log.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::injector;
use crate::kmsg::KmsgReader;
use crate::model::{Initiator, Observation, Remains, Window};
use crate::os::kernel;
use crate::os::khugepaged;
use crate::os::khugepaged::Khugepaged;
use crate::os::ksm;
use crate::os::ksm::Ksmd;
use crate::os::sys::PAGE;
use crate::os::wait::{Limit, WaitError};
use crate::scenario::{Scenario, TriggerKind};
use crate::trigger::operation::Operation;
use crate::trigger::pages;

use crate::observe::reaper::{REAPER, is_closing_line};
use crate::observe::session::{NOWHERE, POLL, STEP, Session};
use crate::observe::setup::Setup;
use crate::observe::steps::let_go::TOO_LATE;
use crate::observe::steps::pages::TOO_SHORT;

/// Interval at which signals are checked for.
const SLICE: Duration = Duration::from_millis(200);

/// How often a scenario is carried out in which the runner comes too late for what it is about: a
/// callback that must not sleep runs for a tenth of a second at most, the OOM reaper waits as long
/// before its last word, and a host may stand still for longer.
const ATTEMPTS: usize = 3;

/// Whether that has happened in the window. No notifier of these scenarios breaks a rule.
fn came_too_late(group: &[Scenario], window: &Window) -> bool {
    let is_late = |o: &Observation| matches!(o.trouble.as_deref(), Some(TOO_SHORT | TOO_LATE));
    group.iter().all(|scenario| !scenario.breaks()) && window.observations.iter().any(is_late)
}

/// The reason why a window has no full record.
pub enum WindowError {
    /// The scenarios could not be carried out, for the reason in the window. The session can go
    /// on.
    Scenario(Box<Window>),
    /// The session cannot go on.
    Session(anyhow::Error),
}

/// The counts that only the scenarios of a window may change.
#[derive(Clone, Copy, PartialEq, Eq)]
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

/// Repeats an act until no notifier is called meanwhile. A process that has said that it is ready or
/// done may still touch pages that it shares with a child, on another processor. Returns the counts.
fn while_quiet(when: &str, mut act: impl FnMut() -> Result<()>) -> Result<Witnesses> {
    let mut limit = Limit::new(STEP);
    loop {
        let counts = Witnesses::read()?;
        act()?;
        if counts == Witnesses::read()? {
            return Ok(counts);
        }
        if limit.is_over() {
            bail!("the notifiers are called all the time {when} the operation");
        }
    }
}

impl Session {
    /// Carries out `group` between two markers.
    ///
    /// # Errors
    ///
    /// The scenarios could not be carried out, or a signal to end the program has arrived.
    pub fn window(&mut self, group: &[Scenario]) -> Result<Window, WindowError> {
        let begin = Instant::now();
        let mut window = self.try_window(group);
        for _ in 1..ATTEMPTS {
            match &window {
                Ok(seen) if came_too_late(group, seen) => window = self.try_window(group),
                _ => break,
            }
        }
        match window {
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
        let mut setups = Vec::with_capacity(group.len());
        for &scenario in group {
            let setup = self
                .set_up(scenario)
                .with_context(|| format!("cannot set up {}", scenario.name()))?;
            setups.push(setup);
        }

        let label = group.first().map(Scenario::name).unwrap_or_default();
        let before = while_quiet("before", || {
            setups.iter_mut().try_for_each(Setup::forget)?;
            self.begin(&label)
        })?;

        let acted = self.act(&mut setups);
        // Also after an error: no callback may fail from here on.
        let disarmed: Result<()> = setups.iter().try_for_each(Setup::disarm);
        let copied: Result<()> = setups.iter().try_for_each(Setup::copy_page_tables);

        let end = self.kmsg.mark(&format!("end {label}"))?;
        let (records, lost) = self.kmsg.read_until(&end, &mut Limit::new(STEP));
        acted?;
        disarmed?;
        copied?;

        // Read before anything is removed: a release is logged, too.
        let after = while_quiet("after", || setups.iter_mut().try_for_each(Setup::gather))?;
        let mut observations = Vec::with_capacity(setups.len());
        for setup in &mut setups {
            observations.push(setup.observation()?);
        }
        for (setup, observation) in setups.into_iter().zip(&mut observations) {
            self.take_down(setup, observation)
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

    /// Writes the opening marker, and skips the log up to it.
    fn begin(&mut self, label: &str) -> Result<()> {
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
        Ok(())
    }

    /// Carries out the operations of the scenarios.
    fn act(&mut self, setups: &mut [Setup]) -> Result<()> {
        // A reader of its own: it must not take the closing lines of the OOM reaper from that of
        // the window. Opened before the first victim dies, so that it cannot miss one.
        let mut reaper = None;
        if setups
            .iter()
            .any(|setup| setup.scenario.trigger.kind.is_oom())
        {
            reaper = Some(KmsgReader::open_at_end().context("cannot open /dev/kmsg")?);
        }
        let mut victims = Vec::new();
        for setup in setups.iter_mut() {
            let pid = setup.subject.pid();
            match setup.scenario.trigger.kind {
                TriggerKind::Own(_) => {
                    setup.outcome = setup.subject.act(&self.waiter, STEP)?;
                    had_room(setup)?;
                }
                TriggerKind::Remote(remote) => {
                    setup.outcome = setup.perform(remote, &self.waiter)?;
                    had_room(setup)?;
                }
                TriggerKind::Ksm => self.merge(setup)?,
                TriggerKind::Khugepaged => self.collapse(setup)?,
                TriggerKind::Mrelease => setup.outcome = self.mrelease(setup)?,
                TriggerKind::MemcgOom => {
                    setup.subject.act_and_die()?;
                    setup.subject.wait_held(&self.waiter, STEP)?;
                    victims.push(pid);
                }
                TriggerKind::GlobalOom => {
                    // The highest value: the OOM killer selects this process.
                    set_oom_score_adj(pid, 1000)?;
                    fs::write("/proc/sysrq-trigger", "f").context("f > /proc/sysrq-trigger")?;
                    setup.subject.wait_held(&self.waiter, STEP)?;
                    // Otherwise it would select the held victim again.
                    set_oom_score_adj(pid, -1000)?;
                    victims.push(pid);
                }
                TriggerKind::Zap { is_atomic } => setup.zap(is_atomic)?,
                TriggerKind::Script(script) => self.play(script.steps, setup)?,
            }
        }
        match reaper {
            Some(reaper) => self.reaped(victims, reaper),
            None => Ok(()),
        }
    }

    /// Reaps the subject by `process_mrelease(2)`. Returns 0 or a negative errno.
    pub(super) fn mrelease(&self, setup: &mut Setup) -> Result<i32> {
        setup.begin_mrelease()?;
        setup.end_mrelease(&self.waiter)
    }

    /// Lets ksmd run until it has merged the watched pages of the subject.
    fn merge(&self, setup: &Setup) -> Result<()> {
        let (start, end) = setup.subject.watched();
        let pages = (end - start) / PAGE as u64;
        let _runs = Ksmd::start()?;
        self.wait_until("ksmd has not merged the pages", || {
            Ok(ksm::merged(setup.subject.pid())? >= pages)
        })
    }

    /// Lets the subject have huge pages, and khugepaged run until it has collapsed the watched pages.
    pub(super) fn collapse(&self, setup: &mut Setup) -> Result<()> {
        setup.outcome = setup.subject.act(&self.waiter, STEP)?;
        let _hurries = Khugepaged::hurry()?;
        self.wait_until("khugepaged has not collapsed the pages", || {
            khugepaged::is_huge(setup.subject.pid(), setup.subject.watched())
        })
    }

    /// Waits until something is so; `missing` says that it is not.
    pub(super) fn wait_until(&self, missing: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
        let mut limit = Limit::new(STEP);
        while !is_so()? {
            if limit.is_over() {
                bail!("{missing} within {STEP:?}");
            }
            self.waiter.child_changes(POLL)?;
        }
        Ok(())
    }

    /// Waits until the OOM reaper has finished with all victims. A reaper that says nothing about
    /// one of them leaves the window without the line that is due.
    fn reaped(&self, mut left: Vec<Pid>, mut reaper: KmsgReader) -> Result<()> {
        let mut limit = Limit::new(REAPER);
        while !left.is_empty() && !limit.is_over() {
            // In slices, to check for signals in between.
            reaper.read_to(
                |record| {
                    left.retain(|&pid| !is_closing_line(record, pid));
                    left.is_empty()
                },
                &mut Limit::new(SLICE),
            );
            self.waiter.check()?;
        }
        Ok(())
    }
}

/// Fails where the kernel had no room for the pages of an operation, which it may not have.
fn had_room(setup: &Setup) -> Result<()> {
    let kind = setup.scenario.trigger.kind;
    if kind.needs_room() && setup.outcome != 0 {
        let errno = Errno::from_raw(-setup.outcome);
        bail!("the pages could not go elsewhere ({errno}): the kernel may have no room for them");
    }
    // It succeeds whatever becomes of the pages.
    if kind == TriggerKind::Own(Operation::PageoutToSwap) {
        let pid = setup.subject.pid();
        let left = pages::resident(pid, setup.subject.watched())?;
        if left != 0 {
            bail!(
                "{left} pages of {pid} were not swapped out: see /proc/swaps and memory.swap.max"
            );
        }
    }
    Ok(())
}

fn set_oom_score_adj(pid: Pid, value: i32) -> Result<()> {
    let path = format!("/proc/{pid}/oom_score_adj");
    fs::write(&path, value.to_string()).with_context(|| format!("{value} > {path} failed"))
}

fn is_interrupt(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| matches!(cause.downcast_ref(), Some(WaitError::Interrupted(_))))
}

/// An empty window, for scenarios that could not be carried out.
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
