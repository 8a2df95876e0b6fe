// SPDX-License-Identifier: GPL-2.0

//! Time limits that do not run while this process cannot look.

use std::time::{Duration, Instant};

/// A time limit that counts only the time in which this process checks whether it has passed.
///
/// While a guest is paused or a control group is frozen, nothing can happen. A limit that counted
/// that time would report a wait that never ends where there is none.
#[derive(Debug)]
pub struct Limit {
    left: Duration,
    checked: Instant,
    clock: fn() -> Instant,
}

impl Limit {
    /// Longest time between two checks, if the caller keeps to [`Self::slice`].
    const SLICE: Duration = Duration::from_millis(100);

    /// Starts a limit now.
    pub fn new(limit: Duration) -> Self {
        Self::start(limit, Instant::now)
    }

    /// Starts a limit that runs by another clock.
    #[cfg(test)]
    pub(crate) fn with_clock(limit: Duration, clock: fn() -> Instant) -> Self {
        Self::start(limit, clock)
    }

    fn start(limit: Duration, clock: fn() -> Instant) -> Self {
        Limit {
            left: limit,
            checked: clock(),
            clock,
        }
    }

    /// Checks whether the limit has passed. The caller must check again after each
    /// [`Self::slice`] at the latest: of a longer gap only 200 ms count.
    pub fn is_over(&mut self) -> bool {
        let now = (self.clock)();
        // Another processor may have read the clock, so time may seem to run back.
        let passed = now.saturating_duration_since(self.checked);
        self.checked = now;
        // Twice the slice, because a busy machine is late for everything.
        self.left = self.left.saturating_sub(passed.min(2 * Self::SLICE));
        self.left.is_zero()
    }

    /// Time to wait before the next check: 100 ms, or the time left if that is less.
    pub fn slice(&self) -> Duration {
        self.left.min(Self::SLICE)
    }
}

/// A clock for tests that stands still until it is moved, one for each thread.
#[cfg(test)]
pub(crate) mod fake_clock {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    thread_local! {
        static NOW: Cell<Instant> = Cell::new(Instant::now());
    }

    /// The time on the clock.
    pub(crate) fn now() -> Instant {
        NOW.get()
    }

    /// Moves the clock forward.
    pub(crate) fn advance(time: Duration) {
        NOW.set(NOW.get() + time);
    }

    /// Moves the clock back.
    pub(crate) fn set_back(time: Duration) {
        NOW.set(NOW.get() - time);
    }
}

#[cfg(test)]
mod tests {
    use super::fake_clock::{advance, now, set_back};
    use super::*;

    #[test]
    fn a_limit_passes_while_it_is_checked() {
        let mut limit = Limit::with_clock(Duration::from_secs(1), now);
        for check in 1..10 {
            advance(Limit::SLICE);
            assert!(!limit.is_over(), "{check}");
        }
        assert_eq!(limit.slice(), Limit::SLICE);
        advance(Limit::SLICE);
        assert!(limit.is_over());
        assert_eq!(limit.slice(), Duration::ZERO);
    }

    #[test]
    fn a_limit_does_not_pass_while_the_process_stands_still() {
        let mut limit = Limit::with_clock(Duration::from_secs(1), now);
        advance(Duration::from_secs(3600));
        assert!(!limit.is_over());
        set_back(Duration::from_secs(3600));
        assert!(!limit.is_over());
        assert_eq!(limit.slice(), Limit::SLICE);
    }

    #[test]
    fn a_limit_of_no_time_has_passed() {
        assert!(Limit::new(Duration::ZERO).is_over());
    }
}
