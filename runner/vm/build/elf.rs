// SPDX-License-Identifier: GPL-2.0

//! Reads ELF files.

/// Path of the dynamic linker in the PT_INTERP header of an ELF file; `None` in a statically
/// linked program.
///
/// # Errors
///
/// The file is truncated, or no 64-bit little-endian ELF file.
pub fn interpreter(elf: &[u8]) -> Result<Option<String>, &'static str> {
    const PT_INTERP: u32 = 3;
    const CUT: &str = "it is cut short";
    let number = |at: usize, size: usize| -> Result<u64, &'static str> {
        let bytes = elf.get(at..).and_then(|rest| rest.get(..size));
        let bytes = bytes.ok_or(CUT)?;
        let mut number = [0; 8];
        number[..size].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(number))
    };
    let offset = |at: usize| -> Result<usize, &'static str> {
        usize::try_from(number(at, 8)?).map_err(|_| CUT)
    };
    if elf.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("it is not a 64-bit little-endian ELF file");
    }
    let table = offset(32)?;
    let (size, count) = (number(54, 2)? as usize, number(56, 2)? as usize);
    for index in 0..count {
        let header = table.checked_add(index * size).ok_or(CUT)?;
        if number(header, 4)? != u64::from(PT_INTERP) {
            continue;
        }
        let (at, length) = (offset(header + 8)?, offset(header + 32)?);
        let end = at.checked_add(length).ok_or(CUT)?;
        let path = elf.get(at..end).ok_or(CUT)?;
        return Ok(Some(
            String::from_utf8_lossy(path)
                .trim_end_matches('\0')
                .to_owned(),
        ));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::*;

    #[test]
    fn the_interpreter_of_a_program_is_found() -> Result<()> {
        let mut elf = vec![0; 64 + 56 + 8];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        assert_eq!(interpreter(&elf), Ok(None));
        elf[64] = 3;
        elf[64 + 8] = 120;
        elf[64 + 32] = 8;
        elf[120..].copy_from_slice(b"/lib/ld\0");
        assert_eq!(interpreter(&elf), Ok(Some("/lib/ld".to_owned())));
        assert!(interpreter(&elf[..100]).is_err());
        elf[32..40].fill(0xff);
        assert!(interpreter(&elf).is_err());
        assert!(interpreter(b"#!/bin/sh\n").is_err());
        // The tests are linked statically, as the program is.
        assert_eq!(interpreter(&std::fs::read("/proc/self/exe")?), Ok(None));
        Ok(())
    }
}
