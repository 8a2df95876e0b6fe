// SPDX-License-Identifier: GPL-2.0

//! What the tests share.

use std::process::{Command, Stdio};

/// Allows the tests to install packages.
const INSTALL: &str = "MN_INJECT_INSTALL_DEPS";

/// The verbs of `vm` that are the second program's.
const SELFTEST: [&str; 7] = [
    "cases", "fuzz", "stress", "hostile", "flood", "bench", "fail-nth",
];

/// `mn-inject vm` or `mn-selftest vm`, whichever has that verb, with these arguments; it may install
/// packages where the tests may.
pub fn vm(arguments: &[&str]) -> Command {
    let program = match arguments.first() {
        Some(verb) if SELFTEST.contains(verb) => env!("CARGO_BIN_EXE_mn-selftest"),
        _ => env!("CARGO_BIN_EXE_mn-inject"),
    };
    let mut command = Command::new(program);
    command.arg("vm").args(arguments).stdin(Stdio::null());
    let installs = arguments.first().is_some_and(|verb| *verb != "clean");
    if installs && std::env::var_os(INSTALL).is_some_and(|value| value == "1") {
        command.arg("--install-deps");
    }
    command
}

/// Fails where a test could not run for lack of packages: a check that did not run is not a check
/// that passed.
pub fn assert_installed(stderr: &str) {
    assert!(
        !stderr.contains("missing packages"),
        "this test needs packages that this machine does not have. Install them with the command \
         below, or allow the tests to do it:\n    {INSTALL}=1 cargo test --release\n{stderr}"
    );
}
