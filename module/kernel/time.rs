// SPDX-License-Identifier: GPL-2.0

//! The clock.
//!
//! C header: [`include/linux/ktime.h`](srctree/include/linux/ktime.h)

use kernel::{
    bindings,
    ffi::c_long, //
};

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

/// Sleeps for `nanos` nanoseconds, rounded up to jiffies, or until the current task is killed.
///
/// # Context
///
/// May sleep.
pub(crate) fn sleep_killable(nanos: u64) {
    // SAFETY:
    // - Any number may be converted.
    let jiffies = unsafe { bindings::nsecs_to_jiffies(nanos) }.saturating_add(1);
    // SAFETY:
    // - Where the caller may not sleep, the kernel complains, but memory stays safe.
    unsafe { bindings::schedule_timeout_killable(c_long::try_from(jiffies).unwrap_or(1)) };
}
