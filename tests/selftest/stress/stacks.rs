// SPDX-License-Identifier: GPL-2.0

//! Kernel stacks of threads.

use std::fs;

/// Reads the kernel stacks of all threads of a process.
pub fn stacks(pid: &str) -> String {
    let mut text = String::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return ", and is gone now".into();
    };
    for task in tasks.flatten() {
        text.push_str(&stack(&task.path().to_string_lossy()));
    }
    text
}

/// Reads the kernel stack of a thread. `task` is its folder in /proc.
pub fn stack(task: &str) -> String {
    let read = |name: &str| fs::read_to_string(format!("{task}/{name}")).unwrap_or_default();
    format!(
        "\n{task} {}{}",
        read("comm"),
        // Without CONFIG_STACKTRACE, at least the function in which it waits.
        match read("stack") {
            stack if stack.is_empty() => read("wchan"),
            stack => stack,
        }
    )
}
