// SPDX-License-Identifier: GPL-2.0

//! The exit of a subject while its notifiers are registered.

use anyhow::{Context as _, Result, bail};

use crate::injector::formats::{Entry, Op};
use crate::model::{ExitCallback, FollowUp, Seen, StepKind};
use crate::os::wait::Limit;

use crate::observe::session::{POLL, STEP, Session};
use crate::observe::setup::Setup;

impl Session {
    pub(super) fn exit(&mut self, setup: &mut Setup) -> Result<()> {
        self.end_process(setup)?;
        for notifier in 0..setup.attached.len() {
            let log = setup.attached[notifier].attachment.get("log")?;
            let callbacks = callbacks_of_exit(&log)?;
            setup.step(StepKind::Exit { notifier }, Seen::Callbacks(callbacks));
        }
        Ok(())
    }

    /// Lets the process exit, and waits until its address space has no users.
    pub(super) fn end_process(&mut self, setup: &mut Setup) -> Result<()> {
        setup.subject.end(&self.waiter, STEP)?;
        let mut limit = Limit::new(STEP);
        while setup.holder.mm_counts()?.users != 0 {
            if limit.is_over() {
                bail!("the address space of a process that is gone still has users");
            }
            self.waiter.child_changes(POLL)?;
        }
        Ok(())
    }
}

/// The callbacks in the log of a notifier that are about all addresses: those of the exit.
fn callbacks_of_exit(log: &str) -> Result<Vec<ExitCallback>> {
    // The range ends in the kernel's half of the addresses.
    let is_all = |end: u64| end >= 1 << 63;
    let mut callbacks = Vec::new();
    for line in log.lines() {
        let Entry {
            op,
            event,
            context,
            end,
            ..
        } = Entry::parse(line)?;
        match op {
            Op::Later(FollowUp::Release) => {
                callbacks.push(ExitCallback::FollowUp(FollowUp::Release));
            }
            _ if !is_all(end) => {}
            Op::Start => {
                let event = event.context("a start without an event")?;
                callbacks.push(ExitCallback::Start { event, context });
            }
            // Page aging and flushes of the TLB are no callbacks of the exit.
            Op::Later(follow_up) if !follow_up.has_event() => {}
            Op::Later(follow_up) => callbacks.push(ExitCallback::FollowUp(follow_up)),
        }
    }
    Ok(callbacks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_callbacks_about_all_addresses_are_of_the_exit() {
        let line = |op: &str, event: &str, end: &str| {
            format!(
                "seq=7 time_ns=12 op={op} event=MMU_NOTIFY_{event} start=0x0 end={end} \
                 context=blockable tid=1 comm=a injected=0 returned=0 cur_seq=3 owner=0 callers=-\n"
            )
        };
        let callbacks = |ops: &[(&str, &str)], end: &str| -> Vec<String> {
            let lines: Vec<String> = ops.iter().map(|(op, event)| line(op, event, end)).collect();
            let callbacks = callbacks_of_exit(&lines.concat()).unwrap();
            callbacks.iter().map(ExitCallback::to_string).collect()
        };
        let all = "0xffffffffffffffff";
        let exit = [
            ("start", "RELEASE"),
            ("finish", "RELEASE"),
            ("start", "UNMAP"),
            ("finish", "UNMAP"),
        ];
        assert_eq!(
            callbacks(&exit, all),
            [
                "start (RELEASE, blockable)",
                "finish",
                "start (UNMAP, blockable)",
                "finish"
            ]
        );
        assert!(callbacks(&exit, "0x7000").is_empty());
        let unmap = [("start", "UNMAP"), ("end", "UNMAP")];
        assert!(callbacks(&unmap, "0x7000").is_empty());
        assert_eq!(callbacks(&unmap, all)[1], "end");
        assert_eq!(
            callbacks(&[("release", "RELEASE"); 2], "0x0"),
            ["release", "release"]
        );
    }
}
