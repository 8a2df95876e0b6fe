// SPDX-License-Identifier: GPL-2.0

//! The multi-generational LRU (Documentation/admin-guide/mm/multigen_lru.rst), which ages pages when
//! it is told to.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::libc::{EEXIST, EINVAL};

use crate::os::kept::{Kept, Setting};

/// Bits for its parts that are on.
const ENABLED: &str = Setting::LruGen.path();

/// Its generations, and its commands.
const DEBUGFS: &str = "/sys/kernel/debug/lru_gen";

/// The bit for walks of page tables: LRU_GEN_MM_WALK, which needs hardware that notes accesses.
const WALKS: u32 = 1 << 1;

/// Reason why this machine has none that walks page tables; [`None`] where it has one. Turns it on
/// to find out, and back to what it was.
pub fn missing() -> Option<&'static str> {
    if !Path::new(ENABLED).exists() || !Path::new(DEBUGFS).exists() {
        return Some("the kernel has no multi-generational LRU (CONFIG_LRU_GEN)");
    }
    let walks = LruGen::enable().and_then(|_enabled| bits());
    match walks {
        Ok(bits) if bits & WALKS != 0 => None,
        Ok(_) => Some("the multi-generational LRU walks no page tables on this machine"),
        Err(_) => Some("the multi-generational LRU cannot be turned on"),
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

fn bits() -> Result<u32> {
    let text = read(ENABLED)?;
    let digits = text.trim().trim_start_matches("0x");
    u32::from_str_radix(digits, 16).with_context(|| format!("{ENABLED} reads {text:?}"))
}

/// All of it, turned on until this is dropped.
#[derive(Debug)]
pub struct LruGen {
    _enabled: Kept,
}

impl LruGen {
    /// Turns it on.
    ///
    /// # Errors
    ///
    /// Its file cannot be read or written.
    pub fn enable() -> Result<Self> {
        // All that it can do. The bits that have no effect on this machine read as 0.
        let _enabled = Kept::write(Setting::LruGen, "7")?;
        Ok(LruGen { _enabled })
    }

    /// Makes a new generation of the pages of each memory cgroup on each node.
    ///
    /// # Errors
    ///
    /// A command is refused for another reason than that the generation is there already, or that
    /// the cgroup is gone.
    pub fn age(&self) -> Result<()> {
        let text = read(DEBUGFS)?;
        let commands = aging_commands(&text);
        ensure!(!commands.is_empty(), "no generations in {text:?}");
        for command in commands {
            match fs::write(DEBUGFS, &command) {
                Err(error) if !matches!(error.raw_os_error(), Some(EINVAL | EEXIST)) => {
                    let what = format!("cannot write {command:?} to {DEBUGFS}");
                    return Err(anyhow::Error::from(error).context(what));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The commands that make a new generation, from the text of the file: anonymous pages too, and all
/// page tables.
fn aging_commands(text: &str) -> Vec<String> {
    let (mut memcg, mut node, mut newest) = ("", "", None);
    let mut commands = Vec::new();
    let mut end = |memcg: &str, node: &str, newest: Option<u64>| {
        if let Some(newest) = newest {
            commands.push(format!("+ {memcg} {node} {newest} 200 1"));
        }
    };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("memcg"), Some(id)) => {
                end(memcg, node, newest.take());
                memcg = id;
            }
            (Some("node"), Some(id)) => {
                end(memcg, node, newest.take());
                node = id;
            }
            (Some(generation), Some(_)) => newest = generation.parse().ok().or(newest),
            _ => {}
        }
    }
    end(memcg, node, newest);
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_of_each_memory_cgroup_ages_from_its_newest_generation() {
        let text = "memcg     1 /\n node     0\n          0      12345       1 \
                    2\n          3      12345       1          2\nmemcg    29 /a b\n node     \
                    0\n          7       1234       0          0\n node     1\n          9       \
                    1          0          0\n";
        assert_eq!(
            aging_commands(text),
            ["+ 1 0 3 200 1", "+ 29 0 7 200 1", "+ 29 1 9 200 1"]
        );
        assert!(aging_commands("").is_empty());
    }
}
