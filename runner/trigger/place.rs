// SPDX-License-Identifier: GPL-2.0

//! The places at which the memory of an operation lies.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::MmapAdvise;
use nix::unistd::ftruncate;

use crate::injector::line::errno_of;
use crate::os::sys::{Area, GIGABYTE, HUGE, PAGE};

/// Pages of an area: few enough to lie in one page table.
pub const PAGES: usize = 16;

/// Folder of a file system that is written back, one page at a time.
pub const WRITTEN_BACK: &str = "/var/tmp";

/// Device with persistent memory.
pub const DAX: &str = "/dev/dax0.0";

/// Place of the memory of an operation, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Few pages in one page table, at an address that the kernel chooses.
    Anywhere,
    /// As many at address 0.
    AtZero,
    /// As many, one half before and one half behind the boundary of two page tables.
    AcrossTables,
    /// The same with a boundary of two gigabytes.
    AcrossGigabytes,
    /// Few pages of a file in [`WRITTEN_BACK`].
    File,
    /// Some of a page of 1 GiB, of a device with persistent memory. What is there is not written to.
    Dax,
    /// Two whole page tables.
    Tables,
    /// A whole page table.
    Table,
    /// A whole page table in whose place a transparent huge page may be.
    Huge,
    /// A huge page of hugetlbfs.
    Hugetlb,
    /// One in a shared mapping of an aligned gigabyte of hugetlbfs.
    HugetlbShared,
}

/// The pages of the memory that were written to before the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// All of them.
    Whole,
    /// The last one only.
    Last,
    /// None.
    Nothing,
}

impl Filled {
    /// Each of them.
    pub const ALL: [Filled; 3] = [Filled::Whole, Filled::Last, Filled::Nothing];
}

impl Place {
    pub(super) const ALL: [Place; 11] = [
        Place::Anywhere,
        Place::AtZero,
        Place::AcrossTables,
        Place::AcrossGigabytes,
        Place::File,
        Place::Dax,
        Place::Tables,
        Place::Table,
        Place::Huge,
        Place::Hugetlb,
        Place::HugetlbShared,
    ];

    /// Whether the memory is that of a file, whatever the operation.
    pub(super) const fn is_of_file(self) -> bool {
        matches!(self, Place::File | Place::Dax | Place::HugetlbShared)
    }

    /// A file of the size of the memory.
    pub(super) fn file(self) -> Result<OwnedFd, Errno> {
        if self == Place::File {
            let file = tempfile::tempfile_in(WRITTEN_BACK).map_err(|error| errno_of(&error))?;
            ftruncate(&file, (PAGES * PAGE) as i64)?;
            return Ok(file.into());
        }
        if self == Place::Dax {
            let device = OpenOptions::new().read(true).write(true).open(DAX);
            return device.map(OwnedFd::from).map_err(|error| errno_of(&error));
        }
        let (flags, pages) = match self {
            Place::Hugetlb => (MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB, HUGE),
            Place::HugetlbShared => (
                MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB,
                GIGABYTE / PAGE,
            ),
            Place::Table => (MFdFlags::empty(), HUGE),
            _ => (MFdFlags::empty(), PAGES),
        };
        let file = memfd_create(c"mn-inject", MFdFlags::MFD_CLOEXEC | flags)?;
        ftruncate(&file, (pages * PAGE) as i64)?;
        Ok(file)
    }

    /// Maps the memory: private and anonymous, or that of the [`Self::file`].
    pub(super) fn map(self, file: Option<&OwnedFd>) -> Result<Area, Errno> {
        match self {
            Place::Anywhere | Place::File => Area::map(PAGES, file),
            Place::AtZero => Area::map_at_zero(PAGES),
            Place::AcrossTables => Area::map_across(PAGES, HUGE * PAGE),
            Place::AcrossGigabytes => Area::map_across(PAGES, GIGABYTE),
            Place::Tables => Area::map_tables(2, None),
            Place::Table => Area::map_tables(1, file),
            Place::Huge => {
                let area = Area::map_tables(1, None)?;
                area.advise(MmapAdvise::MADV_HUGEPAGE)?;
                Ok(area)
            }
            Place::Hugetlb => Area::map_huge(file),
            Place::HugetlbShared | Place::Dax => Area::map_in_gigabyte(file.ok_or(Errno::EBADF)?),
        }
    }
}
