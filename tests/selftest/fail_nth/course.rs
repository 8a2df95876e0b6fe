// SPDX-License-Identifier: GPL-2.0

//! The order of the faults of a walk.

/// Step in the kernel's part of a load. The module's init has many times as many faults.
const STEP: u32 = 10;

/// Number of faults after the module's init with which the walk over it ends. Fewer could be some
/// that the init itself meets and the kernel does not print.
const AFTER: u32 = 8;

/// Number of times that a fault is injected while its place is not known.
const TRIES: u32 = 8;

/// The faults of a call that are injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Each of them.
    All,
    /// Each of them up to that one.
    First(u32),
    /// Those of a load in the module's init, and some of those before.
    OfInit,
}

/// Place of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In the module's init.
    Init,
    /// Elsewhere.
    Elsewhere,
    /// Not known.
    Unknown,
}

/// The faults of one walk, in order.
#[derive(Debug)]
pub struct Course {
    faults: Faults,
    nth: u32,
    /// Number of times that it was injected, and its place not known.
    tries: u32,
    /// The last fault that was before the init.
    before: u32,
    /// Whether the init was reached.
    in_init: bool,
    /// Number of faults since the last one in the init.
    after: u32,
}

impl Course {
    /// The beginning.
    pub fn new(faults: Faults) -> Self {
        Course {
            faults,
            nth: 0,
            tries: 0,
            before: 0,
            in_init: false,
            after: 0,
        }
    }

    /// The next fault, if the last one was in that part; [`None`] at the end.
    ///
    /// The kernel does not print a fault of an allocation with `__GFP_NOWARN`. Some of those are
    /// made only now and then (a sheaf, when the last one is empty: `alloc_empty_sheaf()` in
    /// mm/slub.c), and have the number that another allocation has in most calls. So the same number
    /// is tried again.
    pub fn next(&mut self, last: Part) -> Option<u32> {
        if self.nth > 0 && self.faults != Faults::OfInit && last == Part::Unknown {
            self.tries += 1;
            if self.tries < TRIES {
                return Some(self.nth);
            }
        }
        self.tries = 0;
        self.nth = match self.faults {
            Faults::All => self.nth + 1,
            Faults::First(most) => Some(self.nth + 1).filter(|nth| *nth <= most)?,
            Faults::OfInit if !self.in_init && last == Part::Init => {
                self.in_init = true;
                // The numbers differ a little from load to load.
                self.before.saturating_sub(STEP) + 1
            }
            Faults::OfInit if !self.in_init => {
                if last == Part::Elsewhere {
                    self.before = self.nth;
                }
                self.nth + STEP
            }
            Faults::OfInit => {
                self.after = self.after_init(last)?;
                self.nth + 1
            }
        };
        Some(self.nth)
    }

    fn after_init(&self, last: Part) -> Option<u32> {
        // The first ones are those before the init.
        match last {
            Part::Init => Some(1),
            _ if self.after == 0 => Some(0),
            _ => Some(self.after + 1).filter(|after| *after <= AFTER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_faults_come_one_by_one() {
        let mut all = Course::new(Faults::All);
        let mut first = Course::new(Faults::First(2));
        let walked = [(); 3].map(|()| (all.next(Part::Elsewhere), first.next(Part::Elsewhere)));
        assert_eq!(
            walked,
            [(Some(1), Some(1)), (Some(2), Some(2)), (Some(3), None)]
        );
    }

    #[test]
    fn a_fault_whose_place_is_not_known_comes_again() {
        let mut course = Course::new(Faults::All);
        assert_eq!(course.next(Part::Unknown), Some(1));
        assert_eq!(course.next(Part::Unknown), Some(1));
        assert_eq!(course.next(Part::Elsewhere), Some(2));
        for _ in 1..TRIES {
            assert_eq!(course.next(Part::Unknown), Some(2));
        }
        assert_eq!(course.next(Part::Unknown), Some(3));
    }

    #[test]
    fn every_fault_of_the_init_is_injected() {
        let init = 41..90;
        let mut course = Course::new(Faults::OfInit);
        let mut walked = Vec::new();
        let mut last = Part::Elsewhere;
        while let Some(nth) = course.next(last) {
            walked.push(nth);
            last = match nth {
                // Not printed.
                50 | 51 => Part::Unknown,
                nth if init.contains(&nth) => Part::Init,
                _ => Part::Elsewhere,
            };
        }
        // The one of which the place is not known may be in the init.
        assert_eq!(walked[..6], [10, 20, 30, 40, 50, 60]);
        assert!(walked[6..].iter().copied().eq(31..90 + AFTER));
    }
}
