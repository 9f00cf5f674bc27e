use super::*;
use crate::random::{ChaCha8Rng, Purpose, stream, unit};
use crate::record::interval::Seen;
use crate::record::stints::StintCounter;
use crate::record::windows::{Happening, Window, WindowCounter};
use crate::time::{Span, Tick};

static SEED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(3);
/// The age of the next poll, by its number and the age of the last.
type Policy = fn(i32, f64, &mut ChaCha8Rng) -> f64;
/// A time in seconds.
type Law<'a> = &'a dyn Fn(&mut ChaCha8Rng) -> f64;

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
fn run(works: u64, policy: Policy, [wait, run]: [Law; 2], give_up: f64) -> Blocks {
    let (mut windows, mut stints) = (WindowCounter::default(), StintCounter::default());
    let span = Span::from_secs_f64;
    for number in 0..works {
        let mut random = stream(SEED.load(std::sync::atomic::Ordering::Relaxed), Purpose::named("test run time"), number);
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
    println!("{what}: {:?} {:?} of {truth:?}, gap {:e}, {} stints, n {} mid {:?}", found.quantiles[0].value, found.quantiles[1].value, found.gap, blocks.sum().stints.different(), found.works, &found.midpoints[..2]);
    for (quantile, truth) in found.quantiles.iter().zip(truth) {
        let value = quantile.value.unwrap();
        assert!(quantile.supported);
        assert!(
            (value - truth).abs() <= tolerance * truth,
            "{what}: {value} and not {truth} ± {tolerance}"
        );
    }
    assert!(found.gap <= 1e-3, "{what}: {:e}", found.gap);
}

/// p50 and p90 of an exponential law.
fn of_exponential(mean: f64) -> [f64; 2] {
    [mean * 2_f64.ln(), mean * 10_f64.ln()]
}


#[test]
fn bias() {
    for (name, policy) in POLICIES {
        for (wait, takes, n) in [(2.0, 2.0, 20_000), (5.0, 2.0, 20_000), (0.3, 10.0, 20_000), (3.0, 0.7, 20_000), (2.0, 2.0, 1_000), (2.0, 2.0, 300_000)] {
            let laws: [Law; 2] = [&exponential(wait), &exponential(takes)];
            let reps = if n > 100_000 { 1 } else { 6 };
            let mut all = [vec![], vec![], vec![]];
            let begin = std::time::Instant::now();
            for rep in 0..reps {
                SEED.store(rep, std::sync::atomic::Ordering::Relaxed);
                let e = Estimate::run_time(&run(n, policy, laws, f64::INFINITY)).unwrap();
                for (i, (q, t)) in e.quantiles.iter().zip(of_exponential(takes)).enumerate() {
                    all[i].push(q.value.unwrap() / t - 1.0);
                }
                all[2].push(e.gap);
            }
            let stat = |v: &Vec<f64>| { let m = v.iter().sum::<f64>() / v.len() as f64; let s = (v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / v.len() as f64).sqrt(); format!("{:+.2}% sd {:.2}%", 100.0 * m, 100.0 * s) };
            println!("{name} {wait} {takes} n {n}: p50 {} p90 {} gap {:e} {:?}", stat(&all[0]), stat(&all[1]), all[2][0], begin.elapsed() / reps as u32);
        }
    }
}
