//! The same by virtual time: the whole engine against a service whose works end as those of the
//! measured run did, at the rate of the peak.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::burst::WINDOWS;
use super::need::{Given, Need};
use super::polling::Lag;
use crate::record::bursts::Burst;
use crate::record::ledger::Count;
use crate::record::row::WorkRow;
use crate::record::snapshot::Snapshot;
use crate::scenario::{
    Arrivals, Base, Law, Plan, Rate, RateScope, ReceiverFault, ReceiverFaultKind, Shape, SimPlan,
    Stage,
};
use crate::sim::world::{Network, Unwatched, World};
use crate::sim::{Service, Truth};
use crate::time::{Span, Tick};

/// Fewest works of a run, and most of them.
const WORKS: [f64; 2] = [20_000.0, 200_000.0];
/// Works in flight are replaced so often in a run, where that is possible.
const TURNOVERS: f64 = 4.0;
/// Requests of a run at most, by what is reckoned; but for a tenth of the fewest works.
const REQUESTS: f64 = 4e6;
/// Turns after which it is asked whether to go on.
const TURNS: u64 = 4_096;
/// Polls of a run from which on their number is compared by itself.
const ENOUGH_POLLS: f64 = 1_000.0;
/// How far the formulas may be off, as a share.
pub const WITHIN: f64 = 0.02;

/// What a choice took and gave in virtual time.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// Works that were played.
    pub works: u64,
    /// Submits and polls a second of the load.
    pub requests_per_s: Noisy,
    /// Answers 429 a second.
    pub rejected_per_s: f64,
    /// Polls for each accepted work.
    pub polls: Noisy,
    /// From the end of a work in the service to the instant at which its caller knew it.
    pub lag: Option<Lag>,
    /// The standard error of its mean.
    pub lag_error: f64,
    /// The share of the accepted works whose end was known.
    pub known: f64,
    /// The most callbacks a second in each of [`WINDOWS`]; none where none came.
    pub callback_peaks: Option<[f64; WINDOWS.len()]>,
}

/// A mean and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noisy {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// How far what was played is from what was reckoned, as shares of the latter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Of the requests a second.
    pub requests: f64,
    /// Of the polls a work.
    pub polls: f64,
    /// Of the mean lag.
    pub lag: f64,
    /// What chance alone may make of the largest of them: two standard errors.
    pub noise: f64,
}

impl Difference {
    /// None beyond the limit, where the formulas speak of callers who ignore it, or hold back by
    /// themselves, and the engine obeys each 429; and none where the formulas are not exact.
    pub fn of(need: &Need, played: &Played) -> Option<Self> {
        let (reckoned, found) = (need.lag?, played.lag?);
        if need.excess_per_s > 0.0 || !need.is_exact {
            return None;
        }
        let apart = |found: f64, reckoned: f64| {
            // Where nothing is expected nothing is a share of it.
            let least = 1e-6;
            (found - reckoned) / reckoned.max(least)
        };
        let noise = |noisy: Noisy| noisy.error / noisy.value.max(1e-6);
        let lag = Noisy {
            value: found.mean,
            error: played.lag_error,
        };
        // A few sweeps tell nothing by themselves; they are among the requests.
        let polls = need.polls * float(played.works) >= ENOUGH_POLLS;
        let errors = [played.requests_per_s, lag].map(noise);
        let errors = errors.into_iter().chain(polls.then(|| noise(played.polls)));
        Some(Self {
            requests: apart(played.requests_per_s.value, need.requests_per_s),
            polls: if polls {
                apart(played.polls.value, need.polls)
            } else {
                0.0
            },
            lag: apart(found.mean, reckoned.mean),
            noise: 2.0 * errors.fold(0.0, f64::max),
        })
    }

    /// The largest of them.
    pub fn largest(&self) -> f64 {
        [self.requests, self.polls, self.lag]
            .into_iter()
            .fold(
                0.0,
                |most, of| if of.abs() > most { of.abs() } else { most },
            )
    }

    /// Whether both agree: to two in a hundred, and what chance may add.
    pub fn agrees(&self) -> bool {
        self.largest() <= WITHIN + self.noise
    }
}

/// Plays a choice at a rate. None if `go_on` says so on the way.
pub fn play(given: &Given, choice: &Plan, rate: Rate, go_on: &dyn Fn() -> bool) -> Option<Played> {
    let works = works(given, choice, rate.per_second());
    let plan = Arc::new(plan(given, choice, rate, works));
    let network = Network {
        delay: Law::Fixed(Span::from_secs_f64(given.way.one_way())),
        ..Network::IDEAL
    };
    let service = Service::new(&plan.simulator, plan.seed, None);
    let mut world = World::new(&plan, 1, network, service);
    let mut rows = Vec::new();
    let mut snapshot = Snapshot::default();
    let mut turns = 0_u64;
    while world.step(&mut Unwatched) {
        let engine = world.engine(0);
        rows.extend(engine.take_settled().into_iter().map(|settled| settled.row));
        // That many are not to be held.
        drop(engine.take_calls());
        for interval in engine.take_intervals() {
            snapshot.absorb(&interval);
        }
        turns += 1;
        if turns.is_multiple_of(TURNS) && !go_on() {
            return None;
        }
    }
    let end = world.now();
    let (mut engines, service) = world.end();
    for engine in &mut engines {
        engine.close(end);
        rows.extend(engine.take_settled().into_iter().map(|settled| settled.row));
        for interval in engine.take_intervals() {
            snapshot.absorb(&interval);
        }
    }
    let load = plan.load[0].duration.seconds();
    Some(judge(&snapshot, &rows, &service.close(end), load))
}

/// How many works are played: enough to tell two in a hundred, and to turn over those in flight.
fn works(given: &Given, choice: &Plan, rate: f64) -> f64 {
    let polling = given.polling(choice);
    let in_flight = rate * given.sojourn.mean();
    let [fewest, most] = WORKS;
    let wanted = (TURNOVERS * in_flight).clamp(fewest, most);
    wanted.min((REQUESTS / (1.0 + polling.polls)).max(fewest / 10.0))
}

/// The scenario of the peak: its load alone, against works that end as they did, and the limit that
/// the service has. Callers obey 429, and hold back by nothing else.
fn plan(given: &Given, choice: &Plan, rate: Rate, works: f64) -> Plan {
    let mut plan = choice.clone();
    let duration = Span::from_secs_f64(works / rate.per_second());
    plan.load = vec![Stage {
        arrivals: Arrivals::Poisson(Shape::Flat(rate)),
        duration,
    }];
    plan.target.base = Base::Simulator;
    plan.target.max_rate = None;
    plan.simulator = service(given, &choice.simulator);
    plan.submit.max_in_flight = 0;
    plan.submit.retries = 0;
    plan.http.max_in_flight = 0;
    plan.poll.budget = None;
    // What a run would learn it knows: the formulas do not reckon with its first minutes.
    plan.poll.like = Some(given.sojourn.ended());
    plan.limits = None;
    plan.drain_limit = Span(2 * plan.poll.give_up_after.0) + Span::from_secs(60);
    plan.slo = Vec::new();
    plan.report.works = true;
    plan.observe.callback.faults = vec![ReceiverFault {
        kind: ReceiverFaultKind::Status(503),
        ratio: given.size.failure_ratio,
        at: Tick::ZERO,
        until: Tick::NEVER,
    }];
    plan
}

/// A service without faults of its own, whose works end as those of the measured run did.
fn service(given: &Given, like: &SimPlan) -> SimPlan {
    let none = Law::Fixed(Span::ZERO);
    SimPlan {
        workers: 0,
        service_time: given.sojourn.law_after(given.way.one_way()),
        failed_service_time: None,
        fail_ratio: 0.0,
        accept_delay: Law::Fixed(given.way.accept_delay()),
        poll_delay: none.clone(),
        network_delay: none,
        rate_limit: given.limit,
        rate_scope: RateScope::Both,
        visible_after: Span::ZERO,
        retry_after_s: 0,
        stalls: Vec::new(),
        refusals: Vec::new(),
        error_ratio: 0.0,
        reset_before_ratio: 0.0,
        reset_after_ratio: 0.0,
        lose_ratio: 0.0,
        endless_ratio: given.sojourn.endless(),
        repeat_id_ratio: 0.0,
        revert_ratio: 0.0,
        garbage_ratio: 0.0,
        ..like.clone()
    }
}

fn judge(snapshot: &Snapshot, rows: &[WorkRow], truth: &Truth, load: f64) -> Played {
    let count = |what| float(snapshot.counts.get(what));
    let ended: BTreeMap<String, Tick> = truth
        .rows()
        .filter_map(|row| Some((row.work_id, row.terminal?)))
        .collect();
    let lag = |row: &WorkRow| {
        let ended = ended.get(&*row.work_id.as_ref()?.0)?;
        Some(row.detected?.since(*ended).seconds())
    };
    let mut lags: Vec<f64> = rows.iter().filter_map(lag).collect();
    lags.sort_by(f64::total_cmp);
    let accepted = rows.iter().filter(|row| row.accepted.is_some());
    let polls = mean(accepted.map(|row| f64::from(row.polls)));
    // Of a compound Poisson process the variance is that of the mean square of its jumps.
    let requests = rows.iter().map(|row| f64::from(row.polls) + 1.0);
    let squares: f64 = requests.map(|of| of * of).sum();
    let mean_lag = mean(lags.iter().copied());
    let at = |share: f64| {
        let rank = crate::report::quantiles::rank(share, lags.len() as u64);
        usize::try_from(rank - 1).map_or(0.0, |place| lags[place])
    };
    let accepted = count(Count::Accepted);
    Played {
        works: snapshot.counts.get(Count::Scheduled),
        requests_per_s: Noisy {
            value: (count(Count::Submits) + count(Count::Polls)) / load,
            error: squares.sqrt() / load,
        },
        rejected_per_s: count(Count::RateLimited) / load,
        polls,
        lag: (!lags.is_empty()).then(|| Lag {
            mean: mean_lag.value,
            p50: at(0.5),
            p99: at(0.99),
        }),
        lag_error: mean_lag.error,
        known: if accepted > 0.0 {
            count(Count::Terminal) / accepted
        } else {
            0.0
        },
        callback_peaks: callback_peaks(snapshot),
    }
}

fn callback_peaks(snapshot: &Snapshot) -> Option<[f64; WINDOWS.len()]> {
    let bursts = snapshot.bursts.until(snapshot.end);
    let per_second = |burst: &Burst| float(burst.most) / burst.window.seconds();
    let peaks: Vec<f64> = bursts.iter().map(per_second).collect();
    peaks.try_into().ok()
}

/// The mean and its standard error, of values that do not depend on each other.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> Noisy {
    let n: f64 = values.clone().map(|_| 1.0).sum();
    if n < 2.0 {
        return Noisy {
            value: values.sum(),
            error: 0.0,
        };
    }
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    Noisy {
        value: mean,
        error: (squares / (n - 1.0) / n).sqrt(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::delivery::Delivery;
    use super::super::need::tests::{given, plan};
    use super::super::sojourn::Way;
    use super::*;

    fn check(law: &str, more: &str, rate: &str, way: Way) -> (Need, Played) {
        let plan = plan(&format!(
            "[size]\npeak = ['{rate}']\nlimit = '100000/s'\n[poll]\ngive_up_after = '1h'\n{more}\n"
        ));
        let given = given(law, &plan);
        let delivery = Delivery::of(&plan.simulator.callback, given.size.failure_ratio);
        let given = Given {
            way,
            delivery,
            ..given
        };
        let rate = Rate::parse(rate).unwrap();
        let need = given.need(&plan, rate.per_second());
        let played = play(&given, &plan, rate, &|| true).unwrap();
        let apart = Difference::of(&need, &played).unwrap();
        // Sweeps are rare: chance adds more than the formulas may be off.
        let is_rare = need.polls < 1.0;
        let within = WITHIN + if is_rare { apart.noise } else { 0.0 };
        assert!(
            apart.largest() <= within,
            "{law} {more}: {apart:?}\n{need:#?}\n{played:#?}"
        );
        (need, played)
    }

    #[test]
    fn fixed_polls_are_what_the_formulas_say() {
        for law in ["fixed(9s)", "exp(8s)", "lognormal(8s, 0.6)"] {
            let (need, played) = check(law, "interval = '5s'", "400/s", Way::default());
            let (reckoned, found) = (need.lag.unwrap(), played.lag.unwrap());
            for (one, other) in [(reckoned.p50, found.p50), (reckoned.p99, found.p99)] {
                assert!((one / other - 1.0).abs() < WITHIN, "{reckoned:?} {found:?}");
            }
            assert!(played.rejected_per_s.abs() < 1e-9);
        }
    }

    #[test]
    fn a_way_and_a_first_poll_after_one_interval_are_in_them() {
        let way = Way {
            accept: 0.8,
            round_trip: 0.4,
        };
        check("lognormal(8s, 0.6)", "interval = '2s'", "100/s", way);
        check(
            "exp(8s)",
            "interval = '2s'\nfirst = 'interval'",
            "100/s",
            way,
        );
        check("exp(8s)", "interval = '2s'\nfrom = 'answer'", "100/s", way);
        let exponential = "interval = '1s'\npolicy = 'exponential'";
        check("lognormal(8s, 0.6)", exponential, "100/s", way);
    }

    #[test]
    fn callbacks_and_sweeps_are_what_the_formulas_say() {
        let called = |mode: &str| {
            format!(
                "interval = '5s'\n[observe]\nmode = '{mode}'\ndeadline = '20s'\n\
                 [simulator.callback]\ndelay = 'exp(500ms)'\nretries = ['5s', '60s']"
            )
        };
        for law in ["exp(8s)", "lognormal(8s, 0.6)"] {
            let (need, played) = check(law, &called("callback"), "400/s", Way::default());
            assert!(need.polls.abs() < 1e-9 && played.polls.value.abs() < 1e-9);
            check(law, &called("hybrid"), "400/s", Way::default());
        }
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let plan = plan("[size]\npeak = ['10/s']\n");
        let rate = Rate::parse("10/s").unwrap();
        assert_eq!(play(&given("exp(8s)", &plan), &plan, rate, &|| false), None);
    }

    #[test]
    fn beyond_the_limit_there_is_no_comparison() {
        let plan = plan("[size]\npeak = ['30/s']\nlimit = '40/s'\n[poll]\ninterval = '1s'\n");
        let given = given("fixed(2s)", &plan);
        let rate = Rate::parse("30/s").unwrap();
        let need = given.need(&plan, 30.0);
        assert!(need.excess_per_s > 79.0 && need.lag.is_none());
        let played = play(&given, &plan, rate, &|| true).unwrap();
        assert!(played.rejected_per_s > 0.1, "{played:?}");
        assert_eq!(Difference::of(&need, &played), None);
    }
}
