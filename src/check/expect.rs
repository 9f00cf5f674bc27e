//! What a plan can be expected to do, in closed form or by a short sum.

use crate::scenario::{FirstPoll, Law, Mode, Plan, PollPolicy, Stage};
use crate::time::Span;

/// Phases over which a random first poll is averaged.
const PHASES: u32 = 32;

/// Beyond this many polls of one work the sum is cut: the figure is a warning by then.
const MOST_POLLS: u32 = 100_000;

impl Law {
    /// The share of works that last longer than `seconds`.
    ///
    /// Log-normal: `erfc(ln(t / median) / (sigma sqrt 2)) / 2` (Johnson, Kotz, Balakrishnan, vol.
    /// 1, ch. 14).
    pub fn survival(&self, seconds: f64) -> f64 {
        match self {
            Self::Fixed(length) => f64::from(seconds < length.seconds()),
            Self::Uniform(from, to) => {
                let (from, to) = (from.seconds(), to.seconds());
                if seconds < from {
                    1.0
                } else if seconds >= to {
                    0.0
                } else {
                    (to - seconds) / (to - from)
                }
            }
            Self::Exponential(mean) if mean.0 > 0 => libm::exp(-seconds / mean.seconds()),
            Self::Lognormal(median, sigma) if median.0 > 0 && *sigma > 0.0 => {
                if seconds <= 0.0 {
                    return 1.0;
                }
                let z = libm::log(seconds / median.seconds()) / (sigma * std::f64::consts::SQRT_2);
                libm::erfc(z) / 2.0
            }
            Self::Lognormal(median, _) => f64::from(seconds < median.seconds()),
            Self::Exponential(_) => 0.0,
            Self::Mixture(parts) => parts
                .iter()
                .map(|(weight, law)| weight * law.survival(seconds))
                .sum(),
            Self::Empirical(curve) => curve.survival(seconds),
        }
    }
}

/// The polls that a work needs in the mean, where `open(t)` is the share of works still open at the
/// age of `t` seconds: one that sees the end, and one for each time that it is found open.
///
/// With a fixed interval T and a random first poll this is `m / T + 1` for any law of mean m;
/// `optimal` polls as often.
pub fn polls(plan: &Plan, open: &dyn Fn(f64) -> f64) -> f64 {
    let interval = plan.poll.interval.seconds();
    let sum = |first: f64| {
        let mut age = first;
        let mut gap = interval;
        let mut polls = 1.0;
        for _ in 0..MOST_POLLS {
            let share = open(age);
            if share < 1e-9 || age >= plan.poll.give_up_after.seconds() {
                break;
            }
            polls += share;
            age += gap;
            if let PollPolicy::Exponential { factor, cap, .. } = plan.poll.policy {
                gap = (gap * factor).min(cap.seconds());
            }
        }
        polls
    };
    match plan.poll.first {
        FirstPoll::Now => sum(0.0),
        FirstPoll::Interval => sum(interval),
        FirstPoll::Random => {
            let phase = |k: u32| (f64::from(k) + 0.5) / f64::from(PHASES) * interval;
            (0..PHASES).map(|k| sum(phase(k))).sum::<f64>() / f64::from(PHASES)
        }
    }
}

/// The polls that a work needs in the mean where only those are polled that are open at the
/// deadline, or whose callback the built-in service drops.
fn swept(plan: &Plan, open: &dyn Fn(f64) -> f64) -> f64 {
    let dropped = plan.simulator.callback.drop_ratio;
    let give_up = plan.poll.give_up_after.seconds();
    let (mut age, mut polls) = (plan.observe.deadline.seconds(), dropped);
    for _ in 0..MOST_POLLS {
        let share = open(age);
        if share < 1e-9 || age >= give_up {
            break;
        }
        polls += share;
        age += plan.poll.interval.seconds();
    }
    polls
}

/// What is known of the works of the built-in service.
#[derive(Clone, Copy, Debug)]
pub struct Works {
    /// Mean time that a worker is busy with a work, in seconds; a queue comes on top.
    pub mean: f64,
    /// Polls a work.
    pub polls: f64,
    /// Share of the works that are given up before they end.
    pub expired: f64,
}

/// What to expect of the built-in service, were it never to queue.
pub fn simulated(plan: &Plan) -> Works {
    let law = plan.simulator.any_service_time();
    let endless = plan.simulator.endless_ratio;
    let open = |age: f64| endless + (1.0 - endless) * law.survival(age);
    Works {
        mean: law.mean().seconds(),
        polls: match plan.observe.mode {
            Mode::Poll | Mode::Both => polls(plan, &open),
            Mode::Callback => 0.0,
            Mode::Hybrid => swept(plan, &open),
        },
        expired: open(plan.poll.give_up_after.seconds()),
    }
}

/// The works that a service with this many workers can end in a second, if there is a bound.
pub fn capacity(plan: &Plan) -> Option<f64> {
    let mean = plan.simulator.any_service_time().mean();
    let bounded = plan.simulator.workers > 0 && mean > Span::ZERO;
    bounded.then(|| f64::from(plan.simulator.workers) / mean.seconds())
}

/// The works that pile up in a stage whose mean rate is above the capacity.
pub fn pile(stage: &Stage, capacity: f64) -> f64 {
    (stage.expected_arrivals() - capacity * stage.duration.seconds()).max(0.0)
}

/// The fewest independent samples for which a one-sided 95 % upper bound of a quantile exists: the
/// largest of n lies beyond it with probability `1 - q^n >= 0.95`.
pub fn samples_for_bound(quantile: f64) -> f64 {
    (libm::log(0.05) / libm::log(quantile)).ceil().abs()
}

/// What no failure among so many works proves a ratio to be below, with 95 % certainty:
/// `1 - 0.05^(1/n)`, of which "three in n" is the rule of thumb for many.
pub fn provable_ratio(samples: f64) -> f64 {
    1.0 - libm::pow(0.05, 1.0 / samples)
}

/// Half the width of the 95 % interval of a tail's probability, as a share of it: the normal
/// approximation of the binomial, `1.96 sqrt(q / ((1 - q) n))`.
pub fn tail_precision(quantile: f64, samples: f64) -> f64 {
    1.959_964 * (quantile / ((1.0 - quantile) * samples)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    fn plan(poll: &str) -> Plan {
        let text = format!(
            "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
             duration = '1s'\n[poll]\n{poll}\n"
        );
        resolve::read(&text, &[], &|_| Err(String::new())).unwrap()
    }

    #[test]
    fn polls_agree_with_the_closed_forms() {
        let check = |poll: &str, law: &str, expected: f64| {
            let law = Law::parse(law).unwrap();
            let polls = polls(&plan(poll), &|age| law.survival(age));
            assert!(
                (polls / expected - 1.0).abs() < 0.005,
                "{poll} {law:?}: {polls}"
            );
        };
        // m / T + 1, whatever the law.
        check("interval = '5s'", "exp(8s)", 2.6);
        check("interval = '1s'", "lognormal(2s, 0.6)", 3.394_43);
        check("interval = '1s'", "uniform(0s, 6s)", 4.0);
        // 1 / (1 - exp(-T / m)), a memoryless work and the first poll after one interval.
        check("interval = '5s'\nfirst = 'interval'", "exp(8s)", 2.152_0);
        check("interval = '5s'\nfirst = 'now'", "exp(8s)", 3.152_0);
        // At 1, 2, 4, 8, 16: open four times in 10 s.
        check(
            "interval = '1s'\nfirst = 'interval'\npolicy = 'exponential'",
            "fixed(10s)",
            5.0,
        );
        // Given up after 10 s.
        check(
            "interval = '1s'\nfirst = 'now'\ngive_up_after = '10s'",
            "fixed(1h)",
            11.0,
        );
    }

    #[test]
    fn a_sweep_asks_only_for_works_past_the_deadline() {
        let check = |observe: &str, expected: f64| {
            let plan = plan(&format!(
                "interval = '10s'\n[simulator]\nservice_time = 'exp(10s)'\n\
                 callback = {{ drop_ratio = 0.1 }}\n[observe]\n{observe}"
            ));
            let polls = simulated(&plan).polls;
            assert!((polls - expected).abs() < 1e-3, "{observe}: {polls}");
        };
        check("mode = 'callback'", 0.0);
        // Dropped ones, and e^-2 + e^-3 + ... of those that are open.
        let e = std::f64::consts::E;
        let open = 1.0 / (e * e) / (1.0 - 1.0 / e);
        check("mode = 'hybrid'\ndeadline = '20s'", 0.1 + open);
    }

    #[test]
    fn sample_sizes_are_those_of_the_published_table() {
        let check = |quantile: f64, n: f64| assert!((samples_for_bound(quantile) - n).abs() < 0.5);
        check(0.95, 59.0);
        check(0.99, 299.0);
        check(0.999, 2_995.0);
        check(0.9999, 29_956.0);
        assert!(samples_for_bound(1.0).is_infinite() && samples_for_bound(1.0) > 0.0);
        for (n, ratio) in [
            (1.0, 0.95),
            (2.0, 0.776_393),
            (59.0, 0.049_508),
            (600.0, 0.004_980),
        ] {
            assert!(
                (provable_ratio(n) - ratio).abs() < 1e-6,
                "{n}: {}",
                provable_ratio(n)
            );
        }
        let check = |quantile: f64, n: f64, half: f64| {
            assert!((tail_precision(quantile, n) / half - 1.0).abs() < 1e-3);
        };
        check(0.99, 1_521.0, 0.5);
        check(0.99, 9_508.0, 0.2);
        check(0.999, 383_776.0, 0.1);
    }

    #[test]
    fn survival_is_one_half_at_the_median() {
        let check = |law: &str, seconds: f64, share: f64| {
            let survival = Law::parse(law).unwrap().survival(seconds);
            assert!((survival - share).abs() < 1e-9, "{law}: {survival}");
        };
        check("lognormal(2s, 0.6)", 2.0, 0.5);
        check("lognormal(2s, 0)", 1.9, 1.0);
        check("exp(1s)", std::f64::consts::LN_2, 0.5);
        check("uniform(1s, 3s)", 2.0, 0.5);
        check("fixed(1s)", 1.0, 0.0);
        check("mix(0.5 fixed(1s), 0.5 fixed(3s))", 2.0, 0.5);
        check("exp(0s)", 0.0, 0.0);
    }
}
