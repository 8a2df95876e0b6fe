// SPDX-License-Identifier: GPL-2.0

//! Everything that needs no virtual machine.

mod cli;
mod contract;
mod design;
mod early;
#[path = "../common/fails_on.rs"]
mod fails_on;
mod findings;
mod found;
mod history;
mod judge;
mod kept;
mod kmsg;
mod ktap;
mod layers;
mod matrix;
mod module;
mod mutants;
mod oracle;
#[path = "../common/program.rs"]
mod program;
mod recording;
mod report;
mod sample;
mod steps;
mod symptoms;
mod trust;
