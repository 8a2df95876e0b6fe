// SPDX-License-Identifier: GPL-2.0

//! What the kernel complains of meanwhile: the second witness, and on a kernel that checks itself
//! the better one.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::kmsg::{KmsgReader, Record};
use crate::model::MODULE_NAME;

/// The longest that the log may take to arrive.
const STEP: Duration = Duration::from_secs(20);

/// How the kernel's complaints begin, or what is in them.
const SIGNS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "KASAN:",
    "UBSAN:",
    "INFO: possible",
    "INFO: task",
    "INFO: rcu",
    "rcu: INFO:",
    "refcount_t:",
    "corruption",
    "Oops",
    "general protection fault",
    "rust_kernel: panicked",
    "callback failure not allowed",
];

/// kmemleak's file, and how old an object must be for it (mm/kmemleak.c, MSECS_MIN_AGE).
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";
const LEAST_AGE: Duration = Duration::from_secs(5);

/// Listens to the kernel's log.
#[derive(Debug)]
pub struct Complaints(KmsgReader);

fn is_complaint(record: &Record) -> bool {
    record.is_kernel() && SIGNS.iter().any(|sign| record.text.contains(sign))
}

impl Complaints {
    /// Begins to listen.
    pub fn listen() -> Result<Self> {
        let reader = KmsgReader::open_at_end().context("cannot open /dev/kmsg")?;
        Ok(Complaints(reader))
    }

    /// The complaints since the last time.
    pub fn heard(&mut self) -> Result<Vec<String>> {
        let here = self.0.mark("heard").context("cannot write to /dev/kmsg")?;
        let (records, lost) = self.0.read_until(&here, Instant::now() + STEP);
        if let Some(why) = lost {
            anyhow::bail!("the kernel's log is incomplete: {why}");
        }
        Ok(records
            .iter()
            .filter(|record| is_complaint(record))
            .map(|record| format!("the kernel says: {}", record.text))
            .collect())
    }
}

/// The memory that the module has lost, where the kernel keeps account.
pub fn leaks(say: &mut dyn FnMut(&str)) -> Result<Vec<String>> {
    let scan = || fs::write(KMEMLEAK, "scan").context("cannot start kmemleak's scan");
    if !fs::exists(KMEMLEAK).unwrap_or(false) || scan().is_err() {
        // Not built in, or switched off.
        return Ok(Vec::new());
    }
    let until = Instant::now() + LEAST_AGE;
    while Instant::now() < until {
        say("waiting for what may have leaked to become old enough");
        std::thread::sleep(Duration::from_millis(500));
    }
    // An object counts as lost when its contents have not changed from one scan to the next.
    scan()?;
    scan()?;
    let report = fs::read_to_string(KMEMLEAK).context("cannot read kmemleak's report")?;
    Ok(of_the_module(&report))
}

/// The reports in whose backtrace the module stands.
fn of_the_module(report: &str) -> Vec<String> {
    let mut reports: Vec<String> = Vec::new();
    for line in report.lines() {
        match reports.last_mut() {
            Some(last) if line.starts_with(' ') => {
                last.push_str("; ");
                last.push_str(line.trim());
            }
            _ => reports.push(line.to_owned()),
        }
    }
    reports.retain(|report| report.contains(&format!("[{MODULE_NAME}]")));
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_from_news() {
        let record =
            |prio: u32, text: &str| -> Record { format!("{prio},1,2,-;{text}\n").parse().unwrap() };
        for text in [
            "WARNING: mm/mmu_notifier.c:535 at __mmu_notifier_invalidate_range_start+0x1d3/0x250",
            "BUG: sleeping function called from invalid context at mm/x.c:1",
            "BUG: KASAN: slab-use-after-free in f+0x1/0x2",
            "WARNING: possible circular locking dependency detected",
            "INFO: task init:1 blocked for more than 122 seconds.",
        ] {
            assert!(is_complaint(&record(4, text)), "{text}");
            // Anybody may write this to /dev/kmsg.
            assert!(!is_complaint(&record(12, text)), "{text}");
        }
        let news = "f+0x0/0x2 [m] callback failed with -11 in non-blockable context.";
        assert!(!is_complaint(&record(6, news)));
    }

    #[test]
    fn only_what_the_module_lost_is_reported() {
        let report = "unreferenced object 0x1 (size 8):\n  comm \"init\", pid 1\n  backtrace (crc 0):\n    \
                      f+0x1/0x2 [mmu_notifier_inject]\n\
                      unreferenced object 0x2 (size 8):\n  backtrace (crc 0):\n    g+0x1/0x2\n";
        let seen = of_the_module(report);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].starts_with("unreferenced object 0x1"), "{seen:?}");
    }
}
