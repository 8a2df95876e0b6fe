// SPDX-License-Identifier: GPL-2.0

//! The callbacks of one target: decides what is injected, and carries it out.

use crate::{
    abstractions::{
        breach::{
            self,
            Unsound, //
        },
        errno,
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
    counters::Counters,
    log::{
        Arguments,
        Log, //
    },
    mirror::Mirror,
    notifier::Kind,
    operation::Operation,
    rate::Rate,
    settings::{
        Change,
        Effects,
        Fault,
        Settings,
        When, //
    },
    text::Text, //
};
use kernel::{
    mm::Mm,
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

/// The longest that is waited for in one go without sleeping; `MAX_UDELAY_MS` is no less anywhere.
const DELAY_STEP: Delta = Delta::from_millis(1);

/// The longest sleep that is not worth an interruption: a kill waits for its end. `fsleep()` is
/// more precise than what can be interrupted, which counts jiffies.
const SHORT_SLEEP: Delta = Delta::from_millis(20);

/// Bits of [`Injector::summary`].
const START_ARMED: u32 = 1 << 0;
const END_ARMED: u32 = 1 << 1;
const RELEASE_ARMED: u32 = 1 << 2;
const RECORD_ALL: u32 = 1 << 3;
const YOUNG: u32 = 1 << 4;

/// The bit of [`Injector::summary`] that says that the callback is armed.
const fn armed(when: When) -> u32 {
    match when {
        When::Start => START_ARMED,
        When::End => END_ARMED,
        When::Release => RELEASE_ARMED,
    }
}

/// The parts of the settings that decide whether a call needs the others.
fn summary(settings: &Settings) -> u32 {
    [
        (settings.is_armed(When::Start), armed(When::Start)),
        (settings.is_armed(When::End), armed(When::End)),
        (settings.is_armed(When::Release), armed(When::Release)),
        (settings.record_all, RECORD_ALL),
        (settings.young != 0, YOUNG),
    ]
    .into_iter()
    .fold(0, |bits, (is_set, bit)| bits | if is_set { bit } else { 0 })
}

/// The copy of the page table that a notifier of that kind has.
fn mirror(kind: Kind) -> Result<Option<Pin<KBox<Mirror>>>> {
    Ok(match kind {
        Kind::Mirror(range) => Some(KBox::pin_init(Mirror::new(range), GFP_KERNEL_ACCOUNT)?),
        _ => None,
    })
}

/// Settings, counters and log of one target's callbacks.
///
/// Unless an effect is asked for, a callback neither sleeps nor allocates, and takes no lock but
/// the settings', the log's, the mirror's and, where the notifier is an interval notifier, that of
/// the sequence number, which are leaves. Where nothing is armed, and only what is injected is
/// recorded, it costs loads and one count, besides the last of these locks.
#[pin_data]
pub(crate) struct Injector {
    /// Empty until the target is there: a notifier that is shared is made by the core.
    name: SetOnce<Arc<CString>>,
    kind: Kind,
    /// Is written with the lock of `settings` held. Where it is 0, a callback reads nothing else;
    /// where by it nothing is armed, it does not take the lock.
    summary: Atomic<u32>,
    /// A change is made under the lock as a whole, and a callback takes it once: no callback sees
    /// a part of a change.
    #[pin]
    settings: SpinLock<Settings>,
    announced: Rate,
    counters: Counters,
    #[pin]
    log: Log,
    /// Of [`Kind::Mirror`] only.
    mirror: Option<Pin<KBox<Mirror>>>,
    #[pin]
    lock: Mutex<()>,
    #[pin]
    seq: SpinLock<()>,
    #[pin]
    atomic: SpinLock<()>,
}

impl Injector {
    /// An injector that agrees to everything, with a log of `log_bytes`.
    pub(crate) fn new(kind: Kind, log_bytes: usize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            name: SetOnce::new(),
            mirror: mirror(kind)?,
            kind,
            summary: Atomic::new(summary(&Settings::DEFAULT)),
            settings <- new_spinlock!(Settings::DEFAULT),
            announced: Rate::new(),
            counters: Counters::new(),
            log <- Log::new(log_bytes),
            lock <- new_mutex!(()),
            seq <- new_spinlock!(()),
            atomic <- new_spinlock!(()),
        }? Error)
    }

    /// Sets the name under which it announces injections, unless it has one already.
    pub(crate) fn set_name(&self, name: Arc<CString>) {
        self.name.populate(name);
    }

    /// The kind of its notifier.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// All settings at one time.
    pub(crate) fn settings(&self) -> Settings {
        self.settings.lock().clone()
    }

    /// Changes settings in one step. May sleep.
    ///
    /// Fails with `EPERM` if it must be permitted, or with `ENOMEM`, and then changes nothing.
    pub(crate) fn change(&self, mut change: Change) -> Result {
        if change.breaks_rules() {
            breach::permit()?;
        }
        if change.takes_lock() {
            self.hold_lock_over_allocation()?;
        }
        let mut settings = self.settings.lock();
        change.apply(&mut settings);
        self.summary.store(summary(&settings), Relaxed);
        drop(settings);
        // Not with the lock held: it frees what was set before.
        drop(change);
        Ok(())
    }

    /// The fault to inject into a call, if any, and whether calls without a fault are logged.
    fn decide(&self, when: When, call: &Arguments) -> (Option<Fault>, bool) {
        let summary = self.summary.load(Relaxed);
        if summary & armed(when) == 0 {
            return (None, summary & RECORD_ALL != 0);
        }
        let mut settings = self.settings.lock();
        (settings.fault_in(when, call), settings.record_all)
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

    /// Takes the lock that a callback takes if told to, and allocates under it, as a careless
    /// driver does whose lock protects more than its callbacks: with that, lockdep knows that
    /// reclaim, and so a notifier, may be called under the lock.
    fn hold_lock_over_allocation(&self) -> Result {
        let guard = self.lock.lock();
        let memory = KVec::<u8>::with_capacity(1, GFP_KERNEL)?;
        drop(memory);
        drop(guard);
        Ok(())
    }

    /// Runs `change` under the lock for `mmu_interval_set_seq()` and `mmu_interval_read_retry()`,
    /// which would protect what a driver has of the page tables. `change` must not sleep, nor take
    /// another lock.
    pub(crate) fn with_seq_lock<T>(&self, change: impl FnOnce() -> T) -> T {
        let guard = self.seq.lock();
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

    /// Copies the page table for a [`Kind::Mirror`], and logs the pages that have gone since the
    /// last time.
    #[inline]
    pub(crate) fn copy_page_table(&self, mm: &Mm) {
        if let Some(mirror) = &self.mirror {
            mirror.copy(mm, |lost| {
                let arguments = Arguments::of_addresses(lost);
                self.log.add(Operation::Lost, arguments, false, 0);
            });
        }
    }

    /// The copy of the page table.
    ///
    /// Returns `Err(EOPNOTSUPP)` for other kinds than [`Kind::Mirror`].
    pub(crate) fn mirror(&self) -> Result<&Mirror> {
        self.mirror.as_deref().ok_or(errno::not_supported())
    }

    /// Whether nothing is armed, and only what is injected is recorded. One word says so, since
    /// every atomic operation is a call of a function (rust/helpers/atomic.c).
    fn is_idle(&self) -> bool {
        self.summary.load(Relaxed) == 0
    }

    /// A callback that may refuse, and that was called with the number `cur_seq`, or without one
    /// (0): what `agree` makes of it, or the error with which it refuses. `remove` removes the
    /// notifier that was called.
    #[inline]
    pub(crate) fn start<T>(
        &self,
        range: &Range,
        cur_seq: u64,
        agree: impl FnOnce() -> T,
        remove: impl FnOnce(Unsound),
    ) -> Result<T> {
        if self.is_idle() {
            let answer = agree();
            self.counters.add_start(range, false, 0);
            return Ok(answer);
        }
        self.start_with_settings(range, cur_seq, agree, remove)
    }

    /// [`Self::start`] by the settings.
    // Not inlined: an idle call need not save the registers that this takes.
    #[cold]
    #[inline(never)]
    fn start_with_settings<T>(
        &self,
        range: &Range,
        cur_seq: u64,
        agree: impl FnOnce() -> T,
        remove: impl FnOnce(Unsound),
    ) -> Result<T> {
        let arguments = Arguments::new(range, cur_seq);
        let (fault, records_all) = self.decide(When::Start, &arguments);
        let errno = fault.map_or(0, |fault| fault.errno);
        // Before the effects: a driver, too, first sees to it that nobody uses its mirror any
        // more, and then waits for its device.
        let answer = match errno {
            0 => Ok(agree()),
            errno => Err(Error::from_errno(errno)),
        };
        self.counters.add_start(range, fault.is_some(), errno);
        if fault.is_some() || records_all {
            // Before the effects, so that one sees what the last one was.
            self.log
                .add(Operation::Start, arguments, fault.is_some(), errno);
        }
        if let Some(fault) = fault {
            self.announce(Operation::Start, &arguments, &fault);
            if fault.effects.when == When::Start {
                self.misbehave(&fault.effects, arguments.blockable);
            }
            if fault.effects.remove != 0 {
                if let Ok(unsound) = breach::permit() {
                    remove(unsound);
                }
            }
        }
        answer
    }

    /// A callback that follows on a start.
    #[inline]
    pub(crate) fn end(&self, operation: Operation, arguments: Arguments) {
        if self.is_idle() {
            return self.counters.add_end();
        }
        self.end_with_settings(operation, arguments);
    }

    /// [`Self::end`] by the settings.
    #[cold]
    #[inline(never)]
    fn end_with_settings(&self, operation: Operation, arguments: Arguments) {
        self.counters.add_end();
        self.follow(When::End, operation, arguments);
    }

    /// A callback that returns nothing, by the settings.
    fn follow(&self, when: When, operation: Operation, arguments: Arguments) {
        let (fault, records_all) = self.decide(when, &arguments);
        if fault.is_some() || records_all {
            self.log.add(operation, arguments, fault.is_some(), 0);
        }
        if let Some(fault) = fault {
            self.announce(operation, &arguments, &fault);
            self.misbehave(&fault.effects, arguments.blockable);
        }
    }

    /// A callback for page aging: whether it says that the pages were accessed. It is called with
    /// the page table lock held, so nothing else is injected.
    pub(crate) fn is_young(&self, operation: Operation, range: core::ops::Range<usize>) -> bool {
        let summary = self.summary.load(Relaxed);
        let young = summary & YOUNG != 0;
        self.counters.add_other(operation);
        if summary & RECORD_ALL != 0 {
            let arguments = Arguments::of_addresses(range);
            self.log.add(operation, arguments, false, young.into());
        }
        young
    }

    /// `arch_invalidate_secondary_tlbs`, which is called with the page table lock held, too.
    pub(crate) fn invalidate_secondary_tlbs(&self, range: core::ops::Range<usize>) {
        self.counters.add_other(Operation::SecondaryTlbs);
        if self.summary.load(Relaxed) & RECORD_ALL != 0 {
            let arguments = Arguments::of_addresses(range);
            self.log.add(Operation::SecondaryTlbs, arguments, false, 0);
        }
    }

    /// The last callback.
    pub(crate) fn release(&self) {
        // The pages go, and nobody is told of it.
        if let Some(mirror) = &self.mirror {
            mirror.forget();
        }
        self.follow(When::Release, Operation::Release, Arguments::RELEASE);
    }

    /// Says what is injected, but no more often than [`Rate`] lets it.
    fn announce(&self, operation: Operation, call: &Arguments, fault: &Fault) {
        if fault.verbose < 1 {
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
            "{name}: injected {} into {} for {} {:#x}-{:#x}\n",
            fault.errno,
            operation.name(),
            call.event.map_or("UNKNOWN", Event::name_str),
            call.start,
            call.end
        );
        if fault.verbose >= 2 {
            print::dump_stack();
        }
    }

    /// Carries out the effects. A long sleep ends when the task is killed, where it may sleep at
    /// all.
    fn misbehave(&self, effects: &Effects, blockable: bool) {
        let delay = Delta::from_micros(effects.delay_us.into());
        wait_out(delay, |left| {
            udelay(left.min(DELAY_STEP));
            true
        });
        if effects.lock != 0 {
            drop(self.lock.lock());
        }
        let bytes = effects.alloc_bytes;
        if bytes > 0 {
            match KVec::<u8>::with_capacity(bytes.unsigned_abs() as usize, GFP_KERNEL) {
                Ok(memory) => drop(memory),
                Err(_) => self.counters.add_failed_allocation(),
            }
        }
        let sleep = Delta::from_micros(effects.sleep_us.into());
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
