// SPDX-License-Identifier: GPL-2.0

//! Adds headers to the kernel's Rust bindings without a change of the source tree.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::vm::host::cache;

/// Path of the script in a build directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("mn-inject.bindgen")
}

/// Writes a script that stands for bindgen (`BINDGEN=`).
pub(super) fn write(dir: &Path, bindgen: &Path, headers: &[&str]) -> Result<()> {
    let path = path(dir);
    cache::write_if_changed(&path, script(bindgen, headers).as_bytes())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .map_err(|e| cache::explain(e, "cannot make executable", &path))
}

/// The last arguments of a call are those for clang, so the headers come behind those of the
/// command line of the compiler.
fn script(bindgen: &Path, headers: &[&str]) -> String {
    let includes: String = headers
        .iter()
        .map(|header| format!(" -include {header}"))
        .collect();
    format!(
        "#!/bin/sh\n\
         case \" $* \" in\n\
         *\"/rust/bindings/bindings_helper.h \"*) exec '{bindgen}' \"$@\"{includes} ;;\n\
         esac\n\
         exec '{bindgen}' \"$@\"\n",
        bindgen = bindgen.display()
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::vm::build::stage;

    #[test]
    fn only_the_bindings_of_the_kernel_get_the_headers() -> Result<()> {
        let dir = tempfile::tempdir()?;
        write(
            dir.path(),
            Path::new("/bin/echo"),
            &["linux/a.h", "linux/b.h"],
        )?;
        // By a shell: another thread may have forked while the file was open for writing.
        let call =
            |args: &[&str]| stage::output(Command::new("sh").arg(path(dir.path())).args(args));
        assert_eq!(
            call(&[
                "/t/rust/bindings/bindings_helper.h",
                "-o",
                "x",
                "--",
                "-Ia b"
            ])?
            .trim(),
            "/t/rust/bindings/bindings_helper.h -o x -- -Ia b -include linux/a.h -include linux/b.h"
        );
        assert_eq!(
            call(&["/t/rust/uapi/uapi_helper.h", "--", "-I."])?.trim(),
            "/t/rust/uapi/uapi_helper.h -- -I."
        );
        Ok(())
    }
}
