// SPDX-License-Identifier: GPL-2.0

//! The kinds of notifiers that a target can have, all with an injector behind them.

#[cfg(mmu_interval_two_pass)]
use crate::abstractions::mmu_notifier::{
    TwoPass,
    TwoPassNotifier, //
};
use crate::{
    abstractions::{
        errno,
        mm::pretend_users_in_breach_of_contract,
        mmu_notifier::{
            paired_notifier,
            refusing_notifier,
            Call,
            IntervalNotifier,
            IntervalRegistration,
            Invalidation,
            OnePass,
            Operations,
            PairedNotifier,
            PairedRefusal,
            Range,
            Refusal,
            RefusingNotifier,
            Registration,
            SequenceSet, //
        }, //
    },
    breach,
    filter::AddressRange,
    how::How,
    injector::Injector,
    log::{
        Arguments,
        Operation, //
    }, //
};
use core::mem::MaybeUninit;
use kernel::{
    fmt,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    sync::Arc, //
};

/// What sort of notifier a target is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None at all: the target only holds the address space.
    None,
    /// `mmu_notifier` with a start that may refuse.
    Plain,
    /// `mmu_notifier` with a start and an end.
    PlainEnd,
    /// `mmu_interval_notifier` on these addresses.
    Interval(AddressRange),
    /// `mmu_interval_notifier` with a start and a finish.
    IntervalTwoPass(AddressRange),
}

impl Kind {
    /// Takes the name of a kind, and the range of an interval notifier.
    ///
    /// Fails with `EINVAL` for other names, for an interval notifier without a range and for a
    /// other one with; and with `EOPNOTSUPP` for what the kernel does not have.
    pub(crate) fn new(name: &str, range: Option<AddressRange>) -> Result<Self> {
        match (name, range) {
            ("none", None) => Ok(Kind::None),
            ("plain", None) => Ok(Kind::Plain),
            ("plain-end", None) => Ok(Kind::PlainEnd),
            ("interval", Some(range)) => Ok(Kind::Interval(range)),
            ("interval-two-pass", Some(_)) if cfg!(not(mmu_interval_two_pass)) => {
                Err(errno::not_supported())
            }
            ("interval-two-pass", Some(range)) => Ok(Kind::IntervalTwoPass(range)),
            _ => Err(EINVAL),
        }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::None => "none",
            Kind::Plain => "plain",
            Kind::PlainEnd => "plain-end",
            Kind::Interval(_) => "interval",
            Kind::IntervalTwoPass(_) => "interval-two-pass",
        }
    }

    /// The addresses of which it hears.
    pub(crate) const fn range(self) -> AddressRange {
        match self {
            Kind::None | Kind::Plain | Kind::PlainEnd => AddressRange::ALL,
            Kind::Interval(range) | Kind::IntervalTwoPass(range) => range,
        }
    }

    /// Whether a start that was not refused is followed by an end.
    pub(crate) const fn has_end(self) -> bool {
        matches!(self, Kind::PlainEnd | Kind::IntervalTwoPass(_))
    }

    /// Whether it can be registered like that: nothing is registered for [`Kind::None`], and only
    /// the list of plain notifiers is one into which something can be put twice.
    pub(crate) fn can_be_registered(self, how: How) -> bool {
        match self {
            Kind::None => false,
            Kind::Plain | Kind::PlainEnd => true,
            Kind::Interval(_) | Kind::IntervalTwoPass(_) => how != How::Twice,
        }
    }

    /// Whether its callback has a way to return that. An interval notifier says yes or no, and the
    /// core makes `-EAGAIN` of the no. Where there is no callback, it does not matter.
    pub(crate) fn can_return(self, errno: i32) -> bool {
        match self {
            Kind::None | Kind::Plain | Kind::PlainEnd => true,
            Kind::Interval(_) | Kind::IntervalTwoPass(_) => {
                errno == 0 || errno == EAGAIN.to_errno()
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::None | Kind::Plain | Kind::PlainEnd => write!(f, "{}", self.name()),
            Kind::Interval(range) | Kind::IntervalTwoPass(range) => {
                f.write_fmt(fmt!("{} {range}", self.name()))
            }
        }
    }
}

/// The error that the injector has decided on, in the terms of the abstraction.
fn refusal(range: &Range, error: Error) -> Refusal {
    // The one legal refusal comes from the range, every other one is the fault.
    match range.refuse() {
        Some(refusal) if error == EAGAIN => refusal,
        _ => Refusal::in_breach_of_contract(error),
    }
}

/// An injector behind a start that may refuse.
pub(crate) struct Plain(Arc<Injector>);

impl RefusingNotifier for Plain {
    fn invalidate_range_start(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let remove = |unsound| call.unregister_in_breach_of_contract(unsound);
        self.0
            .start(call, 0, || (), remove)
            .map_err(|error| refusal(call, error))
    }

    fn release(&self) {
        self.0.release();
    }
}

refusing_notifier!(Plain, mmu_notifier_inject_invalidate_range_start);

/// An injector behind a start and an end.
pub(crate) struct PlainEnd(Arc<Injector>);

impl PairedNotifier for PlainEnd {
    type Refusal = PairedRefusal;

    fn invalidate_range_start(&self, call: &Call<'_>) -> Result<(), PairedRefusal> {
        let remove = |unsound| call.unregister_in_breach_of_contract(unsound);
        self.0
            .start(call, 0, || (), remove)
            .map_err(|error| PairedRefusal::in_breach_of_contract(refusal(call, error)))
    }

    fn invalidate_range_end(&self, range: &Range) {
        self.0.end(Operation::End, Arguments::new(range, 0));
    }

    fn release(&self) {
        self.0.release();
    }
}

paired_notifier!(PlainEnd, mmu_notifier_inject_paired_invalidate_range_start);

/// An injector behind an interval notifier.
pub(crate) struct Interval(Arc<Injector>);

impl Interval {
    /// The first pass, or the only one.
    fn start<'a>(&self, invalidation: &'a Invalidation<'_>) -> Result<SequenceSet<'a>, Refusal> {
        let range = invalidation.range();
        // One that refuses leaves the number alone, as a driver has to that cannot have its lock.
        let agree = || self.0.with_mirror(|| invalidation.set_seq());
        let remove = |unsound| invalidation.remove_in_breach_of_contract(unsound);
        self.0
            .start(range, invalidation.seq(), agree, remove)
            .map_err(|error| refusal(range, error))
    }
}

impl IntervalNotifier for Interval {
    fn invalidate<'a>(
        &self,
        invalidation: &'a Invalidation<'_>,
    ) -> Result<SequenceSet<'a>, Refusal> {
        self.start(invalidation)
    }
}

#[cfg(mmu_interval_two_pass)]
impl TwoPassNotifier for Interval {
    type Pending = Arguments;

    fn invalidate_start<'a>(
        &self,
        invalidation: &'a Invalidation<'_>,
    ) -> Result<(SequenceSet<'a>, Option<Arguments>), Refusal> {
        let set = self.start(invalidation)?;
        let arguments = Arguments::new(invalidation.range(), invalidation.seq());
        Ok((set, Some(arguments)))
    }

    fn invalidate_finish(&self, arguments: Arguments) {
        self.0.end(Operation::Finish, arguments);
    }
}

/// The notifier on an address space, if there is one. Dropping it removes it and waits for its
/// callbacks.
pub(crate) enum Attached {
    None,
    /// One that can never be removed again.
    Twice,
    Plain {
        _registration: Pin<KBox<Registration<Plain>>>,
    },
    PlainEnd {
        _registration: Pin<KBox<Registration<PlainEnd>>>,
    },
    Interval(Pin<KBox<IntervalRegistration<OnePass<Interval>>>>),
    #[cfg(mmu_interval_two_pass)]
    IntervalTwoPass(Pin<KBox<IntervalRegistration<TwoPass<Interval>>>>),
}

/// Room for a registration. It is taken beforehand, since it cannot be with the locks held with
/// which some are made.
fn room<T>() -> Result<KBox<MaybeUninit<T>>> {
    Ok(KBox::new_uninit(GFP_KERNEL)?)
}

/// Registers a plain notifier. [`None`] where that was done twice, so that it stays for ever.
fn register<T: Operations>(
    notifier: T,
    mm: &MmWithUser,
    injector: &Injector,
    how: How,
    module: &'static ThisModule,
) -> Result<Option<Pin<KBox<Registration<T>>>>> {
    let room = room()?;
    let once = how.with_locks(mm, injector, |mmap| {
        room.write_pin_init(Registration::new(mmap, notifier))
    })?;
    if how != How::Twice {
        return Ok(Some(once));
    }
    let unsound = breach::permit()?;
    Registration::register_again_in_breach_of_contract(once, mm, module, unsound)?;
    Ok(None)
}

impl Attached {
    /// Registers a notifier of the injector's kind with `mm`, in that way.
    ///
    /// Fails as the registrations do, with `ESRCH` where nobody uses the address space any more and
    /// breaking the rules is not allowed, and with `EPERM` where the way is against them.
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
            None => {
                let unsound = breach::permit().map_err(|_| ESRCH)?;
                pretend_users_in_breach_of_contract(mm, unsound)
            }
        };

        Ok(match injector.kind() {
            Kind::None => Attached::None,
            Kind::Plain => {
                let notifier = Plain(injector.clone());
                match register(notifier, mm, injector, how, module)? {
                    Some(_registration) => Attached::Plain { _registration },
                    None => Attached::Twice,
                }
            }
            Kind::PlainEnd => {
                let notifier = PlainEnd(injector.clone());
                match register(notifier, mm, injector, how, module)? {
                    Some(_registration) => Attached::PlainEnd { _registration },
                    None => Attached::Twice,
                }
            }
            Kind::Interval(AddressRange { start, end }) => {
                let (room, notifier) = (room()?, OnePass(Interval(injector.clone())));
                Attached::Interval(how.with_locks(mm, injector, |mmap| {
                    room.write_pin_init(IntervalRegistration::new(mmap, start, end, notifier))
                })?)
            }
            #[cfg(mmu_interval_two_pass)]
            Kind::IntervalTwoPass(AddressRange { start, end }) => {
                let (room, notifier) = (room()?, TwoPass::new(Interval(injector.clone())));
                Attached::IntervalTwoPass(how.with_locks(mm, injector, |mmap| {
                    room.write_pin_init(IntervalRegistration::new(mmap, start, end, notifier))
                })?)
            }
            #[cfg(not(mmu_interval_two_pass))]
            Kind::IntervalTwoPass(_) => return Err(errno::not_supported()),
        })
    }

    /// Begins to look at an interval notifier's range: the number of its last invalidation.
    ///
    /// Waits for the end of one that is under way, and no signal ends the wait. Fails with
    /// `EOPNOTSUPP` for other kinds.
    pub(crate) fn read_begin(&self) -> Result<u64> {
        match self {
            Attached::Interval(registration) => Ok(registration.read_begin()),
            #[cfg(mmu_interval_two_pass)]
            Attached::IntervalTwoPass(registration) => Ok(registration.read_begin()),
            _ => Err(errno::not_supported()),
        }
    }

    /// Whether the range was invalidated since [`Self::read_begin`] returned `seq`. Under
    /// [`Injector::with_mirror`] only.
    pub(crate) fn read_retry(&self, seq: u64) -> Result<bool> {
        match self {
            Attached::Interval(registration) => Ok(registration.read_retry(seq)),
            #[cfg(mmu_interval_two_pass)]
            Attached::IntervalTwoPass(registration) => Ok(registration.read_retry(seq)),
            _ => Err(errno::not_supported()),
        }
    }
}
