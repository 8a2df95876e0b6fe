// SPDX-License-Identifier: GPL-2.0

//! A thread that holds a robust futex when it ends. The kernel then writes to the futex, in the
//! exit of the thread (`exit_robust_list()` in kernel/futex/core.c).

use std::ffi::c_long;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::gettid;

use crate::os::sys::Area;

/// `struct robust_list_head` of include/uapi/linux/futex.h.
#[repr(C)]
#[derive(Debug, Default)]
struct Head {
    list: usize,
    futex_offset: c_long,
    list_op_pending: usize,
}

/// Bytes from the entry of the list, which is one pointer, to the futex.
const OFFSET: usize = size_of::<usize>();

/// The thread, with a futex in the first page of an area. Ends when dropped.
#[derive(Debug)]
pub struct RobustThread {
    tid: i32,
    go: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The kernel reads it when the thread ends.
    _head: Box<Head>,
}

impl RobustThread {
    /// Starts the thread. Overwrites the beginning of the area's first page.
    ///
    /// # Errors
    ///
    /// The errno of the system call that failed.
    pub fn start(area: &Area) -> Result<Self, Errno> {
        let entry = usize::try_from(area.range().0).map_err(|_| Errno::EFAULT)?;
        let head = Box::new(Head {
            list: entry,
            futex_offset: OFFSET as c_long,
            list_op_pending: 0,
        });
        let address = std::ptr::from_ref(&*head).expose_provenance();
        let (go, wait) = channel();
        let (ready, answer) = channel();
        let body = move || {
            let held = hold(address).map(|()| gettid().as_raw());
            if ready.send(held).is_ok() {
                wait_for_end(&wait);
            }
        };
        let thread = std::thread::Builder::new()
            .spawn(body)
            .map_err(|_| Errno::EAGAIN)?;
        let tid = answer.recv().map_err(|_| Errno::ESRCH)??;
        let robust = RobustThread {
            tid,
            go: Some(go),
            thread: Some(thread),
            _head: head,
        };
        // The entry points back to the head, which ends the list.
        let mut bytes = [0; OFFSET + size_of::<i32>()];
        bytes[..OFFSET].copy_from_slice(&address.to_ne_bytes());
        bytes[OFFSET..].copy_from_slice(&tid.to_ne_bytes());
        area.put(0, &bytes)?;
        Ok(robust)
    }

    /// Its thread id.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Lets the thread end, and waits until it has.
    pub fn end(&mut self) -> Result<(), Errno> {
        self.go = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(Errno::ESRCH),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl Drop for RobustThread {
    fn drop(&mut self) {
        // A thread that has panicked has said so.
        let _ = self.end();
    }
}

/// Makes the list at that address the calling thread's.
fn hold(head: usize) -> Result<(), Errno> {
    // SAFETY: The kernel keeps the address. The head lives until the thread has ended, and what it
    // points to lies in an area, which is unmapped only when the process ends; the kernel checks
    // every access. The list of glibc, which this replaces, has no entry: no lock of this program is
    // robust.
    let result = unsafe { libc::syscall(libc::SYS_set_robust_list, head, size_of::<Head>()) };
    Errno::result(result).map(drop)
}

/// Waits until the other end is dropped.
fn wait_for_end(wait: &Receiver<()>) {
    // Nothing is ever sent.
    let _ = wait.recv();
}
