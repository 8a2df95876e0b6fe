// SPDX-License-Identifier: GPL-2.0

//! Model of the files of a target of which each write is an order to do something.

use nix::errno::Errno;

use mn_inject::os::sys::PAGE;

use crate::fuzz::kind::{Kind, is_interval};
use crate::fuzz::line::{Refusal, addresses, line, natural};

/// A file; each write to it is an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Begins a read section (mmu_interval_read_begin).
    Begin,
    /// Ends the read section that `read_begin` began (mmu_interval_read_retry).
    Retry,
    /// Copies the page table of a mirror, which no target here is.
    Copy,
    /// Zaps the pages of a range.
    Zap,
}

impl Order {
    /// All orders.
    pub const ALL: [Order; 4] = [Order::Begin, Order::Retry, Order::Copy, Order::Zap];

    /// Returns the path below a target's directory.
    pub const fn path(self) -> &'static str {
        match self {
            Order::Begin => "read_begin",
            Order::Retry => "read_retry",
            Order::Copy => "mirror",
            Order::Zap => "zap",
        }
    }

    /// Returns the expected result of a read, without the newline: the number that `read_begin`
    /// returned last, which is `seq`, or -EPERM for a file that can only be written to.
    pub fn shows(self, seq: Option<u64>) -> Result<String, Errno> {
        match (self, seq) {
            (Order::Begin, None) => Ok("seq=none".into()),
            (Order::Begin, Some(seq)) => Ok(format!("seq={seq}")),
            (Order::Copy, _) => Ok("none".into()),
            (Order::Retry | Order::Zap, _) => Err(Errno::EPERM),
        }
    }

    /// Returns the expected result of a write(2) of `bytes` to a target of the given kind. Its range
    /// must not have been invalidated since `read_begin` returned `seq`, and nothing may be mapped in
    /// the range to be zapped.
    pub fn judge(self, bytes: &[u8], kind: Kind, seq: u64) -> Result<(), Refusal> {
        let text = line(bytes)?;
        match self {
            Order::Begin => {
                let mut refusal = Refusal::new();
                if text != "begin" {
                    refusal.push(Errno::EINVAL);
                }
                if !is_interval(kind) {
                    refusal.push(Errno::EOPNOTSUPP);
                }
                ok_if_empty(refusal)
            }
            Order::Retry => {
                let mut refusal = Refusal::new();
                let given = natural(text).map_err(|errnos| refusal.extend(errnos)).ok();
                if !is_interval(kind) {
                    refusal.push(Errno::EOPNOTSUPP);
                } else if given.is_some_and(|given| given != seq) {
                    refusal.push(Errno::EAGAIN);
                }
                ok_if_empty(refusal)
            }
            Order::Copy => {
                let mut refusal = Refusal::from([Errno::EOPNOTSUPP]);
                if text != "copy" {
                    refusal.push(Errno::EINVAL);
                }
                Err(refusal)
            }
            Order::Zap => Err(zap(text)),
        }
    }
}

/// Returns the errnos of a zap of a range in which nothing is mapped; it cannot succeed.
fn zap(text: &str) -> Refusal {
    let mut words = text.split_ascii_whitespace();
    let mut refusal = Refusal::new();
    let range = match words.next() {
        // `all` ends at an address that is not page-aligned.
        None | Some("all") => Err(vec![Errno::EINVAL]),
        Some(range) => addresses(range),
    };
    match range {
        Ok((start, end)) if (start | end) % PAGE as u64 == 0 => {}
        Ok(_) => refusal.push(Errno::EINVAL),
        Err(errnos) => refusal.extend(errnos),
    }
    match (words.next(), words.next()) {
        (None, _) => {}
        (Some("atomic"), None) => refusal.push(Errno::EPERM),
        _ => refusal.push(Errno::EINVAL),
    }
    if refusal.is_empty() {
        refusal.push(Errno::EFAULT);
    }
    refusal
}

fn ok_if_empty(refusal: Refusal) -> Result<(), Refusal> {
    if refusal.is_empty() {
        Ok(())
    } else {
        Err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::kind::{INTERVAL, PLAIN, TWO_PASS};

    #[test]
    fn read_retry_needs_the_number_that_read_begin_returned() {
        let judge = |text: &str, kind| Order::Retry.judge(text.as_bytes(), kind, 7);
        assert_eq!(judge("7\n", INTERVAL), Ok(()));
        assert_eq!(judge("007", TWO_PASS), Ok(()));
        assert_eq!(judge("9", INTERVAL), Err(vec![Errno::EAGAIN]));
        assert_eq!(judge("7", PLAIN), Err(vec![Errno::EOPNOTSUPP]));
        assert_eq!(judge("-7", INTERVAL), Err(vec![Errno::EINVAL]));
        assert_eq!(
            judge("18446744073709551616", INTERVAL),
            Err(vec![Errno::ERANGE])
        );
        assert_eq!(
            judge("x", None),
            Err(vec![Errno::EINVAL, Errno::EOPNOTSUPP])
        );
    }

    #[test]
    fn read_begin_takes_one_word_and_shows_the_number() {
        let judge = |text: &str, kind| Order::Begin.judge(text.as_bytes(), kind, 7);
        assert_eq!(judge("begin\n", INTERVAL), Ok(()));
        assert_eq!(judge("begin", PLAIN), Err(vec![Errno::EOPNOTSUPP]));
        assert_eq!(judge("begin ", TWO_PASS), Err(vec![Errno::EINVAL]));
        assert_eq!(Order::Begin.shows(None), Ok("seq=none".into()));
        assert_eq!(Order::Begin.shows(Some(7)), Ok("seq=7".into()));
        assert_eq!(Order::Retry.shows(Some(7)), Err(Errno::EPERM));
    }

    #[test]
    fn a_zap_of_unmapped_pages_fails() {
        for (text, errnos) in [
            ("1000-2000", &[Errno::EFAULT][..]),
            ("1000-2000 atomic", &[Errno::EPERM]),
            ("1000-2001", &[Errno::EINVAL]),
            ("1000-2000 atomic x", &[Errno::EINVAL]),
            ("1000-10000000000000000", &[Errno::ERANGE]),
            ("1-2 atomic", &[Errno::EINVAL, Errno::EPERM]),
            ("all", &[Errno::EINVAL]),
        ] {
            assert_eq!(
                Order::Zap.judge(text.as_bytes(), PLAIN, 0),
                Err(errnos.to_vec()),
                "{text}"
            );
        }
    }
}
