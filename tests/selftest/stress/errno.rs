// SPDX-License-Identifier: GPL-2.0

//! Errors that a call may return. Every other error is a finding.

use std::fmt;

use nix::errno::Errno;

/// A call that the workers make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `open` of a file that exists as long as the module is loaded.
    OpenRoot,
    /// `read` of such a file.
    ReadRoot,
    /// `open` of a file of a target.
    OpenTarget,
    /// `read` of such a file.
    ReadTarget,
    /// `write` of a valid value to a file of a target.
    SetKnob,
    /// `attach` of a kind that every kernel supports.
    Attach,
    /// `attach kind=interval-two-pass`, which not every kernel supports.
    AttachTwoPass,
    /// `detach` of a target of the stress.
    Detach,
    /// `open` of the device.
    OpenDevice,
    /// `read` of the device.
    ReadDevice,
    /// `delete_module(2)`.
    Unload,
    /// `finit_module(2)`.
    Load,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::OpenRoot => "open of a file of the module",
            Call::ReadRoot => "read of a file of the module",
            Call::OpenTarget => "open of a target's file",
            Call::ReadTarget => "read of a target's file",
            Call::SetKnob => "write to a target's file",
            Call::Attach => "attach",
            Call::AttachTwoPass => "attach (two-pass)",
            Call::Detach => "detach",
            Call::OpenDevice => "open of the device",
            Call::ReadDevice => "read of the device",
            Call::Unload => "unloading",
            Call::Load => "loading",
        })
    }
}

/// Errors that a call may return at any time, and those that it may also return while another
/// worker detaches the target or unloads the module.
///
/// `ESRCH` of an attach is not in the table: it is allowed only if the process is ending, which the
/// caller checks.
const ALLOWED: &[(Call, &[Errno], &[Errno])] = &[
    // ENXIO: between the start of an unload and the removal of the file (fs/debugfs/file.c).
    (Call::OpenRoot, &[], &[Errno::ENOENT, Errno::ENXIO]),
    (Call::ReadRoot, &[], &[Errno::EIO]),
    (Call::OpenTarget, &[], &[Errno::ENOENT, Errno::ENXIO]),
    (Call::ReadTarget, &[], &[Errno::EIO]),
    (Call::SetKnob, &[], &[Errno::EIO]),
    // mm_take_all_locks() can be interrupted. The notifier and its log need memory.
    (Call::Attach, &[Errno::EINTR, Errno::ENOMEM], &[Errno::EIO]),
    (
        Call::AttachTwoPass,
        &[Errno::EINTR, Errno::ENOMEM, Errno::EOPNOTSUPP],
        &[Errno::EIO],
    ),
    (
        Call::Detach,
        &[],
        &[Errno::ENOENT, Errno::EBUSY, Errno::EIO],
    ),
    (
        Call::OpenDevice,
        &[],
        &[Errno::ENOENT, Errno::ENODEV, Errno::ENXIO],
    ),
    (Call::ReadDevice, &[], &[]),
    // While a session is open.
    (Call::Unload, &[Errno::EAGAIN], &[]),
    (Call::Load, &[], &[]),
];

/// Whether `call` may return `errno`. `has_raced`: another worker was detaching the target or
/// unloading the module.
pub fn is_allowed(call: Call, errno: Errno, has_raced: bool) -> bool {
    ALLOWED.iter().any(|(known, always, then)| {
        *known == call && (always.contains(&errno) || (has_raced && then.contains(&errno)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_in_the_table_once() {
        for call in [
            Call::OpenRoot,
            Call::ReadRoot,
            Call::OpenTarget,
            Call::ReadTarget,
            Call::SetKnob,
            Call::Attach,
            Call::AttachTwoPass,
            Call::Detach,
            Call::OpenDevice,
            Call::ReadDevice,
            Call::Unload,
            Call::Load,
        ] {
            let rows = ALLOWED.iter().filter(|(known, ..)| *known == call);
            assert_eq!(rows.count(), 1, "{call}");
        }
    }

    #[test]
    fn errors_of_a_race_are_allowed_only_in_a_race() {
        for (call, errno) in [
            (Call::OpenTarget, Errno::ENOENT),
            (Call::ReadTarget, Errno::EIO),
            (Call::SetKnob, Errno::EIO),
            (Call::Detach, Errno::ENOENT),
            (Call::Detach, Errno::EBUSY),
            (Call::OpenDevice, Errno::ENODEV),
        ] {
            assert!(is_allowed(call, errno, true), "{call} {errno}");
            assert!(!is_allowed(call, errno, false), "{call} {errno}");
        }
    }

    #[test]
    fn unexplained_errors_are_never_allowed() {
        for (call, errno) in [
            (Call::Attach, Errno::EEXIST),
            (Call::Attach, Errno::EINVAL),
            (Call::Attach, Errno::EOPNOTSUPP),
            (Call::SetKnob, Errno::EINVAL),
            (Call::SetKnob, Errno::ERANGE),
            (Call::Detach, Errno::EINVAL),
            (Call::Load, Errno::EEXIST),
            (Call::Unload, Errno::EBUSY),
            (Call::ReadDevice, Errno::EIO),
        ] {
            for has_raced in [false, true] {
                assert!(!is_allowed(call, errno, has_raced), "{call} {errno}");
            }
        }
        // Errors that the call may return at any time.
        assert!(is_allowed(Call::AttachTwoPass, Errno::EOPNOTSUPP, false));
        assert!(is_allowed(Call::Unload, Errno::EAGAIN, false));
    }
}
