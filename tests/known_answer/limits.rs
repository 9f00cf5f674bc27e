//! Budgets and gates: who leaves first, and who waits for what.

use std::collections::BTreeMap;

use plimsoll::engine::poll_policy;
use plimsoll::record::Metric;
use plimsoll::record::ledger::Count;
use plimsoll::scenario::Law;
use plimsoll::sim::world::Network;
use plimsoll::time::{Span, Tick};

use super::{Tape, close, float, run};

fn at(millis: u64) -> Tick {
    Tick(millis * 1_000_000)
}

/// The due time of every poll in the order in which they left: with answers that take no time it
/// follows from the accept, the phase and the polls before.
fn due_times(plan: &plimsoll::scenario::Plan, tape: &Tape) -> Vec<Tick> {
    let interval = plan.poll.interval.0;
    let accepted: BTreeMap<u64, Tick> = tape
        .rows
        .iter()
        .filter_map(|row| Some((row.seq, row.accepted?)))
        .collect();
    let mut next: BTreeMap<_, Tick> = tape
        .submits
        .iter()
        .filter_map(|(_, slot, seq)| {
            let first = poll_policy::first(&plan.poll, plan.seed, *seq);
            Some((*slot, *accepted.get(seq)? + first))
        })
        .collect();
    let mut dues = Vec::new();
    for (sent, slot) in &tape.polls {
        let due = next.get_mut(slot).unwrap();
        dues.push(*due);
        let passed = sent.since(*due).0 / interval + 1;
        *due = *due + Span(passed * interval);
    }
    dues
}

#[test]
fn polls_leave_in_the_order_in_which_they_are_due() {
    let (plan, tape, run) = run(
        "[simulator]\nservice_time = \"exp(5s)\"\n\
         [[load]]\nrate = \"40/s\"\nduration = \"20s\"\n\
         [poll]\ninterval = \"1s\"\nbudget = \"50/s\"\nburst = 5\n[drain]\nlimit = \"5m\"\n",
        &Network::IDEAL,
    );
    let dues = due_times(&plan, &tape);
    assert!(dues.len() > 1_000);
    assert!(dues.is_sorted(), "a poll overtook another");
    let waited = dues
        .iter()
        .zip(&tape.polls)
        .map(|(due, (sent, _))| sent.since(*due));
    let wait = run.snapshot.histograms.get(Metric::PollWait).unwrap();
    let sum: f64 = waited.map(Span::seconds).sum();
    let mean = sum / float(dues.len());
    assert!(mean > 0.5, "the budget held nobody: {mean}");
    close("poll_wait", wait.mean() / 1e6, mean, 1e-3 * mean);
    // No 429 came: all of it was the budget's.
    let budget = run.snapshot.histograms.get(Metric::PollWaitBudget).unwrap();
    close("poll_wait_budget", budget.mean() / 1e6, mean, 1e-3 * mean);
}

#[test]
fn the_wait_of_a_poll_is_split_into_budget_and_gate() {
    let (_, _, run) = run(
        "[simulator]\nservice_time = \"exp(5s)\"\n\
         refusals = [{ at = \"6s\", for = \"4s\" }, { at = \"15s\", for = \"2s\" }]\n\
         [[load]]\nrate = \"20/s\"\nduration = \"30s\"\n\
         [poll]\nbudget = \"60/s\"\nburst = 5\n[drain]\nlimit = \"5m\"\n",
        &Network::IDEAL,
    );
    let sum = |metric| {
        let samples = run.snapshot.histograms.get(metric).unwrap();
        samples.mean() / 1e6 * float(usize::try_from(samples.len()).unwrap())
    };
    let (gate, budget) = (sum(Metric::PollWaitGate), sum(Metric::PollWaitBudget));
    assert!(gate > 50.0 && budget > 50.0, "{gate} {budget}");
    let wait = sum(Metric::PollWait);
    close("gate + budget", gate + budget, wait, 2e-3 * wait);
    assert_eq!(run.snapshot.counts.get(Count::GateClosures), 2);
}

#[test]
fn no_poll_leaves_while_a_429_keeps_the_gate_closed() {
    let one_way = Span::from_millis(50);
    let network = Network {
        delay: Law::Fixed(one_way),
        ..Network::IDEAL
    };
    let (_, tape, run) = run(
        "[simulator]\nservice_time = \"exp(10s)\"\nrefusals = [{ at = \"5s\", for = \"2500ms\" }]\n\
         [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"4s\"\n\
         [drain]\nlimit = \"5m\"\n",
        &network,
    );
    // The first poll that arrives in the window is told to wait for three whole seconds.
    let refused = tape
        .polls
        .iter()
        .map(|(sent, _)| *sent + one_way)
        .find(|t| *t >= at(5_000))
        .unwrap();
    let (closed, opened) = (refused + one_way, refused + one_way + Span::from_secs(3));
    let mut others = tape.polls.iter().map(|(sent, _)| *sent);
    assert!(others.all(|sent| sent <= closed || sent >= opened));
    // What was on the wire when the gate closed was refused as well, and is the same closure; it
    // can only lengthen it, by what came later than the first.
    let counts = &run.snapshot.counts;
    assert!(counts.get(Count::RateLimitedPolls) > 1);
    assert_eq!(counts.get(Count::GateClosures), 1);
    let first = tape
        .polls
        .iter()
        .map(|(sent, _)| *sent)
        .find(|sent| *sent > closed)
        .unwrap();
    assert!(
        first <= opened + one_way + one_way,
        "{first} is long after {opened}"
    );
}

#[test]
fn a_full_wire_carries_what_littles_law_says_and_serves_submits_first() {
    // 8 on the wire at 10 ms each are 800 requests/s. Submits take 500 of them, so polls have 300,
    // though 500 fall due; the rest leaves when the load is over.
    let (_, tape, run) = run(
        "[simulator]\nservice_time = \"fixed(1ms)\"\naccept_delay = \"fixed(10ms)\"\n\
         poll_delay = \"fixed(10ms)\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"500/s\"\nduration = \"10s\"\n\
         [poll]\nfirst = \"interval\"\ninterval = \"100ms\"\nfrom = \"answer\"\n\
         [http]\nmax_in_flight = 8\n",
        &Network::IDEAL,
    );
    let count = |what| run.snapshot.counts.get(what);
    assert_eq!(
        (count(Count::Completed), count(Count::Polls)),
        (5_000, 5_000)
    );
    let in_load = tape.polls.iter().filter(|(sent, _)| *sent < at(10_000));
    let in_load = float(in_load.count());
    // From 0.11 s, when the first poll is due, within a round trip at either end.
    close("polls", in_load, 300.0 * (10.0 - 0.11), 8.0);
    let last = tape.polls.last().unwrap().0.since(at(10_000));
    close(
        "the rest",
        last.seconds(),
        (5_000.0 - in_load) / 800.0,
        0.02,
    );
    let histograms = &run.snapshot.histograms;
    let longest = |metric| histograms.get(metric).unwrap().max();
    assert_eq!(longest(Metric::GeneratorLag), 0);
    // All that a poll waits for is the wire.
    assert_eq!(longest(Metric::PollWait), longest(Metric::PollWaitBudget));
}
