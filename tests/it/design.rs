// SPDX-License-Identifier: GPL-2.0

//! The documents against the tree and the program: files, paths, links, commands, options, messages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use mn_inject::cli::Cli;
use mn_inject::model::exit::Exit;
use mn_inject::oracle::mutants;
use mn_inject::scenario;
use mn_inject::vm::kernels;

use crate::layers::LAYERS;

/// The folders of which docs/design.md has every file.
const LISTED: &[&str] = &[
    "runner",
    "module",
    "tests/selftest",
    "tests/common",
    "tests/it",
    "tests/vm",
];

/// The document whose text is the program's.
const GENERATED: &str = "docs/contract.md";

/// Nouns whose number changes with every commit.
const GROWING: &[&str] = &[
    "scenarios",
    "passed",
    "failed",
    "skipped",
    "tests",
    "mutants",
    "lies",
    "cases",
    "known",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder, as paths from the root, without hidden files, objects and snapshots.
fn files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(current) = folders.pop() {
        let entries = fs::read_dir(&current).unwrap_or_else(|error| panic!("{folder}: {error}"));
        for entry in entries {
            let path = entry
                .unwrap_or_else(|error| panic!("{folder}: {error}"))
                .path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with('.') || name.ends_with(".o") || name == "snapshots" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(root()).unwrap_or(&path);
                files.push(path.display().to_string());
            }
        }
    }
    files
}

/// The documents, by path, with their text.
fn documents() -> Vec<(String, String)> {
    let mut paths = files("docs");
    paths.retain(|path| path.ends_with(".md"));
    paths.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned));
    assert!(paths.len() > 8, "{paths:?}");
    paths
        .into_iter()
        .map(|path| {
            let text = read(&path);
            (path, text)
        })
        .collect()
}

/// The text without pasted code.
fn prose(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("    "));
    lines.collect::<Vec<_>>().join("\n")
}

/// The texts between backticks, in the prose.
fn quoted(text: &str) -> Vec<String> {
    let prose = prose(text);
    let spans = prose.split('`').skip(1).step_by(2);
    spans.map(|span| span.replace('\n', " ")).collect()
}

#[test]
fn every_file_has_one_row_and_every_row_a_file() {
    let text = read("docs/design.md");
    let (_, table) = text.split_once("\n## Files\n").expect("no list of files");
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut listed = BTreeSet::new();
    let mut wrong = Vec::new();
    for (path, about) in rows {
        if about.trim_end_matches(" |").trim().is_empty() {
            wrong.push(format!("nothing is said of {path}"));
        }
        if !root().join(path).exists() {
            wrong.push(format!("there is no {path}"));
        } else if !listed.insert(path.to_owned()) {
            wrong.push(format!("two rows for {path}"));
        }
    }
    let files = LISTED.iter().flat_map(|folder| files(folder));
    let missing = files.filter(|file| !listed.contains(file));
    wrong.extend(missing.map(|file| format!("no row for {file}")));
    wrong.sort();
    assert!(wrong.is_empty(), "docs/design.md:\n{}", wrong.join("\n"));
    assert!(listed.len() > 100, "{}", listed.len());
}

#[test]
fn paths_in_documents_exist() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (document, text) in documents() {
        if document == GENERATED {
            continue;
        }
        for path in quoted(&text) {
            let is_path = ["runner/", "module/", "tests/", "docs/"]
                .iter()
                .any(|start| path.starts_with(start))
                && !path.contains([' ', '*', '{']);
            count += usize::from(is_path);
            if is_path && !root().join(&path).exists() {
                wrong.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "{count}");
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars();
    kept.filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| {
            if c == ' ' {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (document, text) in documents() {
        let folder = Path::new(&document).parent().unwrap_or(Path::new(""));
        for rest in prose(&text).split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else {
                continue;
            };
            if target.starts_with("https://") {
                continue;
            }
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => PathBuf::from(&document),
                file => folder.join(file),
            };
            count += 1;
            let there = fs::read_to_string(root().join(&path)).unwrap_or_default();
            let mut headings = there.lines().filter(|line| line.starts_with('#'));
            if there.is_empty() || !(part.is_empty() || headings.any(|h| anchor(h) == part)) {
                wrong.push(format!("{document}: {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "{count}");
}

/// A command line as words, as far as a shell would pass them.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            let outside = part.split_whitespace().take_while(|word| *word != ">");
            words.extend(outside.map(str::to_owned));
        }
    }
    words
}

/// Beginnings of command lines of `mn-inject`.
const INJECT: &[&str] = &[
    "cargo run --release -- ",
    "cargo run -- ",
    "sudo target/x86_64-unknown-linux-gnu/release/mn-inject ",
    "mn-inject ",
];

/// Beginnings of command lines of `mn-selftest`.
const SELFTEST: &[&str] = &["cargo run --release --bin mn-selftest -- ", "mn-selftest "];

/// The command lines of a program in a document, without the program's name.
fn commands(text: &str, starts: &[&str]) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let pasted = joined.lines().filter_map(|line| line.strip_prefix("    "));
    pasted
        .map(str::to_owned)
        .chain(quoted(text))
        .filter_map(|line| {
            let command = starts.iter().find_map(|start| line.strip_prefix(start));
            command.map(str::to_owned)
        })
        .collect()
}

#[test]
fn commands_in_documents_are_understood() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (document, text) in documents() {
        for command in commands(&text, INJECT) {
            let words = words(&command);
            count += 1;
            let is_file = |word: &&String| word.starts_with("tests/") || word.starts_with("docs/");
            for file in words.iter().filter(is_file) {
                assert!(
                    root().join(file).exists(),
                    "{document}: {command}: no {file}"
                );
            }
            let all = std::iter::once("mn-inject".to_owned()).chain(words);
            let understood = Cli::try_parse_from(all).map_or_else(
                |error| {
                    let incomplete = [
                        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                        ErrorKind::MissingSubcommand,
                        ErrorKind::MissingRequiredArgument,
                    ];
                    incomplete.contains(&error.kind())
                },
                |_| true,
            );
            if !understood {
                wrong.push(format!("{document}: {command}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 20, "{count}");
}

/// The second program is no library: it parses the words up to `--help`, and then does nothing.
#[test]
fn commands_of_the_selftest_are_understood() {
    let mut count = 0;
    for (document, text) in documents() {
        for command in commands(&text, SELFTEST) {
            count += 1;
            let output = Command::new(env!("CARGO_BIN_EXE_mn-selftest"))
                .args(words(&command))
                .arg("--help")
                .output()
                .expect("cannot start mn-selftest");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{document}: {command}: {stderr}");
        }
    }
    assert!(count > 5, "{count}");
}

#[test]
fn the_layers_are_those_of_the_test() {
    let text = read("docs/design.md");
    let (_, rest) = text.split_once("\n## Layers\n").expect("no layers");
    let (table, _) = rest.split_once("\n## ").expect("no section after them");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(rows, LAYERS.concat());
}

#[test]
fn the_report_of_mutants_has_its_version() {
    let title = format!(
        "\n# The JSON report of `vm mutants`, version {}\n",
        mutants::SCHEMA
    );
    assert!(read("docs/report.md").contains(&title), "{title}");
}

#[test]
fn every_option_of_vm_is_described() {
    let text = read("docs/vm.md");
    let cli = Cli::command();
    let vm = cli.find_subcommand("vm").expect("there is no vm");
    for name in [
        "run", "matrix", "mutants", "build", "shell", "floor", "clean",
    ] {
        assert!(
            text.contains(&format!("\n## `vm {name}`\n")),
            "vm {name} has no section"
        );
        let command = vm
            .find_subcommand(name)
            .unwrap_or_else(|| panic!("there is no vm {name}"));
        let options = command
            .get_arguments()
            .filter_map(|argument| argument.get_long());
        for option in options.filter(|option| *option != "help") {
            assert!(
                text.contains(&format!("`--{option}")),
                "vm {name} --{option}"
            );
        }
    }
}

#[test]
fn scenarios_in_documents_exist() {
    let names: Vec<String> = scenario::select(&[]).iter().map(|s| s.name()).collect();
    for (document, text) in documents() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-*".contains(c);
        for word in text.split(|c: char| !is_part(c)) {
            let bytes = word.as_bytes();
            if !matches!(bytes, [b'r', b'0'..=b'9', b'0'..=b'9', b'-', ..]) {
                continue;
            }
            let pattern = [word.to_owned()];
            let is_there = names.iter().any(|name| scenario::is_wanted(&pattern, name));
            assert!(is_there, "{document}: {word}");
        }
    }
}

#[test]
fn documents_count_nothing_that_grows() {
    let mut wrong = Vec::new();
    for (document, text) in documents() {
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.windows(2) {
            let number: u64 = pair[0].trim_matches(['(', ',']).parse().unwrap_or(0);
            let noun = pair[1].trim_matches(|c: char| !c.is_alphanumeric());
            if number > 0 && GROWING.contains(&noun) {
                wrong.push(format!("{document}: {number} {noun}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pasted_sources_are_tested_ones() {
    let mut count = 0;
    for (document, text) in documents() {
        for rest in text.split("linux-source-").skip(1) {
            let mut words = rest.split([' ', '\n']);
            let package = format!("linux-source-{}", words.next().unwrap_or_default());
            let version = words.next().unwrap_or_default().trim_end_matches(',');
            assert!(
                kernels::is_tested(&package, version),
                "{document}: {package} {version}"
            );
            count += 1;
        }
    }
    assert!(count > 2, "{count}");
}

#[test]
fn troubleshooting_quotes_the_program() {
    let sources: String = files("runner")
        .iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| read(path))
        .collect();
    // A string that goes on in the next line, without the space before it.
    let mut whole = String::new();
    for (index, part) in sources.split("\\\n").enumerate() {
        whole.push_str(if index == 0 { part } else { part.trim_start() });
    }
    let text = read("docs/troubleshooting.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut count = 0;
    for row in rows {
        let (cell, _) = row.split_once(" | ").expect("a row with one cell");
        for message in format!("`{cell}").split('`').skip(1).step_by(2) {
            for part in message.split("...").map(str::trim) {
                assert!(whole.contains(part), "nobody says {part:?}");
                count += 1;
            }
        }
    }
    assert!(count > 15, "{count}");
}

#[test]
fn the_readme_is_short_and_has_every_exit_code() {
    let text = read("README.md");
    assert!(text.lines().count() <= 200, "{}", text.lines().count());
    for exit in [
        Exit::Pass,
        Exit::Fail,
        Exit::Skip,
        Exit::Usage,
        Exit::Unavailable,
        Exit::NoVerdict,
        Exit::Interrupted,
    ] {
        assert!(text.contains(&format!("\n| {} | ", exit as u8)), "{exit:?}");
    }
    let [skip, abort] = [Exit::Untestable, Exit::Abort].map(|exit| exit as u8);
    assert!(text.contains(&format!("\n| {skip}, {abort} | ")));
    let bisecting = read("docs/vm.md");
    for exit in [
        Exit::Pass,
        Exit::Fail,
        Exit::Untestable,
        Exit::Abort,
        Exit::Interrupted,
    ] {
        let row = format!("\n| {} | ", exit.for_git_bisect() as u8);
        assert!(bisecting.contains(&row), "{exit:?}");
    }
}
