//! The arithmetic of polling: what a work costs, and how late its end is seen.
//!
//! All ages count from the submit. A poll that leaves k gaps after the accept finds the work as it
//! is at [`Way::age`]; its answer takes half a round trip more.

use crate::engine::poll_ages::{EXPLORE, SHORTEST};
use crate::estimate::ages::{Ages, Gaps};
use crate::scenario::{FirstPoll, Poll, PollFrom, PollPolicy};

use super::sojourn::{Sojourn, Way};

/// Phases over which a random first poll is averaged, where there is no closed form.
const PHASES: u32 = 64;
/// Polls of one work that are looked at: beyond them a schedule is cut.
const MOST_AGES: usize = 10_000;
/// Works that have told the curve on which ages are found: the explorers of a run in virtual time.
const TOLD: f64 = 2_000.0;
/// Halvings in the search for a quantile: a millionth of its range.
const HALVINGS: u32 = 30;

/// What it costs a work to be polled, and what that gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polling {
    /// Polls a work, in the mean.
    pub polls: f64,
    /// The share of the works whose end a poll sees; the others are given up.
    pub seen: f64,
    /// From the end of a work to the answer that tells it, over those that are seen.
    pub lag: Lag,
}

/// A detection lag, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The quantile 0.99.
    pub p99: f64,
}

impl Polling {
    /// By the policy of a plan.
    pub fn of(poll: &Poll, sojourn: &Sojourn, way: Way) -> Self {
        let interval = interval(poll, way);
        let even = matches!(poll.policy, PollPolicy::Fixed | PollPolicy::Hinted);
        match poll.policy {
            _ if even && poll.first == FirstPoll::Random && poll.from == PollFrom::Schedule => {
                fixed(interval, poll.give_up_after.seconds(), sojourn, way)
            }
            PollPolicy::Optimal { .. } => optimal(poll, interval, sojourn, way),
            _ => by_ages(&schedules(poll, interval, way), sojourn, way),
        }
    }
}

/// The gap between two polls of a work. Counted from the answer, it is a round trip longer.
fn interval(poll: &Poll, way: Way) -> f64 {
    let more = match poll.from {
        PollFrom::Schedule => 0.0,
        PollFrom::Answer => way.round_trip,
    };
    poll.interval.seconds() + more
}

/// A fixed interval T, the first poll at random within one of the accept: `m/T + 1` polls and a lag
/// of `T/2`, uniform on one interval, for works of mean length m by any law.
///
/// Each age is looked at with the density 1/T, so that the polls which find a work open are the
/// time for which it is, over T; one more sees the end. Here m is the time for which a work is open
/// between the first age that a poll can see and the one at which it is given up. What has ended
/// before the first of them waits for it.
pub fn fixed(interval: f64, give_up_after: f64, sojourn: &Sojourn, way: Way) -> Polling {
    let (first, last) = (way.age(0.0), way.age(give_up_after));
    let seen = 1.0 - sojourn.open(last);
    let waited = first - sojourn.open_time(0.0, first);
    let early = if seen > 0.0 { waited / seen } else { 0.0 };
    let part = |share: f64| share * interval + way.one_way() + early;
    Polling {
        polls: sojourn.open_time(first, last) / interval + seen,
        seen,
        lag: Lag {
            mean: part(0.5),
            p50: part(0.5),
            p99: part(0.99),
        },
    }
}

/// The shortest interval at which works at this rate can be polled within a limit, both a second:
/// `lambda (1 + polls(T)) = B`. With a random first poll that is
/// `T_min = lambda m / (B - 2 lambda)`; none from `lambda >= B/2` on, as every work needs the
/// submit and the poll that sees its end.
pub fn shortest_interval(rate: f64, limit: f64, polling: &Polling, interval: f64) -> Option<f64> {
    let found_open = (polling.polls - polling.seen) * interval;
    let left = limit - rate * (1.0 + polling.seen);
    (left > 0.0).then(|| rate * found_open / left)
}

/// The highest rate at which works that cost so many polls stay within a limit:
/// `lambda (1 + polls) = B`.
pub fn highest_rate(limit: f64, polls: f64) -> f64 {
    limit / (1.0 + polls)
}

/// Ages at which a share of the works is looked at.
type Schedule = (f64, Vec<f64>);

fn schedules(poll: &Poll, interval: f64, way: Way) -> Vec<Schedule> {
    let until = way.age(poll.give_up_after.seconds());
    let (factor, cap) = match poll.policy {
        PollPolicy::Exponential { factor, cap, .. } => (factor, cap.seconds()),
        _ => (1.0, f64::INFINITY),
    };
    let phase = poll.interval.seconds();
    let more = interval - phase;
    let ages = |first: f64| {
        let mut gap = phase;
        let next = |age: &f64| {
            let age = age + gap + more;
            gap = (gap * factor).min(cap);
            Some(age)
        };
        let ages = std::iter::successors(Some(way.age(first)), next);
        ages.take_while(|age| *age < until)
            .take(MOST_AGES)
            .collect()
    };
    match poll.first {
        FirstPoll::Now => vec![(1.0, ages(0.0))],
        FirstPoll::Interval => vec![(1.0, ages(phase))],
        FirstPoll::Random => {
            let share = 1.0 / f64::from(PHASES);
            let first = |of: u32| (f64::from(of) + 0.5) * share * phase;
            (0..PHASES).map(|of| (share, ages(first(of)))).collect()
        }
    }
}

/// The ages at which works are found to end, at as many polls as `fixed` takes; a tenth of the
/// works goes on as by `fixed`. What a run learns on its way there is not in it.
fn optimal(poll: &Poll, interval: f64, sojourn: &Sojourn, way: Way) -> Polling {
    let polls = fixed(interval, poll.give_up_after.seconds(), sojourn, way).polls;
    let explorers = Poll {
        policy: PollPolicy::Fixed,
        ..poll.clone()
    };
    let mut all = schedules(&explorers, interval, way);
    let PollPolicy::Optimal { longest } = poll.policy else {
        return by_ages(&all, sojourn, way);
    };
    let shortest = interval * SHORTEST;
    let gaps = Gaps {
        shortest,
        longest: longest.seconds().max(shortest),
        unknown: interval,
    };
    if let Some(curve) = sojourn.curve().told_by(TOLD) {
        let ages = Ages::new(curve, gaps);
        let price = ages.price_of(polls);
        let until = way.age(poll.give_up_after.seconds());
        let first = way.age(0.0);
        let ages = ages.schedule(price).map(|age| age.max(first));
        let ages = ages.take_while(|age| *age < until).take(MOST_AGES);
        for (share, _) in &mut all {
            *share *= EXPLORE;
        }
        all.push((1.0 - EXPLORE, ages.collect()));
    }
    by_ages(&all, sojourn, way)
}

/// Polls at given ages `a_1 < a_2 < ..`: a work costs one for each of them at which it is open, and
/// the one that sees its end; `P(lag <= x)` is the sum of `F(a_k) - F(max(a_(k-1), a_k - x))`.
fn by_ages(schedules: &[Schedule], sojourn: &Sojourn, way: Way) -> Polling {
    let curve = sojourn.curve();
    let (mut polls, mut seen, mut lag, mut longest) = (0.0, 0.0, 0.0, 0.0_f64);
    for (share, ages) in schedules {
        let mut before = 0.0;
        for &age in ages {
            let open = 1.0 - curve.share(before);
            if open <= 0.0 {
                break;
            }
            polls += share * open;
            seen += share * (curve.share(age) - curve.share(before));
            lag += share * curve.undetected(before, age);
            longest = longest.max(age - before);
            before = age;
        }
    }
    let within = |most: f64| -> f64 {
        let of = |(share, ages): &Schedule| {
            let mut before = 0.0;
            let mut sum = 0.0;
            for &age in ages {
                sum += curve.share(age) - curve.share((age - most).max(before));
                before = age;
                if before >= curve.until() {
                    break;
                }
            }
            share * sum
        };
        schedules.iter().map(of).sum()
    };
    let quantile = |share: f64| {
        let (mut low, mut high) = (0.0, longest);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if within(middle) < share * seen {
                low = middle;
            } else {
                high = middle;
            }
        }
        high + way.one_way()
    };
    Polling {
        polls,
        seen,
        lag: Lag {
            mean: if seen > 0.0 { lag / seen } else { 0.0 } + way.one_way(),
            p50: quantile(0.5),
            p99: quantile(0.99),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    const NO_WAY: Way = Way {
        accept: 0.0,
        round_trip: 0.0,
    };

    fn poll(text: &str) -> Poll {
        let text = format!(
            "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
             duration = '1s'\n[poll]\ngive_up_after = '1h'\n{text}\n"
        );
        resolve::read(&text, &[], &|_| Err(String::new()))
            .unwrap()
            .poll
    }

    fn near(what: &str, found: f64, expected: f64, by: f64) {
        assert!(
            (found - expected).abs() <= by * expected.abs(),
            "{what}: {found}, not {expected}"
        );
    }

    fn check(text: &str, law: &str, polls: f64, lag: f64) -> Polling {
        let found = Polling::of(&poll(text), &Sojourn::of_law(law), NO_WAY);
        near(text, found.polls, polls, 0.003);
        near(text, found.lag.mean, lag, 0.003);
        near(text, found.seen, 1.0, 1e-5);
        found
    }

    #[test]
    fn a_random_first_poll_costs_one_more_than_the_length_for_any_law() {
        let laws = [
            ("exp(8s)", 8.0),
            ("fixed(8s)", 8.0),
            ("uniform(2s, 20s)", 11.0),
            ("lognormal(8s, 0.6)", 8.0 * (0.18_f64).exp()),
        ];
        for (law, mean) in laws {
            let found = check("interval = '5s'", law, mean / 5.0 + 1.0, 2.5);
            near("p50", found.lag.p50, 2.5, 1e-9);
            near("p99", found.lag.p99, 4.95, 1e-9);
        }
    }

    #[test]
    fn a_first_poll_after_one_interval_is_geometric_for_a_memoryless_law() {
        // Science: T = 5 s, m = 8 s: 2.15 polls, 2.76 s.
        let polls = 1.0 / (1.0 - (-5.0_f64 / 8.0).exp());
        let text = "interval = '5s'\nfirst = 'interval'";
        check(text, "exp(8s)", polls, 5.0 * polls - 8.0);
        // ceil(9/5) polls, the second at 10 s.
        let found = check(text, "fixed(9s)", 2.0, 1.0);
        near("p99", found.lag.p99, 1.0, 1e-6);
        // At 1, 2, 4, 8, 16: open four times in 10 s.
        let text = "interval = '1s'\nfirst = 'interval'\npolicy = 'exponential'";
        check(text, "fixed(10s)", 5.0, 6.0);
    }

    #[test]
    fn averaged_phases_are_the_closed_form() {
        // A factor of 1 is the fixed interval by another name.
        let text = "interval = '5s'\npolicy = 'exponential'\nfactor = 1.0\ncap = '5s'";
        let found = check(text, "exp(8s)", 2.6, 2.5);
        near("p50", found.lag.p50, 2.5, 0.01);
        near("p99", found.lag.p99, 4.95, 0.01);
    }

    #[test]
    fn ages_that_are_known_see_ends_sooner_at_no_more_polls() {
        let text = "interval = '4s'\npolicy = 'optimal'";
        let law = Sojourn::of_law("lognormal(8s, 0.6)");
        let optimal = Polling::of(&poll(text), &law, NO_WAY);
        let fixed = Polling::of(&poll("interval = '4s'"), &law, NO_WAY);
        near("polls", optimal.polls, fixed.polls, 0.02);
        assert!(optimal.lag.mean < 0.85 * fixed.lag.mean, "{optimal:?}");
        assert!(optimal.lag.p99 < fixed.lag.p99 * 1.5, "{optimal:?}");
    }

    #[test]
    fn what_is_given_up_is_polled_until_then_and_not_seen() {
        let found = fixed(1.0, 10.0, &Sojourn::of_law("fixed(1h)"), NO_WAY);
        near("polls", found.polls, 10.0, 1e-9);
        near("seen", 1.0 + found.seen, 1.0, 1e-9);
    }

    #[test]
    fn a_way_takes_its_part() {
        // Accepted after 1 s; a poll is half a second on its way, and its answer too.
        let way = Way {
            accept: 1.0,
            round_trip: 1.0,
        };
        let law = Sojourn::of_law("fixed(9s)");
        let found = fixed(2.0, 3_600.0, &law, way);
        near("polls", found.polls, 7.5 / 2.0 + 1.0, 1e-9);
        near("lag", found.lag.mean, 1.0 + 0.5, 1e-9);
        // What ended half a second after its submit waits a second more for the first of them.
        let early = fixed(2.0, 3_600.0, &Sojourn::of_law("fixed(500ms)"), way);
        near("polls", early.polls, 1.0, 1e-9);
        near("lag", early.lag.mean, 1.0 + 0.5 + 1.0, 1e-9);
    }

    #[test]
    fn the_worked_example_of_a_tight_limit() {
        // B = 600/min, 4 works a second of a minute each: T = 120 s, a lag of a minute.
        let law = Sojourn::of_law("exp(60s)");
        let any = fixed(5.0, 36_000.0, &law, NO_WAY);
        let interval = shortest_interval(4.0, 10.0, &any, 5.0).unwrap();
        near("T", interval, 120.0, 1e-3);
        let found = fixed(interval, 36_000.0, &law, NO_WAY);
        near("lag", found.lag.mean, 60.0, 1e-3);
        near("rate", highest_rate(10.0, found.polls), 4.0, 1e-3);
        assert_eq!(shortest_interval(5.0, 10.0, &any, 5.0), None);
    }
}
