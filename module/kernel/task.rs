// SPDX-License-Identifier: GPL-2.0

//! Tasks: additions to `kernel::task`.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    current,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// Size of a task's name, including the NUL.
pub(crate) const COMM_LEN: usize = bindings::TASK_COMM_LEN as usize;

/// Returns the address space of the process or thread `pid` in the pid namespace of the caller.
///
/// Returns `Err(ESRCH)` if there is no such task, or if it has no address space: kernel threads,
/// and tasks past `exit_mm()`. It is up to the caller whether the current task may do something to
/// that one: there is no `ptrace_may_access()`.
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

/// Returns whether the current task may read and change an address space: its own, or any with
/// `CAP_SYS_PTRACE` in the initial user namespace.
///
/// Stricter than `ptrace_may_access()`, which modules cannot call and which takes a task: to have
/// the same user is not enough.
pub(crate) fn may_ptrace(mm: &Mm) -> bool {
    // SAFETY:
    // - `mm` of the current task does not change while that runs in the kernel, and is only
    //   compared.
    if unsafe { (*current!().as_ptr()).mm } == mm.as_raw() {
        return true;
    }
    // SAFETY:
    // - This may be called in the context of any task.
    unsafe { bindings::capable(bindings::CAP_SYS_PTRACE as c_int) }
}

/// Returns whether a fatal signal is pending for the current task. As `fatal_signal_pending()`,
/// which is inline.
pub(crate) fn fatal_signal_pending() -> bool {
    let task = current!();
    let pending = {
        let task = task.as_ptr();
        // SAFETY:
        // - The task is the current one, so this is readable; another task may set a bit in it at
        //   any time, as for the inline function.
        unsafe { (&raw const (*task).pending.signal.sig[0]).read_volatile() }
    };
    task.signal_pending() && pending & (1 << (bindings::SIGKILL - 1)) != 0
}

/// Returns the name of the current task, padded with NUL.
pub(crate) fn current_comm() -> [u8; COMM_LEN] {
    let task = current!().as_ptr();
    // SAFETY:
    // - `comm` of the current task is always readable, and always ends in a NUL.
    // - Another task may write it at the same time (`__set_task_comm()`). C reads it in the same
    //   way (`get_task_comm()`), and a mixture of two names is harmless.
    let comm = unsafe { (&raw const (*task).comm).read_volatile() };
    comm.map(|byte| byte as u8)
}
