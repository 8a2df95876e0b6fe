// SPDX-License-Identifier: GPL-2.0

//! Kinds of targets, of which one has no notifier.

use mn_inject::model::NotifierKind;

/// A target's notifier; [`None`]: the address space is only held.
pub type Kind = Option<NotifierKind>;

/// With `invalidate_range_start` only.
pub const PLAIN: Kind = Some(NotifierKind::Plain);
/// With `invalidate_range_end` as well.
pub const PLAIN_END: Kind = Some(NotifierKind::PlainEnd);
/// An interval notifier.
pub const INTERVAL: Kind = Some(NotifierKind::Interval);
/// An interval notifier that is called in two passes.
pub const TWO_PASS: Kind = Some(NotifierKind::IntervalTwoPass);

/// All kinds of targets.
pub const KINDS: [Kind; 5] = [None, PLAIN, PLAIN_END, INTERVAL, TWO_PASS];

/// The module's word for it.
pub fn word(kind: Kind) -> &'static str {
    kind.map_or("none", NotifierKind::name)
}

/// Whether it is registered on a range of addresses, and can only succeed or return -EAGAIN.
pub fn is_interval(kind: Kind) -> bool {
    kind.is_some_and(NotifierKind::is_interval)
}

/// Whether a callback follows on its start.
pub fn has_ends(kind: Kind) -> bool {
    kind.is_some_and(NotifierKind::has_ends)
}
