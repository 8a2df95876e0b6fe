// SPDX-License-Identifier: GPL-2.0

//! Model of `control` and of a session: the lines accepted, and the targets that result.

use nix::errno::Errno;

use crate::fuzz::entry::{Change, Entry, Owner};
use crate::fuzz::keys::{Faults, Keys, check_how, check_name, process_id};
use crate::fuzz::kind::{KINDS, Kind, PLAIN, TWO_PASS, is_interval, word};
use crate::fuzz::line::{Refusal, addresses, line};
use crate::fuzz::setting;

/// Highest thread id (PID_MAX_LIMIT).
const TID_MAX: i32 = 4_194_304;

/// All targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The targets in the order of their attachment.
    pub entries: Vec<Entry>,
    /// Pids of processes to which a target can be attached.
    pub pids: Vec<i32>,
    /// Pids of no process, or of processes to which no target can be attached.
    pub dead: Vec<i32>,
    /// Whether the kernel has two-pass interval notifiers.
    pub two_pass: bool,
}

impl Table {
    fn attach<'a>(
        &self,
        words: impl Iterator<Item = &'a str>,
        owner: Owner,
    ) -> Result<Change, Refusal> {
        let mut words = words;
        let mut faults = Faults::default();
        let object = words.next().unwrap_or_default();
        let keys = Keys::parse(words, &mut faults);
        let process = match object.strip_prefix('@') {
            Some(name) => self.process_of(name, &keys, &mut faults),
            None => faults.of(process_id(object)).map(|pid| {
                let live = self.pids.contains(&pid);
                if !live {
                    faults.add(Errno::ESRCH);
                }
                (pid, live)
            }),
        };
        if let Some(name) = keys.name {
            check_name(name, &mut faults);
        }
        let wanted = keys.kind.unwrap_or(word(PLAIN));
        let kind = KINDS.into_iter().find(|&kind| word(kind) == wanted);
        if kind.is_none() {
            faults.add(Errno::EINVAL);
        }
        let is_interval = kind.is_some_and(is_interval);
        let range = keys.range.and_then(|range| match range {
            "all" => Some((0, u64::MAX)),
            range => faults.of(addresses(range)),
        });
        // The range of an interval notifier, or else a filter.
        let filter = keys.range.filter(|_| !is_interval);
        let filter = filter.map(|range| format!("range={range}"));
        let settings = filter
            .as_deref()
            .into_iter()
            .chain(keys.settings.iter().copied());
        let values = setting::words(settings, kind.unwrap_or(PLAIN), &mut faults);
        if let Some(kind) = kind {
            self.check_kind(kind, &keys, &mut faults);
            if process.is_some_and(|(_, live)| !live) && kind.is_some() {
                faults.add(Errno::ESRCH);
            }
        }
        check_how(keys.how, &mut faults);
        if let Some((pid, live)) = process {
            let name = keys.name.map_or_else(|| pid.to_string(), str::to_owned);
            if self.entries.iter().any(|entry| entry.name == name) {
                faults.add(Errno::EEXIST);
            }
            if let (Some(kind), true) = (kind, faults.0.is_empty()) {
                return Ok(Change::Attach(Entry {
                    name,
                    pid,
                    kind,
                    range: range.filter(|_| is_interval),
                    owner,
                    live,
                    values,
                }));
            }
        } else if let Some(name) = keys.name
            && self.entries.iter().any(|entry| entry.name == name)
        {
            faults.add(Errno::EEXIST);
        }
        Err(faults.0)
    }

    /// Checks that the other words are allowed for the kind.
    fn check_kind(&self, kind: Kind, keys: &Keys<'_>, faults: &mut Faults) {
        if is_interval(kind) && keys.range.is_none() {
            faults.add(Errno::EINVAL);
        }
        if kind == TWO_PASS && !self.two_pass {
            faults.add(Errno::EOPNOTSUPP);
        }
        if keys.how.is_some() && kind.is_none() || keys.how == Some("twice") && is_interval(kind) {
            faults.add(Errno::EINVAL);
        }
    }

    /// Returns the pid of the target `name` and whether that process still exists.
    fn process_of(&self, name: &str, keys: &Keys<'_>, faults: &mut Faults) -> Option<(i32, bool)> {
        check_name(name, faults);
        // The default name is the pid, and a line that names a target has none.
        if keys.name.is_none() {
            faults.add(Errno::EINVAL);
        }
        let entry = self.entries.iter().find(|entry| entry.name == name);
        if entry.is_none() {
            faults.add(Errno::ENOENT);
        }
        entry.map(|entry| (entry.pid, entry.live))
    }

    /// Returns whether a write(2) would attach to a pid of which the model does not predict the
    /// state. It may belong to an unrelated process.
    pub fn attaches_unknown_pid(&self, bytes: &[u8]) -> bool {
        let Ok(text) = line(bytes) else {
            return false;
        };
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some("attach") {
            return false;
        }
        match words.next().map(process_id) {
            Some(Ok(pid)) => {
                (1..=TID_MAX).contains(&pid)
                    && !self.pids.contains(&pid)
                    && !self.dead.contains(&pid)
            }
            _ => false,
        }
    }

    /// Returns the effect of a write(2) of `bytes` to the file `owner`; or the errnos allowed.
    pub fn judge(&self, bytes: &[u8], owner: Owner) -> Result<Change, Refusal> {
        let text = line(bytes)?;
        let bad = || vec![Errno::EINVAL];
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("attach") => self.attach(words, owner),
            Some("detach") => {
                let (Some(name), None) = (words.next(), words.next()) else {
                    return Err(bad());
                };
                if self.entries.iter().any(|entry| entry.name == name) {
                    Ok(Change::Detach(name.into()))
                } else {
                    // A word that is not a valid name may fail with either errno.
                    let mut faults = Faults(vec![Errno::ENOENT]);
                    check_name(name, &mut faults);
                    Err(faults.0)
                }
            }
            _ => Err(bad()),
        }
    }

    /// Applies a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Attach(entry) => self.entries.push(entry),
            Change::Detach(name) => self.entries.retain(|entry| entry.name != name),
        }
    }

    /// Marks a process as ended.
    pub fn died(&mut self, pid: i32) {
        self.pids.retain(|&live| live != pid);
        self.dead.push(pid);
        for entry in self.entries.iter_mut().filter(|entry| entry.pid == pid) {
            entry.live = false;
        }
    }

    /// Returns the content of `control`.
    pub fn text(&self) -> String {
        self.entries.iter().map(Entry::line).collect()
    }

    /// Returns the list of a session: the targets attached through it.
    pub fn session_text(&self, session: usize) -> String {
        self.entries
            .iter()
            .filter(|entry| entry.owner == Owner::Session(session))
            .map(Entry::line)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            entries: Vec::new(),
            pids: vec![100, 200],
            dead: vec![300],
            two_pass: true,
        }
    }

    fn write(table: &mut Table, line: &str) -> Result<(), Refusal> {
        let change = table.judge(line.as_bytes(), Owner::Control)?;
        table.apply(change);
        Ok(())
    }

    #[test]
    fn targets_are_listed_in_order_of_attachment() {
        let mut table = table();
        assert_eq!(write(&mut table, "attach 200\n"), Ok(()));
        assert_eq!(
            write(
                &mut table,
                "attach 100 range=1000-0x2000  kind=interval name=a.b"
            ),
            Ok(())
        );
        table.died(100);
        assert_eq!(
            table.text(),
            "name=200 pid=200 kind=plain range=all owner=control state=live\n\
             name=a.b pid=100 kind=interval range=0x1000-0x2000 owner=control state=gone\n"
        );
        assert_eq!(
            table.entries[1].kind_line(),
            "interval 0x1000-0x2000\n".to_owned()
        );
        assert_eq!(write(&mut table, "detach 200"), Ok(()));
        assert_eq!(table.entries.len(), 1);
        assert_eq!(write(&mut table, "attach 100"), Err(vec![Errno::ESRCH]));
    }

    #[test]
    fn a_session_lists_only_its_own_targets() {
        let mut table = table();
        let change = table.judge(b"attach 100", Owner::Session(1)).unwrap();
        table.apply(change);
        assert_eq!(table.session_text(0), "");
        assert!(table.session_text(1).contains("owner=session"));
        assert_eq!(table.text(), table.session_text(1));
    }

    #[test]
    fn every_fault_has_its_errno() {
        let mut table = table();
        assert_eq!(write(&mut table, "attach 100 name=x"), Ok(()));
        let long = format!("attach 100 name={}", "n".repeat(65));
        for (line, errno) in [
            ("attach", Errno::EINVAL),
            ("Attach 100", Errno::EINVAL),
            ("attach 100 foo", Errno::EINVAL),
            ("attach 100 key=1", Errno::EINVAL),
            ("attach 100 name=", Errno::EINVAL),
            ("attach 100 name=.x", Errno::EINVAL),
            ("attach 100 name=a/b", Errno::EINVAL),
            ("attach 100 name=a name=b", Errno::EINVAL),
            ("attach 100 kind=Plain", Errno::EINVAL),
            ("attach 100 kind=interval", Errno::EINVAL),
            ("attach 100 range=2-1", Errno::EINVAL),
            ("attach 100 times=1 times=1", Errno::EINVAL),
            ("attach 100 callback=end", Errno::EINVAL),
            ("attach 100 times=-2", Errno::ERANGE),
            ("attach 100 remove=1", Errno::EPERM),
            ("attach 100 kind=interval range=2-1", Errno::EINVAL),
            (
                "attach 100 kind=interval range=1-10000000000000000",
                Errno::ERANGE,
            ),
            (&long, Errno::ENAMETOOLONG),
            ("attach 4294967296", Errno::ERANGE),
            ("attach 0", Errno::ESRCH),
            ("attach -1", Errno::ESRCH),
            ("attach 100 how=locked name=x", Errno::EEXIST),
            ("attach 200 how=unlocked", Errno::EPERM),
            ("attach 200 how=often", Errno::EINVAL),
            ("attach 200 kind=none how=register", Errno::EINVAL),
            ("attach @y name=z", Errno::ENOENT),
            ("attach @x", Errno::EINVAL),
            ("attach @x name=x", Errno::EEXIST),
            ("attach 101", Errno::ESRCH),
            ("attach 200 name=x", Errno::EEXIST),
            ("detach", Errno::EINVAL),
            ("detach x y", Errno::EINVAL),
            ("detach y", Errno::ENOENT),
        ] {
            assert_eq!(write(&mut table, line), Err(vec![errno]), "{line}");
        }
        table.two_pass = false;
        assert_eq!(
            write(&mut table, "attach 200 kind=interval-two-pass range=1-2"),
            Err(vec![Errno::EOPNOTSUPP])
        );
    }

    #[test]
    fn an_ended_process_can_only_be_held() {
        let mut table = table();
        assert_eq!(write(&mut table, "attach 100 name=a kind=none"), Ok(()));
        assert_eq!(write(&mut table, "attach @a name=b how=locked"), Ok(()));
        table.died(100);
        assert_eq!(
            write(&mut table, "attach @a name=c"),
            Err(vec![Errno::ESRCH])
        );
        assert_eq!(write(&mut table, "attach @b name=c kind=none"), Ok(()));
        assert!(
            table
                .text()
                .ends_with("name=c pid=100 kind=none range=all owner=control state=gone\n")
        );
    }

    #[test]
    fn the_range_of_all_addresses_reads_all() {
        let mut table = table();
        for (name, range) in [("a", "all"), ("b", "0-ffffffffffffffff")] {
            let line = format!("attach 100 kind=interval name={name} range={range}");
            assert_eq!(write(&mut table, &line), Ok(()));
        }
        assert_eq!(table.entries[0].kind_line(), "interval all\n");
        assert_eq!(table.entries[1].kind_line(), "interval all\n");
    }

    #[test]
    fn the_settings_are_those_of_the_line() {
        let mut table = table();
        let line = "attach 100 MMU_NOTIFY_CLEAR=-11 name=a range=0x10-20 times=2";
        assert_eq!(write(&mut table, line), Ok(()));
        assert_eq!(table.entries[0].kind_line(), "plain\n");
        let settings = table.entries[0].settings_line();
        for word in ["range=0x10-0x20", "times=2", "MMU_NOTIFY_CLEAR=-11"] {
            let due = format!(" {word} ");
            assert!(settings.contains(&due), "{settings}");
        }
        let line = "attach 100 name=b kind=interval range=0x10-20";
        assert_eq!(write(&mut table, line), Ok(()));
        assert_eq!(
            table.entries[1].settings_line(),
            setting::settings_line(&setting::defaults())
        );
    }

    #[test]
    fn attaches_to_unknown_pids_are_recognised() {
        let table = table();
        for (line, due) in [
            ("attach 100", false),
            ("attach 300", false),
            ("attach 0", false),
            ("attach 4194305", false),
            ("detach 1", false),
            ("attach 1", true),
            (" attach  4194304 name=x\n", true),
        ] {
            assert_eq!(table.attaches_unknown_pid(line.as_bytes()), due, "{line}");
        }
    }

    #[test]
    fn a_line_with_several_faults_allows_several_errnos() {
        let table = table();
        assert_eq!(
            table.judge(b"attach 0 foo", Owner::Control),
            Err(vec![Errno::ESRCH, Errno::EINVAL])
        );
    }
}
