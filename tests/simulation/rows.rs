//! A run without rows is the same run.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll::record::CATALOGUE;
use plimsoll::record::ledger::Count;
use plimsoll::record::row::Settled;
use plimsoll::sim::world::{self, Network, VirtualRun, Watch};

use crate::found::case;

/// Every kind of end, for each of which there is a row or none.
const SCENARIO: &str = "[simulator]\nservice_time = \"exp(1s)\"\nfail_ratio = 0.1\n\
    endless_ratio = 0.1\nlose_ratio = 0.1\nerror_ratio = 0.1\nreset_after_ratio = 0.1\n\
    accept_delay = \"exp(100ms)\"\n\
    [[load]]\nrate = \"80/s\"\nduration = \"10s\"\n\
    [submit]\nmax_in_flight = 10\noverload = \"drop\"\n\
    [poll]\ngive_up_after = \"8s\"\n[drain]\nlimit = \"5s\"\n";

#[derive(Default)]
struct Rows(BTreeMap<u64, Settled>);

impl Watch for Rows {
    fn settled(&mut self, settled: Settled) {
        self.0.insert(settled.row.seq, settled);
    }
}

fn run(report: &str) -> (VirtualRun, Rows) {
    let plan = Arc::new(case(&format!("{SCENARIO}{report}")).plan);
    let mut rows = Rows::default();
    let run = world::run(&plan, &Network::IDEAL, Vec::new(), &mut rows);
    (run, rows)
}

#[test]
fn a_run_without_rows_has_the_same_books_and_explains_the_same() {
    let (with, rows) = run("");
    let (without, explained) = run("[report]\nworks = \"none\"\n");
    for count in Count::ALL {
        let of = |run: &VirtualRun| run.snapshot.counts.get(*count);
        assert_eq!(of(&with), of(&without), "{}", count.name());
    }
    for metric in &CATALOGUE {
        let of = |run: &VirtualRun| run.snapshot.histograms.get(metric.metric).cloned();
        assert_eq!(of(&with), of(&without), "{}", metric.name);
    }
    assert_eq!(with.snapshot.seen, without.snapshot.seen);
    assert_eq!(with.snapshot.stuck, without.snapshot.stuck);
    assert_eq!(with.end, without.end);
    let all = rows.0.len();
    let expected: BTreeMap<_, _> = (rows.0.into_iter())
        .filter(|(_, settled)| settled.row.outcome.explains())
        .collect();
    assert!(expected.len() > 100 && expected.len() < all / 2, "{all}");
    assert_eq!(explained.0, expected);
}
