// SPDX-License-Identifier: GPL-2.0

//! What a person sees while it works: spinners on a terminal, plain lines elsewhere. All of it
//! goes to stderr; stdout carries the result only.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Says what is going on, and keeps how long each stage took.
#[derive(Debug)]
pub struct Ui {
    terminal: Option<MultiProgress>,
    /// Which of several runs it speaks for.
    run: Option<String>,
    stages: Mutex<Vec<(String, u64)>>,
}

/// Something that takes a while.
#[derive(Debug)]
pub struct Task<'a> {
    ui: &'a Ui,
    name: &'static str,
    what: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Ui {
    /// For the terminal where stderr is one.
    pub fn new() -> Self {
        Ui {
            terminal: std::io::stderr().is_terminal().then(MultiProgress::new),
            run: None,
            stages: Mutex::default(),
        }
    }

    /// For one of several runs at a time: on the same terminal, with its name in every line, and
    /// with stages of its own.
    pub fn of_run(&self, name: String) -> Self {
        Ui {
            terminal: self.terminal.clone(),
            run: Some(name),
            stages: Mutex::default(),
        }
    }

    /// What stands before whatever is said about a stage.
    fn head(&self, stage: &str) -> String {
        match &self.run {
            Some(run) => format!("[{run}] {stage}:"),
            None => format!("[{stage}]"),
        }
    }

    /// Says one line about a stage.
    pub fn line(&self, stage: &str, text: &str) {
        let line = format!("{} {text}", self.head(stage));
        match &self.terminal {
            Some(bars) => bars.suspend(|| say(&line)),
            None => say(&line),
        }
    }

    /// Says text that is no line about a stage, as it is.
    pub fn text(&self, text: &str) {
        let text = match &self.run {
            Some(run) => &format!("[{run}] {text}"),
            None => text,
        };
        match &self.terminal {
            Some(bars) => bars.suspend(|| say(text)),
            None => say(text),
        }
    }

    /// Starts something that takes a while.
    pub fn begin(&self, name: &'static str, what: &str) -> Task<'_> {
        let bar = self.terminal.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {msg} ({elapsed})")
            {
                bar.set_style(style);
            }
            bar.set_prefix(self.head(name));
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            self.line(name, &format!("{what} ..."));
        }
        Task {
            ui: self,
            name,
            what: what.to_owned(),
            started: Instant::now(),
            bar,
        }
    }

    /// The stages that ended, in that order, with their milliseconds.
    pub fn stages(&self) -> Vec<(String, u64)> {
        self.stages
            .lock()
            .map(|stages| stages.clone())
            .unwrap_or_default()
    }
}

impl Default for Ui {
    fn default() -> Self {
        Self::new()
    }
}

impl Task<'_> {
    /// The stage's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Says how far it is; shown on a terminal only.
    pub fn note(&self, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {detail}", self.what));
        }
    }

    /// Says a line while it goes on.
    pub fn line(&self, text: &str) {
        self.ui.line(self.name, text);
    }

    /// Ends it and says how.
    pub fn done(self, result: &str) {
        let took = self.started.elapsed();
        if let Ok(mut stages) = self.ui.stages.lock() {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            stages.push((self.name.to_owned(), millis));
        }
        self.clear();
        self.ui.line(
            self.name,
            &format!("{result} ({:.1} s)", took.as_secs_f64()),
        );
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Nothing can be done, and nothing is lost, where stderr is closed.
fn say(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_which_of_several_runs_it_is_about() {
        let ui = Ui::new();
        assert_eq!(ui.head("kernel"), "[kernel]");
        let run = ui.of_run("7.2 seed".to_owned());
        assert_eq!(run.head("kernel"), "[7.2 seed] kernel:");
        run.begin("kernel", "x").done("y");
        assert_eq!((ui.stages().len(), run.stages().len()), (0, 1));
    }
}
