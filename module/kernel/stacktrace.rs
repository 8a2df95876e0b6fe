// SPDX-License-Identifier: GPL-2.0

//! Who called.
//!
//! C header: [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h)

use kernel::{
    bindings,
    prelude::*, //
};

/// How many frames are kept. The module's own come first, and are passed over when printed.
const FRAMES: usize = 12;

/// The first frames of a stack.
#[derive(Clone, Copy)]
pub(crate) struct Trace {
    frames: [c_ulong; FRAMES],
    len: usize,
}

impl Trace {
    /// No frames.
    pub(crate) const EMPTY: Trace = Trace {
        frames: [0; FRAMES],
        len: 0,
    };

    /// The stack of the caller. Neither sleeps nor allocates. Empty on a kernel without
    /// `CONFIG_STACKTRACE`.
    pub(crate) fn save() -> Self {
        let mut trace = Self::EMPTY;
        #[cfg(CONFIG_STACKTRACE)]
        {
            // SAFETY:
            // - The pointer is valid for writes of as many entries as are announced.
            let len = unsafe {
                bindings::stack_trace_save(trace.frames.as_mut_ptr(), FRAMES as c_uint, 0)
            };
            trace.len = len as usize;
        }
        trace
    }

    /// The frames, from the innermost.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Address> + '_ {
        self.frames
            .iter()
            .take(self.len)
            .map(|&frame| Address(frame))
    }
}

/// A place in the kernel's code.
#[derive(Clone, Copy)]
pub(crate) struct Address(c_ulong);

/// `KSYM_SYMBOL_LEN` (include/linux/kallsyms.h) rounded up: the name, and what is around it.
const SYMBOL_LEN: usize = bindings::KSYM_NAME_LEN as usize + 256;

/// The text that the kernel has for an address: `function+0xoffset/0xsize [module]`.
pub(crate) struct Symbol {
    text: [u8; SYMBOL_LEN],
    len: usize,
}

impl Address {
    /// Looks it up. Where the kernel has no names, the address is all there is.
    #[cfg(CONFIG_KALLSYMS)]
    pub(crate) fn symbol(self) -> Symbol {
        let mut text = [0u8; SYMBOL_LEN];
        // SAFETY:
        // - The kernel writes `KSYM_SYMBOL_LEN` bytes at most, the NUL included, and there is
        //   room for more.
        let len = unsafe { bindings::sprint_symbol(text.as_mut_ptr().cast(), self.0) };
        Symbol {
            text,
            len: usize::try_from(len).unwrap_or(0),
        }
    }
}

impl Symbol {
    fn text(&self) -> &str {
        let text = self.text.get(..self.len).unwrap_or(&[]);
        core::str::from_utf8(text).unwrap_or("?")
    }

    /// The function, or an address where it has no name.
    pub(crate) fn function(&self) -> &str {
        let text = self.text();
        text.split(['+', ' ']).next().unwrap_or(text)
    }

    /// Whether it is in the module of that name.
    pub(crate) fn is_in(&self, module: &str) -> bool {
        self.text()
            .rsplit_once(" [")
            .and_then(|(_, rest)| rest.split([' ', ']']).next())
            .is_some_and(|name| name == module)
    }
}
