// SPDX-License-Identifier: GPL-2.0

//! The disks of a guest, which lie in its memory: swap space and a file system that is written back
//! (`CONFIG_BLK_DEV_RAM`), and persistent memory (`CONFIG_X86_PMEM_LEGACY`).

use std::ffi::CStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

use crate::os::sys::{PAGE, swapon};
use crate::trigger::place::WRITTEN_BACK;

/// Files of the kernel, each with the text that is written to it, to make a device of the persistent
/// memory, of which a page has 1 GiB (Documentation/driver-api/nvdimm/nvdimm.rst).
const PERSISTENT: &[(&str, &str)] = &[
    ("devices/dax0.0/align", "1073741824"),
    (
        "devices/dax0.0/uuid",
        "4d6d754e-6f74-6966-6965-720000000001",
    ),
    ("devices/dax0.0/mode", "ram"),
    ("devices/dax0.0/namespace", "namespace0.0"),
    ("drivers/dax_pmem/bind", "dax0.0"),
];

/// The folder with these files.
const BUS: &str = "/sys/bus/nd";

const SWAP: &CStr = c"/dev/ram0";
const FILES: &str = "/dev/ram1";

/// Pages of swap space.
const SWAP_PAGES: u32 = 2048;

/// Bytes of a block of the file system.
const BLOCK: usize = 1024;
/// Its blocks, and the nodes that it has room for.
const BLOCKS: u16 = 1024;
const NODES: u16 = 64;

/// Makes them, and uses them. Does nothing on a kernel without such disks.
///
/// # Errors
///
/// A disk or a file of the kernel cannot be written, or the kernel does not take what is on a disk.
pub fn set_up() -> Result<()> {
    if Path::new(BUS).join("devices/dax0.0").exists() {
        for (file, text) in PERSISTENT {
            let file = Path::new(BUS).join(file);
            fs::write(&file, text)
                .with_context(|| format!("{text:?} > {} failed", file.display()))?;
        }
    }
    if !Path::new(FILES).exists() {
        return Ok(());
    }
    let swap = SWAP.to_str().context("a path")?;
    write(swap, &swap_header())?;
    swapon(SWAP).with_context(|| format!("cannot use {swap} for swap space"))?;
    write(FILES, &file_system())?;
    mount(
        Some(FILES),
        WRITTEN_BACK,
        Some("minix"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("cannot mount {FILES} on {WRITTEN_BACK}"))
}

fn write(disk: &str, bytes: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .open(disk)
        .with_context(|| format!("cannot open {disk}"))?;
    file.write_all(bytes)
        .with_context(|| format!("cannot write to {disk}"))
}

/// The first page of swap space (`union swap_header` of include/linux/swap.h): its version, the number
/// of its last page, and at its end the signature.
fn swap_header() -> Vec<u8> {
    const SIGNATURE: &[u8] = b"SWAPSPACE2";
    let mut page = vec![0; PAGE];
    page[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
    page[1028..1032].copy_from_slice(&(SWAP_PAGES - 1).to_ne_bytes());
    page[PAGE - SIGNATURE.len()..].copy_from_slice(SIGNATURE);
    page
}

/// A minix file system, version 2, with an empty directory (include/uapi/linux/minix_fs.h). Its blocks
/// are: one for booting, the super block, the maps of nodes and of blocks, the nodes, the data.
fn file_system() -> Vec<u8> {
    const NODE_BYTES: usize = 64;
    const FIRST_NODES: usize = 4;
    const FIRST_DATA: u16 = FIRST_NODES as u16 + (NODES as usize * NODE_BYTES / BLOCK) as u16;
    /// `MINIX2_SUPER_MAGIC`, and that the file system is whole.
    const MAGIC: u16 = 0x2468;
    const WHOLE: u16 = 1;
    /// A directory, with two links to it, and room for two entries of 16 bytes.
    const MODE: u16 = 0o41_777;
    const LINKS: u16 = 2;
    const ENTRY: usize = 16;
    /// The number of the only node.
    const ROOT: u16 = 1;

    let mut blocks = vec![0u8; BLOCKS as usize * BLOCK];
    let mut put = |at: usize, words: &[u16]| {
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
        for (place, byte) in blocks[at..].iter_mut().zip(bytes) {
            *place = byte;
        }
    };
    let [low, high] = [i32::MAX as u32 & 0xffff, i32::MAX as u32 >> 16].map(|half| half as u16);
    put(
        BLOCK,
        &[
            NODES, 0, 1, 1, FIRST_DATA, 0, low, high, MAGIC, WHOLE, BLOCKS, 0,
        ],
    );
    // Bit 0 of each map counts as used, and so does what is not there.
    let used = |count: u16| -> Vec<u16> {
        let bits = BLOCK * 8;
        let is_used = |bit: usize| bit < 2 || bit > usize::from(count);
        (0..bits / 16)
            .map(|word| {
                (0..16).fold(0, |all, bit| {
                    all | u16::from(is_used(word * 16 + bit)) << bit
                })
            })
            .collect()
    };
    put(2 * BLOCK, &used(NODES));
    put(3 * BLOCK, &used(BLOCKS - FIRST_DATA));
    put(FIRST_NODES * BLOCK, &[MODE, LINKS, 0, 0, 2 * ENTRY as u16]);
    // The first of the numbers of its blocks.
    put(FIRST_NODES * BLOCK + 24, &[FIRST_DATA]);
    let root = usize::from(FIRST_DATA) * BLOCK;
    put(root, &[ROOT, u16::from_ne_bytes(*b".\0")]);
    put(root + ENTRY, &[ROOT, u16::from_ne_bytes(*b"..")]);
    blocks
}
