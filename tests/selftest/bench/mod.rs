// SPDX-License-Identifier: GPL-2.0

//! The cost of a notifier to the operations of its process and of others, and the memory of a
//! target.

pub mod figure;
mod judge;
mod memory;
pub mod process;
mod run;
mod variant;

pub use run::run;

use mn_inject::vm::build::module::Extra;

/// The module with a notifier in C that does nothing.
pub const NULL: Extra = Extra {
    file: "mn_bench.ko",
    sources: &[
        ("Kbuild", include_str!("../../bench/Kbuild")),
        ("mn_bench.c", include_str!("../../bench/mn_bench.c")),
    ],
};

/// Name of that module.
const NULL_NAME: &std::ffi::CStr = c"mn_bench";
