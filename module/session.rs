// SPDX-License-Identifier: GPL-2.0

//! `/dev/mmu_notifier_inject`: targets that live no longer than an open file.

use crate::{
    abstractions::{
        miscdevice::OpenFile,
        Output, //
    },
    readings::Readings,
    targets::{
        Owner,
        Targets, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// An open file, with the targets that were attached through it.
pub(crate) struct Session {
    owner: Owner,
    targets: Arc<Targets>,
    readings: Arc<Readings>,
}

impl OpenFile for Session {
    type Shared = Arc<Targets>;

    fn open(targets: &Arc<Targets>) -> Result<Self> {
        Ok(Session {
            owner: Owner::Session(targets.new_id()),
            targets: targets.clone(),
            readings: Readings::new()?,
        })
    }

    fn read(&self, position: &mut u64, out: &mut dyn Output) -> Result<usize> {
        self.readings.read(position, out, |text| {
            self.targets.show(|owner| owner == self.owner, text)
        })
    }

    fn write(&self, data: &[u8]) -> Result {
        self.targets.command(self.owner, data)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.targets.detach_all(self.owner);
    }
}
