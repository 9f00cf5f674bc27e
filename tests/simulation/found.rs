//! What went wrong once, as the smallest scenario that shows it.

use plimsoll::engine::Input;
use plimsoll::record::Metric;
use plimsoll::record::ledger::Count;
use plimsoll::scenario::{Law, resolve};
use plimsoll::sim::world::{Network, VirtualRun};
use plimsoll::time::{Span, Tick};

use crate::dice::Case;

pub(crate) fn case(rest: &str) -> Case {
    let text = format!("name = \"found\"\n[target]\nbase_url = \"simulator\"\n{rest}");
    let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
    Case {
        text,
        plan,
        network: Network::IDEAL,
        told: Vec::new(),
        shards: 1,
    }
}

/// Runs it under all checks.
fn check(case: &Case) -> VirtualRun {
    crate::run(case).run
}

#[test]
fn retries_behind_a_full_wire_do_not_spin_where_arrivals_are_dropped() {
    check(&case(
        "[simulator]\naccept_delay = \"fixed(2s)\"\nservice_time = \"fixed(0s)\"\n\
         refusals = [{ at = \"0s\", for = \"1s\" }]\n\
         [[load]]\narrivals = \"constant\"\nrate = \"5/s\"\nduration = \"6s\"\n\
         [submit]\nmax_in_flight = 2\noverload = \"drop\"\non_429 = \"retry\"\n",
    ));
}

#[test]
fn arrivals_that_a_stop_leaves_behind_a_limit_do_not_spin() {
    let mut case = case(
        "[simulator]\nservice_time = \"fixed(3s)\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"10/s\"\nduration = \"5s\"\n\
         [limits]\nrate = \"1/s\"\n",
    );
    let at = Tick::ZERO + Span::from_millis(2_050);
    case.told.push((at, Input::StopLoad { at }));
    let run = check(&case);
    assert_eq!(run.snapshot.counts.get(Count::Scheduled), 21);
    assert_eq!(run.snapshot.gauges.queued, 18);
}

#[test]
fn an_arrival_that_waits_when_the_load_is_stopped_at_its_own_instant_keeps_its_row() {
    let mut case = case(
        "[simulator]\nservice_time = \"fixed(3s)\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"10/s\"\nduration = \"5s\"\n\
         [limits]\nrate = \"1/s\"\n",
    );
    // The clock of a stop may also have been read a little before the last turn.
    let (at, heard) = (Tick(2_000_000_000), Tick(2_100_000_000));
    case.told.push((heard, Input::StopLoad { at }));
    let seen = crate::run_unjudged(&case);
    assert_eq!(seen.run.snapshot.counts.get(Count::Scheduled), 21);
    assert_eq!(seen.rows.len(), 21);
}

#[test]
fn polls_of_works_that_were_given_up_leave_the_queue() {
    // One poll an hour: after the first, every poll waits until its work is given up.
    let case = case(
        "[simulator]\nservice_time = \"fixed(0s)\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"20s\"\n\
         [poll]\nfirst = \"now\"\ngive_up_after = \"2s\"\nbudget = \"1/h\"\nrecheck = 1.0\n\
         recheck_after = \"1s\"\n[drain]\nlimit = \"5s\"\n",
    );
    let run = check(&case);
    assert_eq!(run.snapshot.counts.get(Count::Expired), 999);
}

#[test]
fn a_timeout_shorter_than_the_way_to_the_service_is_heard_when_it_passes() {
    let mut case = case(
        "[simulator]\nservice_time = \"fixed(0s)\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"10/s\"\nduration = \"3s\"\n\
         [submit]\ntimeout = \"20ms\"\n",
    );
    case.network.delay = Law::Fixed(Span::from_millis(700));
    let run = check(&case);
    assert_eq!(run.snapshot.counts.get(Count::MaybeAccepted), 30);
    assert_eq!(run.end, Tick(3_000_000_000));
    // Those that were still on their way at the end have not been taken.
    assert_eq!(run.truth.rows().count(), 24);
}

#[test]
fn submits_that_no_gate_holds_leave_the_pace_to_the_polls() {
    // Half a minute of 429s closes the gate for polls, while submits go on in the open loop.
    let case = case(
        "[simulator]\nservice_time = \"fixed(200s)\"\nrate_scope = \"poll\"\n\
         refusals = [{ at = \"5s\", for = \"30s\" }]\n\
         [[load]]\narrivals = \"constant\"\nrate = \"20/s\"\nduration = \"40s\"\n\
         [poll]\ninterval = \"5s\"\ngive_up_after = \"6m\"\n[drain]\nlimit = \"5m\"\n",
    );
    let crate::Seen { run, polled, .. } = crate::run(&case);
    // The pace begins at 0.7 of what was measured, m, and grows along the cubic until nobody waits:
    // 800 are through after 12 s, m being 14/s at the least.
    let waited = run.snapshot.histograms.get(Metric::PollWaitBudget).unwrap();
    assert!(waited.max() < 12_000_000, "{} us", waited.max());
    // Of 20 works/s, each asked within 5 s, 18 are asked in the fifth second, give or take 4 by
    // chance. Along the cubic 103 to 142 polls leave in the six seconds after 36 s. Had the submits
    // used up the pace, hardly any would.
    assert_eq!(run.snapshot.counts.get(Count::GateClosures), 1);
    let (first, last) = (
        Tick::ZERO + Span::from_secs(35),
        Tick::ZERO + Span::from_secs(42),
    );
    let left = polled
        .iter()
        .filter(|at| (first..last).contains(at))
        .count();
    assert!((100..=145).contains(&left), "{left}");
}
