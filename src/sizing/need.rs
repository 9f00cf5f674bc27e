//! `Need`: what a choice needs at a rate, and what it gives, by the closed formulas.

use super::burst::{self, WINDOWS};
use super::delivery::{Delivery, Outage};
use super::hybrid::Sweep;
use super::polling::{Lag, Polling, fixed, shortest_interval};
use super::sojourn::{Sojourn, Way};
use crate::scenario::{Bucket, FirstPoll, Mode, Plan, PollPolicy, SizePlan};

/// What everything is reckoned from.
#[derive(Clone, Debug)]
pub struct Given {
    /// How long works take.
    pub sojourn: Sojourn,
    /// What lies between caller and service.
    pub way: Way,
    /// What is to be decided.
    pub size: SizePlan,
    /// The limit of submits and polls together; none if nobody knows it.
    pub limit: Option<Bucket>,
    /// How callbacks are delivered.
    pub delivery: Delivery,
    /// Variance over mean of the callbacks in a window of [`WINDOWS`]; 1 where they come
    /// independently.
    pub dispersion: [f64; WINDOWS.len()],
}

/// What a choice needs, and what it gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Submits and polls a second, if nothing holds them back.
    pub requests_per_s: f64,
    /// The same as a share of the limit; none without one.
    pub share: Option<f64>,
    /// Of these, those beyond the limit, a second: callers who do not hold back get 429.
    pub excess_per_s: f64,
    /// Polls a work.
    pub polls: f64,
    /// How late the end is known. Beyond the limit that of callers who hold themselves to it; none
    /// where it grows without a bound, or has no closed form.
    pub lag: Option<Lag>,
    /// The share of the works whose end is known at all, before they are given up.
    pub known: f64,
    /// Bytes a second on the wire, both ways, callbacks included.
    pub bytes_per_s: f64,
    /// Requests on the wire to the API, in the mean (Little, Operations Research 9 (1961)).
    pub connections: f64,
    /// Whether the formulas are exact: the ages of `optimal` are those of a curve that is known.
    pub is_exact: bool,
    /// What a receiver must bear; none where there is none.
    pub callbacks: Option<Callbacks>,
}

/// What a receiver of callbacks must bear.
#[derive(Clone, Debug, PartialEq)]
pub struct Callbacks {
    /// Attempts a second in the mean.
    pub per_s: f64,
    /// The peak rate to provide for, over each of [`WINDOWS`].
    pub peak_per_s: [f64; WINDOWS.len()],
    /// Callbacks in hand at once, at the peak.
    pub at_once: f64,
    /// The share of the works of which none comes, while the receiver is up.
    pub lost: f64,
    /// What an outage of the receiver leaves behind.
    pub outage: Outage,
}

impl Need {
    /// Whether the lag grows without a bound: submits, and the polls that see ends, are beyond the
    /// limit already.
    pub fn grows(&self) -> bool {
        let rate = self.requests_per_s / (1.0 + self.polls);
        let least = rate * (1.0 + self.polls.min(self.known));
        let limit = |share: f64| self.requests_per_s / share;
        self.polls > 0.0 && self.share.is_some_and(|share| least >= limit(share))
    }
}

impl Given {
    /// Of a choice, at a rate of works a second.
    pub fn need(&self, choice: &Plan, rate: f64) -> Need {
        let polling = self.polling(choice);
        let requests_per_s = rate * (1.0 + polling.polls);
        let limit = self.limit.map(|limit| limit.rate.per_second());
        let excess_per_s = limit.map_or(0.0, |limit| (requests_per_s - limit).max(0.0));
        let fits = excess_per_s <= 0.0;
        let lag = if fits || choice.observe.mode == Mode::Callback {
            Some(polling.lag)
        } else {
            self.held_back(choice, rate, &polling)
        };
        let mode = choice.observe.mode;
        let callbacks = mode.hears_callbacks().then(|| self.callbacks(rate));
        let by_poll = if mode == Mode::Poll {
            polling.seen
        } else {
            0.0
        };
        let (small, large) = (exact(self.size.poll_bytes), exact(self.size.result_bytes));
        let called = callbacks.as_ref().map_or(0.0, |callbacks| callbacks.per_s);
        let small_per_s = requests_per_s - rate * by_poll;
        Need {
            requests_per_s,
            share: limit.map(|limit| requests_per_s / limit),
            excess_per_s,
            polls: polling.polls,
            lag,
            known: polling.seen,
            bytes_per_s: small_per_s * small + (rate * by_poll + called) * large,
            connections: rate * (self.way.accept + polling.polls * self.way.round_trip),
            is_exact: mode != Mode::Poll
                || !matches!(choice.poll.policy, PollPolicy::Optimal { .. }),
            callbacks,
        }
    }

    /// What a choice costs a work, and when it tells.
    pub fn polling(&self, choice: &Plan) -> Polling {
        let (sojourn, way) = (&self.sojourn, self.way);
        match choice.observe.mode {
            Mode::Poll | Mode::Both => Polling::of(&choice.poll, sojourn, way),
            Mode::Callback => Polling {
                polls: 0.0,
                seen: (1.0 - self.delivery.lost()) * (1.0 - sojourn.endless()),
                lag: self.delivery.lag(way),
            },
            Mode::Hybrid => {
                let sweep = Sweep {
                    deadline: choice.observe.deadline.seconds(),
                    interval: choice.poll.interval.seconds(),
                    give_up_after: choice.poll.give_up_after.seconds(),
                };
                sweep.with(&self.delivery, sojourn, way)
            }
        }
    }

    /// The lag of callers who would ask too often and hold themselves to the limit: that of the
    /// shortest interval which fits. Only where works are asked at an even pace.
    fn held_back(&self, choice: &Plan, rate: f64, polling: &Polling) -> Option<Lag> {
        let poll = &choice.poll;
        let even = poll.policy == PollPolicy::Fixed && poll.first == FirstPoll::Random;
        if choice.observe.mode != Mode::Poll || !even {
            return None;
        }
        let limit = self.limit?.rate.per_second();
        let interval = shortest_interval(rate, limit, polling, poll.interval.seconds())?;
        let give_up_after = poll.give_up_after.seconds();
        Some(fixed(interval, give_up_after, &self.sojourn, self.way).lag)
    }

    /// What a receiver must bear at a rate of works a second.
    pub fn callbacks(&self, rate: f64) -> Callbacks {
        let per_s = rate * self.delivery.attempts();
        let handler = self.size.handler_time.seconds();
        let index = WINDOWS.iter().position(|window| *window >= handler);
        let dispersion = self.dispersion[index.unwrap_or(WINDOWS.len() - 1)];
        let mut peak_per_s = [0.0; WINDOWS.len()];
        for ((peak, window), dispersion) in peak_per_s.iter_mut().zip(WINDOWS).zip(self.dispersion)
        {
            *peak = burst::peak(per_s, window, dispersion);
        }
        Callbacks {
            per_s,
            peak_per_s,
            at_once: burst::most_at_once(per_s, handler, dispersion),
            lost: self.delivery.lost(),
            outage: (self.delivery).after_outage(rate, self.size.outage.seconds(), handler),
        }
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "a size is far below 2^53")]
fn exact(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scenario::{SimCallback, resolve};

    pub(in super::super) fn plan(more: &str) -> Arc<Plan> {
        let text = format!(
            "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
             duration = '1s'\n{more}\n"
        );
        resolve::read(&text, &[], &|_| Err(String::new()))
            .unwrap()
            .into()
    }

    pub(in super::super) fn given(law: &str, plan: &Plan) -> Given {
        let size = plan.size.clone().unwrap();
        Given {
            sojourn: Sojourn::of_law(law),
            way: Way::default(),
            limit: size.limit,
            delivery: Delivery::of(&SimCallback::faultless(), size.failure_ratio),
            size,
            dispersion: [1.0; WINDOWS.len()],
        }
    }

    fn near(what: &str, found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 0.002 * expected.abs().max(1e-9),
            "{what}: {found}, not {expected}"
        );
    }

    const SIZE: &str = "[size]\npeak = ['4/s']\nlimit = '600/min'\nfailure_ratio = 0.0\n\
                        poll_bytes = 1000\nresult_bytes = 5000\n[poll]\ngive_up_after = '2h'\n";

    #[test]
    fn polls_fill_a_limit_and_beyond_it_take_as_long_as_it_lets_them() {
        let fits = plan(&format!("{SIZE}interval = '240s'\n"));
        let given = given("exp(60s)", &fits);
        let found = given.need(&fits, 4.0);
        near("polls", found.polls, 1.25);
        near("requests", found.requests_per_s, 9.0);
        near("share", found.share.unwrap(), 0.9);
        near("excess", found.excess_per_s, 0.0);
        near("lag", found.lag.unwrap().mean, 120.0);
        // 9 requests a second, of which 4 have the result.
        near("bytes", found.bytes_per_s, 5.0 * 1_000.0 + 4.0 * 5_000.0);
        assert_eq!(found.callbacks, None);
        let fast = plan(&format!("{SIZE}interval = '5s'\n"));
        let found = given.need(&fast, 4.0);
        near("requests", found.requests_per_s, 4.0 * 14.0);
        near("excess", found.excess_per_s, 46.0);
        near("lag", found.lag.unwrap().mean, 60.0);
        assert!(!found.grows());
        let found = given.need(&fast, 5.1);
        assert!(found.lag.is_none() && found.grows());
        let other = plan(&format!("{SIZE}interval = '5s'\nfirst = 'interval'\n"));
        let found = given.need(&other, 4.0);
        assert!(found.lag.is_none() && !found.grows());
    }

    #[test]
    fn callbacks_cost_the_api_a_submit_and_the_receiver_its_peak() {
        let plan = plan(&format!(
            "{SIZE}interval = '5s'\n[observe]\nmode = 'callback'\n"
        ));
        let mut given = given("exp(60s)", &plan);
        given.way = Way {
            accept: 0.5,
            round_trip: 0.2,
        };
        let found = given.need(&plan, 4.0);
        near("requests", found.requests_per_s, 4.0);
        near("lag", found.lag.unwrap().mean, 0.1);
        near("connections", found.connections, 2.0);
        near("bytes", found.bytes_per_s, 4.0 * 1_000.0 + 4.0 * 5_000.0);
        let callbacks = found.callbacks.unwrap();
        near("rate", callbacks.per_s, 4.0);
        assert!(callbacks.peak_per_s[1] > 10.0 && callbacks.peak_per_s[2] < 8.0);
    }
}
