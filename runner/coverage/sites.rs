// SPDX-License-Identifier: GPL-2.0

//! The calls of notifiers in the machine code of a kernel. All of them are of one function, which
//! is not inlined: `mmu_notifier_invalidate_range_start()` and its variants of
//! include/linux/mmu_notifier.h call it.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The function.
pub(super) const CALLEE: &str = "__mmu_notifier_invalidate_range_start";

/// Disassemblers, the quickest first.
const DISASSEMBLERS: [&str; 3] = ["llvm-objdump-19", "llvm-objdump", "objdump"];

/// A function that calls notifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name. A function that is inlined into it has no name of its own.
    pub function: String,
    /// The number of calls in it.
    pub calls: usize,
}

/// The functions of a kernel that call notifiers, in the order of their addresses. Takes some
/// seconds.
///
/// # Errors
///
/// The file cannot be disassembled, or has no such function: it is no ELF file of a kernel, or has
/// no symbols.
pub fn of_kernel(vmlinux: &Path) -> Result<Vec<Site>> {
    let shown = vmlinux.display();
    if !vmlinux.is_file() {
        bail!("there is no file {shown}");
    }
    // An absolute path is never taken for an option.
    let path = vmlinux
        .canonicalize()
        .with_context(|| format!("cannot find {shown}"))?;
    for name in DISASSEMBLERS {
        let started = Command::new(name)
            .args(["--disassemble", "--no-show-raw-insn"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match started {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            started => started.with_context(|| format!("cannot start {name}"))?,
        };
        let output = child.stdout.take().context("no output")?;
        let sites = in_text(BufReader::new(output));
        let ended = child
            .wait_with_output()
            .with_context(|| format!("cannot wait for {name}"))?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            bail!("`{name} --disassemble {shown}` failed: {}", said.trim());
        }
        let sites = sites.with_context(|| format!("the output of {name}"))?;
        if sites.is_empty() {
            bail!("{shown} has no call of {CALLEE}(): it is no kernel, or has no symbols");
        }
        return Ok(sites);
    }
    bail!(
        "there is no disassembler: install one of {}",
        DISASSEMBLERS.join(", ")
    )
}

/// The functions in the text of a disassembler.
fn in_text(text: impl BufRead) -> io::Result<Vec<Site>> {
    let callee = format!("<{CALLEE}>");
    let mut sites: Vec<Site> = Vec::new();
    let mut function = String::new();
    for line in text.split(b'\n') {
        let line = line?;
        // Few lines are looked at twice: there are millions.
        if line.ends_with(b">:") {
            let line = String::from_utf8_lossy(&line);
            if let Some((_, name)) = line.trim_end_matches(">:").split_once(" <") {
                name.clone_into(&mut function);
            }
        } else if line.ends_with(callee.as_bytes()) {
            match sites.last_mut() {
                Some(last) if last.function == function => last.calls += 1,
                _ => sites.push(Site {
                    function: function.clone(),
                    calls: 1,
                }),
            }
        }
    }
    Ok(sites)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(text: &str) -> Vec<(String, usize)> {
        let sites = in_text(text.as_bytes()).unwrap();
        let pairs = sites.into_iter().map(|site| (site.function, site.calls));
        pairs.collect()
    }

    #[test]
    fn calls_are_found_in_the_text_of_each_disassembler() {
        let llvm = "\n\
            ffffffff81000000 <unmap_vmas>:\n\
            ffffffff81000010:      \tcallq\t0xffffffff81191c40 <__mmu_notifier_invalidate_range_start>\n\
            ffffffff81000015:      \tcallq\t0xffffffff81191d00 <__mmu_notifier_invalidate_range_end>\n\
            ffffffff81000020 <other>:\n\
            ffffffff81000021:      \tretq\n\
            ffffffff81191c40 <__mmu_notifier_invalidate_range_start>:\n\
            ffffffff81191c41:      \tjmp\t0xffffffff81191c44 <__mmu_notifier_invalidate_range_start+0x4>\n";
        assert_eq!(sites(llvm), [("unmap_vmas".to_owned(), 1)]);
        let gnu = "ffffffff81000000 <copy_page_range>:\n\
            ffffffff81000010:\tcall   ffffffff81191c40 <__mmu_notifier_invalidate_range_start>\n\
            ffffffff81000019:\tjmp    ffffffff81191c40 <__mmu_notifier_invalidate_range_start>\n";
        assert_eq!(sites(gnu), [("copy_page_range".to_owned(), 2)]);
        assert_eq!(sites(""), []);
    }

    #[test]
    fn another_file_is_an_error() {
        let missing = of_kernel(Path::new("/nowhere/vmlinux")).unwrap_err();
        assert!(missing.to_string().contains("no file /nowhere/vmlinux"));
    }
}
