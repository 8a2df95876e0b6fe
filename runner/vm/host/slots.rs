// SPDX-License-Identifier: GPL-2.0

//! How much may go on at the same time, by what the machine has.

use std::fs;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What QEMU takes besides the guest's memory, in MiB: its own, and the code that it translates.
const QEMU: u64 = 256;
/// What a build takes, in MiB: a few compilers, and the linker at the end.
const BUILD: u64 = 2048;

/// Something that takes a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The build of a kernel.
    Build,
    /// A guest with so much memory, in MiB.
    Guest(u32),
}

impl Work {
    fn memory(self) -> u64 {
        match self {
            Work::Build => BUILD,
            Work::Guest(memory) => u64::from(memory) + QEMU,
        }
    }
}

/// The machine's processors and its memory, shared by all that one command does.
///
/// A guest keeps one processor busy, and a build all of them for as long as it can. There are as
/// many of each as there are processors at most, and builds do not keep guests waiting.
#[derive(Debug)]
pub struct Room {
    cores: usize,
    /// In MiB.
    memory: u64,
    used: Mutex<Used>,
    left: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    builds: usize,
    guests: usize,
    memory: u64,
}

/// A place that was taken; dropping it lets it go.
#[derive(Debug)]
pub struct Place<'a> {
    room: &'a Room,
    work: Work,
}

impl Room {
    /// What this machine has to spare now.
    pub fn of_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self::new(cores, available(&meminfo).unwrap_or(u64::MAX))
    }

    fn new(cores: usize, memory: u64) -> Self {
        Room {
            cores,
            memory,
            used: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// Waits until there is room for it. Where nothing else goes on there always is: what is too
    /// big for the machine fails by itself, and says how.
    ///
    /// A signal does not end the wait, but it ends what is waited for.
    pub fn enter(&self, work: Work) -> Place<'_> {
        let used = self.used();
        let mut used = self
            .left
            .wait_while(used, |used| !self.fits(*used, work))
            .unwrap_or_else(PoisonError::into_inner);
        *count(&mut used, work) += 1;
        used.memory += work.memory();
        Place { room: self, work }
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

fn count(used: &mut Used, work: Work) -> &mut usize {
    match work {
        Work::Build => &mut used.builds,
        Work::Guest(_) => &mut used.guests,
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut used = self.room.used();
        *count(&mut used, self.work) -= 1;
        used.memory -= self.work.memory();
        self.room.left.notify_all();
    }
}

/// What can be had without swapping, in MiB, from `/proc/meminfo`.
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

    /// How many more of them there is room for.
    fn room_for(room: &Room, work: Work) -> usize {
        let mut places = Vec::new();
        while room.fits(*room.used(), work) {
            places.push(room.enter(work));
        }
        places.len()
    }

    #[test]
    fn there_are_as_many_guests_as_processors() {
        let room = Room::new(3, u64::MAX);
        assert_eq!(room_for(&room, GUEST), 3);
        let build = room.enter(Work::Build);
        assert_eq!(room_for(&room, GUEST), 3);
        assert_eq!(room_for(&room, Work::Build), 2);
        drop(build);
        assert_eq!(*room.used(), Used::default());
    }

    #[test]
    fn memory_is_never_promised_twice() {
        let room = Room::new(8, 2 * (512 + QEMU));
        assert_eq!(room_for(&room, GUEST), 2);
        let guest = room.enter(GUEST);
        assert_eq!(room_for(&room, Work::Guest(1536)), 0);
        assert_eq!(room_for(&room, GUEST), 1);
        drop(guest);
        // Too big for the machine, and alone on it.
        assert_eq!(room_for(&room, Work::Guest(1536)), 1);
    }

    #[test]
    fn who_waits_gets_the_place_that_becomes_free() {
        let room = Room::new(1, u64::MAX);
        let first = room.enter(GUEST);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(room.enter(GUEST)));
            drop(first);
            assert!(second.join().is_ok());
        });
        assert_eq!(*room.used(), Used::default());
    }

    #[test]
    fn the_memory_is_read_from_meminfo() {
        let text = "MemTotal:  24000000 kB\nMemFree: 1 kB\nMemAvailable:   20480000 kB\n";
        assert_eq!(available(text), Some(20_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
