// SPDX-License-Identifier: GPL-2.0

//! The kernel options that a scenario needs: those without which a broken rule goes unnoticed, and
//! those that an operation is about.

use serde::Serialize;

/// A debugging check that a message depends on, or a part of memory management.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// `CONFIG_DEBUG_ATOMIC_SLEEP`
    AtomicSleep,
    /// `CONFIG_PROVE_LOCKING`
    Lockdep,
    /// `CONFIG_USERFAULTFD`, with `UFFDIO_MOVE`
    Userfaultfd,
    /// `CONFIG_USERFAULTFD`, with write protection (`CONFIG_PTE_MARKER_UFFD_WP`)
    UserfaultfdWp,
    /// `CONFIG_TRANSPARENT_HUGEPAGE`
    HugePages,
    /// The same for files of shmem (`CONFIG_TRANSPARENT_HUGEPAGE_SHMEM_HUGE_ADVISE`)
    ShmemHugePages,
    /// `CONFIG_HUGETLBFS`, and two huge pages that are free
    Hugetlb,
    /// The same with write protection by userfaultfd (`CONFIG_PTE_MARKER_UFFD_WP`)
    HugetlbUserfaultfd,
    /// `CONFIG_KSM`, and that ksmd does not run
    Ksm,
    /// `CONFIG_SWAP`, and some swap space
    Swap,
    /// `CONFIG_MINIX_FS`, with such a file system on `/var/tmp`
    WriteBack,
    /// `CONFIG_UPROBE_EVENTS`
    Uprobes,
    /// `CONFIG_MEMORY_FAILURE`
    MemoryFailure,
    /// The same with two huge pages of hugetlbfs that are free
    HugetlbMemoryFailure,
    /// `CONFIG_NUMA_MIGRATION`, and two nodes with memory
    Nodes,
    /// `CONFIG_TEST_HMM`
    TestHmm,
    /// `CONFIG_DEV_DAX_PMEM`, and a device whose pages have 1 GiB
    Dax,
    /// `CONFIG_MAPPING_DIRTY_HELPERS`, and the module in `tests/dirty` that calls them
    DirtyHelpers,
}

impl Needs {
    /// Each of them.
    pub const ALL: [Needs; 18] = [
        Needs::AtomicSleep,
        Needs::Lockdep,
        Needs::Userfaultfd,
        Needs::UserfaultfdWp,
        Needs::HugePages,
        Needs::ShmemHugePages,
        Needs::Hugetlb,
        Needs::HugetlbUserfaultfd,
        Needs::Ksm,
        Needs::Swap,
        Needs::WriteBack,
        Needs::Uprobes,
        Needs::MemoryFailure,
        Needs::HugetlbMemoryFailure,
        Needs::Nodes,
        Needs::TestHmm,
        Needs::Dax,
        Needs::DirtyHelpers,
    ];

    /// Name of the kernel option, without `CONFIG_`.
    pub const fn option(self) -> &'static str {
        match self {
            Needs::AtomicSleep => "DEBUG_ATOMIC_SLEEP",
            Needs::Lockdep => "PROVE_LOCKING",
            Needs::Userfaultfd => "USERFAULTFD",
            Needs::UserfaultfdWp | Needs::HugetlbUserfaultfd => "PTE_MARKER_UFFD_WP",
            Needs::HugePages | Needs::ShmemHugePages => "TRANSPARENT_HUGEPAGE",
            Needs::Hugetlb => "HUGETLBFS",
            Needs::Ksm => "KSM",
            Needs::Swap => "SWAP",
            Needs::WriteBack => "MINIX_FS",
            Needs::Uprobes => "UPROBE_EVENTS",
            Needs::MemoryFailure | Needs::HugetlbMemoryFailure => "MEMORY_FAILURE",
            Needs::Nodes => "NUMA_MIGRATION",
            Needs::TestHmm => "TEST_HMM",
            Needs::Dax => "DEV_DAX_PMEM",
            Needs::DirtyHelpers => "MN_INJECT_DIRTY",
        }
    }

    /// Reason for which a scenario is skipped on a kernel without the option; constant text.
    pub const fn reason(self) -> &'static str {
        match self {
            Needs::AtomicSleep => "needs CONFIG_DEBUG_ATOMIC_SLEEP",
            Needs::Lockdep => "needs CONFIG_PROVE_LOCKING, with lockdep on",
            Needs::Userfaultfd => "needs CONFIG_USERFAULTFD",
            Needs::UserfaultfdWp => "needs CONFIG_USERFAULTFD and CONFIG_PTE_MARKER_UFFD_WP",
            Needs::HugePages => "needs CONFIG_TRANSPARENT_HUGEPAGE, not set to never",
            Needs::ShmemHugePages => {
                "needs CONFIG_TRANSPARENT_HUGEPAGE, with advise in shmem_enabled"
            }
            Needs::Hugetlb => "needs two free huge pages of 2 MiB (nr_hugepages)",
            Needs::HugetlbUserfaultfd => {
                "needs two free huge pages of 2 MiB (nr_hugepages), and CONFIG_PTE_MARKER_UFFD_WP"
            }
            Needs::Ksm => "needs CONFIG_KSM, with 0 in /sys/kernel/mm/ksm/run",
            Needs::Swap => "needs CONFIG_SWAP, and swap space",
            Needs::WriteBack => "needs CONFIG_MINIX_FS, with such a file system on /var/tmp",
            Needs::Uprobes => "needs CONFIG_UPROBE_EVENTS",
            Needs::MemoryFailure => "needs CONFIG_MEMORY_FAILURE",
            Needs::HugetlbMemoryFailure => {
                "needs CONFIG_MEMORY_FAILURE, and two free huge pages of 2 MiB (nr_hugepages)"
            }
            Needs::Nodes => "needs CONFIG_NUMA_MIGRATION, and two nodes with memory",
            Needs::TestHmm => "needs CONFIG_TEST_HMM, with its devices",
            Needs::Dax => "needs CONFIG_DEV_DAX_PMEM, and a /dev/dax0.0 with pages of 1 GiB",
            Needs::DirtyHelpers => {
                "needs the module of tests/dirty, as with CONFIG_MN_INJECT_DIRTY of --config full"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_has_a_reason_of_its_own() {
        let reasons: HashSet<_> = Needs::ALL.iter().map(|needs| needs.reason()).collect();
        assert_eq!(reasons.len(), Needs::ALL.len());
        for needs in Needs::ALL {
            let reason = needs.reason();
            assert!(reason.starts_with("needs "), "{reason}");
            // That of hugetlbfs is a number, which a kernel with the option may not have either.
            let option = format!("CONFIG_{}", needs.option());
            assert!(
                reason.contains(&option) || needs == Needs::Hugetlb,
                "{reason}"
            );
        }
    }
}
