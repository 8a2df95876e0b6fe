// SPDX-License-Identifier: GPL-2.0

//! Errors for which not every kernel that this module is for has a constant.

use kernel::{
    bindings,
    prelude::*, //
};

/// `ENAMETOOLONG`.
pub(crate) fn name_too_long() -> Error {
    Error::from_errno(-(bindings::ENAMETOOLONG as c_int))
}

/// `EOPNOTSUPP`.
pub(crate) fn not_supported() -> Error {
    Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
}

/// `ESTALE`.
pub(crate) fn stale() -> Error {
    Error::from_errno(-(bindings::ESTALE as c_int))
}
