// SPDX-License-Identifier: GPL-2.0

//! Random numbers.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use kernel::bindings;

/// Returns a random number below `ceiling`, which must not be 0.
///
/// # Context
///
/// Never sleeps.
#[inline]
pub(crate) fn random_below(ceiling: u32) -> u32 {
    // SAFETY:
    // - Any number may be passed; for 0 the result is not below it.
    unsafe { bindings::__get_random_u32_below(ceiling) }
}
