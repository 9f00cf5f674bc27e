//! What the poll policies know for what they cost: the mean lag from the end of a work to the poll
//! that sees it, at the same polls a work, on four laws, in virtual time against the simulated
//! service's own books. `cargo bench --bench poll_policies` prints the table of
//! `docs/poll-policies.md`; `WORKS=5000` for a shorter one, `SEED=2` for another.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use plimsoll::check::expect;
use plimsoll::record::row::{Settled, WorkRow};
use plimsoll::scenario::{Law, Plan, resolve};
use plimsoll::sim::world::{self, Network, Watch};

/// Names and laws: one without memory, one whose works end around a time, one with two such times,
/// and one with many short works and some long ones.
const LAWS: [(&str, &str); 4] = [
    ("exponential, mean 8 s", "exp(8s)"),
    ("log-normal, median 8 s", "lognormal(8s, 0.6)"),
    (
        "two modes: 90 % at 10 s, 10 % at 60 s",
        "mix(0.9 lognormal(10s, 0.1), 0.1 lognormal(60s, 0.083))",
    ),
    (
        "two means: 90 % of 2 s, 10 % of 60 s",
        "mix(0.9 exp(2s), 0.1 exp(60s))",
    ),
];

/// Names and what `[poll]` says; the interval is found for each.
const POLICIES: [(&str, &str); 6] = [
    ("fixed", "policy = \"fixed\""),
    ("fixed, first = interval", "first = \"interval\""),
    (
        "exponential",
        "policy = \"exponential\"\nfactor = 1.5\ncap = \"10m\"\nfirst = \"interval\"",
    ),
    ("hinted", "policy = \"hinted\""),
    ("optimal", "policy = \"optimal\""),
    ("optimal, like", "policy = \"optimal\"\nlike = \"earlier\""),
];

/// The interval of `fixed`, and what the service says in `Retry-After`, in seconds.
const INTERVAL: f64 = 4.0;

#[derive(Default)]
struct Rows(Vec<WorkRow>);

impl Watch for Rows {
    fn settled(&mut self, settled: Settled) {
        self.0.push(settled.row);
    }
}

/// Works of a law at 20/s, followed to their ends.
fn plan(law: &str, poll: &str, interval: f64) -> Plan {
    let number = |name: &str, fallback: u64| {
        std::env::var(name).map_or(fallback, |text| text.parse().unwrap())
    };
    let (works, seed) = (number("WORKS", 22_000), number("SEED", 1));
    let text = format!(
        "name = \"policies\"\nseed = {seed}\n[target]\nbase_url = \"simulator\"\n\
         [simulator]\nservice_time = \"{law}\"\nretry_after = {INTERVAL}\n\
         [[load]]\nrate = \"20/s\"\nduration = \"{}s\"\n\
         [poll]\n{poll}\ninterval = \"{interval:.6}s\"\ngive_up_after = \"1h\"\n\
         [drain]\nlimit = \"1h\"\n",
        works / 20
    );
    resolve::read(&text, &[], &|_| Ok(curve(law).into_bytes())).unwrap()
}

/// The law as an earlier run would have left it behind, had it seen works without end.
fn curve(law: &str) -> String {
    let law = Law::parse(law).unwrap();
    let mut curve = "t_s,completed,failed\n".to_owned();
    for tenth in 0..6_000 {
        let age = f64::from(tenth) / 10.0;
        writeln!(curve, "{age},{:.9},0", 1.0 - law.survival(age)).unwrap();
    }
    curve
}

/// The interval at which a policy is expected to take so many polls a work.
fn interval_of(law: &str, poll: &str, polls: f64) -> f64 {
    let (mut low, mut high) = (0.01, 100.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        let plan = plan(law, poll, middle);
        let law = plan.simulator.any_service_time();
        if expect::polls(&plan, &|age| law.survival(age)) > polls {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Polls a work, and the mean and the p95 of the lag in seconds.
fn play(plan: Plan) -> (f64, f64, f64) {
    let mut rows = Rows::default();
    let run = world::run(&Arc::new(plan), &Network::IDEAL, Vec::new(), &mut rows);
    run.snapshot.check_books(true).unwrap();
    let truth: BTreeMap<String, _> = (run.truth.rows())
        .map(|row| (row.work_id.clone(), row))
        .collect();
    let (mut polls, mut lags) = (0.0, Vec::new());
    for row in &rows.0 {
        polls += f64::from(row.polls);
        let truth = &truth[&*row.work_id.as_ref().unwrap().0];
        let lag = row.detected.unwrap().since(truth.terminal.unwrap());
        lags.push(lag.seconds());
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let n = lags.len() as f64;
    lags.sort_unstable_by(f64::total_cmp);
    let p95 = lags[lags.len() * 95 / 100];
    (polls / n, lags.iter().sum::<f64>() / n, p95)
}

#[expect(clippy::print_stdout, reason = "what a bench is for")]
fn main() {
    let mut head = "| law |".to_owned();
    let mut rule = "|---|".to_owned();
    for (name, _) in POLICIES {
        write!(head, " {name} |").unwrap();
        rule.push_str("---|");
    }
    println!("{head}\n{rule}");
    for (name, law) in LAWS {
        let mut line = format!("| {name} |");
        let fixed = plan(law, POLICIES[0].1, INTERVAL);
        let open = fixed.simulator.any_service_time();
        let wanted = expect::polls(&fixed, &|age| open.survival(age));
        for (policy, poll) in POLICIES {
            let interval = match policy {
                "exponential" | "fixed, first = interval" => interval_of(law, poll, wanted),
                _ => INTERVAL,
            };
            let (polls, mean, p95) = play(plan(law, poll, interval));
            write!(line, " {mean:.2} / {p95:.2} ({polls:.2}) |").unwrap();
        }
        println!("{line}");
    }
}
