// SPDX-License-Identifier: GPL-2.0

//! Stack traces.
//!
//! C header: [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h)

use super::kallsyms::Address;
use kernel::prelude::*;

/// Frames of the functions that save a trace. The kernel leaves them out, but for
/// `save_stack_trace()` of arch/um, which records itself and its caller whatever it is to skip.
const SAVING: usize = if cfg!(CONFIG_UML) { 2 } else { 0 };

/// The innermost frames of a stack, `FRAMES` at most.
#[derive(Clone, Copy)]
pub(crate) struct Trace<const FRAMES: usize> {
    frames: [c_ulong; FRAMES],
    len: usize,
}

impl<const FRAMES: usize> Trace<FRAMES> {
    /// A trace without frames.
    pub(crate) const EMPTY: Self = Trace {
        frames: [0; FRAMES],
        len: 0,
    };

    /// Saves the stack of the caller. It is empty if the kernel lacks `CONFIG_STACKTRACE`.
    ///
    /// # Context
    ///
    /// Neither sleeps nor allocates.
    pub(crate) fn save() -> Self {
        let mut trace = Self::EMPTY;
        #[cfg(CONFIG_STACKTRACE)]
        {
            // SAFETY:
            // - The pointer is valid for writes of as many entries as are passed.
            let len = unsafe {
                kernel::bindings::stack_trace_save(trace.frames.as_mut_ptr(), FRAMES as c_uint, 0)
            };
            trace.len = len as usize;
        }
        trace
    }

    /// Returns the addresses of the calls, from the innermost.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Address> + '_ {
        // A frame is a return address: behind a call of a function that never returns there may be
        // the next function (see `sprint_backtrace()`, which modules cannot call).
        self.frames
            .iter()
            .take(self.len)
            .skip(SAVING)
            .map(|&frame| Address::new(frame.wrapping_sub(1)))
    }
}
