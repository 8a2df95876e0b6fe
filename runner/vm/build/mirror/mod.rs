// SPDX-License-Identifier: GPL-2.0

//! Mirrors of the user's source trees in the cache. A kernel is built from the mirror, so that the
//! tree may have been built in place, may change meanwhile, and is neither written nor locked.

mod files;
mod git;
mod link;
mod parallel;
mod record;
mod sync;
mod take;
#[cfg(test)]
mod tests;

pub use take::{Mirror, id_of_tree, root_of};
