// SPDX-License-Identifier: GPL-2.0

//! The Debian archive in the apt configuration of the machine.

use std::fs;
use std::path::PathBuf;

/// Keyring for an archive whose entry names no keyring file.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A Debian archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// URI as in the apt configuration.
    pub uri: String,
    /// Path of the keyring that signs its suites.
    pub signed_by: String,
}

impl Archive {
    /// Reads `/etc/apt/sources.list` and `/etc/apt/sources.list.d`, and returns the first entry of
    /// a Debian release.
    pub fn of_this_machine() -> Option<Self> {
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

    /// `signed_by` is the value of the option. A key in place of a path is replaced by
    /// [`KEYRING`].
    fn new(uri: &str, signed_by: Option<&str>) -> Self {
        Archive {
            uri: uri.to_owned(),
            signed_by: signed_by
                .filter(|path| path.starts_with('/') && !path.contains(char::is_whitespace))
                .unwrap_or(KEYRING)
                .to_owned(),
        }
    }
}

/// Whether a suite is a Debian release. An archive with one also has its backports; the archives of
/// security updates and of other vendors have not.
fn is_release(suite: &str) -> bool {
    ["bookworm", "trixie", "stable", "oldstable"].contains(&suite.trim_end_matches('/'))
}

/// Parses the one-line format: `deb [OPTION=VALUE ...] URI SUITE COMPONENT...`.
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
            .then(|| Archive::new(uri, signed_by))
    })
}

/// Parses the deb822 format: stanzas of `Field: value`, where a line that begins with whitespace
/// continues the value.
fn deb822(text: &str) -> Option<Archive> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .split(|line| line.trim().is_empty())
        .find_map(|stanza| {
            let has = |name: &str, wanted: &dyn Fn(&str) -> bool| {
                field(stanza, name).is_some_and(|value| value.split_whitespace().any(wanted))
            };
            let enabled = field(stanza, "Enabled").is_none_or(|value| {
                !["no", "false", "off", "0"].contains(&value.to_ascii_lowercase().as_str())
            });
            if !enabled
                || !has("Types", &|word| word == "deb")
                || !has("Suites", &is_release)
                || !has("Components", &|word| word == "main")
            {
                return None;
            }
            let uris = field(stanza, "URIs")?;
            let uri = uris.split_whitespace().next()?;
            Some(Archive::new(uri, field(stanza, "Signed-By").as_deref()))
        })
}

/// Value of a field in a stanza, with its continuation lines.
fn field(stanza: &[&str], wanted: &str) -> Option<String> {
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
    fn an_archive_is_found_in_one_line_entries() {
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
    fn an_archive_is_found_in_deb822_entries() {
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
}
