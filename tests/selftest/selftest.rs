// SPDX-License-Identifier: GPL-2.0

//! `mn-selftest`: tests the module and `mn-inject`, in the same guests as `mn-inject`.

mod bench;
mod cli;
mod complaints;
mod exercise;
mod fail_nth;
mod flood;
mod fuzz;
mod guest;
mod here;
mod hostile;
mod module_cases;
mod perform;
mod processes;
mod random;
mod report;
mod stress;
mod task;
mod usage;
mod vm;

use mn_inject::cli::program;
use mn_inject::model::exit::Exit;

use crate::cli::Cli;
use crate::here::carry_out;

/// The program's name.
const NAME: &str = env!("CARGO_BIN_NAME");

/// The program's name and version.
const TOOL: &str = concat!(env!("CARGO_BIN_NAME"), " ", env!("CARGO_PKG_VERSION"));

fn main() -> Exit {
    if mn_inject::guest::is_init() {
        mn_inject::guest::init(Some(guest::carry_out));
    }
    program::main(NAME, |cli: Cli| carry_out(cli.command))
}
