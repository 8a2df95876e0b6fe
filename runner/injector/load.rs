// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};

use crate::injector::files::{FOLDER, is_there};
use crate::injector::line::errno_of;
use crate::model::MODULE_NAME;

/// Loads the module from a file, with these parameters.
///
/// # Errors
///
/// The errno of `open(2)` or of `finit_module(2)`. [`load_file`] tells the two apart.
pub fn load(path: &Path, parameters: &CStr) -> Result<(), Errno> {
    let file = File::open(path).map_err(|error| errno_of(&error))?;
    load_file(&file, parameters)
}

/// Loads the module from an open file, with these parameters.
///
/// # Errors
///
/// The errno of `finit_module(2)`.
pub fn load_file(file: &File, parameters: &CStr) -> Result<(), Errno> {
    finit_module(file, parameters, ModuleInitFlags::empty())
}

/// Unloads the module. Does not wait for its users, as rmmod does not.
///
/// # Errors
///
/// The errno of `delete_module(2)`: `EWOULDBLOCK` while the device is open, `ENOENT` if the module
/// is not loaded.
pub fn unload() -> Result<(), Errno> {
    // The name has no NUL.
    let name = CString::new(MODULE_NAME).map_err(|_| Errno::EINVAL)?;
    delete_module(&name, DeleteModuleFlags::O_NONBLOCK)
}

/// Checks that the module is not loaded. A run with a guard must check this before it tells the
/// guard that the module is the run's: the guard unloads it when the run is killed, and must not
/// unload a module that another process has loaded.
///
/// # Errors
///
/// The module is loaded.
pub fn demand_absent() -> Result<()> {
    if is_there() {
        bail!(
            "the module is loaded already; unload it (rmmod {MODULE_NAME}), or leave out --module"
        );
    }
    Ok(())
}

/// Checks that a file is the kernel module of that name, which kbuild writes into it.
///
/// # Errors
///
/// The file cannot be read, or is something else.
pub fn demand_file(path: &Path, name: &str) -> Result<()> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot open module {shown}"))?;
    if !bytes.starts_with(b"\x7fELF") {
        bail!("{shown} is no kernel module; one that is compressed must be unpacked first");
    }
    let entry = format!("name={name}\0");
    if !bytes.windows(entry.len()).any(|at| at == entry.as_bytes()) {
        bail!("{shown} is not the module {name}");
    }
    Ok(())
}

/// The module, loaded by this process. Unloaded when dropped.
#[derive(Debug)]
pub struct LoadedModule(());

impl LoadedModule {
    /// Loads the module from `path` with these parameters.
    ///
    /// # Errors
    ///
    /// It is loaded already, cannot be loaded, or debugfs is not mounted; or the file is another
    /// module.
    pub fn load(path: &Path, parameters: &CStr) -> Result<Self> {
        demand_absent()?;
        demand_file(path, MODULE_NAME)?;
        let file =
            File::open(path).with_context(|| format!("cannot open module {}", path.display()))?;
        load_file(&file, parameters).with_context(|| {
            format!(
                "the kernel does not take module {}: see the last lines of dmesg for why",
                path.display()
            )
        })?;
        let loaded = LoadedModule(());
        if !is_there() {
            bail!(
                "the module is loaded, but {FOLDER} is not there: mount debugfs on /sys/kernel/debug"
            );
        }
        Ok(loaded)
    }

    /// Leaves the module loaded.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        if let Err(errno) = unload() {
            eprintln!("mn-inject: cannot unload {MODULE_NAME}: {errno}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_another_module_or_none_is_told_from_the_module() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x.ko");
        let why = |content: &[u8]| -> Result<String> {
            std::fs::write(&path, content)?;
            let result = demand_file(&path, "mine");
            Ok(result.map_or_else(|error| format!("{error:#}"), |()| String::new()))
        };
        assert_eq!(why(b"\x7fELF...license=GPL\0name=mine\0")?, "");
        for other in [&b"name=mine2\0"[..], b"name=min\0", b"name=mine"] {
            let text = why(&[b"\x7fELF", other].concat())?;
            assert!(text.ends_with("x.ko is not the module mine"), "{text}");
        }
        let text = why(b"\x28\xb5\x2f\xfd name=mine\0")?;
        assert!(text.contains("unpacked first"), "{text}");
        std::fs::remove_file(&path)?;
        let text = format!("{:#}", demand_file(&path, "mine").unwrap_err());
        assert!(text.starts_with("cannot open module /"), "{text}");
        Ok(())
    }
}
