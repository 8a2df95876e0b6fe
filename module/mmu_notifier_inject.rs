// SPDX-License-Identifier: GPL-2.0

//! Makes mmu notifiers fail on purpose.
//!
//! Attaches notifiers to processes and lets their callbacks fail as debugfs says. See `help` in
//! `/sys/kernel/debug/mmu_notifier_inject/`.

use abstractions::{
    breach,
    miscdevice::Device,
    mmu_notifier::Synchronize, //
};
use kernel::prelude::*;

// Not `mod kernel`: that is the name of the crate that it adds to.
#[path = "kernel/lib.rs"]
mod abstractions;
mod chance;
mod command;
mod control;
mod counters;
// The example in the documentation of `abstractions`, which only tests use.
#[cfg_attr(not(CONFIG_KUNIT = "y"), expect(dead_code))]
mod example;
mod files;
mod filter;
mod how;
mod injector;
mod log;
mod mirror;
mod notifier;
mod operation;
mod rate;
mod readings;
mod session;
mod settings;
mod targets;
mod text;
mod zap;

module! {
    type: MmuNotifierInject,
    name: "mmu_notifier_inject",
    authors: ["mn-inject maintainers"],
    description: "Makes mmu notifiers fail on purpose",
    license: "GPL",
    params: {
        log_kib: u32 {
            default: 512,
            description: "How much memory the log of a target takes, in KiB (4 to 65536)",
        },
        breach: u8 {
            default: 0,
            description: "1: may hang or crash the kernel, or destroy data of others, if told so",
        },
    },
}

#[pin_data]
struct MmuNotifierInject {
    // Dropped first, by the order of the fields: no session is open any more, and none comes.
    #[pin]
    _device: Device<session::Session>,
    _control: control::Control,
    // Dropped last: no target is left.
    _synchronize: Synchronize,
}

/// Memory of a target's log in bytes.
fn log_bytes() -> usize {
    let log_kib: u32 = breach::parameter(module_parameters::log_kib.value());
    (log_kib as usize) << 10
}

impl kernel::InPlaceModule for MmuNotifierInject {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let control = move || {
            let log_kib: u32 = breach::parameter(module_parameters::log_kib.value());
            if !(4..=65_536).contains(&log_kib) {
                pr_err!("log_kib must be 4 to 65536, and is {log_kib}\n");
                return Err(ERANGE);
            }
            let breach: u8 = breach::parameter(module_parameters::breach.value());
            if breach > 1 {
                pr_err!("breach must be 0 or 1, and is {breach}\n");
                return Err(ERANGE);
            }
            control::Control::new(module)
        };
        pin_init::pin_init_scope(move || {
            let control = control()?;
            let targets = control.targets().clone();
            Ok(try_pin_init!(Self {
                _synchronize: Synchronize,
                _control: control,
                _device <- Device::new(c"mmu_notifier_inject", module, targets),
            }? Error))
        })
    }
}
