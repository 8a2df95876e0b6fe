// SPDX-License-Identifier: GPL-2.0

//! Children of this process that execute nothing, or little.

use std::ffi::{CStr, c_char};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, Pid};

use crate::os::sys::Area;

/// Forks this process, which must have one thread. The child only sleeps, until its parent dies or
/// kills it.
pub fn fork_sleeper() -> Result<Pid, Errno> {
    // SAFETY: The child calls async-signal-safe functions only, and never returns.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // SAFETY: These are plain system calls. If the parent has ended before the request, no
            // signal comes, hence the second check.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() != 1 {
                    loop {
                        libc::pause();
                    }
                }
                libc::_exit(0)
            }
        }
    }
}

/// Work of a short-lived child before it exits.
#[derive(Clone, Copy, Debug)]
pub enum ChildWork<'a> {
    /// No work.
    Exit,
    /// Writes to every page of an area that it shares with its parent.
    Write(&'a Area),
    /// Executes that program, with these arguments.
    Exec(&'a CStr, [&'a CStr; 3]),
}

/// Forks a child that does `work` and exits. This process may have several threads.
pub fn fork_child(work: ChildWork<'_>) -> Result<Pid, Errno> {
    // Built before the fork: another thread may hold the allocator's lock, for which the child
    // would wait forever.
    let (program, arguments): (_, [*const c_char; 4]) = match work {
        ChildWork::Exec(program, [first, second, third]) => (
            Some(program),
            [
                first.as_ptr(),
                second.as_ptr(),
                third.as_ptr(),
                std::ptr::null(),
            ],
        ),
        _ => (None, [std::ptr::null(); 4]),
    };
    // SAFETY: The child makes system calls only, and never returns.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let mut code = 0;
            if let ChildWork::Write(area) = work {
                code = i32::from(area.touch(0, area.pages()).is_err());
            }
            // SAFETY: The strings live until the end of this function, and the list of them ends
            // with a null pointer, as the empty environment does.
            unsafe {
                if let Some(program) = program {
                    let environment: [*const c_char; 1] = [std::ptr::null()];
                    libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
                    code = 1;
                }
                libc::_exit(code)
            }
        }
    }
}
