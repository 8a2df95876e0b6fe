// SPDX-License-Identifier: GPL-2.0

//! Threads of the workers, and the check that all of them make progress.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::gettid;

use mn_inject::os::limit::Limit;

use crate::stress::heartbeat::Heartbeat;
use crate::stress::stacks::stack;
use crate::stress::worker::Worker;
use crate::stress::world::World;

/// Time between two checks of a worker that is ending.
const LOOK: Duration = Duration::from_millis(20);

/// Order in which the workers end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Workers that need others.
    First,
    /// Workers that others need.
    Last,
}

/// Thread of a worker.
#[derive(Debug)]
struct Member {
    heartbeat: Arc<Heartbeat>,
    phase: Phase,
    /// Taken when it is joined.
    thread: Option<JoinHandle<()>>,
    steps: u64,
    /// Time limit for the next step.
    limit: Limit,
}

impl Member {
    /// Whether the worker has made a step within `patience`.
    fn goes_on(&mut self, patience: Duration) -> bool {
        let steps = self.heartbeat.steps.load(SeqCst);
        if steps != self.steps {
            self.steps = steps;
            self.limit = Limit::new(patience);
        }
        !self.limit.is_over()
    }

    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// All workers.
#[derive(Debug)]
pub struct Workers {
    world: Arc<World>,
    members: Vec<Member>,
}

impl Workers {
    /// Makes an empty set of workers.
    pub fn new(world: Arc<World>) -> Self {
        Workers {
            world,
            members: Vec::new(),
        }
    }

    /// State that the workers share.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Starts a thread that calls `begin`, then `step` until it is to end, then `end`.
    pub fn start(
        &mut self,
        phase: Phase,
        mut worker: Worker,
        begin: impl FnOnce(&mut Worker) + Send + 'static,
        mut step: impl FnMut(&mut Worker) + Send + 'static,
        end: impl FnOnce(&mut Worker) + Send + 'static,
    ) -> Result<()> {
        let heartbeat = worker.heartbeat.clone();
        let thread = std::thread::Builder::new()
            .name(heartbeat.name.clone())
            .spawn(move || {
                let tid = u64::try_from(gettid().as_raw()).unwrap_or_default();
                worker.heartbeat.tid.store(tid, SeqCst);
                begin(&mut worker);
                while !match phase {
                    Phase::First => worker.world.is_stopping(),
                    Phase::Last => worker.world.is_finishing(),
                } {
                    step(&mut worker);
                }
                end(&mut worker);
            })
            .context("cannot start a thread")?;
        self.members.push(Member {
            heartbeat,
            phase,
            thread: Some(thread),
            steps: 0,
            limit: Limit::new(self.world.patience),
        });
        Ok(())
    }

    /// Checks the progress of all workers and victims. Returns false if a worker has ended too
    /// early or is stuck.
    pub fn goes_on(&mut self) -> bool {
        let patience = self.world.patience;
        let mut all = true;
        for member in &mut self.members {
            if member.is_finished() && !self.world.is_stopping() {
                let name = &member.heartbeat.name;
                self.world.finding(format!(
                    "{name} ended in \"{}\", which is a bug of the stress itself",
                    member.heartbeat.doing()
                ));
                all = false;
            } else if !member.goes_on(patience) {
                self.world.finding(stuck(&member.heartbeat, patience));
                all = false;
            }
        }
        let victims = self.world.victims().into_iter();
        for victim in victims.chain(self.world.control.get().cloned()) {
            if let Err(error) = victim.harvest(&self.world.counts, patience) {
                self.world
                    .finding(format!("{error:#} (seed {})", self.world.seed));
            }
        }
        all
    }

    /// Ends all workers, and calls `waiting` at intervals. Returns true if a worker does not end.
    pub fn end_all(&mut self, mut waiting: impl FnMut()) -> bool {
        self.world.stop();
        let first = self.join(Phase::First, &mut waiting);
        self.world.finish();
        let last = self.join(Phase::Last, &mut waiting);
        first || last
    }

    fn join(&mut self, phase: Phase, waiting: &mut impl FnMut()) -> bool {
        let patience = self.world.patience;
        let mut left = false;
        for member in self.members.iter_mut().filter(|it| it.phase == phase) {
            member.limit = Limit::new(patience);
            while !member.is_finished() && member.goes_on(patience) {
                std::thread::sleep(LOOK);
                waiting();
            }
            if !member.is_finished() {
                self.world.finding(stuck(&member.heartbeat, patience));
                left = true;
            } else if let Some(thread) = member.thread.take()
                && thread.join().is_err()
            {
                let name = &member.heartbeat.name;
                self.world.finding(format!(
                    "{name} panicked, which is a bug of the stress itself"
                ));
            }
        }
        left
    }
}

/// Describes a worker that makes no progress, with its kernel stack.
fn stuck(heartbeat: &Heartbeat, patience: Duration) -> String {
    format!(
        "{} has stood still for {} s in \"{}\"{}",
        heartbeat.name,
        patience.as_secs(),
        heartbeat.doing(),
        stack(&format!("/proc/self/task/{}", heartbeat.tid.load(SeqCst)))
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::stress::counts::Counts;

    fn workers(patience: Duration) -> Workers {
        Workers::new(Arc::new(World::new(1, Counts::default(), patience)))
    }

    fn worker(workers: &Workers, name: &str) -> Worker {
        Worker::new(workers.world().clone(), name.into(), 1)
    }

    #[test]
    fn workers_end_in_their_phases() {
        let mut workers = workers(Duration::from_secs(60));
        for (phase, name) in [(Phase::Last, "last"), (Phase::First, "first")] {
            let worker = worker(&workers, name);
            let end = move |worker: &mut Worker| {
                assert_eq!(worker.world.is_finishing(), phase == Phase::Last);
            };
            let step = |worker: &mut Worker| {
                worker.heartbeat.step("step");
                std::thread::sleep(Duration::from_millis(1));
            };
            workers.start(phase, worker, |_| {}, step, end).unwrap();
        }
        assert!(workers.goes_on());
        assert!(!workers.end_all(|| {}));
        assert!(workers.world().findings().is_empty());
    }

    #[test]
    fn a_worker_without_progress_is_found() {
        let mut workers = workers(Duration::from_millis(50));
        let worker = worker(&workers, "sleeper");
        let sleep = |worker: &mut Worker| {
            worker.heartbeat.step("sleep");
            std::thread::sleep(Duration::from_millis(400));
        };
        workers
            .start(Phase::First, worker, |_| {}, sleep, |_| {})
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while workers.goes_on() {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(5));
        }
        let finding = workers.world().findings().remove(0);
        assert!(finding.contains("sleeper"), "{finding}");
    }

    #[test]
    fn a_worker_that_panics_is_found() {
        let mut workers = workers(Duration::from_secs(60));
        let worker = worker(&workers, "careless");
        workers
            .start(
                Phase::First,
                worker,
                |_| panic!("on purpose"),
                |_| {},
                |_| {},
            )
            .unwrap();
        assert!(!workers.end_all(|| {}));
        let findings = workers.world().findings();
        assert!(findings[0].contains("careless panicked"), "{findings:?}");
    }
}
