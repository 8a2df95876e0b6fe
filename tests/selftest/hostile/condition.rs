// SPDX-License-Identifier: GPL-2.0

//! A process that disturbs a run: both of its ends.
//!
//! It writes `ready` when it has begun, reads `run PID` with the process id of the run to disturb,
//! and at the end of its input writes `done COUNT` or `wrong TEXT` and ends.

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

/// Time limit for its start and for its end.
const STEP: Duration = Duration::from_secs(120);

/// Arguments of a disturbing process.
#[derive(Clone, Debug, clap::Args)]
pub struct ConditionArgs {
    /// Name of the condition
    pub name: String,
    /// Seed of its random choices
    pub seed: u64,
}

/// State that a condition can read while it acts.
#[derive(Debug, Default)]
pub struct Scene {
    run: OnceLock<Pid>,
    is_over: AtomicBool,
}

impl Scene {
    /// The run to disturb, once it has started.
    pub fn run(&self) -> Option<Pid> {
        self.run.get().copied()
    }

    /// Whether the condition must end.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }
}

/// A disturbance while the scenarios run.
pub struct Condition {
    /// Name on the command line.
    pub name: &'static str,
    /// Unit in which its acts are counted.
    pub unit: &'static str,
    /// Sets it up. The number is the seed of its random choices.
    pub begin: fn(&Waiter, u64) -> Result<Box<dyn Act>>,
}

/// A condition that is set up. Dropping it must restore everything.
pub trait Act {
    /// Disturbs for a short time. Returns the number of acts.
    ///
    /// # Errors
    ///
    /// The act failed, or the run is at fault.
    fn act(&mut self, scene: &Scene) -> Result<u64>;
}

/// The other end of the process. Dropping it ends the process.
#[derive(Debug)]
pub struct Disturber {
    peer: Peer,
}

impl Disturber {
    /// Body of the process. Returns after the end of its input.
    pub fn main(condition: &Condition, args: &ConditionArgs) -> Result<()> {
        peer::introduce(c"mn-condition")?;
        // Before another thread starts, which would take the signals.
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
                        // The line is sent only once.
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
            // The thread ends at the end of the input.
        });
        drop(acting);
        match wrong {
            None => println!("done {count}"),
            Some(wrong) => println!("wrong {}", wrong.replace('\n', "; ")),
        }
        io::stdout().flush().context("cannot say what came of it")
    }

    /// Starts the process, and returns when it has begun.
    pub fn start(condition: &Condition, seed: u64, waiter: &Waiter) -> Result<Self> {
        let arguments = [condition.name.to_owned(), seed.to_string()];
        let mut peer = Peer::start_with("condition", &arguments)?;
        peer.answer("ready", waiter, STEP)
            .with_context(|| format!("{} did not begin", condition.name))?;
        Ok(Disturber { peer })
    }

    /// Makes it disturb that run.
    pub fn disturb(&mut self, run: Pid) -> Result<()> {
        self.peer.say(&format!("run {run}"))
    }

    /// Ends it. Returns the number of its acts, or the finding that it has sent.
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
