// SPDX-License-Identifier: GPL-2.0

//! Errors for which the `kernel` crate of Linux 7.2 has no constants.
//!
//! C headers: [`include/uapi/asm-generic/errno.h`](srctree/include/uapi/asm-generic/errno.h)

use kernel::{
    bindings,
    prelude::*, //
};

/// Returns `ENAMETOOLONG`.
pub(crate) fn name_too_long() -> Error {
    Error::from_errno(-(bindings::ENAMETOOLONG as c_int))
}

/// Returns `EOPNOTSUPP`.
pub(crate) fn not_supported() -> Error {
    Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
}

/// Returns `ESTALE`.
pub(crate) fn stale() -> Error {
    Error::from_errno(-(bindings::ESTALE as c_int))
}
