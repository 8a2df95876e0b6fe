// SPDX-License-Identifier: GPL-2.0

//! Random runs on correct kernels.

use mn_inject::model::Arming;
use proptest::prelude::*;

use super::kernel::{Kernel, Style};
use super::plan::{Plan, Trigger};
use super::run::{History, history};

fn arming() -> impl Strategy<Value = Arming> {
    let errno = prop::sample::select(vec![-11, -16, -4, -12]);
    prop_oneof![
        4 => errno.clone().prop_map(Arming::Fail),
        1 => errno.prop_map(Arming::Filtered),
        1 => Just(Arming::Unarmed),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let trigger = prop_oneof![
        arming().prop_map(Trigger::Unmap),
        arming().prop_map(Trigger::Mrelease),
        arming().prop_map(Trigger::Oom),
    ];
    (trigger, 0u64..5, 0u64..3).prop_map(|(trigger, calls, elsewhere)| Plan {
        trigger,
        calls,
        elsewhere,
    })
}

fn style(kernel: Kernel) -> impl Strategy<Value = Style> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(move |(callers, detailed, old)| Style {
        kernel,
        callers,
        detailed,
        old_header: old,
    })
}

/// A run on a correct kernel.
pub fn any_history() -> impl Strategy<Value = (Style, History)> {
    (
        prop_oneof![style(Kernel::Seed), style(Kernel::Mainline)],
        prop::collection::vec(prop::collection::vec(plan(), 1..4), 1..4),
        prop::collection::vec(any::<u8>(), 0..30),
    )
        .prop_map(|(style, windows, noise)| (style, history(style, &windows, &noise)))
}
