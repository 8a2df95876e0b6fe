// SPDX-License-Identifier: GPL-2.0

//! Describes the virtual machine in a report.

use std::path::Path;

use crate::model::VmInfo;
use crate::vm::boot::machine::Platform;
use crate::vm::build::kernel::Built;
use crate::vm::host::progress::Ui;

/// Describes the virtual machine in a report. `logs` has the other files in `output`, each as a pair
/// of name and path.
pub fn vm_info(
    built: &Built,
    platform: Platform,
    reason: String,
    ui: &Ui,
    mut logs: Vec<(String, String)>,
    output: &Path,
) -> VmInfo {
    let info = &built.info;
    logs.push(("kernel".to_owned(), built.kernel.display().to_string()));
    logs.push((
        "report".to_owned(),
        output.join("report.json").display().to_string(),
    ));
    VmInfo {
        source: info.source.clone(),
        tested: built.tested,
        commit: info.commit.clone(),
        base: info.base.clone(),
        config: info.config.clone(),
        config_add: info.config_add.clone(),
        patches: info.patches.clone(),
        accelerator: platform.name().to_owned(),
        accelerator_reason: reason,
        stages: ui.stages(),
        logs,
    }
}
