//! What several shards of one run have in common.

use plimsoll::record::Metric;
use plimsoll::record::ledger::Count;
use plimsoll::time::{Span, Tick};

use crate::Seen;
use crate::dice::Case;
use crate::found::case;

/// Runs it as so many shards, whose messages take a few milliseconds.
fn run(case: &mut Case, shards: usize) -> Seen {
    case.shards = shards;
    case.network.between_shards = Span::from_millis(3);
    crate::run(case)
}

#[test]
fn any_number_of_shards_offers_the_same_load() {
    let mut case = case(
        "[simulator]\nservice_time = \"exp(1s)\"\nrepeat_id_ratio = 0.1\n\
         [[load]]\narrivals = \"poisson\"\nrate = { from = \"10/s\", to = \"90/s\" }\n\
         duration = \"5s\"\n[[load]]\narrivals = \"constant\"\nrate = \"30/s\"\n\
         duration = \"2500ms\"\n",
    );
    let mut offered = |shards| {
        let seen = run(&mut case, shards);
        let mut rows: Vec<_> = seen
            .rows
            .iter()
            .map(|row| (row.seq, row.stage, row.intended))
            .collect();
        rows.sort_unstable();
        (rows, seen.run.snapshot.sent_in_load)
    };
    let whole = offered(1);
    assert!(whole.0.len() > 200);
    for shards in [2, 3, 5] {
        assert_eq!(offered(shards), whole, "{shards} shards");
    }
}

/// As in `submits_that_no_gate_holds_leave_the_pace_to_the_polls`, with the same figures: a gate in
/// each shard, but one closure, and paces that sum to that of one gate.
#[test]
fn a_429_closes_the_gates_of_all_shards_and_is_one_closure() {
    let mut case = case(
        "[simulator]\nservice_time = \"fixed(200s)\"\nrate_scope = \"poll\"\n\
         refusals = [{ at = \"5s\", for = \"30s\" }]\n\
         [[load]]\narrivals = \"constant\"\nrate = \"20/s\"\nduration = \"40s\"\n\
         [poll]\ninterval = \"5s\"\ngive_up_after = \"6m\"\n[drain]\nlimit = \"5m\"\n",
    );
    for shards in [2, 3] {
        let Seen { run, polled, .. } = run(&mut case, shards);
        let counts = &run.snapshot.counts;
        assert_eq!(counts.get(Count::GateClosures), 1, "{shards} shards");
        let waited = run.snapshot.histograms.get(Metric::PollWaitBudget).unwrap();
        assert!(waited.max() < 12_000_000, "{} us", waited.max());
        let (first, last) = (Tick(35_000_000_000), Tick(42_000_000_000));
        let left = polled.iter().filter(|at| (first..last).contains(at));
        let left = left.count();
        assert!((100..=145).contains(&left), "{left} by {shards} shards");
    }
}

/// A closed gate in one shard only would let the others go on: they hear of it within one message.
#[test]
fn no_shard_polls_on_when_another_was_refused() {
    let mut case = case(
        "[simulator]\nservice_time = \"fixed(60s)\"\nrate_scope = \"poll\"\n\
         refusals = [{ at = \"3s\", for = \"4ms\" }]\n\
         [[load]]\narrivals = \"constant\"\nrate = \"100/s\"\nduration = \"5s\"\n\
         [poll]\ninterval = \"1s\"\ngive_up_after = \"6s\"\n[drain]\nlimit = \"6s\"\n",
    );
    let Seen { run, polled, .. } = run(&mut case, 3);
    let counts = &run.snapshot.counts;
    assert_eq!(counts.get(Count::GateClosures), 1);
    // Some shard never had a 429 of its own.
    let refused = counts.get(Count::RateLimited);
    assert!((1..3).contains(&refused), "{refused}");
    // 429s of the simulator ask for a second. The first was read soon after the refusals began; a
    // poll that got one just before the news came prolongs it.
    let closed = Tick(3_020_000_000)..Tick(3_990_000_000);
    let early = polled.iter().filter(|at| closed.contains(at)).count();
    assert_eq!(early, 0);
}
