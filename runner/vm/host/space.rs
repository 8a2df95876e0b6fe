// SPDX-License-Identifier: GPL-2.0

//! Checks of the directories that a kernel is built in, for errors that would otherwise occur only
//! after minutes of downloading and building.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;

/// Size of a kernel source in bytes: 1.8 GB unpacked, and its package while it is unpacked.
pub const SOURCE: u64 = 9 << 28;

/// Size of the mirror of a kernel tree in bytes: 1.8 GB.
pub const MIRROR: u64 = 7 << 28;

/// Size in bytes of the first build of a kernel with the configuration of that name. Later builds in
/// the same directory add about 20 MB each.
pub fn of_build(config: &str) -> u64 {
    match config {
        // 413 MB, and 200 MB while bindgen is built.
        "core" => 3 << 28,
        // An estimate: the objects alone are larger.
        _ => 3 << 29,
    }
}

/// Checks that a kernel can be built in a directory. `advice` is the remedy if not.
///
/// # Errors
///
/// The path, or that behind symbolic links, has a colon or white space in it. The Makefile of Linux
/// ends with an error in such a source directory ("source directory cannot contain spaces or
/// colons"), and its rules fail in such a build directory.
pub fn check_path(path: &Path, advice: &str) -> Result<()> {
    let target = std::fs::canonicalize(path);
    for path in [Some(path), target.ok().as_deref()].into_iter().flatten() {
        let text = path.to_string_lossy();
        if text.contains(|c: char| c == ':' || c.is_ascii_whitespace()) {
            bail!(
                "{text:?}: no kernel can be built in a directory whose path has a colon or white \
                 space in it; {advice}"
            );
        }
    }
    Ok(())
}

/// Checks that the disk of a directory has enough free for a build. `advice` is a remedy besides
/// freeing some.
///
/// # Errors
///
/// It has not, or that cannot be found out.
pub fn check_room(dir: &Path, needed: u64, advice: &str) -> Result<()> {
    let disk = statvfs(dir)
        .with_context(|| format!("cannot find out how much is free in {}", dir.display()))?;
    match too_little(disk.blocks_available() * disk.fragment_size(), needed) {
        None => Ok(()),
        Some(shortage) => bail!(
            "the disk that holds {} has {shortage}. Free some, or {advice}",
            dir.display()
        ),
    }
}

/// The shortage in words, if there is one.
fn too_little(free: u64, needed: u64) -> Option<String> {
    // In tenths, rounded down and up: the first number is always the smaller one.
    let has = free.saturating_mul(10) >> 30;
    let takes = needed.saturating_mul(10).div_ceil(1 << 30);
    (free < needed).then(|| {
        format!(
            "{}.{} GiB free, and the first build of this kernel takes about {}.{} GiB",
            has / 10,
            has % 10,
            takes / 10,
            takes % 10
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_kbuild_cannot_use_is_an_error() -> Result<()> {
        for bad in ["/a b/c", "/a/b:c", "/a/b\tc", "/a/b\n"] {
            let error = check_path(Path::new(bad), "move it")
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
            assert!(error.ends_with("move it"), "{error}");
        }
        for good in ["/a/b", "/a-b_c.d/e~f", "/a,b/ö"] {
            check_path(Path::new(good), "move it")?;
        }
        Ok(())
    }

    #[test]
    fn a_link_to_a_path_that_kbuild_cannot_use_is_an_error() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (bad, link) = (dir.path().join("a b"), dir.path().join("link"));
        std::fs::create_dir(&bad)?;
        std::os::unix::fs::symlink(&bad, &link)?;
        let error = check_path(&link, "move it").unwrap_err().to_string();
        assert!(error.contains("a b"), "{error}");
        Ok(())
    }

    #[test]
    fn a_shortage_is_told_in_numbers() {
        const GIB: u64 = 1 << 30;
        assert_eq!(too_little(3 * GIB, 3 * GIB), None);
        assert_eq!(too_little(u64::MAX, 0), None);
        assert_eq!(
            too_little(3 * GIB - 1, 3 * GIB).unwrap(),
            "2.9 GiB free, and the first build of this kernel takes about 3.0 GiB"
        );
        assert!(too_little(0, GIB / 20).unwrap().contains("about 0.1 GiB"));
    }

    #[test]
    fn a_disk_that_is_too_small_is_an_error() -> Result<()> {
        let dir = tempfile::tempdir()?;
        check_room(dir.path(), 0, "move it")?;
        let error = check_room(dir.path(), u64::MAX, "move it").unwrap_err();
        let error = error.to_string();
        let path = dir.path().display().to_string();
        assert!(error.contains(&path), "{error}");
        assert!(error.ends_with("Free some, or move it"), "{error}");
        assert!(check_room(&dir.path().join("no-such"), 0, "").is_err());
        Ok(())
    }
}
