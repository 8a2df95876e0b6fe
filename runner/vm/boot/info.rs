// SPDX-License-Identifier: GPL-2.0

//! Facts about the virtual machine, for a report.

use std::path::Path;

use crate::model::VmInfo;
use crate::vm::boot::qemu::Accelerator;
use crate::vm::build::kernel::Built;
use crate::vm::host::progress::Ui;

/// `logs` has what is in `output` besides the report.
pub fn vm_info(
    built: &Built,
    accelerator: Accelerator,
    accelerator_reason: String,
    ui: &Ui,
    mut logs: Vec<(String, String)>,
    output: &Path,
) -> VmInfo {
    let info = &built.info;
    logs.push((
        "report".to_owned(),
        output.join("report.json").display().to_string(),
    ));
    VmInfo {
        source: info.source.clone(),
        tested: built.tested,
        base: info.base.clone(),
        config: info.config.clone(),
        patches: info.patches.clone(),
        accelerator: accelerator.name().to_owned(),
        accelerator_reason,
        stages: ui.stages(),
        logs,
    }
}
