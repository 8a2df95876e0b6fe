// SPDX-License-Identifier: GPL-2.0

//! Everything of this module that touches `bindings`, and all of its `unsafe`.
//!
//! Leaf modules are not to use `bindings` (Documentation/rust/general-information.rst), but no
//! abstraction of mmu notifiers exists upstream yet, and `kernel::debugfs` puts its file
//! operations, with their `release`, into the module that uses it without an owner: a file held
//! open over `rmmod` would call into freed memory when it is closed. So what is missing stands
//! here, shaped as it would stand in `rust/kernel/`:
//!
//! - [`mmu_notifier`], as `rust/kernel/mm/mmu_notifier.rs`,
//! - [`debugfs`], as an addition of `struct debugfs_short_fops` to `rust/kernel/debugfs.rs`,
//! - [`task`], as additions to `rust/kernel/task.rs` and `rust/kernel/time.rs`.

/// MMU notifiers.
///
/// A driver that mirrors the page tables of a process registers a notifier with the process's
/// `mm_struct`; the kernel then calls `invalidate_range_start` before it changes them.
///
/// The call may be *blockable* or not. Where it is not (the OOM reaper and
/// `process_mrelease(2)`), the callback must not sleep, and may refuse with `-EAGAIN`. Where it
/// is, the callback may sleep and must not refuse. A callback that can refuse must not be paired
/// with an `invalidate_range_end`, since the core cannot tell it which of its starts counted
/// (the comment above `invalidate_range_start` in `struct mmu_notifier_ops`).
///
/// The types carry these rules: [`RefusingNotifier`](mmu_notifier::RefusingNotifier) has no end
/// callback, and a [`Refusal`](mmu_notifier::Refusal) comes from a non-blockable
/// [`Range`](mmu_notifier::Range) only, unless one is made by a function whose name says that
/// the contract is broken.
///
/// C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)
pub(crate) mod mmu_notifier {
    use kernel::{
        bindings,
        error::to_result,
        mm::MmWithUser,
        prelude::*,
        types::Opaque, //
    };

    /// Defines [`Event`] from the kernel's constants, so that the list stands once.
    macro_rules! events {
        ($($(#[doc = $doc:literal])* $variant:ident = $constant:ident, $name:literal;)*) => {
            /// Why the kernel invalidates a range: `enum mmu_notifier_event`.
            #[derive(Clone, Copy, PartialEq, Eq)]
            #[repr(u32)]
            pub(crate) enum Event {
                $($(#[doc = $doc])* $variant = bindings::$constant,)*
            }

            impl Event {
                /// All events in the kernel's order; an event's discriminant is its index.
                pub(crate) const ALL: &'static [Event] = &[$(Event::$variant),*];

                /// The kernel's name without `MMU_NOTIFY_`.
                pub(crate) const fn name(self) -> &'static CStr {
                    match self {
                        $(Event::$variant => $name,)*
                    }
                }

                /// The event of that number, if this kernel's list has it.
                fn from_raw(raw: bindings::mmu_notifier_event) -> Option<Self> {
                    match raw {
                        $(bindings::$constant => Some(Event::$variant),)*
                        _ => None,
                    }
                }
            }
        };
    }

    events! {
        /// The range goes away, or moves.
        Unmap = mmu_notifier_event_MMU_NOTIFY_UNMAP, c"UNMAP";
        /// The entries are cleared, for whatever reason.
        Clear = mmu_notifier_event_MMU_NOTIFY_CLEAR, c"CLEAR";
        /// The protection of the whole VMA changes.
        ProtectionVma = mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA, c"PROTECTION_VMA";
        /// The protection of single pages changes.
        ProtectionPage = mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE, c"PROTECTION_PAGE";
        /// Soft-dirty accounting.
        SoftDirty = mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY, c"SOFT_DIRTY";
        /// The notifier itself is being released.
        Release = mmu_notifier_event_MMU_NOTIFY_RELEASE, c"RELEASE";
        /// Pages migrate to or from a device.
        Migrate = mmu_notifier_event_MMU_NOTIFY_MIGRATE, c"MIGRATE";
        /// A device takes pages for itself.
        Exclusive = mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE, c"EXCLUSIVE";
    }

    /// The range that the kernel is about to change.
    ///
    /// # Invariants
    ///
    /// The value is a `struct mmu_notifier_range` that the core has filled in and does not change
    /// during the callback.
    #[repr(transparent)]
    pub(crate) struct Range(bindings::mmu_notifier_range);

    impl Range {
        /// Creates a reference from the pointer that the core passes to a callback.
        ///
        /// # Safety
        ///
        /// `ptr` must point to an initialised range that nobody changes for the duration of `'a`.
        unsafe fn from_raw<'a>(ptr: *const bindings::mmu_notifier_range) -> &'a Self {
            // SAFETY:
            // - The caller promises that `ptr` is valid and unchanged during `'a`.
            // - The layout is the same because of `repr(transparent)`.
            // INVARIANT: The caller promises that the core has filled it in.
            unsafe { &*ptr.cast() }
        }

        /// First byte of the range.
        pub(crate) fn start(&self) -> u64 {
            self.0.start as u64
        }

        /// First byte after the range. Not page aligned where it is the end of the address space.
        pub(crate) fn end(&self) -> u64 {
            self.0.end as u64
        }

        /// Why the range is invalidated. [`None`] for an event that this list does not know.
        pub(crate) fn event(&self) -> Option<Event> {
            Event::from_raw(self.0.event)
        }

        /// Whether the callback may sleep, as `mmu_notifier_range_blockable()` has it.
        pub(crate) fn is_blockable(&self) -> bool {
            self.0.flags & bindings::MMU_NOTIFIER_RANGE_BLOCKABLE != 0
        }

        /// The one refusal that the contract allows: `-EAGAIN` to a call that must not block.
        ///
        /// [`None`] where the call may block, and so must not be refused.
        pub(crate) fn refuse(&self) -> Option<Refusal> {
            (!self.is_blockable()).then_some(Refusal(EAGAIN))
        }
    }

    /// A callback's "no", made by [`Range::refuse`].
    pub(crate) struct Refusal(Error);

    impl Refusal {
        /// A refusal that breaks the contract: for fault injection only.
        ///
        /// The caller of the notifier goes on as if it had agreed, so a driver that does this has
        /// a bug; the kernel is expected to complain.
        pub(crate) fn in_breach_of_contract(error: Error) -> Self {
            Refusal(error)
        }
    }

    /// A notifier that may refuse, and that therefore has no end callback.
    ///
    /// Implement the table that the kernel calls with [`refusing_notifier!`].
    pub(crate) trait RefusingNotifier: Send + Sync {
        /// The kernel is about to change `range`.
        ///
        /// May sleep only where [`Range::is_blockable`]. Called with locks of the memory
        /// management held, in reclaim too: it must not allocate with anything that may reclaim,
        /// must neither take nor rely on `mmap_lock`, and `current` need not be the process whose
        /// memory it is. Several calls may be under way at once.
        fn invalidate_range_start(&self, range: &Range) -> Result<(), Refusal>;
    }

    /// The table of callbacks of a notifier. Implemented by [`refusing_notifier!`] only.
    ///
    /// # Safety
    ///
    /// Every callback in `OPS` must be sound for a subscription that is the `subscription` of a
    /// live `Registration<Self>`.
    pub(crate) unsafe trait Operations: Sized {
        /// The callbacks.
        const OPS: &'static bindings::mmu_notifier_ops;
    }

    /// The body of every `invalidate_range_start` of a [`RefusingNotifier`].
    ///
    /// # Safety
    ///
    /// - `subscription` must be the `subscription` of a live `Registration<T>`.
    /// - `range` must satisfy [`Range::from_raw`] for the duration of the call.
    #[inline(always)]
    pub(crate) unsafe fn refusing_range_start<T: RefusingNotifier>(
        subscription: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) -> c_int {
        // SAFETY: By this function's requirements, `subscription` is that field of a live
        // registration, and `Opaque<T>` has the layout of `T`.
        let registration = unsafe {
            &*kernel::container_of!(
                Opaque::cast_from(subscription),
                Registration<T>,
                subscription
            )
        };
        // SAFETY: By this function's requirements.
        let range = unsafe { Range::from_raw(range) };

        match registration.notifier.invalidate_range_start(range) {
            Ok(()) => 0,
            Err(Refusal(error)) => error.to_errno(),
        }
    }

    /// Gives a [`RefusingNotifier`] the function that the kernel calls, under a name of its own.
    ///
    /// The kernel prints that name (`%pS`) when the callback fails, so it is an unmangled symbol
    /// that the user of the macro chooses.
    macro_rules! refusing_notifier {
        ($type:ty, $symbol:ident) => {
            /// `invalidate_range_start`, under the name that the kernel prints.
            ///
            /// # Safety
            ///
            /// Called by the mmu notifier core only, with the subscription of a live registration
            /// of the type named in this macro's use.
            #[no_mangle]
            unsafe extern "C" fn $symbol(
                subscription: *mut ::kernel::bindings::mmu_notifier,
                range: *const ::kernel::bindings::mmu_notifier_range,
            ) -> ::kernel::ffi::c_int {
                // SAFETY:
                // - The core passes the subscription that was registered with these operations,
                //   which is part of a live registration: it is only freed after
                //   `mmu_notifier_unregister()` has waited for all callbacks.
                // - The core passes a range that it has filled in and keeps for the call.
                unsafe {
                    $crate::abstractions::mmu_notifier::refusing_range_start::<$type>(
                        subscription,
                        range,
                    )
                }
            }

            // SAFETY: The only callback is the one above, which asks for no more than a
            // subscription of a live registration of this type.
            unsafe impl $crate::abstractions::mmu_notifier::Operations for $type {
                const OPS: &'static ::kernel::bindings::mmu_notifier_ops =
                    &::kernel::bindings::mmu_notifier_ops {
                        invalidate_range_start: Some($symbol),
                        ..::pin_init::zeroed()
                    };
            }
        };
    }
    pub(crate) use refusing_notifier;

    /// A notifier that is registered with an address space.
    ///
    /// Dropping it unregisters the notifier and waits until no callback runs any more, so it may
    /// sleep, and must not happen in a callback. It works whether the process still lives or not.
    ///
    /// # Invariants
    ///
    /// `subscription` is registered with the `mm` that it names, which holds a reference
    /// (`mmgrab`) until it is unregistered.
    #[pin_data(PinnedDrop)]
    pub(crate) struct Registration<T: RefusingNotifier> {
        #[pin]
        subscription: Opaque<bindings::mmu_notifier>,
        notifier: T,
    }

    // SAFETY: A subscription may be unregistered from any thread, and `T` is `Send`.
    unsafe impl<T: RefusingNotifier> Send for Registration<T> {}

    // SAFETY: Shared access reaches `notifier` only, and `T` is `Sync`.
    unsafe impl<T: RefusingNotifier> Sync for Registration<T> {}

    impl<T: RefusingNotifier + Operations> Registration<T> {
        /// Registers `notifier` with the address space `mm`.
        ///
        /// Takes `mmap_lock` of `mm` for writing, so it may sleep. Callbacks may come in before
        /// this returns. Fails with `ENOMEM`, or `EINTR` where the kernel cannot take all locks.
        pub(crate) fn new<'a>(mm: &'a MmWithUser, notifier: T) -> impl PinInit<Self, Error> + 'a
        where
            T: 'a,
        {
            try_pin_init!(Self {
                // The notifier comes first: callbacks may run as soon as it is registered.
                notifier,
                // INVARIANT: On success the subscription is registered, and the core holds a
                // reference to `mm` for it.
                subscription <- Opaque::try_ffi_init(|ptr: *mut bindings::mmu_notifier| {
                    // SAFETY:
                    // - `ptr` is valid for writes, and an all-zero `mmu_notifier` is valid.
                    unsafe {
                        ptr.write(pin_init::zeroed());
                        (*ptr).ops = T::OPS;
                    }
                    // SAFETY:
                    // - `ptr` is a pinned notifier with operations that suit it: `T::OPS` asks
                    //   for a subscription inside a `Registration<T>`, which this is.
                    // - `mm` has users, by the invariants of `MmWithUser`.
                    to_result(unsafe { bindings::mmu_notifier_register(ptr, mm.as_raw()) })
                }),
            }? Error)
        }
    }

    #[pinned_drop]
    impl<T: RefusingNotifier> PinnedDrop for Registration<T> {
        fn drop(self: Pin<&mut Self>) {
            let subscription = self.subscription.get();
            // SAFETY:
            // - By the type invariants the subscription is registered with the `mm` it names.
            // - The core holds a reference to that `mm` until this call is done.
            unsafe { bindings::mmu_notifier_unregister(subscription, (*subscription).mm) };
        }
    }
}

/// debugfs files whose operations need no reference to the module.
///
/// These are `struct debugfs_short_fops`: they have no `release` that the kernel could call after
/// the module is gone, and no owner that would keep the module from going. A file that is still
/// open then answers `EIO`.
///
/// C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)
pub(crate) mod debugfs {
    use core::marker::PhantomData;
    use kernel::{
        bindings,
        error::from_err_ptr,
        prelude::*,
        sync::Arc,
        uaccess::{
            UserPtr,
            UserSlice,
            UserSliceWriter, //
        }, //
    };

    /// The most that one `write(2)` may bring, in bytes. More is refused with `E2BIG`.
    pub(crate) const MAX_WRITE: usize = 4096;

    /// A dentry that debugfs gave out.
    ///
    /// # Invariants
    ///
    /// A valid dentry in debugfs that has not been removed.
    struct Dentry(*mut bindings::dentry);

    // SAFETY: The functions of debugfs may be called on a dentry from any thread.
    unsafe impl Send for Dentry {}

    // SAFETY: The functions of debugfs may be called on a dentry from several threads.
    unsafe impl Sync for Dentry {}

    impl Drop for Dentry {
        fn drop(&mut self) {
            // SAFETY: By the type invariants this is a dentry that is still there.
            unsafe { bindings::debugfs_remove(self.0) };
        }
    }

    /// A folder in debugfs. It is removed when it and all that is in it have been dropped.
    pub(crate) struct Dir {
        // Dropped before the parent, by the order of the fields.
        dentry: Dentry,
        _parent: Option<Arc<Dir>>,
    }

    impl Dir {
        /// Creates a folder in `parent`, or in the root of debugfs.
        ///
        /// Fails with `EEXIST`, `ENOMEM`, or `ENODEV` where the kernel has no debugfs.
        pub(crate) fn new(name: &CStr, parent: Option<Arc<Dir>>) -> Result<Arc<Self>> {
            let parent_ptr = match &parent {
                Some(dir) => dir.dentry.0,
                None => core::ptr::null_mut(),
            };
            // SAFETY:
            // - `name` is a C string, of which debugfs makes a copy.
            // - `parent_ptr` is null or, by the type invariants, a dentry that is still there.
            let dentry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), parent_ptr) };
            // INVARIANT: debugfs has just created it, and nobody else removes it.
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

    /// What stands behind a file.
    pub(crate) trait FileOperations: Send + Sync + 'static {
        /// Who may do what; root owns the file.
        const MODE: u16;

        /// Copies out what stands at `position`, moves `position` on, and returns the number of
        /// bytes. 0 is the end of the file.
        ///
        /// The default is for files that are only written.
        fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
            let _ = (position, out);
            Err(EPERM)
        }

        /// Takes what one `write(2)` brought, as a whole or not at all.
        ///
        /// The default is for files that are only read.
        fn write(&self, data: &[u8]) -> Result {
            let _ = data;
            Err(EPERM)
        }
    }

    /// A file in debugfs, with what stands behind it. Dropping it removes the file and waits
    /// until nobody is in its operations any more, so it may sleep.
    pub(crate) struct File<F: FileOperations> {
        // Dropped first, by the order of the fields: it waits for everybody who uses `_operations`.
        _dentry: Dentry,
        _operations: KBox<F>,
        _dir: Arc<Dir>,
    }

    impl<F: FileOperations> File<F> {
        /// Creates the file `name` in `dir`. Fails like [`Dir::new`].
        pub(crate) fn new(name: &CStr, dir: &Arc<Dir>, operations: F) -> Result<Self> {
            let operations = KBox::new(operations, GFP_KERNEL)?;
            // SAFETY:
            // - `name` is a C string, of which debugfs makes a copy.
            // - By its type invariants `dir` is a folder that is still there.
            // - The callbacks ask for a pointer to an `F` that lives as long as the file: the box
            //   does not move its content, and is freed after the file has been removed.
            let dentry = unsafe {
                bindings::debugfs_create_file_short(
                    name.as_char_ptr(),
                    F::MODE,
                    dir.dentry.0,
                    core::ptr::from_ref::<F>(&operations).cast_mut().cast(),
                    core::ptr::null(),
                    Table::<F>::OPERATIONS,
                )
            };
            Ok(File {
                // INVARIANT: debugfs has just created it, and nobody else removes it.
                _dentry: Dentry(from_err_ptr(dentry)?),
                _operations: operations,
                _dir: dir.clone(),
            })
        }
    }

    /// The callbacks of a file with an `F` behind it.
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
            // SAFETY: By this function's requirements.
            let operations = unsafe { &*(*file).private_data.cast::<F>() };
            // SAFETY: By this function's requirements. Nobody else uses it during the call.
            let ppos = unsafe { &mut *ppos };
            let mut out = UserSlice::new(UserPtr::from_ptr(buf.cast()), count).writer();

            // The virtual file system lets no negative position through.
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
            // SAFETY: By this function's requirements.
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
}

/// Tasks and time.
pub(crate) mod task {
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
        // SAFETY: Any number may be looked up. The result is null or holds a reference.
        let pid_ref = unsafe { bindings::find_get_pid(pid) };
        // SAFETY: `pid_ref` is null, which is allowed, or valid; the result is null or holds a
        // reference.
        let task = unsafe { bindings::get_pid_task(pid_ref, bindings::pid_type_PIDTYPE_PID) };
        // SAFETY: This gives up the reference from above; null is allowed.
        unsafe { bindings::put_pid(pid_ref) };

        let task = NonNull::new(task).ok_or(ESRCH)?;
        // SAFETY: `get_pid_task()` has taken the reference that `ARef` takes over.
        let task: ARef<Task> = unsafe { ARef::from_raw(task.cast()) };

        // SAFETY: `task` is a valid task. The result is null or holds a reference (`mmget`).
        let mm = unsafe { bindings::get_task_mm(task.as_ptr()) };
        let mm = NonNull::new(mm).ok_or(ESRCH)?;
        // SAFETY: `get_task_mm()` has taken the reference that `ARef` takes over.
        Ok(unsafe { ARef::from_raw(mm.cast()) })
    }

    /// The name of the current task, NUL-padded.
    pub(crate) fn current_comm() -> [u8; COMM_LEN] {
        let task = current!().as_ptr();
        // SAFETY: `comm` of the current task is always readable and always ends in a NUL; a
        // concurrent change of it can at worst give a mixture of two names.
        let comm = unsafe { core::ptr::addr_of!((*task).comm).read() };
        comm.map(|byte| byte as u8)
    }

    /// Nanoseconds on the monotonic clock, which never goes back. Never sleeps.
    // Not `ktime_get_mono_fast_ns()`: that one may go back a little when the clock is adjusted.
    pub(crate) fn monotonic_ns() -> u64 {
        // SAFETY: This may be called in any context but NMI, and no notifier is called in that.
        let now = unsafe { bindings::ktime_get() };
        now as u64
    }
}
