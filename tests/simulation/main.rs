//! Seeded runs of the whole engine against the simulated service, in virtual time.
//!
//! Each seed makes a scenario with faults, limits, stops and lateness, and every promise is checked
//! at every turn and at the end. A failing seed is printed with the line that replays it. The seeds
//! of `tests/seeds.txt` were found so, and run first. `SEEDS=10000` is the long form, `START=` the
//! first seed of it, `SEED=` one alone.

#![expect(clippy::unwrap_used, reason = "a test that meets what cannot be fails")]

mod callbacks;
mod dice;
mod found;
mod rows;
mod shards;
mod verdict;
mod watch;
mod windows;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Arc;

use plimsoll::record::ledger::Count;
use plimsoll::record::row::WorkRow;
use plimsoll::scenario::{Bucket, Rate};
use plimsoll::sim::world::{self, VirtualRun};
use plimsoll::time::{Span, Tick};
use plimsoll::work::Outcome;

use dice::Case;
use watch::Checks;

/// How many seeds run where nobody asks for more.
const SEEDS: u64 = 150;

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(u64::from_str(&text).unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// What a run left, and what was seen of it.
struct Seen {
    rows: Vec<WorkRow>,
    polled: Vec<Tick>,
    run: VirtualRun,
}

/// Runs a case under every check.
fn run(case: &Case) -> Seen {
    run_with(case, verdict::check)
}

/// The same, without the judgement at the end.
fn run_unjudged(case: &Case) -> Seen {
    run_with(case, |_, _, _| {})
}

fn run_with(case: &Case, judge: impl Fn(&Case, &Checks<'_>, &VirtualRun)) -> Seen {
    let mut checks = Checks::new(&case.plan);
    let plan = Arc::new(case.plan.clone());
    let told = case.told.clone();
    let run = world::run_sharded(&plan, case.shards, &case.network, told, &mut checks);
    judge(case, &checks, &run);
    let Checks { rows, polled, .. } = checks;
    Seen { rows, polled, run }
}

/// What a seed came to, so that it can be seen that the seeds come to everything.
struct Reached {
    outcomes: BTreeSet<Outcome>,
    is_exact: bool,
    shards: usize,
    /// Ids given again, where several shards must find out together.
    duplicates: u64,
}

/// Runs a seed; what failed was printed when it did, the rest is said here.
fn check(seed: u64) -> Reached {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let case = dice::case(seed);
        let first = run(&case);
        if seed.is_multiple_of(16) {
            let second = run(&dice::case(seed));
            assert!(first.rows == second.rows, "the same seed gave other rows");
            assert!(first.polled == second.polled);
            assert_eq!(first.run.end, second.run.end);
        }
        Reached {
            outcomes: first.rows.iter().map(|row| row.outcome).collect(),
            is_exact: verdict::is_exact(&case),
            shards: case.shards,
            duplicates: first.run.snapshot.counts.get(Count::DuplicateId),
        }
    }));
    outcome.unwrap_or_else(|_| {
        let Case {
            text,
            network,
            told,
            shards,
            ..
        } = dice::case(seed);
        panic!(
            "{text}\n{network:?}\n{told:?}\n{shards} shards\n\nreplay: SEED={seed} cargo test --test simulation seeds"
        )
    })
}

#[test]
fn seeds_that_were_found_keep_every_promise() {
    for line in include_str!("../seeds.txt").lines() {
        let seed = line.split('#').next().unwrap_or("").trim();
        if !seed.is_empty() {
            check(seed.parse().unwrap());
        }
    }
}

#[test]
fn seeds_keep_every_promise() {
    if let Some(seed) = from_environment("SEED") {
        check(seed);
        return;
    }
    let start = from_environment("START").unwrap_or(0);
    let seeds = from_environment("SEEDS").unwrap_or(SEEDS);
    let reached: Vec<Reached> = (start..start + seeds).map(check).collect();
    if seeds >= SEEDS {
        for outcome in Outcome::ALL {
            let some = reached.iter().any(|seed| seed.outcomes.contains(&outcome));
            assert!(some, "no seed came to {outcome:?}");
        }
        let exact = reached.iter().filter(|seed| seed.is_exact).count();
        assert!(exact * 8 >= reached.len(), "only {exact} seeds are exact");
        for shards in 2..=3 {
            let split = reached.iter().filter(|seed| seed.shards == shards);
            let found = split.clone().filter(|seed| seed.duplicates > 0);
            assert!(split.count() * 12 >= reached.len(), "{shards} shards");
            assert!(found.count() > 0, "{shards} shards found no duplicate");
        }
    }
}

#[test]
fn the_oracle_of_windows_sees_one_request_too_many() {
    let per = Span::from_secs(1);
    let bucket = Bucket {
        rate: Rate { count: 10, per },
        burst: 3,
    };
    let check = |millis: &[u64], expected| {
        let stamps: Vec<Tick> = millis.iter().map(|at| Tick(at * 1_000_000)).collect();
        assert_eq!(verdict::is_within(&stamps, bucket), expected, "{millis:?}");
    };
    check(&[0, 0, 0], true);
    check(&[0, 0, 0, 0], false);
    check(&[0, 0, 0, 100, 200], true);
    check(&[0, 0, 0, 99], false);
    check(&[0, 1_000, 1_000, 1_000, 1_050], false);
}
