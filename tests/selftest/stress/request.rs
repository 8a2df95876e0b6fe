// SPDX-License-Identifier: GPL-2.0

//! Attaching and detaching of one target.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno;

use mn_inject::injector::detach_line;
use mn_inject::injector::formats::Counters;
use mn_inject::model::NotifierKind;
use mn_inject::os::limit::Limit;

use crate::stress::class::MayReturn;
use crate::stress::errno::Call;
use crate::stress::module_state::Moment;
use crate::stress::target::Target;
use crate::stress::victims::Victim;
use crate::stress::worker::{On, Worker};

/// Time limit for the end of a process for which an attach returned -ESRCH.
const ENDING: Duration = Duration::from_secs(30);

/// Most bytes that a mirror has a copy of.
const MIRRORED: u64 = 1 << 20;

/// An attach to be made.
#[derive(Clone, Debug)]
pub struct AttachRequest {
    /// Kind of the notifier.
    pub kind: NotifierKind,
    /// The process, if it is a victim in the world.
    pub victim: Option<Arc<Victim>>,
    /// Process id to write.
    pub pid: i32,
    /// Values that the target may be set to return.
    pub may_return: MayReturn,
}

impl Worker {
    /// Draws a range for an interval notifier or a filter: all addresses, the area of the victim's
    /// first thread, or one unused page.
    pub fn range(&mut self, victim: Option<&Victim>) -> (u64, u64) {
        let area = victim.and_then(Victim::area);
        match (self.rng.below(4), area) {
            (0 | 1, _) | (2, None) => (0x1000, 0x7fff_ffff_f000),
            (2, Some(area)) => area,
            _ => (0x1000, 0x2000),
        }
    }

    /// Makes the line for the request, and the target that the line attaches.
    pub fn attach_line(&mut self, request: &AttachRequest, moment: Moment) -> (String, Target) {
        let name = self.world.new_name();
        let kind = request.kind;
        let mut line = format!("attach {} name={name} kind={kind}", request.pid);
        let (start, mut end) = self.range(request.victim.as_deref());
        if kind == NotifierKind::Mirror {
            end = end.min(start + MIRRORED);
        }
        if kind.has_range() {
            line.push_str(&format!(" range={start:#x}-{end:x}"));
        }
        // Settings of a notifier that is shared are those of all its targets.
        let is_shared = !kind.has_range() && self.rng.one_in(4);
        if is_shared {
            line.push_str(" how=get");
        } else if self.rng.one_in(4) {
            line.push_str(" how=locked");
        }
        // From the first callback on, these keep the target within its limits.
        let sleeps = !is_shared && self.rng.one_in(4);
        if sleeps {
            line.push_str(" context=blockable");
        }
        line.push_str(match request.may_return {
            MayReturn::Success => " times=-1",
            _ => " times=2",
        });
        let target = Target {
            name,
            kind,
            victim: request.victim.clone(),
            may_return: request.may_return,
            sleeps,
            unloads: moment.unloads,
            detachers: AtomicU32::new(0),
            seen: Mutex::new(Counters::default()),
        };
        (line, target)
    }

    /// Checks the result of an attach. Returns the target if it was attached.
    pub fn attached(
        &mut self,
        request: &AttachRequest,
        target: Target,
        result: Result<(), Errno>,
        has_raced: bool,
    ) -> Option<Arc<Target>> {
        let call = match request.kind {
            NotifierKind::IntervalTwoPass => Call::AttachTwoPass,
            _ => Call::Attach,
        };
        match (result, &request.victim) {
            (Ok(()), _) => {}
            (Err(Errno::ESRCH), Some(victim)) => {
                self.world.counts.one("attach: no such process");
                self.is_ending(victim);
                return None;
            }
            (Err(errno), _) => {
                let what = format_args!("{} {}", request.kind, request.pid);
                self.judge(call, errno, has_raced, what);
                return None;
            }
        }
        Some(Arc::new(target))
    }

    /// Attaches as requested, and does not add the target to the world.
    pub fn attach(&mut self, request: &AttachRequest) -> Option<Arc<Target>> {
        let moment = self.moment();
        let (line, target) = self.attach_line(request, moment);
        let result = self.write_control(&line)?;
        let has_raced = self.has_raced(On::Module, moment);
        self.attached(request, target, result, has_raced)
    }

    /// Waits for the end of a victim for which an attach returned -ESRCH: it must be exiting.
    pub fn is_ending(&self, victim: &Victim) {
        let mut limit = Limit::new(ENDING);
        while !victim.is_dead() {
            if limit.is_over() {
                self.finding(format_args!(
                    "attach did not find process {}, which lives",
                    victim.pid
                ));
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Detaches a target. Returns false if another worker does, or if the module was unloaded.
    pub fn detach(&self, target: &Arc<Target>) -> bool {
        let since = self.moment();
        target.begin_detach();
        self.world.remove_target(target);
        let Some(result) = self.write_control(&detach_line(&target.name)) else {
            return false;
        };
        let (call, on) = (Call::Detach, On::Detached(target));
        self.judged(call, on, since, &target.name, result).is_some()
    }
}
