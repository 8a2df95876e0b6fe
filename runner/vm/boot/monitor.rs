// SPDX-License-Identifier: GPL-2.0

//! QEMU's monitor (QMP, docs/interop/qmp-spec of QEMU): JSON, a line each.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::vm::build::stage::Lines;
use crate::vm::host::signals;

/// Connection to the monitor of one QEMU.
#[derive(Debug)]
pub struct Monitor {
    stream: UnixStream,
    lines: Lines,
    /// Lines that were received and not looked at yet.
    received: VecDeque<Value>,
    deadline: Instant,
}

impl Monitor {
    /// Connects to a monitor that listens already. `deadline` is for everything that is asked of it.
    ///
    /// # Errors
    ///
    /// It does not listen, or does not answer as it should.
    pub fn connect(socket: &Path, deadline: Instant) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        let mut monitor = Monitor {
            stream,
            lines: Lines::default(),
            received: VecDeque::new(),
            deadline,
        };
        let greeting = monitor.receive()?;
        if greeting.get("QMP").is_none() {
            bail!("QEMU's monitor begins with {greeting}");
        }
        monitor.execute("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Carries out a command.
    ///
    /// # Errors
    ///
    /// QEMU refuses it, with its words, or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream
            .write_all(line.as_bytes())
            .context("cannot write to QEMU's monitor")?;
        loop {
            let answer = self.receive()?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"]);
            }
            // Anything else is an event, of which none is waited for yet.
            if answer.get("return").is_some() {
                return Ok(());
            }
        }
    }

    /// Waits for an event, and returns its data.
    ///
    /// # Errors
    ///
    /// The deadline has passed, or QEMU has ended.
    pub fn event(&mut self, name: &str) -> Result<Value> {
        loop {
            let mut line = self.receive()?;
            if line["event"] == name {
                return Ok(line["data"].take());
            }
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(line) = self.received.pop_front() {
                return Ok(line);
            }
            if !signals::wait_readable(&self.stream, Some(self.deadline))? {
                bail!("QEMU's monitor did not answer in time");
            }
            let n = self
                .stream
                .read(&mut buffer)
                .context("cannot read from QEMU's monitor")?;
            if n == 0 {
                bail!("QEMU ended");
            }
            let mut bad = None;
            let received = &mut self.received;
            self.lines
                .feed(&buffer[..n], |line| match serde_json::from_str(line) {
                    Ok(value) => received.push_back(value),
                    Err(error) => bad = Some(format!("QEMU's monitor sent {line:?}: {error}")),
                });
            if let Some(bad) = bad {
                bail!("{bad}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;
    use std::time::Duration;

    use super::*;

    /// A monitor that answers each line with the next of the answers.
    fn monitor(answers: &'static [&'static str]) -> (tempfile::TempDir, JoinHandle<Vec<String>>) {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("qmp")).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            let mut asked = Vec::new();
            for answer in answers {
                writeln!(stream, "{answer}").unwrap();
                asked.extend(lines.next().map(Result::unwrap));
            }
            asked
        });
        (dir, thread)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_command_is_carried_out_and_an_event_is_waited_for() -> Result<()> {
        let (dir, thread) = monitor(&[
            "{\"QMP\": {}}",
            "{\"return\": {}}",
            "{\"event\": \"STOP\"}\n{\"return\": {}}\n{\"event\": \"A\", \"data\": {\"b\": 1}}",
        ]);
        let mut monitor = Monitor::connect(&dir.path().join("qmp"), soon())?;
        monitor.execute("migrate", &json!({"uri": "x"}))?;
        assert_eq!(monitor.event("A")?, json!({"b": 1}));
        drop(monitor);
        let asked = thread.join().unwrap();
        assert!(asked[0].contains("qmp_capabilities"), "{asked:?}");
        assert!(asked[1].contains("\"uri\":\"x\""), "{asked:?}");
        Ok(())
    }

    #[test]
    fn a_refusal_is_quoted() -> Result<()> {
        let (dir, thread) = monitor(&[
            "{\"QMP\": {}}",
            "{\"return\": {}}",
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}}",
        ]);
        let mut monitor = Monitor::connect(&dir.path().join("qmp"), soon())?;
        let refused = monitor.execute("migrate", &json!({})).unwrap_err();
        assert!(refused.to_string().contains("no such thing"), "{refused}");
        drop(monitor);
        thread.join().unwrap();
        Ok(())
    }

    #[test]
    fn an_end_is_an_error() {
        let (dir, thread) = monitor(&["{\"QMP\": {}}"]);
        let ended = Monitor::connect(&dir.path().join("qmp"), soon()).unwrap_err();
        assert!(ended.to_string().contains("QEMU ended"), "{ended}");
        thread.join().unwrap();
    }
}
