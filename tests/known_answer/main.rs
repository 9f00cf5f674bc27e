//! Truths with a closed formula, through the whole engine in virtual time.

#![expect(clippy::unwrap_used, reason = "a test that meets what cannot be fails")]

mod backlog;
mod like;
mod limits;
mod optimal;
mod parts;
mod polling;
mod queue;
mod sojourn;
mod stall;

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll::engine::Effect;
use plimsoll::record::interval::Interval;
use plimsoll::record::row::{Settled, WorkRow};
use plimsoll::scenario::{Plan, resolve};
use plimsoll::sim::TruthRow;
use plimsoll::sim::world::{self, Network, VirtualRun, Watch};
use plimsoll::time::Tick;
use plimsoll::work::Slot;

/// Keeps all that passes.
#[derive(Default)]
struct Tape {
    rows: Vec<WorkRow>,
    intervals: Vec<Interval>,
    submits: Vec<(Tick, Slot, u64)>,
    polls: Vec<(Tick, Slot)>,
}

impl Watch for Tape {
    fn effect(&mut self, _shard: usize, now: Tick, effect: Effect) {
        match effect {
            Effect::Submit { slot, seq, .. } => self.submits.push((now, slot, seq)),
            Effect::Poll { slot } => self.polls.push((now, slot)),
        }
    }

    fn interval(&mut self, interval: &Interval) {
        self.intervals.push(interval.clone());
    }

    fn settled(&mut self, settled: Settled) {
        self.rows.push(settled.row);
    }
}

/// Runs a scenario whose text begins after the target.
fn run(rest: &str, network: &Network) -> (Plan, Tape, VirtualRun) {
    let text = format!("name = \"known\"\nseed = 11\n[target]\nbase_url = \"simulator\"\n{rest}");
    let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
    let mut tape = Tape::default();
    let run = world::run(&Arc::new(plan.clone()), network, Vec::new(), &mut tape);
    run.snapshot.check_books(true).unwrap();
    (plan, tape, run)
}

/// Each row with what the service knows of its work.
fn with_truth<'a>(tape: &'a Tape, run: &VirtualRun) -> Vec<(&'a WorkRow, TruthRow)> {
    let mut truth: BTreeMap<String, TruthRow> = run
        .truth
        .rows()
        .map(|row| (row.work_id.clone(), row))
        .collect();
    tape.rows
        .iter()
        .filter_map(|row| Some((row, truth.remove(&*row.work_id.as_ref()?.0)?)))
        .collect()
}

/// The mean and its standard error, of values that do not depend on each other.
fn mean(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let n = float(values.len());
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn float(number: usize) -> f64 {
    number as f64
}

fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, not {expected} ± {tolerance}"
    );
}
