// SPDX-License-Identifier: GPL-2.0

//! Packaged kernel sources in the cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::vm::build::apt::Apt;
use crate::vm::build::archive::Archive;
use crate::vm::build::stage;
use crate::vm::build::stage::Log;
use crate::vm::build::toolchain::in_path;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::{Task, Ui};
use crate::vm::kernels::Packaged;

/// A source in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the package.
    pub package: String,
    /// Exact version of the package.
    pub version: String,
    /// Suite from which it was downloaded.
    pub suite: String,
}

impl Source {
    /// `PACKAGE VERSION`.
    pub fn name(&self) -> String {
        format!("{} {}", self.package, self.version)
    }

    /// Package and version in the form of a file name.
    pub fn id(&self) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        format!("{}_{}", self.package, self.version).replace(|c| !allowed(c), "-")
    }

    /// Path in the cache.
    pub fn dir(&self, cache: &Cache) -> PathBuf {
        cache.path("sources").join(self.id())
    }
}

/// Programs that fetch and unpack a package.
const APT: &[&str] = &["apt-get", "apt-cache", "dpkg-deb"];

/// File in the directory of a source, with its [`Source`] as JSON.
const STAMP: &str = "source.json";

/// Provides the source of a kernel, from the cache if possible.
///
/// # Errors
///
/// No archive has the source, a program failed, or
/// [`Interrupted`](crate::vm::host::signals::Interrupted).
pub fn provide(kernel: &Packaged, cache: &Cache, ui: &Ui) -> Result<Source> {
    if let Some(source) = present(cache, kernel)? {
        return Ok(source);
    }
    let _lock = cache.lock("sources", ui)?;
    // Another run may have fetched it while this one waited for the lock.
    match present(cache, kernel)? {
        Some(source) => Ok(source),
        None => fetch(kernel, cache, ui),
    }
}

/// The preferred source of a kernel in the cache. Sources in the cache are complete, as a rename
/// puts them there.
pub(super) fn present(cache: &Cache, kernel: &Packaged) -> Result<Option<Source>> {
    let dir = cache.path("sources");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(cache::explain(e, "cannot read", &dir)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let stamp = entry
            .map_err(|e| cache::explain(e, "cannot read", &dir))?
            .path()
            .join(STAMP);
        // No stamp, or one in the format of another version of this program.
        let Some(source) = fs::read(&stamp)
            .ok()
            .and_then(|text| serde_json::from_slice::<Source>(&text).ok())
        else {
            continue;
        };
        if source.package == kernel.package {
            found.push(source);
        }
    }
    // Newest first, as choose() expects.
    found.sort_by_key(|source| std::cmp::Reverse(numbers(&source.version)));
    let offers: Vec<_> = found
        .iter()
        .map(|source| (source.version.as_str(), source.suite.as_str()))
        .collect();
    let best = kernel.choose(&offers);
    Ok(best.map(|at| found.swap_remove(at)))
}

/// Numbers in a version, by which the versions of one package are sorted.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// Checks, before anything is installed or fetched, that the source of a kernel is in the cache or
/// can be fetched.
///
/// # Errors
///
/// Neither: this is not Debian, or its apt has no archive of Debian.
pub fn check(kernel: &Packaged, cache: &Cache) -> Result<()> {
    match present(cache, kernel)? {
        Some(_) => Ok(()),
        None => archive().map(drop),
    }
}

/// The archive from which sources are fetched.
fn archive() -> Result<Archive> {
    // Other systems may have one of these files without apt.
    let has_apt = APT.iter().all(|program| in_path(program).is_some());
    offered(Archive::of_this_machine().filter(|_| has_apt))
}

fn offered(archive: Option<Archive>) -> Result<Archive> {
    archive.context(
        "the packaged kernel sources are Debian's, and the apt of this machine has no Debian archive \
         (in /etc/apt/sources.list and /etc/apt/sources.list.d). On Debian, add one; elsewhere, \
         give a kernel tree of your own (7.2 or later) with --linux DIR, which all commands but \
         `matrix` and `mutants` take",
    )
}

/// Downloads and unpacks the source of a kernel.
fn fetch(kernel: &Packaged, cache: &Cache, ui: &Ui) -> Result<Source> {
    let archive = archive()?;
    let task = ui.begin("source", &format!("fetching {}", kernel.package));
    let mut log = Log::create(cache.path("logs/source.log"))?;
    let apt = Apt::new(archive, cache)?;
    let source = choose(kernel, &apt, &task, &mut log)?;

    let temp = cache.temp_dir()?;
    let download = temp.path().join("download");
    cache::make_dir(&download)?;
    task.note("downloading 170 MB");
    let package = apt.download(kernel.package, &source.version, &download, &task, &mut log)?;
    unpack(
        &task,
        &mut log,
        &package,
        temp.path(),
        &source,
        &source.dir(cache),
    )?;
    task.done(&format!("fetched {}", source.name()));
    Ok(source)
}

/// Chooses the version to fetch.
fn choose(kernel: &Packaged, apt: &Apt, task: &Task<'_>, log: &mut Log) -> Result<Source> {
    let offers = apt.offers(kernel, task, log)?;
    let pairs: Vec<_> = offers
        .iter()
        .map(|(version, suite)| (version.as_str(), suite.as_str()))
        .collect();
    let Some((version, suite)) = kernel.choose(&pairs).map(|at| pairs[at]) else {
        bail!(
            "[source] {} has no {} in {}; give a tree of your own with --linux DIR",
            apt.uri(),
            kernel.package,
            kernel.suites.join(", ")
        );
    };
    if !kernel.tested.contains(&version) {
        let tested = match kernel.tested {
            [] => "none".to_owned(),
            versions => versions.join(", "),
        };
        task.line(&format!(
            "{} {version} is not a version that this program was tested with ({tested})",
            kernel.package,
        ));
    }
    Ok(Source {
        package: kernel.package.to_owned(),
        version: version.to_owned(),
        suite: suite.to_owned(),
    })
}

/// Unpacks a source package in the directory `temp`, and moves the result to `to`.
fn unpack(
    task: &Task<'_>,
    log: &mut Log,
    package: &Path,
    temp: &Path,
    source: &Source,
    to: &Path,
) -> Result<()> {
    task.note("unpacking");
    // The package contains a tar archive with the sources. Neither is written to the disk.
    let script = r#"set -e
exec 3>"$3"
{ { dpkg-deb --fsys-tarfile "$1" || echo dpkg-deb >&3; } |
  { tar --extract --to-stdout --file=- "./usr/src/$2.tar.xz" || echo tar >&3; cat >/dev/null; } |
  { xz --decompress --stdout --threads=0 || echo xz >&3; } |
  tar --extract --file=- --no-same-owner --strip-components=1 --directory="$4"; }
"#;
    let whole = temp.join("whole");
    let tree = whole.join("linux");
    cache::make_dir(&tree)?;
    let failed = temp.join("failed");
    let mut command = stage::tied("sh", "TERM");
    command
        .args(["-c", script, "unpack"])
        .arg(package)
        .arg(&source.package)
        .arg(&failed)
        .arg(&tree);
    stage::run(task, log, &mut command, |_| {})?;
    let failed = fs::read_to_string(&failed).unwrap_or_default();
    if let Some(program) = failed.lines().next() {
        bail!(
            "[source] {program} failed on {}; see {}",
            package.display(),
            log.path().display()
        );
    }
    if !tree.join("Kconfig").exists() {
        bail!(
            "[source] {}: there is no kernel in it (Kconfig is missing); see {}",
            package.display(),
            log.path().display()
        );
    }
    cache::write_atomically(&whole.join(STAMP), &serde_json::to_vec_pretty(source)?)?;
    if let Some(parent) = to.parent() {
        cache::make_dir(parent)?;
    }
    fs::rename(&whole, to).map_err(|e| cache::explain(e, "cannot put the source to", to))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn without_an_archive_of_debian_the_way_out_is_named() {
        let text = format!("{:#}", offered(None).unwrap_err());
        assert!(text.contains("--linux DIR"), "{text}");
        assert!(text.contains("/etc/apt/sources.list.d"), "{text}");
    }

    #[test]
    fn versions_are_sorted_by_their_numbers() {
        assert!(numbers("7.2.12-1~bpo13+1") > numbers("7.2.9-1"));
        assert!(numbers("7.2.12-2") > numbers("7.2.12-1~bpo13+1"));
    }

    #[test]
    fn a_truncated_package_is_not_put_into_the_cache() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let ui = Ui::new();
        let source = Source {
            package: "linux-source-0.0".to_owned(),
            version: "0.0-1".to_owned(),
            suite: "none".to_owned(),
        };
        // A package with the layout of a kernel source, complete and truncated.
        let root = dir.path().join("root");
        cache::make_dir(&root.join("usr/src/linux-source-0.0"))?;
        cache::make_dir(&root.join("DEBIAN"))?;
        fs::write(
            root.join("usr/src/linux-source-0.0/Kconfig"),
            vec![b'x'; 100_000],
        )?;
        fs::write(
            root.join("DEBIAN/control"),
            "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x.invalid>\nDescription: x\n",
        )?;
        stage::output(
            Command::new("tar")
                .args(["-cJf", "linux-source-0.0.tar.xz", "linux-source-0.0"])
                .current_dir(root.join("usr/src")),
        )?;
        fs::remove_dir_all(root.join("usr/src/linux-source-0.0"))?;
        let whole = dir.path().join("whole.deb");
        stage::output(Command::new("dpkg-deb").arg("-b").arg(&root).arg(&whole))?;
        let truncated = dir.path().join("truncated.deb");
        let bytes = fs::read(&whole)?;
        fs::write(&truncated, &bytes[..bytes.len() * 2 / 3])?;

        let unpack_to = |package: &Path, to: &str| {
            let task = ui.begin("source", "test");
            let mut log = Log::create(dir.path().join("log"))?;
            let temp = tempfile::tempdir_in(dir.path())?;
            unpack(
                &task,
                &mut log,
                package,
                temp.path(),
                &source,
                &dir.path().join(to),
            )
        };
        assert!(unpack_to(&truncated, "truncated").is_err());
        assert!(!dir.path().join("truncated").exists());
        unpack_to(&whole, "good")?;
        assert!(dir.path().join("good/linux/Kconfig").exists());
        assert!(dir.path().join("good").join(STAMP).exists());
        Ok(())
    }
}
