// SPDX-License-Identifier: GPL-2.0

//! The machine that the program runs on: system calls, facts about its kernel, signals and time
//! limits, control groups.

pub mod cgroup;
pub mod kernel;
pub mod sys;
pub mod wait;
