// SPDX-License-Identifier: GPL-2.0

//! What the tests share.

use std::path::PathBuf;

/// A Linux source tree, for the tools that come with it.
///
/// A test that needs it fails without it: a check that did not run is not a check that passed.
pub fn kernel_source() -> PathBuf {
    const VARIABLE: &str = "MN_INJECT_KERNEL_SRC";
    let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        panic!(
            "this test needs a Linux source tree; type:\n    \
             {VARIABLE}=/path/to/linux cargo test --release"
        );
    };
    let parser = path.join("tools/testing/kunit/kunit.py");
    assert!(
        parser.is_file(),
        "{VARIABLE} is no Linux source tree: there is no {}",
        parser.display()
    );
    path
}
