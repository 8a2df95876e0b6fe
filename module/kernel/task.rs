// SPDX-License-Identifier: GPL-2.0

//! Tasks, time and chance.

use core::ptr::NonNull;
use kernel::{
    bindings,
    current,
    mm::MmWithUser,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// Length of a task's name, with the NUL.
pub(crate) const COMM_LEN: usize = bindings::TASK_COMM_LEN as usize;

/// The address space of the process or thread `pid`, as the caller's pid namespace counts.
///
/// Fails with `ESRCH` where there is none such, or where it has no address space (any more):
/// kernel threads, and processes past `exit_mm()`.
pub(crate) fn mm_of_pid(pid: i32) -> Result<ARef<MmWithUser>> {
    // SAFETY:
    // - Any number may be looked up.
    // - The result is null or holds a reference.
    let pid_ref = unsafe { bindings::find_get_pid(pid) };
    // SAFETY:
    // - `pid_ref` is null, which is allowed, or valid; the result is null or holds a reference.
    let task = unsafe { bindings::get_pid_task(pid_ref, bindings::pid_type_PIDTYPE_PID) };
    // SAFETY:
    // - This gives up the reference from above; null is allowed.
    unsafe { bindings::put_pid(pid_ref) };

    let task = NonNull::new(task).ok_or(ESRCH)?;
    // SAFETY:
    // - `get_pid_task()` has taken the reference that `ARef` takes over.
    let task: ARef<Task> = unsafe { ARef::from_raw(task.cast()) };

    // SAFETY:
    // - `task` is a valid task.
    // - The result is null or holds a reference (`mmget`).
    let mm = unsafe { bindings::get_task_mm(task.as_ptr()) };
    let mm = NonNull::new(mm).ok_or(ESRCH)?;
    // SAFETY:
    // - `get_task_mm()` has taken the reference that `ARef` takes over.
    Ok(unsafe { ARef::from_raw(mm.cast()) })
}

/// The name of the current task, NUL-padded.
pub(crate) fn current_comm() -> [u8; COMM_LEN] {
    let task = current!().as_ptr();
    // SAFETY:
    // - `comm` of the current task is always readable and always ends in a NUL; a concurrent
    //   change of it can at worst give a mixture of two names.
    let comm = unsafe { (&raw const (*task).comm).read_volatile() };
    comm.map(|byte| byte as u8)
}

/// Nanoseconds on the monotonic clock, which never goes back. Never sleeps.
// Not `ktime_get_mono_fast_ns()`: that one may go back a little when the clock is adjusted.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY:
    // - This may be called in any context but NMI, and no notifier is called in that.
    let now = unsafe { bindings::ktime_get() };
    now as u64
}

/// A random number below `ceiling`, which must not be 0. Never sleeps.
pub(crate) fn random_below(ceiling: u32) -> u32 {
    // SAFETY:
    // - Any number is fine; 0 gives one that is not below it.
    unsafe { bindings::__get_random_u32_below(ceiling) }
}

/// Prints the caller's stack to the kernel's log.
pub(crate) fn dump_stack() {
    // SAFETY:
    // - This may be called in any context.
    unsafe { bindings::dump_stack() };
}
