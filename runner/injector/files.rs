// SPDX-License-Identifier: GPL-2.0

//! Paths of the module's files, as `module/control.rs`, `module/files.rs` and `module/session.rs`
//! make them.

use std::path::{Path, PathBuf};

/// The module's folder, with debugfs mounted in its usual place.
pub const FOLDER: &str = "/sys/kernel/debug/mmu_notifier_inject";

/// The module's device. Closing an open file of it detaches what was attached through that file,
/// also when its owner was killed.
pub const DEVICE: &str = "/dev/mmu_notifier_inject";

/// A file or folder below the module's folder.
pub fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// The file that takes the lines of any process, and lists all targets.
pub fn control_file() -> PathBuf {
    path("control")
}

/// The folder of a target.
pub fn target_folder(name: &str) -> PathBuf {
    path("targets").join(name)
}

/// A file in a target's folder.
pub fn target_file(name: &str, file: &str) -> PathBuf {
    target_folder(name).join(file)
}

/// Whether the module is loaded and debugfs is mounted.
pub fn is_there() -> bool {
    control_file().exists()
}
