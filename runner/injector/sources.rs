// SPDX-License-Identifier: GPL-2.0

//! The module's sources, which are part of this program.

/// Every file that takes part in the module's build: path and content.
pub const SOURCES: &[(&str, &str)] = &[
    ("Kbuild", include_str!("../../Kbuild")),
    ("module/chance.rs", include_str!("../../module/chance.rs")),
    ("module/command.rs", include_str!("../../module/command.rs")),
    ("module/control.rs", include_str!("../../module/control.rs")),
    (
        "module/counters.rs",
        include_str!("../../module/counters.rs"),
    ),
    ("module/example.rs", include_str!("../../module/example.rs")),
    ("module/files.rs", include_str!("../../module/files.rs")),
    ("module/filter.rs", include_str!("../../module/filter.rs")),
    ("module/help.txt", include_str!("../../module/help.txt")),
    ("module/how.rs", include_str!("../../module/how.rs")),
    (
        "module/injector.rs",
        include_str!("../../module/injector.rs"),
    ),
    (
        "module/kernel/breach.rs",
        include_str!("../../module/kernel/breach.rs"),
    ),
    (
        "module/kernel/debugfs.rs",
        include_str!("../../module/kernel/debugfs.rs"),
    ),
    (
        "module/kernel/errno.rs",
        include_str!("../../module/kernel/errno.rs"),
    ),
    (
        "module/kernel/faulty.rs",
        include_str!("../../module/kernel/faulty.rs"),
    ),
    (
        "module/kernel/faulty/plain.rs",
        include_str!("../../module/kernel/faulty/plain.rs"),
    ),
    (
        "module/kernel/helpers.c",
        include_str!("../../module/kernel/helpers.c"),
    ),
    (
        "module/kernel/helpers.rs",
        include_str!("../../module/kernel/helpers.rs"),
    ),
    (
        "module/kernel/kallsyms.rs",
        include_str!("../../module/kernel/kallsyms.rs"),
    ),
    (
        "module/kernel/kunit.rs",
        include_str!("../../module/kernel/kunit.rs"),
    ),
    (
        "module/kernel/lib.rs",
        include_str!("../../module/kernel/lib.rs"),
    ),
    (
        "module/kernel/miscdevice.rs",
        include_str!("../../module/kernel/miscdevice.rs"),
    ),
    (
        "module/kernel/mm.rs",
        include_str!("../../module/kernel/mm.rs"),
    ),
    (
        "module/kernel/mmu_interval.rs",
        include_str!("../../module/kernel/mmu_interval.rs"),
    ),
    (
        "module/kernel/mmu_interval/two_pass.rs",
        include_str!("../../module/kernel/mmu_interval/two_pass.rs"),
    ),
    (
        "module/kernel/mmu_notifier.rs",
        include_str!("../../module/kernel/mmu_notifier.rs"),
    ),
    (
        "module/kernel/mmu_notifier/node.rs",
        include_str!("../../module/kernel/mmu_notifier/node.rs"),
    ),
    (
        "module/kernel/mmu_notifier/range.rs",
        include_str!("../../module/kernel/mmu_notifier/range.rs"),
    ),
    (
        "module/kernel/mmu_notifier/shared.rs",
        include_str!("../../module/kernel/mmu_notifier/shared.rs"),
    ),
    (
        "module/kernel/mmu_notifier/vtable.rs",
        include_str!("../../module/kernel/mmu_notifier/vtable.rs"),
    ),
    (
        "module/kernel/modinfo.rs",
        include_str!("../../module/kernel/modinfo.rs"),
    ),
    (
        "module/kernel/page_table.rs",
        include_str!("../../module/kernel/page_table.rs"),
    ),
    (
        "module/kernel/print.rs",
        include_str!("../../module/kernel/print.rs"),
    ),
    (
        "module/kernel/random.rs",
        include_str!("../../module/kernel/random.rs"),
    ),
    (
        "module/kernel/stacktrace.rs",
        include_str!("../../module/kernel/stacktrace.rs"),
    ),
    (
        "module/kernel/task.rs",
        include_str!("../../module/kernel/task.rs"),
    ),
    (
        "module/kernel/time.rs",
        include_str!("../../module/kernel/time.rs"),
    ),
    (
        "module/kernel/uaccess.rs",
        include_str!("../../module/kernel/uaccess.rs"),
    ),
    ("module/log.rs", include_str!("../../module/log.rs")),
    ("module/mirror.rs", include_str!("../../module/mirror.rs")),
    (
        "module/mmu_notifier_inject.rs",
        include_str!("../../module/mmu_notifier_inject.rs"),
    ),
    (
        "module/notifier.rs",
        include_str!("../../module/notifier.rs"),
    ),
    (
        "module/operation.rs",
        include_str!("../../module/operation.rs"),
    ),
    ("module/rate.rs", include_str!("../../module/rate.rs")),
    (
        "module/readings.rs",
        include_str!("../../module/readings.rs"),
    ),
    ("module/session.rs", include_str!("../../module/session.rs")),
    (
        "module/settings.rs",
        include_str!("../../module/settings.rs"),
    ),
    ("module/targets.rs", include_str!("../../module/targets.rs")),
    ("module/text.rs", include_str!("../../module/text.rs")),
    ("module/zap.rs", include_str!("../../module/zap.rs")),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::Result;

    use super::*;

    #[test]
    fn every_source_file_of_the_module_is_in_the_table() -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut dirs = vec![root.join("module")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if !path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with('.'))
                {
                    let name = path.strip_prefix(root)?;
                    assert!(
                        SOURCES.iter().any(|(known, _)| Path::new(known) == name),
                        "{} is missing in runner/injector/sources.rs",
                        name.display()
                    );
                }
            }
        }
        Ok(())
    }
}
