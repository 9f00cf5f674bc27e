//! `size.json` and `size.csv`: the result for machines. The shapes of the files live here.

#![expect(
    clippy::struct_field_names,
    reason = "fields are the keys of the file, which say their units"
)]

use serde::Serialize;

use super::advice::{self, Decision, Highest, MARGIN};
use super::burst::WINDOWS;
use super::measured::Measured;
use super::need::{self, Given, Need};
use super::played::{self, WITHIN};
use super::polling::Lag;
use super::result::{self, Point, Row, Sizing};
use crate::report::summary::wall;
use crate::scenario::{Mode, Plan, PollPolicy};

/// The version of the shape.
pub const SCHEMA: &str = "plimsoll.size/1";

#[derive(Serialize)]
struct File<'a> {
    schema: &'static str,
    scenario: &'a str,
    seed: u64,
    version: &'static str,
    started_at: String,
    target: &'a str,
    simulated: bool,
    valid: bool,
    invalid: Vec<String>,
    measured: MeasuredTimes<'a>,
    given: Assumed,
    polling: Polling,
    peaks: Vec<Peak<'a>>,
    runs: Vec<Run<'a>>,
    agreement: Option<Agreement<'a>>,
    farthest_run: Option<Farthest<'a>>,
    curves: Vec<Curve<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct MeasuredTimes<'a> {
    from: &'a str,
    works: u64,
    sojourn_mean_s: f64,
    sojourn_p50_s: f64,
    sojourn_p99_s: f64,
    not_seen_to_end: f64,
    accept_s: f64,
    poll_round_trip_s: f64,
    callback_dispersion: Vec<Dispersion>,
}

#[derive(Serialize)]
struct Dispersion {
    window_s: f64,
    index: f64,
}

#[derive(Serialize)]
struct Assumed {
    limit_per_s: Option<f64>,
    limit_burst: Option<u32>,
    margin: f64,
    lag_s: f64,
    handler_time_s: f64,
    outage_s: f64,
    callback_attempts: usize,
    callback_retried_for_s: f64,
    callback_failure_ratio: f64,
    poll_bytes: u64,
    result_bytes: u64,
}

#[derive(Serialize)]
struct Polling {
    wanted_interval_s: Option<f64>,
    highest_per_s: Option<f64>,
    highest_with_margin_per_s: Option<f64>,
    highest_at_any_lag_per_s: Option<f64>,
    break_even_interval_s: Option<f64>,
}

#[derive(Serialize)]
struct Peak<'a> {
    #[serde(rename = "peak")]
    written: String,
    works_per_s: f64,
    recommendation: Option<Advice<'a>>,
    choices: Vec<Choice<'a>>,
}

#[derive(Serialize)]
struct Advice<'a> {
    #[serde(flatten)]
    decided: Decided<'a>,
    words: &'static str,
    reasons: &'a [String],
    if_works_take_twice_as_long: Decided<'a>,
    if_the_limit_halves: Option<Decided<'a>>,
}

#[derive(Serialize)]
struct Decided<'a> {
    verdict: &'static str,
    choice: Option<&'a str>,
    poll_interval_s: Option<f64>,
    share_of_limit: Option<f64>,
    shortest_interval_s: Option<f64>,
}

#[derive(Serialize)]
struct Named<'a> {
    choice: &'a str,
    mode: &'static str,
    policy: Option<&'static str>,
    interval_s: Option<f64>,
    deadline_s: Option<f64>,
}

#[derive(Serialize)]
struct Choice<'a> {
    #[serde(flatten)]
    named: Named<'a>,
    computed: Computed,
    #[serde(rename = "virtual")]
    played: Option<Played>,
    difference: Option<Difference>,
}

#[derive(Serialize)]
struct Computed {
    requests_per_s: f64,
    share_of_limit: Option<f64>,
    rejected_per_s: f64,
    polls_per_work: f64,
    lag: Option<Lags>,
    known: f64,
    bytes_per_s: f64,
    connections: f64,
    callbacks: Option<Callbacks>,
}

#[derive(Serialize)]
struct Callbacks {
    per_s: f64,
    peak_per_s: Vec<Burst>,
    at_once: f64,
    lost_without_sweep: f64,
    outage: Outage,
}

#[derive(Serialize)]
struct Burst {
    window_s: f64,
    per_s: f64,
}

#[derive(Serialize)]
struct Outage {
    outage_s: f64,
    lost: f64,
    late: f64,
    storm_per_s: f64,
    storm_s: Option<f64>,
}

#[derive(Serialize)]
struct Played {
    works: u64,
    requests_per_s: f64,
    rejected_per_s: f64,
    polls_per_work: f64,
    lag: Option<Lags>,
    known: f64,
    callback_peak_per_s: Vec<Burst>,
}

#[derive(Serialize)]
struct Lags {
    mean_s: f64,
    p50_s: f64,
    p99_s: f64,
}

#[derive(Serialize)]
struct Difference {
    requests_per_s: f64,
    polls_per_work: f64,
    lag_mean: f64,
    noise: f64,
    agrees: bool,
}

#[derive(Serialize)]
struct Agreement<'a> {
    largest_difference: f64,
    noise: f64,
    within: f64,
    agrees: bool,
    peak: String,
    choice: &'a str,
}

/// The figure of a short run that is farthest from what is computed of it.
#[derive(Serialize)]
struct Farthest<'a> {
    standard_errors: f64,
    choice: &'a str,
}

#[derive(Serialize)]
struct Run<'a> {
    choice: &'a str,
    run_dir: &'a str,
    invalid: &'a [String],
    works: u64,
    works_per_s: f64,
    rejected: u64,
    measured: Figures,
    computed: Figures,
}

#[derive(Serialize)]
struct Figures {
    requests_per_s: f64,
    polls_per_work: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    polls_error: Option<f64>,
    lag: Option<Lags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_error_s: Option<f64>,
}

#[derive(Serialize)]
struct Curve<'a> {
    choice: &'a str,
    points: Vec<Dot>,
}

#[derive(Serialize)]
struct Dot {
    works_per_s: f64,
    requests_per_s: f64,
    lag_s: Option<f64>,
}

/// To nine significant digits: more say nothing.
fn short(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

impl From<Lag> for Lags {
    fn from(lag: Lag) -> Self {
        Self {
            mean_s: short(lag.mean),
            p50_s: short(lag.p50),
            p99_s: short(lag.p99),
        }
    }
}

impl<'a> From<&'a Decision> for Decided<'a> {
    fn from(from: &'a Decision) -> Self {
        Self {
            verdict: from.verdict.word(),
            choice: from.choice.as_deref(),
            poll_interval_s: from.interval.map(short),
            share_of_limit: from.share.map(short),
            shortest_interval_s: from.shortest.map(short),
        }
    }
}

impl<'a> From<&'a advice::Advice> for Advice<'a> {
    fn from(from: &'a advice::Advice) -> Self {
        Self {
            decided: Decided::from(&from.decision),
            words: from.decision.verdict.words(),
            reasons: &from.reasons,
            if_works_take_twice_as_long: Decided::from(&from.if_slower),
            if_the_limit_halves: from.if_halved.as_ref().map(Decided::from),
        }
    }
}

impl<'a> Named<'a> {
    fn of(choice: &'a advice::Choice) -> Self {
        let plan: &Plan = &choice.plan;
        let mode = plan.observe.mode;
        let polls = mode == Mode::Poll;
        Self {
            choice: &choice.name,
            mode: mode.word(),
            policy: polls.then(|| word(plan.poll.policy)),
            interval_s: (mode != Mode::Callback).then(|| plan.poll.interval.seconds()),
            deadline_s: (mode == Mode::Hybrid).then(|| plan.observe.deadline.seconds()),
        }
    }
}

const fn word(policy: PollPolicy) -> &'static str {
    match policy {
        PollPolicy::Fixed => "fixed",
        PollPolicy::Exponential { .. } => "exponential",
        PollPolicy::Hinted => "hinted",
        PollPolicy::Optimal { .. } => "optimal",
    }
}

fn bursts(peaks: [f64; WINDOWS.len()]) -> Vec<Burst> {
    let each = WINDOWS.into_iter().zip(peaks);
    each.map(|(window_s, per_s)| Burst {
        window_s,
        per_s: short(per_s),
    })
    .collect()
}

impl From<&Need> for Computed {
    fn from(from: &Need) -> Self {
        Self {
            requests_per_s: short(from.requests_per_s),
            share_of_limit: from.share.map(short),
            rejected_per_s: short(from.excess_per_s),
            polls_per_work: short(from.polls),
            lag: from.lag.map(Lags::from),
            known: short(from.known),
            bytes_per_s: short(from.bytes_per_s),
            connections: short(from.connections),
            callbacks: from.callbacks.as_ref().map(Callbacks::from),
        }
    }
}

impl From<&need::Callbacks> for Callbacks {
    fn from(from: &need::Callbacks) -> Self {
        Self {
            per_s: short(from.per_s),
            peak_per_s: bursts(from.peak_per_s),
            at_once: from.at_once,
            lost_without_sweep: short(from.lost),
            outage: Outage {
                outage_s: from.outage.seconds,
                lost: short(from.outage.lost),
                late: short(from.outage.late),
                storm_per_s: short(from.outage.storm_per_s),
                storm_s: from.outage.storm_s.map(short),
            },
        }
    }
}

impl From<&played::Played> for Played {
    fn from(from: &played::Played) -> Self {
        Self {
            works: from.works,
            requests_per_s: short(from.requests_per_s.value),
            rejected_per_s: short(from.rejected_per_s),
            polls_per_work: short(from.polls.value),
            lag: from.lag.map(Lags::from),
            known: short(from.known),
            callback_peak_per_s: from.callback_peaks.map_or_else(Vec::new, bursts),
        }
    }
}

impl From<played::Difference> for Difference {
    fn from(from: played::Difference) -> Self {
        Self {
            requests_per_s: short(from.requests),
            polls_per_work: short(from.polls),
            lag_mean: short(from.lag),
            noise: short(from.noise),
            agrees: from.agrees(),
        }
    }
}

impl<'a> Choice<'a> {
    fn of(choice: &'a advice::Choice, row: &Row) -> Self {
        Self {
            named: Named::of(choice),
            computed: Computed::from(&row.need),
            played: row.played.as_ref().map(Played::from),
            difference: row.difference().map(Difference::from),
        }
    }
}

fn run<'a>(sizing: &Sizing, run: &'a Measured) -> Option<Run<'a>> {
    let choice = sizing
        .choices
        .iter()
        .find(|choice| choice.name == run.choice)?;
    let need = run.reckoned(&sizing.given, &choice.plan);
    Some(Run {
        choice: &run.choice,
        run_dir: &run.run_dir,
        invalid: &run.invalid,
        works: run.works,
        works_per_s: short(run.rate),
        rejected: run.rejected,
        measured: Figures {
            requests_per_s: short(run.rate * (1.0 + run.polls.value)),
            polls_per_work: short(run.polls.value),
            polls_error: Some(short(run.polls.error)),
            lag: run.lag.map(Lags::from),
            lag_error_s: run.lag.map(|_| short(run.lag_error)),
        },
        computed: Figures {
            requests_per_s: short(need.requests_per_s),
            polls_per_work: short(need.polls),
            polls_error: None,
            lag: need.lag.map(Lags::from),
            lag_error_s: None,
        },
    })
}

/// The bytes of `size.json`.
pub fn write(sizing: &Sizing) -> Vec<u8> {
    let invalid = sizing.invalid();
    let runs = sizing.runs.iter();
    let file = File {
        schema: SCHEMA,
        scenario: &sizing.scenario,
        seed: sizing.seed,
        version: env!("CARGO_PKG_VERSION"),
        started_at: wall(sizing.started_at),
        target: &sizing.target,
        simulated: sizing.simulated,
        valid: invalid.is_empty(),
        invalid,
        measured: MeasuredTimes::of(sizing),
        given: Assumed::of(&sizing.given),
        polling: Polling::of(sizing),
        peaks: sizing.peaks.iter().map(|at| peak(sizing, at)).collect(),
        runs: runs.filter_map(|of| run(sizing, of)).collect(),
        agreement: sizing.worst().map(|(worst, rate, choice)| Agreement {
            largest_difference: short(worst.largest()),
            noise: short(worst.noise),
            within: WITHIN,
            agrees: sizing.agrees(),
            peak: rate.to_string(),
            choice,
        }),
        farthest_run: sizing.farthest().map(|(errors, choice)| Farthest {
            standard_errors: short(errors),
            choice,
        }),
        curves: (sizing.choices.iter())
            .map(|choice| Curve {
                choice: &choice.name,
                points: (sizing.curve(&choice.plan).into_iter())
                    .map(Dot::from)
                    .collect(),
            })
            .collect(),
        notes: &sizing.notes,
    };
    let mut bytes = serde_json::to_vec_pretty(&file).expect("plain values have a form");
    bytes.push(b'\n');
    bytes
}

impl<'a> MeasuredTimes<'a> {
    fn of(sizing: &'a Sizing) -> Self {
        let Given {
            sojourn,
            way,
            dispersion,
            ..
        } = &sizing.given;
        let each = WINDOWS.into_iter().zip(dispersion);
        Self {
            from: &sizing.source,
            works: sizing.works,
            sojourn_mean_s: short(sojourn.mean()),
            sojourn_p50_s: short(sojourn.quantile(0.5)),
            sojourn_p99_s: short(sojourn.quantile(0.99)),
            not_seen_to_end: short(sojourn.endless()),
            accept_s: short(way.accept),
            poll_round_trip_s: short(way.round_trip),
            callback_dispersion: each
                .map(|(window_s, index)| Dispersion {
                    window_s,
                    index: short(*index),
                })
                .collect(),
        }
    }
}

impl Assumed {
    fn of(given: &Given) -> Self {
        let size = &given.size;
        Self {
            limit_per_s: given.limit.map(|limit| short(limit.rate.per_second())),
            limit_burst: given.limit.map(|limit| limit.burst),
            margin: MARGIN,
            lag_s: size.lag.seconds(),
            handler_time_s: size.handler_time.seconds(),
            outage_s: size.outage.seconds(),
            callback_attempts: given.delivery.tries(),
            callback_retried_for_s: given.delivery.retried_for(),
            callback_failure_ratio: size.failure_ratio,
            poll_bytes: size.poll_bytes,
            result_bytes: size.result_bytes,
        }
    }
}

impl Polling {
    fn of(sizing: &Sizing) -> Self {
        let highest = |of: fn(&Highest) -> f64| sizing.highest.as_ref().map(of).map(short);
        let first = sizing.choices.first();
        let wanted = first.and_then(|choice| sizing.given.wanted_interval(&choice.plan));
        Self {
            wanted_interval_s: wanted.map(short),
            highest_per_s: highest(|highest| highest.at_lag),
            highest_with_margin_per_s: highest(|highest| highest.with_margin),
            highest_at_any_lag_per_s: highest(|highest| highest.at_any_lag),
            break_even_interval_s: sizing.break_even.map(short),
        }
    }
}

fn peak<'a>(sizing: &'a Sizing, peak: &'a result::Peak) -> Peak<'a> {
    let rows = sizing.choices.iter().zip(&peak.rows);
    Peak {
        written: peak.rate.to_string(),
        works_per_s: short(peak.rate.per_second()),
        recommendation: peak.advice.as_ref().map(Advice::from),
        choices: rows.map(|(choice, row)| Choice::of(choice, row)).collect(),
    }
}

impl From<Point> for Dot {
    fn from(from: Point) -> Self {
        Self {
            works_per_s: short(from.rate),
            requests_per_s: short(from.requests_per_s),
            lag_s: from.lag.map(short),
        }
    }
}
