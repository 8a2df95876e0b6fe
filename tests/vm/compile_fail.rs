// SPDX-License-Identifier: GPL-2.0

//! Wrong programs against the module's abstractions, which must not compile.
//!
//! A file in `tests/compile-fail/` is two programs: lines that end in `// wrong` are only part of
//! the wrong one, and lines that end in `// right` only of the right one. The right one must
//! compile, or the test of the wrong one would show nothing. A line `// error: E0001 E0002` has the
//! errors of the wrong one: the first must be reported, and others than these must not.

use std::collections::BTreeSet;

use crate::harness::{Ran, file, run};

/// File of the module to which the programs are added.
const HOST: &str = "module/example.rs";

/// Two programs.
struct Programs {
    name: String,
    text: String,
}

impl Programs {
    fn all() -> Vec<Self> {
        let entries =
            std::fs::read_dir(file("tests/compile-fail")).expect("cannot read the folder");
        let mut all: Vec<_> = entries
            .map(|entry| {
                let path = entry.expect("cannot read the folder").path();
                let name = path.file_stem().expect("a file without a name");
                Programs {
                    name: name.to_string_lossy().replace('-', "_"),
                    text: std::fs::read_to_string(&path).expect("cannot read a program"),
                }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(all.len() > 10, "{} programs", all.len());
        all
    }

    /// The program without the lines of the other one, as a module.
    fn without(&self, other: &str) -> String {
        let lines = self.text.lines();
        let kept: Vec<_> = lines.filter(|line| !line.ends_with(other)).collect();
        format!("mod {} {{\n{}\n}}\n", self.name, kept.join("\n"))
    }

    fn wrong(&self) -> String {
        self.without("// right")
    }

    fn right(&self) -> String {
        let right = self.without("// wrong");
        // The right one need not have lines of its own.
        assert_ne!(right, self.wrong(), "{}: nothing is wrong", self.name);
        right
    }

    /// The errors of the wrong program.
    fn errors(&self) -> Vec<&str> {
        let line = self.text.lines().find_map(|l| l.strip_prefix("// error: "));
        let errors: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
        assert!(!errors.is_empty(), "{} says no error", self.name);
        errors
    }
}

/// A patch that appends lines to [`HOST`].
fn appending(added: &str) -> String {
    let text = std::fs::read_to_string(file(HOST)).expect("cannot read the module");
    let lines: Vec<&str> = text.lines().collect();
    let (context, count) = (&lines[lines.len() - 3..], added.lines().count());
    let begin = lines.len() - 2;
    let mut patch = format!(
        "--- a/{HOST}\n+++ b/{HOST}\n@@ -{begin},3 +{begin},{} @@\n",
        3 + count
    );
    for line in context {
        patch += &format!(" {line}\n");
    }
    for line in added.lines() {
        patch += &format!("+{line}\n");
    }
    patch
}

/// Builds the module with these lines.
fn build_with(added: &str) -> Ran {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let path = dir.path().join("program.patch");
    std::fs::write(&path, appending(added)).expect("cannot write the patch");
    run(&["build", "--patch", &path.display().to_string()])
}

/// The compiler's messages: the log that a failed build names.
fn log(ran: &Ran) -> String {
    let (_, rest) = ran
        .stderr
        .rsplit_once("the whole log: ")
        .unwrap_or_else(|| panic!("no log is named: {ran}"));
    let path = rest.lines().next().unwrap_or_default();
    std::fs::read_to_string(path).expect("cannot read the log")
}

/// The codes of all errors, and the files in which they are. An error without a code has `?`.
fn errors(log: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut codes, mut files) = (BTreeSet::new(), BTreeSet::new());
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("error: aborting due to ") {
            continue;
        }
        let code = match line.strip_prefix("error") {
            Some(rest) if rest.starts_with(": ") => "?",
            Some(rest) => match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
                Some((code, _)) => code,
                None => continue,
            },
            None => continue,
        };
        codes.insert(code);
        let place = lines.next().unwrap_or_default().trim();
        let place = place.strip_prefix("--> ").unwrap_or("nowhere");
        files.insert(place.split(':').next().unwrap_or_default());
    }
    (codes, files)
}

#[test]
#[ignore = "full: 1 min"]
fn right_programs_compile() {
    let added: String = Programs::all().iter().map(Programs::right).collect();
    build_with(&added).expect(0, &[]);
}

#[test]
#[ignore = "full: 4 min"]
fn wrong_programs_do_not_compile() {
    for programs in Programs::all() {
        let ran = build_with(&programs.wrong());
        assert_eq!(ran.code, 69, "{}: {ran}", programs.name);
        let log = log(&ran);
        let (codes, files) = errors(&log);
        let expected = programs.errors();
        assert!(
            codes.contains(expected[0]) && codes.iter().all(|code| expected.contains(code)),
            "{}: {codes:?} instead of {expected:?}:\n{log}",
            programs.name
        );
        assert_eq!(files, BTreeSet::from([HOST]), "{}:\n{log}", programs.name);
    }
}
