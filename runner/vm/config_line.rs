// SPDX-License-Identifier: GPL-2.0

//! A kernel option and its value, as `--config-add` takes it.

use std::fmt;
use std::str::FromStr;

/// An option with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigLine {
    /// Name with `CONFIG_`.
    name: String,
    /// `y`, `m`, `n`, a number, or a string in double quotes.
    value: String,
}

impl ConfigLine {
    /// The line of a configuration that sets the option.
    pub fn line(&self) -> String {
        match self.value.as_str() {
            "n" => format!("# {} is not set", self.name),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for ConfigLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl FromStr for ConfigLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("not of the form CONFIG_NAME=VALUE")?;
        let bare = name
            .strip_prefix("CONFIG_")
            .ok_or_else(|| format!("{name:?} does not begin with CONFIG_"))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if bare.is_empty() || !bare.chars().all(is_plain) {
            return Err(format!("{name:?} is not the name of an option"));
        }
        if !is_value(value) {
            return Err(format!(
                "{value:?} is not a value: y, m, n, a number, or a string in double quotes \
                 (in a shell: 'CONFIG_NAME=\"text\"')"
            ));
        }
        Ok(ConfigLine {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Whether a value is one that a `.config` can have.
fn is_value(value: &str) -> bool {
    let digits = |text: &str, is_digit: fn(&char) -> bool| {
        !text.is_empty() && text.chars().all(|c| is_digit(&c))
    };
    if let Some(hex) = value.strip_prefix("0x") {
        return digits(hex, char::is_ascii_hexdigit);
    }
    if let Some(text) = value.strip_prefix('"') {
        return text.strip_suffix('"').is_some_and(is_quotable);
    }
    let decimal = value.strip_prefix('-').unwrap_or(value);
    ["y", "m", "n"].contains(&value) || digits(decimal, char::is_ascii_digit)
}

/// Whether a text may stand between double quotes: quotes and backslashes have a backslash before
/// them.
fn is_quotable(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let is_good = match c {
            '"' => false,
            '\\' => matches!(chars.next(), Some('"' | '\\')),
            c => !c.is_control(),
        };
        if !is_good {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_types_are_taken() {
        for text in [
            "CONFIG_A=y",
            "CONFIG_A_1=m",
            "CONFIG_A=12",
            "CONFIG_A=-1",
            "CONFIG_A=0x1F",
            "CONFIG_A=\"\"",
            "CONFIG_A=\"a =b\"",
            r#"CONFIG_A="a\"b\\""#,
        ] {
            let line: ConfigLine = text.parse().unwrap();
            assert_eq!((line.to_string(), line.line()), (text.into(), text.into()));
        }
        let off: ConfigLine = "CONFIG_A=n".parse().unwrap();
        assert_eq!(off.to_string(), "CONFIG_A=n");
        assert_eq!(off.line(), "# CONFIG_A is not set");
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in [
            "",
            "CONFIG_A",
            "A=y",
            "CONFIG_=y",
            "CONFIG_A B=y",
            "CONFIG_A=",
            "CONFIG_A=Y",
            "CONFIG_A=yes",
            "CONFIG_A=0x",
            "CONFIG_A=1a",
            "CONFIG_A=-",
            "CONFIG_A=text",
            "CONFIG_A=\"",
            "CONFIG_A=\"a\"b\"",
            "CONFIG_A=\"a\\\"",
            "CONFIG_A=\"a\nCONFIG_B=y\"",
            "CONFIG_A=y\nCONFIG_B=y",
        ] {
            assert!(text.parse::<ConfigLine>().is_err(), "{text}");
        }
    }
}
