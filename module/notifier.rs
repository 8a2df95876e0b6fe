// SPDX-License-Identifier: GPL-2.0

//! The kinds of notifiers that a target can have, all with an injector behind them.

use crate::{
    abstractions::mmu_notifier::{
        paired_notifier,
        refusing_notifier,
        IntervalNotifier,
        IntervalRegistration,
        OnePass,
        PairedNotifier,
        PairedRefusal,
        Range,
        Refusal,
        RefusingNotifier,
        Registration, //
    },
    filter::AddressRange,
    injector::Injector,
    log::Operation, //
};
#[cfg(mmu_interval_two_pass)]
use crate::{
    abstractions::mmu_notifier::{
        TwoPass,
        TwoPassNotifier, //
    },
    log::Arguments, //
};
use kernel::{
    fmt,
    mm::MmWithUser,
    prelude::*,
    sync::Arc, //
};

/// What sort of notifier a target is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
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
    /// plain one with; and with `EOPNOTSUPP` for what the kernel does not have.
    pub(crate) fn new(name: &str, range: Option<AddressRange>) -> Result<Self> {
        match (name, range) {
            ("plain", None) => Ok(Kind::Plain),
            ("plain-end", None) => Ok(Kind::PlainEnd),
            ("interval", Some(range)) => Ok(Kind::Interval(range)),
            ("interval-two-pass", Some(_)) if cfg!(not(mmu_interval_two_pass)) => Err(EOPNOTSUPP),
            ("interval-two-pass", Some(range)) => Ok(Kind::IntervalTwoPass(range)),
            _ => Err(EINVAL),
        }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::PlainEnd => "plain-end",
            Kind::Interval(_) => "interval",
            Kind::IntervalTwoPass(_) => "interval-two-pass",
        }
    }

    /// The addresses of which it hears.
    pub(crate) const fn range(self) -> AddressRange {
        match self {
            Kind::Plain | Kind::PlainEnd => AddressRange::ALL,
            Kind::Interval(range) | Kind::IntervalTwoPass(range) => range,
        }
    }

    /// Whether a start that was not refused is followed by an end.
    pub(crate) const fn has_end(self) -> bool {
        matches!(self, Kind::PlainEnd | Kind::IntervalTwoPass(_))
    }

    /// Whether its callback has a way to return that. An interval notifier says yes or no, and the
    /// core makes `-EAGAIN` of the no.
    pub(crate) fn can_return(self, errno: i32) -> bool {
        match self {
            Kind::Plain | Kind::PlainEnd => true,
            Kind::Interval(_) | Kind::IntervalTwoPass(_) => {
                errno == 0 || errno == EAGAIN.to_errno()
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Plain | Kind::PlainEnd => write!(f, "{}", self.name()),
            Kind::Interval(range) | Kind::IntervalTwoPass(range) => {
                f.write_fmt(fmt!("{} {range}", self.name()))
            }
        }
    }
}

/// What the injector has decided, in the terms of the abstraction.
fn answer(range: &Range, errno: i32) -> Result<(), Refusal> {
    if errno == 0 {
        return Ok(());
    }
    let error = Error::from_errno(errno);
    // The one legal refusal comes from the range, every other one is the fault.
    Err(match range.refuse() {
        Some(refusal) if error == EAGAIN => refusal,
        _ => Refusal::in_breach_of_contract(error),
    })
}

/// An injector behind a start that may refuse.
pub(crate) struct Plain(Arc<Injector>);

impl RefusingNotifier for Plain {
    fn invalidate_range_start(&self, range: &Range) -> Result<(), Refusal> {
        answer(range, self.0.start(range))
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

    fn invalidate_range_start(&self, range: &Range) -> Result<(), PairedRefusal> {
        answer(range, self.0.start(range)).map_err(PairedRefusal::in_breach_of_contract)
    }

    fn invalidate_range_end(&self, range: &Range) {
        self.0.end(Operation::End, range.into());
    }

    fn release(&self) {
        self.0.release();
    }
}

paired_notifier!(PlainEnd, mmu_notifier_inject_paired_invalidate_range_start);

/// An injector behind an interval notifier.
pub(crate) struct Interval(Arc<Injector>);

impl IntervalNotifier for Interval {
    fn invalidate(&self, range: &Range) -> Result<(), Refusal> {
        answer(range, self.0.start(range))
    }
}

#[cfg(mmu_interval_two_pass)]
impl TwoPassNotifier for Interval {
    type Pending = Arguments;

    fn invalidate_start(&self, range: &Range) -> Result<Option<Arguments>, Refusal> {
        answer(range, self.0.start(range)).map(|()| Some(range.into()))
    }

    fn invalidate_finish(&self, arguments: Arguments) {
        self.0.end(Operation::Finish, arguments);
    }
}

/// A notifier on an address space. Dropping it removes it and waits for its callbacks.
pub(crate) enum Attached {
    Plain(Pin<KBox<Registration<Plain>>>),
    PlainEnd(Pin<KBox<Registration<PlainEnd>>>),
    Interval(Pin<KBox<IntervalRegistration<OnePass<Interval>>>>),
    #[cfg(mmu_interval_two_pass)]
    IntervalTwoPass(Pin<KBox<IntervalRegistration<TwoPass<Interval>>>>),
}

impl Attached {
    /// Registers a notifier of the injector's kind with `mm`. Fails as the registrations do.
    pub(crate) fn new(mm: &MmWithUser, injector: Arc<Injector>) -> Result<Self> {
        Ok(match injector.kind() {
            Kind::Plain => {
                let registration = Registration::new(mm, Plain(injector));
                Attached::Plain(KBox::pin_init(registration, GFP_KERNEL)?)
            }
            Kind::PlainEnd => {
                let registration = Registration::new(mm, PlainEnd(injector));
                Attached::PlainEnd(KBox::pin_init(registration, GFP_KERNEL)?)
            }
            Kind::Interval(AddressRange { start, end }) => {
                let notifier = OnePass(Interval(injector));
                let registration = IntervalRegistration::new(mm, start, end, notifier);
                Attached::Interval(KBox::pin_init(registration, GFP_KERNEL)?)
            }
            #[cfg(mmu_interval_two_pass)]
            Kind::IntervalTwoPass(AddressRange { start, end }) => {
                let notifier = TwoPass::new(Interval(injector));
                let registration = IntervalRegistration::new(mm, start, end, notifier);
                Attached::IntervalTwoPass(KBox::pin_init(registration, GFP_KERNEL)?)
            }
            #[cfg(not(mmu_interval_two_pass))]
            Kind::IntervalTwoPass(_) => return Err(EOPNOTSUPP),
        })
    }

    /// Whether some process still uses the address space.
    pub(crate) fn is_mm_in_use(&self) -> bool {
        match self {
            Attached::Plain(registration) => registration.is_mm_in_use(),
            Attached::PlainEnd(registration) => registration.is_mm_in_use(),
            Attached::Interval(registration) => registration.is_mm_in_use(),
            #[cfg(mmu_interval_two_pass)]
            Attached::IntervalTwoPass(registration) => registration.is_mm_in_use(),
        }
    }
}
