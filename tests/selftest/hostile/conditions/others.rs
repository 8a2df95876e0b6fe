// SPDX-License-Identifier: GPL-2.0

//! Conditions caused by other users of the module, and by signals to the run.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::libc::EAGAIN;
use nix::sys::signal::{Signal, kill};

use mn_inject::injector;
use mn_inject::injector::{Attach, Attachment, Connection};
use mn_inject::model::exit::Exit;
use mn_inject::os::wait::Waiter;
use mn_inject::trigger::operation::Operation;
use mn_inject::trigger::subject::Subject;

use crate::hostile::condition::{Act, Scene};
use crate::random::Rng;

/// Time limit for each step of another process.
const STEP: Duration = Duration::from_secs(60);

/// Longest pause between two acts.
const PAUSE: Duration = Duration::from_millis(100);

/// Another process with a notifier that fails.
struct Notifier {
    rng: Rng,
    waiter: Waiter,
    subject: Subject,
    _attachment: Attachment,
}

pub(crate) fn notifier(waiter: &Waiter, seed: u64) -> Result<Box<dyn Act>> {
    let subject = Subject::start(Operation::Dontneed, waiter, STEP)?;
    let attachment = Connection::open()?.attach(&Attach {
        pid: subject.pid().as_raw(),
        index: 0,
        kind: "plain",
        range: None,
    })?;
    attachment.change(&format!("times=-1 error={}", -EAGAIN))?;
    Ok(Box::new(Notifier {
        rng: Rng::new(seed),
        waiter: Waiter::new().context("cannot block signals")?,
        subject,
        _attachment: attachment,
    }))
}

impl Act for Notifier {
    fn act(&mut self, _: &Scene) -> Result<u64> {
        let times = self.rng.within(1..20);
        for _ in 0..times {
            self.subject.act(&self.waiter, STEP)?;
        }
        // A pause, so that some scenarios run without this load.
        std::thread::sleep(4 * PAUSE.mul_f64(self.rng.fraction()));
        Ok(times)
    }
}

/// Starts `mn-inject run` a second time, which must be rejected.
struct SecondRun;

pub(crate) fn second_run(_: &Waiter, _: u64) -> Result<Box<dyn Act>> {
    Ok(Box::new(SecondRun))
}

impl Act for SecondRun {
    fn act(&mut self, scene: &Scene) -> Result<u64> {
        // Not before the run has claimed the module, or the second run would claim it.
        if !scene.run().is_some_and(injector::is_claimed_by) {
            std::thread::sleep(PAUSE / 10);
            return Ok(0);
        }
        let output = Command::new("/proc/self/exe")
            .args(["run", "--only", "munmap-whole-*"])
            .stdin(Stdio::null())
            .output()
            .context("cannot start another run")?;
        let said = String::from_utf8_lossy(&output.stdout);
        match output.status.code() {
            Some(code) if code == Exit::NoVerdict as i32 && said.contains("another") => Ok(1),
            // The disturbed run had just ended.
            Some(0) => Ok(0),
            code => bail!("another run ended with {code:?}, and said: {said}"),
        }
    }
}

/// Stops the run, and continues it.
struct Stop(Rng);

pub(crate) fn stop(_: &Waiter, seed: u64) -> Result<Box<dyn Act>> {
    Ok(Box::new(Stop(Rng::new(seed))))
}

impl Act for Stop {
    fn act(&mut self, scene: &Scene) -> Result<u64> {
        std::thread::sleep(PAUSE.mul_f64(self.0.fraction()));
        let Some(run) = scene.run() else {
            return Ok(0);
        };
        // The run may have ended.
        let stopped = kill(run, Signal::SIGSTOP).is_ok();
        std::thread::sleep(PAUSE.mul_f64(self.0.fraction()));
        let _ = kill(run, Signal::SIGCONT);
        Ok(u64::from(stopped))
    }
}
