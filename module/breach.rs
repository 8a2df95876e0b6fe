// SPDX-License-Identifier: GPL-2.0

//! Leave to break more of the kernel's rules than a callback that fails does.

use crate::{
    abstractions::Unsound,
    module_parameters, //
};
use core::borrow::Borrow;
use kernel::prelude::*;

/// What a parameter was set to: some kernels give out a reference, and some the value.
pub(crate) fn parameter<T: Copy>(value: impl Borrow<T>) -> T {
    *value.borrow()
}

/// Asks whoever has loaded the module, by `breach`. Fails with `EPERM` where he has not agreed.
pub(crate) fn permit() -> Result<Unsound> {
    match parameter::<u8>(module_parameters::breach.value()) {
        0 => Err(EPERM),
        _ => Ok(Unsound::accepted()),
    }
}
