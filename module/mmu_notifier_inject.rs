// SPDX-License-Identifier: GPL-2.0

//! Makes mmu notifiers fail on purpose.
//!
//! Attaches notifiers to processes and lets their `invalidate_range_start` fail as debugfs says.
//! See `help` in `/sys/kernel/debug/mmu_notifier_inject/`.

use kernel::prelude::*;

mod abstractions;
mod control;
mod files;
mod filter;
mod injector;
mod log;
mod text;

module! {
    type: MmuNotifierInject,
    name: "mmu_notifier_inject",
    authors: ["mn-inject maintainers"],
    description: "Makes mmu notifiers fail on purpose",
    license: "GPL",
    params: {
        log_entries: u32 {
            default: 4096,
            description: "How many calls the log of a target holds; 88 bytes each",
        },
    },
}

struct MmuNotifierInject {
    _control: control::Control,
}

impl kernel::Module for MmuNotifierInject {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(MmuNotifierInject {
            _control: control::Control::new()?,
        })
    }
}
