// SPDX-License-Identifier: GPL-2.0

//! The calls of notifiers in the machine code of a kernel. All of them are of one function, which
//! is not inlined: `mmu_notifier_invalidate_range_start()` and its variants of
//! include/linux/mmu_notifier.h call it, and are inlined as a rule.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use object::{Architecture, Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::model::Site;

/// The function.
pub(super) const CALLEE: &str = "__mmu_notifier_invalidate_range_start";

/// Functions of include/linux/mmu_notifier.h in which it is called. Usually the compiler puts them into
/// their callers.
pub(super) const WAYS: &[&str] = &[
    "mmu_notifier_invalidate_range_start",
    "mmu_notifier_invalidate_range_start_nonblock",
];

/// Finds the address and the target of each call or jump in code at an address.
type Targets = fn(&[u8], u64) -> Vec<(u64, u64)>;

/// The functions of a kernel that call notifiers, in the order of their addresses. `vmlinux` is its
/// ELF file.
///
/// # Errors
///
/// The file cannot be read, or has no such function: it is no ELF file of a kernel, has no symbols,
/// or is of another architecture than x86-64 and arm64.
pub fn of_kernel(vmlinux: &Path) -> Result<Vec<Site>> {
    let shown = vmlinux.display();
    let bytes = fs::read(vmlinux).with_context(|| format!("cannot read {shown}"))?;
    let elf = object::File::parse(&*bytes).with_context(|| format!("{shown} is no ELF file"))?;
    let targets: Targets = match elf.architecture() {
        Architecture::X86_64 => targets_x86_64,
        Architecture::Aarch64 => targets_arm64,
        other => bail!("{shown} is for {other:?}: coverage is known for x86-64 and arm64"),
    };
    if elf.symbol_by_name(CALLEE).is_none() {
        bail!("{shown} has no function {CALLEE}(): it is no kernel, or has no symbols");
    }
    let is_way = |name: &str| name == CALLEE || WAYS.contains(&name);
    let symbols = elf.symbols();
    let callees: HashSet<u64> = symbols
        .filter(|symbol| symbol.name().is_ok_and(is_way))
        .map(|symbol| symbol.address())
        .collect();
    let functions = elf.symbol_map();
    let mut sites: Vec<Site> = Vec::new();
    let code = elf
        .sections()
        .filter(|section| section.kind() == SectionKind::Text);
    for section in code {
        let text = section
            .data()
            .with_context(|| format!("cannot read the code in {shown}"))?;
        for (at, target) in targets(text, section.address()) {
            if !callees.contains(&target) {
                continue;
            }
            let Some(function) = functions.containing(at).map(|function| function.name()) else {
                continue;
            };
            if is_way(function) {
                continue;
            }
            match sites.last_mut() {
                Some(last) if last.function == function => last.calls += 1,
                _ => sites.push(Site {
                    function: function.to_owned(),
                    calls: 1,
                    places: Vec::new(),
                }),
            }
        }
    }
    if sites.is_empty() {
        bail!("{shown} has no call of {CALLEE}(): it is no kernel");
    }
    Ok(sites)
}

/// Address and target of everything that could be a relative call or jump, or the address of a
/// function for an indirect one, as User Mode Linux has them (`-mcmodel=large`). The instructions are
/// of any length, so some of it is none; but the chance that such a target is a certain function is
/// one in four thousand million.
fn targets_x86_64(text: &[u8], address: u64) -> Vec<(u64, u64)> {
    let targets = (0..text.len())
        .zip(address..)
        .filter_map(|(index, at)| Some((at, target_x86_64(text.get(index..)?, at)?)));
    targets.collect()
}

/// The target of the instruction of that address with which the code begins.
fn target_x86_64(code: &[u8], at: u64) -> Option<u64> {
    match *code {
        // call, jmp
        [0xe8 | 0xe9, a, b, c, d, ..] => {
            let displacement = i32::from_le_bytes([a, b, c, d]);
            Some(at.wrapping_add(5).wrapping_add_signed(displacement.into()))
        }
        // movabs
        [0x48 | 0x49, 0xb8..=0xbf, ref rest @ ..] => {
            let (immediate, _) = rest.split_first_chunk()?;
            Some(u64::from_le_bytes(*immediate))
        }
        _ => None,
    }
}

/// Address and target of each relative call or jump.
fn targets_arm64(text: &[u8], address: u64) -> Vec<(u64, u64)> {
    /// `bl` and `b`, without the bit that tells them apart.
    const BRANCH: u32 = 0b000101;
    let instructions = text.chunks_exact(4).zip((address..).step_by(4));
    let targets = instructions.filter_map(|(bytes, at)| {
        let instruction = u32::from_le_bytes(bytes.try_into().ok()?);
        let is_branch = instruction >> 26 & 0b011111 == BRANCH;
        // In instructions, with a sign.
        let displacement = (instruction << 6) as i32 >> 4;
        is_branch.then(|| (at, at.wrapping_add_signed(i64::from(displacement))))
    });
    targets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_jumps_of_x86_64_are_found() {
        // nop; call 0x1000; jmp 0x2005; ret
        let text = [
            0x90, 0xe8, 0xfa, 0xff, 0xff, 0xff, 0xe9, 0xfa, 0x0f, 0x00, 0x00, 0xc3,
        ];
        assert_eq!(
            targets_x86_64(&text, 0x1000),
            [(0x1001, 0x1000), (0x1006, 0x2005)]
        );
        // Cut short.
        assert_eq!(targets_x86_64(&text[..5], 0x1000), []);
        // movabs $0x6000, %r11; call *%r11
        let text = [0x49, 0xbb, 0x00, 0x60, 0, 0, 0, 0, 0, 0, 0x41, 0xff, 0xd3];
        assert_eq!(targets_x86_64(&text, 0x1000), [(0x1000, 0x6000)]);
        assert_eq!(targets_x86_64(&text[..9], 0x1000), []);
    }

    #[test]
    fn calls_and_jumps_of_arm64_are_found() {
        let text: Vec<u8> = [0xd503201f_u32, 0x94000002, 0x17ffffff, 0xd65f03c0]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        assert_eq!(
            targets_arm64(&text, 0x1000),
            [(0x1004, 0x100c), (0x1008, 0x1004)]
        );
    }

    #[test]
    fn another_file_is_an_error() {
        let why = |path: &str| format!("{:#}", of_kernel(Path::new(path)).unwrap_err());
        assert!(why("/nowhere/vmlinux").contains("cannot read /nowhere/vmlinux"));
        assert!(why("/proc/self/status").contains("is no ELF file"));
        assert!(why("/proc/self/exe").contains("it is no kernel"));
    }
}
