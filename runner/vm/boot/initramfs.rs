// SPDX-License-Identifier: GPL-2.0

//! The initramfs of the guest: this program as `/init`, the module, and the options.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::vm::boot::protocol;
use crate::vm::boot::protocol::{EXTRA_MODULE, GuestOptions, MODULE};
use crate::vm::build::kernel::Built;
use crate::vm::build::{elf, stage};
use crate::vm::host::cache;

/// A cpio archive. The kernel unpacks its entries in order.
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;

impl Archive {
    /// Adds an entry; `mode` has its type and permissions. The directory of the entry must have
    /// been added before.
    fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len())
            .ok()
            .with_context(|| format!("{path} is too big for an initramfs"))?;
        self.files += 1;
        let header = cpio::newc::Builder::new(path.trim_start_matches('/'))
            .ino(self.files)
            .mode(mode)
            .nlink(1);
        let mut writer = header.write(&mut self.bytes, size);
        std::io::Write::write_all(&mut writer, content)?;
        writer.finish()?;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        cpio::newc::trailer(&mut self.bytes)?;
        Ok(self.bytes)
    }
}

/// Additional contents for a guest with a shell.
#[derive(Clone, Debug)]
pub struct Shell {
    /// Path of a statically linked busybox.
    pub busybox: PathBuf,
}

/// Applets of busybox without a link, as it would replace another file or is of no use.
const NOT_LINKED: &[&str] = &["init", "linuxrc", "busybox"];

/// The modules that were built, with their paths in the guest.
pub fn modules(built: &Built) -> Vec<(&'static str, &Path)> {
    let extra = built.extra.as_deref().map(|extra| (EXTRA_MODULE, extra));
    std::iter::once((MODULE, built.module.as_path()))
        .chain(extra)
        .collect()
}

/// Writes the archive to `dir`, and returns its path. The modules have their paths in the guest
/// with them.
///
/// # Errors
///
/// This program is linked dynamically, or a file cannot be read or written.
pub fn write(
    dir: &Path,
    options: &GuestOptions,
    modules: &[(&str, &Path)],
    shell: Option<&Shell>,
) -> Result<PathBuf> {
    let path = dir.join("initramfs");
    cache::write_atomically(&path, &build(options, modules, shell)?)?;
    Ok(path)
}

fn build(
    options: &GuestOptions,
    modules: &[(&str, &Path)],
    shell: Option<&Shell>,
) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in protocol::MOUNT_POINTS {
        archive.add(dir, DIRECTORY, &[])?;
    }
    let program = cache::read(Path::new("/proc/self/exe"))?;
    match elf::interpreter(&program) {
        Ok(None) => {}
        Ok(Some(interpreter)) => bail!(
            "this mn-inject is linked dynamically (it needs {interpreter}), but the guest has no C library. \
             Build it in the checkout, where .cargo/config.toml links it statically, and without RUSTFLAGS \
             in the environment, which would override that"
        ),
        Err(e) => {
            bail!("this program's own file is no ELF file that can be put into the guest: {e}")
        }
    }
    archive.add("/init", PROGRAM, &program)?;
    let text = serde_json::to_vec(options).context("cannot write the guest's options")?;
    archive.add(protocol::OPTIONS, FILE, &text)?;
    for (path, module) in modules {
        archive.add(path, FILE, &cache::read(module)?)?;
    }
    if let Some(shell) = shell {
        for dir in ["/bin", "/root", "/etc"] {
            archive.add(dir, DIRECTORY, &[])?;
        }
        archive.add("/bin/busybox", PROGRAM, &cache::read(&shell.busybox)?)?;
        archive.add("/bin/mn-inject", LINK, b"/init")?;
        let applets = stage::output(std::process::Command::new(&shell.busybox).arg("--list"))?;
        for applet in applets
            .split_whitespace()
            .filter(|name| !NOT_LINKED.contains(name))
        {
            archive.add(&format!("/bin/{applet}"), LINK, b"/bin/busybox")?;
        }
    }
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_contains_the_added_files() -> Result<()> {
        let mut archive = Archive::default();
        archive.add("/dir", DIRECTORY, &[])?;
        archive.add("/dir/file", FILE, b"abc")?;
        archive.add("/link", LINK, b"/dir/file")?;
        let bytes = archive.finish()?;
        let mut rest: &[u8] = &bytes;
        let mut entries = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest)?;
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut content)?;
            entries.push((
                reader.entry().name().to_owned(),
                reader.entry().mode(),
                content,
            ));
            rest = reader.finish()?;
        }
        assert_eq!(
            entries,
            [
                ("dir".to_owned(), DIRECTORY, vec![]),
                ("dir/file".to_owned(), FILE, b"abc".to_vec()),
                ("link".to_owned(), LINK, b"/dir/file".to_vec()),
            ]
        );
        Ok(())
    }
}
