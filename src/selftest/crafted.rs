//! A run and the truth behind it, both made up: tests plant an error in one of them.

use serde_json::json;

use super::arrivals::Offered;
use super::served::{Submit, Work};
use super::{Harness, Served, float, quantile, sorted};
use crate::arrival::Arrival;
use crate::record::row::WorkRow;
use crate::report::csv::WorkWriter;
use crate::sim::{Answered, State};
use crate::time::{Span, Tick};
use crate::work::{Outcome, WorkId};

/// The load that [`Crafted`] keeps to.
pub(super) const MINUTE: Offered = Offered {
    arrivals: WORKS,
    rate: 50.0,
};
const WORKS: u64 = 1_000;
pub(super) const INTERVAL: Span = Span::from_millis(500);
/// What the way takes, each way.
const WAY: f64 = 0.000_05;

/// What happened, in seconds, and how the run errs.
#[derive(Clone, Debug)]
pub(super) struct Crafted {
    pub(super) works: Vec<CraftedWork>,
    /// What the run says of its own lags, as p90 and p99.
    pub(super) generator_lag: f64,
    pub(super) stamp_delay: f64,
    /// The p99 of its stamp delay, where that is larger than its p90.
    pub(super) rare_stamp_delay: f64,
    pub(super) poll_lag: f64,
    /// By how much its stamps are wrong.
    pub(super) sent_stamp_error: f64,
    pub(super) accepted_stamp_error: f64,
    pub(super) detected_stamp_error: f64,
    /// By how much every other poll is off its slot.
    pub(super) poll_drift: f64,
    /// Polls that it sent and did not count.
    pub(super) polls_untold: u64,
    /// The p50 that it estimates of the sojourn time, and its bounds.
    pub(super) sojourn: Option<[f64; 3]>,
}

#[derive(Clone, Debug)]
pub(super) struct CraftedWork {
    pub(super) intended: f64,
    /// When it was really sent.
    pub(super) sent: f64,
    /// What the service takes to accept it.
    delay: f64,
    /// What it takes from then on.
    life: f64,
    pub(super) state: State,
    /// How the run says that it ended, where that is not as it was.
    pub(super) told: Option<Outcome>,
}

impl Default for Crafted {
    fn default() -> Self {
        let mut state: u64 = 7;
        let mut uniform = move || {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            (float(state) + 0.5) / 2_147_483_648.0
        };
        let mut due = 0.0;
        let works = (0..WORKS).map(|n| {
            due -= libm::log(uniform()) / MINUTE.rate;
            CraftedWork {
                intended: due,
                sent: due + 0.000_03,
                delay: 0.005 + 0.005 * uniform(),
                life: 0.3 + 0.7 * uniform(),
                state: match n % 40 {
                    3 => State::Lost,
                    5 => State::Failed,
                    _ => State::Completed,
                },
                told: None,
            }
        });
        Self {
            works: works.collect(),
            generator_lag: 0.000_1,
            stamp_delay: 0.000_2,
            rare_stamp_delay: 0.0,
            poll_lag: 0.000_1,
            sent_stamp_error: 0.0,
            accepted_stamp_error: 0.0,
            detected_stamp_error: 0.0,
            poll_drift: 0.0,
            polls_untold: 0,
            sojourn: None,
        }
    }
}

fn tick(seconds: f64) -> Tick {
    Tick::ZERO + Span::from_secs_f64(seconds)
}

impl CraftedWork {
    fn arrived(&self) -> f64 {
        self.sent + WAY
    }

    fn left(&self) -> f64 {
        self.arrived() + self.delay
    }

    fn accepted(&self) -> f64 {
        self.left() + WAY
    }

    fn terminal(&self) -> Option<f64> {
        let ends = matches!(self.state, State::Completed | State::Failed);
        ends.then(|| self.arrived() + self.life)
    }

    /// Polls up to the one that sees the end; three of one that is lost.
    fn polls(&self, n: u64, drift: f64) -> Vec<f64> {
        let first = self.accepted() + INTERVAL.seconds() * float(n % 10) / 10.0;
        let mut polls = Vec::new();
        for k in 0..100_u64 {
            let at = first + INTERVAL.seconds() * float(k) + drift * float(k % 2);
            polls.push(at);
            let is_last = match self.terminal() {
                Some(end) => at >= end,
                None => k == 2,
            };
            if is_last {
                break;
            }
        }
        polls
    }

    fn outcome(&self) -> Outcome {
        self.told.unwrap_or(match self.state {
            State::Failed => Outcome::Failed,
            State::Lost => Outcome::Lost,
            _ => Outcome::Completed,
        })
    }
}

impl Crafted {
    pub(super) fn served(&self) -> Served {
        let mut served = Served::default();
        for (n, work) in (0..).zip(&self.works) {
            let polls: Vec<Tick> = work
                .polls(n, self.poll_drift)
                .into_iter()
                .map(tick)
                .collect();
            let ends = work.terminal().is_some();
            let told = polls
                .last()
                .filter(|_| ends)
                .map(|at| *at + Span::from_secs_f64(WAY));
            served.submits.push(Submit {
                arrived: tick(work.arrived()),
                answered: Answered::Granted,
            });
            served.polls.extend(&polls);
            served.works.push(Work {
                id: format!("work_{n}"),
                arrived: tick(work.arrived()),
                left: tick(work.left()),
                terminal: work.terminal().map(tick),
                state: work.state,
                polls,
                told,
            });
        }
        served.submits.sort_by_key(|one| one.arrived);
        served.polls.sort();
        served
    }

    pub(super) fn harness(&self) -> Harness {
        let mut file = Vec::new();
        let mut writer = WorkWriter::new(&mut file).unwrap();
        let (mut accept, mut end) = (Vec::new(), Vec::new());
        let mut polls = 0;
        for (n, work) in (0..).zip(&self.works) {
            let outcome = work.outcome();
            let arrival = Arrival {
                seq: n,
                stage: 0,
                intended: tick(work.intended),
            };
            let mut row = WorkRow::unsent(arrival, outcome);
            row.sent = Some(tick(work.sent + self.sent_stamp_error));
            let all = work.polls(n, self.poll_drift);
            polls += all.len() as u64;
            if outcome != Outcome::IntakeFailed {
                row.work_id = Some(WorkId(format!("work_{n}").into()));
                let accepted = work.accepted() + self.accepted_stamp_error;
                row.accepted = Some(tick(accepted));
                accept.push(accepted - work.intended);
                if matches!(outcome, Outcome::Completed | Outcome::Failed) {
                    let last = all.last().unwrap_or(&0.0);
                    let detected = last + 2.0 * WAY + self.detected_stamp_error;
                    row.detected = Some(tick(detected));
                    end.push(detected - work.intended);
                }
            }
            writer.write(&row).unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        let summary = self.summary(accept, end, polls - self.polls_untold);
        Harness::read(&file, summary.to_string().as_bytes()).unwrap()
    }

    fn summary(&self, accept: Vec<f64>, end: Vec<f64>, polls: u64) -> serde_json::Value {
        let count = |outcome| {
            let works = self.works.iter().filter(|work| work.outcome() == outcome);
            works.count() as u64
        };
        let figures = |values: Vec<f64>, beyond| {
            let values = sorted(values);
            let figure = |q| quantile(&values, beyond, q);
            json!({"p50": figure(0.5), "p90": figure(0.9), "p99": figure(0.99)})
        };
        let lag = |usual: f64, rare: f64| json!({"p90": usual, "p99": usual.max(rare)});
        let failed = count(Outcome::IntakeFailed);
        let sojourn = self
            .sojourn
            .map(|[value, low, high]| json!({"p50": {"value": value, "low": low, "high": high}}));
        json!({
            "metrics": {
                "accept_latency": figures(accept, failed),
                "time_to_terminal": figures(end, count(Outcome::Lost)),
                "generator_lag": lag(self.generator_lag, 0.0),
                "stamp_delay": lag(self.stamp_delay, self.rare_stamp_delay),
                "poll_lag": lag(self.poll_lag, 0.0),
            },
            "ledger": {
                "accepted": self.works.len() as u64 - failed,
                "completed": count(Outcome::Completed),
                "failed": count(Outcome::Failed),
                "lost": count(Outcome::Lost),
                "unresolved": 0,
                "rejected": 0,
                "intake_failed": failed,
            },
            "requests": {"polls": polls, "rechecks": 0},
            "sojourn_time": sojourn,
        })
    }

    /// The exact p50 of the time in the service.
    pub(super) fn sojourn_p50(&self) -> f64 {
        let took = self
            .works
            .iter()
            .filter_map(|work| Some(work.terminal()? - work.arrived()));
        quantile(&sorted(took), 0, 0.5).unwrap()
    }
}
