// SPDX-License-Identifier: GPL-2.0

//! `vm build`: builds a kernel and the module, and prints their paths.

use std::io::Write;

use anyhow::{Context, Result};

use crate::model::exit::Exit;
use crate::vm::args::VmBuildArgs;
use crate::vm::build::provide::{Needs, provide};
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;

/// `vm build`
pub fn run(args: &VmBuildArgs, ui: &Ui) -> Result<Exit> {
    let cache = Cache::open()?;
    let built = provide(
        &args.kernel,
        Needs {
            werror: args.werror,
            ..Needs::default()
        },
        &cache,
        ui,
    )?;
    let mut out = std::io::stdout().lock();
    for (name, path) in [
        ("kernel", &built.kernel),
        ("config", &built.config),
        ("source", &built.tree),
        ("module", &built.module),
    ] {
        writeln!(out, "{name} {}", path.display()).context("cannot write to stdout")?;
    }
    Ok(Exit::Pass)
}
