// SPDX-License-Identifier: GPL-2.0

//! Classes of processes: the notifiers that a process may have, and the values these may return.

use mn_inject::model::NotifierKind;

/// Return values that a target may be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayReturn {
    /// 0 only.
    Success,
    /// `-EAGAIN`.
    Again,
    /// Any errno.
    Any,
}

/// Notifiers that a process may have. If a plain notifier fails in non-blockable context on an
/// address space that also has an interval notifier, removal of the interval notifier waits
/// forever: `mn_hlist_invalidate_range_start` does not end the invalidation for the interval tree.
/// So no class allows both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Notifiers of every kind, which return 0.
    Agreeing,
    /// Plain notifiers, which may return an error.
    Plain,
    /// Interval notifiers, which may return -EAGAIN, and plain ones, which return 0.
    Interval,
    /// No notifiers.
    Untouched,
}

impl Class {
    /// Values that a notifier of this kind may return on a process of this class. [`None`] if the
    /// process may not have one.
    pub const fn may_return(self, kind: NotifierKind) -> Option<MayReturn> {
        match (self, kind.is_interval()) {
            (Class::Agreeing, _) | (Class::Interval, false) => Some(MayReturn::Success),
            (Class::Plain, false) => Some(MayReturn::Any),
            (Class::Interval, true) => Some(MayReturn::Again),
            (Class::Plain, true) | (Class::Untouched, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusing_plain_notifier_never_meets_an_interval_notifier() {
        for class in [
            Class::Agreeing,
            Class::Plain,
            Class::Interval,
            Class::Untouched,
        ] {
            let refusing = NotifierKind::ALL
                .iter()
                .any(|&kind| !kind.is_interval() && class.may_return(kind) == Some(MayReturn::Any));
            let interval = NotifierKind::ALL
                .iter()
                .any(|&kind| kind.is_interval() && class.may_return(kind).is_some());
            assert!(!(refusing && interval), "{class:?}");
        }
    }

    #[test]
    fn an_interval_notifier_returns_eagain_or_0() {
        for kind in [NotifierKind::Interval, NotifierKind::IntervalTwoPass] {
            assert_eq!(Class::Interval.may_return(kind), Some(MayReturn::Again));
            assert_eq!(Class::Agreeing.may_return(kind), Some(MayReturn::Success));
            assert_eq!(Class::Untouched.may_return(kind), None);
        }
    }
}
