// SPDX-License-Identifier: GPL-2.0

//! Lines: newlines, length, bytes, and reading files in parts.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;

use anyhow::Context as _;
use nix::errno::Errno;

use mn_inject::injector::DEVICE;
use mn_inject::injector::{control_file, files};
use mn_inject::trigger::operation::Operation;

use crate::fuzz::order::Order;
use crate::fuzz::setting::SETTINGS;
use crate::fuzz::subject::READ_ONLY;
use crate::module_cases::outcome::{Failure, Outcome, demand, same};
use crate::module_cases::rig::{Attached, Rig, control, open, read, refused, write};

/// Writes lines one after the other to the same open file, and demands the result of each write.
fn writes(name: &str, lines: &[(&[u8], Result<(), Errno>)]) -> Outcome {
    let file = open(&files::path(name))?;
    for (line, due) in lines {
        let what = format!(
            "\"{}\" to {name}",
            line[..line.len().min(80)].escape_ascii()
        );
        same(&what, write(&file, line)?, *due)?;
    }
    Ok(())
}

pub fn no_newline(rig: &Rig<'_>) -> Outcome {
    let (_subject, attached) = rig.subject(Operation::Hold, "")?;
    let times = format!("targets/{}/fault/times", attached.name);
    writes(&times, &[(b"7", Ok(()))])?;
    same("times", attached.read("times")?.as_str(), "7")?;
    writes(&times, &[(b"8\n", Ok(()))])?;
    same("times", attached.read("times")?.as_str(), "8")?;
    let invalid = Err(Errno::EINVAL);
    writes(
        &times,
        &[
            (b"9\n\n", invalid),
            (b"9\n9", invalid),
            (b"\n9", invalid),
            (b"9 ", invalid),
            (b"\n", invalid),
            (b"", invalid),
        ],
    )?;
    same("times", attached.read("times")?.as_str(), "8")
}

pub fn split(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    let name = rig.name();
    let before = read("control")?;
    let invalid = Err(Errno::EINVAL);
    // Each write(2) is a separate line: nothing of the first half is kept for the second.
    writes(
        "control",
        &[
            (b"attach ", invalid),
            (
                format!("{} name={name}\n", subject.pid()).as_bytes(),
                invalid,
            ),
            (b"att", invalid),
            (
                format!("ach {} name={name}\n", subject.pid()).as_bytes(),
                invalid,
            ),
        ],
    )?;
    same("control", read("control")?, before)?;
    // A half that is a valid line is accepted.
    let attached = rig.attach(subject.pid().as_raw(), "")?;
    let times = format!("targets/{}/fault/times", attached.name);
    writes(&times, &[(b"1", Ok(())), (b"2\n", Ok(()))])?;
    same("times", attached.read("times")?.as_str(), "2")
}

pub fn bad_bytes(rig: &Rig<'_>) -> Outcome {
    let (subject, attached) = rig.subject(Operation::Hold, "")?;
    let settings = attached.read("settings")?;
    let pid = subject.pid();
    for line in [
        format!("attach {pid} name=a\0").into_bytes(),
        format!("attach {pid}\0\n").into_bytes(),
        format!("attach {pid} name=\u{e9}").into_bytes(),
        [format!("attach {pid} name=").as_bytes(), b"\xff"].concat(),
        format!("attach {pid}\nattach {pid} name=b\n").into_bytes(),
    ] {
        refused(&line, Errno::EINVAL)?;
    }
    let invalid = Err(Errno::EINVAL);
    let name = &attached.name;
    writes(
        &format!("targets/{name}/fault/task"),
        &[
            (b"comm=a\0", invalid),
            (b"comm=\xc3\xa9", invalid),
            (b"comm=\xff", invalid),
        ],
    )?;
    writes(
        &format!("targets/{name}/fault/times"),
        &[(b"5\0", invalid), (b"\0", invalid)],
    )?;
    same("settings", attached.read("settings")?, settings)
}

pub fn too_long(rig: &Rig<'_>) -> Outcome {
    let (subject, attached) = rig.subject(Operation::Hold, "")?;
    let settings = attached.read("settings")?;
    let big = Err(Errno::E2BIG);
    let times = format!("targets/{}/fault/times", attached.name);
    for length in [4097, 64 << 10] {
        refused(&vec![b'a'; length], Errno::E2BIG)?;
        refused(&vec![0; length], Errno::E2BIG)?;
        writes(&times, &[(&vec![b'1'; length], big)])?;
    }
    writes(
        &times,
        &[
            (&[b'1'; 4096], Err(Errno::ERANGE)),
            (&[b'x'; 4096], Err(Errno::EINVAL)),
        ],
    )?;
    same("settings", attached.read("settings")?, settings)?;
    // The longest line that is accepted.
    let name = rig.name();
    let end = format!("{} name={name}\n", subject.pid());
    let line = format!("{:<width$}{end}", "attach", width = 4096 - end.len());
    same("a line of 4096 bytes", control(line.as_bytes())?, Ok(()))?;
    Attached::adopt(name).detach()
}

pub fn read_only(rig: &Rig<'_>) -> Outcome {
    let (_subject, attached) = rig.subject(Operation::Hold, "")?;
    let refused = Err(Errno::EPERM);
    for name in READ_ONLY {
        writes(
            &format!("targets/{}/{name}", attached.name),
            &[(b"0", refused)],
        )?;
    }
    writes("help", &[(b"0", refused)])?;
    writes("total", &[(b"0", refused)])?;
    writes("breach", &[(b"1", refused)])
}

pub fn read_on(rig: &Rig<'_>) -> Outcome {
    let (_subject, attached) = rig.subject(Operation::Hold, "")?;
    let part = |file: &File| -> Outcome<String> {
        let mut buffer = [0; 4];
        let count = (&*file).read(&mut buffer).context("cannot read a file")?;
        Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
    };
    // In one part, with a change before the end of the file is read.
    attached.set("context", "any")?;
    let file = open(&attached.path("context"))?;
    same("the whole", part(&file)?.as_str(), "any\n")?;
    attached.set("context", "non-blockable")?;
    same("the end after a change", part(&file)?.as_str(), "")?;
    // After a seek to the beginning, the new text is read.
    (&file).rewind().context("cannot seek")?;
    same("from the beginning", part(&file)?.as_str(), "non-")?;
    // In parts, with a change in between: the `read` of some shells reads byte by byte.
    attached.set("times", "123456")?;
    let file = open(&attached.path("times"))?;
    same("the first part", part(&file)?.as_str(), "1234")?;
    attached.set("times", "777777777")?;
    same("the second part", part(&file)?.as_str(), "56\n")?;
    same("the end", part(&file)?.as_str(), "")
}

pub fn seek_back(rig: &Rig<'_>) -> Outcome {
    let (_subject, attached) = rig.subject(Operation::Hold, "")?;
    let text = attached.read("counters")? + "\n";
    let second = text.split_inclusive('\n').nth(1).unwrap_or_default();
    // Bash reads a line in this way: a whole buffer, then a seek back to the next line.
    let mut file = open(&attached.path("counters"))?;
    let mut buffer = [0; 4096];
    let count = file.read(&mut buffer).context("cannot read counters")?;
    same("the whole", &buffer[..count], text.as_bytes())?;
    file.seek(SeekFrom::Current(-(second.len() as i64)))
        .context("cannot seek back")?;
    let count = file.read(&mut buffer).context("cannot read counters")?;
    let seen = String::from_utf8_lossy(&buffer[..count]);
    same("the second line", seen.as_ref(), second)
}

pub fn root_only(rig: &Rig<'_>) -> Outcome {
    let (_subject, attached) = rig.subject(Operation::Hold, "")?;
    // The mode of folders is not checked: debugfs gives all of them the same.
    let mut left = vec![DEVICE.into(), files::path(""), attached.path("")];
    let mut files = 0;
    while let Some(path) = left.pop() {
        let facts =
            fs::metadata(&path).with_context(|| format!("cannot stat {}", path.display()))?;
        demand(
            facts.uid() == 0 && (facts.is_dir() || facts.mode() & 0o077 == 0),
            || format!("{} has mode {:o}", path.display(), facts.mode()),
        )?;
        files += usize::from(!facts.is_dir());
        if facts.is_dir() {
            let entries =
                fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
                left.push(entry.path());
            }
        }
    }
    // The files of the target are found twice: from the module's folder, and from its own.
    let settings = SETTINGS.iter().filter(|one| one.has_file()).count();
    // `settings` and `effect/error` are in none of the lists.
    let due = 1 + 4 + 2 * (2 + settings + READ_ONLY.len() + Order::ALL.len());
    same("files", files, due)
}

/// Number of threads that write at the same time.
const WRITERS: usize = 4;
/// Number of times that they do.
const ROUNDS: usize = 20;

pub fn at_once(rig: &Rig<'_>) -> Outcome {
    let subject = rig.start(Operation::Hold)?;
    for _ in 0..ROUNDS {
        let name = rig.name();
        let line = format!("attach {} name={name}", subject.pid());
        let results = together(&line)?;
        let wins = results.iter().filter(|result| result.is_ok()).count();
        let mut attached = Attached::adopt(name);
        let lost = |errno: Errno| results.iter().filter(|&&one| one == Err(errno)).count();
        demand(wins == 1 && lost(Errno::EEXIST) == WRITERS - 1, || {
            format!("{WRITERS} times \"{line}\" at once: {results:?}")
        })?;
        attached.demand_state("live")?;
        let line = format!("detach {}", attached.name);
        let results = together(&line)?;
        attached.forget();
        let wins = results.iter().filter(|result| result.is_ok()).count();
        let others = results
            .iter()
            .all(|one| matches!(one, Ok(()) | Err(Errno::ENOENT | Errno::EBUSY)));
        demand(wins == 1 && others, || {
            format!("{WRITERS} times \"{line}\" at once: {results:?}")
        })?;
        same(
            "control",
            crate::module_cases::rig::listed(line.trim_start_matches("detach "))?,
            None,
        )?;
    }
    Ok(())
}

/// Writes the same line from several threads at the same time. Returns the result of each write.
fn together(line: &str) -> Outcome<Vec<Result<(), Errno>>> {
    let barrier = Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    let file = open(&control_file());
                    barrier.wait();
                    write(&file?, line.as_bytes())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(result) => result,
                Err(_) => Err(Failure::Wrong("a thread panicked".into())),
            })
            .collect()
    })
}
