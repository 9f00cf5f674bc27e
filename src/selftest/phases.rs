//! The runs of a selftest, as scenarios: they are read like those of a user.

use crate::time::Span;

/// The shortest selftest that measures anything.
pub const SHORTEST: Span = Span::from_secs(5);
/// The longest.
pub const LONGEST: Span = Span::from_secs(3_600);

/// Parts of the whole time: the load of the run that measures, of the one that tries the budget,
/// and of each rung of the ladder.
const ACCURACY: u64 = 33;
const BUDGET: u64 = 8;
const RUNG: u64 = 3;

/// Works per second of the run that measures. Rare enough that a machine that can run anything
/// keeps it up, and frequent enough for a p99 after some seconds.
pub const ACCURACY_RATE: f64 = 100.0;

fn part(whole: Span, hundredths: u64, least: Span) -> Span {
    // In whole milliseconds: a scenario writes it down.
    let part = Span::from_millis(whole.0 / 1_000_000 * hundredths / 100);
    part.max(least)
}

/// How long a rung offers its load.
pub fn rung_load(whole: Span) -> Span {
    part(whole, RUNG, Span::from_secs(2)).min(Span::from_secs(10))
}

/// What the run that measures looks like: works of all ends, faults of all kinds that are counted,
/// and delays that have a law.
pub fn accuracy(whole: Span, seed: u64) -> String {
    let load = part(whole, ACCURACY, Span::from_secs(2));
    format!(
        r#"
name = "selftest-accuracy"
seed = {seed}
[target]
base_url = "simulator"
intake_id = "demo"
[simulator]
service_time = "lognormal(700ms, 0.5)"
accept_delay = "lognormal(5ms, 0.3)"
poll_delay = "fixed(1ms)"
fail_ratio = 0.05
lose_ratio = 0.003
error_ratio = 0.01
reset_before_ratio = 0.001
reset_after_ratio = 0.001
[[load]]
arrivals = "poisson"
rate = "{ACCURACY_RATE}/s"
duration = "{load}"
[poll]
interval = "500ms"
give_up_after = "1m"
lost_after = "2s"
[drain]
limit = "20s"
"#
    )
}

/// More polls are due than the budget holds, and more requests than the limit.
pub fn budget(whole: Span, seed: u64) -> String {
    let load = part(whole, BUDGET, Span::from_secs(3)).min(Span::from_secs(30));
    format!(
        r#"
name = "selftest-budget"
seed = {seed}
[target]
base_url = "simulator"
intake_id = "demo"
[simulator]
service_time = "fixed(2s)"
[[load]]
arrivals = "constant"
rate = "30/s"
duration = "{load}"
[poll]
interval = "250ms"
give_up_after = "5m"
budget = "60/s"
burst = 10
[limits]
rate = "80/s"
burst = 10
[drain]
limit = "2m"
"#
    )
}

/// A rung of the ladder: `works` works a second, each polled twice. The cap on what is on the wire
/// is a fifth of a second of requests, so that it needs no more descriptors: where that many wait,
/// the service reads late or the run does, by far more than is accurate, and both are stamped.
pub fn rung(whole: Span, seed: u64, works: u64) -> String {
    let load = rung_load(whole);
    let wire = (works * 3 / 5).max(200);
    format!(
        r#"
name = "selftest-rung"
seed = {seed}
[target]
base_url = "simulator"
intake_id = "demo"
[simulator]
service_time = "fixed(500ms)"
[[load]]
arrivals = "poisson"
rate = "{works}/s"
duration = "{load}"
[poll]
interval = "500ms"
give_up_after = "10s"
timeout = "500ms"
[submit]
timeout = "500ms"
[http]
max_in_flight = {wire}
[drain]
limit = "4s"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    #[test]
    fn every_phase_is_a_scenario() {
        for whole in [SHORTEST, Span::from_secs(60), Span(61_000_000_001), LONGEST] {
            for text in [accuracy(whole, 1), budget(whole, 1), rung(whole, 1, 12_345)] {
                let read = resolve::read(&text, &[], &|_| Err(String::new()));
                assert!(read.is_ok(), "{read:?} of {text}");
            }
        }
    }

    #[test]
    fn a_minute_has_room_for_all_of_it() {
        let minute = Span::from_secs(60);
        let loads = [
            part(minute, ACCURACY, Span::ZERO),
            part(minute, BUDGET, Span::ZERO),
            rung_load(minute),
        ];
        assert_eq!(loads, [19_800, 4_800, 2_000].map(Span::from_millis));
    }
}
