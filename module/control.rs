// SPDX-License-Identifier: GPL-2.0

//! Attaching and detaching: the `control` file and the list of targets.

use crate::{
    abstractions::{
        debugfs::{
            Dir,
            File,
            FileOperations, //
        },
        mmu_notifier::Registration,
        task, //
    },
    files::Files,
    injector::{
        Injector,
        Notifier, //
    },
    log,
    module_parameters, //
    text::{
        self,
        Text, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        atomic::Relaxed,
        Arc,
        Mutex, //
    },
    uaccess::UserSliceWriter, //
};

/// What `help` shows.
const HELP: &str = "\
control   write \"attach PID [name=NAME]\" or \"detach NAME\"; the name is the pid unless given.
          A target is one notifier on the address space of that process.
total     calls of all targets since the module was loaded.
targets/NAME/
  pid       the process, as it was given
  actions/EVENT/error
            what invalidate_range_start returns for that event: 0 (agree) or -1 to -4095.
            The contract allows -EAGAIN (-11) in non-blockable context, and nothing else.
  range     only calls that touch START-END (hexadecimal, as in /proc/PID/maps), or \"all\"
  context   only calls in this context: any, blockable or nonblockable
  counters  calls, how many were made to fail, and log entries that were overwritten
  log       the last calls, one a line (module parameter log_entries: how many)
";

/// Longest name of a target, in bytes.
const MAX_NAME: usize = 64;

/// The most entries that a target's log may have.
const MAX_LOG_ENTRIES: u32 = 1 << 20;

/// A process with a notifier of ours.
struct Target {
    name: CString,
    // Dropped in this order: nobody can arm the notifier any more while it is unregistered.
    _files: Files,
    _registration: Pin<KBox<Registration<Notifier>>>,
}

/// The list of targets, and where their folders stand.
#[pin_data]
struct Targets {
    dir: Arc<Dir>,
    /// Taken before any lock of the memory management, never in a callback.
    #[pin]
    list: Mutex<KVec<Target>>,
}

impl Targets {
    fn attach(&self, pid: i32, name: &str) -> Result {
        let name = CString::try_from_fmt(fmt!("{name}"))?;
        let entries = module_parameters::log_entries.value();
        if !(1..=MAX_LOG_ENTRIES).contains(&entries) {
            return Err(ERANGE);
        }
        let mm = task::mm_of_pid(pid)?;

        let mut list = self.list.lock();
        if list.iter().any(|target| *target.name == *name) {
            return Err(EEXIST);
        }
        // With this nothing can fail once the notifier is registered.
        list.reserve(1, GFP_KERNEL)?;
        let injector = Arc::pin_init(Injector::new(entries as usize), GFP_KERNEL)?;
        let files = Files::new(&name, &self.dir, pid, &injector)?;
        let registration = KBox::pin_init(Registration::new(&mm, Notifier(injector)), GFP_KERNEL)?;
        list.push(
            Target {
                name,
                _files: files,
                _registration: registration,
            },
            GFP_KERNEL,
        )?;
        Ok(())
    }

    fn detach(&self, name: &str) -> Result {
        let target = {
            let mut list = self.list.lock();
            let index = list
                .iter()
                .position(|target| target.name.to_bytes() == name.as_bytes())
                .ok_or(ENOENT)?;
            list.remove(index).map_err(|_| ENOENT)?
        };
        // Waits for readers of its files and for running callbacks, so not under the lock.
        drop(target);
        Ok(())
    }
}

/// Whether `name` can be the name of a folder.
fn check_name(name: &str) -> Result<&str> {
    if name.len() > MAX_NAME {
        return Err(ENAMETOOLONG);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(fits) {
        return Err(EINVAL);
    }
    Ok(name)
}

struct ControlFile(Arc<Targets>);

impl FileOperations for ControlFile {
    const MODE: u16 = 0o200;

    fn write(&self, data: &[u8]) -> Result {
        let mut words = text::line(data)?.split_ascii_whitespace();
        let verb = words.next().ok_or(EINVAL)?;
        let object = words.next().ok_or(EINVAL)?;
        match verb {
            "attach" => {
                let pid = text::parse_i32(object)?;
                let mut name = None;
                for word in words {
                    match word.split_once('=') {
                        Some(("name", value)) if name.is_none() => name = Some(value),
                        _ => return Err(EINVAL),
                    }
                }
                // A sign is not part of the number as the folder has it.
                let own = Text::<16>::new(fmt!("{pid}"))?;
                let own = core::str::from_utf8(own.as_bytes()).map_err(|_| EINVAL)?;
                self.0.attach(pid, check_name(name.unwrap_or(own))?)
            }
            "detach" if words.next().is_none() => self.0.detach(check_name(object)?),
            _ => Err(EINVAL),
        }
    }
}

struct HelpFile;

impl FileOperations for HelpFile {
    const MODE: u16 = 0o400;

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        text::copy_out(HELP.as_bytes(), position, out)
    }
}

struct TotalFile;

impl FileOperations for TotalFile {
    const MODE: u16 = 0o400;

    fn read(&self, position: &mut u64, out: &mut UserSliceWriter) -> Result<usize> {
        let value = Text::<32>::new(fmt!("{}\n", log::TOTAL_CALLS.load(Relaxed)))?;
        text::copy_out(value.as_bytes(), position, out)
    }
}

/// The module's folder. Dropping it detaches every target.
pub(crate) struct Control {
    // First, so that nothing is attached any more when the list goes.
    _control: File<ControlFile>,
    _help: File<HelpFile>,
    _total: File<TotalFile>,
}

impl Control {
    /// Creates the module's folder. Fails with `EEXIST`, `ENOMEM`, or `ENODEV` without debugfs.
    pub(crate) fn new() -> Result<Self> {
        let dir = Dir::new(c"mmu_notifier_inject", None)?;
        let targets_dir = Dir::new(c"targets", Some(dir.clone()))?;
        let targets = Arc::pin_init(
            pin_init!(Targets {
                dir: targets_dir,
                list <- new_mutex!(KVec::new()),
            }),
            GFP_KERNEL,
        )?;
        Ok(Control {
            _control: File::new(c"control", &dir, ControlFile(targets))?,
            _help: File::new(c"help", &dir, HelpFile)?,
            _total: File::new(c"total", &dir, TotalFile)?,
        })
    }
}
