// SPDX-License-Identifier: GPL-2.0

//! The record format: `PRIO,SEQ,USEC,FLAGS[,KEY=VALUE...];TEXT`, then dictionary lines.

use std::str::FromStr;

use thiserror::Error;

use crate::kmsg::record::Record;

/// Reason why a record could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// There is no `;` between the prefix and the text.
    #[error("no ';' after the prefix")]
    NoText,
    /// The prefix ends before this field.
    #[error("no {0} in the prefix")]
    Missing(&'static str),
    /// This field is not a number, or too large a one.
    #[error("{field} is not a number: {value:?}")]
    NotANumber {
        /// The field.
        field: &'static str,
        /// Text of the field.
        value: String,
    },
    /// A backslash is not followed by `x` and two hexadecimal digits.
    #[error("broken escape at byte {0} of the text")]
    Escape(usize),
}

impl FromStr for Record {
    type Err = ParseError;

    fn from_str(raw: &str) -> Result<Self, ParseError> {
        let (prefix, rest) = raw.split_once(';').ok_or(ParseError::NoText)?;
        // Line breaks of the message are escaped, so the first line is the whole message.
        let text = rest.split('\n').next().unwrap_or_default();

        let mut fields = prefix.split(',');
        let prio: u32 = number("priority", fields.next())?;
        let seq = number("sequence number", fields.next())?;
        let time_us = number("time", fields.next())?;
        fields.next().ok_or(ParseError::Missing("flags"))?;
        let caller = fields
            .find_map(|field| field.strip_prefix("caller="))
            .map(str::to_owned);

        // The kernel keeps the facility in 8 bits, so a larger priority does not come from it.
        let facility = u8::try_from(prio >> 3).map_err(|_| ParseError::NotANumber {
            field: "priority",
            value: prio.to_string(),
        })?;
        Ok(Record {
            seq,
            time_us,
            level: (prio & 7) as u8,
            facility,
            caller,
            text: unescape(text)?,
        })
    }
}

fn number<T: FromStr>(field: &'static str, value: Option<&str>) -> Result<T, ParseError> {
    let value = value.ok_or(ParseError::Missing(field))?;
    // `FromStr` would accept a sign.
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::NotANumber {
            field,
            value: value.to_owned(),
        });
    }
    value.parse().map_err(|_| ParseError::NotANumber {
        field,
        value: value.to_owned(),
    })
}

/// Undoes the `\xNN` of bytes that are not printable ASCII. Invalid UTF-8 is replaced.
fn unescape(text: &str) -> Result<String, ParseError> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let [b'x', high, low] = bytes.get(at + 1..at + 4).ok_or(ParseError::Escape(at))? else {
            return Err(ParseError::Escape(at));
        };
        let (high, low) = hex(*high).zip(hex(*low)).ok_or(ParseError::Escape(at))?;
        out.push(high << 4 | low);
        at += 4;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<Record, ParseError> {
        raw.parse()
    }

    #[test]
    fn the_prefix_is_split_into_its_fields() {
        let record = parse("30,340,5690716,-,caller=T80;udevd[80]: starting; really\n").unwrap();
        assert_eq!(
            record,
            Record {
                seq: 340,
                time_us: 5690716,
                level: 6,
                facility: 3,
                caller: Some("T80".into()),
                text: "udevd[80]: starting; really".into(),
            }
        );
    }

    #[test]
    fn dictionary_and_unknown_fields_are_left_out() {
        let raw = "7,160,424069,c,new=1,caller=C0,more;text\n SUBSYSTEM=acpi\n DEVICE=+acpi:x\n";
        let record = parse(raw).unwrap();
        assert_eq!(record.text, "text");
        assert_eq!(record.caller.as_deref(), Some("C0"));
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(
            parse(r"6,1,2,-;a\x5cb\x0ac\xc3\xa4").unwrap().text,
            "a\\b\ncä"
        );
        assert_eq!(parse(r"6,1,2,-;\xff").unwrap().text, "\u{fffd}");
    }

    #[test]
    fn the_broken_part_is_named() {
        let table = [
            ("6,1,2,- no text", ParseError::NoText),
            ("6,1;x", ParseError::Missing("time")),
            ("6,1,2;x", ParseError::Missing("flags")),
            (r"6,1,2,-;a\n", ParseError::Escape(1)),
            (r"6,1,2,-;\x0", ParseError::Escape(0)),
            (r"6,1,2,-;\xg0", ParseError::Escape(0)),
        ];
        for (raw, error) in table {
            assert_eq!(parse(raw), Err(error), "{raw}");
        }
        for raw in [
            "x,1,2,-;",
            ",1,2,-;",
            "+6,1,2,-;",
            "2048,1,2,-;",
            "6,-1,2,-;",
        ] {
            assert!(
                matches!(parse(raw), Err(ParseError::NotANumber { .. })),
                "{raw}"
            );
        }
        assert!(matches!(
            parse("6,18446744073709551616,2,-;"),
            Err(ParseError::NotANumber {
                field: "sequence number",
                ..
            })
        ));
    }
}
