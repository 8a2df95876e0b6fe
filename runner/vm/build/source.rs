// SPDX-License-Identifier: GPL-2.0

//! Packaged kernel sources: fetched by apt, which verifies their signatures, with a state of its
//! own, so that the machine's apt configuration is only read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::vm::build::stage;
use crate::vm::build::stage::Log;
use crate::vm::host::cache;
use crate::vm::host::cache::Cache;
use crate::vm::host::progress::{Task, Ui};
use crate::vm::host::signals::Interrupted;
use crate::vm::kernels::Packaged;

/// Signs the suites where the machine's own configuration does not say what does.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A source in the cache, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the package.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// The suite it was fetched from.
    pub suite: String,
}

impl Source {
    /// `PACKAGE VERSION`.
    pub fn name(&self) -> String {
        format!("{} {}", self.package, self.version)
    }

    /// A word that can be part of a path.
    pub fn id(&self) -> String {
        let word: String = format!("{}_{}", self.package, self.version)
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        word
    }

    /// Where it is.
    pub fn dir(&self, cache: &Cache) -> PathBuf {
        cache.path("sources").join(self.id())
    }
}

/// The stamp in the directory of a source.
const STAMP: &str = "source.json";

/// The source of that kernel that is in the cache, or fetches it.
pub fn provide(kernel: &Packaged, cache: &Cache, ui: &Ui) -> Result<Source> {
    if let Some(source) = present(cache, kernel)? {
        return Ok(source);
    }
    let _lock = cache.lock("sources", ui)?;
    if let Some(source) = present(cache, kernel)? {
        return Ok(source);
    }
    fetch(kernel, cache, ui)
}

/// The best source of that package in the cache. Only whole ones are there: they are put there
/// by a rename.
fn present(cache: &Cache, kernel: &Packaged) -> Result<Option<Source>> {
    let dir = cache.path("sources");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(cache::explain(e, "cannot read", &dir)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let stamp = entry
            .map_err(|e| cache::explain(e, "cannot read", &dir))?
            .path()
            .join(STAMP);
        // No stamp, or one of another version of this program: not ours to judge.
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
    // The order of a directory is no order; apt's has the newest first.
    found.sort_by_key(|source| std::cmp::Reverse(numbers(&source.version)));
    let offers: Vec<_> = found
        .iter()
        .map(|source| (source.version.as_str(), source.suite.as_str()))
        .collect();
    let best = kernel.choose(&offers);
    Ok(best.map(|at| found.swap_remove(at)))
}

/// The numbers in a version, by which those of one package are ordered.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn fetch(kernel: &Packaged, cache: &Cache, ui: &Ui) -> Result<Source> {
    let archive = archive().context(
        "[source] found no Debian archive in /etc/apt/sources.list and /etc/apt/sources.list.d, \
         from which the kernel source could come; add one, or give a tree of your own with --linux DIR",
    )?;
    let task = ui.begin("source", &format!("fetching {}", kernel.package));
    let mut log = Log::create(cache.path("logs/source.log"))?;
    let state = cache.dir("apt")?;
    for dir in ["lists/partial", "cache/archives/partial"] {
        cache::make_dir(&state.join(dir))?;
    }
    let offers = offers(kernel, &archive, &state, &task, &mut log)?;
    let pairs: Vec<_> = offers
        .iter()
        .map(|(version, suite)| (version.as_str(), suite.as_str()))
        .collect();
    let Some((version, suite)) = kernel.choose(&pairs).map(|at| pairs[at]) else {
        bail!(
            "[source] {} has no {} in {}; give a tree of your own with --linux DIR",
            archive.uri,
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
    let source = Source {
        package: kernel.package.to_owned(),
        version: version.to_owned(),
        suite: suite.to_owned(),
    };

    let temp = cache.temp_dir()?;
    let download = temp.path().join("download");
    cache::make_dir(&download)?;
    task.note("downloading 170 MB");
    let mut command = apt("apt-get", &state);
    // As root apt would hand the download to a user who may not look into the cache.
    command
        .args(["-o", "APT::Sandbox::User=root", "download"])
        .arg(format!("{}={version}", kernel.package))
        .current_dir(&download);
    stage::run(&task, &mut log, &mut command, |_| {})?;
    let package = only_file(&download, "deb")?;
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

/// What the archive has of that kernel: version and suite, the newest first. Suites are asked in
/// their order, and none after the one that has what we want: their lists are long.
fn offers(
    kernel: &Packaged,
    archive: &Archive,
    state: &Path,
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
            archive.signed_by, archive.uri
        ));
        cache::write_atomically(&state.join("sources.list"), list.as_bytes())?;
        task.note(&format!("apt-get update, {suite}"));
        let updated = stage::run(task, log, apt("apt-get", state).arg("update"), |_| {});
        if let Err(e) = updated {
            if e.is::<Interrupted>() {
                return Err(e);
            }
            // Suites come and go; another one may still have it.
            task.line(&format!(
                "the suite {suite} cannot be read; see {}",
                log.path().display()
            ));
            failed = Some(e);
            list.truncate(before);
            continue;
        }
        let table = stage::output(apt("apt-cache", state).args(["madison", kernel.package]))?;
        found = madison(&table);
        let tested = |(version, _): &(String, String)| kernel.tested.contains(&version.as_str());
        if found.iter().any(tested) || (kernel.tested.is_empty() && !found.is_empty()) {
            break;
        }
    }
    match failed {
        Some(e) if found.is_empty() => Err(e),
        _ => Ok(found),
    }
}

/// Unpacks the source package in `temp`, and moves the whole to `to`.
fn unpack(
    task: &Task<'_>,
    log: &mut Log,
    package: &Path,
    temp: &Path,
    source: &Source,
    to: &Path,
) -> Result<()> {
    task.note("unpacking");
    // The archive in the package's archive: neither is ever written to the disk.
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

fn only_file(dir: &Path, extension: &str) -> Result<PathBuf> {
    fs::read_dir(dir)
        .map_err(|e| cache::explain(e, "cannot read", dir))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .with_context(|| format!("apt-get left no .{extension} file in {}", dir.display()))
}

/// apt with a state of its own in `state`.
fn apt(program: &str, state: &Path) -> Command {
    let mut command = stage::tied(program, "TERM");
    stage::clean_environment(&mut command);
    for (name, path) in [
        ("Dir::Etc::sourcelist", state.join("sources.list")),
        ("Dir::Etc::sourceparts", "/dev/null".into()),
        ("Dir::State::Lists", state.join("lists")),
        ("Dir::Cache", state.join("cache")),
        ("Dir::State::status", "/dev/null".into()),
    ] {
        let mut option = std::ffi::OsString::from(name);
        option.push("=");
        option.push(path);
        command.arg("-o").arg(option);
    }
    command.args(["-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3"]);
    command
}

/// The table that `apt-cache madison` prints: (version, suite), newest first.
fn madison(table: &str) -> Vec<(String, String)> {
    table
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('|').map(str::trim);
            let (_, version, place) = (columns.next()?, columns.next()?, columns.next()?);
            let suite = place.split_whitespace().nth(1)?.split('/').next()?;
            Some((version.to_owned(), suite.to_owned()))
        })
        .collect()
}

/// An archive of Debian that the machine uses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Archive {
    uri: String,
    signed_by: String,
}

/// The machine's own archive.
fn archive() -> Option<Archive> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    files.iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "list" => one_line(&text),
            "sources" => deb822(&text),
            _ => None,
        }
    })
}

/// Whether a suite is a Debian release itself. Its archive has the backports, too; those of
/// security updates and of other vendors have not.
fn is_release(suite: &str) -> bool {
    ["bookworm", "trixie", "stable", "oldstable"].contains(&suite.trim_end_matches('/'))
}

/// From the one-line format: `deb [OPTION=VALUE ...] URI SUITE COMPONENT...`.
fn one_line(text: &str) -> Option<Archive> {
    text.lines().find_map(|line| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb")?;
        let rest = rest
            .starts_with(char::is_whitespace)
            .then(|| rest.trim_start())?;
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        (is_release(suite) && words.any(|component| component == "main"))
            .then(|| new_archive(uri, signed_by))
    })
}

/// From the deb822 format: stanzas of `Field: value`, continued by leading blanks.
fn deb822(text: &str) -> Option<Archive> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .split(|line| line.trim().is_empty())
        .find_map(|stanza| {
            let field = |wanted: &str| -> Option<String> {
                let mut value: Option<String> = None;
                for line in stanza {
                    if line.starts_with(char::is_whitespace) {
                        if let Some(value) = &mut value {
                            value.push('\n');
                            value.push_str(line.trim());
                        }
                        continue;
                    }
                    if value.is_some() {
                        break;
                    }
                    let (name, rest) = line.split_once(':')?;
                    if name.eq_ignore_ascii_case(wanted) {
                        value = Some(rest.trim().to_owned());
                    }
                }
                value
            };
            let has = |name: &str, wanted: &dyn Fn(&str) -> bool| {
                field(name).is_some_and(|value| value.split_whitespace().any(wanted))
            };
            let enabled = field("Enabled").is_none_or(|value| {
                !["no", "false", "off", "0"].contains(&value.to_ascii_lowercase().as_str())
            });
            if !enabled
                || !has("Types", &|word| word == "deb")
                || !has("Suites", &is_release)
                || !has("Components", &|word| word == "main")
            {
                return None;
            }
            let uri = field("URIs")?.split_whitespace().next()?.to_owned();
            Some(new_archive(&uri, field("Signed-By").as_deref()))
        })
}

/// An archive; a key that is written out in the configuration gives way to the stock keyring.
fn new_archive(uri: &str, signed_by: Option<&str>) -> Archive {
    Archive {
        uri: uri.to_owned(),
        signed_by: signed_by
            .filter(|path| path.starts_with('/') && !path.contains(char::is_whitespace))
            .unwrap_or(KEYRING)
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uri: &str, signed_by: &str) -> Option<Archive> {
        Some(Archive {
            uri: uri.to_owned(),
            signed_by: signed_by.to_owned(),
        })
    }

    #[test]
    fn the_archive_is_read_from_one_line_entries() {
        let text = "# deb http://a.invalid/debian bookworm main\n\
            deb-src http://b.invalid/debian bookworm main\n\
            deb http://c.invalid/security bookworm-security main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://d.invalid/debian bookworm contrib main # x\n";
        assert_eq!(one_line(text), found("http://d.invalid/debian", "/k.gpg"));
        let text = "deb mirror+file:/etc/mirrors trixie main\n";
        assert_eq!(one_line(text), found("mirror+file:/etc/mirrors", KEYRING));
        assert_eq!(
            one_line("deb http://e.invalid/x bookworm contrib\ndeb\n"),
            None
        );
    }

    #[test]
    fn the_archive_is_read_from_deb822_entries() {
        let text = "Types: deb\nURIs: http://a.invalid/debian-security\n\
            Suites: bookworm-security\nComponents: main\n\n\
            # why\nTypes: deb deb-src\nURIs: http://b.invalid/debian\n# a comment\n\
            Suites: bookworm bookworm-updates\nComponents: main\n\
            Signed-By: /usr/share/keyrings/x.gpg\n";
        assert_eq!(
            deb822(text),
            found("http://b.invalid/debian", "/usr/share/keyrings/x.gpg")
        );
        let text =
            "Enabled: no\nTypes: deb\nURIs: http://c.invalid/\nSuites: trixie\nComponents: main\n";
        assert_eq!(deb822(text), None);
        let text = "Types: deb\nURIs:\n http://d.invalid/\n http://e.invalid/\nSuites: trixie\n\
            Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n";
        assert_eq!(deb822(text), found("http://d.invalid/", KEYRING));
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        assert!(numbers("7.2.12-1~bpo13+1") > numbers("7.2.9-1"));
        assert!(numbers("7.2.12-2") > numbers("7.2.12-1~bpo13+1"));
    }

    #[test]
    fn madison_is_read() {
        let table = " linux-source-7.3 | 7.3.4-1~bpo13+1 | http://x.invalid/debian trixie-backports/main amd64 Packages\n";
        assert_eq!(
            madison(table),
            [("7.3.4-1~bpo13+1".to_owned(), "trixie-backports".to_owned())]
        );
    }

    #[test]
    fn an_interrupted_unpacking_is_never_taken_for_a_whole_one() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let ui = Ui::new();
        let source = Source {
            package: "linux-source-0.0".to_owned(),
            version: "0.0-1".to_owned(),
            suite: "none".to_owned(),
        };
        // A package of that shape, whole and cut short.
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
        let cut = dir.path().join("cut.deb");
        let bytes = fs::read(&whole)?;
        fs::write(&cut, &bytes[..bytes.len() * 2 / 3])?;

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
        assert!(unpack_to(&cut, "cut").is_err());
        assert!(!dir.path().join("cut").exists());
        unpack_to(&whole, "good")?;
        assert!(dir.path().join("good/linux/Kconfig").exists());
        assert!(dir.path().join("good").join(STAMP).exists());
        Ok(())
    }
}
