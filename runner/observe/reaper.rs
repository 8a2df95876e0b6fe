// SPDX-License-Identifier: GPL-2.0

//! The OOM reaper, which tells of each victim in the kernel's log.

use std::time::Duration;

use nix::unistd::Pid;

use crate::kmsg::Record;

/// Time limit of the OOM reaper: its delay of 2 s, and 1 s for each victim that it cannot reap,
/// with room for a slow machine.
pub(super) const REAPER: Duration = Duration::from_secs(30);

/// Whether the record is the closing line of the OOM reaper about that victim.
pub(super) fn is_closing_line(record: &Record, pid: Pid) -> bool {
    record.is_kernel()
        && [
            format!("oom_reaper: reaped process {pid} ("),
            format!("oom_reaper: unable to reap pid:{pid} ("),
        ]
        .iter()
        .any(|start| record.text.starts_with(start))
}
