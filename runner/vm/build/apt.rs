// SPDX-License-Identifier: GPL-2.0

//! apt with a state of its own in the cache.
//!
//! The package lists and downloads of the machine's apt are not touched, and its configuration is
//! only read. apt verifies the signatures.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::vm::build::archive::Archive;
use crate::vm::build::stage;
use crate::vm::build::stage::Log;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::Task;
use crate::vm::host::signals::Interrupted;
use crate::vm::kernels::Packaged;

/// apt for one archive.
pub struct Apt {
    archive: Archive,
    /// Directory for the package lists and downloads.
    state: PathBuf,
}

impl Apt {
    /// Creates the directories of the state.
    pub fn new(archive: Archive, cache: &Cache) -> Result<Self> {
        let state = cache.dir("apt")?;
        for dir in ["lists/partial", "cache/archives/partial"] {
            cache::make_dir(&state.join(dir))?;
        }
        Ok(Apt { archive, state })
    }

    /// URI of the archive.
    pub fn uri(&self) -> &str {
        &self.archive.uri
    }

    /// Versions of a kernel in the archive, newest first, each with its suite.
    ///
    /// Reads the lists of the suites in the order of the table, and stops at a suite with a tested
    /// version, as the lists are long.
    ///
    /// # Errors
    ///
    /// No version was found, and the list of a suite could not be read.
    pub fn offers(
        &self,
        kernel: &Packaged,
        task: &Task<'_>,
        log: &mut Log,
    ) -> Result<Vec<(String, String)>> {
        let mut list = String::new();
        let mut found = Vec::new();
        let mut failed = None;
        for suite in kernel.suites {
            let before = list.len();
            list.push_str(&format!(
                "deb [signed-by={}] {} {suite} main\n",
                self.archive.signed_by, self.archive.uri
            ));
            cache::write_atomically(&self.state.join("sources.list"), list.as_bytes())?;
            task.note(&format!("apt-get update, {suite}"));
            let updated = stage::run(task, log, self.command("apt-get").arg("update"), |_| {});
            if let Err(e) = updated {
                if e.is::<Interrupted>() {
                    return Err(e);
                }
                // An archive does not have every suite; another one may have the kernel.
                task.line(&format!(
                    "the suite {suite} cannot be read; see {}",
                    log.path().display()
                ));
                failed = Some(e);
                list.truncate(before);
                continue;
            }
            let mut madison = self.command("apt-cache");
            found = table(&stage::output(madison.args(["madison", kernel.package]))?);
            let tested =
                |(version, _): &(String, String)| kernel.tested.contains(&version.as_str());
            if found.iter().any(tested) || (kernel.tested.is_empty() && !found.is_empty()) {
                break;
            }
        }
        match failed {
            Some(e) if found.is_empty() => Err(e),
            _ => Ok(found),
        }
    }

    /// Downloads a package to `dir`, which must exist, and returns the path of the file.
    pub fn download(
        &self,
        package: &str,
        version: &str,
        dir: &Path,
        task: &Task<'_>,
        log: &mut Log,
    ) -> Result<PathBuf> {
        let mut command = self.command("apt-get");
        // As root, apt downloads as another user, who may have no access to the cache.
        command
            .args(["-o", "APT::Sandbox::User=root", "download"])
            .arg(format!("{package}={version}"))
            .current_dir(dir);
        stage::run(task, log, &mut command, |_| {})?;
        only_file(dir, "deb")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = stage::tied(program, "TERM");
        stage::clean_environment(&mut command);
        for (name, path) in [
            ("Dir::Etc::sourcelist", self.state.join("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("Dir::State::Lists", self.state.join("lists")),
            ("Dir::Cache", self.state.join("cache")),
            ("Dir::State::status", "/dev/null".into()),
        ] {
            let mut option = OsString::from(name);
            option.push("=");
            option.push(path);
            command.arg("-o").arg(option);
        }
        command.args(["-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3"]);
        command
    }
}

fn only_file(dir: &Path, extension: &str) -> Result<PathBuf> {
    fs::read_dir(dir)
        .map_err(|e| cache::explain(e, "cannot read", dir))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .with_context(|| format!("apt-get left no .{extension} file in {}", dir.display()))
}

/// Parses the output of `apt-cache madison`: pairs of version and suite, newest first.
fn table(output: &str) -> Vec<(String, String)> {
    output
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('|').map(str::trim);
            let (_, version, place) = (columns.next()?, columns.next()?, columns.next()?);
            let suite = place.split_whitespace().nth(1)?.split('/').next()?;
            Some((version.to_owned(), suite.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_madison_is_parsed() {
        let output = " linux-source-7.3 | 7.3.4-1~bpo13+1 | http://x.invalid/debian trixie-backports/main amd64 Packages\n";
        assert_eq!(
            table(output),
            [("7.3.4-1~bpo13+1".to_owned(), "trixie-backports".to_owned())]
        );
    }
}
