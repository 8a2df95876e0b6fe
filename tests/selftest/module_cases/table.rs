// SPDX-License-Identifier: GPL-2.0

//! The table of the cases: what is done, and the result.

use mn_inject::scenario::is_wanted;

use crate::module_cases::case::{Case, case, loud};
use crate::module_cases::{
    aging, attach, breach, effects, faults, filters, kinds, life, lines, log, reading, session,
    settings, sharing, unload,
};

/// All cases, in the order in which they are carried out. docs/module.md has the same table.
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
        "`gone`: the new program has a new address space, which is not attached; it can be attached again",
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
        "attach a killed process that is stopped while it exits (`PTRACE_EVENT_EXIT`)",
        "works while its memory is there, then `gone`",
        attach::dying,
    ),
    case(
        "attach-zombie",
        "attach a zombie: a process that has ended and is not waited for",
        "`ESRCH`",
        attach::zombie,
    ),
    case(
        "attach-dead",
        "attach the id of a process that does not exist any more",
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
        "attach pid 0, a negative pid, a pid above the maximum, a pid that is not a number",
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
        "attach the process that writes the line",
        "works",
        attach::ourselves,
    ),
    case(
        "attach-thread",
        "attach by the id of a thread that is not the first of its process",
        "works, for the whole process",
        attach::thread,
    ),
    case(
        "attach-pid-namespace",
        "attach from inside a pid namespace",
        "the pid is looked up in the writer's namespace",
        attach::pid_namespace,
    ),
    case(
        "attach-twice",
        "two targets on one address space, then detach one",
        "both see every call, each with its own settings; the other one stays attached",
        attach::two_targets,
    ),
    case(
        "attach-charged",
        "attach from a process in a memory cgroup",
        "the memory of the target is charged to that cgroup",
        attach::charged,
    ),
    case(
        "attach-name-in-use",
        "attach with the name of another target, live or gone",
        "`EEXIST`; after a detach the name is free, and a new target starts with fresh counters",
        attach::name_in_use,
    ),
    case(
        "detach-running",
        "detach while a callback sleeps",
        "returns after the callback has returned",
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
        "returns after the callbacks have returned; reads and writes of open files return `EIO`; the module can be loaded again",
        unload::unload_running,
    ),
    case(
        "unload-session",
        "`rmmod` while a session is open",
        "`EWOULDBLOCK`, nothing changes; works after the session is closed",
        unload::unload_session,
    ),
    case(
        "unload-get",
        "detach a target with `how=get` while its callback sleeps, then `rmmod`",
        "the detach returns at once, `rmmod` after the callback has returned and the notifier is freed",
        sharing::unload_get,
    ),
    case(
        "session-closed",
        "close a session",
        "its targets are detached when the last descriptor is closed, those of others stay",
        session::closed,
    ),
    case(
        "session-killed",
        "kill the owner of a session with `SIGKILL`",
        "its targets are detached",
        session::killed,
    ),
    case(
        "session-own-target",
        "kill the owner of a session that has attached its own process",
        "its target is detached",
        session::target_is_owner,
    ),
    case(
        "session-lines",
        "write to a session lines that are wrong for `control`, and lines that are right",
        "the same errnos, the same effect",
        session::same_lines,
    ),
    case(
        "line-newline",
        "a line with no newline, one, two, one in its middle; nothing at all",
        "accepted, accepted, `EINVAL`, `EINVAL`; `EINVAL`",
        lines::no_newline,
    ),
    case(
        "line-split",
        "one line in two writes",
        "each write is a separate line: `EINVAL`, unless a half is a valid line",
        lines::split,
    ),
    case(
        "line-bytes",
        "NUL bytes, invalid UTF-8, letters that are not ASCII",
        "`EINVAL`, nothing changes",
        lines::bad_bytes,
    ),
    case(
        "line-length",
        "4096 bytes, 4097, 64 KiB",
        "accepted, `E2BIG`, `E2BIG`",
        lines::too_long,
    ),
    case(
        "read-on",
        "read a file in parts while it changes",
        "the rest of the text that the first part was read from; the new text after a seek to the beginning",
        lines::read_on,
    ),
    case(
        "read-seek",
        "read a whole file, and seek back to the beginning of its last line, as bash's `read` does",
        "the last line again",
        lines::seek_back,
    ),
    case(
        "read-at-any-time",
        "read every file, as `grep -r` does, while a callback of an interval notifier sleeps",
        "every read returns before the callback does, and changes nothing",
        reading::at_any_time,
    ),
    case(
        "line-read-only",
        "write to a read-only file",
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
        "check the owner and the mode of every file",
        "they belong to root, and no other user may read or write them",
        lines::root_only,
    ),
    case(
        "fault-probability",
        "`probability` 0, 50, 100",
        "no call, some calls, every call",
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
        "two calls, and `times` reads as the number that is left; then every call",
        faults::times,
    ),
    case(
        "fault-space",
        "`space` 3",
        "the first three calls are not affected, and `space` reads as the number that is left",
        faults::space,
    ),
    case(
        "fault-together",
        "`space`, `interval` and `times` together, and with a filter",
        "they apply in this order, and calls that a filter excludes do not count",
        faults::together,
    ),
    case(
        "fault-nothing",
        "neither an error nor another effect set",
        "no call is affected, and `times` and `space` do not count down",
        faults::nothing_set,
    ),
    case(
        "settings-default",
        "attach without a setting, and set `delay_us`",
        "`times` reads 1: the next call is affected and no other, until `times` is written again",
        settings::default_times,
    ),
    case(
        "settings-together",
        "`settings` with several keys",
        "all files read the new values, and the next calls are affected as they say",
        settings::together,
    ),
    case(
        "settings-nothing-changes",
        "`settings` with one key that is unknown, repeated, malformed, out of range or not allowed",
        "the errno of the setting's own file (`EINVAL` for a key), and no setting changes",
        settings::nothing_changes,
    ),
    case(
        "settings-written-back",
        "the text of `settings`, written to `settings`",
        "every setting is as it was when the text was read",
        settings::written_back,
    ),
    case(
        "settings-at-once",
        "three different lines to `settings` in turn, while callbacks run",
        "no callback acts on a part of one line and a part of another one",
        settings::at_once,
    ),
    case(
        "settings-attach",
        "`attach` with settings, valid and invalid",
        "the first callback is affected; a target with an invalid setting is not attached",
        settings::attach,
    ),
    case(
        "filter-events",
        "`events`",
        "exactly the calls with these events",
        filters::events,
    ),
    case(
        "filter-range",
        "`range` inside, across, next to and around the range of the call",
        "exactly the calls whose range overlaps it",
        filters::range,
    ),
    case(
        "filter-context",
        "`context` with munmap and `process_mrelease`",
        "exactly the calls in this context",
        filters::context,
    ),
    case(
        "filter-task",
        "`task` by thread id and by name",
        "exactly the calls made by this thread, or by threads of this name",
        filters::task,
    ),
    case(
        "filter-caller",
        "`caller` with fork, munmap and `madvise`, also for ends, with a part of a name, and with a \
         name that no function has",
        "exactly the calls that come from a function of this name",
        filters::caller,
    ),
    case(
        "filter-not-attached",
        "reap a process that is not attached",
        "no effect, and nothing is logged",
        filters::not_attached,
    ),
    case(
        "effect-error",
        "`actions/MMU_NOTIFY_CLEAR/error` -11 and `process_mrelease`",
        "the callback returns it, `process_mrelease` returns `EAGAIN`; other events are not affected",
        effects::error,
    ),
    case(
        "effect-sleep",
        "`sleep_us`",
        "munmap takes at least that long",
        effects::sleep,
    ),
    case(
        "effect-sleep-killed",
        "`sleep_us` of ten seconds, and a kill of the process that sleeps",
        "it ends at once",
        effects::sleep_killed,
    ),
    case(
        "effect-sleep-not-killed",
        "`sleep_us`, and a kill of the process that sleeps in `process_mrelease`",
        "it sleeps on; not tried with `DEBUG_ATOMIC_SLEEP`, which complains",
        effects::sleep_not_killed,
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
        "the ends are affected, not the starts; `EINVAL` if the kind has no ends",
        effects::callback,
    ),
    case(
        "effect-callback-release",
        "`callback` release, and a range that nothing touches",
        "the release sleeps, at the exit and at the removal; `EINVAL` if the kind has none",
        effects::callback_release,
    ),
    case(
        "breach-taints",
        "load the module, load it with `breach=1`, break a rule",
        "`breach` reads 0, then 1; the kernel is tainted by a module for tests (`N`), and by the user (`U`) only as a rule is broken",
        breach::taints,
    ),
    case(
        "effect-alloc",
        "`alloc_bytes` 1, 4096, 1 MiB, with `breach=1`",
        "counted as injected, and no allocation fails; not tried with lockdep, which complains",
        effects::allocate,
    ),
    case(
        "effect-lock",
        "`lock`, with `breach=1`",
        "counted as injected; not tried with lockdep, which complains for the interval kinds",
        effects::lock,
    ),
    case(
        "effect-verbose",
        "`verbose` 0, 1, 1 with 25 calls, 2",
        "nothing in the kernel's log, a line for each injection, ten lines, a line and a stack",
        effects::verbose,
    ),
    case(
        "log-record",
        "`record` injected, all",
        "only the calls that were affected, every call",
        log::record,
    ),
    case(
        "log-agrees",
        "several calls, some injected",
        "`log`, `counters` and `total` agree",
        log::agree,
    ),
    case(
        "log-callers",
        "munmap, `process_mrelease`",
        "`callers` has the calling functions, `tid` and `comm` the calling thread",
        log::callers,
    ),
    case(
        "log-small",
        "load the module with `log_kib` 4 and make more calls than fit; load it with 3, 65537, nonsense",
        "the latest entries are kept, the others are counted as overwritten; the module does not load",
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
        "a notifier with ends that does not fail",
        "an end for every start, `paired=yes`",
        kinds::plain_end,
    ),
    loud(case(
        "kind-plain-end-refuses",
        "a notifier with ends fails in blockable context, where it must not",
        "the kernel calls its end twice, `paired=no`",
        kinds::double_end,
    )),
    case(
        "kind-two-on-one",
        "one of two notifiers fails in `process_mrelease`",
        "the end of the other one is called, `paired=yes`",
        kinds::plain_end_two,
    ),
    case(
        "kind-interval",
        "calls inside the range of an interval notifier, and after it",
        "only those inside are seen",
        kinds::interval_range,
    ),
    case(
        "kind-interval-refuses",
        "an interval notifier fails in `process_mrelease`",
        "`process_mrelease` returns `EAGAIN`, and works the next time",
        kinds::interval_refuses,
    ),
    case(
        "kind-two-pass",
        "an interval notifier in two passes",
        "a start and a finish for each call, `paired=yes`",
        kinds::two_pass,
    ),
    case(
        "kind-mirror",
        "a mirror of the pages that a process drops, and ranges that cannot be mirrored",
        "`op=lost` with the pages between the start and the end, no page in `mirror` afterwards; `EINVAL`",
        kinds::mirror,
    ),
    case(
        "kind-secondary-tlbs",
        "munmap with a notifier of a device that walks the page tables",
        "`op=arch_invalidate_secondary_tlbs` with its callers, no starts, and `secondary_tlbs` in `counters`",
        kinds::secondary_tlbs,
    ),
    case(
        "young-page-idle",
        "mark a page as idle (`CONFIG_IDLE_PAGE_TRACKING`), and ask with `young` 0, then 1",
        "`op=clear_young` with its callers, on the page; it reads as idle, then as not idle",
        aging::page_idle,
    ),
    case(
        "young-damon",
        "let DAMON look at a part of a process, with `young` 0, then 1",
        "`op=clear_young` and `op=test_young` by its thread, which return 0, then 1",
        aging::damon,
    ),
    case(
        "young-mglru",
        "turn the multi-generational LRU on, and make a new generation",
        "`op=clear_young` on the pages of the process",
        aging::mglru,
    ),
    case(
        "kind-none",
        "hold an address space with `kind=none`, attach notifiers as well, let the process exit",
        "no call; `mm` has the numbers of users and of holders; `gone`, but the address space is still held",
        kinds::none,
    ),
    case(
        "interval-read",
        "`begin` to `read_begin`; then nothing, an invalidation elsewhere, one in the range; then `read_retry`",
        "accepted, accepted, `EAGAIN`; `read_begin` then shows the `cur_seq` of the log; `EOPNOTSUPP` for a `plain` notifier",
        kinds::interval_read,
    ),
    case(
        "zap",
        "`zap` some pages of a process; pages that are not mapped, parts of pages, `atomic`; pages of a process that is gone",
        "a `CLEAR` call by the thread that writes, and the pages read as zeroes; `EFAULT`, `EINVAL`, `EPERM`; `ESRCH`",
        breach::zaps,
    ),
    case(
        "zap-huge",
        "`zap` a part of a huge page of hugetlbfs, and the whole page",
        "`EINVAL`, and the page keeps its contents",
        breach::zaps_no_huge_page,
    ),
    case(
        "attach-locked",
        "attach with `how=locked`, every kind",
        "works as without it, and `mmap_lock` is free afterwards",
        breach::locked,
    ),
    case(
        "attach-get",
        "attach one process twice with `how=get`, each plain kind, and detach one",
        "one notifier, with `users=2` in `how`, the same settings, counters and log; it stays for the other one, with one `op=release`; `EINVAL` for other kinds",
        sharing::attach,
    ),
    case(
        "attach-get-again",
        "attach with `how=get`, detach, and attach again",
        "a new notifier, with fresh settings and counters",
        sharing::fresh,
    ),
    case(
        "attach-target",
        "attach `@NAME` while its process lives, and when it is gone",
        "works, with its pid; `ESRCH` except for `kind=none`; `ENOENT` if there is no such target, `EINVAL` without `name=`",
        breach::by_target,
    ),
    case(
        "breach-refused",
        "all that needs `breach=1`, in a module loaded without it; `zap` without `CAP_SYS_PTRACE`",
        "`EPERM`, and nothing is attached or set; a process may still zap its own pages; `EINVAL` for `how=twice` with an interval kind",
        breach::not_allowed,
    ),
];

/// The cases whose names match one of the patterns, or all if there is no pattern.
pub fn select(only: &[String]) -> Vec<&'static Case> {
    CASES
        .iter()
        .filter(|case| is_wanted(only, case.name))
        .collect()
}

/// The table in Markdown, as in docs/module.md.
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
    fn every_case_has_its_own_name() {
        for (index, case) in CASES.iter().enumerate() {
            assert!(
                CASES[..index].iter().all(|other| other.name != case.name),
                "{}",
                case.name
            );
        }
    }

    /// Compares with the output of `mn-selftest cases --list`.
    #[test]
    fn the_reference_has_the_same_table() {
        let reference = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/module.md"));
        let table = markdown();
        assert!(reference.contains(&table), "docs/module.md:\n{table}");
    }

    #[test]
    fn every_text_fits_one_cell_of_the_table() {
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
