// SPDX-License-Identifier: GPL-2.0

//! A process that disturbs a run: both of its ends.
//!
//! It says `ready` when it has begun, is told `run PID` of the run that it is to disturb, and ends
//! with `done COUNT` or `wrong TEXT` at the end of its input.

use std::io::{self, BufRead, Write};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;

use mn_inject::os::wait::Waiter;
use mn_inject::trigger::peer;
use mn_inject::trigger::peer::Peer;

/// How long it may take to begin, and to end.
const STEP: Duration = Duration::from_secs(120);

/// What a disturbing process is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ConditionArgs {
    /// Which condition
    pub name: String,
    /// Where its random choices start
    pub seed: u64,
}

/// What a condition knows while it acts.
#[derive(Debug, Default)]
pub struct Scene {
    run: OnceLock<Pid>,
    is_over: AtomicBool,
}

impl Scene {
    /// The run that is to be disturbed, when it is there.
    pub fn run(&self) -> Option<Pid> {
        self.run.get().copied()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }
}

/// Something that happens while the scenarios run.
pub struct Condition {
    /// Its name.
    pub name: &'static str,
    /// What is counted of it.
    pub unit: &'static str,
    /// Sets it up; the number is where random choices start.
    pub begin: fn(&Waiter, u64) -> Result<Box<dyn Act>>,
}

/// What disturbs; dropped at the end, which must leave everything as it was.
pub trait Act {
    /// Disturbs for a short time. Returns how often it did.
    ///
    /// # Errors
    ///
    /// Something that is wrong with the run.
    fn act(&mut self, scene: &Scene) -> Result<u64>;
}

/// The other end: ends the process when dropped.
#[derive(Debug)]
pub struct Disturber {
    peer: Peer,
}

impl Disturber {
    /// The process itself.
    pub fn main(condition: &Condition, args: &ConditionArgs) -> Result<()> {
        peer::introduce(c"mn-condition")?;
        // Before there is another thread, which would take the signals.
        let waiter = Waiter::new().context("cannot block signals")?;
        let mut acting = (condition.begin)(&waiter, args.seed)
            .with_context(|| format!("cannot begin {}", condition.name))?;
        let scene = Scene::default();
        let mut count: u64 = 0;
        let mut wrong = None;
        println!("ready -");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for line in io::stdin().lock().lines() {
                    let pid = line
                        .ok()
                        .and_then(|line| line.strip_prefix("run ")?.parse().ok());
                    if let Some(pid) = pid {
                        // It is said once.
                        let _ = scene.run.set(Pid::from_raw(pid));
                    }
                }
                scene.is_over.store(true, Relaxed);
            });
            while !scene.is_over() && wrong.is_none() {
                match acting.act(&scene) {
                    Ok(times) => count += times,
                    Err(error) => wrong = Some(format!("{error:#}")),
                }
            }
            // The thread ends with the input.
        });
        drop(acting);
        match wrong {
            None => println!("done {count}"),
            Some(wrong) => println!("wrong {}", wrong.replace('\n', "; ")),
        }
        io::stdout().flush().context("cannot say what came of it")
    }

    /// Starts it, and returns when it has begun.
    pub fn start(condition: &Condition, seed: u64, waiter: &Waiter) -> Result<Self> {
        let arguments = [condition.name.to_owned(), seed.to_string()];
        let mut peer = Peer::start_with("condition", &arguments)?;
        peer.answer("ready", waiter, STEP)
            .with_context(|| format!("{} did not begin", condition.name))?;
        Ok(Disturber { peer })
    }

    /// Tells it of the run.
    pub fn disturb(&mut self, run: Pid) -> Result<()> {
        self.peer.say(&format!("run {run}"))
    }

    /// Ends it. Returns how often it has disturbed, or what it found wrong.
    pub fn end(mut self, waiter: &Waiter) -> Result<Result<u64, String>> {
        self.peer.close();
        let line = self.peer.line("done", waiter, STEP)?;
        let line = line.context("the disturbing process ended without a word")?;
        let outcome = match line.split_once(' ') {
            Some(("done", count)) => Ok(count.parse().with_context(|| format!("{line:?}"))?),
            Some(("wrong", text)) => Err(text.to_owned()),
            _ => bail!("{line:?} is nothing that a disturbing process says"),
        };
        waiter
            .child(self.peer.pid(), "the end of the disturbing process", STEP)
            .context("it does not end")?;
        Ok(outcome)
    }
}
