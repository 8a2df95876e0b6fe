// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs whose operations need no reference to the module.
//!
//! The operations are a `struct debugfs_short_fops`. It has no `release` that the kernel could call
//! after the module has been unloaded, and no owner that would keep the module from being unloaded.
//! Reading or writing a file that is still open then returns `-EIO`.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use super::Output;
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// Maximum number of bytes of one `write(2)`. Longer ones return `-E2BIG`.
pub(crate) const MAX_WRITE: usize = 4096;

/// A dentry in debugfs.
///
/// # Invariants
///
/// The pointer is that of a valid dentry in debugfs that has not been removed.
struct Dentry(*mut bindings::dentry);

// SAFETY:
// - The functions of debugfs may be called on a dentry from any thread.
unsafe impl Send for Dentry {}

// SAFETY:
// - The functions of debugfs may be called on a dentry from several threads.
unsafe impl Sync for Dentry {}

impl Drop for Dentry {
    fn drop(&mut self) {
        // SAFETY:
        // - By the type invariants this is a dentry that is still there.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}

/// A directory in debugfs. It is removed when it and all that is in it have been dropped.
pub(crate) struct Dir {
    // Dropped before the parent, by the order of the fields.
    dentry: Dentry,
    _parent: Option<Arc<Dir>>,
}

impl Dir {
    /// Creates a directory in `parent`, or in the root of debugfs.
    ///
    /// Returns `Err(EEXIST)` if the name is taken, `Err(ENOMEM)` if memory cannot be allocated, and
    /// `Err(ENODEV)` if the kernel has no debugfs.
    pub(crate) fn new(name: &CStr, parent: Option<Arc<Dir>>) -> Result<Arc<Self>> {
        let parent_ptr = match &parent {
            Some(dir) => dir.dentry.0,
            None => core::ptr::null_mut(),
        };
        // SAFETY:
        // - `name` is a C string, of which debugfs makes a copy.
        // - `parent_ptr` is null or, by the type invariants, a dentry that is still there.
        let dentry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), parent_ptr) };
        // INVARIANT: debugfs has just created it, and nothing else removes it.
        let dentry = Dentry(from_err_ptr(dentry)?);
        Ok(Arc::new(
            Dir {
                dentry,
                _parent: parent,
            },
            GFP_KERNEL,
        )?)
    }
}

/// Operations of a file.
pub(crate) trait FileOperations: Send + Sync + 'static {
    /// Returns the permissions. Root owns the file.
    fn mode(&self) -> u16;

    /// Copies out the bytes at `position`, advances `position`, and returns their number. 0 is the
    /// end of the file.
    ///
    /// The default is for files that are only written.
    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        let _ = (position, out);
        Err(EPERM)
    }

    /// Stores the bytes of one `write(2)`, all or none.
    ///
    /// The default is for files that are only read.
    fn write(&self, data: &[u8]) -> Result {
        let _ = data;
        Err(EPERM)
    }
}

/// A file in debugfs, with its operations.
///
/// # Context
///
/// Dropping it removes the file and waits until none of its operations runs. It may sleep.
#[must_use = "the file is removed when the value is dropped"]
pub(crate) struct File<F: FileOperations> {
    // Dropped first, by the order of the fields: it waits for all uses of `_operations`.
    _dentry: Dentry,
    _operations: KBox<F>,
    _dir: Arc<Dir>,
}

impl<F: FileOperations> File<F> {
    /// Creates the file `name` in `dir`. Returns the errors of [`Dir::new`].
    pub(crate) fn new(name: &CStr, dir: &Arc<Dir>, operations: F) -> Result<Self> {
        let mode = operations.mode();
        let operations = KBox::new(operations, GFP_KERNEL)?;
        // SAFETY:
        // - `name` is a C string, of which debugfs makes a copy.
        // - By its type invariants `dir` is a directory that is still there.
        // - The callbacks require a pointer to an `F` that lives as long as the file: the box
        //   does not move its content, and is freed after the file has been removed.
        let dentry = unsafe {
            bindings::debugfs_create_file_short(
                name.as_char_ptr(),
                mode,
                dir.dentry.0,
                core::ptr::from_ref::<F>(&operations).cast_mut().cast(),
                core::ptr::null(),
                Table::<F>::OPERATIONS,
            )
        };
        Ok(File {
            // INVARIANT: debugfs has just created it, and nothing else removes it.
            _dentry: Dentry(from_err_ptr(dentry)?),
            _operations: operations,
            _dir: dir.clone(),
        })
    }
}

/// Callbacks of a file with operations of type `F`.
struct Table<F>(PhantomData<F>);

impl<F: FileOperations> Table<F> {
    const OPERATIONS: &'static bindings::debugfs_short_fops = &bindings::debugfs_short_fops {
        read: Some(Self::read),
        write: Some(Self::write),
        llseek: Some(bindings::default_llseek),
    };

    /// # Safety
    ///
    /// Called by debugfs only, on an open file whose private data is a pointer to a live `F`,
    /// with `ppos` valid for reads and writes.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        buf: *mut c_char,
        count: usize,
        ppos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY:
        // - `file` is open and has a pointer to a live `F` there, by this function's
        //   requirements.
        let operations = unsafe { &*(*file).private_data.cast::<F>() };
        // SAFETY:
        // - `ppos` is valid for reads and writes, by this function's requirements.
        // - Nothing else uses it during the call.
        let ppos = unsafe { &mut *ppos };
        let mut out = UserSlice::new(UserPtr::from_ptr(buf.cast()), count).writer();

        // The VFS passes no negative position (`rw_verify_area()`).
        let mut position = *ppos as u64;
        match operations.read(&mut position, &mut out) {
            Ok(read) => {
                *ppos = position as bindings::loff_t;
                read as isize
            }
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// As for [`Self::read`].
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        buf: *const c_char,
        count: usize,
        _ppos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY:
        // - `file` is open and has a pointer to a live `F` there, by this function's
        //   requirements.
        let operations = unsafe { &*(*file).private_data.cast::<F>() };
        if count > MAX_WRITE {
            return E2BIG.to_errno() as isize;
        }

        let mut data = KVec::new();
        let result = UserSlice::new(UserPtr::from_ptr(buf.cast_mut().cast()), count)
            .read_all(&mut data, GFP_KERNEL)
            .and_then(|()| operations.write(&data));
        match result {
            Ok(()) => count as isize,
            Err(error) => error.to_errno() as isize,
        }
    }
}
