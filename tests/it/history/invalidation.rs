// SPDX-License-Identifier: GPL-2.0

//! Invalidations with several notifiers of several kinds, as mm/mmu_notifier.c makes them.

use mn_inject::model::{
    Arming, Call, Context, FollowUp, Initiator, Later, NotifierKind, Observation,
};

use super::plan::REAPER_TID;
use super::writer::{Origin, Writer};

impl Writer<'_> {
    /// One invalidation of the watched addresses with all notifiers of `o`, as
    /// `__mmu_notifier_invalidate_range_start` and `..._end` make it. `seq` is the sequence number
    /// of the interval notifiers. Returns whether it is refused.
    pub fn invalidation(&mut self, o: &mut Observation, index: usize, seq: u64) -> bool {
        let (tid, comm) = match o.initiator {
            Initiator::Thread(tid) => (tid, o.comm.clone()),
            Initiator::OomReaper => (REAPER_TID, "oom_reaper".to_owned()),
            Initiator::Ksmd => (REAPER_TID, "ksmd".to_owned()),
            Initiator::Khugepaged => (REAPER_TID, "khugepaged".to_owned()),
            Initiator::Worker => (REAPER_TID, "kworker/u4:1".to_owned()),
        };
        let starts: Vec<Call> = (0..o.notifiers.len())
            .map(|at| start(o, at, tid, &comm, seq))
            .collect();
        self.itree_invalidate(o, index, &starts) || self.hlist_invalidate(o, index, &starts)
    }

    /// `mn_itree_invalidate`: the interval notifiers. Returns whether one of them has refused.
    fn itree_invalidate(&mut self, o: &mut Observation, index: usize, starts: &[Call]) -> bool {
        let mut finish_passes = Vec::new();
        let mut err = false;
        for start in starts {
            let kind = o.notifiers[start.notifier].notifier.kind;
            if !kind.is_interval() {
                continue;
            }
            self.log(o, start.clone());
            if start.returned != 0 {
                if start.context == Context::Blockable {
                    self.warn(
                        Origin::WarnHeader { observation: index },
                        "mm/mmu_notifier.c:488",
                        "__mmu_notifier_invalidate_range_start+0x88/0x250",
                        start.tid,
                        &start.comm,
                    );
                    continue;
                }
                err = true;
                break;
            }
            if kind == NotifierKind::IntervalTwoPass {
                finish_passes.push(start);
            }
        }
        for start in finish_passes {
            self.follow_up(o, start, FollowUp::Finish);
        }
        err
    }

    /// `mn_hlist_invalidate_range_start` and `mn_hlist_invalidate_end`: the plain notifiers.
    /// Returns whether one of them has refused.
    fn hlist_invalidate(&mut self, o: &mut Observation, index: usize, starts: &[Call]) -> bool {
        let kind = |o: &Observation, start: &Call| o.notifiers[start.notifier].notifier.kind;
        let is_blockable = o.expectation.context == Context::Blockable;
        let plain = || starts.iter().rev();
        let mut ret = false;
        for start in plain() {
            let kind = kind(o, start);
            if kind.is_interval() {
                continue;
            }
            self.log(o, start.clone());
            if start.returned != 0 {
                self.print_failure(index, start, kind.is_paired());
                ret = true;
            }
        }
        let is_refused = ret && !is_blockable;
        for _ in 0..u8::from(ret) + u8::from(!is_refused) {
            for start in plain() {
                if kind(o, start).is_paired() {
                    self.follow_up(o, start, FollowUp::End);
                }
            }
        }
        is_refused
    }

    /// Logs an end or a second pass.
    fn follow_up(&mut self, o: &mut Observation, start: &Call, op: FollowUp) {
        let (seq, time_ns) = self.next_entry();
        let notifier = &mut o.notifiers[start.notifier];
        notifier.counters.ends += 1;
        o.later.push(Later {
            notifier: start.notifier,
            seq,
            time_ns,
            op,
            start: start.start,
            end: start.end,
            context: start.context,
            tid: start.tid,
            injected: matches!(notifier.notifier.arming, Arming::AtEnd(_)),
        });
    }
}

/// The start of a notifier.
fn start(o: &Observation, notifier: usize, tid: i32, comm: &str, seq: u64) -> Call {
    let of = o.notifiers[notifier].notifier;
    let returned = match of.arming {
        Arming::Fail(errno) => errno,
        _ => 0,
    };
    Call {
        notifier,
        seq: 0,
        time_ns: 0,
        event: o.expectation.event,
        start: o.watched.0,
        end: o.watched.1,
        context: o.expectation.context,
        tid,
        comm: comm.to_owned(),
        injected: returned != 0,
        returned,
        cur_seq: if of.kind.is_interval() { seq } else { 0 },
        owner: Some(false),
        callers: Vec::new(),
    }
}
