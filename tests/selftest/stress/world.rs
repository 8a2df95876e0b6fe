// SPDX-License-Identifier: GPL-2.0

//! State that all workers share: processes, targets, findings, and the state of the module.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::stress::class::Class;
use crate::stress::counts::Counts;
use crate::stress::module_state::ModuleState;
use crate::stress::target::Target;
use crate::stress::victims::Victim;

/// Maximum number of findings. Later ones are dropped.
const MAX_FINDINGS: usize = 100;

/// State that all workers share.
#[derive(Debug)]
pub struct World {
    /// Seed of all choices.
    pub seed: u64,
    /// Counts of everything that was done.
    pub counts: Counts,
    /// State of the module.
    pub module: ModuleState,
    /// Time limit for a step: a worker or victim that needs longer is stuck.
    pub patience: Duration,
    /// Set while the reloader wants to unload the module, which an open session prevents.
    pub no_sessions: AtomicBool,
    /// The control process: never attached to.
    pub control: OnceLock<Arc<Victim>>,
    findings: Mutex<Vec<String>>,
    stop: AtomicBool,
    finish: AtomicBool,
    victims: Mutex<Vec<Arc<Victim>>>,
    targets: Mutex<Vec<Arc<Target>>>,
    names: AtomicU64,
}

/// Locks a mutex, even if a thread panicked while it held the lock: every change is one step, so
/// none can be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Makes an empty world: no processes, no targets, no findings.
    pub fn new(seed: u64, counts: Counts, patience: Duration) -> Self {
        World {
            seed,
            counts,
            module: ModuleState::default(),
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

    /// Makes the workers end, except those that others need.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    /// Whether the workers must end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// Makes the workers end that others needed.
    pub fn finish(&self) {
        self.finish.store(true, SeqCst);
    }

    /// Whether the workers that others needed must end.
    pub fn is_finishing(&self) -> bool {
        self.finish.load(SeqCst)
    }

    /// Adds a finding, unless there is the same already.
    pub fn finding(&self, text: String) {
        let mut findings = lock(&self.findings);
        if findings.len() < MAX_FINDINGS && !findings.contains(&text) {
            findings.push(text);
        }
    }

    /// Returns all findings.
    pub fn findings(&self) -> Vec<String> {
        lock(&self.findings).clone()
    }

    /// Makes a name that no target had before.
    pub fn new_name(&self) -> String {
        let number = self.names.fetch_add(1, SeqCst);
        format!("stress.{}.{number}", std::process::id())
    }

    /// Returns all victims, which can be attached to.
    pub fn victims(&self) -> Vec<Arc<Victim>> {
        lock(&self.victims).clone()
    }

    /// Returns the victims of a class.
    pub fn victims_of(&self, class: Class) -> Vec<Arc<Victim>> {
        let mut victims = self.victims();
        victims.retain(|victim| victim.class == class);
        victims
    }

    /// Adds a victim, to which workers may attach from now on.
    pub fn add_victim(&self, victim: Arc<Victim>) {
        lock(&self.victims).push(victim);
    }

    /// Removes a victim, which workers do not choose any more.
    pub fn remove_victim(&self, victim: &Arc<Victim>) {
        lock(&self.victims).retain(|known| !Arc::ptr_eq(known, victim));
    }

    /// Returns the targets that were added and not removed.
    pub fn targets(&self) -> Vec<Arc<Target>> {
        lock(&self.targets).clone()
    }

    /// Adds a target, which every worker may use from now on.
    pub fn add_target(&self, target: Arc<Target>) {
        lock(&self.targets).push(target);
    }

    /// Removes a target, which workers do not choose any more.
    pub fn remove_target(&self, target: &Arc<Target>) {
        lock(&self.targets).retain(|known| !Arc::ptr_eq(known, target));
    }

    /// Removes the targets that were detached by an unload of the module.
    pub fn forget_unloaded(&self) {
        let unloads = self.module.moment().unloads;
        lock(&self.targets).retain(|target| target.unloads == unloads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_kept_once_and_limited() {
        let world = World::new(1, Counts::default(), Duration::ZERO);
        for number in 0..MAX_FINDINGS * 2 {
            world.finding(format!("{}", number / 2));
        }
        assert_eq!(world.findings().len(), MAX_FINDINGS);
        assert_eq!(world.findings()[1], "1");
    }
}
