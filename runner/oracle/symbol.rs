// SPDX-License-Identifier: GPL-2.0

//! Symbols as `%pS` prints them.

use crate::model::{CALLBACK_SYMBOL, MODULE_NAME, PAIRED_SYMBOL};

/// The names of the module's callbacks that the kernel prints.
pub(super) const CALLBACKS: [&str; 2] = [CALLBACK_SYMBOL, PAIRED_SYMBOL];

/// A symbol of the kernel or of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol<'a> {
    /// The whole text.
    pub(super) text: &'a str,
    /// Name of the function; a bare address where the kernel found no name.
    pub(super) name: &'a str,
    /// Offset in the function; absent in the output of `%ps`.
    offset: Option<&'a str>,
    /// Name of the module; absent for the kernel's own functions.
    pub(super) module: Option<&'a str>,
}

impl<'a> Symbol<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (place, module) = match text.split_once(" [") {
            Some((place, module)) => (place, Some(module.strip_suffix(']')?)),
            None => (text, None),
        };
        let (name, offset) = match place.split_once('+') {
            Some((name, range)) => {
                let (offset, size) = range.split_once('/')?;
                is_hex(size).then_some(())?;
                (name, Some(offset))
            }
            None => (place, None),
        };
        let word = |word: &str| !word.is_empty() && !word.contains([' ', '[', ']']);
        (word(name) && offset.is_none_or(is_hex) && module.is_none_or(word)).then_some(Symbol {
            text,
            name,
            offset,
            module,
        })
    }

    /// Whether it is one of the module's callbacks, with any offset.
    pub(super) fn is_ours(&self) -> bool {
        CALLBACKS.contains(&self.name) && self.module == Some(MODULE_NAME)
    }

    /// Whether it is the callback of a notifier that has ends as well.
    pub(super) fn is_paired(&self) -> bool {
        self.name == PAIRED_SYMBOL
    }

    /// Whether the name or the module is right, so that it can be an altered symbol of a callback.
    pub(super) fn is_near_ours(&self) -> bool {
        CALLBACKS.contains(&self.name) || self.module == Some(MODULE_NAME)
    }

    /// Whether it has the offset 0: the first byte of the function.
    pub(super) fn is_at_start(&self) -> bool {
        self.offset == Some("0x0")
    }
}

fn is_hex(text: &str) -> bool {
    text.strip_prefix("0x")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}
