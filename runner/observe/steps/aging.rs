// SPDX-License-Identifier: GPL-2.0

//! Aging of pages, of which notifiers are asked whether a device has used them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::contract::steps::PAGE;
use crate::injector::LogReader;
use crate::model::{FollowUp, Later, Seen, StepKind};
use crate::os::damon::Kdamond;
use crate::os::khugepaged::{Khugepaged, SmallFolios};
use crate::os::lru_gen::LruGen;
use crate::os::wait::Limit;

use crate::observe::session::{POLL, STEP, Session};
use crate::observe::setup::Setup;

/// Time limit of the aging. A page that was touched just now may not be in the LRU yet.
const AGING: Duration = Duration::from_secs(5);

/// Questions after which DAMON has been seen to ask: an address may be the first of a page by chance.
const SAMPLES: usize = 8;

impl Session {
    /// Ages all pages, again and again, until the notifier is asked about some of the subject's.
    pub(super) fn age(&mut self, setup: &mut Setup) -> Result<()> {
        let enabled = LruGen::enable()?;
        let mut log = setup.attached[0].attachment.follow()?;
        let mut limit = Limit::new(AGING);
        let mut asked = Vec::new();
        while asked.is_empty() && !limit.is_over() {
            enabled.age()?;
            asked = questions(&mut log, setup)?;
            self.waiter.child_changes(POLL)?;
        }
        setup.step(StepKind::Aging, seen(&asked));
        Ok(())
    }

    /// Lets DAMON sample the pages, until the notifier is asked about them.
    pub(super) fn sample(&mut self, setup: &mut Setup) -> Result<()> {
        let mut log = setup.attached[0].attachment.follow()?;
        let _kdamond = Kdamond::start(setup.subject.pid(), setup.subject.watched())?;
        let mut limit = Limit::new(AGING);
        let mut asked = Vec::new();
        while asked.len() < SAMPLES && !limit.is_over() {
            asked.extend(questions(&mut log, setup)?);
            self.waiter.child_changes(POLL)?;
        }
        setup.step(StepKind::Aging, seen(&asked));
        Ok(())
    }

    /// Lets the subject make its pages old.
    pub(super) fn make_old(&mut self, setup: &mut Setup) -> Result<()> {
        let mut log = setup.attached[0].attachment.follow()?;
        setup.outcome = setup.subject.act(&self.waiter, STEP)?;
        let asked = questions(&mut log, setup)?;
        setup.step(StepKind::Aging, seen(&asked));
        Ok(())
    }
}

/// Scans of khugepaged in which it would have found something to collapse.
const SCANS: u64 = 3;

impl Session {
    /// Looks which pages the notifier is asked about before khugepaged announces that it collapses
    /// them, or after it has.
    pub(super) fn asked_around_start(&self, setup: &mut Setup, after: bool) -> Result<()> {
        let mut log = setup.attached[0].attachment.follow()?;
        self.collapse(setup)?;
        let (start, end) = setup.subject.watched();
        let entries = log.new_entries()?;
        let starts = entries
            .calls
            .iter()
            .filter(|call| call.comm == "khugepaged");
        let started = starts.map(|call| call.seq).min();
        let asked = |later: &&Later| {
            later.op == FollowUp::TestYoung
                && (start..end).contains(&later.start)
                && started.is_some_and(|started| (later.seq > started) == after)
        };
        let asked = entries.later.iter().filter(asked);
        let pages: BTreeSet<u64> = asked.map(|later| later.start / PAGE).collect();
        let kind = if after {
            StepKind::AskedAfterStart
        } else {
            StepKind::AskedBeforeStart
        };
        setup.step(kind, Seen::Asked(pages.len() as u64));
        Ok(())
    }

    /// Lets khugepaged go through folios of 64 KiB some times.
    pub(super) fn scan_collapsed(&self, setup: &mut Setup) -> Result<()> {
        let _sizes = SmallFolios::choose()?;
        setup.outcome = setup.subject.act(&self.waiter, STEP)?;
        let hurries = Khugepaged::hurry()?;
        let last = hurries.scans()? + SCANS;
        self.wait_until("khugepaged was not through with its scans", || {
            Ok(hurries.scans()? >= last)
        })?;
        // Takes mmap_lock for writing, so khugepaged is through with these pages, and comes no more
        // while the log is read.
        let ended = setup.subject.act(&self.waiter, STEP)?;
        ensure!(
            ended == 0,
            "madvise(MADV_NOHUGEPAGE) of the subject: {ended}"
        );
        Ok(())
    }
}

/// The addresses in the new entries of the log of which the first notifier was asked whether they
/// were used, as far as they are the subject's.
fn questions(log: &mut LogReader, setup: &Setup) -> Result<Vec<(u64, u64)>> {
    let (start, end) = setup.subject.watched();
    let asked =
        |later: &Later| later.op == FollowUp::ClearYoung && later.start < end && start < later.end;
    let entries = log.new_entries()?.later;
    let of_subject = entries.iter().filter(|later| asked(later));
    Ok(of_subject.map(|later| (later.start, later.end)).collect())
}

/// The record of questions.
fn seen(asked: &[(u64, u64)]) -> Seen {
    let is_part = |(start, end): &&(u64, u64)| start % PAGE != 0 || end % PAGE != 0;
    match asked.iter().filter(is_part).count() {
        0 => Seen::Asked(asked.len() as u64),
        parts => Seen::AskedOfParts(parts as u64),
    }
}
