// SPDX-License-Identifier: GPL-2.0

//! QEMU's stub for gdb: where it listens, and the command for gdb.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::vm::args::Gdb;
use crate::vm::boot::socket::Socket;
use crate::vm::build::kernel::Built;
use crate::vm::build::stage;

/// Parameter of the kernel with which it runs at the addresses that are in its file.
pub const APPEND: &str = "nokaslr";

/// A stub for gdb. It gives access to QEMU's monitor.
#[derive(Debug)]
pub struct Stub {
    socket: Socket,
    when: Gdb,
}

impl Stub {
    /// Makes the directory of the socket.
    ///
    /// # Errors
    ///
    /// As [`Socket::new()`].
    pub fn new(when: Gdb) -> Result<Self> {
        let socket = Socket::new("gdb")?;
        Ok(Stub { socket, when })
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        self.socket.path()
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
}
