// SPDX-License-Identifier: GPL-2.0

//! Runs other programs: their output goes to a log, and a failure shows its end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::vm::host::cache;
use crate::vm::host::progress::Task;
use crate::vm::host::signals;

/// How many lines of a log are shown when something failed.
const TAIL: usize = 20;

/// A program failed.
#[derive(Debug, thiserror::Error)]
#[error("[{stage}] `{program}` failed ({how}){full}\n{tail}\n[{stage}] the whole log: {}", log.display())]
pub struct StageError {
    stage: &'static str,
    program: String,
    how: String,
    /// Empty, or what to say about a full disk.
    full: String,
    tail: String,
    log: PathBuf,
}

/// Where a stage's programs write to.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Starts a log anew.
    pub fn create(path: PathBuf) -> Result<Self> {
        if let Some(dir) = path.parent() {
            cache::make_dir(dir)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&path)
            .map_err(|e| cache::explain(e, "cannot write the log", &path))?;
        Ok(Log { path, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|e| cache::explain(e, "cannot write the log", &self.path))
    }
}

/// An environment in which nothing of the user's changes what is built, except where programs
/// are found and how the network is reached.
pub fn clean_environment(command: &mut Command) {
    const KEPT: &[&str] = &[
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "TERM",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "http_proxy",
        "https_proxy",
        "ftp_proxy",
        "no_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CARGO_HTTP_CAINFO",
        "APT_CONFIG",
    ];
    command.env_clear().env("LC_ALL", "C.UTF-8");
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// A command that the kernel ends when the thread that started it ends, however that happens.
///
/// `setpriv` (util-linux) asks for that and then becomes the program, so the process is the
/// program's own; doing it here would take `unsafe` between fork and exec.
pub fn tied(program: impl AsRef<std::ffi::OsStr>, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg("--pdeathsig")
        .arg(signal)
        .arg("--")
        .arg(program);
    command
}

/// Runs a program to its end. Its output goes to the log, line by line to `each`.
///
/// # Errors
///
/// [`StageError`] where it fails; [`signals::Interrupted`] after a signal, and then the program
/// and what it started have ended.
pub fn run(
    task: &Task<'_>,
    log: &mut Log,
    command: &mut Command,
    mut each: impl FnMut(&str),
) -> Result<()> {
    let program = describe(command);
    log.write(format!("$ {program}\n").as_bytes())?;
    let (mut reader, writer) = io::pipe().context("cannot make a pipe")?;
    let second = writer.try_clone().context("cannot duplicate a pipe")?;
    // A group of its own: the terminal's Ctrl-C reaches only us, and we end all of the group.
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second);
    let child = command.spawn().with_context(|| {
        format!(
            "[{}] cannot start `{}`",
            task.name(),
            command.get_program().display()
        )
    })?;
    // The command keeps copies of the pipe's writing end, and its end would never be seen.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut group = Group(Some(child));

    let mut lines = Lines::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        signals::wait_readable(&reader, None)?;
        let n = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e).context("cannot read a program's output"),
        };
        log.write(&buffer[..n])?;
        lines.feed(&buffer[..n], &mut each);
    }
    let status = group.wait()?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(&log.path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let full = if text.contains("No space left on device") {
        format!(": {}", cache::disk_full(&log.path))
    } else {
        String::new()
    };
    Err(StageError {
        stage: task.name(),
        program: command_name(&program),
        how: status.to_string(),
        full,
        tail: tail(&text),
        log: log.path.clone(),
    }
    .into())
}

/// Runs a short program and returns what it wrote to its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let program = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        anyhow::bail!(
            "`{program}` failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last lines of a text, indented.
pub fn tail(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    if lines.is_empty() {
        return "    (nothing)".to_owned();
    }
    let from = lines.len().saturating_sub(TAIL);
    let shown: Vec<_> = lines[from..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect();
    shown.join("\n")
}

/// A command as one would type it.
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quote(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The part of a command that a person recognises it by.
fn command_name(described: &str) -> String {
    const LONGEST: usize = 160;
    let described = described
        .split_once("setpriv --pdeathsig TERM -- ")
        .map_or(described, |(_, rest)| rest);
    match described.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &described[..end]),
        None => described.to_owned(),
    }
}

/// A word in the form in which a shell takes it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A child and its process group, both gone when this is dropped.
struct Group(Option<Child>);

impl Group {
    fn wait(&mut self) -> Result<std::process::ExitStatus> {
        let child = self
            .0
            .as_mut()
            .context("the program was waited for already")?;
        let status = child.wait().context("cannot wait for a program")?;
        self.0 = None;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // The child was not waited for, so its number is still its own.
            // An error tells that the whole group has ended already.
            if let Ok(pid) = i32::try_from(child.id()) {
                _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
            }
            drop(child.wait());
        }
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes the next bytes and hands on every line that is complete, without its end.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.0.extend_from_slice(part);
            if self.0.last() == Some(&b'\n') {
                self.0.pop();
                each(&String::from_utf8_lossy(&self.0));
                self.0.clear();
            }
        }
    }

    /// What came after the last end of a line.
    pub fn rest(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::host::progress::Ui;

    #[test]
    fn lines_arrive_whole() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for bytes in ["a", "b\nc", "\n\nd"] {
            lines.feed(bytes.as_bytes(), |line| seen.push(line.to_owned()));
        }
        assert_eq!(seen, ["ab", "c", ""]);
        assert_eq!(lines.rest(), b"d");
    }

    #[test]
    fn a_failure_shows_the_end_of_the_log_and_where_it_is() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a.log");
        let ui = Ui::new();
        let task = ui.begin("test", "fails");
        let mut log = Log::create(path.clone())?;
        let mut command = Command::new("sh");
        command.args(["-c", "seq 1 100; exit 3"]);
        let mut count = 0;
        let error = run(&task, &mut log, &mut command, |_| count += 1).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(count, 100);
        assert!(text.contains("[test]"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(
            text.contains("    81\n") && !text.contains("    80\n"),
            "{text}"
        );
        assert!(text.contains(&path.display().to_string()), "{text}");
        Ok(())
    }

    #[test]
    fn a_full_disk_in_a_log_is_said() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let ui = Ui::new();
        let task = ui.begin("test", "fails");
        let mut log = Log::create(dir.path().join("a.log"))?;
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'cc: No space left on device'; exit 1"]);
        let error = run(&task, &mut log, &mut command, |_| {}).unwrap_err();
        assert!(format!("{error:#}").contains("is full"));
        Ok(())
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quote("a=b"), "a=b");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
