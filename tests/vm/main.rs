// SPDX-License-Identifier: GPL-2.0

//! From a kernel's source to a verdict, with the program as a user has it.
//!
//! `cargo test` runs [`smoke`]: a few minutes where the kernel of `vm run` is in the cache. The tests
//! in the others take an hour; `.ci/run` runs them, and `cargo t-full`.
//!
//! Kernels that are not in the cache are built. Where packages are missing, the tests fail with the
//! command that installs them, unless `MN_INJECT_INSTALL_DEPS=1` allows to run it.

mod cases;
mod compile_fail;
#[path = "../common/fails_on.rs"]
mod fails_on;
mod full;
mod harness;
mod mutants;
#[path = "../common/program.rs"]
mod program;
mod smoke;
mod tree;
mod uml;
