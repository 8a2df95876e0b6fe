// SPDX-License-Identifier: GPL-2.0

//! The filter: the calls into which a fault may be injected.

use crate::{
    abstractions::{
        errno,
        kallsyms,
        mmu_notifier::Event,
        stacktrace::Trace,
        task, //
    },
    log::Arguments,
    text,
};
use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};

/// A set of events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Events(u64);

impl Events {
    /// Every event, those that are newer than this module too.
    pub(crate) const ALL: Events = Events(u64::MAX);

    /// Takes names with a comma between them, each once and in any order, or `all`.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        if line == "all" {
            return Ok(Self::ALL);
        }
        let mut set = 0;
        for name in line.split(',') {
            let bit = Self::bit(Event::from_name(name).ok_or(EINVAL)?);
            if set & bit != 0 {
                return Err(EINVAL);
            }
            set |= bit;
        }
        let named_all = Event::ALL.iter().all(|&event| set & Self::bit(event) != 0);
        Ok(if named_all { Self::ALL } else { Events(set) })
    }

    const fn bit(event: Event) -> u64 {
        1 << event as u32
    }

    fn admits(self, event: Option<Event>) -> bool {
        match event {
            Some(event) => self.0 & Self::bit(event) != 0,
            None => self == Self::ALL,
        }
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return write!(f, "all");
        }
        let mut comma = "";
        for &event in Event::ALL {
            if self.admits(Some(event)) {
                write!(f, "{comma}{}", event.name_str())?;
                comma = ",";
            }
        }
        Ok(())
    }
}

/// Addresses from `start` to before `end`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl AddressRange {
    /// Every address.
    pub(crate) const ALL: AddressRange = AddressRange {
        start: 0,
        end: u64::MAX,
    };

    /// Takes `START-END` as `/proc/PID/maps` writes it (hexadecimal, `0x` may stand before it),
    /// or `all`.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        if line == "all" {
            return Ok(Self::ALL);
        }
        let (start, end) = line.split_once('-').ok_or(EINVAL)?;
        let (start, end) = (text::parse_hex(start)?, text::parse_hex(end)?);
        if start >= end {
            return Err(EINVAL);
        }
        Ok(AddressRange { start, end })
    }

    /// Whether some byte is in both.
    fn overlaps(self, start: u64, end: u64) -> bool {
        start < self.end && self.start < end
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            write!(f, "all")
        } else {
            write!(f, "{:#x}-{:#x}", self.start, self.end)
        }
    }
}

/// Calls in one of the two contexts, or in both.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContextFilter {
    /// Both.
    Any,
    /// Those that may sleep, and must not be refused.
    Blockable,
    /// Those of the OOM reaper and of `process_mrelease(2)`.
    NonBlockable,
}

impl ContextFilter {
    const ALL: [ContextFilter; 3] = [
        ContextFilter::Any,
        ContextFilter::Blockable,
        ContextFilter::NonBlockable,
    ];

    const fn name(self) -> &'static str {
        match self {
            ContextFilter::Any => "any",
            ContextFilter::Blockable => "blockable",
            ContextFilter::NonBlockable => "non-blockable",
        }
    }

    /// Takes one of the names.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|filter| filter.name() == line)
            .ok_or(EINVAL)
    }

    fn admits(self, blockable: bool) -> bool {
        match self {
            ContextFilter::Any => true,
            ContextFilter::Blockable => blockable,
            ContextFilter::NonBlockable => !blockable,
        }
    }
}

impl fmt::Display for ContextFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

/// Calls by one thread, by threads of one name, or by all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskFilter {
    /// All threads.
    All,
    /// The thread of that id, as the initial pid namespace counts, and the log.
    Tid(i32),
    /// Threads of that name; NUL-padded.
    Comm([u8; task::COMM_LEN]),
}

/// The largest pid that there can be: `PID_MAX_LIMIT` of include/linux/threads.h on 64 bits.
const PID_MAX: i32 = 4 << 20;

impl TaskFilter {
    /// Takes `all`, `tid=N` or `comm=NAME`.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        if line == "all" {
            return Ok(TaskFilter::All);
        }
        match line.split_once('=') {
            Some(("tid", number)) => match text::parse_i32(number)? {
                tid @ 1..=PID_MAX => Ok(TaskFilter::Tid(tid)),
                _ => Err(ERANGE),
            },
            Some(("comm", name)) => {
                let mut comm = [0; task::COMM_LEN];
                // One byte is for the NUL.
                let fits = (1..task::COMM_LEN).contains(&name.len());
                if !fits || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(EINVAL);
                }
                for (to, from) in comm.iter_mut().zip(name.bytes()) {
                    *to = from;
                }
                Ok(TaskFilter::Comm(comm))
            }
            _ => Err(EINVAL),
        }
    }

    fn admits_current(self) -> bool {
        match self {
            TaskFilter::All => true,
            TaskFilter::Tid(tid) => kernel::current!().pid() == tid,
            TaskFilter::Comm(comm) => name(&task::current_comm()) == name(&comm),
        }
    }
}

/// The bytes before the first NUL.
fn name(comm: &[u8; task::COMM_LEN]) -> &[u8] {
    comm.split(|&byte| byte == 0).next().unwrap_or(comm)
}

impl fmt::Display for TaskFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskFilter::All => write!(f, "all"),
            TaskFilter::Tid(tid) => write!(f, "tid={tid}"),
            TaskFilter::Comm(comm) => {
                let name = core::str::from_utf8(name(comm)).unwrap_or("?");
                write!(f, "comm={name}")
            }
        }
    }
}

/// Number of frames in which a caller is looked for, those of this module included. Direct reclaim
/// out of a page fault has about thirty.
const FRAMES: usize = 64;

/// Whether the kernel has stack traces, and names for the addresses in them.
const HAS_CALLERS: bool = cfg!(all(CONFIG_STACKTRACE, CONFIG_KALLSYMS));

/// Calls that come from one function of the kernel or of a module, or from any.
#[derive(Clone)]
pub(crate) enum CallerFilter {
    /// All calls.
    All,
    /// Calls with a function of that name among their callers. Dropping it in a callback may free
    /// the name, for which nothing sleeps.
    Function(Arc<KVec<u8>>),
}

impl CallerFilter {
    /// Takes `all` or the name of a symbol, which need not exist. Fails with `EINVAL`, with
    /// `EOPNOTSUPP` for a name where the kernel cannot tell the callers, and with `ENOMEM`.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        if line == "all" {
            return Ok(CallerFilter::All);
        }
        // The dot is in what compilers add, the dollar in names of Rust.
        let is_symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte);
        if !(1..=kallsyms::NAME_MAX).contains(&line.len()) || !line.bytes().all(is_symbol) {
            return Err(EINVAL);
        }
        if !HAS_CALLERS {
            return Err(errno::not_supported());
        }
        let mut name = KVec::with_capacity(line.len(), GFP_KERNEL_ACCOUNT)?;
        name.extend_from_slice(line.as_bytes(), GFP_KERNEL_ACCOUNT)?;
        Ok(CallerFilter::Function(Arc::new(name, GFP_KERNEL_ACCOUNT)?))
    }

    fn admits_stack(&self) -> bool {
        match self {
            CallerFilter::All => true,
            CallerFilter::Function(name) => is_called_from(name),
        }
    }
}

impl fmt::Display for CallerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerFilter::All => write!(f, "all"),
            CallerFilter::Function(name) => {
                write!(f, "{}", core::str::from_utf8(name).unwrap_or("?"))
            }
        }
    }
}

/// Whether a function of that name is among the callers, this module left out. Neither sleeps nor
/// allocates.
///
/// Each address is named anew: several functions may have one name, and modules come and go.
// Not inlined: the buffers take more than a kilobyte of the stack, which other calls do without.
#[cfg(all(CONFIG_STACKTRACE, CONFIG_KALLSYMS))]
#[inline(never)]
fn is_called_from(name: &[u8]) -> bool {
    Trace::<FRAMES>::save().frames().any(|address| {
        let symbol = address.symbol();
        symbol.function().as_bytes() == name && !symbol.is_in("mmu_notifier_inject")
    })
}

/// A kernel without stack traces or names takes no name.
#[cfg(not(all(CONFIG_STACKTRACE, CONFIG_KALLSYMS)))]
fn is_called_from(_name: &[u8]) -> bool {
    false
}

/// The calls into which a fault may be injected.
#[derive(Clone)]
pub(crate) struct Filter {
    /// Calls with one of these events.
    pub(crate) events: Events,
    /// Calls that touch one of these addresses.
    pub(crate) range: AddressRange,
    /// Calls in this context.
    pub(crate) context: ContextFilter,
    /// Calls by these threads.
    pub(crate) task: TaskFilter,
    /// Calls from these functions.
    pub(crate) caller: CallerFilter,
}

impl Filter {
    /// Every call.
    pub(crate) const ALL: Filter = Filter {
        events: Events::ALL,
        range: AddressRange::ALL,
        context: ContextFilter::Any,
        task: TaskFilter::All,
        caller: CallerFilter::All,
    };

    /// Whether a call of the current task is meant.
    pub(crate) fn admits(&self, call: &Arguments) -> bool {
        self.events.admits(call.event)
            && self.context.admits(call.blockable)
            // A release has no range.
            && (call.event == Some(Event::Release) && call.end == 0
                || self.range.overlaps(call.start, call.end))
            && self.task.admits_current()
            // Last, as it costs the most.
            && self.caller.admits_stack()
    }
}

#[kunit_tests(mmu_notifier_inject_filter)]
mod tests {
    use super::*;
    use crate::text::Text;

    fn shown(value: impl fmt::Display) -> Result<Text> {
        let mut text = Text::with_capacity(64)?;
        text.add(fmt!("{value}"))?;
        Ok(text)
    }

    #[test]
    fn events_are_shown_in_the_kernels_order() -> Result {
        assert_eq!(
            shown(Events::parse("CLEAR,UNMAP")?)?.as_bytes(),
            b"MMU_NOTIFY_UNMAP,MMU_NOTIFY_CLEAR"
        );
        let one = Events::parse("MMU_NOTIFY_CLEAR,UNMAP")? == Events::parse("UNMAP,CLEAR")?;
        assert!(one);
        let all = "EXCLUSIVE,MIGRATE,RELEASE,SOFT_DIRTY,PROTECTION_PAGE,PROTECTION_VMA,CLEAR,UNMAP";
        assert_eq!(shown(Events::parse(all)?)?.as_bytes(), b"all");
        for bad in [
            "",
            ",",
            "UNMAP,",
            "UNMAP,UNMAP",
            "UNMAP,MMU_NOTIFY_UNMAP",
            "MMU_NOTIFY_",
            "MMU_NOTIFY_MMU_NOTIFY_UNMAP",
            "unmap",
            "UNMAP CLEAR",
            "all,UNMAP",
        ] {
            assert!(Events::parse(bad).is_err());
        }
        Ok(())
    }

    #[test]
    fn events_admit_what_they_name() -> Result {
        let set = Events::parse("UNMAP,EXCLUSIVE")?;
        assert!(set.admits(Some(Event::Unmap)));
        assert!(set.admits(Some(Event::Exclusive)));
        assert!(!set.admits(Some(Event::Clear)));
        assert!(!set.admits(None));
        assert!(Events::ALL.admits(None));
        Ok(())
    }

    #[test]
    fn ranges_touch_by_a_byte() -> Result {
        let range = AddressRange::parse("0x1000-2000")?;
        assert!(range.overlaps(0xfff, 0x1001));
        assert!(range.overlaps(0x1fff, 0x9000));
        assert!(!range.overlaps(0, 0x1000));
        assert!(!range.overlaps(0x2000, 0x3000));
        assert!(AddressRange::ALL.overlaps(0, 1));
        Ok(())
    }

    #[test]
    fn ranges_are_shown_as_they_are_read() -> Result {
        assert_eq!(
            shown(AddressRange::parse("7F00-0x8000")?)?.as_bytes(),
            b"0x7f00-0x8000"
        );
        assert_eq!(
            shown(AddressRange::parse("0-ffffffffffffffff")?)?.as_bytes(),
            b"all"
        );
        for bad in ["", "-", "1-", "-1", "2-1", "1-1", "1-2-3", "1 - 2", "ALL"] {
            assert_eq!(AddressRange::parse(bad).err(), Some(EINVAL));
        }
        assert_eq!(
            AddressRange::parse("0-10000000000000000").err(),
            Some(ERANGE)
        );
        Ok(())
    }

    #[test]
    fn contexts() -> Result {
        for filter in ContextFilter::ALL {
            assert!(ContextFilter::parse(filter.name())? == filter);
        }
        assert!(ContextFilter::parse("Any").is_err());
        assert!(ContextFilter::parse("nonblockable").is_err());
        assert!(ContextFilter::Blockable.admits(true));
        assert!(!ContextFilter::Blockable.admits(false));
        assert!(!ContextFilter::NonBlockable.admits(true));
        assert!(ContextFilter::NonBlockable.admits(false));
        Ok(())
    }

    #[test]
    fn tasks() -> Result {
        for text in [
            "all",
            "tid=4194304",
            "comm=oom_reaper",
            "comm=fifteen-bytes-x",
        ] {
            assert_eq!(shown(TaskFilter::parse(text)?)?.as_bytes(), text.as_bytes());
        }
        for bad in [
            "",
            "tid",
            "comm=",
            "comm=a b",
            "comm=sixteen-bytes-xy",
            "pid=1",
            "tid=",
        ] {
            assert_eq!(TaskFilter::parse(bad).err(), Some(EINVAL));
        }
        for bad in ["tid=0", "tid=-1", "tid=4194305", "tid=99999999999"] {
            assert_eq!(TaskFilter::parse(bad).err(), Some(ERANGE));
        }
        let this = kernel::current!().pid();
        assert!(TaskFilter::Tid(this).admits_current());
        assert!(!TaskFilter::Tid(this.wrapping_add(1)).admits_current());
        assert!(TaskFilter::Comm(task::current_comm()).admits_current());
        assert!(!TaskFilter::parse("comm=no-such-name")?.admits_current());
        Ok(())
    }

    #[test]
    fn callers_are_names_of_symbols() -> Result {
        let mut longest = KVec::from_elem(b'x', kallsyms::NAME_MAX, GFP_KERNEL)?;
        for text in ["all", "f", "f.isra.0", "_RNvC1a$1_Z"] {
            assert_eq!(
                shown(CallerFilter::parse(text)?)?.as_bytes(),
                text.as_bytes()
            );
        }
        let text = core::str::from_utf8(&longest).map_err(|_| EINVAL)?;
        assert_eq!(
            shown(CallerFilter::parse(text)?)?.as_bytes(),
            text.as_bytes()
        );
        longest.push(b'x', GFP_KERNEL)?;
        let text = core::str::from_utf8(&longest).map_err(|_| EINVAL)?;
        for bad in ["", "a b", "f+0x1", "f,g", "f-g", "a=b", "\u{e9}", text] {
            assert_eq!(CallerFilter::parse(bad).err(), Some(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn callers_are_whole_names_and_not_of_this_module() -> Result {
        let trace = Trace::<FRAMES>::save();
        let mut callers = 0;
        for address in trace.frames() {
            let symbol = address.symbol();
            let (name, own) = (symbol.function(), symbol.is_in("mmu_notifier_inject"));
            // The last frame may have no name.
            let Ok(filter) = CallerFilter::parse(name) else {
                continue;
            };
            assert_eq!(filter.admits_stack(), !own);
            if !own {
                callers += 1;
                let shorter = name.get(..name.len().wrapping_sub(1)).unwrap_or("");
                assert!(!CallerFilter::parse(shorter)?.admits_stack());
                assert!(!CallerFilter::parse(name.get(1..).unwrap_or(""))?.admits_stack());
            }
        }
        assert!(callers > 0);
        assert!(!CallerFilter::parse("no_such_symbol")?.admits_stack());
        assert!(CallerFilter::All.admits_stack());
        Ok(())
    }
}
