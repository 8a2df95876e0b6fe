// SPDX-License-Identifier: GPL-2.0

//! The scenarios that take several steps.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use crate::injector::formats::{Entry, Op};
use crate::injector::{Attach, LogReader, detach_line, target_file};
use crate::model::{FollowUp, NotifierKind, Step};
use crate::os::sys::PAGE;
use crate::os::wait::Limit;
use crate::scenario::procedure::{Procedure, Registration, RegistrationOutcome};
use crate::trigger::helper::Answer;
use crate::trigger::pages;

use crate::observe::removal::REMOVAL;
use crate::observe::setup::{DELAY, Setup, beside};
use crate::observe::{STEP, Session};

/// How long the callback sleeps during which a read side is begun.
const LONG_SLEEP: Duration = Duration::from_millis(500);

/// The number of the target that a registration makes; the next one is for a second.
pub(crate) const REGISTERED: usize = 1002;

/// What has to wait for the end of an invalidation does.
const WAITS: &str = "waits for its end";

const fn if_waited(ended: Duration, asleep_until: Duration) -> &'static str {
    if ended.as_nanos() >= asleep_until.as_nanos() {
        WAITS
    } else {
        "does not wait"
    }
}

impl Setup {
    fn watched_pages(&self) -> u64 {
        let (start, end) = self.target.watched();
        (end - start) / PAGE as u64
    }

    fn step(&mut self, what: &str, due: impl ToString, seen: impl ToString) {
        self.steps.push(Step {
            what: what.to_owned(),
            due: due.to_string(),
            seen: seen.to_string(),
        });
    }
}

/// What `mmu_interval_read_retry()` says, in words.
fn retry_word(answer: &Answer) -> String {
    match answer {
        Answer::Done(0) => "undisturbed".to_owned(),
        Answer::Done(errno) if *errno == -(Errno::EAGAIN as i32) => "retry".to_owned(),
        answer => answer.to_string(),
    }
}

impl Session {
    /// Carries out the steps of a scenario.
    pub(crate) fn carry_out(&mut self, procedure: Procedure, subject: &mut Setup) -> Result<()> {
        match procedure {
            Procedure::Read => {
                let Some(seq) = self.read_begin(subject)? else {
                    return Ok(());
                };
                self.read_retry(subject, &seq, "undisturbed")
            }
            Procedure::ReadDisturbed => {
                let Some(seq) = self.read_begin(subject)? else {
                    return Ok(());
                };
                subject.outcome = subject.target.act(&self.waiter, STEP)?;
                self.read_retry(subject, &seq, "retry")?;
                let Some(again) = self.read_begin(subject)? else {
                    return Ok(());
                };
                subject.step("the second read side begins with", "another number", {
                    if again == seq {
                        "the same number"
                    } else {
                        "another number"
                    }
                });
                self.read_retry(subject, &again, "undisturbed")
            }
            Procedure::ReadElsewhere | Procedure::ReadFailed => {
                let Some(seq) = self.read_begin(subject)? else {
                    return Ok(());
                };
                subject.outcome = subject.target.act(&self.waiter, STEP)?;
                // One that fails cannot have told its readers.
                self.read_retry(subject, &seq, "undisturbed")
            }
            Procedure::ReadWaits => self.read_waits(subject),
            Procedure::ChangeInInvalidation => self.change_in_invalidation(subject),
            Procedure::ReadRefused => self.read_refused(subject),
            Procedure::ToldBefore(_) => self.told_before(subject),
            Procedure::ZappedBeforeEnd(_) => self.zapped_before_end(subject),
            Procedure::ReapedBeforeEnd => self.reaped_before_end(subject),
            Procedure::ReapsOthers => self.reaps_others(subject),
            Procedure::Register(registration) => self.register(registration, subject),
            Procedure::RemoveInCallback => self.remove_in_callback(subject),
            Procedure::ReleaseAtExit => self.release_at_exit(subject),
            // The release is counted when it is removed, by the module's total: a call before shows
            // whether that counts as it should.
            Procedure::ReleaseAtRemoval => {
                subject.outcome = subject.target.act(&self.waiter, STEP)?;
                Ok(())
            }
        }
    }

    /// Begins a read side of the first notifier. Returns its sequence number, as text; nothing
    /// where it waits for ever, which is a step that is not as it should be.
    fn read_begin(&mut self, subject: &mut Setup) -> Result<Option<String>> {
        let name = subject.attached[0].attachment.name().to_owned();
        self.read_begin_of(&name, subject)
    }

    /// The same of that target.
    fn read_begin_of(&mut self, name: &str, subject: &mut Setup) -> Result<Option<String>> {
        let file = target_file(name, "read_begin");
        let what = "the number of a read side is";
        match self.helper.read(&file, &self.waiter, REMOVAL)? {
            Answer::Text(text) => {
                let seq = text
                    .strip_prefix("seq=")
                    .with_context(|| format!("{} reads {text:?}", file.display()))?;
                let is_odd = seq.parse::<u64>().is_ok_and(|seq| seq % 2 == 1);
                subject.step(what, "odd", if is_odd { "odd" } else { seq });
                Ok(Some(seq.to_owned()))
            }
            Answer::Waits => {
                subject.step(what, "odd", "not there: it waits for ever");
                Ok(None)
            }
            answer => bail!("cannot read {}: {answer}", file.display()),
        }
    }

    /// Ends a read side of the first notifier.
    fn read_retry(&mut self, subject: &mut Setup, seq: &str, due: &str) -> Result<()> {
        let name = subject.attached[0].attachment.name().to_owned();
        self.read_retry_of(&name, subject, seq, due)
    }

    /// The same of that target.
    fn read_retry_of(
        &mut self,
        name: &str,
        subject: &mut Setup,
        seq: &str,
        due: &str,
    ) -> Result<()> {
        let file = target_file(name, "read_retry");
        let answer = self.helper.write(&file, seq, &self.waiter, STEP)?;
        subject.step("mmu_interval_read_retry() says", due, retry_word(&answer));
        Ok(())
    }

    /// Of two interval notifiers the first is done with the invalidation while the second sleeps.
    fn read_waits(&mut self, subject: &mut Setup) -> Result<()> {
        let asleep_until = self.fall_asleep(1, subject)?;
        // Another one begins and ends meanwhile.
        let (start, end) = beside(subject.target.watched());
        let file = target_file(subject.holder.name(), "zap");
        let line = format!("{start:#x}-{end:#x}");
        let answer = self.helper.write(&file, &line, &self.waiter, STEP)?;
        subject.step("an invalidation beside it", Answer::Done(0), answer);
        let began = monotonic()?;
        let seq = self.read_begin(subject)?;
        let ended = monotonic()?;
        self.acted_after(asleep_until, subject)?;
        let Some(seq) = seq else {
            return Ok(());
        };
        if began >= asleep_until {
            subject.trouble = Some("the callback slept too short for a read side to begin".into());
            return Ok(());
        }
        let what = "a read side that begins in an invalidation";
        subject.step(what, WAITS, if_waited(ended, asleep_until));
        self.read_retry(subject, &seq, "undisturbed")
    }

    /// While a callback sleeps, one notifier beside it comes, and one goes.
    fn change_in_invalidation(&mut self, subject: &mut Setup) -> Result<()> {
        let [goes, comes] = [REGISTERED, REGISTERED + 1].map(|index| Attach {
            pid: subject.target.pid().as_raw(),
            index,
            kind: NotifierKind::Interval.name(),
            range: Some(beside(subject.target.watched())),
        });
        let holder = format!("@{}", subject.holder.name());
        let answer = self.control(&goes.line_to(&holder, ""))?;
        subject.actors.insert(0, self.helper.pid().as_raw());
        subject.step("registering before", Answer::Done(0), &answer);
        if answer != Answer::Done(0) {
            return Ok(());
        }

        let asleep_until = self.fall_asleep(1, subject)?;
        let came = self.control(&comes.line_to(&holder, ""))?;
        let came_at = monotonic()?;
        let gone = self.control(&detach_line(&goes.name()))?;
        let gone_at = monotonic()?;
        self.acted_after(asleep_until, subject)?;
        subject.step("registering in an invalidation", Answer::Done(0), &came);
        subject.step("removing in an invalidation", Answer::Done(0), &gone);
        if came_at >= asleep_until {
            subject.trouble = Some("the callback slept too short for a removal to begin".into());
            return Ok(());
        }
        let what = "a removal that begins in an invalidation";
        subject.step(what, WAITS, if_waited(gone_at, asleep_until));
        if (came, gone) != (Answer::Done(0), Answer::Done(0)) {
            return Ok(());
        }
        if let Some(seq) = self.read_begin_of(&comes.name(), subject)? {
            self.read_retry_of(&comes.name(), subject, &seq, "undisturbed")?;
        }
        let answer = self.control(&detach_line(&comes.name()))?;
        subject.step("removing after", Answer::Done(0), answer);
        Ok(())
    }

    /// Looks while a start sleeps whether the pages are still there.
    fn told_before(&mut self, subject: &mut Setup) -> Result<()> {
        let pid = subject.target.pid();
        let before = pages::anonymous(pid)?;
        let asleep_until = self.fall_asleep(0, subject)?;
        let during = pages::anonymous(pid)?;
        if monotonic()? >= asleep_until {
            subject.trouble = Some("the callback slept too short for the pages to be seen".into());
        }
        self.acted_after(asleep_until, subject)?;
        // The process may have touched others meanwhile.
        let are_there = before.saturating_sub(during) < subject.watched_pages() / 2;
        subject.step("while a start runs, the pages are", "there", {
            if are_there { "there" } else { "gone" }
        });
        Ok(())
    }

    /// Looks while an end sleeps whether the pages are gone.
    fn zapped_before_end(&mut self, subject: &mut Setup) -> Result<()> {
        let attachment = &subject.attached[0].attachment;
        attachment.set("sleep_us", &LONG_SLEEP.as_micros().to_string())?;
        let (log, pid) = (attachment.follow()?, subject.target.pid());
        let before = pages::anonymous(pid)?;
        subject.target.act_and_die()?;
        let asleep_until = self.misbehaves(log)? + LONG_SLEEP;
        // The mapping is gone from what can be looked at before its pages are.
        let taken = before.saturating_sub(pages::anonymous(pid)?);
        are_gone_by_end(taken, asleep_until, subject)?;
        self.acted_after(asleep_until, subject)
    }

    /// The same while one waits without sleeping.
    fn reaped_before_end(&mut self, subject: &mut Setup) -> Result<()> {
        let log = subject.attached[0].attachment.follow()?;
        let (pid, watched) = (subject.target.pid(), subject.target.watched());
        let before = pages::resident(pid, watched)?;
        subject.nice_mrelease()?;
        subject.begin_mrelease()?;
        let busy_until = self.misbehaves(log)? + DELAY;
        // Others are taken before and after these.
        let taken = before.saturating_sub(pages::resident(pid, watched)?);
        are_gone_by_end(taken, busy_until, subject)?;
        subject.outcome = subject.end_mrelease(&self.waiter)?;
        cannot_be_over_before(busy_until, subject)
    }

    /// Waits until a callback does something that takes long, and returns when it began to; `log`
    /// is that of its notifier, which the module writes just before.
    fn misbehaves(&self, mut log: LogReader) -> Result<Duration> {
        let mut limit = Limit::new(STEP);
        loop {
            if let Some(time) = log.new_entries()?.first_injected() {
                return Ok(Duration::from_nanos(time));
            }
            if limit.is_over() {
                bail!("no callback did as it was told");
            }
            self.waiter.check()?;
        }
    }

    /// Waits until the operation is over in which a callback sleeps until then.
    fn acted_after(&self, asleep_until: Duration, subject: &mut Setup) -> Result<()> {
        subject.outcome = subject.target.acted(&self.waiter, STEP)?;
        cannot_be_over_before(asleep_until, subject)
    }

    /// Looks after a refusal whether all else is reaped.
    fn reaps_others(&mut self, subject: &mut Setup) -> Result<()> {
        let pid = subject.target.pid();
        let refused = self.mrelease(subject)?;
        subject.step("process_mrelease returns", -(Errno::EAGAIN as i32), refused);
        let left = pages::anonymous(pid)?;
        subject.step("pages that are left", subject.watched_pages(), left);
        Ok(())
    }

    /// Begins an invalidation in which the start of that notifier sleeps. Returns until when.
    fn fall_asleep(&mut self, sleeper: usize, subject: &mut Setup) -> Result<Duration> {
        let sleeper = &subject.attached[sleeper].attachment;
        sleeper.set("sleep_us", &LONG_SLEEP.as_micros().to_string())?;
        // That the process sleeps would not do: it may wait for something else, before.
        let log = sleeper.follow()?;
        subject.target.act_and_die()?;
        Ok(self.misbehaves(log)? + LONG_SLEEP)
    }

    fn read_refused(&mut self, subject: &mut Setup) -> Result<()> {
        let Some(seq) = self.read_begin(subject)? else {
            return Ok(());
        };
        let refused = self.mrelease(subject)?;
        subject.step("process_mrelease returns", -(Errno::EAGAIN as i32), refused);
        // Nothing was invalidated.
        self.read_retry(subject, &seq, "undisturbed")?;
        let Some(again) = self.read_begin(subject)? else {
            return Ok(());
        };
        self.read_retry(subject, &again, "undisturbed")
    }

    fn register(&mut self, registration: Registration, subject: &mut Setup) -> Result<()> {
        if registration.is_after_exit {
            self.end_process(subject)?;
        }
        let what = Attach {
            pid: subject.target.pid().as_raw(),
            index: REGISTERED,
            kind: registration.kind.name(),
            range: registration
                .kind
                .is_interval()
                .then(|| subject.target.watched()),
        };
        let line = what.line_to(&format!("@{}", subject.holder.name()), registration.how);
        let answer = self.control(&line)?;
        // Only now: one that waits for ever since an earlier scenario has been replaced by then.
        subject.actors.insert(0, self.helper.pid().as_raw());
        let due = match registration.fate {
            RegistrationOutcome::Returns(errno) => Answer::Done(errno),
            RegistrationOutcome::IsLeft => Answer::Done(0),
            RegistrationOutcome::Waits => Answer::Waits,
            RegistrationOutcome::KillsCaller => Answer::Killed,
        };
        subject.is_held_up = answer == Answer::Waits;
        subject.step("registering", due, &answer);
        if answer == Answer::Done(0) && registration.fate != RegistrationOutcome::IsLeft {
            let answer = self.control(&detach_line(&what.name()))?;
            subject.step("removing", Answer::Done(0), answer);
        }
        Ok(())
    }

    /// Lets the process exit, and waits until its address space has no users.
    fn end_process(&mut self, subject: &mut Setup) -> Result<()> {
        subject.target.end(&self.waiter, STEP)?;
        let mut limit = Limit::new(STEP);
        while subject.holder.mm_counts()?.0 != 0 {
            if limit.is_over() {
                bail!("the address space of a process that is gone still has users");
            }
            self.waiter.check()?;
        }
        Ok(())
    }

    /// The callback waits for itself, and the process for the callback.
    fn remove_in_callback(&mut self, subject: &mut Setup) -> Result<()> {
        subject.target.act_and_die()?;
        let came_back = match subject.target.acted(&self.waiter, REMOVAL) {
            Ok(errno) => format!("returns {errno}"),
            Err(error) if error.is::<crate::os::wait::WaitError>() => {
                self.waiter.check()?;
                "waits for ever".to_owned()
            }
            Err(error) => return Err(error),
        };
        subject.step("munmap", "waits for ever", came_back);
        Ok(())
    }

    fn release_at_exit(&mut self, subject: &mut Setup) -> Result<()> {
        self.end_process(subject)?;
        for index in 0..subject.attached.len() {
            let attached = &subject.attached[index];
            let told = told_of_exit(&attached.attachment.get("log")?)?;
            // The list is empty when the pages go; intervals are in the tree until they are removed.
            let due = match attached.notifier.kind {
                NotifierKind::Plain | NotifierKind::PlainEnd => "release",
                NotifierKind::Interval => "start (RELEASE, blockable), start (UNMAP, blockable)",
                NotifierKind::IntervalTwoPass => {
                    "start (RELEASE, blockable), finish, start (UNMAP, blockable), finish"
                }
            };
            let what = format!("what notifier {index} is told when the process exits");
            subject.step(&what, due, told);
        }
        Ok(())
    }
}

/// Notes whether the watched pages are gone, of which so many have just been seen to be taken away;
/// the end runs until then.
fn are_gone_by_end(taken: u64, until: Duration, subject: &mut Setup) -> Result<()> {
    if monotonic()? >= until {
        subject.trouble = Some("the end ran too short for the pages to be seen".into());
    }
    // The process may have touched others meanwhile.
    let are_gone = taken >= subject.watched_pages() / 2;
    subject.step("while an end runs, the pages are", "gone", {
        if are_gone { "gone" } else { "there" }
    });
    Ok(())
}

/// An operation has just ended in which a callback does something that takes until then. No kernel
/// goes on before that returns: where the operation is over, it did not take so long.
fn cannot_be_over_before(until: Duration, subject: &mut Setup) -> Result<()> {
    if monotonic()? < until {
        let text = "the operation was over before the callback can have done as it was told";
        subject.trouble.get_or_insert_with(|| text.into());
    }
    Ok(())
}

/// What a notifier is told of the end of its address space, by its log.
fn told_of_exit(log: &str) -> Result<String> {
    // What ends in the kernel's half is the end of all addresses.
    let is_all = |end: u64| end >= 1 << 63;
    let mut told = Vec::new();
    for line in log.lines() {
        let Entry {
            op,
            event,
            context,
            end,
            ..
        } = Entry::parse(line)?;
        match op {
            Op::Later(FollowUp::Release) => told.push("release".to_owned()),
            _ if !is_all(end) => {}
            Op::Start => told.push(format!("start ({event}, {context})")),
            Op::Later(follow_up) => told.push(Op::Later(follow_up).name().to_owned()),
        }
    }
    if told.is_empty() {
        told.push("nothing".to_owned());
    }
    Ok(told.join(", "))
}

/// Nanoseconds on the clock of the module's log.
fn monotonic() -> Result<Duration> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("clock_gettime failed")?;
    Ok(Duration::from(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_exit_only_that_of_all_addresses_counts() {
        let line = |op: &str, event: &str, end: &str| {
            format!(
                "seq=7 time_ns=12 op={op} event={event} start=0x0 end={end} context=blockable \
                 tid=1 comm=a injected=0 returned=0 cur_seq=3 callers=-\n"
            )
        };
        let told = |ops: &[(&str, &str)], end: &str| {
            let lines: Vec<String> = ops.iter().map(|(op, event)| line(op, event, end)).collect();
            told_of_exit(&lines.concat()).unwrap()
        };
        let all = "0xffffffffffffffff";
        let exit = [
            ("start", "RELEASE"),
            ("finish", "RELEASE"),
            ("start", "UNMAP"),
            ("finish", "UNMAP"),
        ];
        assert_eq!(
            told(&exit, all),
            "start (RELEASE, blockable), finish, start (UNMAP, blockable), finish"
        );
        assert_eq!(told(&exit, "0x7000"), "nothing");
        assert_eq!(
            told(&[("start", "UNMAP"), ("end", "UNMAP")], "0x7000"),
            "nothing"
        );
        assert_eq!(
            told(&[("release", "RELEASE"); 2], "0x0"),
            "release, release"
        );
    }
}
