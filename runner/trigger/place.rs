// SPDX-License-Identifier: GPL-2.0

//! The places at which the memory of an operation lies.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::MmapAdvise;
use nix::unistd::ftruncate;

use crate::os::sys::{Area, GIGABYTE, HUGE, PAGE};

/// Pages of an area: few enough to lie in one page table.
pub(super) const PAGES: usize = 16;

/// Place of the memory of an operation, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Few pages in one page table, at an address that the kernel chooses.
    Anywhere,
    /// As many at address 0.
    AtZero,
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

impl Place {
    pub(super) const ALL: [Place; 7] = [
        Place::Anywhere,
        Place::AtZero,
        Place::Tables,
        Place::Table,
        Place::Huge,
        Place::Hugetlb,
        Place::HugetlbShared,
    ];

    /// A file of the size of the memory.
    pub(super) fn file(self) -> Result<OwnedFd, Errno> {
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
            Place::Anywhere => Area::map(PAGES, file),
            Place::AtZero => Area::map_at_zero(PAGES),
            Place::Tables => Area::map_tables(2, None),
            Place::Table => Area::map_tables(1, file),
            Place::Huge => {
                let area = Area::map_tables(1, None)?;
                area.advise(MmapAdvise::MADV_HUGEPAGE)?;
                Ok(area)
            }
            Place::Hugetlb => Area::map_huge(file),
            Place::HugetlbShared => Area::map_in_gigabyte(file.ok_or(Errno::EBADF)?),
        }
    }
}
