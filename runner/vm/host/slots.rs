// SPDX-License-Identifier: GPL-2.0

//! Limits how many builds and guests run at the same time.

use std::fs;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Memory of a QEMU process besides that of its guest, in MiB: its own, and the translated code.
const QEMU: u64 = 256;
/// Memory of a build, in MiB: a few compilers, and the linker at the end.
const BUILD: u64 = 2048;

/// Kind of work that takes a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Build of a kernel.
    Build,
    /// Guest with this amount of memory, in MiB.
    Guest(u32),
}

impl Work {
    /// Memory that it takes, in MiB.
    fn memory(self) -> u64 {
        match self {
            Work::Build => BUILD,
            Work::Guest(memory) => u64::from(memory) + QEMU,
        }
    }
}

/// Processors and memory of the machine, shared by all builds and guests of one command.
///
/// A guest takes one processor, a build all of them, most of the time. The limit is one guest and
/// one build per processor, counted separately: builds do not delay guests.
#[derive(Debug)]
pub struct Slots {
    cores: usize,
    /// In MiB.
    memory: u64,
    used: Mutex<Used>,
    released: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    builds: usize,
    guests: usize,
    /// In MiB.
    memory: u64,
}

/// An acquired slot, released on drop.
#[derive(Debug)]
pub struct Slot<'a> {
    slots: &'a Slots,
    work: Work,
}

impl Slots {
    /// Slots for the processors and the available memory of this machine.
    pub fn of_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self::new(cores, available(&meminfo).unwrap_or(u64::MAX))
    }

    fn new(cores: usize, memory: u64) -> Self {
        Slots {
            cores,
            memory,
            used: Mutex::default(),
            released: Condvar::new(),
        }
    }

    /// Waits for a slot.
    ///
    /// While nothing else runs, work is always admitted: if it needs more than the machine has, it
    /// fails with an error message of its own.
    ///
    /// A signal does not interrupt the wait, but it ends the work that holds the slots.
    pub fn acquire(&self, work: Work) -> Slot<'_> {
        let used = self.used();
        let mut used = self
            .released
            .wait_while(used, |used| !self.fits(*used, work))
            .unwrap_or_else(PoisonError::into_inner);
        *count(&mut used, work) += 1;
        used.memory += work.memory();
        Slot { slots: self, work }
    }

    fn fits(&self, mut used: Used, work: Work) -> bool {
        let idle = used == Used::default();
        let memory = used.memory.saturating_add(work.memory());
        idle || (*count(&mut used, work) < self.cores && memory <= self.memory)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Number of slots in use for this kind of work.
fn count(used: &mut Used, work: Work) -> &mut usize {
    match work {
        Work::Build => &mut used.builds,
        Work::Guest(_) => &mut used.guests,
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut used = self.slots.used();
        *count(&mut used, self.work) -= 1;
        used.memory -= self.work.memory();
        self.slots.released.notify_all();
    }
}

/// `MemAvailable` of `/proc/meminfo`, in MiB.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Work = Work::Guest(512);

    /// Number of slots that are left.
    fn left(slots: &Slots, work: Work) -> usize {
        let mut acquired = Vec::new();
        while slots.fits(*slots.used(), work) {
            acquired.push(slots.acquire(work));
        }
        acquired.len()
    }

    #[test]
    fn there_is_one_guest_per_processor() {
        let slots = Slots::new(3, u64::MAX);
        assert_eq!(left(&slots, GUEST), 3);
        let build = slots.acquire(Work::Build);
        assert_eq!(left(&slots, GUEST), 3);
        assert_eq!(left(&slots, Work::Build), 2);
        drop(build);
        assert_eq!(*slots.used(), Used::default());
    }

    #[test]
    fn memory_is_not_assigned_twice() {
        let slots = Slots::new(8, 2 * (512 + QEMU));
        assert_eq!(left(&slots, GUEST), 2);
        let guest = slots.acquire(GUEST);
        assert_eq!(left(&slots, Work::Guest(1536)), 0);
        assert_eq!(left(&slots, GUEST), 1);
        drop(guest);
        // It needs more memory than the machine has, and nothing else runs.
        assert_eq!(left(&slots, Work::Guest(1536)), 1);
    }

    #[test]
    fn a_released_slot_is_acquired_by_a_waiter() {
        let slots = Slots::new(1, u64::MAX);
        let first = slots.acquire(GUEST);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(slots.acquire(GUEST)));
            drop(first);
            assert!(second.join().is_ok());
        });
        assert_eq!(*slots.used(), Used::default());
    }

    #[test]
    fn available_memory_is_read_from_meminfo() {
        let text = "MemTotal:  24000000 kB\nMemFree: 1 kB\nMemAvailable:   20480000 kB\n";
        assert_eq!(available(text), Some(20_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
