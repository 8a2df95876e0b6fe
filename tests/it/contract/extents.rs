// SPDX-License-Identifier: GPL-2.0

//! The addresses that the calls of a scenario must be for.

use mn_inject::model::Extent;

use super::*;

/// The addresses that a scenario works on: four pages, from the second one on.
const WATCHED: (u64, u64) = (0x1000, 0x5000);

/// The verdict on a plain notifier that was called for these ranges, in pages.
fn called_for(extent: Extent, pages: &[(u64, u64)]) -> Verdict {
    let setting = [(NotifierKind::Plain, Arming::Unarmed)];
    with_setting(&setting, pages.len() as u64, |o| {
        o.watched = WATCHED;
        o.expectation.extent = Some(extent);
        o.expectation.pages = None;
        for (call, (start, end)) in o.calls.iter_mut().zip(pages) {
            let address = |page: u64| page.saturating_mul(0x1000);
            (call.start, call.end) = (address(*start), address(*end));
        }
    })
}

#[test]
fn the_addresses_of_each_call_are_those_that_are_due() {
    const EVERYTHING: (u64, u64) = (0, u64::MAX);
    type Ranges = &'static [(u64, u64)];
    let table: [(Extent, &[Ranges], &[Ranges]); 8] = [
        (
            Extent::All,
            &[&[(1, 5)], &[(1, 5), (1, 5)]],
            &[&[(1, 4)], &[(2, 5)], &[(0, 5)], &[(1, 6)]],
        ),
        (
            Extent::Halves,
            &[&[(1, 3), (3, 5)]],
            &[&[(3, 5), (1, 3)], &[(1, 3), (1, 3)], &[(1, 5), (1, 5)]],
        ),
        (
            Extent::Pages { first: 1, count: 2 },
            &[&[(2, 4)]],
            &[&[(2, 5)], &[(1, 4)], &[(2, 3)], &[(1, 5)]],
        ),
        (
            Extent::EachPage,
            &[&[(2, 3)], &[(4, 5), (1, 2)]],
            &[&[(2, 4)], &[(0, 2)], &[(1, 5)]],
        ),
        (
            Extent::EachPageOrAll,
            &[&[(2, 3)], &[(1, 2), (1, 5)]],
            &[&[(2, 4)], &[(0, 2)], &[(1, 6)]],
        ),
        (
            Extent::Everything,
            &[&[EVERYTHING]],
            &[&[(1, 5)], &[(0, 6)]],
        ),
        (
            Extent::Block { bytes: 0x4000 },
            &[&[(0, 8)]],
            &[&[(0, 4)], &[(1, 5)], &[(4, 8)]],
        ),
        (
            Extent::Steps { times: 2 },
            &[
                &[(1, 5)],
                &[(1, 3), (3, 5)],
                &[(3, 5), (1, 3)],
                &[(1, 5), (1, 5)],
                &[(1, 5), (2, 5), (4, 5)],
            ],
            &[
                // One byte in it was announced too often.
                &[(1, 5), (2, 5), (4, 5), (4, 5)],
                // Not all of it was.
                &[(1, 4)],
                &[(2, 5)],
                &[(1, 2), (4, 5)],
                // Others were.
                &[(0, 5)],
                &[(1, 6)],
                &[(1, 3), (3, 6)],
            ],
        ),
    ];
    for (extent, right, wrong) in table {
        for pages in right {
            let verdict = called_for(extent, pages);
            assert_eq!(verdict, Verdict::Pass, "{extent:?} {pages:?}");
        }
        for pages in wrong {
            let verdict = called_for(extent, pages);
            let kinds = found(&verdict);
            let is_about_calls = kinds.iter().all(|kind| *kind == FindingKind::Calls);
            assert!(
                !kinds.is_empty() && is_about_calls,
                "{extent:?} {pages:?}: {verdict:?}"
            );
        }
    }
}
