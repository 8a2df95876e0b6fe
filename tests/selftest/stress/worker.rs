// SPDX-License-Identifier: GPL-2.0

//! A thread that works on the module. Each call that it makes has errors that it may end with;
//! every other one is a finding.

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

/// A thread that works on the module.
#[derive(Debug)]
pub struct Worker {
    /// What all share.
    pub world: Arc<World>,
    /// What it does next.
    pub choices: Choices,
    /// What its present step draws from.
    pub rng: Rng,
    /// What it is doing.
    pub heartbeat: Arc<Heartbeat>,
    /// Files that it holds open.
    pub held: Vec<Held>,
    /// Its session, where it has one.
    pub session: Option<Session>,
}

/// What a call works on, which decides what it may race with.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// A file of the module: with an unload.
    Module,
    /// A file of a target: with a detach, or an unload.
    Target(&'a Target),
    /// A target that the call detaches: with another detach, or an unload.
    Detached(&'a Target),
    /// A target that the call detaches through the device, which keeps the module loaded: with
    /// another detach.
    DetachedBySession(&'a Target),
    /// The device that is open: with nothing.
    Session,
}

impl Worker {
    /// The worker of that name and number.
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

    /// Keeps a finding, with what it takes to come here again.
    pub fn finding(&self, text: impl Display) {
        self.world.finding(format!(
            "{text} ({} in step {}, \"{}\", of seed {})",
            self.heartbeat.name,
            self.heartbeat.steps.load(SeqCst),
            self.heartbeat.doing(),
            self.world.seed
        ));
    }

    /// Now.
    pub fn moment(&self) -> Moment {
        self.world.module.moment()
    }

    /// Whether a call may have raced with somebody who takes away what it works on.
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

    /// Makes a call. An error that nothing explains is a finding, and [`None`] comes of every error.
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

    /// The same of a call that was made since then.
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

    /// A call has failed: keeps a finding where it may not do so like that.
    pub fn judge(&self, call: Call, errno: Errno, has_raced: bool, what: impl Display) {
        if !is_allowed(call, errno, has_raced) {
            self.finding(format_args!("{call} failed with {errno}: {what}"));
        }
    }

    /// A write that was made since then, which must be refused with one of these. False where the
    /// target or the module was not there.
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
