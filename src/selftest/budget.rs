//! The rate budget: in every window of w seconds at most burst + rate x w requests left, by our
//! own stamps; and at most burst + rate x (w + J) came, where J is the longest way that a request
//! took to the service.

use std::collections::BTreeMap;

use super::arrivals::both;
use super::{Check, Harness, Served, float};
use crate::report::selftest::Unit;
use crate::report::text::number;
use crate::scenario::Bucket;
use crate::time::{Span, Tick};

/// By how much the requests of a window may be above the formula, which has no rounding in it: a
/// bucket reckons in whole nanoseconds.
const ROUNDING: f64 = 0.001;

/// In which it is seen whether a budget is used up.
const WINDOW: Span = Span::from_secs(2);

/// A budget that was not asked for more than this share of what it holds proves nothing.
const ASKED: f64 = 0.8;

/// A request, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The ticket that was polled; none of a submit.
    pub polled: Option<String>,
    /// The send stamp.
    pub at: Tick,
}

/// The budgets of a plan: of polls, and of submits and polls together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budgets {
    /// `[poll] budget`
    pub polls: Bucket,
    /// `[limits]`
    pub all: Bucket,
}

/// Each budget on both sides.
pub fn checks(
    budgets: Budgets,
    stamps: &[Stamp],
    harness: &Harness,
    served: &Served,
) -> Vec<Check> {
    let way = longest_way(stamps, harness, served);
    let sent = |only_polls: bool| {
        let wanted = stamps
            .iter()
            .filter(|one| !only_polls || one.polled.is_some());
        ascending(wanted.map(|one| one.at))
    };
    let submits = served.submits.iter().map(|one| one.arrived);
    let came = ascending(served.polls.iter().copied().chain(submits));
    let polls_came = ascending(served.polls.iter().copied());
    let mut checks = Vec::new();
    for (name, bucket, sent, came) in [
        ("poll.budget", budgets.polls, sent(true), polls_came),
        ("limits", budgets.all, sent(false), came),
    ] {
        let rate = bucket.rate.per_second();
        let late = rate * way.seconds();
        let note = format!(
            "in any window; the longest way took {}",
            number::time(way.seconds())
        );
        checks.extend([
            over(format!("{name}: sent above it"), excess(&sent, bucket), 0.0),
            over(
                format!("{name}: came above it"),
                excess(&came, bucket),
                late,
            )
            .noted(note),
            asked(name, &sent, bucket),
        ]);
    }
    checks
}

fn over(what: String, excess: f64, allowed: f64) -> Check {
    Check {
        what,
        unit: Unit::Count,
        truth: Some(0.0),
        measured: Some(excess),
        error: excess,
        allowed: Some(allowed + ROUNDING),
        note: String::new(),
    }
}

/// Whether the budget was the limit: one that is never used up would hold for anybody. Here is what
/// the fullest window of [`WINDOW`] had of all that it may have.
fn asked(name: &str, sent: &[Tick], bucket: Bucket) -> Check {
    let mut fullest = 0;
    let mut from = 0;
    for (place, at) in sent.iter().enumerate() {
        while at.since(sent[from]) > WINDOW {
            from += 1;
        }
        fullest = fullest.max(place - from + 1);
    }
    let share = float(fullest as u64) / bucket.most_in(WINDOW);
    Check {
        what: format!("{name}: share used"),
        unit: Unit::Number,
        truth: Some(1.0),
        measured: Some(share),
        error: share - 1.0,
        allowed: Some(1.0 - ASKED),
        note: String::new(),
    }
}

/// The most by which the requests of any window, ends included, are above burst + rate x its
/// length; 0 where none is. In one pass: a window that ends here and is worst begins where
/// requests so far lie lowest against the rate so far.
pub fn excess(ascending: &[Tick], bucket: Bucket) -> f64 {
    let (rate, burst) = (bucket.rate.per_second(), f64::from(bucket.burst));
    let mut lowest = f64::INFINITY;
    let mut worst: f64 = 0.0;
    for (before, at) in (0_u64..).zip(ascending) {
        let line = rate * at.seconds();
        lowest = lowest.min(float(before) - line);
        worst = worst.max(float(before + 1) - line - lowest - burst);
    }
    worst
}

/// The longest from a send stamp to the service: submits by their tickets, polls by their turn
/// among those of a work, of which one at most is under way.
fn longest_way(stamps: &[Stamp], harness: &Harness, served: &Served) -> Span {
    let submits = both(harness, served).filter_map(|(told, work)| {
        let sent = told.sent?;
        Some(work.arrived.since(sent))
    });
    let mut sent: BTreeMap<&str, Vec<Tick>> = BTreeMap::new();
    for stamp in stamps {
        if let Some(id) = &stamp.polled {
            sent.entry(id).or_default().push(stamp.at);
        }
    }
    for stamps in sent.values_mut() {
        stamps.sort();
    }
    let polls = served.works.iter().flat_map(|work| {
        let sent = sent.get(work.id.as_str()).into_iter().flatten();
        sent.zip(&work.polls).map(|(sent, came)| came.since(*sent))
    });
    submits.chain(polls).max().unwrap_or(Span::ZERO)
}

fn ascending(stamps: impl Iterator<Item = Tick>) -> Vec<Tick> {
    let mut stamps: Vec<Tick> = stamps.collect();
    stamps.sort();
    stamps
}

#[cfg(test)]
mod tests {
    use super::super::crafted::Crafted;
    use super::*;
    use crate::scenario::Rate;
    use proptest::prelude::*;

    fn bucket(rate: &str, burst: u32) -> Bucket {
        Bucket {
            rate: Rate::parse(rate).unwrap(),
            burst,
        }
    }

    fn millis(at: &[u64]) -> Vec<Tick> {
        at.iter()
            .map(|at| Tick::ZERO + Span::from_millis(*at))
            .collect()
    }

    #[test]
    fn the_excess_is_that_of_the_worst_window() {
        let check = |at: &[u64], expected: f64| {
            let found = excess(&millis(at), bucket("10/s", 2));
            assert!((found - expected).abs() < 1e-9, "{at:?}: {found}");
        };
        check(&[], 0.0);
        check(&[0, 0, 100, 200, 300], 0.0);
        check(&[0, 0, 0], 1.0);
        check(&[0, 0, 50], 0.5);
        // A pause lets the bucket fill, and no more than fill.
        check(&[0, 5_000, 5_000, 5_000, 5_100], 1.0);
    }

    proptest! {
        /// Every window, one by one.
        #[test]
        fn the_excess_is_found_by_brute_force(
            gaps in proptest::collection::vec(0_u64..300, 0..60),
            burst in 1_u32..8,
        ) {
            let mut at = 0;
            let at: Vec<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
            let stamps = millis(&at);
            let bucket = bucket("10/s", burst);
            let mut worst: f64 = 0.0;
            for (i, from) in stamps.iter().enumerate() {
                for (j, to) in stamps.iter().enumerate().skip(i) {
                    let all = float((j - i + 1) as u64);
                    let may = f64::from(burst) + 10.0 * to.since(*from).seconds();
                    worst = worst.max(all - may);
                }
            }
            prop_assert!((excess(&stamps, bucket) - worst).abs() < 1e-6);
        }
    }

    /// Stamps of a bucket that is always empty: burst at once, then one each time it has one.
    fn kept(rate: u64, burst: u64, n: u64) -> Vec<Stamp> {
        let at = |k: u64| Tick(k.saturating_sub(burst - 1) * (1_000_000_000 / rate));
        (0..n)
            .map(|k| Stamp {
                polled: Some(format!("work_{k}")),
                at: at(k),
            })
            .collect()
    }

    fn wrong(stamps: &[Stamp], came: impl Fn(Tick) -> Tick) -> Vec<String> {
        let budgets = Budgets {
            polls: bucket("100/s", 10),
            all: bucket("100/s", 10),
        };
        let served = Served {
            polls: stamps.iter().map(|one| came(one.at)).collect(),
            ..Served::default()
        };
        let harness = Crafted::default().harness();
        let all = checks(budgets, stamps, &harness, &served).into_iter();
        all.filter(|check| !check.is_within())
            .map(|check| check.what)
            .collect()
    }

    #[test]
    fn a_budget_that_is_kept_is_within() {
        assert_eq!(wrong(&kept(100, 10, 500), |at| at), Vec::<String>::new());
    }

    #[test]
    fn one_request_more_is_found() {
        let found = wrong(&kept(100, 11, 500), |at| at);
        let expected = [
            "poll.budget: sent above it",
            "poll.budget: came above it",
            "limits: sent above it",
            "limits: came above it",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_rate_that_is_a_twentieth_too_high_is_found() {
        let found = wrong(&kept(105, 10, 500), |at| at);
        assert!(
            found.contains(&"poll.budget: sent above it".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn what_was_sent_in_time_may_come_in_a_heap_where_the_way_is_long() {
        // Everything of the first half second comes at its end; no way was so long by our stamps.
        let heap = |at: Tick| at.max(Tick(500_000_000));
        let found = wrong(&kept(100, 10, 500), heap);
        assert_eq!(
            found,
            ["poll.budget: came above it", "limits: came above it"]
        );
    }

    #[test]
    fn a_budget_that_was_never_the_limit_proves_nothing() {
        let found = wrong(&kept(50, 1, 500), |at| at);
        assert_eq!(found, ["poll.budget: share used", "limits: share used"]);
    }
}
