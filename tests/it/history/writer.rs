// SPDX-License-Identifier: GPL-2.0

//! Renders the records of the kernel's log and the entries of the module's.

use mn_inject::kmsg::Record;
use mn_inject::model::{Arming, Call, Context, Observation, ReaperMessage, Window};

use super::kernel::{Kernel, Style};
use super::plan::{EAGAIN, Plan, REAPER_TID, call, observation};

/// The module's callback without an end, as the kernel prints it.
pub const SYMBOL: &str =
    "mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]";

const PAIRED_SYMBOL: &str =
    "mmu_notifier_inject_paired_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]";

/// The subject of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line that the oracle ignores.
    Noise,
    /// A message about a callback or a victim of that observation.
    Ours { observation: usize },
    /// The first line of a WARN about a callback of that observation.
    WarnHeader { observation: usize },
    /// The first line of a WARN of other code.
    ForeignWarnHeader,
}

/// State of a run: the numbers that go on from window to window, and the records of this one.
pub struct Writer<'a> {
    style: Style,
    noise: Box<dyn Iterator<Item = u8> + 'a>,
    kmsg_seq: u64,
    call_seq: u64,
    warn_count: u64,
    records: Vec<Record>,
    origins: Vec<Origin>,
}

impl<'a> Writer<'a> {
    /// A run without windows. `noise` selects unrelated lines.
    pub fn new(style: Style, noise: &'a [u8]) -> Self {
        let noise: Box<dyn Iterator<Item = u8> + 'a> = if noise.is_empty() {
            Box::new(std::iter::repeat(0))
        } else {
            Box::new(noise.iter().copied().cycle())
        };
        Writer {
            style,
            noise,
            kmsg_seq: 500,
            call_seq: 0,
            warn_count: 3,
            records: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn put(&mut self, origin: Origin, level: u8, task: i32, text: String) {
        self.records.push(Record {
            seq: self.kmsg_seq,
            time_us: self.kmsg_seq * 10,
            level,
            facility: 0,
            caller: self.style.callers.then(|| format!("T{task}")),
            text,
        });
        self.origins.push(origin);
        self.kmsg_seq += 1;
    }

    fn warn_header(&self, place: &str, cond: &str, symbol: &str, task: i32, comm: &str) -> String {
        if self.style.old_header {
            return format!("WARNING: CPU: 1 PID: {task} at {place} {symbol}");
        }
        let cond = if self.style.detailed {
            format!("[{cond}] ")
        } else {
            String::new()
        };
        format!("WARNING: {cond}{place} at {symbol}, CPU#1: {comm}/{task}")
    }

    /// Prints a WARN.
    pub fn warn(&mut self, origin: Origin, place: &str, symbol: &str, task: i32, comm: &str) {
        let header = self.warn_header(
            place,
            "mmu_notifier_range_blockable(range) || _ret != -11",
            symbol,
            task,
            comm,
        );
        self.put(
            Origin::Noise,
            6,
            task,
            "------------[ cut here ]------------".into(),
        );
        self.put(origin, 4, task, header);
        for line in [
            "Modules linked in: mmu_notifier_inject(O)",
            "RIP: 0010:mn_hlist_invalidate_range_start+0xcd/0x1a0",
            " ? mmu_notifier_inject_invalidate_range_start+0x0/0x90 [mmu_notifier_inject]",
            "---[ end trace 0000000000000000 ]---",
        ] {
            self.put(Origin::Noise, 4, task, line.into());
        }
        self.warn_count += 1;
    }

    /// Prints an unrelated line, or none.
    fn some_noise(&mut self) {
        match self.noise.next().unwrap_or(0) % 24 {
            1 => self.put(Origin::Noise, 6, 1, "usb 1-1: new device".into()),
            2 => {
                let text = "gpu_mn_invalidate+0x0/0x40 [gpu] callback failure not allowed";
                self.put(Origin::Noise, 4, 900, text.into());
            }
            3 => {
                let text = "gpu_mn_invalidate+0x0/0x40 [gpu] callback failed with -11 in non-blockable context.";
                self.put(Origin::Noise, 6, 900, text.into());
            }
            4 => {
                let text = "gpu_mn_invalidate+0x0/0x40 [gpu] callback failed with -11 in blockable context.";
                self.put(Origin::Noise, 6, 900, text.into());
                let symbol = "mn_hlist_invalidate_range_start+0xcd/0x1a0";
                self.warn(
                    Origin::ForeignWarnHeader,
                    "mm/mmu_notifier.c:534",
                    symbol,
                    900,
                    "gpu",
                );
            }
            5 => {
                let symbol = "some_driver+0x1/0x20 [some]";
                self.warn(
                    Origin::ForeignWarnHeader,
                    "drivers/some.c:7",
                    symbol,
                    901,
                    "some",
                );
            }
            6 => {
                // A record of user space cannot have the kernel's facility.
                self.put(
                    Origin::Noise,
                    4,
                    902,
                    format!("{SYMBOL} callback failure not allowed"),
                );
                self.records.last_mut().unwrap().facility = 1;
            }
            7 => {
                let text = "oom_reaper: reaped process 9999 (other), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB";
                self.put(Origin::Noise, 6, REAPER_TID, text.into());
            }
            8 => {
                let text = "WARNING: possible circular locking dependency detected";
                self.put(Origin::Noise, 4, 1, text.into());
            }
            _ => {}
        }
    }

    /// Logs one call and prints the kernel's lines about it.
    pub fn call(&mut self, o: &mut Observation, index: usize, call: Call) {
        self.log(o, call.clone());
        self.print(index, &call);
    }

    /// Logs one call.
    pub fn log(&mut self, o: &mut Observation, mut call: Call) {
        (call.seq, call.time_ns) = self.next_entry();
        let counters = &mut o.notifiers[call.notifier].counters;
        counters.calls += 1;
        counters.injected += u64::from(call.returned != 0);
        o.calls.push(call);
    }

    /// Prints the kernel's lines about one call of a notifier without an end.
    pub fn print(&mut self, index: usize, call: &Call) {
        self.some_noise();
        if call.returned != 0 {
            self.print_failure(index, call, false);
        }
    }

    /// Prints the kernel's lines about a call that failed.
    pub(super) fn print_failure(&mut self, index: usize, call: &Call, has_end: bool) {
        let symbol = if has_end { PAIRED_SYMBOL } else { SYMBOL };
        let blockable = call.context == Context::Blockable;
        let origin = Origin::Ours { observation: index };
        let word = if blockable { "" } else { "non-" };
        let (errno, tid) = (call.returned, call.tid);
        self.put(
            origin.clone(),
            6,
            tid,
            format!("{symbol} callback failed with {errno} in {word}blockable context."),
        );
        let (pr_warn, warn) = match self.style.kernel {
            Kernel::Seed => (blockable, false),
            Kernel::Mainline => (false, blockable || errno != EAGAIN),
            Kernel::NoCheck => (false, false),
            Kernel::Inverted => (!blockable, false),
            Kernel::WrongVariable => (false, true),
            Kernel::Both => (blockable, blockable || errno != EAGAIN),
        };
        if pr_warn {
            self.some_noise();
            self.put(
                origin,
                4,
                tid,
                format!("{symbol} callback failure not allowed"),
            );
        }
        if warn {
            self.warn(
                Origin::WarnHeader { observation: index },
                "mm/mmu_notifier.c:534",
                "mn_hlist_invalidate_range_start+0xcd/0x1a0",
                tid,
                &call.comm,
            );
        }
        if has_end {
            self.warn(
                Origin::WarnHeader { observation: index },
                "mm/mmu_notifier.c:541",
                "mn_hlist_invalidate_range_start+0xe1/0x1a0",
                tid,
                &call.comm,
            );
        }
    }

    /// Prints the OOM reaper's closing line.
    pub fn closing_line(&mut self, o: &Observation, index: usize, word: ReaperMessage) {
        let text = match word {
            ReaperMessage::Reaped => format!(
                "oom_reaper: reaped process {} ({}), now anon-rss:0kB, file-rss:4kB, shmem-rss:0kB",
                o.pid, o.comm
            ),
            ReaperMessage::UnableToReap => {
                format!("oom_reaper: unable to reap pid:{} ({})", o.pid, o.comm)
            }
        };
        self.put(Origin::Ours { observation: index }, 6, REAPER_TID, text);
    }

    /// Renders one window, its scenarios one after the other.
    pub fn window(&mut self, plans: &[Plan], first_pid: i32) -> (Window, Vec<Origin>) {
        let (warns, calls) = (self.warn_count, self.call_seq);
        let mut observations = Vec::new();
        for (index, plan) in plans.iter().enumerate() {
            let pid = first_pid + index as i32;
            let mut o = observation(plan, pid);
            for _ in 0..plan.elsewhere {
                let mut call = call(plan.trigger, pid, Arming::Unarmed);
                (call.start, call.end) = (0x9000, 0xa000);
                (call.context, call.tid) = (Context::Blockable, pid);
                call.comm = o.comm.clone();
                self.call(&mut o, index, call);
            }
            for _ in 0..plan.calls {
                let call = call(plan.trigger, pid, o.notifiers[0].notifier.arming);
                self.call(&mut o, index, call);
            }
            if let Some(word) = o.expectation.reaper {
                self.closing_line(&o, index, word);
            }
            self.some_noise();
            observations.push(o);
        }
        self.end(observations, warns, calls)
    }

    /// Ends a window, which began at these numbers.
    pub fn end(
        &mut self,
        observations: Vec<Observation>,
        warns: u64,
        calls: u64,
    ) -> (Window, Vec<Origin>) {
        let window = Window {
            observations,
            records: std::mem::take(&mut self.records),
            lost: None,
            warn_count: Some((warns, self.warn_count)),
            total_entries: (calls, self.call_seq),
        };
        // The record of the marker.
        self.kmsg_seq += 1;
        (window, std::mem::take(&mut self.origins))
    }

    /// The number of WARNs so far.
    pub fn warn_count(&self) -> u64 {
        self.warn_count
    }

    /// The number of the next log entry.
    pub fn call_seq(&self) -> u64 {
        self.call_seq
    }

    /// The number and the time of a new log entry.
    pub(super) fn next_entry(&mut self) -> (u64, u64) {
        let seq = self.call_seq;
        self.call_seq += 1;
        (seq, 1_000_000 + seq * 1000)
    }
}
