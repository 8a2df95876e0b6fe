// SPDX-License-Identifier: GPL-2.0

//! From samples to figures, and from these to findings. Pure functions.

use crate::bench::figure::{Figure, Ratio, decimal};
use crate::bench::variant::Variant;

/// Median of these numbers; 0 if there are none. The lower one of the two in the middle.
pub fn median(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(0)
}

/// Ratio in thousandths, rounded.
fn ratio(of: u64, to: u64) -> u64 {
    (of * 1000 + to / 2).checked_div(to).unwrap_or(0)
}

/// The figures of all variants. `rounds` has the medians of each round, in the order of the
/// variants.
pub fn figures(variants: &[Variant], rounds: &[Vec<u64>], unit: &str) -> Vec<Figure> {
    let column = |index: usize| rounds.iter().map(move |round| round[index]);
    let mut figures = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let values: Vec<_> = column(index).collect();
        let base = variant
            .to
            .and_then(|to| variants.iter().position(|one| one.name == to));
        let ratio = base.map(|base| {
            let ratios = column(index).zip(column(base));
            let ratios: Vec<_> = ratios.map(|(of, to)| ratio(of, to)).collect();
            Ratio {
                to: variants[base].name.to_owned(),
                median: median(&ratios),
                least: ratios.iter().copied().min().unwrap_or(0),
                greatest: ratios.iter().copied().max().unwrap_or(0),
            }
        });
        figures.push(Figure {
            name: variant.name.to_owned(),
            value: median(&values),
            unit: unit.to_owned(),
            ratio,
        });
    }
    figures
}

/// The goals that were missed, in words.
pub fn missed(variants: &[Variant], figures: &[Figure]) -> Vec<String> {
    let mut missed = Vec::new();
    for (variant, figure) in variants.iter().zip(figures) {
        if let (Some(goal), Some(ratio)) = (variant.goal, &figure.ratio)
            && ratio.median > goal
        {
            missed.push(format!(
                "{}: {ratio}, and at most {} was the goal",
                figure.name,
                decimal(goal)
            ));
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::variant::VARIANTS;

    /// Rounds in which every variant has the same figure, except for that one.
    fn rounds(name: &str, values: &[u64]) -> Vec<Vec<u64>> {
        let of = |value: u64| {
            let of = move |one: &Variant| if one.name == name { value } else { 1000 };
            VARIANTS.iter().map(of).collect()
        };
        values.iter().map(|&value| of(value)).collect()
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0);
        assert_eq!(median(&[7]), 7);
        assert_eq!(median(&[9, 1, 5]), 5);
        assert_eq!(median(&[4, 3, 2, 1]), 2);
    }

    #[test]
    fn ratios_are_those_of_each_round() {
        let disarmed = VARIANTS.iter().find(|one| one.goal.is_some()).unwrap();
        let rounds = rounds(disarmed.name, &[1010, 1030, 1015]);
        let figures = figures(VARIANTS, &rounds, "instructions");
        let figure = figures
            .iter()
            .find(|one| one.name == disarmed.name)
            .unwrap();
        let ratio = figure.ratio.clone().unwrap();
        assert_eq!(figure.value, 1015);
        assert_eq!(
            (ratio.median, ratio.least, ratio.greatest),
            (1015, 1010, 1030)
        );
        assert_eq!(figures[0].ratio, None);
    }

    #[test]
    fn a_goal_is_missed_by_the_median() {
        for goal in VARIANTS.iter().filter(|one| one.goal.is_some()) {
            let most = goal.goal.unwrap();
            let missed_with = |values: &[u64]| {
                let figures = figures(VARIANTS, &rounds(goal.name, values), "instructions");
                missed(VARIANTS, &figures)
            };
            assert_eq!(missed_with(&[most, most + 9, most - 9]), [""; 0]);
            let missed = missed_with(&[most + 1, most + 1, 1]);
            assert!(
                missed.iter().any(|one| one.starts_with(goal.name)),
                "{missed:?}"
            );
        }
    }
}
