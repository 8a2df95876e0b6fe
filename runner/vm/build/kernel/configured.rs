// SPDX-License-Identifier: GPL-2.0

//! Whether a build directory is configured as asked, so that `make allnoconfig`, a quarter of the
//! time of a build that compiles one file, can be left out.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::vm::host::cache;
use crate::vm::host::key::Key;

/// File of a build directory with the state in which it was configured.
const STATE: &str = "mn-inject.configured";

/// List of the Kconfig files that the configuration follows from, made by kbuild for itself.
const INPUTS: &str = "include/config/auto.conf.cmd";

/// Whether the options that are asked for, the Kconfig files of the tree and `.config` are those of
/// the last successful build. The toolchain, which Kconfig asks as well, is part of the name of the
/// directory.
pub fn is_configured(dir: &Path, tree: &Path, asked: &str) -> bool {
    let noted = fs::read_to_string(dir.join(STATE)).ok();
    noted.is_some() && noted == state(dir, tree, asked)
}

/// Notes the state of a build directory after a successful build.
pub fn note(dir: &Path, tree: &Path, asked: &str) -> Result<()> {
    match state(dir, tree, asked) {
        Some(state) => cache::write_atomically(&dir.join(STATE), state.as_bytes()),
        // The next build configures it again.
        None => Ok(()),
    }
}

/// Hash of the state; nothing if one of its files cannot be read.
fn state(dir: &Path, tree: &Path, asked: &str) -> Option<String> {
    let mut key = Key::default()
        .part("asked", asked.as_bytes())
        .part("config", &fs::read(dir.join(".config")).ok()?);
    for file in inputs(&fs::read_to_string(dir.join(INPUTS)).ok()?) {
        let path = tree.join(&file);
        let meta = fs::metadata(&path).ok()?;
        let version = format!("{} {} {}", meta.size(), meta.mtime(), meta.mtime_nsec());
        key = key
            .part("file", path.as_os_str().as_encoded_bytes())
            .part("version", version.as_bytes());
    }
    Some(key.finish())
}

/// The files that the variable `deps_config` of a makefile lists.
fn inputs(makefile: &str) -> Vec<PathBuf> {
    let lines = makefile.lines();
    lines
        .skip_while(|line| !line.starts_with("deps_config :="))
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .map(|line| PathBuf::from(line.trim_end_matches('\\').trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEFILE: &str = "autoconfig := include/config/auto.conf\n\n\
        deps_config := \\\n\tKconfig \\\n\tmm/Kconfig\n\n$(autoconfig): $(deps_config)\n";

    #[test]
    fn the_inputs_are_the_listed_files() {
        assert_eq!(
            inputs(MAKEFILE),
            ["Kconfig", "mm/Kconfig"].map(PathBuf::from)
        );
        assert!(inputs("").is_empty());
    }

    #[test]
    fn any_change_of_an_input_or_of_the_result_takes_a_configuration() -> Result<()> {
        let temp = tempfile::tempdir()?;
        let (dir, tree) = (temp.path().join("build"), temp.path().join("tree"));
        let write = |path: &Path, text: &str| cache::write_atomically(path, text.as_bytes());
        let make = || {
            write(&dir.join(".config"), "CONFIG_A=y\n")?;
            write(&dir.join(INPUTS), MAKEFILE)?;
            write(&tree.join("Kconfig"), "config A\n")?;
            write(&tree.join("mm/Kconfig"), "config B\n")?;
            note(&dir, &tree, "CONFIG_A=y")
        };
        let holds = || is_configured(&dir, &tree, "CONFIG_A=y");

        assert!(!holds());
        // Without its list of inputs nothing is known of it.
        note(&dir, &tree, "CONFIG_A=y")?;
        assert!(!holds());
        make()?;
        assert!(holds());
        assert!(!is_configured(&dir, &tree, "CONFIG_A=n"));
        for (path, text) in [
            (dir.join(".config"), "CONFIG_A=n\n"),
            (dir.join(INPUTS), "deps_config := \\\n\tKconfig\n\n"),
            (tree.join("mm/Kconfig"), "config CC\n"),
        ] {
            make()?;
            assert!(holds());
            write(&path, text)?;
            assert!(!holds(), "{}", path.display());
        }
        // A change that leaves the size as it was.
        make()?;
        fs::File::open(tree.join("Kconfig"))?.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
        assert!(!holds());
        make()?;
        fs::remove_file(tree.join("mm/Kconfig"))?;
        assert!(!holds());
        Ok(())
    }
}
