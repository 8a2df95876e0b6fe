// SPDX-License-Identifier: GPL-2.0

//! Leave to break more of the kernel's rules than a callback that fails does.

use crate::{
    abstractions::{
        task,
        Unsound, //
    },
    module_parameters, //
};
use core::borrow::Borrow;
use kernel::prelude::*;

/// What a parameter was set to: some kernels give out a reference, and some the value.
pub(crate) fn parameter<T: Copy>(value: impl Borrow<T>) -> T {
    *value.borrow()
}

/// Whether the module was loaded with `breach=1`.
pub(crate) fn is_permitted() -> bool {
    parameter::<u8>(module_parameters::breach.value()) != 0
}

/// Returns the permission if the module was loaded with `breach=1`, or else `EPERM`. The kernel is
/// tainted from then on, so that a later oops is not taken for a real one.
pub(crate) fn permit() -> Result<Unsound> {
    if !is_permitted() {
        return Err(EPERM);
    }
    task::taint();
    Ok(Unsound::accepted())
}
