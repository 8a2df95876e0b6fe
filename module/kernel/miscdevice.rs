// SPDX-License-Identifier: GPL-2.0

//! A character device whose open files share some data.
//!
//! Each open file has a state of its own, which lives until the last reference to the file is
//! gone: also where the process that opened it was killed. While one is open the module cannot be
//! unloaded.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::Output;
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::to_result,
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    types::Opaque,
};

/// What stands behind an open file.
pub(crate) trait OpenFile: Send + Sync + Sized + 'static {
    /// What all open files share.
    type Shared: Send + Sync + 'static;

    /// A file is opened.
    fn open(shared: &Self::Shared) -> Result<Self>;

    /// Copies out what stands at `position`, moves `position` on, and returns the number of
    /// bytes. 0 is the end of the file.
    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize>;

    /// Takes what one `write(2)` brought, as a whole or not at all.
    fn write(&self, data: &[u8]) -> Result;
}

/// A registered device.
#[pin_data]
pub(crate) struct Device<T: OpenFile> {
    // Dropped first, by the order of the fields: nobody opens it any more when `shared` goes.
    #[pin]
    registration: Registration<T>,
    shared: T::Shared,
}

impl<T: OpenFile> Device<T> {
    /// Registers a device of that name, which root only may open.
    ///
    /// It may be opened before this returns, so it should be the last step of a module's
    /// start: a module that fails to start must not have open files.
    pub(crate) fn new(
        name: &'static CStr,
        module: &'static ThisModule,
        shared: T::Shared,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // This comes first: the device may be opened as soon as it is registered.
            shared,
            registration <- Registration::new(name, module),
        }? Error)
    }
}

/// A `struct miscdevice` that is registered, with file operations that the module owns.
///
/// [`MiscDeviceRegistration::register`] is not enough on every kernel: that of Linux 7.2 sets
/// no owner, so a module could go while one of its files is open.
///
/// # Invariants
///
/// `misc` was registered with `misc_register()`, and its operations are `operations`.
#[pin_data(PinnedDrop)]
struct Registration<T: OpenFile> {
    #[pin]
    operations: Opaque<bindings::file_operations>,
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    _open_file: PhantomData<T>,
}

// SAFETY:
// - It is allowed to call `misc_deregister()` on another thread than `misc_register()`.
unsafe impl<T: OpenFile> Send for Registration<T> {}
// SAFETY:
// - Nothing can be done with a shared reference to it.
unsafe impl<T: OpenFile> Sync for Registration<T> {}

impl<T: OpenFile> Registration<T> {
    fn new(name: &'static CStr, module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let raw = MiscDeviceOptions { name }.into_raw::<Handle<T>>();
        // SAFETY:
        // - `into_raw()` makes it point to a table that is never changed and never freed.
        let inherited = unsafe { *raw.fops };
        let operations = bindings::file_operations {
            owner: module.as_ptr(),
            ..inherited
        };
        // INVARIANT: Where this returns `Ok`, `misc` was registered with `operations`.
        try_pin_init!(&this in Self {
            operations: Opaque::new(operations),
            misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                // SAFETY:
                // - `this` points to the memory that is being initialised, which is pinned.
                // - `Opaque` has the layout of what it wraps.
                let fops = unsafe { &raw const (*this.as_ptr()).operations }.cast();
                // SAFETY:
                // - An initialiser may write to its slot.
                unsafe { slot.write(bindings::miscdevice { fops, ..raw }) };
                // SAFETY:
                // - The device was just written. It stays where it is, and so do its
                //   operations, until it is deregistered by `drop()`; and since they have an
                //   owner, until all files that were opened through it are closed.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
            _open_file: PhantomData,
        }? Error)
    }
}

#[pinned_drop]
impl<T: OpenFile> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY:
        // - By the type's invariant it is registered, and this is the only place that changes
        //   that.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// An open file of a [`Device`]. Only that registers it.
struct Handle<T>(T, PhantomData<T>);

#[vtable]
impl<T: OpenFile> MiscDevice for Handle<T> {
    type Ptr = KBox<Self>;

    fn open(_file: &File, misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let misc: *const Opaque<bindings::miscdevice> = core::ptr::from_ref(misc).cast();
        // SAFETY:
        // - `misc` is at the address of the `struct miscdevice` that the file belongs to. Only
        //   `Device::new` registers one with the operations of a `Handle<T>`, so it is that
        //   field of a registration, which is that field of a device.
        // - The device lives while one of its files is being opened (`misc_open()` holds the
        //   lock that `misc_deregister()` needs), and `shared` was initialised first.
        let shared = unsafe {
            let registration = kernel::container_of!(misc, Registration<T>, misc);
            &(*kernel::container_of!(registration, Device<T>, registration)).shared
        };
        Ok(KBox::new(
            Handle(T::open(shared)?, PhantomData),
            GFP_KERNEL,
        )?)
    }

    fn read_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        // The virtual file system lets no negative position through.
        let mut position = kiocb.ki_pos() as u64;
        let copied = kiocb.file().0.read(&mut position, iov)?;
        *kiocb.ki_pos_mut() = position as i64;
        Ok(copied)
    }

    fn write_iter(kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let length = iov.len();
        if length > super::debugfs::MAX_WRITE {
            return Err(E2BIG);
        }
        let mut data = KVec::new();
        if iov.copy_from_iter_vec(&mut data, GFP_KERNEL)? != length {
            return Err(EFAULT);
        }
        kiocb.file().0.write(&data)?;
        Ok(length)
    }
}
