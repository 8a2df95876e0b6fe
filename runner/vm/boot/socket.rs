// SPDX-License-Identifier: GPL-2.0

//! Sockets of QEMU, which only this user reaches.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The longest path of a socket (`sun_path` in `<linux/un.h>`, with its NUL).
const LONGEST: usize = 107;

/// Path of a socket, in a directory of its own that no other user may enter: QEMU's monitor gives
/// access to all that this user may do. A TCP port would give that to all users.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    _dir: TempDir,
}

impl Socket {
    /// Makes the directory.
    ///
    /// # Errors
    ///
    /// It cannot be made, or its path is too long for a socket.
    pub fn new(name: &str) -> Result<Self> {
        Self::below(&std::env::temp_dir(), name)
    }

    fn below(parent: &Path, name: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("mn-inject-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
        let path = dir.path().join(name);
        if path.as_os_str().len() > LONGEST {
            bail!(
                "{}: this path is too long for a socket; set TMPDIR to another directory",
                path.display()
            );
        }
        Ok(Socket { path, _dir: dir })
    }

    /// The socket. QEMU creates it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_user_reaches_the_socket() -> Result<()> {
        let socket = Socket::new("gdb")?;
        let dir = socket.path().parent().context("no directory")?;
        assert_eq!(dir.metadata()?.permissions().mode() & 0o777, 0o700);
        Ok(())
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let long = dir.path().join("x".repeat(LONGEST));
        std::fs::create_dir(&long)?;
        let text = format!("{:#}", Socket::below(&long, "gdb").unwrap_err());
        assert!(text.contains("TMPDIR"), "{text}");
        assert_eq!(std::fs::read_dir(&long)?.count(), 0);
        Ok(())
    }
}
