// SPDX-License-Identifier: GPL-2.0

// The unsafe functions are not to be reached past the permission.
// error: E0603

use crate::abstractions::breach;
use kernel::mm::{Mm, MmWithUser};
use kernel::prelude::*;

fn with_users(mm: &Mm) -> Result<&MmWithUser> {
    let _ = breach::permit; // wrong
    Ok(unsafe { breach::pretend_users(mm) }) // wrong
    Ok(breach::permit()?.pretend_users(mm)) // right
}
