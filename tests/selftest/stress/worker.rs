// SPDX-License-Identifier: GPL-2.0

//! Workers: threads that use the module. Each of their calls may return certain errors; every other
//! error is a finding.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use nix::errno::Errno;

use crate::random::Rng;
use crate::stress::choice::Choices;
use crate::stress::errno::{Call, is_allowed};
use crate::stress::heartbeat::Heartbeat;
use crate::stress::module_state::Moment;
use crate::stress::open::{Held, Session};
use crate::stress::target::Target;
use crate::stress::world::World;

/// A thread that uses the module.
#[derive(Debug)]
pub struct Worker {
    /// State that all workers share.
    pub world: Arc<World>,
    /// Choices of its next operation.
    pub choices: Choices,
    /// Random stream of its present step.
    pub rng: Rng,
    /// Its progress.
    pub heartbeat: Arc<Heartbeat>,
    /// Files that it holds open.
    pub held: Vec<Held>,
    /// Its session, if it has one.
    pub session: Option<Session>,
}

/// Object of a call, which decides the calls of other workers that it may race with.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// A file of the module: races with an unload.
    Module,
    /// A file of a target: races with a detach or an unload.
    Target(&'a Target),
    /// A target that the call detaches: races with another detach or an unload.
    Detached(&'a Target),
    /// A target that the call detaches through the device, which keeps the module loaded: races
    /// with another detach.
    DetachedBySession(&'a Target),
    /// The open device: races with nothing.
    Session,
}

impl Worker {
    /// Makes the worker with this name and number.
    pub fn new(world: Arc<World>, name: String, number: u64) -> Self {
        let mut choices = Choices::new(world.seed, number);
        Worker {
            world,
            rng: choices.step(),
            choices,
            heartbeat: Arc::new(Heartbeat::new(name)),
            held: Vec::new(),
            session: None,
        }
    }

    /// Reports a finding, with the worker, the step and the seed that reproduce it.
    pub fn finding(&self, text: impl Display) {
        self.world.finding(format!(
            "{text} ({} in step {}, \"{}\", of seed {})",
            self.heartbeat.name,
            self.heartbeat.steps.load(SeqCst),
            self.heartbeat.doing(),
            self.world.seed
        ));
    }

    /// Returns the present moment.
    pub fn moment(&self) -> Moment {
        self.world.module.moment()
    }

    /// Whether a call since then may have raced with another worker that removes its object.
    pub fn has_raced(&self, on: On<'_>, since: Moment) -> bool {
        let unloads = |target: &Target| {
            target.unloads != since.unloads || self.world.module.has_raced_since(since)
        };
        match on {
            On::Module => self.world.module.has_raced_since(since),
            On::Target(target) => target.is_detaching() || unloads(target),
            On::Detached(target) => target.is_contested() || unloads(target),
            On::DetachedBySession(target) => target.is_contested(),
            On::Session => false,
        }
    }

    /// Makes a call. Returns `None` on every error; an unexplained one is a finding.
    pub fn call<T>(
        &self,
        call: Call,
        on: On<'_>,
        what: impl Display,
        run: impl FnOnce() -> Result<T, Errno>,
    ) -> Option<T> {
        let since = self.moment();
        let result = run();
        self.judged(call, on, since, what, result)
    }

    /// Checks the result of a call that was made since the given moment, like [`Self::call`].
    pub fn judged<T>(
        &self,
        call: Call,
        on: On<'_>,
        since: Moment,
        what: impl Display,
        result: Result<T, Errno>,
    ) -> Option<T> {
        let judge = |errno| self.judge(call, errno, self.has_raced(on, since), what);
        result.map_err(judge).ok()
    }

    /// Reports the error of a call as a finding if the call may not return it.
    pub fn judge(&self, call: Call, errno: Errno, has_raced: bool, what: impl Display) {
        if !is_allowed(call, errno, has_raced) {
            self.finding(format_args!("{call} failed with {errno}: {what}"));
        }
    }

    /// Checks the result of a write that was made since the given moment and must fail with one of
    /// these. Returns false if it did not, or if the target or the module was gone.
    pub fn refused(
        &self,
        on: On<'_>,
        since: Moment,
        what: impl Display,
        with: &[Errno],
        result: Result<(), Errno>,
    ) -> bool {
        match result {
            Err(errno) if with.contains(&errno) => true,
            Err(Errno::EIO) if self.has_raced(on, since) => false,
            result => {
                self.finding(format_args!(
                    "{what} came to {result:?}, not to one of {with:?}"
                ));
                false
            }
        }
    }
}
