// SPDX-License-Identifier: GPL-2.0

//! Concurrent writes of several threads to the same files. A read must return one of the values
//! written and never a mixture of two.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;

use mn_inject::os::wait::Waiter;

use crate::fuzz::files;
use crate::fuzz::files::Open;
use crate::fuzz::finding;
use crate::processes::Processes;
use crate::random::Rng;

/// Number of threads that write.
const THREADS: usize = 4;

/// Files and the values written to them, chosen such that a mixture of two is none of them.
const VALUES: &[(&str, &[&str])] = &[
    (
        "fault/events",
        &[
            "all",
            "MMU_NOTIFY_UNMAP,MMU_NOTIFY_SOFT_DIRTY,MMU_NOTIFY_EXCLUSIVE",
            "MMU_NOTIFY_CLEAR,MMU_NOTIFY_PROTECTION_PAGE",
            "MMU_NOTIFY_RELEASE",
        ],
    ),
    (
        "fault/range",
        &[
            "all",
            "0x1111111111111111-0x2222222222222222",
            "0x3333333333333333-0x4444444444444444",
            "0x5000-0x6000",
        ],
    ),
    ("fault/context", &["any", "blockable", "non-blockable"]),
    (
        "fault/task",
        &[
            "all",
            "tid=1",
            "tid=4194304",
            "comm=aaaaaaaaaaaaaaa",
            "comm=b",
        ],
    ),
    ("fault/probability", &["0", "55", "100"]),
    ("fault/interval", &["1", "2147483647"]),
    ("fault/times", &["-1", "0", "1", "2147483647"]),
    ("fault/space", &["0", "1000000"]),
    ("effect/sleep_us", &["0", "10000000"]),
    ("record", &["injected", "all"]),
    ("actions/MMU_NOTIFY_UNMAP/error", &["0", "-11", "-4095"]),
    ("actions/MMU_NOTIFY_EXCLUSIVE/error", &["0", "-12"]),
];

/// Number of findings to keep of one race, in which one fault causes many findings.
const ENOUGH_OF_ONE: usize = 10;

/// Name of the target that all threads write to.
const TARGET: &str = "race";
/// Name of the target that all threads attach and detach.
const SHARED: &str = "race-shared";

/// Findings of all threads.
#[derive(Default)]
struct Found {
    findings: Mutex<Vec<String>>,
    /// Number of attaches of [`SHARED`] minus the number of its detaches.
    shared: AtomicI64,
}

impl Found {
    fn add(&self, what: String) {
        // A poisoned lock is no concern here: a thread's panic is reported where it is joined.
        let mut findings = self.findings.lock().unwrap_or_else(|e| e.into_inner());
        if findings.len() < ENOUGH_OF_ONE {
            findings.push(what);
        }
    }
}

/// Checks that all values of a settings line are among those written. Returns a finding if not.
fn check_settings(line: &str) -> Option<String> {
    for (path, values) in VALUES {
        let Some((_, key)) = path.split_once('/').filter(|(dir, _)| *dir != "actions") else {
            continue;
        };
        let value = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        if !value.is_some_and(|value| values.contains(&value)) {
            return Some(format!("settings has {key}={value:?} in {line:?}"));
        }
    }
    None
}

/// Writes random values to the settings of [`TARGET`] and reads them back, in one of the threads.
fn write_values(writes: u64, seed: u64, thread: usize, found: &Found) -> Result<()> {
    let mut rng = Rng::new(seed ^ (thread as u64 + 1) << 32);
    let files = VALUES
        .iter()
        .map(|(path, _)| Open::new(&format!("targets/{TARGET}/{path}")))
        .collect::<Result<Vec<_>>>()?;
    let settings = Open::new(&format!("targets/{TARGET}/settings"))?;
    for _ in 0..writes {
        // There are few files, so that the threads often use the same one.
        let index = rng.below(VALUES.len());
        let ((path, values), file) = (VALUES[index], &files[index]);
        let value = *rng.pick(values);
        let result = file.write(value.as_bytes(), 0);
        if !matches!(result, Ok(count) if count == value.len()) {
            found.add(format!(
                "\"{value}\" to {path}: expected {}, got {}",
                value.len(),
                finding::returned(&result)
            ));
        }
        // Mostly with one read(2), and sometimes up to end of file, as `cat` does.
        let seen = if rng.one_in(4) {
            file.read()?
        } else {
            file.line()?
        };
        if !values.contains(&seen.trim_end_matches('\n')) {
            found.add(format!("{path} reads {seen:?}, which nobody wrote"));
        }
        if rng.one_in(4)
            && let Some(wrong) = check_settings(&settings.line()?)
        {
            found.add(wrong);
        }
    }
    Ok(())
}

/// Attaches and detaches targets and checks the list of them, in one of the threads.
fn write_control(writes: u64, seed: u64, thread: usize, pids: &[i32], found: &Found) -> Result<()> {
    let mut rng = Rng::new(seed ^ (thread as u64 + 1) << 40);
    let control = Open::new("control")?;
    let own = format!("race-{thread}");
    let mut attached = false;
    let send = |line: String, allowed: &[Errno]| {
        let result = control.write(line.as_bytes(), 0);
        let right = match &result {
            Ok(count) => *count == line.len(),
            Err(error) => allowed.contains(&finding::errno_of(error)),
        };
        if !right {
            let got = finding::returned(&result);
            found.add(format!("\"{line}\" to control got {got}"));
        }
        result.is_ok()
    };
    for _ in 0..writes / 2 {
        let pid = rng.pick(pids);
        attached = if attached {
            !send(format!("detach {own}"), &[])
        } else {
            send(format!("attach {pid} name={own}"), &[])
        };
        // The name may be in use, or another thread may be attaching or detaching it.
        if rng.one_in(2) {
            let line = format!("attach {pid} name={SHARED}");
            if send(line, &[Errno::EEXIST]) {
                found.shared.fetch_add(1, Ordering::SeqCst);
            }
        } else if send(format!("detach {SHARED}"), &[Errno::ENOENT, Errno::EBUSY]) {
            found.shared.fetch_sub(1, Ordering::SeqCst);
        }
        for line in control.read()?.lines() {
            let known = [
                "race ",
                "race-shared ",
                "race-0 ",
                "race-1 ",
                "race-2 ",
                "race-3 ",
            ];
            let name = line.strip_prefix("name=").unwrap_or_default();
            if !known.iter().any(|known| name.starts_with(known))
                || !line.ends_with(" kind=plain range=all owner=control state=live")
            {
                found.add(format!("control has {line:?}"));
            }
        }
    }
    if attached {
        send(format!("detach {own}"), &[]);
    }
    Ok(())
}

/// Makes `writes` writes, rounded down to a multiple of the number of threads, after `first` earlier
/// ones. Returns the findings.
pub fn run(writes: u64, seed: u64, first: u64, waiter: &Waiter) -> Result<Vec<String>> {
    // Each part of the run has its own seed.
    let choices = seed.wrapping_add(first);
    let processes = Processes::start(2, waiter)?;
    let pids = processes.pids();
    let control = Open::new("control")?;
    let send = |line: String| -> Result<()> {
        control
            .write(line.as_bytes(), 0)
            .map(drop)
            .with_context(|| format!("\"{line}\" failed"))
    };
    let [subject, others @ ..] = pids.as_slice() else {
        bail!("no processes");
    };
    send(format!("attach {subject} name={TARGET}"))?;
    let found = Found::default();
    let share = writes / THREADS as u64;
    // An attach takes much longer than a write to a setting.
    let (values, commands) = (share - share / 16, share / 16);
    let done: Result<()> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let found = &found;
                scope.spawn(move || -> Result<()> {
                    write_values(values, choices, thread, found)?;
                    write_control(commands, choices, thread, others, found)
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(_) => bail!("a thread panicked"),
            })
    });
    send(format!("detach {TARGET}"))?;
    // The directory of the shared target must exist exactly if it was attached once more than
    // detached.
    let there = files::folder(SHARED).exists();
    let balance = found.shared.load(Ordering::SeqCst);
    if there {
        send(format!("detach {SHARED}"))?;
    }
    done?;
    if balance != i64::from(there) {
        found.add(format!(
            "\"{SHARED}\" was attached {balance} times more than detached, and its folder is{} there",
            if there { "" } else { " not" }
        ));
    }
    let left = control.read()?;
    if !left.is_empty() {
        found.add(format!("control has {left:?} when all is detached"));
    }
    let findings = found
        .findings
        .into_inner()
        .unwrap_or_else(|e| e.into_inner());
    Ok(findings
        .into_iter()
        .map(|what| format!("seed {seed}, several threads at once, after {first} writes: {what}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::kind::PLAIN;
    use crate::fuzz::setting::SETTINGS;

    #[test]
    fn the_values_are_valid_and_read_back_as_written() {
        for (path, values) in VALUES {
            let one = SETTINGS.iter().find(|one| one.path == *path).unwrap();
            for value in *values {
                assert_eq!(
                    one.rule.judge(value.as_bytes(), PLAIN),
                    Ok((*value).to_owned())
                );
            }
        }
    }

    #[test]
    fn a_mixture_of_two_values_is_found() {
        let good = crate::fuzz::setting::settings_line(&crate::fuzz::setting::defaults());
        assert_eq!(check_settings(&good), None);
        let mixed = good.replace("range=all", "range=0x1111111111111111-0x4444444444444444");
        assert!(check_settings(&mixed).is_some());
    }
}
