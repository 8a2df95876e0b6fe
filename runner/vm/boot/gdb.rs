// SPDX-License-Identifier: GPL-2.0

//! QEMU's stub for gdb: where it listens, and the command for gdb.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::vm::args::Gdb;
use crate::vm::build::kernel::Built;
use crate::vm::build::stage;

/// Parameter of the kernel with which it runs at the addresses that are in its file.
pub const APPEND: &str = "nokaslr";

/// The longest path of a socket (`sun_path` in `<linux/un.h>`, with its NUL).
const LONGEST: usize = 107;

/// A stub for gdb.
///
/// It listens on a socket in a directory that no other user may enter: it gives access to QEMU's
/// monitor, and so to all that this user may do. A TCP port would give that to all users.
#[derive(Debug)]
pub struct Stub {
    dir: TempDir,
    when: Gdb,
}

impl Stub {
    /// Makes the directory of the socket.
    ///
    /// # Errors
    ///
    /// It cannot be made, or its path is too long for a socket.
    pub fn new(when: Gdb) -> Result<Self> {
        Self::below(&std::env::temp_dir(), when)
    }

    fn below(parent: &Path, when: Gdb) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("mn-inject-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
        let stub = Stub { dir, when };
        let socket = stub.socket();
        if socket.as_os_str().len() > LONGEST {
            bail!(
                "{}: this path is too long for a socket; set TMPDIR to another directory",
                socket.display()
            );
        }
        Ok(stub)
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("gdb")
    }

    /// Whether the guest's first instruction waits for gdb.
    pub fn waits(&self) -> bool {
        self.when == Gdb::Wait
    }

    /// Text for the user: the command for gdb, and what to know of this kernel.
    pub fn advice(&self, built: &Built) -> Vec<String> {
        self.lines(&built.kernel, built.has("DEBUG_INFO"))
    }

    fn lines(&self, kernel: &Path, has_debug_info: bool) -> Vec<String> {
        let mut gdb = Command::new("gdb");
        let remote = format!("target remote {}", self.socket().display());
        gdb.arg(kernel).arg("-ex").arg(remote);
        let mut lines = vec![stage::describe(&gdb)];
        if self.waits() {
            lines.push(
                "the guest waits for it: `hbreak start_kernel`, then `continue`, for example"
                    .to_owned(),
            );
        }
        if !has_debug_info {
            lines.push(
                "this kernel has no debug info, so gdb knows functions, but neither lines nor types; \
                 --config-add CONFIG_DEBUG_INFO_DWARF5=y builds one that has it"
                    .to_owned(),
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_gdb_can_be_pasted() -> Result<()> {
        let stub = Stub::new(Gdb::Run)?;
        let lines = stub.lines(Path::new("/c d/vmlinux"), true);
        let socket = stub.socket();
        let due = format!(
            "gdb '/c d/vmlinux' -ex 'target remote {}'",
            socket.display()
        );
        assert_eq!(lines, [due]);
        Ok(())
    }

    #[test]
    fn a_guest_that_waits_and_a_kernel_without_debug_info_are_said() -> Result<()> {
        let stub = Stub::new(Gdb::Wait)?;
        let lines = stub.lines(Path::new("/vmlinux"), false);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains("hbreak"), "{lines:?}");
        assert!(lines[2].contains("CONFIG_DEBUG_INFO_DWARF5=y"), "{lines:?}");
        Ok(())
    }

    #[test]
    fn no_other_user_reaches_the_socket() -> Result<()> {
        let stub = Stub::new(Gdb::Run)?;
        let mode = stub.dir.path().metadata()?.permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        Ok(())
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let long = dir.path().join("x".repeat(LONGEST));
        std::fs::create_dir(&long)?;
        let text = format!("{:#}", Stub::below(&long, Gdb::Run).unwrap_err());
        assert!(text.contains("TMPDIR"), "{text}");
        assert_eq!(std::fs::read_dir(&long)?.count(), 0);
        Ok(())
    }
}
