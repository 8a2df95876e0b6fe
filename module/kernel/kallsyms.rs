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

/// Longest name of a symbol in bytes, without the NUL.
pub(crate) const NAME_MAX: usize = bindings::KSYM_NAME_LEN as usize - 1;

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
        function_of(self.text())
    }

    /// Returns whether the function is in the module of that name.
    pub(crate) fn is_in(&self, module: &str) -> bool {
        module_of(self.text()).is_some_and(|name| name == module)
    }
}

/// Returns the name of the function in the text of a symbol.
fn function_of(text: &str) -> &str {
    text.split(['+', ' ']).next().unwrap_or(text)
}

/// Returns the name of the module in the text of a symbol.
fn module_of(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once(" [")?;
    rest.split([' ', ']']).next()
}

#[kunit_tests(mmu_notifier_inject_kallsyms)]
mod tests {
    use super::*;

    #[test]
    fn symbols_have_a_function_and_may_have_a_module() {
        for (text, function, module) in [
            ("copy_page_range+0x10/0x20", "copy_page_range", None),
            ("f.isra.0+0x0/0x1 [kvm]", "f.isra.0", Some("kvm")),
            ("f+0x0/0x1 [kvm 0123abcd]", "f", Some("kvm")),
            ("0xffffffffc0000000", "0xffffffffc0000000", None),
            ("", "", None),
        ] {
            assert_eq!(function_of(text), function);
            assert_eq!(module_of(text), module);
        }
    }
}
