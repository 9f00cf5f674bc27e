use super::*;
use crate::random::{Purpose, Rng, stream, unit};
use crate::record::interval::Seen;
use crate::record::windows::{Edge, Happening, Window, Windows};
use crate::time::{Span, Tick};

fn edge(number: usize) -> Edge {
    Edge::numbered(number).unwrap()
}

/// `(from, to, works)` by the numbers of edges; a `to` of 0 is none.
fn windows(all: &[(usize, usize, f64)]) -> Vec<Weighted> {
    let window = |(from, to, works): &(usize, usize, f64)| {
        (edge(*from), (*to > 0).then(|| edge(*to)), *works)
    };
    all.iter().map(window).collect()
}

fn npmle(all: &[(usize, usize, f64)]) -> Npmle {
    Npmle::of(windows(all).into_iter()).unwrap()
}

/// Points in the cell before an edge, and works censored at edges, as a seed has them.
fn points_and_censored(seed: u64, works: usize, edges: usize) -> Vec<(usize, usize, f64)> {
    let mut random = stream(seed, Purpose::named("test points"), 0);
    let mut draw = |most: usize| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let drawn = (unit(&mut random) * most as f64) as usize;
        drawn
    };
    let one = |_| {
        let at = 1 + draw(edges);
        match draw(3) {
            0 => (at, 0, 1.0),
            _ => (at - 1, at, 1.0),
        }
    };
    (0..works).map(one).collect()
}

#[test]
fn points_and_censored_works_give_the_product_of_kaplan_and_meier() {
    for seed in 0..20 {
        let all = points_and_censored(seed, 400, 60);
        let found = npmle(&all);
        let mut survival = 1.0;
        for at in 1..=60 {
            let ended = |it: &&(usize, usize, f64)| it.1 == at;
            // At risk: not ended before, not censored before; one censored at the edge before the
            // cell is not in it.
            let at_risk =
                |it: &&(usize, usize, f64)| if it.1 == 0 { it.0 >= at } else { it.1 >= at };
            let count = |of: usize| f64::from(u32::try_from(of).unwrap());
            let deaths = count(all.iter().filter(ended).count());
            let risk = count(all.iter().filter(at_risk).count());
            if risk > 0.0 {
                survival *= 1.0 - deaths / risk;
            }
            let cdf = found.cdf(edge(at));
            assert!(
                (cdf - (1.0 - survival)).abs() < 1e-9,
                "seed {seed}, edge {at}: {cdf} and {}, gap {:e}",
                1.0 - survival,
                found.gap()
            );
        }
    }
}

#[test]
fn masses_are_those_of_another_program() {
    // `tests/golden/estimate.py` prints them; those of 0 are left out.
    let all = windows(&[
        (0, 7, 3.0),
        (0, 8, 4.0),
        (6, 10, 5.0),
        (7, 16, 2.0),
        (7, 14, 3.0),
        (17, 25, 2.0),
        (37, 44, 1.0),
        (24, 40, 2.0),
        (0, 5, 1.0),
        (4, 11, 4.0),
        (5, 12, 2.0),
        (5, 11, 1.0),
        (11, 15, 3.0),
        (11, 18, 2.0),
        (19, 35, 3.0),
        (16, 24, 2.0),
        (13, 17, 2.0),
        (15, 22, 4.0),
        (22, 30, 1.0),
        (30, 36, 2.0),
    ]);
    let expected = [
        (4, 5, 0.051_783_057),
        (6, 7, 0.187_775_531),
        (7, 8, 0.226_488_925),
        (13, 14, 0.172_775_389),
        (16, 17, 0.036_502_054),
        (19, 22, 0.164_256_702),
        (24, 25, 0.057_407_871),
        (30, 35, 0.075_637_656),
        (37, 40, 0.027_372_814),
    ];
    let found = Npmle::of(all.into_iter()).unwrap();
    let with_mass = found.regions().filter(|(_, mass)| *mass > 1e-7);
    let found: Vec<(Region, f64)> = with_mass.collect();
    assert_eq!(found.len(), expected.len());
    for ((region, mass), (from, to, expected)) in found.into_iter().zip(expected) {
        assert_eq!((region.from, region.to), (edge(from), Some(edge(to))));
        assert!(
            (mass - expected).abs() < 1e-7,
            "{from}: {mass} and {expected}"
        );
    }
}

/// The ascending shares nearest to those seen, by the formula of the largest of the least means:
/// `max over a <= k of min over b >= k` of the mean from `a` to `b`.
fn ascending_shares(seen: &[(f64, f64)]) -> Vec<f64> {
    let mean = |from: usize, to: usize| {
        let part = &seen[from..=to];
        let (hits, all) = part
            .iter()
            .fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        hits / all
    };
    let least = |from: usize, at: usize| {
        (at..seen.len())
            .map(|to| mean(from, to))
            .fold(f64::INFINITY, f64::min)
    };
    let most = |at: usize| (0..=at).map(|from| least(from, at)).fold(0.0, f64::max);
    (0..seen.len()).map(most).collect()
}

#[test]
fn works_asked_once_give_the_ascending_shares() {
    for seed in 0..20 {
        let mut random = stream(seed, Purpose::named("test shares"), 0);
        let mut all = Vec::new();
        let mut seen = vec![(0.0, 0.0); 40];
        for _ in 0..600 {
            let at = (1..=40).min_by_key(|_| random.next_u64()).unwrap();
            let ended =
                unit(&mut random) < 1.0 - libm::exp(-f64::from(u8::try_from(at).unwrap()) / 15.0);
            all.push(if ended { (0, at, 1.0) } else { (at, 0, 1.0) });
            seen[at - 1].0 += f64::from(u8::from(ended));
            seen[at - 1].1 += 1.0;
        }
        let found = npmle(&all);
        let mut compared = 0;
        for (at, expected) in (1..=40).zip(ascending_shares(&seen)) {
            // Within a region nothing is told.
            let inside = found.regions().any(|(region, _)| {
                region.from < edge(at) && region.to.is_none_or(|to| to > edge(at))
            });
            if inside {
                continue;
            }
            compared += 1;
            let cdf = found.cdf(edge(at));
            assert!(
                (cdf - expected).abs() < 1e-6,
                "seed {seed}, {at}: {cdf} and {expected}"
            );
        }
        assert!(compared >= 20, "seed {seed}: {compared}");
    }
}

#[test]
fn no_other_masses_on_five_cells_are_better() {
    let all = [
        (0, 2, 4.0),
        (1, 3, 7.0),
        (0, 1, 2.0),
        (2, 5, 3.0),
        (3, 4, 1.0),
        (1, 5, 5.0),
        (4, 0, 2.0),
    ];
    let found = npmle(&all);
    let likelihood = |sums: &[f64]| -> f64 {
        let at = |edge: usize| sums[edge];
        let each = all.iter().map(|(from, to, works)| {
            let to = if *to == 0 { 1.0 } else { at(*to) };
            works * libm::log(to - at(*from))
        });
        each.sum::<f64>() / 24.0
    };
    let sums: Vec<f64> = (0..=5).map(|at| found.cdf(edge(at))).collect();
    let best = likelihood(&sums);
    let mut largest = f64::NEG_INFINITY;
    let steps = 40_u32;
    // Every way to spread forty parts over five cells and what is beyond them.
    for a in 0..=steps {
        for b in a..=steps {
            for c in b..=steps {
                for d in c..=steps {
                    for e in d..=steps {
                        let part = |it: u32| f64::from(it) / f64::from(steps);
                        let sums = [0.0, part(a), part(b), part(c), part(d), part(e)];
                        let found = likelihood(&sums);
                        largest = largest.max(if found.is_nan() { largest } else { found });
                    }
                }
            }
        }
    }
    assert!(largest <= best + 1e-12, "{largest} and {best}");
    assert!(best - largest < 1e-2, "{largest} and {best}");
    assert!(found.gap() < 1e-10);
}

fn micros(of: u64) -> Span {
    Span(of * 1_000)
}

fn one_block(all: Vec<(Window, u64)>) -> Blocks {
    let mut blocks = Blocks::default();
    let windows = Windows::of(all);
    let seen = Seen {
        windows,
        ..Seen::default()
    };
    blocks.add(Tick(1), &seen);
    blocks
}

#[test]
fn completed_and_failed_points_give_the_sums_of_aalen_and_johansen() {
    let mut random = stream(1, Purpose::named("test causes"), 0);
    let mut draw = |most: u64| random.next_u64() % most;
    let mut all = Vec::new();
    for _ in 0..500 {
        let at = micros(1 + draw(50));
        all.push(match draw(4) {
            0 => Window::point(Happening::Failed, at),
            1 => Window::censored(Happening::Completed, at),
            _ => Window::point(Happening::Completed, at),
        });
    }
    let blocks = one_block(all.iter().map(|window| (*window, 1)).collect());
    let estimate = Estimate::of(&blocks, Family::Sojourn, 1).unwrap();
    let (mut survival, mut sums) = (1.0, [0.0, 0.0]);
    for at in 1..=50 {
        let count = |is_it: &dyn Fn(&Window) -> bool| {
            let found = all.iter().filter(|window| is_it(window)).count();
            f64::from(u32::try_from(found).unwrap())
        };
        let end = Some(edge(at));
        let risk = count(&|it| it.to.map_or(it.from >= edge(at), |_| it.to >= end));
        let died = [Happening::Completed, Happening::Failed]
            .map(|what| count(&|it| it.to == end && it.what == what));
        for (sum, died) in sums.iter_mut().zip(died) {
            *sum += survival * died / risk;
        }
        survival *= 1.0 - (died[0] + died[1]) / risk;
        let found = estimate
            .curve
            .iter()
            .rev()
            .find(|point| point.seconds <= edge(at).age().seconds());
        let point = found.unwrap();
        let differences = [point.completed - sums[0], point.failed - sums[1]];
        assert!(
            differences.iter().all(|it| it.abs() < 1e-9),
            "{at}: {differences:?}"
        );
        assert!((point.completed + point.failed - point.cdf).abs() < 1e-15);
    }
    assert!(estimate.mean.is_none() == (survival > 0.0));
}

#[test]
fn a_quantile_has_an_upper_bound_from_as_many_works_as_it_needs() {
    // Wilks: 1 - q^n >= 95 %.
    let least = LEVELS.map(quantiles::least_works);
    assert_eq!(least, [5, 29, 59, 299, 2_995]);
    let of = |works: u64| {
        let all =
            (0..works).map(|it| (Window::point(Happening::Completed, micros(1 + it % 40)), 1));
        Estimate::of(&one_block(all.collect()), Family::Sojourn, 1).unwrap()
    };
    let supported = |works| of(works).quantiles.map(|quantile| quantile.supported);
    assert_eq!(supported(298), [true, true, true, false, false]);
    assert_eq!(supported(299), [true, true, true, true, false]);
    assert_eq!(of(40).bands, Err(NoBands::FewWorks { least: 125 }));
    let few = NoBands::FewBlocks {
        blocks: 1,
        least: 20,
    };
    assert_eq!(of(4_000).bands, Err(few));
    // Points of 1 to 40 us: half of them by 20 us.
    assert_eq!(of(4_000).midpoints[0], Some(19e-6));
    assert!((of(4_000).quantiles[0].value.unwrap() - 20e-6).abs() < 1e-12);
    assert!((of(4_000).mean.unwrap() - 20e-6).abs() < 1e-12);
}

#[test]
fn works_that_were_not_seen_to_end_are_later_than_every_value() {
    let all = vec![
        (Window::point(Happening::Completed, micros(10)), 92),
        (Window::censored(Happening::Completed, micros(50)), 8),
    ];
    let estimate = Estimate::of(&one_block(all), Family::Sojourn, 1).unwrap();
    assert_eq!((estimate.works, estimate.censored), (100, 8));
    let values = estimate.quantiles.map(|quantile| quantile.value.is_some());
    assert_eq!(values, [true, true, false, false, false]);
    assert_eq!(estimate.midpoints.map(|it| it.is_some()), values);
    assert_eq!(estimate.mean, None);
    assert!((estimate.curve.last().unwrap().cdf - 0.92).abs() < 1e-12);
    let other = Windows::of(vec![(Window::censored(Happening::Begun, Span(1)), 1)]);
    assert!(Npmle::of(std::iter::empty()).is_none());
    assert_eq!(Risks::of(&other, Family::Sojourn).works, 0);
}

#[test]
fn blocks_that_differ_widen_the_bands() {
    // The same works: once all blocks are alike, and once each is of one half of the law.
    let block = |number: u64, is_alike: bool| {
        let all = (0..200).map(|it| {
            let at = if is_alike {
                it
            } else {
                it / 2 + 100 * (number % 2)
            };
            let at = 20 + at / 2;
            let window = Window::seen(Happening::Completed, micros(at), micros(at + 9));
            (window, 1)
        });
        Windows::of(all.collect())
    };
    let widths = [true, false].map(|is_alike| {
        let mut blocks = Blocks::default();
        for number in 0..40 {
            let windows = block(number, is_alike);
            let seen = Seen {
                windows,
                ..Seen::default()
            };
            blocks.add(Tick(1 + number * 1_000_000_000), &seen);
        }
        let bands = Estimate::of(&blocks, Family::Sojourn, 1)
            .unwrap()
            .bands
            .unwrap();
        assert_eq!(
            bands,
            Estimate::of(&blocks, Family::Sojourn, 1)
                .unwrap()
                .bands
                .unwrap()
        );
        assert_eq!(bands.blocks, 40);
        let middle = bands
            .points
            .iter()
            .min_by(|one, other| (one.cdf - 0.5).abs().total_cmp(&(other.cdf - 0.5).abs()));
        let middle = middle.unwrap();
        middle.high - middle.low
    });
    // Alike, every draw is the same. Of 40 fair blocks the share is off by 0.08 (one deviation).
    assert!(widths[0] < 1e-4, "{widths:?}");
    assert!((0.25..0.4).contains(&widths[1]), "{widths:?}");
}

#[test]
fn ends_of_two_kinds_are_told_apart_in_wide_windows() {
    // A fifth fails evenly within the first second, the others complete evenly in the third.
    let mut counted = Vec::new();
    for number in 0..20_000_u64 {
        let (what, end) = match number % 5 {
            0 => (Happening::Failed, number * 50),
            _ => (Happening::Completed, 2_000_000 + number * 50),
        };
        // Polls are half a second apart, and begin at an even phase.
        let phase = number * 309_017 % 500_000;
        let to = phase + (end.saturating_sub(phase)).div_ceil(500_000) * 500_000;
        let from = Span(to.saturating_sub(500_000) * 1_000);
        counted.push((Window::seen(what, from, Span(to * 1_000)), 1));
    }
    let mut blocks = Blocks::default();
    let seen = Seen {
        windows: Windows::of(counted),
        ..Seen::default()
    };
    blocks.add(Tick(1), &seen);
    let estimate = Estimate::of(&blocks, Family::Sojourn, 1).unwrap();
    let check = |seconds: f64, failed: f64, completed: f64| {
        let before = estimate
            .curve
            .iter()
            .rev()
            .find(|point| point.seconds <= seconds);
        let point = before.unwrap();
        assert!((point.failed - failed).abs() < 0.01, "{seconds}: {point:?}");
        assert!(
            (point.completed - completed).abs() < 0.01,
            "{seconds}: {point:?}"
        );
    };
    check(1.5, 0.2, 0.0);
    check(3.5, 0.2, 0.8);
}
