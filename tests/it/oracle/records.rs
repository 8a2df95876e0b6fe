// SPDX-License-Identifier: GPL-2.0

//! Records that are not about a callback of the module.

use super::*;

#[test]
fn a_line_about_another_driver_is_reported_and_not_judged() {
    let mut history = history(Style::of(Kernel::Seed), &suite()[..1], &[]);
    let mut line = history.windows[0].records.last().unwrap().clone();
    line.seq += 1;
    line.caller = Some("T900".into());
    line.text = "gpu_mn+0x0/0x10 [gpu] callback failure not allowed".into();
    history.windows[0].records.push(line);
    let result = &judge(&history.windows, None).results[0];
    assert_eq!(result.verdict, Verdict::Pass);
    assert_eq!(
        result.foreign,
        ["<4>[T900] gpu_mn+0x0/0x10 [gpu] callback failure not allowed"]
    );
}

const RT_DEADLOCK: &str =
    "WARNING: kernel/locking/rtmutex.c:1698 at __rt_mutex_slowlock_locked+0x1/0x2, CPU#0: a/1";
const OOPS: &str = "Oops: invalid opcode: 0000 [#1] SMP";

/// A complaint that is not judged is trouble of the run.
#[test]
fn only_complaints_that_a_scenario_is_about_are_judged() {
    let mut window = history(Style::of(Kernel::Seed), &suite()[..1], &[])
        .windows
        .remove(0);
    let judged = |window: &Window| {
        [
            NOTIFIER_WARN,
            LOCK_WARN,
            "WARNING: drivers/some.c:7 at some+0x1/0x2, CPU#1: a/1",
            LOCKDEP,
            OOPS,
            RT_DEADLOCK,
            "BUG: KASAN: slab-use-after-free in x+0x1/0x2",
            &format!("{SYMBOL} callback failure not allowed"),
        ]
        .map(|text| is_judged(&line(text), window))
    };
    let callback_warns_only = [true, false, false, false, false, false, false, false];
    assert_eq!(judged(&window), callback_warns_only);
    window.observations[0].expectation.judges_symptoms = true;
    assert_eq!(
        judged(&window),
        [true, true, false, true, false, false, false, false]
    );
    window.observations[0].expectation.said = vec![KernelMessage::DeadBug];
    assert_eq!(
        judged(&window),
        [true, true, false, true, true, false, false, false]
    );
    window.observations[0].expectation.said = vec![KernelMessage::LockdepMmapLock];
    assert_eq!(
        judged(&window),
        [true, true, false, true, false, true, false, false]
    );
    // A record of user space can have any text.
    let mut fake = line(NOTIFIER_WARN);
    fake.facility = 1;
    assert!(!is_judged(&fake, &window));
}

#[test]
fn warns_about_callbacks_are_recognised() {
    for name in [
        "mn_hlist_invalidate_range_start",
        "mn_itree_invalidate",
        "mn_itree_release",
        "__mmu_notifier_invalidate_range_start",
        "__mmu_notifier_release",
    ] {
        let text = format!("WARNING: mm/mmu_notifier.c:534 at {name}+0x1/0x2, CPU#1: a/1");
        assert!(is_callback_warn(&line(&text)), "{text}");
    }
    for text in [
        "WARNING: mm/mmu_notifier.c:900 at __mmu_interval_notifier_insert+0x1/0x2, CPU#1: a/1",
        LOCK_WARN,
        LOCKDEP,
        &format!("{SYMBOL} callback failure not allowed"),
    ] {
        assert!(!is_callback_warn(&line(text)), "{text}");
    }
}
