// SPDX-License-Identifier: GPL-2.0

//! Module information that `module!` has no keys for.

/// `test=Y`: a module for tests, which taints the kernel as such when it is loaded
/// (Documentation/admin-guide/tainted-kernels.rst).
#[link_section = ".modinfo"]
#[used]
static TEST: [u8; 7] = *b"test=Y\0";
