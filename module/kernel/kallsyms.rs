// SPDX-License-Identifier: GPL-2.0

//! Names of the kernel's functions.
//!
//! C header: [`include/linux/kallsyms.h`](srctree/include/linux/kallsyms.h)

use kernel::{
    bindings,
    prelude::*, //
};

/// Address in the kernel's code.
#[derive(Clone, Copy)]
pub(crate) struct Address(c_ulong);

/// Size of a buffer for `sprint_symbol()`: at least `KSYM_SYMBOL_LEN`, which helpers.c asserts.
const SYMBOL_LEN: usize = bindings::KSYM_NAME_LEN as usize + 256;

/// Text that the kernel prints for an address: `function+0xoffset/0xsize [module]`.
pub(crate) struct Symbol {
    text: [u8; SYMBOL_LEN],
    len: usize,
}

impl Address {
    /// Creates an address from a number.
    #[inline]
    pub(super) fn new(address: usize) -> Self {
        Address(address)
    }

    /// Looks up the symbol.
    #[cfg(CONFIG_KALLSYMS)]
    pub(crate) fn symbol(self) -> Symbol {
        let mut text = [0u8; SYMBOL_LEN];
        // SAFETY:
        // - The kernel writes `KSYM_SYMBOL_LEN` bytes at most, including the NUL.
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

    /// Returns the name of the function, or the address if it has none.
    pub(crate) fn function(&self) -> &str {
        let text = self.text();
        text.split(['+', ' ']).next().unwrap_or(text)
    }

    /// Returns whether the function is in the module of that name.
    pub(crate) fn is_in(&self, module: &str) -> bool {
        self.text()
            .rsplit_once(" [")
            .and_then(|(_, rest)| rest.split([' ', ']']).next())
            .is_some_and(|name| name == module)
    }
}
