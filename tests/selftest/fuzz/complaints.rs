// SPDX-License-Identifier: GPL-2.0

//! What the kernel complains of after each step, so that one knows which step it was.

use std::time::Duration;

use anyhow::{Context as _, Result};

use mn_inject::kmsg::{KmsgReader, Record, complaint};
use mn_inject::os::limit::Limit;

/// The longest that the log may take to arrive.
const STEP: Duration = Duration::from_secs(20);

/// What the seed patch says: a complaint that is no BUG and no WARNING.
const SEED: &str = "callback failure not allowed";

/// Listens to the kernel's log.
#[derive(Debug)]
pub struct Complaints(KmsgReader);

fn is_complaint(record: &Record) -> bool {
    complaint::kind(record).is_some() || record.is_kernel() && record.text.contains(SEED)
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
        let (records, lost) = self.0.read_until(&here, &mut Limit::new(STEP));
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
            "f+0x0/0x2 [m] callback failure not allowed",
        ] {
            assert!(is_complaint(&record(4, text)), "{text}");
            // Anybody may write this to /dev/kmsg.
            assert!(!is_complaint(&record(12, text)), "{text}");
        }
        let news = "f+0x0/0x2 [m] callback failed with -11 in non-blockable context.";
        assert!(!is_complaint(&record(6, news)));
    }
}
