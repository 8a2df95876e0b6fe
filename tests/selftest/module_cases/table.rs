// SPDX-License-Identifier: GPL-2.0

//! The table of the cases, each with its defined result.

use mn_inject::scenario::is_wanted;

use crate::module_cases::case::{Case, case, loud};
use crate::module_cases::{
    attach, breach, effects, faults, filters, kinds, life, lines, log, session, unload,
};

/// All cases, in the order in which they are carried out and docs/module.md has them.
pub const CASES: &[Case] = &[
    case(
        "target-exits",
        "a target's process exits",
        "`state` becomes `gone`, the log has `op=release`; settings, counters and log stay until it is detached",
        life::exits,
    ),
    case(
        "target-executes",
        "a target's process calls `execve`",
        "`gone`: the new program has an address space that nobody attached; it can be attached again",
        life::executes,
    ),
    case(
        "target-oom",
        "a target's process is killed by the OOM killer of its cgroup",
        "`gone`, as for an exit",
        life::oom,
    ),
    case(
        "target-forks",
        "a target's process forks, and the child ends",
        "the fork is seen, the child is not attached, the target stays `live`",
        life::forks,
    ),
    case(
        "attach-dying",
        "attach a killed process that is held on its way out (`PTRACE_EVENT_EXIT`)",
        "works as long as its memory is there, then `gone`",
        attach::dying,
    ),
    case(
        "attach-zombie",
        "attach a process of which only the exit status is left",
        "`ESRCH`",
        attach::zombie,
    ),
    case(
        "attach-dead",
        "attach the id of a process that is no more",
        "`ESRCH`",
        attach::dead,
    ),
    case(
        "attach-kernel-thread",
        "attach a kernel thread",
        "`ESRCH`",
        attach::kernel_thread,
    ),
    case(
        "attach-no-pid",
        "attach pid 0, a negative one, one beyond all, one that is no number",
        "`ESRCH`, `ESRCH`, `ERANGE` beyond 32 bits, `EINVAL`",
        attach::no_pid,
    ),
    case(
        "attach-pid-1",
        "attach the first process",
        "works",
        attach::first_process,
    ),
    case(
        "attach-ourselves",
        "attach the process that writes",
        "works",
        attach::ourselves,
    ),
    case(
        "attach-thread",
        "attach by the id of a thread that is not its process's first",
        "works, for the whole process",
        attach::thread,
    ),
    case(
        "attach-pid-namespace",
        "attach from inside a pid namespace",
        "the pid counts in the writer's namespace",
        attach::pid_namespace,
    ),
    case(
        "attach-twice",
        "two targets on one address space, then detach one",
        "both see every call, each with its own settings; the other one stays",
        attach::two_targets,
    ),
    case(
        "attach-name-in-use",
        "attach with the name of another target, live or gone",
        "`EEXIST`; the name is free again, and everything new, after a detach",
        attach::name_in_use,
    ),
    case(
        "detach-running",
        "detach while a callback sleeps",
        "returns when the callback has",
        unload::detach_running,
    ),
    case(
        "detached-files",
        "read and write open files of a target that was detached",
        "`EIO`; `ENOENT` for a new open",
        unload::detached_files,
    ),
    case(
        "unload-running",
        "`rmmod` with targets attached, files open, and callbacks running on all processors",
        "returns when the callbacks have; open files say `EIO`, the module can be loaded again",
        unload::unload_running,
    ),
    case(
        "unload-session",
        "`rmmod` while a session is open",
        "`EWOULDBLOCK`, nothing changes; works when it is closed",
        unload::unload_session,
    ),
    case(
        "session-closed",
        "close a session",
        "its targets go with the last descriptor, those of others stay",
        session::closed,
    ),
    case(
        "session-killed",
        "kill the owner of a session with `SIGKILL`",
        "its targets go",
        session::killed,
    ),
    case(
        "session-own-target",
        "kill the owner of a session that has attached itself",
        "its target goes",
        session::target_is_owner,
    ),
    case(
        "session-lines",
        "write to a session what `control` refuses, and what it takes",
        "the same errnos, the same effect",
        session::same_lines,
    ),
    case(
        "line-newline",
        "a line with no newline, one, two, one in its middle; nothing at all",
        "taken, taken, `EINVAL`, `EINVAL`; `EINVAL`",
        lines::no_newline,
    ),
    case(
        "line-split",
        "one line in two writes",
        "each write is a line for itself: `EINVAL`, unless a half is a whole line",
        lines::split,
    ),
    case(
        "line-bytes",
        "NUL, bytes that are no UTF-8, letters that are not ASCII",
        "`EINVAL`, nothing changes",
        lines::bad_bytes,
    ),
    case(
        "line-length",
        "4096 bytes, 4097, 64 KiB",
        "a line like any other, `E2BIG`, `E2BIG`",
        lines::too_long,
    ),
    case(
        "read-on",
        "read a file in parts while it changes",
        "the rest of what the first part began with; from its beginning the file reads as it is now",
        lines::read_on,
    ),
    case(
        "read-seek",
        "read a file whole, and seek back to where its last line begins, as bash's `read` does",
        "the last line again",
        lines::seek_back,
    ),
    case(
        "line-read-only",
        "write to a file that only says something",
        "`EPERM`",
        lines::read_only,
    ),
    case(
        "line-at-once",
        "four threads attach, or detach, the same name at once",
        "one succeeds; the others get `EEXIST`, or `ENOENT` and `EBUSY`",
        lines::at_once,
    ),
    case(
        "root-only",
        "look at the owner and the mode of every file",
        "they belong to root, and nobody else may read or write them",
        lines::root_only,
    ),
    case(
        "fault-probability",
        "`probability` 0, 50, 100",
        "no call, some, every",
        faults::probability,
    ),
    case(
        "fault-interval",
        "`interval` 3",
        "every third call",
        faults::interval,
    ),
    case(
        "fault-times",
        "`times` 2, then -1",
        "two calls, and it reads back what is left of it; then every call",
        faults::times,
    ),
    case(
        "fault-space",
        "`space` 3",
        "lets three calls through first, and reads back what is left of it",
        faults::space,
    ),
    case(
        "fault-together",
        "`space`, `interval` and `times` together, and with a filter",
        "in this order, and calls that a filter leaves out count for nothing",
        faults::together,
    ),
    case(
        "fault-nothing",
        "no error and nothing else set",
        "no call, and nothing counts down",
        faults::nothing_set,
    ),
    case(
        "filter-events",
        "`events`",
        "exactly the events that are named",
        filters::events,
    ),
    case(
        "filter-range",
        "`range` inside, across, next to and around the call's",
        "exactly the calls that touch an address of it",
        filters::range,
    ),
    case(
        "filter-context",
        "`context` with munmap and `process_mrelease`",
        "exactly the context that is named",
        filters::context,
    ),
    case(
        "filter-task",
        "`task` by thread id and by name",
        "exactly the calls that this thread, or threads of this name, make",
        filters::task,
    ),
    case(
        "filter-not-attached",
        "reap a process that is not attached",
        "no effect, nothing is logged",
        filters::not_attached,
    ),
    case(
        "effect-error",
        "`actions/CLEAR/error` -11 and `process_mrelease`",
        "the callback returns it, the call gets `EAGAIN`; other events are left alone",
        effects::error,
    ),
    case(
        "effect-sleep",
        "`sleep_us`",
        "munmap takes at least that long",
        effects::sleep,
    ),
    case(
        "effect-delay",
        "`delay_us`",
        "munmap takes at least that long",
        effects::delay,
    ),
    case(
        "effect-callback",
        "`callback` end",
        "the ends do it, and not the starts; `EINVAL` where the kind has none",
        effects::callback,
    ),
    case(
        "effect-alloc",
        "`alloc_bytes` 1, 4096, 1 MiB",
        "counted as injected, no allocation fails; not tried under lockdep, which complains",
        effects::allocate,
    ),
    case(
        "effect-lock",
        "`lock`",
        "counted as injected; not tried under lockdep, which complains for the interval kinds",
        effects::lock,
    ),
    case(
        "effect-verbose",
        "`verbose` 0, 1, 2",
        "nothing in the kernel's log, a line for each injection, a stack besides",
        effects::verbose,
    ),
    case(
        "log-record",
        "`record` injected, all",
        "only calls that were made to fail, every call",
        log::record,
    ),
    case(
        "log-agrees",
        "several calls, some injected",
        "`log`, `counters` and `total` say the same",
        log::agree,
    ),
    case(
        "log-callers",
        "munmap, `process_mrelease`",
        "`callers` names them, `tid` and `comm` who called",
        log::callers,
    ),
    case(
        "log-small",
        "load the module with `log_kib` 4 and make more calls than fit; with 3, 65537, nonsense",
        "the latest entries stay, the others are counted as overwritten; the module does not load",
        unload::small_log,
    ),
    case(
        "kind-plain",
        "a notifier without ends",
        "`paired=na`",
        kinds::plain,
    ),
    case(
        "kind-plain-end",
        "a notifier with ends that refuses nothing",
        "an end for every start, `paired=yes`",
        kinds::plain_end,
    ),
    loud(case(
        "kind-plain-end-refuses",
        "a notifier with ends refuses where it must not",
        "the kernel calls its end twice, `paired=no`",
        kinds::double_end,
    )),
    case(
        "kind-two-on-one",
        "one of two notifiers refuses in `process_mrelease`",
        "the end of the other one is called, `paired=yes`",
        kinds::plain_end_two,
    ),
    case(
        "kind-interval",
        "calls on the range of an interval notifier, and behind it",
        "only those on it are seen",
        kinds::interval_range,
    ),
    case(
        "kind-interval-refuses",
        "an interval notifier refuses in `process_mrelease`",
        "the call gets `EAGAIN`, and works the next time",
        kinds::interval_refuses,
    ),
    case(
        "kind-two-pass",
        "an interval notifier in two passes",
        "a start and a finish for each call, `paired=yes`",
        kinds::two_pass,
    ),
    case(
        "kind-none",
        "hold an address space, attach a notifier besides, let the process exit",
        "no call; `mm` counts the users, and who holds it; `gone`, and still there",
        kinds::none,
    ),
    case(
        "interval-read",
        "`read_begin`, then nothing, an invalidation elsewhere, one in the range; then `read_retry`",
        "taken, taken, `EAGAIN`; the log's `cur_seq` is what `read_begin` shows next; `EOPNOTSUPP` for a `plain` one",
        kinds::interval_read,
    ),
    case(
        "zap",
        "`zap` some pages of a process; pages that are not mapped, no whole pages, `atomic`; pages of a process that is gone",
        "a `CLEAR` call by the thread that writes, and the pages read as zeroes; `EFAULT`, `EINVAL`, `EPERM`; `ESRCH`",
        breach::zaps,
    ),
    case(
        "attach-locked",
        "attach with `how=locked`, every kind",
        "works as without, and nobody holds the lock afterwards",
        breach::locked,
    ),
    case(
        "attach-target",
        "attach `@NAME` while its process lives, and when it is gone",
        "works, with its pid; `ESRCH` unless it is only held (`kind=none`); `ENOENT` where nobody has the name, `EINVAL` without a name of its own",
        breach::by_target,
    ),
    case(
        "breach-refused",
        "all that breaks the kernel's rules, in a module that was loaded without `breach=1`",
        "`EPERM`, nothing is attached",
        breach::not_allowed,
    ),
];

/// The cases whose names match one of the patterns, or all where there is none.
pub fn select(only: &[String]) -> Vec<&'static Case> {
    CASES
        .iter()
        .filter(|case| is_wanted(only, case.name))
        .collect()
}

/// The cases as docs/module.md has them.
pub fn markdown() -> String {
    let mut table =
        String::from("| case | what is done | what comes of it |\n| --- | --- | --- |\n");
    for case in CASES {
        table.push_str(&format!(
            "| {} | {} | {} |\n",
            case.name, case.does, case.result
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        for (index, case) in CASES.iter().enumerate() {
            assert!(
                CASES[..index].iter().all(|other| other.name != case.name),
                "{}",
                case.name
            );
        }
    }

    /// Made by `mn-selftest cases --list`.
    #[test]
    fn the_reference_has_the_table_as_it_is() {
        let reference = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/module.md"));
        let table = markdown();
        assert!(reference.contains(&table), "docs/module.md:\n{table}");
    }

    #[test]
    fn a_cell_of_the_table_is_one_cell() {
        for case in CASES {
            for text in [case.name, case.does, case.result] {
                assert!(!text.contains(['|', '\n']), "{text}");
            }
        }
        assert_eq!(markdown().lines().count(), CASES.len() + 2);
    }

    #[test]
    fn cases_are_selected_by_patterns() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<_> = only.iter().map(|only| (*only).to_owned()).collect();
            select(&only).iter().map(|case| case.name).collect()
        };
        assert_eq!(names(&[]).len(), CASES.len());
        assert_eq!(names(&["zap", "log-small"]), ["log-small", "zap"]);
        assert!(names(&["attach-*"]).len() > 5);
        assert!(names(&["nothing-of-the-kind"]).is_empty());
    }
}
