// SPDX-License-Identifier: GPL-2.0

//! Records of `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg).

pub mod complaint;
mod complaints;
mod device;
mod marker;
mod parse;
mod reader;
mod record;

pub use complaints::{Complaint, Complaints};
pub use device::{DevKmsg, Source};
pub use marker::Marker;
pub use parse::ParseError;
pub use reader::KmsgReader;
pub use record::{FACILITY_KERNEL, Record};
