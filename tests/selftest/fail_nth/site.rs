// SPDX-License-Identifier: GPL-2.0

//! The place of a fault, as the kernel prints it (`fail_dump()` in lib/fault-inject.c).

use std::fmt;

use mn_inject::kmsg::Record;

/// First line of the message.
const HEAD: &str = "FAULT_INJECTION: forcing a failure.";

/// Number of functions that a finding shows.
const SHOWN: usize = 8;

/// Functions in which every fault occurs, which say nothing about the place.
const INJECTION: [&str; 6] = [
    "__dump_stack",
    "dump_stack",
    "dump_stack_lvl",
    "fail_dump",
    "should_fail_ex",
    "should_fail",
];

/// The function that calls the init of a module (do_init_module() in kernel/module/main.c).
pub const INIT: &str = "do_one_initcall";

/// The allocation or copy that failed, and its function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The capability: `failslab`, `fail_page_alloc` or `fail_usercopy`.
    pub capability: String,
    /// The functions on the stack, the innermost first.
    pub functions: Vec<String>,
}

impl Site {
    /// Whether that function is on the stack.
    pub fn is_in(&self, function: &str) -> bool {
        self.functions.iter().any(|one| one == function)
    }

    /// Whether it was in the init of a module.
    pub fn is_in_init(&self) -> bool {
        self.is_in(INIT)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.functions[..self.functions.len().min(SHOWN)];
        write!(f, "{} in {}", self.capability, shown.join(" < "))
    }
}

/// The faults that these records tell of. A fault of an allocation with `__GFP_NOWARN` is not
/// printed.
pub fn sites(records: &[Record]) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    let mut is_in_stack = false;
    for record in records.iter().filter(|record| record.is_kernel()) {
        if let Some(rest) = record.text.strip_prefix(HEAD) {
            let name = rest.trim_start().strip_prefix("name ").unwrap_or_default();
            let end = name.find(',').unwrap_or(name.len());
            sites.push(Site {
                capability: name[..end].to_owned(),
                functions: Vec::new(),
            });
            is_in_stack = true;
        } else if record.text.trim() == "</TASK>" {
            is_in_stack = false;
        } else if is_in_stack
            && let Some(site) = sites.last_mut()
            && let Some(function) = function(&record.text)
        {
            site.functions.push(function.to_owned());
        }
    }
    sites
}

/// The function of a line of a stack; [`None`] for other lines, for frames that the unwinder
/// doubts, and for the functions of the injection itself. User Mode Linux prints the address before
/// the function (`_print_addr()` in arch/um/kernel/sysrq.c).
fn function(line: &str) -> Option<&str> {
    let frame = line.strip_prefix(' ')?;
    let frame = match frame.strip_prefix("[<") {
        Some(address) => address.split_once(">] ")?.1,
        None => frame,
    };
    let (symbol, _) = frame.split_once("+0x")?;
    // Parts of a function that the compiler has moved elsewhere.
    let name = symbol.split('.').next().unwrap_or(symbol);
    let is_name = !name.contains(' ') && !INJECTION.contains(&name);
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(texts: &[&str]) -> Vec<Record> {
        let record = |text: &&str| format!("5,1,2,-;{text}\n").parse().unwrap();
        texts.iter().map(record).collect()
    }

    #[test]
    fn a_fault_is_read_with_its_stack() {
        let log = records(&[
            "something else",
            "FAULT_INJECTION: forcing a failure.\\x0aname failslab, interval 1, probability 0, space 0, times 0",
            "CPU: 0 UID: 0 PID: 1 Comm: init Tainted: G                 N  7.3.4+ #1 PREEMPT",
            "Call Trace:",
            " <TASK>",
            " dump_stack_lvl+0x5d/0x80",
            " should_fail_ex.cold+0x5/0x12",
            " should_failslab+0x50/0x90",
            " ? __pfx_x+0x10/0x10",
            " __kmalloc_cache_noprof+0x3b/0x2f0",
            " debugfs_create_dir+0x1/0x2",
            " _RNvMs_NtCs1_19mmu_notifier_inject7debugfs+0x3/0x4 [mmu_notifier_inject]",
            " </TASK>",
            " not_a_frame+0x1/0x2",
        ]);
        let found = sites(&log);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].capability, "failslab");
        assert_eq!(
            found[0].functions,
            [
                "should_failslab",
                "__kmalloc_cache_noprof",
                "debugfs_create_dir",
                "_RNvMs_NtCs1_19mmu_notifier_inject7debugfs"
            ]
        );
        assert!(found[0].is_in("debugfs_create_dir"));
        assert!(!found[0].is_in("__pfx_x"));
        assert_eq!(
            found[0].to_string(),
            "failslab in should_failslab < __kmalloc_cache_noprof < debugfs_create_dir < _RNvMs_NtCs1_19mmu_notifier_inject7debugfs"
        );
    }

    #[test]
    fn user_space_cannot_write_a_fault() {
        let forged = format!("13,1,2,-;{HEAD}\n").parse().unwrap();
        assert!(sites(&[forged]).is_empty());
    }

    #[test]
    fn frames_of_user_mode_linux_have_an_address() {
        let found = sites(&records(&[
            "FAULT_INJECTION: forcing a failure.\\x0aname failslab, interval 1, probability 0, space 0, times 0",
            "Stack:",
            " 611eb7e0 00000001 60f7c370",
            "Call Trace:",
            " [<60a1b2c3>] dump_stack_lvl+0x2f/0x70",
            " [<60a1b2c4>] ? rcu_is_watching+0x10/0x30",
            " [<60a1b2c5>] should_failslab+0x50/0x90",
            " [<60a1b2c6>] __kvmalloc_node_noprof+0x1c0/0x5f0",
        ]));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].functions,
            ["should_failslab", "__kvmalloc_node_noprof"]
        );
    }
}
