// SPDX-License-Identifier: GPL-2.0

//! The clock.
//!
//! C header: [`include/linux/ktime.h`](srctree/include/linux/ktime.h)

use kernel::bindings;

/// Returns the nanoseconds of the monotonic clock, which never goes back.
///
/// # Context
///
/// Never sleeps. Not for NMI context.
// Not `ktime_get_mono_fast_ns()`: that may go back a little when the clock is adjusted.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY:
    // - This may be called in any context but NMI, in which no notifier is called.
    let now = unsafe { bindings::ktime_get() };
    now as u64
}
