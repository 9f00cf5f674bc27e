//! A fixed virtual run, for counting instructions: `scripts/instructions` runs it below callgrind.
//!
//! The whole engine against the simulated service, without a socket and without a clock, so the
//! count hardly differs from one run to the next, however busy the machine is. It says what it did,
//! since a count of something else would be no comparison.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run fails")]

use std::sync::Arc;

use plimsoll::record::ledger::Count;
use plimsoll::scenario::resolve;
use plimsoll::sim::world::{self, Network, Unwatched};

/// Poisson arrivals, polls behind a budget that binds now and then, and half a second of 429: what
/// every request passes, and the gate as well.
const SCENARIO: &str = r#"
name = "instructions"
seed = 202
[target]
base_url = "simulator"
[simulator]
service_time = "lognormal(3.3s, 0.6)"
accept_delay = "fixed(5ms)"
poll_delay = "fixed(2ms)"
fail_ratio = 0.01
[[simulator.refusals]]
at = "6s"
for = "500ms"
[[load]]
arrivals = "poisson"
rate = "500/s"
duration = "16s"
[poll]
budget = "2600/s"
"#;

#[expect(clippy::print_stdout, reason = "what a bench is for")]
fn main() {
    let plan = Arc::new(resolve::read(SCENARIO, &[], &|_| Err(String::new())).unwrap());
    let run = world::run(&plan, &Network::IDEAL, Vec::new(), &mut Unwatched);
    run.snapshot.check_books(true).unwrap();
    let count = |of| run.snapshot.counts.get(of);
    println!("works {}", count(Count::Sent));
    println!("polls {}", count(Count::Polls));
    println!("rate_limited {}", count(Count::RateLimitedPolls));
}
