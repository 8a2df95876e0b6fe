// SPDX-License-Identifier: GPL-2.0

//! The callbacks of notifiers, by their names in the log.

/// The callback that was called.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    /// `invalidate_range_start`, `invalidate` or `invalidate_start`.
    Start,
    /// `invalidate_range_end`.
    End,
    /// `invalidate_finish`.
    #[cfg(mmu_interval_two_pass)]
    Finish,
    /// `clear_flush_young`.
    ClearFlushYoung,
    /// `clear_young`.
    ClearYoung,
    /// `test_young`.
    TestYoung,
    /// `arch_invalidate_secondary_tlbs`.
    SecondaryTlbs,
    /// `release`.
    Release,
    /// No callback: pages were found to have gone since the page table was read last.
    Lost,
}

impl Operation {
    /// Its name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Operation::Start => "start",
            Operation::End => "end",
            #[cfg(mmu_interval_two_pass)]
            Operation::Finish => "finish",
            Operation::ClearFlushYoung => "clear_flush_young",
            Operation::ClearYoung => "clear_young",
            Operation::TestYoung => "test_young",
            Operation::SecondaryTlbs => "arch_invalidate_secondary_tlbs",
            Operation::Release => "release",
            Operation::Lost => "lost",
        }
    }

    /// Whether it is called without an event.
    pub(crate) const fn has_no_event(self) -> bool {
        matches!(
            self,
            Operation::ClearFlushYoung
                | Operation::ClearYoung
                | Operation::TestYoung
                | Operation::SecondaryTlbs
                | Operation::Lost
        )
    }
}
