// SPDX-License-Identifier: GPL-2.0

//! Kinds of notifiers that a target can have, all with an injector behind them.

#[cfg(mmu_interval_two_pass)]
use crate::abstractions::{
    faulty::FaultyTwoPass,
    mmu_interval::Finish, //
};
use crate::{
    abstractions::{
        breach::{
            self,
            Callback, //
        },
        errno,
        faulty::{
            self,
            Callbacks,
            FaultyInterval,
            FaultyIntervalRegistration,
            FaultyNotifier,
            FaultyRegistration,
            FaultyShared,
            Room, //
        },
        mmu_interval::{
            Seq,
            SeqSet, //
        },
        mmu_notifier::{
            Range,
            WouldBlock, //
        }, //
    },
    filter::AddressRange,
    how::How,
    injector::Injector,
    log::Arguments,
    mirror,
    operation::Operation, //
};
use kernel::{
    fmt,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    sync::Arc, //
};
#[cfg(mmu_interval_two_pass)]
use kernel::{
    new_spinlock,
    sync::SpinLock, //
};

/// Kind of a target's notifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No notifier: the target only holds a reference to the address space.
    None,
    /// `mmu_notifier` with a start that may fail.
    Plain,
    /// `mmu_notifier` with a start and an end.
    PlainEnd,
    /// `mmu_notifier` with a start that may fail, and the callbacks for page aging.
    PlainYoung,
    /// `mmu_notifier` with `arch_invalidate_secondary_tlbs`.
    SecondaryTlbs,
    /// `mmu_notifier` with a start and an end, and a copy of the page table of these addresses.
    Mirror(AddressRange),
    /// `mmu_interval_notifier` on these addresses.
    Interval(AddressRange),
    /// `mmu_interval_notifier` with a start and a finish.
    IntervalTwoPass(AddressRange),
}

impl Kind {
    /// Parses the name of a kind, with its range, which kinds without one ignore.
    ///
    /// Returns `Err(EINVAL)` for other names, for a kind that lacks its range and for a range that
    /// cannot be mirrored, and `Err(EOPNOTSUPP)` for a kind that the kernel does not have.
    pub(crate) fn new(name: &str, range: Option<AddressRange>) -> Result<Self> {
        match (name, range) {
            ("none", _) => Ok(Kind::None),
            ("plain", _) => Ok(Kind::Plain),
            ("plain-end", _) => Ok(Kind::PlainEnd),
            ("plain-young", _) => Ok(Kind::PlainYoung),
            ("secondary-tlbs", _) => Ok(Kind::SecondaryTlbs),
            ("mirror", Some(range)) => mirror::checked(range).map(|_| Kind::Mirror(range)),
            ("interval", Some(range)) => Ok(Kind::Interval(range)),
            ("interval-two-pass", Some(_)) if cfg!(not(mmu_interval_two_pass)) => {
                Err(errno::not_supported())
            }
            ("interval-two-pass", Some(range)) => Ok(Kind::IntervalTwoPass(range)),
            _ => Err(EINVAL),
        }
    }

    /// Returns its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::None => "none",
            Kind::Plain => "plain",
            Kind::PlainEnd => "plain-end",
            Kind::PlainYoung => "plain-young",
            Kind::SecondaryTlbs => "secondary-tlbs",
            Kind::Mirror(_) => "mirror",
            Kind::Interval(_) => "interval",
            Kind::IntervalTwoPass(_) => "interval-two-pass",
        }
    }

    /// Returns the addresses for which its callbacks are called, or that it mirrors.
    pub(crate) const fn range(self) -> AddressRange {
        match self {
            Kind::Interval(range) | Kind::IntervalTwoPass(range) | Kind::Mirror(range) => range,
            _ => AddressRange::ALL,
        }
    }

    /// Returns whether its notifier has a range.
    pub(crate) const fn has_range(self) -> bool {
        matches!(
            self,
            Kind::Interval(_) | Kind::IntervalTwoPass(_) | Kind::Mirror(_)
        )
    }

    /// Returns whether a start that succeeded is followed by an end.
    pub(crate) const fn has_end(self) -> bool {
        matches!(
            self,
            Kind::PlainEnd | Kind::IntervalTwoPass(_) | Kind::Mirror(_)
        )
    }

    /// Returns whether its notifier has a release.
    pub(crate) fn has_release(self) -> bool {
        self.callbacks().is_some()
    }

    /// Returns the callbacks of an `mmu_notifier`; [`None`] for other kinds.
    fn callbacks(self) -> Option<&'static Callbacks<Plain>> {
        match self {
            Kind::Plain => Some(&faulty::START),
            Kind::PlainEnd | Kind::Mirror(_) => Some(&faulty::START_END),
            Kind::PlainYoung => Some(&faulty::START_YOUNG),
            Kind::SecondaryTlbs => Some(&faulty::SECONDARY_TLBS),
            Kind::None | Kind::Interval(_) | Kind::IntervalTwoPass(_) => None,
        }
    }

    /// Returns whether it can be registered that way. Nothing is registered for [`Kind::None`].
    /// Only a plain notifier can be put into the core's list twice, or be shared, and a mirror has
    /// a range of its own.
    pub(crate) fn can_be_registered(self, how: How) -> bool {
        match self {
            Kind::None => false,
            Kind::Interval(_) | Kind::IntervalTwoPass(_) => !matches!(how, How::Twice | How::Get),
            Kind::Mirror(_) => how != How::Get,
            _ => true,
        }
    }

    /// Returns whether its callback can return that errno. The callback of an interval notifier
    /// returns a `bool`, and the core takes false for `-EAGAIN`.
    pub(crate) fn can_return(self, errno: i32) -> bool {
        match self {
            Kind::Interval(_) | Kind::IntervalTwoPass(_) => {
                errno == 0 || errno == EAGAIN.to_errno()
            }
            _ => true,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Interval(range) | Kind::IntervalTwoPass(range) | Kind::Mirror(range) => {
                f.write_fmt(fmt!("{} {range}", self.name()))
            }
            _ => write!(f, "{}", self.name()),
        }
    }
}

/// Injector behind the callbacks of an `mmu_notifier`.
pub(crate) struct Plain(Arc<Injector>);

impl FaultyNotifier for Plain {
    fn alloc(kind: Kind) -> Result<Self> {
        let injector = Injector::new(kind, crate::log_bytes());
        Ok(Plain(Arc::pin_init(injector, GFP_KERNEL_ACCOUNT)?))
    }

    #[inline]
    fn invalidate_range_start(&self, range: &Range, callback: &Callback<'_>) -> Result {
        self.0.copy_page_table(range.mm());
        let remove = |unsound| callback.remove(unsound);
        self.0.start(range, 0, || (), remove)
    }

    #[inline]
    fn invalidate_range_end(&self, range: &Range) {
        self.0.copy_page_table(range.mm());
        self.0.end(Operation::End, Arguments::new(range, 0));
    }

    fn clear_flush_young(&self, range: core::ops::Range<usize>) -> bool {
        self.0.is_young(Operation::ClearFlushYoung, range)
    }

    fn clear_young(&self, range: core::ops::Range<usize>) -> bool {
        self.0.is_young(Operation::ClearYoung, range)
    }

    fn test_young(&self, address: usize) -> bool {
        let range = address..address.saturating_add(1);
        self.0.is_young(Operation::TestYoung, range)
    }

    fn arch_invalidate_secondary_tlbs(&self, range: core::ops::Range<usize>) {
        self.0.invalidate_secondary_tlbs(range);
    }

    fn release(&self) {
        self.0.release();
    }
}

/// Injector behind an interval notifier.
pub(crate) struct Interval(Arc<Injector>);

impl Interval {
    /// The first pass, or the only one.
    fn start<'a>(
        &self,
        range: &'a Range,
        seq: &Seq<'a>,
        callback: &Callback<'_>,
    ) -> Result<SeqSet<'a>, WouldBlock<'a>> {
        // A callback that fails leaves the number alone, as a driver has to that could not take its
        // lock.
        let agree = || self.0.with_seq_lock(|| seq.set());
        let remove = |unsound| callback.remove(unsound);
        self.0
            .start(range, seq.get() as u64, agree, remove)
            // The core knows no error but -EAGAIN. Where the range allows none, it is the fault.
            .map_err(|_| match range.would_block() {
                Some(failure) => failure,
                None => faulty::would_block(range),
            })
    }
}

impl FaultyInterval for Interval {
    fn invalidate<'a>(
        &self,
        range: &'a Range,
        seq: Seq<'a>,
        callback: &Callback<'_>,
    ) -> Result<SeqSet<'a>, WouldBlock<'a>> {
        self.start(range, &seq, callback)
    }
}

/// Maximum number of concurrent invalidations of one notifier that can leave work to the second
/// pass. Further ones do everything in the first pass, as the core documents for allocation
/// failure.
#[cfg(mmu_interval_two_pass)]
const FINISHES: usize = 4;

/// Injector behind an interval notifier with a second pass.
#[cfg(mmu_interval_two_pass)]
#[pin_data]
pub(crate) struct TwoPass {
    first: Interval,
    /// Second passes that no invalidation uses.
    #[pin]
    free: SpinLock<[Option<KBox<Finish<Arguments>>>; FINISHES]>,
}

#[cfg(mmu_interval_two_pass)]
impl TwoPass {
    /// Returns `Err(ENOMEM)` if memory cannot be allocated.
    fn new(injector: Arc<Injector>) -> Result<impl PinInit<Self, Error>> {
        let mut free = [const { None }; FINISHES];
        for slot in &mut free {
            *slot = Some(KBox::new(Finish::new(Arguments::RELEASE), GFP_KERNEL)?);
        }
        Ok(try_pin_init!(TwoPass {
            first: Interval(injector),
            free <- new_spinlock!(free),
        }? Error))
    }
}

#[cfg(mmu_interval_two_pass)]
impl FaultyTwoPass for TwoPass {
    type Pending = Arguments;

    fn invalidate_start<'a>(
        &self,
        range: &'a Range,
        seq: Seq<'a>,
        callback: &Callback<'_>,
    ) -> Result<(SeqSet<'a>, Option<KBox<Finish<Arguments>>>), WouldBlock<'a>> {
        let set = self.first.start(range, &seq, callback)?;
        let arguments = Arguments::new(range, seq.get() as u64);
        let finish = match callback.has_removed() {
            true => None,
            false => self.free.lock().iter_mut().find_map(Option::take),
        };
        Ok(match finish {
            Some(mut finish) => {
                finish.pending = arguments;
                (set, Some(finish))
            }
            None => {
                self.first.0.end(Operation::Finish, arguments);
                (set, None)
            }
        })
    }

    fn invalidate_finish(&self, finish: KBox<Finish<Arguments>>) {
        self.first.0.end(Operation::Finish, finish.pending);
        if let Some(slot) = self.free.lock().iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(finish);
        }
    }
}

/// Notifier on an address space, if there is one. Dropping it removes the notifier and waits for
/// its callbacks.
pub(crate) enum Attached {
    None,
    /// A notifier that can never be removed.
    Twice,
    Plain {
        _registration: FaultyRegistration<Plain>,
    },
    /// A notifier that other targets may have as well.
    Shared(FaultyShared<Plain>),
    Interval(FaultyIntervalRegistration<Interval>),
    #[cfg(mmu_interval_two_pass)]
    IntervalTwoPass(FaultyIntervalRegistration<TwoPass>),
}

/// Registers a plain notifier. Returns [`None`] if it was registered twice, so that it stays
/// forever.
fn register(
    callbacks: &'static Callbacks<Plain>,
    mm: &MmWithUser,
    injector: &Arc<Injector>,
    how: How,
    module: &'static ThisModule,
) -> Result<Option<FaultyRegistration<Plain>>> {
    let room = Room::new()?;
    let notifier = Plain(injector.clone());
    let once = how.with_locks(mm, injector, |mmap| {
        FaultyRegistration::new(room, mmap, callbacks, notifier, module)
    })?;
    if how != How::Twice {
        return Ok(Some(once));
    }
    once.register_again(mm, module, breach::permit()?)?;
    Ok(None)
}

/// Returns the addresses of an interval, or `Err(ERANGE)` if the machine has no such addresses.
fn addresses(range: AddressRange) -> Result<core::ops::Range<usize>> {
    let address = |address: u64| usize::try_from(address).map_err(|_| ERANGE);
    Ok(address(range.start)?..address(range.end)?)
}

impl Attached {
    /// Registers a notifier of the injector's kind with `mm`, in that way.
    ///
    /// Returns the errors of the registrations, `Err(ESRCH)` if the address space has no users, and
    /// `Err(EPERM)` if the way to register violates the contract. With `breach=1` it does both.
    pub(crate) fn new(
        mm: &Mm,
        injector: &Arc<Injector>,
        how: How,
        module: &'static ThisModule,
    ) -> Result<Self> {
        if injector.kind() == Kind::None {
            return Ok(Attached::None);
        }
        how.check()?;
        // Held until it is registered: that is what it has to be.
        let user = mm.mmget_not_zero();
        let mm = match &user {
            Some(mm) => mm,
            None => breach::permit().map_err(|_| ESRCH)?.pretend_users(mm),
        };

        if let Some(callbacks) = injector.kind().callbacks() {
            let registration = register(callbacks, mm, injector, how, module)?;
            return Ok(match registration {
                Some(_registration) => Attached::Plain { _registration },
                None => Attached::Twice,
            });
        }
        Ok(match injector.kind() {
            Kind::Interval(range) => {
                let (room, range) = (Room::new()?, addresses(range)?);
                let notifier = Interval(injector.clone());
                Attached::Interval(how.with_locks(mm, injector, |mmap| {
                    FaultyIntervalRegistration::new(room, mmap, range, notifier, module)
                })?)
            }
            #[cfg(mmu_interval_two_pass)]
            Kind::IntervalTwoPass(range) => {
                let (room, range) = (Room::new()?, addresses(range)?);
                let notifier = TwoPass::new(injector.clone())?;
                Attached::IntervalTwoPass(how.with_locks(mm, injector, |mmap| {
                    FaultyIntervalRegistration::new(room, mmap, range, notifier, module)
                })?)
            }
            #[cfg(not(mmu_interval_two_pass))]
            Kind::IntervalTwoPass(_) => return Err(errno::not_supported()),
            _ => Attached::None,
        })
    }

    /// Gets the notifier of that kind that all targets of `mm` share, or creates it, with its
    /// injector.
    ///
    /// Returns `Err(EINVAL)` for a kind that cannot be shared, `Err(ESRCH)` if the address space
    /// has no users, and the errors of the registration.
    pub(crate) fn get(mm: &Mm, kind: Kind) -> Result<(Arc<Injector>, Self)> {
        let callbacks = kind.callbacks().ok_or(EINVAL)?;
        let mm = mm.mmget_not_zero().ok_or(ESRCH)?;
        let shared = FaultyShared::get(&mm, callbacks)?;
        Ok((shared.0.clone(), Attached::Shared(shared)))
    }

    /// Returns the number of targets that share the notifier; [`None`] if they do not.
    pub(crate) fn users(&self) -> Option<u32> {
        match self {
            Attached::Shared(shared) => Some(shared.users()),
            _ => None,
        }
    }

    /// Begins to look at the range of an interval notifier, and returns the number of its last
    /// invalidation. Returns `Err(EOPNOTSUPP)` for other kinds.
    ///
    /// Waits uninterruptibly for the end of an invalidation that is in progress.
    pub(crate) fn read_begin(&self) -> Result<u64> {
        match self {
            Attached::Interval(registration) => Ok(registration.read_begin() as u64),
            #[cfg(mmu_interval_two_pass)]
            Attached::IntervalTwoPass(registration) => Ok(registration.read_begin() as u64),
            _ => Err(errno::not_supported()),
        }
    }

    /// Returns whether the range was invalidated since [`Self::read_begin`] returned `seq`. Must be
    /// called under [`Injector::with_seq_lock`].
    pub(crate) fn read_retry(&self, seq: u64) -> Result<bool> {
        // A number that does not fit was never returned.
        let Ok(seq) = usize::try_from(seq) else {
            return Ok(true);
        };
        match self {
            Attached::Interval(registration) => Ok(registration.read_retry(seq)),
            #[cfg(mmu_interval_two_pass)]
            Attached::IntervalTwoPass(registration) => Ok(registration.read_retry(seq)),
            _ => Err(errno::not_supported()),
        }
    }
}
