use super::*;
use crate::random::{ChaCha8Rng, Purpose, stream, unit};
use crate::record::interval::Seen;
use crate::record::stints::StintCounter;
use crate::record::windows::{Happening, Window, WindowCounter};
use crate::time::{Span, Tick};

/// The age of the next poll, by its number and the age of the last.
type Policy = fn(i32, f64, &mut ChaCha8Rng) -> f64;
/// A time in seconds.
type Draw<'a> = &'a dyn Fn(&mut ChaCha8Rng) -> f64;

fn fixed(number: i32, age: f64, random: &mut ChaCha8Rng) -> f64 {
    if number == 0 { unit(random) } else { age + 1.0 }
}

/// A second, one and a half, and so on up to ten, from a random phase on.
fn backoff(number: i32, age: f64, random: &mut ChaCha8Rng) -> f64 {
    if number == 0 {
        return unit(random);
    }
    let gap = libm::pow(1.5, f64::from(number - 1)).min(10.0);
    age + gap * (0.75 + 0.5 * unit(random))
}

/// At random, once a second in the mean.
fn memoryless(_: i32, age: f64, random: &mut ChaCha8Rng) -> f64 {
    age - libm::log1p(-unit(random))
}

const POLICIES: [(&str, Policy); 3] = [
    ("fixed", fixed),
    ("backoff", backoff),
    ("memoryless", memoryless),
];

fn exponential(mean: f64) -> impl Fn(&mut ChaCha8Rng) -> f64 {
    move |random| -mean * libm::log1p(-unit(random))
}

/// Works that wait and run so long, asked until they are this old, and what polls see of them.
fn run(works: u64, policy: Policy, [wait, run]: [Draw; 2], give_up: f64) -> Blocks {
    let (mut windows, mut stints) = (WindowCounter::default(), StintCounter::default());
    let span = Span::from_secs_f64;
    for number in 0..works {
        let mut random = stream(3, Purpose::named("test run time"), number);
        let begin = wait(&mut random);
        let end = begin + run(&mut random);
        let (mut open, mut begun) = (0.0, None);
        for poll in 0.. {
            let age = policy(poll, open, &mut random);
            if age > give_up {
                let ended = Window::censored(Happening::Completed, span(open));
                match begun {
                    Some(begun) => stints.count(Stint::of(begun, ended)),
                    None => windows.count(Window::censored(Happening::BegunUnseen, span(open))),
                }
                break;
            }
            if age >= end {
                let ended = Window::seen(Happening::BegunUnseen, span(open), span(age));
                let begun = begun.unwrap_or_else(|| {
                    windows.count(ended);
                    (ended.from, ended.to.unwrap())
                });
                stints.count(Stint::of(begun, ended));
                break;
            }
            if age >= begin && begun.is_none() {
                let window = Window::seen(Happening::Begun, span(open), span(age));
                windows.count(window);
                begun = Some((window.from, window.to.unwrap()));
            }
            open = age;
        }
    }
    let mut blocks = Blocks::default();
    let seen = Seen {
        windows: windows.take(),
        stints: stints.take(),
        ..Seen::default()
    };
    blocks.add(Tick(1), &seen);
    blocks
}

/// p50 and p90 are within a share of the truth.
fn check(what: &str, blocks: &Blocks, truth: [f64; 2], tolerance: f64) {
    let found = Estimate::run_time(blocks).unwrap();
    for (quantile, truth) in found.quantiles.iter().zip(truth) {
        let value = quantile.value.unwrap();
        assert!(quantile.supported, "{what}");
        assert!(
            (value - truth).abs() <= tolerance * truth,
            "{what}: {value} and not {truth} within {tolerance}"
        );
    }
    assert!(found.gap <= 2e-3, "{what}: {:e}", found.gap);
}

/// p50 and p90 of an exponential law.
fn of_exponential(mean: f64) -> [f64; 2] {
    [0.5, 0.9].map(|level: f64| -mean * libm::log1p(-level))
}

const NEVER: f64 = f64::INFINITY;

#[test]
fn exponential_times_come_back_whatever_the_policy() {
    for (name, policy) in POLICIES {
        for (wait, takes, tolerance) in [(2.0, 2.0, 0.15), (1.0, 5.0, 0.15)] {
            let what = format!("{name}, {wait} s and {takes} s");
            let laws: [Draw; 2] = [&exponential(wait), &exponential(takes)];
            let blocks = run(5_000, policy, laws, NEVER);
            check(&what, &blocks, of_exponential(takes), tolerance);
        }
    }
}

#[test]
fn a_fixed_time_comes_back_to_a_cell_of_the_grid() {
    let two = |_: &mut ChaCha8Rng| 2.0;
    let none = |_: &mut ChaCha8Rng| 0.0;
    let laws: [(&str, Draw); 2] = [("no wait", &none), ("a wait of 2 s", &exponential(2.0))];
    for (what, wait) in laws {
        check(
            what,
            &run(10_000, fixed, [wait, &two], NEVER),
            [2.0; 2],
            0.03,
        );
    }
}

#[test]
fn works_that_no_poll_saw_begun_count_too() {
    let laws: [Draw; 2] = [&exponential(2.0), &exponential(1.0)];
    let blocks = run(20_000, fixed, laws, NEVER);
    let seen = blocks.sum().windows;
    let unseen = seen
        .iter()
        .filter(|(window, _)| window.what == Happening::BegunUnseen);
    let unseen: u64 = unseen.map(|(_, works)| works).sum();
    assert!(unseen > 7_000, "{unseen}");
    check("short", &blocks, of_exponential(1.0), 0.15);
}

#[test]
fn works_that_were_given_up_are_later_than_what_was_seen() {
    let laws: [Draw; 2] = [&exponential(1.0), &exponential(3.0)];
    let found = Estimate::run_time(&run(10_000, fixed, laws, 5.0)).unwrap();
    let median = found.quantiles[0].value.unwrap();
    assert!(
        (median - 3.0 * 2_f64.ln()).abs() < 0.06 * median,
        "{median}"
    );
    // Those that began by 5 s, but for those that did between the last poll and then.
    let begun = 10_000.0 * -libm::expm1(-5.0);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let works = found.works as f64;
    assert!(works < begun && begun - works < 200.0, "{works} of {begun}");
    assert!(found.censored > 1_000, "{}", found.censored);
    // 1.8 in 100 take more than 12 s, and nobody waited for them.
    assert!(found.quantiles[3].value.is_none() && found.mean.is_none());
}

#[test]
fn where_begins_are_points_it_is_the_ordinary_estimate() {
    let none = |_: &mut ChaCha8Rng| 0.0;
    let blocks = run(10_000, fixed, [&none, &exponential(3.0)], 6.0);
    // Begun at once, as every poll would have seen; a thousand times as many, so that it ends at
    // the gap of a work.
    let all = blocks.sum().stints;
    let alike = |(stint, works): (Stint, u64)| {
        let begun = (Edge::ZERO, Edge::numbered(STEP).unwrap());
        (Stint { begun, ..stint }, 1_000 * works)
    };
    let stints = Stints::of(all.iter().map(alike).collect());
    let at_once = (Edge::ZERO, Edge::numbered(1), 1.0);
    let begins = Begins::of(&Npmle::of_all(&[at_once]).unwrap());
    let law = Law::of(&stints, &begins).unwrap();
    assert!(law.gap <= GAP, "{}", law.gap);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let windows = stints
        .iter()
        .map(|(it, works)| (it.ended.0, it.ended.1, works as f64));
    let npmle = Npmle::of(windows).unwrap();
    let mut sum = 0.0;
    let mut worst: f64 = 0.0;
    let ends: Vec<Edge> = npmle
        .regions()
        .filter_map(|(region, _)| region.to)
        .collect();
    for (place, mass) in law.masses[..law.masses.len() - 1].iter().enumerate() {
        sum += mass;
        let edge = Edge::numbered((place + 1) * STEP).unwrap();
        if ends.contains(&edge) {
            worst = worst.max((sum - npmle.cdf(edge)).abs());
        }
    }
    assert!(ends.len() > 10 && worst < 0.01, "{worst}");
}

#[test]
fn a_begin_is_anywhere_in_its_window_as_its_law_has_it() {
    let edge = |micros: u64| Edge::below(Span(micros * 1_000));
    // Half at once, and the other half evenly in a second.
    let at_once = (Edge::ZERO, Edge::numbered(1), 1.0);
    let later = (edge(1 << 20), Some(edge(1 << 21)), 1.0);
    let begins = Begins::of(&Npmle::of_all(&[at_once, later]).unwrap());
    let places = begins.within(Edge::ZERO, edge(1 << 21));
    assert_eq!(places.len(), 16);
    assert!(places[7] < 2e-6 && places[8] > 1.048, "{places:?}");
    let steps: Vec<f64> = places[8..]
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .collect();
    assert!(
        steps.iter().all(|step| (step - 0.131_072).abs() < 1e-9),
        "{steps:?}"
    );
    // Its law has nothing in this window, but there is a cell beside it; then nothing at all.
    let beside = begins.within(
        edge(1 << 19),
        Edge::numbered(edge(1 << 20).number()).unwrap(),
    );
    assert!(beside.iter().all(|place| *place > 1.048), "{beside:?}");
    let nowhere = begins.within(edge(1 << 10), edge(1 << 12));
    assert!((nowhere[0] - 0.001_12).abs() < 1e-9, "{nowhere:?}");
}
