// SPDX-License-Identifier: GPL-2.0

//! The lines that `control` and the device take.

use crate::{
    abstractions::errno,
    filter::AddressRange,
    how::How,
    notifier::Kind,
    settings::Change,
    text, //
};
use kernel::prelude::*;

/// Longest name of a target, in bytes.
const MAX_NAME: usize = 64;

/// Whose address space is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object<'a> {
    /// That of a process: `PID`.
    Process(i32),
    /// That of a target, which may be gone: `@NAME`.
    Target(&'a str),
}

/// A line that makes sense.
pub(crate) enum Command<'a> {
    /// `attach PID|@NAME [name=NAME] [kind=KIND] [range=START-END] [how=HOW] [SETTING=VALUE ...]`
    Attach {
        object: Object<'a>,
        name: Option<&'a str>,
        how: How,
        /// The kind of notifier, and its settings.
        change: Change,
    },
    /// `detach NAME`
    Detach { name: &'a str },
}

impl<'a> Command<'a> {
    /// Fails with `EINVAL`, with `ENAMETOOLONG`, with `ERANGE` for a number that is none of its
    /// kind, with `EOPNOTSUPP` for a kind of notifier that this kernel does not have, and with
    /// `EPERM` for a setting that breaks rules.
    pub(crate) fn parse(line: &'a str) -> Result<Self> {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().ok_or(EINVAL)?;
        let object = words.next().ok_or(EINVAL)?;
        match verb {
            "attach" => Self::parse_attach(object, words),
            "detach" if words.next().is_none() => Ok(Command::Detach {
                name: check_name(object)?,
            }),
            _ => Err(EINVAL),
        }
    }

    fn parse_attach(
        object: &'a str,
        options: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self> {
        let object = match object.strip_prefix('@') {
            Some(name) => Object::Target(check_name(name)?),
            None => Object::Process(text::parse_i32(object)?),
        };
        let (mut name, mut kind, mut range, mut how) = (None, None, None, None);
        for option in options.clone() {
            let (key, value) = option.split_once('=').ok_or(EINVAL)?;
            let place = match key {
                "name" => &mut name,
                "kind" => &mut kind,
                "range" => &mut range,
                "how" => &mut how,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(EINVAL);
            }
        }
        // The name of a target is in use.
        if name.is_none() && matches!(object, Object::Target(_)) {
            return Err(EINVAL);
        }
        // Of an interval notifier and of a mirror these are its addresses, and of others those of
        // the filter.
        let range = range.map(AddressRange::parse).transpose()?;
        let kind = Kind::new(kind.unwrap_or(Kind::Plain.name()), range)?;
        let how = how.map(How::parse).transpose()?;
        if how.is_some_and(|how| !kind.can_be_registered(how)) {
            return Err(EINVAL);
        }
        let mut change = Change::new(kind);
        for (key, value) in options.filter_map(|option| option.split_once('=')) {
            match key {
                "name" | "kind" | "how" => {}
                "range" if kind.has_range() => {}
                _ => change.add(key, value)?,
            }
        }
        Ok(Command::Attach {
            object,
            name: name.map(check_name).transpose()?,
            how: how.unwrap_or(How::Register),
            change,
        })
    }
}

/// Whether `name` can be the name of a folder, and a word in a listing.
fn check_name(name: &str) -> Result<&str> {
    if name.len() > MAX_NAME {
        return Err(errno::name_too_long());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(fits) {
        return Err(EINVAL);
    }
    Ok(name)
}

#[kunit_tests(mmu_notifier_inject_command)]
mod tests {
    use super::*;
    use crate::{
        settings::Settings,
        text::Text, //
    };

    fn error(line: &str) -> Option<Error> {
        Command::parse(line).err()
    }

    #[test]
    fn attaches_by_default_a_plain_notifier() -> Result {
        match Command::parse(" attach   12 ")? {
            Command::Attach {
                object,
                name,
                how,
                change,
            } => {
                assert!(object == Object::Process(12) && name.is_none());
                assert!(change.kind() == Kind::Plain && how == How::Register);
            }
            Command::Detach { .. } => return Err(EINVAL),
        }
        Ok(())
    }

    #[test]
    fn options_come_in_any_order() -> Result {
        for line in [
            "attach 7 name=a-b_c.d kind=interval range=1000-0x2000 how=locked",
            "attach 7 how=locked range=1000-2000 kind=interval name=a-b_c.d",
        ] {
            match Command::parse(line)? {
                Command::Attach {
                    object,
                    name,
                    how,
                    change,
                } => {
                    assert!(object == Object::Process(7));
                    assert_eq!(name, Some("a-b_c.d"));
                    let range = AddressRange::parse("1000-2000")?;
                    assert!(change.kind() == Kind::Interval(range) && how == How::Locked);
                }
                Command::Detach { .. } => return Err(EINVAL),
            }
        }
        Ok(())
    }

    #[test]
    fn settings_stand_among_the_options() -> Result {
        let shown = |line| -> Result<Text> {
            let Command::Attach { mut change, .. } = Command::parse(line)? else {
                return Err(EINVAL);
            };
            let mut settings = Settings::DEFAULT;
            change.apply(&mut settings);
            let mut text = Text::with_capacity(512)?;
            settings.show(&mut text)?;
            Ok(text)
        };
        let set = shown("attach 7 times=2 name=a UNMAP=-11 kind=plain range=1-2")?;
        let due = {
            let mut settings = Settings::DEFAULT;
            Change::parse("range=1-2 times=2 UNMAP=-11", Kind::Plain)?.apply(&mut settings);
            let mut text = Text::with_capacity(512)?;
            settings.show(&mut text)?;
            text
        };
        assert_eq!(set.as_bytes(), due.as_bytes());
        // The range of an interval notifier is no filter.
        let with = shown("attach 7 kind=interval range=1-2 space=1")?;
        let without = shown("attach 7 space=1")?;
        assert_eq!(with.as_bytes(), without.as_bytes());
        Ok(())
    }

    #[test]
    fn a_target_stands_for_its_address_space() -> Result {
        match Command::parse("attach @a.b name=c kind=none")? {
            Command::Attach {
                object,
                name,
                change,
                ..
            } => {
                assert!(object == Object::Target("a.b") && change.kind() == Kind::None);
                assert_eq!(name, Some("c"));
            }
            Command::Detach { .. } => return Err(EINVAL),
        }
        Ok(())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "attach",
            "detach",
            "detach a b",
            "detach ../a",
            "Attach 1",
            "attach x",
            "attach 1 2",
            "attach 1 name=",
            "attach 1 name=.a",
            "attach 1 name=a/b",
            "attach 1 name=a name=a",
            "attach 1 colour=blue",
            "attach 1 kind=",
            "attach 1 kind=odd",
            "attach 1 kind=interval",
            "attach 1 range=2-1",
            "attach 1 times=1 times=2",
            "attach 1 kind=interval range=1-2 UNMAP=-1",
            "attach 1 callback=end",
            "attach 1 kind=interval range=2-1",
            "attach @a",
            "attach @ name=b",
            "attach @.a name=b",
            "attach @1/2 name=b",
            "attach 1 how=",
            "attach 1 how=often",
            "attach 1 how=locked how=locked",
            "attach 1 kind=none how=register",
            "attach 1 kind=interval range=1-2 how=twice",
            "attach 1 kind=interval range=1-2 how=get",
            "attach 1 kind=none how=get",
        ] {
            assert_eq!(error(line), Some(EINVAL));
        }
        assert_eq!(error("attach 2147483648"), Some(ERANGE));
        assert_eq!(error("attach 1 times=-2"), Some(ERANGE));
        let long = "attach 1 name=\
                    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(error(long), Some(errno::name_too_long()));
    }
}
