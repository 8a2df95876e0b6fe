// SPDX-License-Identifier: GPL-2.0

//! A system call that is made with faults, and the checks around it.

use nix::errno::Errno;

use crate::module_cases::outcome::Outcome;

/// A system call that is made many times.
pub trait Call {
    /// Makes everything ready for one call.
    fn prepare(&mut self) -> Outcome {
        Ok(())
    }

    /// Makes exactly one system call, and nothing else that enters the kernel.
    fn make(&mut self) -> Result<(), Errno>;

    /// Checks what a call that succeeded has done, and undoes it.
    fn succeeded(&mut self) -> Outcome;

    /// Checks that a call that failed has changed nothing.
    fn failed(&mut self) -> Outcome;
}
