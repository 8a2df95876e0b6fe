// SPDX-License-Identifier: GPL-2.0

//! Files with a number or two: `mm`, `read_begin`, `total`, `breach`.

use std::fmt;

use anyhow::{Context as _, Result, ensure};

use crate::injector::formats::words::{number, numbers, one_line, one_of, signed, values};

/// `mm` of a target: the counts of its address space. A wrong kernel makes them negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mm {
    /// `mm_users`.
    pub users: i64,
    /// `mm_count`.
    pub count: i64,
    /// `tlb_flush_pending`.
    pub flushes: i64,
}

impl Mm {
    /// Parses `mm`.
    ///
    /// # Errors
    ///
    /// The text is not as the module writes it.
    pub fn parse(text: &str) -> Result<Self> {
        let line = one_line(text);
        let [users, count, flushes] = values(line, ["users", "count", "tlb_flush_pending"])?;
        let number = |text| signed(text).with_context(|| format!("in {line:?}"));
        Ok(Mm {
            users: number(users)?,
            count: number(count)?,
            flushes: number(flushes)?,
        })
    }

    /// Checks the values, which come from the kernel. Only for callers that have no oracle.
    ///
    /// # Errors
    ///
    /// The number of users is negative, or nothing holds the address space although the target
    /// does (`mmgrab()`).
    pub fn check(self) -> Result<()> {
        ensure!(self.users >= 0, "fewer than no users in {self:?}");
        ensure!(self.count >= 1, "nobody holds it in {self:?}");
        ensure!(self.flushes >= 0, "fewer than no flushes in {self:?}");
        Ok(())
    }
}

/// The line that `read_begin` takes.
pub const BEGIN: &str = "begin";

/// `read_begin` of a target after [`BEGIN`] was written to it: the number that
/// `mmu_interval_read_begin()` returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seq(pub u64);

impl Seq {
    /// Parses `read_begin`.
    ///
    /// # Errors
    ///
    /// The text is not as the module writes it.
    pub fn parse(text: &str) -> Result<Self> {
        let [seq] = numbers(one_line(text), ["seq"])?;
        Ok(Seq(seq))
    }

    /// Whether the number is odd. `interval_sub->invalidate_seq` always is (mm/mmu_notifier.c).
    pub fn is_odd(self) -> bool {
        self.0 % 2 == 1
    }

    /// Checks the number, which comes from the kernel. Only for callers that have no oracle.
    ///
    /// # Errors
    ///
    /// It is even.
    pub fn check(self) -> Result<()> {
        ensure!(self.is_odd(), "{self} is even, so no invalidation has it");
        Ok(())
    }
}

/// The number, as `read_retry` takes it.
impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses `total`: log entries of all targets since the module was loaded.
///
/// # Errors
///
/// The text is not as the module writes it.
pub fn total(text: &str) -> Result<u64> {
    number(one_line(text))
}

/// Parses `breach`: whether the module was loaded with `breach=1`.
///
/// # Errors
///
/// The text is not as the module writes it.
pub fn breach(text: &str) -> Result<bool> {
    one_of(one_line(text), [("0", false), ("1", true)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let mm = Mm {
            users: 1,
            count: 3,
            flushes: 2,
        };
        for text in [
            "users=1 count=3 tlb_flush_pending=2\n",
            "users=1 count=3 tlb_flush_pending=2",
        ] {
            assert_eq!(Mm::parse(text).unwrap(), mm);
        }
        mm.check().unwrap();
        for bad in [
            "",
            "users=1",
            "users=1 count=3\n",
            "count=3 users=1 tlb_flush_pending=0",
            "seq=1",
            "users=+1 count=3 tlb_flush_pending=0",
            "users=1 count=x tlb_flush_pending=0",
            "users=1 count=3 tlb_flush_pending=0\n\n",
            "users=1 count=3 tlb_flush_pending=0 more=1",
        ] {
            assert!(Mm::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn counts_of_a_wrong_kernel_are_read_and_fail_the_check() {
        let of = |users, count, flushes| {
            let text = format!("users={users} count={count} tlb_flush_pending={flushes}\n");
            Mm::parse(&text).unwrap().check()
        };
        of(0, 1, 0).unwrap();
        for (users, count, flushes) in [(1, 0, 0), (-1, 1, 0), (0, -1, 0), (1, 1, -1)] {
            assert!(
                of(users, count, flushes).is_err(),
                "{users} {count} {flushes}"
            );
        }
    }

    #[test]
    fn sequence_numbers_are_read() {
        for text in ["seq=7\n", "seq=7"] {
            let seq = Seq::parse(text).unwrap();
            assert_eq!((seq, seq.is_odd()), (Seq(7), true));
            seq.check().unwrap();
            assert_eq!(seq.to_string(), "7");
        }
        let even = Seq::parse("seq=8\n").unwrap();
        assert!(!even.is_odd());
        assert!(even.check().is_err());
        for bad in ["", "7\n", "seq=none\n", "seq=+7", "seq=-7", "seq=7 more=1"] {
            assert!(Seq::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_parameter_is_read() {
        assert!(!breach("0\n").unwrap());
        assert!(breach("1\n").unwrap());
        for bad in ["", "\n", "2\n", "01\n", "1\n1\n", "Y\n"] {
            assert!(breach(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_total_is_read() {
        assert_eq!(total("0\n").unwrap(), 0);
        assert_eq!(total("18446744073709551615\n").unwrap(), u64::MAX);
        for bad in ["", "\n", "-1\n", "+1\n", " 1\n", "1\n2\n"] {
            assert!(total(bad).is_err(), "{bad:?}");
        }
    }
}
