// SPDX-License-Identifier: GPL-2.0

//! The list of targets: attaching and detaching.

use crate::{
    abstractions::{
        debugfs::Dir,
        task, //
    },
    command::{
        Command,
        Object, //
    },
    files::{
        Files,
        Subject, //
    },
    how::How,
    injector::Injector,
    notifier::Attached,
    readings::Readings,
    settings::Change,
    text::{
        self,
        Text, //
    },
};
use kernel::{
    mm::{
        Mm,
        MmWithUser, //
    },
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

/// How long a target stays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Until it is detached, or the module is unloaded.
    Control,
    /// Until the open file of that number is closed, at most.
    Session(u64),
}

impl Owner {
    const fn name(self) -> &'static str {
        match self {
            Owner::Control => "control",
            Owner::Session(_) => "session",
        }
    }
}

/// A process with a notifier of ours, or one that is only held.
struct Target {
    // Dropped in this order: nobody can arm the notifier any more while it is unregistered. The
    // files share the notifier with `subject`, so it goes with the last of both.
    _files: Files,
    subject: Arc<Subject>,
}

/// A reference to an address space that outlives its users.
fn hold(mm: &Mm) -> ARef<Mm> {
    ARef::from(mm)
}

/// A name that is taken.
struct Slot {
    id: u64,
    name: Arc<CString>,
    owner: Owner,
    /// [`None`] while somebody attaches or detaches it.
    target: Option<Target>,
}

impl Slot {
    fn is_named(&self, name: &str) -> bool {
        self.name.to_bytes() == name.as_bytes()
    }
}

/// The list of targets, and where their folders stand.
#[pin_data]
pub(crate) struct Targets {
    module: &'static ThisModule,
    dir: Arc<Dir>,
    ids: Atomic<u64>,
    /// A leaf: neither a lock of the memory management nor one of debugfs is taken under it, and
    /// nothing is allocated, since reclaim may call a notifier that sleeps. So a process that hangs
    /// delays only those that work on it.
    #[pin]
    list: Mutex<KVec<Slot>>,
}

impl Targets {
    /// No targets. Their folders come into `dir`.
    pub(crate) fn new(module: &'static ThisModule, dir: Arc<Dir>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Targets {
                module,
                dir,
                ids: Atomic::new(0),
                list <- new_mutex!(KVec::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// A number that nobody else gets.
    pub(crate) fn new_id(&self) -> u64 {
        self.ids.fetch_add(1, Relaxed)
    }

    /// Does what one `write(2)` of `owner` says.
    pub(crate) fn command(&self, owner: Owner, data: &[u8]) -> Result {
        match Command::parse(text::line(data)?)? {
            Command::Attach {
                object,
                name,
                how,
                change,
            } => {
                // Who uses the address space of a process does so until it is registered.
                let (pid, mm, _user) = self.find(object)?;
                // A pid is shown as a number, however it was written.
                let name = match name {
                    Some(name) => CString::try_from_fmt(fmt!("{name}"))?,
                    None => CString::try_from_fmt(fmt!("{pid}"))?,
                };
                let name = Arc::new(name, GFP_KERNEL)?;
                self.attach(owner, name, |name| {
                    self.new_target(pid, mm, how, change, name)
                })
            }
            Command::Detach { name } => self.detach(name),
        }
    }

    /// The address space that is meant, and the pid that was given for it.
    ///
    /// Fails with `ESRCH` where a process has none, and with `ENOENT` and `EBUSY` as `detach`.
    fn find(&self, object: Object<'_>) -> Result<(i32, ARef<Mm>, Option<ARef<MmWithUser>>)> {
        match object {
            Object::Process(pid) => {
                let user = task::mm_of_pid(pid)?;
                Ok((pid, hold(&user), Some(user)))
            }
            Object::Target(name) => {
                let list = self.list.lock();
                let slot = list.iter().find(|slot| slot.is_named(name)).ok_or(ENOENT)?;
                let Target { subject, .. } = slot.target.as_ref().ok_or(EBUSY)?;
                Ok((subject.pid, subject.mm.clone(), None))
            }
        }
    }

    /// Adds what `make` makes of its name. Where that never returns, the name stays taken.
    fn attach(
        &self,
        owner: Owner,
        name: Arc<CString>,
        make: impl FnOnce(Arc<CString>) -> Result<Target>,
    ) -> Result {
        let id = self.new_id();
        self.take_slot(Slot {
            id,
            name: name.clone(),
            owner,
            target: None,
        })?;

        // Not under the lock: this waits for the process's `mmap_lock`.
        match make(name) {
            Ok(target) => {
                let mut list = self.list.lock();
                if let Some(slot) = list.iter_mut().find(|slot| slot.id == id) {
                    slot.target = Some(target);
                }
                Ok(())
            }
            Err(error) => {
                self.free_slot(id);
                Err(error)
            }
        }
    }

    /// Its memory is charged to the task that attaches it.
    fn new_target(
        &self,
        pid: i32,
        mm: ARef<Mm>,
        how: How,
        change: Change,
        name: Arc<CString>,
    ) -> Result<Target> {
        let kind = change.kind();
        let (injector, attached) = if how == How::Get {
            let (injector, attached) = Attached::get(&mm, kind)?;
            // Other targets may share it, so they are changed as by a write to `settings`.
            injector.change(change)?;
            (injector, attached)
        } else {
            let injector = Injector::new(kind, crate::log_bytes());
            let injector = Arc::pin_init(injector, GFP_KERNEL_ACCOUNT)?;
            // Before it is registered, so that the first callback sees them.
            injector.change(change)?;
            let attached = Attached::new(&mm, &injector, how, self.module)?;
            (injector, attached)
        };
        injector.set_name(name.clone());
        injector.copy_page_table(&mm);
        let subject = Subject {
            pid,
            how,
            injector,
            attached,
            begun: Atomic::new(0),
            readings: Readings::new()?,
            mm,
        };
        let subject = Arc::new(subject, GFP_KERNEL_ACCOUNT)?;
        Ok(Target {
            _files: Files::new(&name, &self.dir, &subject)?,
            subject,
        })
    }

    /// Takes a name. Fails with `EEXIST` or `ENOMEM`.
    fn take_slot(&self, slot: Slot) -> Result {
        let mut spare = KVec::new();
        loop {
            let capacity = {
                let mut list = self.list.lock();
                if list.iter().any(|other| **other.name == **slot.name) {
                    return Err(EEXIST);
                }
                if list.len() == list.capacity() && spare.capacity() > list.capacity() {
                    let old = core::mem::replace(&mut *list, core::mem::take(&mut spare));
                    for other in old {
                        list.push_within_capacity(other)?;
                    }
                }
                if list.len() < list.capacity() {
                    return Ok(list.push_within_capacity(slot)?);
                }
                list.capacity()
            };
            spare = KVec::with_capacity(capacity.saturating_mul(2).max(8), GFP_KERNEL)?;
        }
    }

    /// Gives back a name.
    fn free_slot(&self, id: u64) {
        self.list.lock().retain(|slot| slot.id != id);
    }

    /// Detaches what `wanted` finds first. Returns false where it finds nothing.
    ///
    /// Fails with `EBUSY` while somebody else attaches or detaches it.
    fn detach_first(&self, wanted: impl Fn(&Slot) -> bool) -> Result<bool> {
        let (id, target) = {
            let mut list = self.list.lock();
            let Some(slot) = list.iter_mut().find(|slot| wanted(slot)) else {
                return Ok(false);
            };
            (slot.id, slot.target.take().ok_or(EBUSY)?)
        };
        // Waits for readers of its files and for running callbacks, so not under the lock. The
        // name stays taken until its folder is gone.
        drop(target);
        self.free_slot(id);
        Ok(true)
    }

    fn detach(&self, name: &str) -> Result {
        if self.detach_first(|slot| slot.is_named(name))? {
            Ok(())
        } else {
            Err(ENOENT)
        }
    }

    /// Detaches all that `owner` has, but for what somebody else is detaching just now.
    pub(crate) fn detach_all(&self, owner: Owner) {
        while let Ok(true) = self.detach_first(|slot| slot.owner == owner && slot.target.is_some())
        {
        }
    }

    /// One line for each target that `wanted` lets through, in the order in which they were
    /// attached.
    pub(crate) fn show(&self, wanted: impl Fn(Owner) -> bool, text: &mut Text) -> Result {
        while !self.show_within_capacity(&wanted, text) {
            text.clear_and_grow()?;
        }
        Ok(())
    }

    /// Writes the lines of [`Self::show`]. Returns false if there is no room for all of them.
    fn show_within_capacity(&self, wanted: impl Fn(Owner) -> bool, text: &mut Text) -> bool {
        let list = self.list.lock();
        let mut slots = list.iter().filter(|slot| wanted(slot.owner));
        slots.all(|slot| {
            let Some(Target { subject, .. }) = &slot.target else {
                return true;
            };
            let kind = subject.injector.kind();
            text.add_within_capacity(fmt!(
                "name={} pid={} kind={} range={} owner={} state={}\n",
                slot.name.to_str().unwrap_or("?"),
                subject.pid,
                kind.name(),
                kind.range(),
                slot.owner.name(),
                subject.state()
            ))
        })
    }
}
