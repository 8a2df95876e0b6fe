// SPDX-License-Identifier: GPL-2.0

//! Which notifiers a process may have, and what these may return.

use mn_inject::model::NotifierKind;

/// What a target may be told to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayReturn {
    /// 0 only.
    Success,
    /// `-EAGAIN`.
    Again,
    /// Any errno.
    Any,
}

/// What may be done to a process. A refusal in non-blockable context, with an interval notifier
/// and a plain one that refuses on the same address space, leaves Linux waiting for ever when the
/// former is removed (`mn_hlist_invalidate_range_start` tells the interval tree nothing), so
/// the two never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Every kind of notifier, none of which ever refuses.
    Agreeing,
    /// Plain notifiers, which may refuse.
    Plain,
    /// Interval notifiers, which may refuse, and plain ones, which may not.
    Interval,
    /// Nothing at all.
    Untouched,
}

impl Class {
    /// What a notifier of that kind on such a process may return; [`None`] where it may not be
    /// there.
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
    fn an_interval_notifier_says_again_or_nothing() {
        for kind in [NotifierKind::Interval, NotifierKind::IntervalTwoPass] {
            assert_eq!(Class::Interval.may_return(kind), Some(MayReturn::Again));
            assert_eq!(Class::Agreeing.may_return(kind), Some(MayReturn::Success));
            assert_eq!(Class::Untouched.may_return(kind), None);
        }
    }
}
