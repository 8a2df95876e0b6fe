// SPDX-License-Identifier: GPL-2.0

//! Kernels: their configurations, what identifies one in the cache, and their build.

mod bindgen;
mod build;
mod built;
mod config;
mod configured;
mod fault;
mod kept;
mod part;
mod spec;
mod text;

pub use build::provide;
pub use built::Built;
pub use config::{Config, config};
pub use fault::is_of_kernel;
pub use spec::{BuildInfo, Origin, Spec};
pub use text::SourceText;
