// SPDX-License-Identifier: GPL-2.0

//! Messages in the kernel's log.
//!
//! C header: [`include/linux/printk.h`](srctree/include/linux/printk.h)

use kernel::bindings;

/// Prints the stack of the caller.
pub(crate) fn dump_stack() {
    // SAFETY:
    // - This may be called in any context.
    unsafe { bindings::dump_stack() };
}
