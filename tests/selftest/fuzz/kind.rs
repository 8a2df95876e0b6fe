// SPDX-License-Identifier: GPL-2.0

//! Kinds of targets: those of notifiers, and one without a notifier.

use mn_inject::model::NotifierKind;

/// Kind of a target; [`None`]: it has no notifier and only holds the address space.
pub type Kind = Option<NotifierKind>;

/// A notifier with `invalidate_range_start` only.
pub const PLAIN: Kind = Some(NotifierKind::Plain);
/// A notifier with `invalidate_range_end` as well.
pub const PLAIN_END: Kind = Some(NotifierKind::PlainEnd);
/// A notifier with `invalidate_range_start` and the callbacks for page aging.
pub const PLAIN_YOUNG: Kind = Some(NotifierKind::PlainYoung);
/// A notifier with `arch_invalidate_secondary_tlbs`.
pub const SECONDARY_TLBS: Kind = Some(NotifierKind::SecondaryTlbs);
/// A notifier with `invalidate_range_end` and a copy of the page table.
pub const MIRROR: Kind = Some(NotifierKind::Mirror);
/// An interval notifier.
pub const INTERVAL: Kind = Some(NotifierKind::Interval);
/// An interval notifier that invalidates in two passes.
pub const TWO_PASS: Kind = Some(NotifierKind::IntervalTwoPass);

/// The kinds of targets whose range, if they have one, may be any.
pub const KINDS: [Kind; 7] = [
    None,
    PLAIN,
    PLAIN_END,
    PLAIN_YOUNG,
    SECONDARY_TLBS,
    INTERVAL,
    TWO_PASS,
];

/// Returns the module's word for the kind.
pub fn word(kind: Kind) -> &'static str {
    kind.map_or("none", NotifierKind::name)
}

/// Returns whether the notifier is registered on a range of addresses and can only succeed or return
/// -EAGAIN.
pub fn is_interval(kind: Kind) -> bool {
    kind.is_some_and(NotifierKind::is_interval)
}

/// Returns whether the notifier has a release.
pub fn has_release(kind: Kind) -> bool {
    kind.is_some_and(|kind| !kind.is_interval())
}

/// Returns whether a second callback follows the one at the start of an invalidation.
pub fn has_ends(kind: Kind) -> bool {
    kind.is_some_and(NotifierKind::has_ends)
}
