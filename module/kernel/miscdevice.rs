// SPDX-License-Identifier: GPL-2.0

//! Character devices whose open files share data: an addition to `kernel::miscdevice`.
//!
//! Each open file has data of its own, which lives until the last reference to the file is dropped,
//! also if the process that opened it was killed. The module cannot be unloaded while a file is
//! open.
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

/// Data of an open file.
pub(crate) trait OpenFile: Send + Sync + Sized + 'static {
    /// Data that all open files share.
    type Shared: Send + Sync + 'static;

    /// Opens a file.
    fn open(shared: &Self::Shared) -> Result<Self>;

    /// Copies out the bytes at `position`, advances `position`, and returns their number. 0 is the
    /// end of the file.
    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize>;

    /// Stores the bytes of one `write(2)`, all or none.
    fn write(&self, data: &[u8]) -> Result;
}

/// A registered device.
#[must_use = "the device is deregistered when the value is dropped"]
#[pin_data]
pub(crate) struct Device<T: OpenFile> {
    // Dropped first, by the order of the fields: no file is opened any more when `shared` is.
    #[pin]
    registration: Registration<T>,
    shared: T::Shared,
}

impl<T: OpenFile> Device<T> {
    /// Registers a device of that name, which only root may open.
    ///
    /// It may be opened before the initializer has returned, so this has to be the last step of a
    /// module's initialization: a module that fails to load must not have open files.
    pub(crate) fn new(
        name: &'static CStr,
        module: &'static ThisModule,
        shared: T::Shared,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // First, since the device may be opened as soon as it is registered.
            shared,
            registration <- Registration::new(name, module),
        }? Error)
    }
}

/// A registered `struct miscdevice` whose file operations have the module as their owner.
///
/// [`MiscDeviceRegistration::register`] of Linux 7.2 sets no owner, so the module could be unloaded
/// while one of its files is open.
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
// - `misc_deregister()` may be called on another thread than `misc_register()`.
unsafe impl<T: OpenFile> Send for Registration<T> {}
// SAFETY:
// - It has no methods that take a shared reference.
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

/// An open file of a [`Device`], which is all that registers it.
struct Handle<T>(T, PhantomData<T>);

#[vtable]
impl<T: OpenFile> MiscDevice for Handle<T> {
    type Ptr = KBox<Self>;

    fn open(_file: &File, misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let misc: *const Opaque<bindings::miscdevice> = core::ptr::from_ref(misc).cast();
        // SAFETY:
        // - `MiscDeviceRegistration` is a transparent wrapper of a `struct miscdevice`, and `misc`
        //   is at the address of the one that the file belongs to. Only `Device::new` registers one
        //   with the operations of a `Handle<T>`, so it is that field of a registration, which is
        //   that field of a device. This steps out of the reference that `misc` was; an abstraction
        //   upstream would be passed the pointer.
        // - The device lives while one of its files is being opened (`misc_open()` holds the lock
        //   that `misc_deregister()` takes), and `shared` was initialized first.
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
        // The VFS passes no negative position (`rw_verify_area()`).
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
