// SPDX-License-Identifier: GPL-2.0

//! The source of a kernel as it was when the kernel was built. The tree of a packaged one has since
//! been brought to the state of other kernels.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::vm::build::kernel::spec::Origin;
use crate::vm::build::patch::{Files, Tree};
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;

/// The source of one kernel.
#[derive(Debug)]
pub enum SourceText {
    /// A package with patches: its tree, and the contents of the files that they change.
    Packaged(Tree, Files),
    /// The mirror of a user's tree.
    Mirror(PathBuf),
}

impl SourceText {
    /// The source that a kernel was built from. The tree is left as it is.
    ///
    /// # Errors
    ///
    /// A patch does not apply, or a file of the source is gone.
    pub(super) fn new(origin: &Origin, cache: &Cache) -> Result<Self> {
        Ok(match origin {
            Origin::Packaged {
                source, patches, ..
            } => {
                let tree = Tree::new(&source.dir(cache));
                let plan = tree.plan(patches, cache.temp_dir()?.path())?;
                SourceText::Packaged(tree, plan)
            }
            Origin::Tree(mirror) => SourceText::Mirror(mirror.path()),
        })
    }

    /// Path of the tree, which has a file of the same name for almost each of the source.
    pub fn tree(&self) -> &Path {
        match self {
            SourceText::Packaged(tree, _) => tree.path(),
            SourceText::Mirror(path) => path,
        }
    }

    /// Content of a file, named from the top of the tree; nothing if the source does not have it.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let content = match self {
            SourceText::Packaged(tree, plan) => match plan.get(path) {
                Some(content) => content.clone(),
                None => tree.original(path)?,
            },
            SourceText::Mirror(top) => Some(cache::read(&top.join(path))?),
        };
        Ok(content.unwrap_or_default())
    }
}
