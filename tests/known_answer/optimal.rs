//! The policy `optimal` against laws of which the truth is known: less lag at no more polls, its
//! bounds kept, and fixed polling where nothing better exists.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plimsoll::estimate::curve::Curve;
use plimsoll::record::row::WorkRow;
use plimsoll::report::{Facts, Report};
use plimsoll::scenario::{Law, resolve};
use plimsoll::sim::TruthRow;
use plimsoll::sim::world::{Network, run};

use super::{Tape, mean, with_truth};

const INTERVAL_S: f64 = 4.0;
const TWO_MODES: &str = "mix(0.9 lognormal(10s, 0.1), 0.1 lognormal(60s, 0.083))";

struct Played {
    polls: f64,
    lag: f64,
    /// Lags of the works that came first.
    early_lag: f64,
    /// From the submit to the first poll, and from each poll to the next: the longest, in seconds.
    longest: f64,
}

/// Plays 12,000 works at 40/s; an earlier run left `curve` behind.
fn play(law: &str, poll: &str, curve: &str) -> Played {
    let text = format!(
        "name = \"optimal\"\nseed = 17\n[target]\nbase_url = \"simulator\"\n\
         [simulator]\nservice_time = \"{law}\"\n\
         [[load]]\nrate = \"40/s\"\nduration = \"300s\"\n\
         [poll]\ninterval = \"4s\"\ngive_up_after = \"30m\"\n{poll}\n[drain]\nlimit = \"30m\"\n"
    );
    let read = |_: &str| Ok(curve.as_bytes().to_vec());
    let plan = resolve::read(&text, &[], &read).unwrap();
    let mut tape = Tape::default();
    let run = run(&plan.into(), &Network::IDEAL, Vec::new(), &mut tape);
    run.snapshot.check_books(true).unwrap();
    let mut last = BTreeMap::new();
    for (at, slot, _) in &tape.submits {
        last.insert((slot.index, slot.generation), *at);
    }
    let mut longest = 0.0_f64;
    for (at, slot) in &tape.polls {
        let before = last.insert((slot.index, slot.generation), *at).unwrap();
        longest = longest.max(at.since(before).seconds());
    }
    let pairs = with_truth(&tape, &run);
    let lag = |(row, truth): &(&WorkRow, TruthRow)| {
        let detected = row.detected.unwrap();
        detected.since(truth.terminal.unwrap()).seconds()
    };
    let early = pairs.iter().filter(|(row, _)| row.seq < 400).map(lag);
    Played {
        polls: mean(pairs.iter().map(|(row, _)| f64::from(row.polls))).0,
        lag: mean(pairs.iter().map(lag)).0,
        early_lag: mean(early).0,
        longest,
    }
}

const FIXED: &str = "policy = \"fixed\"";
const OPTIMAL: &str = "policy = \"optimal\"";

#[test]
fn it_sees_ends_sooner_than_fixed_at_no_more_polls() {
    // Known ends would give 0.75 and 0.3 of the lag of fixed polling (Barlow, Hunter and Proschan);
    // a tenth explores, and the first works teach.
    for (law, share) in [("lognormal(8s, 0.6)", 0.80), (TWO_MODES, 0.45)] {
        let (fixed, optimal) = (play(law, FIXED, ""), play(law, OPTIMAL, ""));
        assert!(
            optimal.polls <= fixed.polls * 1.02,
            "{law}: {} polls, not {}",
            optimal.polls,
            fixed.polls
        );
        assert!(
            optimal.lag <= fixed.lag * share,
            "{law}: {} s, not {share} of {} s",
            optimal.lag,
            fixed.lag
        );
    }
}

#[test]
fn where_no_age_is_better_than_another_it_loses_little() {
    // Works without memory are best asked at equal gaps, the first one too. That takes
    // 1 / (1 - e^(-T/m)) polls, and the lag is T times as much, less m.
    let m = 8.0;
    let optimal = play("exp(8s)", OPTIMAL, "");
    let equal_gaps = -m * (1.0 - 1.0 / optimal.polls).ln();
    let best = equal_gaps * optimal.polls - m;
    assert!(
        (best * 0.97..best * 1.1).contains(&optimal.lag),
        "{} s, {best} s at best",
        optimal.lag
    );
    let fixed = m / INTERVAL_S + 1.0;
    assert!(optimal.polls < fixed * 1.04, "{} polls", optimal.polls);
}

#[test]
fn no_work_starves() {
    let poll = "policy = \"optimal\"\nlongest = \"9s\"";
    let played = play(TWO_MODES, poll, "");
    assert!(
        played.longest > 8.999 && played.longest <= 9.0 + 1e-6,
        "{} s",
        played.longest
    );
    let free = play(TWO_MODES, OPTIMAL, "");
    assert!(free.longest > 15.0, "{} s", free.longest);
}

#[test]
fn a_small_budget_is_spent_on_the_best_ages() {
    // Fixed polling takes m/T + 1 = 4.75 polls a work and 190 a second; 100 have room for 2.5 a
    // work while works come, and for more when no more come. At as many polls the interval of fixed
    // polling is m / (polls - 1), and half of it the lag.
    let poll = "policy = \"optimal\"\nbudget = \"100/s\"";
    let played = play(TWO_MODES, poll, "");
    assert!(played.polls < 3.0, "{} polls", played.polls);
    let fixed = 15.0 / (played.polls - 1.0) / 2.0;
    assert!(played.lag < 0.4 * fixed, "{} s, not {fixed} s", played.lag);
}

#[test]
fn what_an_earlier_run_knew_helps_from_the_first_work_on() {
    let law = Law::parse(TWO_MODES).unwrap();
    let mut curve = "t_s,completed,failed\n".to_owned();
    for half_seconds in 0..200 {
        let age = f64::from(half_seconds) / 2.0;
        writeln!(curve, "{age},{:.9},0", 1.0 - law.survival(age)).unwrap();
    }
    let poll = "policy = \"optimal\"\nlike = \"earlier\"";
    let (knows, learns) = (play(TWO_MODES, poll, &curve), play(TWO_MODES, OPTIMAL, ""));
    assert!(learns.early_lag > 1.5, "{} s", learns.early_lag);
    assert!(knows.early_lag < 1.2, "{} s", knows.early_lag);
    assert!(knows.lag < learns.lag, "{} s", knows.lag);
}

#[test]
fn the_ages_of_a_report_are_worth_what_it_says() {
    for (law, poll, most, error) in [
        ("exp(8s)", FIXED, 1.0, 0.1),
        ("lognormal(8s, 0.6)", FIXED, 0.8, 0.1),
        (TWO_MODES, FIXED, 0.35, 0.1),
        ("lognormal(8s, 0.6)", OPTIMAL, 0.8, 0.2),
        (TWO_MODES, OPTIMAL, 0.35, 0.2),
    ] {
        let (plan, _, run) = super::run(
            &format!(
                "[simulator]\nservice_time = \"{law}\"\n\
                 [[load]]\nrate = \"40/s\"\nduration = \"300s\"\n\
                 [poll]\ninterval = \"4s\"\ngive_up_after = \"30m\"\n{poll}\n\
                 [drain]\nlimit = \"30m\"\n"
            ),
            &Network::IDEAL,
        );
        let report = Report::new(&plan, Facts::of(&plan), run.snapshot, Vec::new());
        let found = report.poll_at_ages.unwrap();
        let law = Law::parse(law).unwrap();
        let points = (1..=8_000).map(|k| f64::from(k) * 0.02);
        let truth = Curve::through(points.map(|age| (age, 1.0 - law.survival(age)))).unwrap();
        let every = found.then_every;
        let last = *found.ages.last().unwrap();
        let later = std::iter::successors(Some(last + every), |age| Some(age + every));
        let cost = truth.cost_of(found.ages.iter().copied().chain(later));
        for (what, said, is) in [
            ("polls", found.cost.polls, cost.polls),
            ("lag", found.cost.lag, cost.lag),
        ] {
            assert!(
                (said / is - 1.0).abs() < error,
                "{law:?}: {said} {what}, not {is}"
            );
        }
        assert!((found.cost.polls / found.fixed.polls - 1.0).abs() < 0.04);
        assert!(cost.lag < found.fixed.lag * most, "{law:?}: {} s", cost.lag);
    }
}
