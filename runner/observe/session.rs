// SPDX-License-Identifier: GPL-2.0

//! A run of scenarios: its open files, its helper, and its time limit.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::injector;
use crate::injector::Connection;
use crate::kmsg::KmsgReader;
use crate::os::cgroup;
use crate::os::wait::Waiter;
use crate::trigger::helper::Helper;

/// Time limit of one step of a scenario. Under TCG on a busy host, a second of the guest's clock
/// is less work than one of the host's.
pub(super) const STEP: Duration = Duration::from_secs(20);

/// Pause before another look at something that no event tells of. Where time is virtual, the clock
/// may stand still while a process works: then a limit passes only while all of them sleep.
pub(super) const POLL: Duration = Duration::from_millis(1);

/// First part of the names of our cgroups; the runner's pid follows.
pub const CGROUP_PREFIX: &str = "mn-inject.";

/// Addresses at which nothing is ever mapped, for a filter that no call passes.
pub(super) const NOWHERE: (u64, u64) = (0x1000, 0x2000);

/// A run of scenarios on this machine.
pub struct Session {
    pub(super) kmsg: KmsgReader,
    pub(super) module: Connection,
    pub(super) waiter: Waiter,
    /// Makes the calls that may wait forever.
    pub(super) helper: Helper,
    pub(super) cgroups: usize,
}

impl Session {
    /// Opens the kernel's log and the module, and removes the targets and cgroups of earlier runs
    /// that were killed.
    ///
    /// # Errors
    ///
    /// Another run uses the module, or one of the files cannot be opened.
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
            // A target that cannot be detached was left by a scenario that is meant to leave one.
            session.detach(&name)?;
        }
        Ok(session)
    }

    /// Ends the session.
    ///
    /// # Errors
    ///
    /// A signal to end the program has arrived since the last check.
    pub fn close(self) -> Result<()> {
        Ok(self.waiter.check()?)
    }
}
