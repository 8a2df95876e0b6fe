// SPDX-License-Identifier: GPL-2.0

//! The calls of notifiers in the source of a kernel, and the functions of its machine code in which
//! they are: the compiler puts some functions into those that call them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::fs::DirEntry;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::coverage::sites::WAYS;
use crate::model::Site;

/// Folders of the source tree whose files call notifiers.
const FOLDERS: &[&str] = &["mm", "fs/proc", "kernel/events"];

/// A function in a file.
#[derive(Debug, Default)]
struct Function {
    /// Lines on which it calls notifiers, from 1 on.
    lines: Vec<usize>,
    /// Names of everything that looks like a function that it calls.
    calls: BTreeSet<String>,
}

/// Adds to each function the places of its calls in the source. `read` returns the content of a file
/// that is named from the top of `tree`.
///
/// # Errors
///
/// A folder of the tree or a file cannot be read.
pub fn place(
    sites: &mut [Site],
    tree: &Path,
    read: impl Fn(&Path) -> Result<Vec<u8>>,
) -> Result<()> {
    for folder in FOLDERS {
        let shown = tree.join(folder);
        let entries = fs::read_dir(&shown)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot read {}", shown.display()))?;
        let mut names: Vec<_> = entries.iter().map(DirEntry::file_name).collect();
        names.sort();
        for name in names {
            let path = Path::new(folder).join(name);
            if path.extension().is_some_and(|extension| extension == "c") {
                let text = String::from_utf8_lossy(&read(&path)?).into_owned();
                place_in(sites, &path, &text);
            }
        }
    }
    Ok(())
}

/// Adds the places of one file.
fn place_in(sites: &mut [Site], path: &Path, text: &str) {
    // Most files have none.
    if !WAYS.iter().any(|name| text.contains(name)) {
        return;
    }
    let functions = functions(text);
    let calling = functions
        .iter()
        .filter(|(_, function)| !function.lines.is_empty());
    for (name, function) in calling {
        let found = containing(name, &functions, sites);
        let lines = function.lines.iter();
        let places: Vec<_> = lines
            .map(|line| format!("{}:{line}", path.display()))
            .collect();
        for site in sites.iter_mut().filter(|s| found.contains(&s.function)) {
            site.places.extend_from_slice(&places);
        }
    }
}

/// The functions of the machine code in which the code of a function is: its own, or the nearest ones
/// that call it.
fn containing(
    name: &str,
    functions: &BTreeMap<String, Function>,
    sites: &[Site],
) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut nearest = BTreeSet::from([name.to_owned()]);
    while !nearest.is_empty() {
        let is_site = |name: &&String| sites.iter().any(|site| site.function == **name);
        let found: BTreeSet<_> = nearest.iter().filter(is_site).cloned().collect();
        if !found.is_empty() {
            return found;
        }
        seen.extend(nearest.iter().cloned());
        let callers = functions.iter().filter(|(name, function)| {
            !seen.contains(*name) && !function.calls.is_disjoint(&nearest)
        });
        nearest = callers.map(|(name, _)| name.clone()).collect();
    }
    nearest
}

/// The functions of a file in the style of the kernel: a body begins and ends with a brace in the first
/// column. Of functions with one name, of which the preprocessor leaves one, the calls are joined.
fn functions(text: &str) -> BTreeMap<String, Function> {
    let mut functions: BTreeMap<String, Function> = BTreeMap::new();
    let (mut header, mut body) = (None, None);
    let mut is_comment = false;
    for (number, line) in (1..).zip(text.lines()) {
        let code = without_comments(line, &mut is_comment);
        let line = code.as_str();
        match line.as_bytes().first() {
            Some(b'{') => body = header.take(),
            Some(b'}') => body = None,
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') if body.is_none() => {
                header = called(line).next().map(str::to_owned).or(header);
            }
            _ => {}
        }
        let Some(name) = &body else { continue };
        let function = functions.entry(name.clone()).or_default();
        for name in called(line) {
            if WAYS.contains(&name) {
                function.lines.push(number);
            }
            function.calls.insert(name.to_owned());
        }
    }
    functions
}

/// A line without what stands in comments. `is_comment` is whether the line begins in one, and then
/// whether it ends in one.
fn without_comments(line: &str, is_comment: &mut bool) -> String {
    let mut code = String::new();
    let mut rest = line;
    loop {
        let mark = if *is_comment { "*/" } else { "/*" };
        let Some((before, after)) = rest.split_once(mark) else {
            break;
        };
        if !*is_comment {
            code.push_str(before);
        }
        *is_comment = !*is_comment;
        rest = after;
    }
    if !*is_comment {
        code.push_str(rest);
    }
    code
}

/// Each name with a parenthesis behind it in a line.
fn called(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices('(').filter_map(move |(at, _)| {
        let before = &line[..at];
        let begin = before.rfind(|c| !is_part(c)).map_or(0, |at| at + 1);
        (begin < at).then(|| &before[begin..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
static vm_fault_t inner(struct vm_fault *vmf)
\t__releases(vmf->ptl)
{
\tmmu_notifier_invalidate_range_start(&range);
}

int
middle(int x)
{
\tif (x)
\t\treturn inner(vmf);
}

void outer(void)
{
\tmiddle(1);
\tif (mmu_notifier_invalidate_range_start_nonblock(&range))
\t\treturn;
}

/* inner() is not called
{
 * by outer() */
void other(void)
{
\t/* inner(), */ outer();
}
";

    fn places(names: &[&str]) -> Vec<(String, Vec<String>)> {
        let site = |name: &&str| Site {
            function: (*name).to_owned(),
            calls: 1,
            places: Vec::new(),
        };
        let mut sites: Vec<_> = names.iter().map(site).collect();
        place_in(&mut sites, Path::new("mm/x.c"), TEXT);
        let sites = sites.into_iter();
        sites.map(|site| (site.function, site.places)).collect()
    }

    fn at(name: &str, lines: &[&str]) -> (String, Vec<String>) {
        let lines = lines.iter().map(|line| format!("mm/x.c:{line}"));
        (name.to_owned(), lines.collect())
    }

    #[test]
    fn a_call_is_in_its_function_or_in_those_that_it_was_put_into() {
        assert_eq!(
            places(&["inner", "outer"]),
            [at("inner", &["4"]), at("outer", &["17"])]
        );
        assert_eq!(places(&["outer"]), [at("outer", &["4", "17"])]);
        assert_eq!(
            places(&["middle", "other"]),
            [at("middle", &["4"]), at("other", &["17"])]
        );
        assert_eq!(places(&["elsewhere"]), [at("elsewhere", &[])]);
    }
}
