// SPDX-License-Identifier: GPL-2.0

//! Scripts: the scenarios that take several steps, each of which is one row here. The steps
//! themselves are in [`crate::observe`], and the outcome that is due of each in
//! [`crate::contract::steps`].

use NotifierKind::{Interval, Plain};

use crate::contract::outcome::StepOutcome;
use crate::contract::registration;
use crate::model::{End, NotifierKind, Registration, Way};
use crate::trigger::operation::Operation;

/// The steps of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// Begins a read side and ends it.
    Read,
    /// The same, with an invalidation in between; then once more without.
    ReadDisturbed,
    /// The same, with an invalidation of other addresses.
    ReadElsewhere,
    /// Begins a read side while a callback of the same invalidation sleeps, and another
    /// invalidation has begun and ended.
    ReadWaits,
    /// Registers a notifier while a callback sleeps, and removes another one.
    ChangeInInvalidation,
    /// A read side with a `process_mrelease(2)` in between that the same notifier refuses.
    ReadRefused,
    /// A read side with an invalidation in between in which the notifier fails in blockable
    /// context.
    ReadFailed,
    /// Looks at the pages while a start of an invalidation of them sleeps.
    PagesInStart,
    /// Looks at the pages while an end of an invalidation of them sleeps.
    PagesInEnd,
    /// The same in `process_mrelease(2)`, where the end waits without sleeping.
    PagesInEndOfReaping,
    /// A `process_mrelease(2)` that is refused for some pages, and reaps all others.
    ReapsOthers,
    /// Registers a notifier in some way, and removes it.
    Register(Registration),
    /// Registers a notifier with ends while a callback of an invalidation sleeps.
    RegisterWaits,
    /// Lets a victim go whose notifier has refused all attempts to reap it.
    LetGo,
    /// Ages pages until the notifier is asked about them.
    Age,
    /// Samples pages with DAMON until the notifier has been asked about them some times.
    Sample,
    /// The operation of the process, which makes its pages old.
    MakeOld,
    /// The operation of the process, which write-protects a page; then looks at those beside it.
    ProtectHole,
    /// Looks which pages the notifier is asked about before khugepaged collapses them.
    AskedBeforeCollapse,
    /// The same for the time after it has announced that.
    AskedAfterStart,
    /// Lets khugepaged scan folios of 64 KiB, none of which it can make larger.
    ScanCollapsed,
    /// Lets a callback remove its own notifier.
    RemoveInCallback,
    /// Records the callbacks of each notifier when the process exits.
    Exit,
    /// Truncates the file that the process has mapped, while the release at its exit sleeps.
    TruncateInRelease,
    /// Lets the process exit while the release of a notifier that is being removed sleeps.
    ExitInRemoval,
    /// The operation of the process, and nothing else.
    Operation,
}

impl Steps {
    /// Reason why User Mode Linux cannot have these steps.
    pub fn why_not_user_mode(self) -> Option<&'static str> {
        // It runs the kernel without preemption, so nothing else runs any more.
        const SPINS: &str = "User Mode Linux does not preempt a kernel that spins";
        match self {
            Steps::Register(registration)
                if registration::outcome(registration) == StepOutcome::CallerKilled =>
            {
                Some("a BUG stops User Mode Linux")
            }
            // The list of notifiers is a circle then.
            Steps::Register(Registration {
                way: Way::Twice, ..
            }) => Some(SPINS),
            Steps::PagesInEndOfReaping => Some(SPINS),
            // Runs there are the same each time.
            Steps::Sample => Some("DAMON samples addresses at random"),
            _ => None,
        }
    }
}

/// The death of the subject before the notifiers are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It is not killed.
    No,
    /// It is killed by the OOM killer, and stops on its way out with its memory whole.
    HeldAtExit,
    /// It is killed when it is set up, and stops on its way out with its memory whole, for
    /// `process_mrelease(2)`.
    KilledBefore,
}

/// The thread that makes the calls on the watched addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The subject itself.
    Subject,
    /// The helper: another process, which calls `process_mrelease(2)` or works on the subject.
    Helper,
    /// The runner's thread that writes to the module's files.
    Runner,
    /// The kernel thread of mm/oom_kill.c.
    OomReaper,
    /// The kernel thread of mm/ksm.c.
    Ksmd,
    /// The kernel thread of mm/khugepaged.c.
    Khugepaged,
    /// A kernel thread of kernel/workqueue.c.
    Worker,
}

/// A scenario of several steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The steps.
    pub steps: Steps,
    /// The operation for which the subject prepares its memory.
    pub operation: Operation,
    /// The death of the subject.
    pub death: Death,
    /// The thread that makes the calls on the watched addresses.
    pub caller: Caller,
    /// The state of the subject when its notifiers are removed.
    pub end: End,
    /// Whether the calls of `->release()` are counted while the notifiers are removed.
    pub counts_releases: bool,
    /// Whether the module must have been loaded with `breach=1`.
    pub needs_breach: bool,
    /// Whether it concerns other processes.
    pub is_for_disposable: bool,
}

/// A script in which the subject lives and carries out an operation.
const fn alive(steps: Steps, operation: Operation) -> Script {
    Script {
        steps,
        operation,
        death: Death::No,
        caller: Caller::Subject,
        end: End::There,
        counts_releases: false,
        needs_breach: false,
        is_for_disposable: false,
    }
}

/// A script in which the subject is reaped by `process_mrelease(2)`.
const fn reaped(steps: Steps) -> Script {
    Script {
        death: Death::KilledBefore,
        caller: Caller::Helper,
        ..alive(steps, Operation::Hold)
    }
}

/// A script in which khugepaged scans the subject's memory.
const fn collapsed(steps: Steps, operation: Operation) -> Script {
    Script {
        caller: Caller::Khugepaged,
        ..alive(steps, operation)
    }
}

/// A script that registers a notifier in some way.
const fn registers(kind: NotifierKind, way: Way, end: End) -> Script {
    let registration = Registration { kind, way };
    Script {
        end,
        needs_breach: registration::behaviour(registration).is_some(),
        ..alive(Steps::Register(registration), Operation::Hold)
    }
}

/// The scripts.
#[rustfmt::skip]
#[expect(missing_docs, reason = "a row says what it is")]
impl Script {
    pub const READ: Script = alive(Steps::Read, Operation::Hold);
    pub const READ_DISTURBED: Script = alive(Steps::ReadDisturbed, Operation::Dontneed);
    pub const READ_ELSEWHERE: Script = alive(Steps::ReadElsewhere, Operation::Dontneed);
    pub const READ_WAITS: Script = alive(Steps::ReadWaits, Operation::Dontneed);
    pub const READ_REFUSED: Script = reaped(Steps::ReadRefused);
    pub const READ_FAILED: Script = alive(Steps::ReadFailed, Operation::Dontneed);

    pub const PAGES_IN_START_OF_MUNMAP: Script = alive(Steps::PagesInStart, Operation::MunmapWhole);
    pub const PAGES_IN_START_OF_DONTNEED: Script = alive(Steps::PagesInStart, Operation::Dontneed);
    pub const PAGES_IN_END_OF_MUNMAP: Script = alive(Steps::PagesInEnd, Operation::MunmapWhole);
    pub const PAGES_IN_END_OF_DONTNEED: Script = alive(Steps::PagesInEnd, Operation::Dontneed);
    pub const PAGES_IN_END_OF_REAPING: Script = reaped(Steps::PagesInEndOfReaping);
    pub const REAPS_OTHERS: Script = reaped(Steps::ReapsOthers);

    pub const REGISTER_LOCKED: Script = registers(Plain, Way::Locked, End::There);
    pub const REGISTER_INTERVAL_LOCKED: Script = registers(Interval, Way::Locked, End::There);
    pub const REGISTER_UNLOCKED: Script = registers(Plain, Way::Unlocked, End::There);
    pub const REGISTER_RECURSIVE: Script = registers(Plain, Way::Recursive, End::Left);
    pub const REGISTER_INTERVAL_RECURSIVE: Script = registers(Interval, Way::Recursive, End::There);
    pub const REGISTER_IN_ATOMIC: Script = registers(Plain, Way::Atomic, End::There);
    /// The list of notifiers is a circle after that.
    pub const REGISTER_TWICE: Script = registers(Plain, Way::Twice, End::Left);
    pub const REGISTER_AFTER_EXIT: Script = registers(Plain, Way::AfterExit, End::Left);
    pub const REGISTER_INTERVAL_AFTER_EXIT: Script = registers(Interval, Way::AfterExit, End::Gone);

    pub const REGISTER_IN_CHILD: Script = Script {
        operation: Operation::HoldForked,
        ..registers(Plain, Way::Child, End::There)
    };

    pub const LET_GO: Script = Script {
        death: Death::HeldAtExit,
        caller: Caller::OomReaper,
        end: End::Gone,
        ..alive(Steps::LetGo, Operation::Hog)
    };
    pub const AGE: Script = Script {
        is_for_disposable: true,
        ..alive(Steps::Age, Operation::Hold)
    };
    pub const SAMPLE: Script = alive(Steps::Sample, Operation::Hold);
    pub const MAKE_COLD: Script = alive(Steps::MakeOld, Operation::Cold);
    pub const PROTECT_HOLE: Script = alive(Steps::ProtectHole, Operation::ScanHole);
    pub const CLEAR_REFERENCED: Script = alive(Steps::MakeOld, Operation::ClearReferenced);
    pub const ASKED_BEFORE_COLLAPSE: Script = collapsed(Steps::AskedBeforeCollapse, Operation::AllowHugeOld);
    pub const ASKED_AFTER_START: Script = collapsed(Steps::AskedAfterStart, Operation::AllowHugeOld);
    pub const SCAN_COLLAPSED: Script = collapsed(Steps::ScanCollapsed, Operation::FillHuge);
    pub const REGISTER_WAITS: Script = alive(Steps::RegisterWaits, Operation::Dontneed);
    pub const CHANGE_IN_INVALIDATION: Script = alive(Steps::ChangeInInvalidation, Operation::Dontneed);
    pub const REMOVE_IN_CALLBACK: Script = Script {
        end: End::Left,
        needs_breach: true,
        ..alive(Steps::RemoveInCallback, Operation::MunmapWhole)
    };
    pub const RELEASE_AT_EXIT: Script = Script {
        end: End::Gone,
        counts_releases: true,
        ..alive(Steps::Exit, Operation::Hold)
    };
    pub const TRUNCATED_IN_RELEASE: Script = Script {
        caller: Caller::Runner,
        end: End::Gone,
        ..alive(Steps::TruncateInRelease, Operation::Truncate)
    };
    pub const EXIT_IN_REMOVAL: Script = Script {
        end: End::Gone,
        ..alive(Steps::ExitInRemoval, Operation::Hold)
    };
    /// With an operation, whose callback shows whether the module counts as it should.
    pub const RELEASE_AT_REMOVAL: Script = Script {
        counts_releases: true,
        ..alive(Steps::Operation, Operation::Dontneed)
    };
}
