// SPDX-License-Identifier: GPL-2.0

//! What all workers share: who is there, what was found, and whether the module is.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::stress::counts::Counts;
use crate::stress::parse::Sums;
use crate::stress::victims::{Class, Victim};

/// No more findings than that are kept: the first ones tell.
const MAX_FINDINGS: usize = 100;

/// How a target is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Start only.
    Plain,
    /// Start and end.
    PlainEnd,
    /// An interval notifier.
    Interval,
    /// An interval notifier with two passes.
    TwoPass,
}

impl Kind {
    /// The module's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::PlainEnd => "plain-end",
            Kind::Interval => "interval",
            Kind::TwoPass => "interval-two-pass",
        }
    }

    /// Whether it is registered on a range of addresses.
    pub const fn has_range(self) -> bool {
        matches!(self, Kind::Interval | Kind::TwoPass)
    }

    /// Whether every start is followed by an end of its own.
    pub const fn has_ends(self) -> bool {
        matches!(self, Kind::PlainEnd | Kind::TwoPass)
    }
}

/// What a target may be told to refuse with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    Nothing,
    /// `-EAGAIN`.
    Again,
    /// Any errno.
    Any,
}

/// A notifier of ours on some address space.
#[derive(Debug)]
pub struct Target {
    /// Its folder. No two targets ever have the same.
    pub name: String,
    /// How it was attached.
    pub kind: Kind,
    /// To whom. As long as this exists its process id is not used again. `None`: to a process that
    /// is not ours to end.
    pub victim: Option<Arc<Victim>>,
    /// What it may be told.
    pub harm: Harm,
    /// Whether it may sleep: then it is only meant for blockable context, where that is no bug.
    pub sleeps: bool,
    /// How often the module had been unloaded when it was attached.
    pub unloads: u64,
    /// How many have begun to detach it.
    pub detachers: AtomicU32,
    /// Its counters as they were last read. Locked while they are read, so that they cannot seem to
    /// go back.
    pub seen: Mutex<Sums>,
}

impl Target {
    /// Somebody begins to detach it. False where he is not the first.
    pub fn begin_detach(&self) -> bool {
        self.detachers.fetch_add(1, SeqCst) == 0
    }

    /// Whether somebody detaches it.
    pub fn is_detaching(&self) -> bool {
        self.detachers.load(SeqCst) > 0
    }

    /// Whether, to one who detaches it, somebody else does so, too.
    pub fn is_contested(&self) -> bool {
        self.detachers.load(SeqCst) > 1
    }
}

/// Whether the module is there, as far as the one who unloads it tells.
#[derive(Debug, Default)]
pub struct Presence {
    begun: AtomicU64,
    ended: AtomicU64,
    unloads: AtomicU64,
}

/// A point in time, to ask later what has happened since.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    begun: u64,
    quiet: bool,
    /// How often the module had been unloaded.
    pub unloads: u64,
}

impl Presence {
    /// Now.
    pub fn moment(&self) -> Moment {
        // The unloads first: where one ends in between, `begun` tells.
        let unloads = self.unloads.load(SeqCst);
        let begun = self.begun.load(SeqCst);
        Moment {
            begun,
            quiet: self.ended.load(SeqCst) == begun,
            unloads,
        }
    }

    /// Whether the module was, or may have been, gone at some time since.
    pub fn is_upset_since(&self, moment: Moment) -> bool {
        !moment.quiet
            || self.begun.load(SeqCst) != moment.begun
            || self.unloads.load(SeqCst) != moment.unloads
    }

    /// Runs `change`, which may unload and load the module.
    pub fn change<T>(&self, change: impl FnOnce(&Self) -> T) -> T {
        self.begun.fetch_add(1, SeqCst);
        let result = change(self);
        self.ended.fetch_add(1, SeqCst);
        result
    }

    /// The module has been unloaded, in the middle of a change: what is attached from now on is
    /// attached to the next one.
    pub fn gone(&self) {
        self.unloads.fetch_add(1, SeqCst);
    }
}

/// What all workers share.
#[derive(Debug)]
pub struct World {
    /// Where the choices start.
    pub seed: u64,
    /// What was done.
    pub counts: Counts,
    /// Whether the module is there.
    pub presence: Presence,
    /// How long a step may take before it is taken for stuck.
    pub patience: Duration,
    /// Set while somebody wants to unload the module, which an open session prevents.
    pub no_sessions: AtomicBool,
    /// Who is never attached to.
    pub control: OnceLock<Arc<Victim>>,
    findings: Mutex<Vec<String>>,
    stop: AtomicBool,
    finish: AtomicBool,
    victims: Mutex<Vec<Arc<Victim>>>,
    targets: Mutex<Vec<Arc<Target>>>,
    names: AtomicU64,
}

/// What a thread that panicked had locked is as good as before: every change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Nobody is there, and nothing was done.
    pub fn new(seed: u64, counts: Counts, patience: Duration) -> Self {
        World {
            seed,
            counts,
            presence: Presence::default(),
            patience,
            no_sessions: AtomicBool::new(false),
            control: OnceLock::new(),
            findings: Mutex::default(),
            stop: AtomicBool::new(false),
            finish: AtomicBool::new(false),
            victims: Mutex::default(),
            targets: Mutex::default(),
            names: AtomicU64::new(0),
        }
    }

    /// Tells the workers to end.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    /// Whether the workers are to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// Tells those to end whom the others need.
    pub fn finish(&self) {
        self.finish.store(true, SeqCst);
    }

    /// Whether nobody is needed any more.
    pub fn is_finishing(&self) -> bool {
        self.finish.load(SeqCst)
    }

    /// Keeps a finding, once.
    pub fn finding(&self, text: String) {
        let mut findings = lock(&self.findings);
        if findings.len() < MAX_FINDINGS && !findings.contains(&text) {
            findings.push(text);
        }
    }

    /// All findings.
    pub fn findings(&self) -> Vec<String> {
        lock(&self.findings).clone()
    }

    /// A name that no target had before.
    pub fn new_name(&self) -> String {
        let number = self.names.fetch_add(1, SeqCst);
        format!("stress.{}.{number}", std::process::id())
    }

    /// Everybody who can be attached to.
    pub fn victims(&self) -> Vec<Arc<Victim>> {
        lock(&self.victims).clone()
    }

    /// Those of a class.
    pub fn victims_of(&self, class: Class) -> Vec<Arc<Victim>> {
        let mut victims = self.victims();
        victims.retain(|victim| victim.class == class);
        victims
    }

    /// From now on somebody can be attached to.
    pub fn add_victim(&self, victim: Arc<Victim>) {
        lock(&self.victims).push(victim);
    }

    /// From now on nobody chooses that one any more.
    pub fn remove_victim(&self, victim: &Arc<Victim>) {
        lock(&self.victims).retain(|known| !Arc::ptr_eq(known, victim));
    }

    /// The targets that were attached, as far as is known.
    pub fn targets(&self) -> Vec<Arc<Target>> {
        lock(&self.targets).clone()
    }

    /// From now on everybody may work on it.
    pub fn add_target(&self, target: Arc<Target>) {
        lock(&self.targets).push(target);
    }

    /// From now on nobody chooses it any more.
    pub fn remove_target(&self, target: &Arc<Target>) {
        lock(&self.targets).retain(|known| !Arc::ptr_eq(known, target));
    }

    /// Forgets the targets that went with the module.
    pub fn forget_unloaded(&self) {
        let unloads = self.presence.moment().unloads;
        lock(&self.targets).retain(|target| target.unloads == unloads);
    }

    /// Whether somebody detaches that target, or unloads the module, or did so since `moment`.
    pub fn is_upset(&self, target: &Target, moment: Moment) -> bool {
        target.is_detaching()
            || target.unloads != moment.unloads
            || self.presence.is_upset_since(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unload_is_seen_while_it_runs_and_afterwards() {
        let presence = Presence::default();
        let before = presence.moment();
        assert!(!presence.is_upset_since(before));
        presence.change(|presence| {
            assert!(presence.is_upset_since(before));
            // Whoever begins in the middle of it.
            assert!(presence.is_upset_since(presence.moment()));
            presence.gone();
        });
        assert!(presence.is_upset_since(before));
        let after = presence.moment();
        assert!(!presence.is_upset_since(after));
        assert_eq!(after.unloads, before.unloads + 1);
        presence.change(|_| ());
        assert_eq!(presence.moment().unloads, after.unloads);
    }

    #[test]
    fn findings_are_kept_once_and_not_without_end() {
        let world = World::new(1, Counts::default(), Duration::ZERO);
        for number in 0..MAX_FINDINGS * 2 {
            world.finding(format!("{}", number / 2));
        }
        assert_eq!(world.findings().len(), MAX_FINDINGS);
        assert_eq!(world.findings()[1], "1");
    }
}
