// SPDX-License-Identifier: GPL-2.0

//! The machine that the program runs on: system calls, facts about its kernel, signals and time
//! limits, control groups. The lowest room: nothing here imports from another one.

pub mod cgroup;
pub mod damon;
pub mod kept;
pub mod kernel;
pub mod khugepaged;
pub mod ksm;
pub mod limit;
pub mod lru_gen;
pub mod processors;
pub mod sys;
pub mod wait;
