//! The bridge that keeps the virtual world honest: one scenario, run through it and over real HTTP.

use std::sync::Arc;

use plimsoll::record::Metric;
use plimsoll::record::ledger::Count;
use plimsoll::report::quantiles::Sample;
use plimsoll::scenario::resolve;
use plimsoll::sim::world::{self, Network, Unwatched};

use crate::support::binary::head;
use crate::support::run::run;

/// The built-in service, with the faults that do not depend on when a request comes.
const SCENARIO: &str = "[simulator]\nservice_time = \"lognormal(600ms, 0.6)\"\n\
    fail_ratio = 0.2\nendless_ratio = 0.05\n\
    [[load]]\narrivals = \"poisson\"\nrate = \"60/s\"\nduration = \"1s\"\n\
    [[load]]\narrivals = \"constant\"\nrate = { from = \"60/s\", to = \"20/s\" }\nduration = \"1s\"\n\
    [poll]\ninterval = \"1s\"\ngive_up_after = \"6s\"\n[drain]\nlimit = \"7s\"\n";

#[test]
fn the_virtual_world_and_real_http_agree() {
    let text = format!("{}{SCENARIO}", head("simulator"));
    let plan = Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap());
    let virtual_run = world::run(&plan, &Network::IDEAL, Vec::new(), &mut Unwatched);
    let real = run(&text);
    real.check_rows();
    let counts = &virtual_run.snapshot.counts;
    for (name, count) in [
        ("scheduled", Count::Scheduled),
        ("sent", Count::Sent),
        ("accepted", Count::Accepted),
        ("completed", Count::Completed),
        ("failed", Count::Failed),
        ("expired", Count::Expired),
        ("lost", Count::Lost),
        ("rejected", Count::Rejected),
        ("intake_failed", Count::IntakeFailed),
    ] {
        assert_eq!(real.ledger(name), counts.get(count), "{name}");
    }
    assert!(real.ledger("failed") > 0 && real.ledger("expired") > 0);
    // Most of it is the wait for the next poll, the same in both; the machine adds milliseconds.
    let sample = Sample::of(&virtual_run.snapshot, Metric::TimeToTerminal);
    let [Some(expected)] = sample.quantiles([0.5]) else {
        panic!("no median");
    };
    let found = real.summary["metrics"]["time_to_terminal"]["p50"]
        .as_f64()
        .unwrap();
    assert!(
        (found / expected - 1.0).abs() < 0.1,
        "{found} s, and {expected} s in the virtual world"
    );
}
