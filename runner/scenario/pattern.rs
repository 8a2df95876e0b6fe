// SPDX-License-Identifier: GPL-2.0

//! The selection of scenarios by name.

/// Whether the name matches one of the patterns, or there is no pattern.
pub fn is_wanted(only: &[String], name: &str) -> bool {
    only.is_empty() || only.iter().any(|pattern| matches(pattern, name))
}

/// Whether `name` matches a shell pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut p, mut n) = (pattern.as_bytes(), name.as_bytes());
    // The place to go back to if the last `*` has to take one more character.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (p.split_first(), n.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, n));
                p = rest;
            }
            (Some((&want, rest_p)), Some((&have, rest_n))) if want == b'?' || want == have => {
                (p, n) = (rest_p, rest_n);
            }
            (None, None) => return true,
            _ => match retry {
                Some((rest, [_, shorter @ ..])) => {
                    retry = Some((rest, shorter));
                    (p, n) = (rest, shorter);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, result) in [
            ("munmap-*", "munmap-whole-eagain", true),
            ("munmap-*", "madvise-free-eagain", false),
            ("*-eagain", "munmap-whole-eagain", true),
            ("*-eagain", "munmap-whole-eagain-x", false),
            ("*whole*", "munmap-whole-eagain", true),
            ("mprotec?-*d", "mprotect-unarmed", true),
            ("mprotect", "mprotect-unarmed", false),
            ("", "fork-eagain", false),
            ("*", "", true),
            ("**a*b", "xaab", true),
            ("*a*bc", "xabab", false),
        ] {
            assert_eq!(matches(pattern, name), result, "{pattern} {name}");
        }
    }
}
