// SPDX-License-Identifier: GPL-2.0

//! The processors that this process may run on.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// Numbers of the processors that this thread may run on.
///
/// # Errors
///
/// The errno of `sched_getaffinity(2)`.
pub fn allowed() -> nix::Result<Vec<usize>> {
    let all = sched_getaffinity(Pid::from_raw(0))?;
    let is_allowed = |&processor: &usize| all.is_set(processor).unwrap_or(false);
    Ok((0..CpuSet::count()).filter(is_allowed).collect())
}
