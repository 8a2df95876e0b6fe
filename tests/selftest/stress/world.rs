// SPDX-License-Identifier: GPL-2.0

//! What all workers share: who is there, what was found, and whether the module is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::stress::class::Class;
use crate::stress::counts::Counts;
use crate::stress::module_state::ModuleState;
use crate::stress::target::Target;
use crate::stress::victims::Victim;

/// No more findings than that are kept: the first ones tell.
const MAX_FINDINGS: usize = 100;

/// What all workers share.
#[derive(Debug)]
pub struct World {
    /// Where the choices start.
    pub seed: u64,
    /// What was done.
    pub counts: Counts,
    /// Whether the module is there.
    pub module: ModuleState,
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
        let unloads = self.module.moment().unloads;
        lock(&self.targets).retain(|target| target.unloads == unloads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
