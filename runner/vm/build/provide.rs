// SPDX-License-Identifier: GPL-2.0

//! Provides the kernel and the module for the arguments of a command.

use std::sync::Arc;

use anyhow::Result;

use crate::model::Form;
use crate::vm::arch::Arch;
use crate::vm::args::KernelArgs;
use crate::vm::build::kernel::{self, Built, Origin, Spec};
use crate::vm::build::mirror::Mirror;
use crate::vm::build::module::Extra;
use crate::vm::build::patch::Patch;
use crate::vm::build::stage::StageError;
use crate::vm::build::toolchain::{self, Toolchain};
use crate::vm::build::{check, deps, source};
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Ui;
use crate::vm::kernels::Packaged;

/// Requirements of a command besides the kernel and the module.
#[derive(Clone, Copy, Default)]
pub struct Needs {
    /// A shell in the guest.
    pub shell: bool,
    /// A build of the module without warnings.
    pub werror: bool,
    /// A module besides ours.
    pub extra: Option<Extra>,
}

/// Provides the kernel and the module. Checks or installs packages, fetches the source, and builds
/// bindgen if necessary.
///
/// # Errors
///
/// Wrong arguments, missing packages, or a failed step.
pub fn provide(args: &KernelArgs, needs: Needs, cache: &Cache, ui: &Ui) -> Result<Built> {
    // Errors in the arguments are reported before anything else is done.
    let mut patches = match args.base {
        Form::Seed => vec![seed(args.kernel)],
        Form::Mainline => Vec::new(),
    };
    let mut module_patches = Vec::new();
    for path in &args.patch {
        let patch = Patch::read(path)?;
        if patch.is_of_module() {
            module_patches.push(patch);
        } else {
            patches.push(patch);
        }
    }
    let tree = check::check(args, cache)?;
    let uses = deps::Uses {
        packaged: tree.is_none(),
        git: tree.is_some() || !(patches.is_empty() && module_patches.is_empty()),
        shell: needs.shell,
        qemu: args.machine.arch() == Arch::X86,
    };
    deps::provide(uses, args.install_deps, ui)?;

    // Both at the same time: the source takes network and disk, bindgen takes the processor.
    let (bindgen, origin) = std::thread::scope(|scope| {
        let bindgen = scope.spawn(|| toolchain::bindgen(cache, ui));
        let origin = match tree {
            Some(dir) => Mirror::take(&dir, cache, ui).map(|mirror| Origin::Tree(Arc::new(mirror))),
            None => source::provide(args.kernel, cache, ui).map(|source| Origin::Packaged {
                source,
                base: args.base.name(),
                patches,
            }),
        };
        let bindgen = bindgen
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that builds bindgen panicked")));
        (bindgen, origin)
    });
    let toolchain = Toolchain::find(&bindgen?)?;
    let spec = Spec {
        origin: origin?,
        arch: args.machine.arch(),
        config: args.config.clone(),
        config_add: args.config_add.clone(),
        module_patches,
        extra: needs.extra,
    };
    let built = kernel::provide(&spec, &toolchain, needs.werror, cache, ui);
    match &spec.origin {
        Origin::Packaged { .. } => built,
        Origin::Tree(mirror) => built.map_err(|error| in_tree(error, mirror)),
    }
}

/// The error with the path of the user's tree, whose files can be mended, for that of the mirror.
fn in_tree(error: anyhow::Error, mirror: &Mirror) -> anyhow::Error {
    match error.downcast::<StageError>() {
        Ok(error) => error.renamed(&mirror.path(), mirror.tree()).into(),
        Err(error) => error,
    }
}

/// Seed patch of a packaged kernel.
fn seed(kernel: &Packaged) -> Patch {
    let (name, text) = kernel.seed;
    Patch {
        name: name.to_owned(),
        text: text.as_bytes().to_vec(),
    }
}
