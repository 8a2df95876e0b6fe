// SPDX-License-Identifier: GPL-2.0

//! Runs other programs. Their output goes to a log, and the error of a failed program has the end
//! of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::vm::host::cache;
use crate::vm::host::progress::Task;
use crate::vm::host::signals;

/// Number of lines of a log in an error message.
const TAIL: usize = 20;

/// Error of a failed program.
#[derive(Debug, thiserror::Error)]
#[error("[{stage}] `{program}` failed ({how}){full}\n{tail}\n[{stage}] the whole log: {}", log.display())]
pub struct StageError {
    stage: &'static str,
    program: String,
    how: String,
    is_killed: bool,
    /// Message about a full disk, or empty.
    full: String,
    tail: String,
    log: PathBuf,
}

impl StageError {
    /// Name of the stage.
    pub fn stage(&self) -> &'static str {
        self.stage
    }

    /// The same error, with another name for a directory in the end of the log.
    pub fn renamed(mut self, from: &Path, to: &Path) -> Self {
        let [from, to] = [from, to].map(|path| path.display().to_string());
        self.tail = self.tail.replace(&from, &to);
        self
    }

    /// Whether the machine is the reason: its disk is full, or a signal ended the program.
    pub fn is_of_machine(&self) -> bool {
        self.is_killed || !self.full.is_empty()
    }
}

/// Log of the programs of a stage.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Creates a log, or truncates an old one.
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

    /// Path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|e| cache::explain(e, "cannot write the log", &self.path))
    }
}

/// Removes environment variables that could change the result of a build. Those for finding
/// programs and for access to the network stay.
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

/// Creates a command to which the kernel sends `signal` when the thread that started it exits
/// (PR_SET_PDEATHSIG).
///
/// `setpriv` (util-linux) makes the system call and then executes the program in the same process;
/// doing it here would need `unsafe` code between fork and exec.
pub fn tied(program: impl AsRef<std::ffi::OsStr>, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg("--pdeathsig")
        .arg(signal)
        .arg("--")
        .arg(program);
    command
}

/// Runs a program until it exits. Its output goes to the log, and each line of it to `each`.
///
/// # Errors
///
/// [`StageError`] if the program fails. [`signals::Interrupted`] after a signal; the process group
/// of the program is terminated before.
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
    // A process group of its own: Ctrl-C on the terminal reaches only this program, which then
    // terminates the whole group.
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
    // Close the copies of the writer in the command, or the reader would never see end of file.
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
        is_killed: status.signal().is_some(),
        full,
        tail: tail(&text),
        log: log.path.clone(),
    }
    .into())
}

/// Runs a short program, and returns its standard output as text.
///
/// # Errors
///
/// Those of [`bytes`].
pub fn output(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(command)?).into_owned())
}

/// Runs a short program, and returns its standard output.
///
/// # Errors
///
/// The program cannot be started, or fails; the message has its standard error.
pub fn bytes(command: &mut Command) -> Result<Vec<u8>> {
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
    Ok(output.stdout)
}

/// Last lines of a text, indented.
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

/// Formats a command for a shell.
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quote(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Shortens a command for an error message.
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

/// Quotes a word for a shell, if necessary.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A child with its process group, which is terminated on drop.
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
            // The child was not waited for, so its pid was not reused.
            // An error means that the whole group has exited already.
            if let Ok(pid) = i32::try_from(child.id()) {
                _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
            }
            drop(child.wait());
        }
    }
}

/// Splits a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Adds bytes, and calls `each` with every line that is complete, without the line break.
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

    /// Bytes after the last line break.
    pub fn rest(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::host::progress::Ui;

    #[test]
    fn lines_are_passed_on_when_they_are_complete() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for bytes in ["a", "b\nc", "\n\nd"] {
            lines.feed(bytes.as_bytes(), |line| seen.push(line.to_owned()));
        }
        assert_eq!(seen, ["ab", "c", ""]);
        assert_eq!(lines.rest(), b"d");
    }

    #[test]
    fn a_failure_shows_the_end_and_the_path_of_the_log() -> Result<()> {
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
    fn a_full_disk_is_recognised_in_the_log() -> Result<()> {
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
    fn words_are_quoted_if_necessary() {
        assert_eq!(quote("a=b"), "a=b");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
