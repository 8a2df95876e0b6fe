// SPDX-License-Identifier: GPL-2.0

//! Layers of `runner/`: no module imports one of a higher layer, and no files import each other in a
//! circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules by layer, the lowest layer first. A file imports only from its own layer and from those
/// before it in this table.
pub const LAYERS: &[&[&str]] = &[
    &["os"],
    &["kmsg"],
    &["model"],
    &["contract"],
    &["injector"],
    &["trigger"],
    &["scenario"],
    &["coverage"],
    &["oracle"],
    &["report"],
    &["observe"],
    &["suite"],
    &["vm::kernels"],
    &["vm::arch"],
    &["vm::config_line"],
    &["vm::args"],
    &["vm::host"],
    &["vm::build"],
    &["vm::boot"],
    &["guest"],
    &["vm::commands"],
    &["vm"],
    &["cli"],
    &["lib"],
];

/// Imports that break the rule: from, to, and the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Text of the source files by module path, such as `vm::boot::qemu`.
type Sources = BTreeMap<String, String>;

/// For each file, the files that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("runner");
    let mut sources = Sources::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("cannot read runner/") {
            let path = entry.expect("cannot read runner/").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("cannot read a source file");
                sources.insert(module(&root, &path), text);
            }
        }
    }
    // main.rs uses the library from outside.
    sources.remove("main");
    sources
}

fn module(root: &Path, path: &Path) -> String {
    let inside: PathBuf = path
        .strip_prefix(root)
        .expect("not in runner/")
        .with_extension("");
    let names: Vec<String> = inside
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    names.join("::")
}

/// Returns the code without comments and without unit tests, which may import anything.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end].lines();
    let lines = lines.map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns all paths to modules in the code of a file, from the root of the crate, with braces
/// expanded. The re-exports of a `mod.rs` are not among them, as they only give a name another path.
fn paths(module: &str, code: &str, sources: &Sources) -> Vec<String> {
    let code = without_re_exports(code);
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let child = |name: &str| [module, name].join("::");
    let mut starts = vec![("crate".to_owned(), String::new())];
    starts.push(("super".to_owned(), parent.to_owned()));
    starts.push(("self".to_owned(), module.to_owned()));
    let children = sources.keys().filter_map(|other| {
        let name = other.strip_prefix(module)?.strip_prefix("::")?;
        (!name.contains("::")).then(|| (name.to_owned(), child(name)))
    });
    starts.extend(children);

    let mut paths = Vec::new();
    for (word, prefix) in starts {
        let start = format!("{word}::");
        for (at, _) in code.match_indices(&start) {
            let is_inside = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            if !code[..at].ends_with(is_inside) {
                let mut rest = code[at + start.len()..].chars().peekable();
                tree(&mut rest, &prefix, &mut paths);
            }
        }
    }
    paths
}

/// Returns the code without its `pub use` statements.
fn without_re_exports(code: &str) -> String {
    let mut parts = code.split("pub use ");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.split_once(';').map_or("", |(_, rest)| rest));
    }
    rest
}

/// Parses a path with its groups in braces, and adds every expanded path.
fn tree(
    text: &mut std::iter::Peekable<std::str::Chars<'_>>,
    prefix: &str,
    paths: &mut Vec<String>,
) {
    let mut path = prefix.to_owned();
    loop {
        while text.next_if(|c| c.is_whitespace()).is_some() {}
        match text.peek() {
            Some('{') => {
                text.next();
                loop {
                    tree(text, &path, paths);
                    while text.next_if(|c| c.is_whitespace()).is_some() {}
                    match text.next() {
                        Some(',') => {}
                        _ => return,
                    }
                }
            }
            Some(c) if c.is_alphanumeric() || *c == '_' => {
                let mut name = String::new();
                while let Some(c) = text.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if name == "super" {
                    path = path.rsplit_once("::").map_or("", |(up, _)| up).to_owned();
                } else if name != "self" {
                    if !path.is_empty() {
                        path.push_str("::");
                    }
                    path.push_str(&name);
                }
            }
            _ => break,
        }
        if text.peek() != Some(&':') {
            break;
        }
        text.next();
        if text.next_if_eq(&':').is_none() {
            break;
        }
    }
    if !path.is_empty() {
        paths.push(path);
    }
}

/// Returns the names that a `mod.rs` re-exports, with the file of each.
fn re_exports(module: &str, code: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (at, _) in code.match_indices("pub use ") {
        let rest = &code[at + "pub use ".len()..];
        let statement = rest.split(';').next().unwrap_or_default();
        let statement = statement.trim_start_matches("self::");
        let mut names = Vec::new();
        tree(&mut statement.chars().peekable(), "", &mut names);
        for name in names {
            if let Some((file, item)) = name.split_once("::") {
                let item = item.rsplit("::").next().unwrap_or(item);
                found.insert(item.to_owned(), format!("{module}::{file}"));
            }
        }
    }
    found
}

/// Returns the file in which the item of a path is defined.
fn resolve(
    path: &str,
    sources: &Sources,
    exports: &BTreeMap<String, BTreeMap<String, String>>,
) -> Option<String> {
    let names: Vec<&str> = path.split("::").collect();
    for length in (1..=names.len()).rev() {
        let module = names[..length].join("::");
        if sources.contains_key(&module) {
            let next = names.get(length);
            let exported = next.and_then(|name| exports.get(&module)?.get(*name));
            return Some(match exported {
                Some(file) if sources.contains_key(file) => file.clone(),
                _ => module,
            });
        }
    }
    None
}

fn imports(sources: &Sources) -> Imports {
    let codes: Vec<(String, String)> = sources
        .iter()
        .map(|(module, text)| (module.clone(), code(text)))
        .collect();
    let exports = codes
        .iter()
        .map(|(module, code)| (module.clone(), re_exports(module, code)))
        .collect();
    codes
        .iter()
        .map(|(module, code)| {
            let found = paths(module, code, sources)
                .into_iter()
                .filter_map(|path| resolve(&path, sources, &exports))
                .filter(|other| other != module)
                .collect();
            (module.clone(), found)
        })
        .collect()
}

/// Returns the layer of a file, as the index in the table.
fn layer(module: &str) -> Option<usize> {
    let contains = |path: &&str| module == *path || module.starts_with(&format!("{path}::"));
    // The longest module path that contains the file.
    LAYERS
        .iter()
        .enumerate()
        .flat_map(|(at, layer)| layer.iter().map(move |path| (at, path)))
        .filter(|(_, path)| contains(path))
        .max_by_key(|(_, path)| path.len())
        .map(|(at, _)| at)
}

/// Returns all imports from a higher layer.
fn upward(imports: &Imports) -> Vec<String> {
    let mut wrong = Vec::new();
    for (module, others) in imports {
        for other in others {
            let is_allowed = EXCEPTIONS
                .iter()
                .any(|(from, to, _)| from == module && to == other);
            if !is_allowed && layer(module) < layer(other) {
                wrong.push(format!("{module} imports {other}"));
            }
        }
    }
    wrong
}

/// Returns the files that a file imports, directly or through others.
fn reach(module: &str, imports: &Imports) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![module.to_owned()];
    while let Some(module) = next.pop() {
        for other in imports.get(&module).into_iter().flatten() {
            if reached.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    reached
}

/// Returns the files that import themselves through others.
fn in_circles(imports: &Imports) -> BTreeSet<String> {
    imports
        .keys()
        .filter(|module| reach(module, imports).contains(*module))
        .cloned()
        .collect()
}

#[test]
fn every_file_has_a_layer() {
    let lost: Vec<_> = sources()
        .into_keys()
        .filter(|module| layer(module).is_none())
        .collect();
    assert_eq!(lost, [""; 0], "no layer of the table LAYERS contains them");
}

#[test]
fn no_file_imports_from_a_higher_layer() {
    assert_eq!(upward(&imports(&sources())), [""; 0]);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = imports(&sources());
    let circles: Vec<String> = in_circles(&imports)
        .iter()
        .map(|module| format!("{module} imports {:?}", imports[module]))
        .collect();
    assert_eq!(circles, [""; 0]);
}

#[test]
fn every_exception_is_needed() {
    let imports = imports(&sources());
    for (from, to, why) in EXCEPTIONS {
        assert!(
            imports[*from].contains(*to),
            "{from} does not import {to}: {why}"
        );
    }
}

fn planted(files: &[(&str, &str)]) -> Imports {
    let sources = files
        .iter()
        .map(|(module, text)| ((*module).to_owned(), (*text).to_owned()))
        .collect();
    imports(&sources)
}

#[test]
fn a_planted_upward_import_is_found() {
    let suite = ("suite", "pub fn run() {}");
    for text in [
        "use crate::suite::run;",
        "use super::super::suite::run;",
        "use crate::suite::{self};",
        "use crate::{kmsg, suite::run};",
        "pub fn f() {\n    crate::suite::run()\n}",
    ] {
        let imports = planted(&[("kmsg", ""), ("oracle", ""), ("oracle::form", text), suite]);
        assert_eq!(upward(&imports), ["oracle::form imports suite"], "{text}");
    }
    for text in [
        "// use crate::suite::run;",
        "#[cfg(test)]\nmod tests {\n    use crate::suite::run;\n}",
        "use mycrate::suite::run;",
    ] {
        let imports = planted(&[("oracle::form", text), suite]);
        assert_eq!(upward(&imports), [""; 0], "{text}");
    }
}

#[test]
fn a_planted_circle_is_found() {
    let circle = planted(&[
        (
            "model",
            "mod a;\nmod b;\npub use a::{A, Other};\npub use b::B;",
        ),
        ("model::a", "use crate::model::B;"),
        ("model::b", "use crate::model::A;"),
        ("model::c", "use crate::model::{A, B};"),
    ]);
    let found: Vec<_> = in_circles(&circle).into_iter().collect();
    assert_eq!(found, ["model::a", "model::b"]);
    let up_and_down = planted(&[
        ("observe", "mod steps;\nuse steps::play;"),
        ("observe::steps", "use super::Session;"),
    ]);
    assert_eq!(in_circles(&up_and_down).len(), 2);
    let none = planted(&[("model::a", "use crate::model::b::B;"), ("model::b", "")]);
    assert_eq!(in_circles(&none).len(), 0);
}
