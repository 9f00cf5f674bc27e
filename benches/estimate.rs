//! How long the estimate of many works takes: `cargo bench --bench estimate`. `WORKS=500000` for
//! fewer. Polls at fixed intervals of 5 s; the works are made first, and are not in the time.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run fails")]

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/accuracy/laws.rs"]
mod laws;
#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/accuracy/polls.rs"]
mod polls;

use laws::{Law, Part};
use plimsoll::estimate::{Estimate, Family, LEVELS, Npmle};

/// A log-normal law, and 2 % slow works.
const LAW: Law = Law {
    name: "98 % log-normal, 8 s and 0.6; 2 % 40 s and 0.3",
    parts: &[
        (
            0.98,
            Part::LogNormal {
                median: 8.0,
                sigma: 0.6,
            },
        ),
        (
            0.02,
            Part::LogNormal {
                median: 40.0,
                sigma: 0.3,
            },
        ),
    ],
};

#[expect(
    clippy::disallowed_methods,
    reason = "a bench measures what the wall clock says"
)]
#[expect(clippy::print_stdout, reason = "what a bench is for")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn main() {
    let works = std::env::var("WORKS").map_or(5_000_000, |text| text.parse().unwrap());
    let run = polls::Run {
        law: &LAW,
        policy: polls::Policy::Fixed(5.0),
        works,
        blocks: 60,
        seed: 202,
    };
    let blocks = run.windows(None);
    let sum = blocks.sum().windows;
    let begin = std::time::Instant::now();
    let weighted = sum.iter().map(|(it, works)| (it.from, it.to, works as f64));
    let curve = Npmle::of(weighted).unwrap();
    let curve_took = begin.elapsed().as_secs_f64();
    let regions = curve.regions().count();
    println!(
        "{}: {works} works, {} different windows, {regions} regions: the curve in {curve_took:.2} s, \
         its gap {:.1e}",
        LAW.name,
        sum.different(),
        curve.gap()
    );
    let begin = std::time::Instant::now();
    let estimate = Estimate::of(&blocks, Family::Sojourn, 202).unwrap();
    let took = begin.elapsed().as_secs_f64();
    println!("with bands in {took:.2} s");
    for (level, quantile) in LEVELS.iter().zip(&estimate.quantiles) {
        println!(
            "p{:<5} {:7.3} s, from {:7.3} to {:7.3}; in truth {:7.3}",
            level * 100.0,
            quantile.value.unwrap(),
            quantile.low.unwrap(),
            quantile.high.unwrap(),
            run.law.quantile(*level),
        );
    }
}
