// SPDX-License-Identifier: GPL-2.0

//! Progress on stderr: spinners on a terminal, plain lines elsewhere. stdout has the result only.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Prints progress, and records the duration of each stage.
#[derive(Debug)]
pub struct Ui {
    terminal: Option<MultiProgress>,
    /// Name of the run, if there are several at the same time.
    run: Option<String>,
    /// Names and durations (in milliseconds) of the finished stages.
    stages: Mutex<Vec<(String, u64)>>,
}

/// A stage in progress.
#[derive(Debug)]
pub struct Task<'a> {
    ui: &'a Ui,
    name: &'static str,
    what: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Ui {
    /// Uses spinners if stderr is a terminal.
    pub fn new() -> Self {
        Ui {
            terminal: std::io::stderr().is_terminal().then(MultiProgress::new),
            run: None,
            stages: Mutex::default(),
        }
    }

    /// Progress of one of several runs at the same time: on the same terminal, with the name of the
    /// run in every line, and with stages of its own.
    pub fn of_run(&self, name: String) -> Self {
        Ui {
            terminal: self.terminal.clone(),
            run: Some(name),
            stages: Mutex::default(),
        }
    }

    /// Prefix of every line about a stage.
    fn head(&self, stage: &str) -> String {
        match &self.run {
            Some(run) => format!("[{run}] {stage}:"),
            None => format!("[{stage}]"),
        }
    }

    /// Prints a line about a stage.
    pub fn line(&self, stage: &str, text: &str) {
        let line = format!("{} {text}", self.head(stage));
        match &self.terminal {
            Some(bars) => bars.suspend(|| print(&line)),
            None => print(&line),
        }
    }

    /// Prints text that does not belong to a stage.
    pub fn text(&self, text: &str) {
        let text = match &self.run {
            Some(run) => &format!("[{run}] {text}"),
            None => text,
        };
        match &self.terminal {
            Some(bars) => bars.suspend(|| print(text)),
            None => print(text),
        }
    }

    /// Begins a stage.
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

    /// Names and durations (in milliseconds) of the finished stages, in the order of their end.
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
    /// Name of the stage.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Shows the current step, on a terminal only.
    pub fn note(&self, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {detail}", self.what));
        }
    }

    /// Prints a line about the stage.
    pub fn line(&self, text: &str) {
        self.ui.line(self.name, text);
    }

    /// Ends the stage, and prints the result with its duration.
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

/// Prints a line. Errors are ignored: if stderr is closed, there is nowhere to report them.
fn print(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_name_of_its_run() {
        let ui = Ui::new();
        assert_eq!(ui.head("kernel"), "[kernel]");
        let run = ui.of_run("7.2 seed".to_owned());
        assert_eq!(run.head("kernel"), "[7.2 seed] kernel:");
        run.begin("kernel", "x").done("y");
        assert_eq!((ui.stages().len(), run.stages().len()), (0, 1));
    }
}
