// SPDX-License-Identifier: GPL-2.0

//! Memory for KUnit tests: additions to `kernel::kunit`.
//!
//! C header: [`include/kunit/test.h`](srctree/include/kunit/test.h)

use super::helpers;
use kernel::{
    bindings,
    current,
    error::to_result,
    mm::MmWithUser,
    prelude::*,
    sync::aref::ARef, //
};

/// Pages in the address space of the test that runs. It is torn down when the test ends.
pub(crate) struct Area {
    mm: ARef<MmWithUser>,
    start: usize,
}

impl Area {
    /// Maps anonymous memory of `len` bytes, which must be whole pages.
    ///
    /// # Context
    ///
    /// For the thread of a test only. May sleep.
    pub(crate) fn new(len: usize) -> Result<Self> {
        // SAFETY:
        // - This may be called by the thread of a test at any time.
        to_result(unsafe { bindings::kunit_attach_mm() })?;
        // SAFETY:
        // - The thread has an address space, since the call above.
        let start = unsafe { helpers::map_anonymous(len) };
        if let Ok(error) = i32::try_from(start as isize) {
            if error < 0 {
                return Err(Error::from_errno(error));
            }
        }
        Ok(Area {
            mm: current!().mm().ok_or(EINVAL)?.into(),
            start,
        })
    }

    /// Returns the address space.
    pub(crate) fn mm(&self) -> &MmWithUser {
        &self.mm
    }

    /// Returns the first address.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Unmaps pages that belong to it, from an `offset` in bytes.
    ///
    /// # Context
    ///
    /// For the thread of the test only. May sleep.
    pub(crate) fn unmap(&self, offset: usize, len: usize) -> Result {
        // SAFETY:
        // - Nothing but the test uses its address space.
        to_result(unsafe { bindings::vm_munmap(self.start.wrapping_add(offset), len) })
    }
}
