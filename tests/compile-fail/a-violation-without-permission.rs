// SPDX-License-Identifier: GPL-2.0

// Only a module that was loaded with breach=1 may violate contracts.
// error: E0423

use crate::abstractions::breach::{self, Unsound};
use kernel::prelude::*;

fn permission() -> Result<Unsound> {
    let _ = breach::permit; // wrong
    Ok(Unsound(())) // wrong
    breach::permit() // right
}
