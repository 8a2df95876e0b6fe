// SPDX-License-Identifier: GPL-2.0

//! Checks of the module's sources as text: `unsafe` stands in `module/kernel/` only, each with its
//! reasons, and the reference names every file.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder that may have unsafe code.
const ABSTRACTIONS: &str = "module/kernel";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join("module")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 10, "{sources:?}");
    sources
}

/// Whether a file is one of those that may have unsafe code.
fn is_abstraction(path: &Path) -> bool {
    path.starts_with(root().join(ABSTRACTIONS))
}

/// Returns a line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[test]
fn only_the_abstractions_have_bindings_and_unsafe_code() {
    let words = ["unsafe", "bindings::", "no_mangle", "extern \"C\""];
    let mut found = 0;
    for (path, text) in sources() {
        let hits = text
            .lines()
            .filter(|line| words.iter().any(|word| code(line).contains(word)))
            .count();
        if is_abstraction(&path) {
            found += hits;
        } else {
            assert_eq!(hits, 0, "{}", path.display());
        }
    }
    // If there are few, the words are wrong.
    assert!(found > 50);
}

#[test]
fn every_unsafe_has_a_list_of_reasons() {
    let mut blocks = 0;
    for (path, text) in sources() {
        let name = path.display();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = code(line);
            if !(code.contains("unsafe {") || code.contains("unsafe impl")) {
                continue;
            }
            blocks += 1;
            // The comment stands above the statement, of which this need not be the first line.
            let comment = lines[..index]
                .iter()
                .rposition(|line| line.trim() == "// SAFETY:")
                .unwrap_or_else(|| panic!("{name}:{}: no SAFETY above {line}", index + 1));
            assert!(
                index - comment < 14 && lines[comment + 1].trim().starts_with("// - "),
                "{name}:{}: no list of reasons right above {line}",
                index + 1
            );
        }
    }
    assert!(blocks > 30, "{blocks}");
}

#[test]
fn the_abstractions_know_nothing_of_the_test() {
    let own = ["breach.rs", "faulty.rs", "lib.rs"];
    let mut checked = 0;
    for (path, text) in sources() {
        if !is_abstraction(&path) || own.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        checked += 1;
        for line in text.lines().map(code) {
            let foreign = line.replace("crate::abstractions", "").contains("crate::")
                || ["breach", "faulty", "no_mangle"]
                    .iter()
                    .any(|word| line.contains(word));
            assert!(!foreign, "{}: {line}", path.display());
        }
    }
    assert!(checked > 10, "{checked}");
}

/// Names of the files of a target, from `module/files.rs` and `module/settings.rs`.
fn file_names() -> Vec<String> {
    let named = |file: &str, before: &str, folder: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let rests = text.split(before).skip(1);
        let literals = rests.filter_map(|rest| rest.trim_start().strip_prefix("c\""));
        literals
            .map(|rest| format!("{folder}{}", rest.split('"').next().unwrap()))
            .collect()
    };
    let mut names = named("module/files.rs", "name:", "");
    for (variant, folder) in [
        ("Target", ""),
        ("Fault", "fault/"),
        ("Effect", "effect/"),
        ("Breach", "breach/"),
    ] {
        let found = named("module/settings.rs", &format!("Folder::{variant},"), folder);
        assert!(!found.is_empty(), "{variant}");
        names.extend(found);
    }
    names.push("effect/error".to_owned());
    names.push("log".to_owned());
    names.push("actions/EVENT/error".to_owned());
    assert!(names.len() > 22, "{names:?}");
    names
}

#[test]
fn the_reference_and_the_help_name_every_file() {
    let reference = fs::read_to_string(root().join("docs/module.md")).unwrap();
    let help = fs::read_to_string(root().join("module/help.txt")).unwrap();
    for name in file_names() {
        let row = format!("| `targets/NAME/{name}` |");
        assert!(reference.contains(&row), "docs/module.md has no row {row}");
        let word = |text: &str| text.split_ascii_whitespace().any(|word| word == name);
        assert!(word(&help), "module/help.txt does not name {name}");
    }
}
