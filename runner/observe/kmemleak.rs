// SPDX-License-Identifier: GPL-2.0

//! Memory leaks, as kmemleak reports them.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::model::Complaint;
use crate::os::kernel;

const FILE: &str = "/sys/kernel/debug/kmemleak";

/// Age at which an unreferenced object is reported (`MSECS_MIN_AGE` in mm/kmemleak.c), and a little
/// more.
const AGE: Duration = Duration::from_millis(5500);

/// The file with the number of scans that must have found an object unreferenced.
const TIMES: &str = "/sys/module/kmemleak/parameters/min_unref_scans";

/// Beginning of the report of one leak.
const HEAD: &str = "unreferenced object ";

/// The leaks since the start of user space; none on a kernel without kmemleak. Sleeps for 5.5 s on a
/// kernel with it.
///
/// # Errors
///
/// The file of kmemleak cannot be read or written.
pub fn leaks() -> Result<Vec<Complaint>> {
    if !Path::new(FILE).exists() {
        return Ok(Vec::new());
    }
    let scan = || fs::write(FILE, "scan").with_context(|| format!("scan > {FILE} failed"));
    // An object that a scan finds for the first time counts as changed, and so as in use.
    scan()?;
    // There is no event to wait for: the kernel only compares ages. If the time of the guest is
    // virtual, this takes no time.
    thread::sleep(AGE);
    // A kernel without that file needs one scan.
    for _ in 0..kernel::number(TIMES).unwrap_or(1) {
        scan()?;
    }
    let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<Complaint> {
    let mut leaks: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        match leaks.last_mut() {
            Some(leak) if !line.starts_with(HEAD) => leak.push(line.to_owned()),
            _ => leaks.push(vec![line.to_owned()]),
        }
    }
    leaks
        .into_iter()
        // Leaks of the kernel's own initialisation are not the module's.
        .filter(|lines| !lines.iter().any(|line| line.contains("comm \"swapper")))
        .map(|lines| Complaint {
            what: "kmemleak".to_owned(),
            kmsg_seq: None,
            lines,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
unreferenced object 0xffff888004a9c000 (size 64):
  comm \"swapper/0\", pid 1, jiffies 4294892296
  backtrace (crc 0):
    x+0x1/0x2
unreferenced object 0xffff888004a9d000 (size 96):
  comm \"init\", pid 1, jiffies 4294892297
  backtrace (crc 0):
    0xffffffffa0001234
";

    #[test]
    fn a_leak_is_reported_whole_and_those_of_the_boot_are_left_out() {
        let leaks = parse(TEXT);
        assert_eq!(leaks.len(), 1);
        assert!(leaks[0].lines[0].contains("0xffff888004a9d000"));
        assert_eq!(leaks[0].lines.len(), 4);
        assert!(parse("").is_empty());
    }
}
