// SPDX-License-Identifier: GPL-2.0

//! What the callbacks of one target are told to do, and the doing of it.

use crate::{
    abstractions::{
        breach::{
            self,
            Unsound, //
        },
        mmu_notifier::{
            Event,
            Range, //
        },
        print,
        task,
        time::{
            monotonic_ns,
            sleep_killable, //
        }, //
    },
    chance::Chance,
    counters::Counters,
    filter::Filter,
    log::{
        Arguments,
        Log, //
    },
    notifier::Kind,
    operation::Operation,
    rate::Rate,
    text::Text, //
};
use kernel::{
    new_mutex,
    new_spinlock,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SetOnce,
        SpinLock, //
    },
    time::{
        delay::{
            fsleep,
            udelay, //
        },
        Delta, //
    }, //
};

/// The largest number that is an errno: `MAX_ERRNO` of include/linux/err.h.
const MAX_ERRNO: i32 = 4095;

/// The longest that is waited for in one go without sleeping; `MAX_UDELAY_MS` is no less anywhere.
const DELAY_STEP: Delta = Delta::from_millis(1);

/// The longest sleep that is not worth an interruption: a kill waits for its end. `fsleep()` is
/// more precise than what can be interrupted, which counts jiffies.
const SHORT_SLEEP: Delta = Delta::from_millis(20);

/// What a faulty callback does before it returns. All 0: nothing.
pub(crate) struct Misdeeds {
    /// Whether it is the end that does it, or the second pass, and not the start. `remove` is
    /// always for the start.
    in_end: Atomic<bool>,
    /// Sleeps so many microseconds, or a little longer.
    pub(crate) sleep_us: Atomic<i32>,
    /// Waits so many microseconds without sleeping, or a little longer.
    pub(crate) delay_us: Atomic<i32>,
    /// Allocates so many bytes with `GFP_KERNEL`, and frees them.
    pub(crate) alloc_bytes: Atomic<i32>,
    /// 1: takes the lock of [`Injector::hold_lock_over_allocation`].
    pub(crate) lock: Atomic<i32>,
    /// 1: removes its own notifier. Only set where breaking the rules is allowed.
    pub(crate) remove: Atomic<i32>,
}

impl Misdeeds {
    fn any_but_remove(&self) -> bool {
        [
            &self.sleep_us,
            &self.delay_us,
            &self.alloc_bytes,
            &self.lock,
        ]
        .into_iter()
        .any(|misdeed| misdeed.load(Relaxed) != 0)
    }

    fn any_in_start(&self) -> bool {
        self.remove.load(Relaxed) != 0 || (!self.in_end.load(Relaxed) && self.any_but_remove())
    }

    fn any_in_end(&self) -> bool {
        self.in_end.load(Relaxed) && self.any_but_remove()
    }
}

/// What one target's callbacks are told to do, and what they have done.
///
/// Unless a misdeed is asked for, a callback neither sleeps nor allocates, and takes no lock but
/// the filter's, the log's and, where the notifier is an interval notifier, the mirror's, which are
/// leaves. Where nothing is armed, and only what is injected is recorded, it costs loads and one
/// count, besides the mirror's lock.
#[pin_data]
pub(crate) struct Injector {
    /// Empty until the target is there: a notifier that is shared is made by the core.
    name: SetOnce<Arc<CString>>,
    kind: Kind,
    /// What a call with the event of that index fails with; 0: it does not.
    errors: [Atomic<i32>; Event::ALL.len()],
    pub(crate) misdeeds: Misdeeds,
    pub(crate) chance: Chance,
    /// 1: the callbacks for page aging say that the page was accessed; 0: that it was not.
    pub(crate) young: Atomic<i32>,
    /// 0: says nothing of what it does; 1: a line; 2: a stack, too.
    pub(crate) verbose: Atomic<i32>,
    announced: Rate,
    record_all: Atomic<bool>,
    /// Taken only where something is armed.
    #[pin]
    filter: SpinLock<Filter>,
    counters: Counters,
    #[pin]
    log: Log,
    #[pin]
    lock: Mutex<()>,
    #[pin]
    mirror: SpinLock<()>,
    #[pin]
    atomic: SpinLock<()>,
}

impl Injector {
    /// An injector that agrees to everything, with a log of `log_bytes`.
    pub(crate) fn new(kind: Kind, log_bytes: usize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            name: SetOnce::new(),
            kind,
            errors: [const { Atomic::new(0) }; Event::ALL.len()],
            misdeeds: Misdeeds {
                in_end: Atomic::new(false),
                sleep_us: Atomic::new(0),
                delay_us: Atomic::new(0),
                alloc_bytes: Atomic::new(0),
                lock: Atomic::new(0),
                remove: Atomic::new(0),
            },
            chance: Chance::new(),
            young: Atomic::new(0),
            verbose: Atomic::new(0),
            announced: Rate::new(),
            record_all: Atomic::new(false),
            filter <- new_spinlock!(Filter::ALL),
            counters: Counters::new(),
            log <- Log::new(log_bytes),
            lock <- new_mutex!(()),
            mirror <- new_spinlock!(()),
            atomic <- new_spinlock!(()),
        }? Error)
    }

    /// Sets the name under which it announces injections, unless it has one already.
    pub(crate) fn set_name(&self, name: Arc<CString>) {
        self.name.populate(name);
    }

    /// What sort of notifier it stands behind.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The errno for calls with `event`: 0 or negative.
    pub(crate) fn error(&self, event: Event) -> i32 {
        self.errors
            .get(event as usize)
            .map_or(0, |error| error.load(Relaxed))
    }

    /// Sets the errno for calls with `event`. Fails with `ERANGE` unless it is -4095 to 0, and with
    /// `EINVAL` where the kind of notifier has no way to say it.
    pub(crate) fn set_error(&self, event: Event, errno: i32) -> Result {
        if !(-MAX_ERRNO..=0).contains(&errno) {
            return Err(ERANGE);
        }
        if !self.kind.can_return(errno) {
            return Err(EINVAL);
        }
        let error = self.errors.get(event as usize).ok_or(EINVAL)?;
        error.store(errno, Relaxed);
        Ok(())
    }

    /// Which calls are meant.
    pub(crate) fn filter(&self) -> Filter {
        *self.filter.lock()
    }

    /// Changes which calls are meant.
    pub(crate) fn update_filter(&self, change: impl FnOnce(&mut Filter)) {
        change(&mut self.filter.lock());
    }

    /// Whether the misdeeds are for the end, and not for the start.
    pub(crate) fn misbehaves_in_end(&self) -> bool {
        self.misdeeds.in_end.load(Relaxed)
    }

    /// Sets it. Fails with `EINVAL` where the kind of notifier has no end.
    pub(crate) fn set_misbehaves_in_end(&self, in_end: bool) -> Result {
        if in_end && !self.kind.has_end() {
            return Err(EINVAL);
        }
        self.misdeeds.in_end.store(in_end, Relaxed);
        Ok(())
    }

    /// Whether calls are logged to which nothing was done.
    pub(crate) fn records_all(&self) -> bool {
        self.record_all.load(Relaxed)
    }

    /// Sets it.
    pub(crate) fn set_records_all(&self, all: bool) {
        self.record_all.store(all, Relaxed);
    }

    /// Writes the counters.
    pub(crate) fn show_counters(&self, text: &mut Text) -> Result {
        self.counters
            .show(self.log.overwritten(), self.kind.has_end(), text)
    }

    /// The log of the calls.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Takes the lock that a misdeed takes, and allocates under it, as a careless driver does whose
    /// lock protects more than its callbacks: with that, lockdep knows that reclaim, and so a
    /// notifier, may be called under the lock.
    pub(crate) fn hold_lock_over_allocation(&self) -> Result {
        let guard = self.lock.lock();
        let memory = KVec::<u8>::with_capacity(1, GFP_KERNEL)?;
        drop(memory);
        drop(guard);
        Ok(())
    }

    /// Runs `change` under the lock that would protect a driver's mirror of the page tables, which
    /// is the one for `mmu_interval_set_seq()` and `mmu_interval_read_retry()`. `change` must not
    /// sleep, nor take another lock.
    pub(crate) fn with_mirror<T>(&self, change: impl FnOnce() -> T) -> T {
        let guard = self.mirror.lock();
        let result = change();
        drop(guard);
        result
    }

    /// Runs `work` where nothing may sleep: with a spinlock held, which nobody else takes.
    pub(crate) fn in_atomic_context<T>(&self, _: Unsound, work: impl FnOnce() -> T) -> T {
        let guard = self.atomic.lock();
        let result = work();
        drop(guard);
        result
    }

    /// Whether it befalls this call, of those to which something is to be done.
    fn strikes(&self, call: &Arguments) -> bool {
        self.filter().admits(call) && self.chance.strikes()
    }

    /// What is done to a start: [`None`], or the errno that it returns.
    fn fault(&self, call: &Arguments) -> Option<i32> {
        // An event that is newer than this module has no folder, so nobody can have set its error.
        let errno = call.event.map_or(0, |event| self.error(event));
        if errno == 0 && !self.misdeeds.any_in_start() {
            return None;
        }
        self.strikes(call).then_some(errno)
    }

    /// A callback that may refuse, and that was called with the number `cur_seq`, or without one
    /// (0): what `agree` makes of it, or the error with which it refuses. `remove` removes the
    /// notifier that was called.
    pub(crate) fn start<T>(
        &self,
        range: &Range,
        cur_seq: u64,
        agree: impl FnOnce() -> T,
        remove: impl FnOnce(Unsound),
    ) -> Result<T> {
        let arguments = Arguments::new(range, cur_seq);
        let fault = self.fault(&arguments);
        let errno = fault.unwrap_or(0);
        // Before the misdeeds: a driver, too, first sees to it that nobody uses its mirror any
        // more, and then waits for its device.
        let answer = match errno {
            0 => Ok(agree()),
            errno => Err(Error::from_errno(errno)),
        };
        self.counters.add_start(range, fault.is_some(), errno);
        if fault.is_some() || self.records_all() {
            // Before the misdeeds, so that one sees what the last one was.
            self.log
                .add(Operation::Start, arguments, fault.is_some(), errno);
        }
        if fault.is_some() {
            self.announce(Operation::Start, &arguments, errno);
            if !self.misbehaves_in_end() {
                self.misbehave(arguments.blockable);
            }
            if self.misdeeds.remove.load(Relaxed) != 0 {
                if let Ok(unsound) = breach::permit() {
                    remove(unsound);
                }
            }
        }
        answer
    }

    /// A callback that follows on a start.
    pub(crate) fn end(&self, operation: Operation, arguments: Arguments) {
        let faulty = self.misdeeds.any_in_end() && self.strikes(&arguments);
        self.counters.add_end();
        if faulty || self.records_all() {
            self.log.add(operation, arguments, faulty, 0);
        }
        if faulty {
            self.announce(operation, &arguments, 0);
            self.misbehave(arguments.blockable);
        }
    }

    /// A callback for page aging: whether it says that the pages were accessed. It is called with
    /// the page table lock held, so nothing else is injected.
    pub(crate) fn is_young(&self, operation: Operation, range: core::ops::Range<usize>) -> bool {
        let young = self.young.load(Relaxed) != 0;
        self.counters.add_other(operation);
        if self.records_all() {
            let arguments = Arguments::of_addresses(range);
            self.log.add(operation, arguments, false, young.into());
        }
        young
    }

    /// `arch_invalidate_secondary_tlbs`, which is called with the page table lock held, too.
    pub(crate) fn invalidate_secondary_tlbs(&self, range: core::ops::Range<usize>) {
        self.counters.add_other(Operation::SecondaryTlbs);
        if self.records_all() {
            let arguments = Arguments::of_addresses(range);
            self.log.add(Operation::SecondaryTlbs, arguments, false, 0);
        }
    }

    /// The last callback.
    pub(crate) fn release(&self) {
        if self.records_all() {
            self.log
                .add(Operation::Release, Arguments::RELEASE, false, 0);
        }
    }

    /// Says what is injected, but no more often than [`Rate`] lets it.
    fn announce(&self, operation: Operation, call: &Arguments, errno: i32) {
        let verbose = self.verbose.load(Relaxed);
        if verbose < 1 {
            return;
        }
        let Some(held_back) = self.announced.pass(monotonic_ns()) else {
            return;
        };
        let name = self.name.as_ref().and_then(|name| name.to_str().ok());
        let name = name.unwrap_or("?");
        if held_back > 0 {
            pr_info!("{name}: {held_back} more were not announced\n");
        }
        pr_info!(
            "{name}: injected {errno} into {} for {} {:#x}-{:#x}\n",
            operation.name(),
            call.event.map_or("UNKNOWN", Event::name_str),
            call.start,
            call.end
        );
        if verbose >= 2 {
            print::dump_stack();
        }
    }

    /// Does the misdeeds. A long sleep ends when the task is killed, where it may sleep at all.
    fn misbehave(&self, blockable: bool) {
        let delay = Delta::from_micros(self.misdeeds.delay_us.load(Relaxed).into());
        wait_out(delay, |left| {
            udelay(left.min(DELAY_STEP));
            true
        });
        if self.misdeeds.lock.load(Relaxed) != 0 {
            drop(self.lock.lock());
        }
        let bytes = self.misdeeds.alloc_bytes.load(Relaxed);
        if bytes > 0 {
            match KVec::<u8>::with_capacity(bytes.unsigned_abs() as usize, GFP_KERNEL) {
                Ok(memory) => drop(memory),
                Err(_) => self.counters.add_failed_allocation(),
            }
        }
        let sleep = Delta::from_micros(self.misdeeds.sleep_us.load(Relaxed).into());
        wait_out(sleep, |left| {
            if blockable && left > SHORT_SLEEP {
                sleep_killable(left.as_nanos().unsigned_abs());
                return !task::fatal_signal_pending();
            }
            fsleep(left);
            true
        });
    }
}

/// Calls `wait` with what is left of that time until it is over by the clock of the log, or `wait`
/// returns false. Waiting once would not do: `msleep()` counts jiffies, and where those were behind
/// when it began, as in a virtual machine one of whose processors had stood still, it ends too
/// early.
fn wait_out(time: Delta, wait: impl Fn(Delta) -> bool) {
    let end = monotonic_ns() as i64 + time.as_nanos();
    loop {
        let left = end - monotonic_ns() as i64;
        if left <= 0 || !wait(Delta::from_nanos(left)) {
            return;
        }
    }
}
