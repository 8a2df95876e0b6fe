// SPDX-License-Identifier: GPL-2.0

//! `mn-inject`, the program itself.

use mn_inject::cli::here::carry_out;
use mn_inject::cli::{Cli, program};
use mn_inject::guest;
use mn_inject::model::exit::Exit;

fn main() -> Exit {
    if guest::is_init() {
        guest::init(None);
    }
    program::main("mn-inject", |cli: Cli| carry_out(cli.command))
}
