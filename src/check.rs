//! What a plan will do, and what it can and cannot prove: the answer of `plimsoll check`.
//!
//! Pure: nothing is sent. Works of the built-in service are known in advance; of a real service
//! only bounds can be given.

use crate::scenario::{Arrivals, Base, Mode, Plan, Rate, RateScope, Shape, Stage, slo};

mod callbacks;
pub mod descriptors;
pub mod expect;
mod proof;
pub mod shards;
mod worries;

/// One thing to know about a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether it should worry the reader.
    pub weight: Weight,
    /// What it is about, in a word or two.
    pub about: &'static str,
    /// A sentence.
    pub text: String,
}

/// Whether a line is a fact or a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// To know.
    Fact,
    /// To think about before the run.
    Warning,
}

/// Bytes of a followed work with an id of at most 40, as `benches/memory.rs` measures them.
const BYTES_A_WORK: f64 = 128.0;

/// Slots of one histogram: 1 us to 24 h with three digits.
const HISTOGRAM_SLOTS: f64 = 28_672.0;

/// Everything to know about a plan on a machine with so many cores: facts first, then warnings.
pub fn explain(plan: &Plan, cores: u64) -> Vec<Line> {
    let mut lines = Lines::default();
    let works = (plan.target.base == Base::Simulator).then(|| expect::simulated(plan));
    load(plan, &mut lines);
    traffic(plan, works, &mut lines);
    callbacks::explain(plan, &mut lines);
    budgets(plan, works, &mut lines);
    let shards = shards::auto(plan, cores);
    time_and_memory(plan, works, shards, &mut lines);
    let need = descriptors::needed(plan, shards);
    let text = format!(
        "{} needed, {} if the service is silent for a whole timeout at the peak",
        need.at_least, need.if_silent
    );
    lines.fact("descriptors", text);
    shards::explain(plan, cores, &mut lines);
    proof::samples(plan, &mut lines);
    proof::promises(plan, &mut lines);
    worries::simulator(plan, works, &mut lines);
    worries::polling(plan, &mut lines);
    worries::security(plan, &mut lines);
    lines.0.sort_by_key(|line| line.weight == Weight::Warning);
    lines.0
}

#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn fact(&mut self, about: &'static str, text: impl Into<String>) {
        self.push(Weight::Fact, about, text.into());
    }

    fn warn(&mut self, about: &'static str, text: impl Into<String>) {
        self.push(Weight::Warning, about, text.into());
    }

    fn push(&mut self, weight: Weight, about: &'static str, text: String) {
        self.0.push(Line {
            weight,
            about,
            text,
        });
    }
}

fn arrivals(plan: &Plan) -> f64 {
    plan.load.iter().map(Stage::expected_arrivals).sum()
}

fn peak(plan: &Plan) -> f64 {
    plan.load.iter().map(Stage::peak_rate).fold(0.0, f64::max)
}

fn load(plan: &Plan, lines: &mut Lines) {
    for (index, stage) in plan.load.iter().enumerate() {
        let rate = |shape: &Shape| match shape.ends() {
            (from, to) if shape.is_flat() => rate(from.max(to)),
            (from, to) => format!("{} to {}", rate(from), rate(to)),
        };
        let law = match &stage.arrivals {
            Arrivals::Constant(shape) => format!("constant, {}", rate(shape)),
            Arrivals::Poisson(shape) => format!("Poisson, {}", rate(shape)),
            Arrivals::Replay(_) => "a recorded log".to_owned(),
        };
        let works = stage.expected_arrivals();
        let text = format!("{law} for {}: {works:.0} works", stage.duration);
        if plan.load.len() == 1 {
            lines.fact("load", text);
        } else {
            lines.fact("load", format!("stage {index}: {text}"));
        }
    }
    if plan.load.len() > 1 {
        let (works, peak) = (arrivals(plan), peak(plan));
        let text = format!("{works:.0} works in all, {} at the peak", rate(peak));
        lines.fact("load", text);
    }
}

impl Shape {
    /// Whether the rate stays the same.
    pub const fn is_flat(&self) -> bool {
        matches!(self, Self::Flat(_))
    }
}

fn traffic(plan: &Plan, works: Option<expect::Works>, lines: &mut Lines) {
    let peak = peak(plan);
    if plan.observe.mode == Mode::Callback {
        let text = "none: observe.mode is \"callback\"";
        return lines.fact("polls", text);
    }
    let Some(works) = works else {
        let interval = plan.poll.interval;
        lines.fact(
            "polls",
            format!("a work that takes t needs about t / {interval} + 1 of them"),
        );
        return;
    };
    let (polls, mean) = (works.polls, works.mean);
    lines.fact(
        "polls",
        format!(
            "{polls:.2} a work, which takes {} in the mean without queueing",
            seconds(mean)
        ),
    );
    let (poll_rate, all) = (peak * polls, peak * (1.0 + polls));
    lines.fact(
        "requests",
        format!(
            "at the peak {} submits and {} polls: {} together",
            rate(peak),
            rate(poll_rate),
            rate(all)
        ),
    );
}

/// Each limit against what the peak needs.
fn budgets(plan: &Plan, works: Option<expect::Works>, lines: &mut Lines) {
    let peak = peak(plan);
    let shared = plan.limits.and_then(|limits| limits.bucket);
    let shared = shared.map(|bucket| bucket.rate.per_second());
    let ceiling = plan.target.max_rate.map(Rate::per_second);
    let polls = plan.poll.budget.map(|bucket| bucket.rate.per_second());
    let both = [("[limits]", shared), ("target.max_rate", ceiling)];
    for (name, limit) in both {
        let Some(limit) = limit else { continue };
        held(
            name,
            limit,
            peak,
            works.map(|works| 1.0 + works.polls),
            1.0,
            plan,
            lines,
        );
    }
    if let Some(limit) = polls {
        held(
            "poll.budget",
            limit,
            peak,
            works.map(|works| works.polls),
            0.0,
            plan,
            lines,
        );
    }
    let (Some(works), Some(bucket)) = (works, plan.simulator.rate_limit) else {
        return;
    };
    let (need, what) = match plan.simulator.rate_scope {
        RateScope::Submit => (peak, "submits"),
        RateScope::Poll => (peak * works.polls, "polls"),
        RateScope::Both => (peak * (1.0 + works.polls), "requests"),
    };
    let limit = bucket.rate.per_second();
    let text = format!(
        "the service allows {} {what} with a burst of {}; the peak needs {}",
        rate(limit),
        bucket.burst,
        rate(need)
    );
    let paced = [shared, ceiling]
        .into_iter()
        .flatten()
        .any(|own| own <= limit);
    if need > limit && !paced {
        lines.warn("rate limit", format!("{text}: expect 429"));
    } else {
        lines.fact("rate limit", text);
    }
}

/// One local limit: what it needs to hold where that is known, otherwise the longest works that
/// fit.
fn held(
    name: &'static str,
    limit: f64,
    peak: f64,
    requests_a_work: Option<f64>,
    submits: f64,
    plan: &Plan,
    lines: &mut Lines,
) {
    if let Some(requests) = requests_a_work {
        let need = peak * requests;
        let text = format!(
            "{name} holds {}; the peak needs {}",
            rate(limit),
            rate(need)
        );
        if need > limit {
            lines.warn(
                "budget",
                format!("{text}: requests will wait, and poll_wait will grow"),
            );
        } else {
            lines.fact("budget", text);
        }
        return;
    }
    if peak <= 0.0 {
        return;
    }
    // limit = peak x (submits + t / interval + 1), solved for t.
    let longest = plan.poll.interval.seconds() * (limit / peak - submits - 1.0);
    if longest > 0.0 {
        lines.fact(
            "budget",
            format!(
                "{name} holds {}: enough at the peak for works of up to {} in the mean",
                rate(limit),
                seconds(longest)
            ),
        );
    } else {
        lines.warn(
            "budget",
            format!(
                "{name} holds {}, which is too little for {} works however short they are: each \
                 needs {:.0} requests at least",
                rate(limit),
                rate(peak),
                submits + 1.0
            ),
        );
    }
}

fn time_and_memory(plan: &Plan, works: Option<expect::Works>, shards: u64, lines: &mut Lines) {
    let load: f64 = plan.load.iter().map(|stage| stage.duration.seconds()).sum();
    let drain = plan.drain_limit;
    let longest = load + drain.seconds();
    lines.fact(
        "time",
        format!(
            "{} of load and at most {} of drain: {} at most",
            seconds(load),
            seconds(drain.seconds()),
            seconds(longest)
        ),
    );
    let give_up = plan.poll.give_up_after.seconds();
    let most = (peak(plan) * give_up).min(arrivals(plan));
    // Little's law, and what an overload leaves behind.
    let piles: f64 = expect::capacity(plan).map_or(0.0, |capacity| {
        plan.load
            .iter()
            .map(|stage| expect::pile(stage, capacity))
            .sum()
    });
    let backlog = works.map_or(most, |works| (peak(plan) * works.mean + piles).min(most));
    #[expect(
        clippy::cast_precision_loss,
        reason = "sizes for people, far below 2^53 bytes"
    )]
    let bodies = plan.report.open_body_bytes as f64;
    let metrics = f64::from(u32::try_from(slo::METRICS.len()).unwrap_or(0));
    let shards = f64::from(u32::try_from(shards).unwrap_or(u32::MAX));
    // Of the whole run, and of the current interval of each shard.
    let histograms = metrics * (1.0 + shards) * HISTOGRAM_SLOTS * 8.0;
    let total = backlog * BYTES_A_WORK + bodies + histograms;
    lines.fact(
        "memory",
        format!(
            "about {:.0} MB: {backlog:.0} works in the backlog{}, histograms, and bodies of open works",
            (total / 1e6).ceil(),
            if works.is_some() { "" } else { " at most" }
        ),
    );
}

/// A rate for people: per second, or per minute or hour where that is small.
fn rate(per_second: f64) -> String {
    let (value, unit) = if per_second >= 1.0 || per_second <= 0.0 {
        (per_second, "s")
    } else if per_second * 60.0 >= 1.0 {
        (per_second * 60.0, "min")
    } else {
        (per_second * 3_600.0, "h")
    };
    format!("{}/{unit}", tenths(value))
}

/// A number with one digit behind the point, unless that is 0.
fn tenths(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A length for people, with three digits at most.
fn seconds(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1.0 => return format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s => (s / 3_600.0, "h"),
    };
    format!("{} {unit}", tenths(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    fn lines(text: &str) -> Vec<Line> {
        let plan = resolve::read(text, &[], &|_| Err(String::new())).unwrap();
        explain(&plan, 4)
    }

    fn base(url: &str) -> String {
        format!(
            "name = 'x'\n[[load]]\nrate = '20/s'\nduration = '30s'\n[target]\nbase_url = '{url}'\n"
        )
    }

    #[test]
    fn the_quickstart_is_explained_without_a_warning() {
        let lines = lines(include_str!("../scenarios/quickstart.toml"));
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let all = text.join("\n");
        for part in [
            "Poisson, 20/s for 30s: 600 works",
            "3.39 a work",
            "20/s submits and 67.9/s polls: 87.9/s together",
            "poll.budget holds 80/s; the peak needs 67.9/s",
            "the service allows 110/s requests with a burst of 50; the peak needs 87.9/s",
            "30 s of load and at most 60 s of drain: 90 s at most",
            "above p99 to \u{b1}80 %",
            "a bound of p99.9 (2995 needed)",
            "below 0.50 %",
        ] {
            assert!(all.contains(part), "no `{part}` in\n{all}");
        }
        assert!(
            lines.iter().all(|line| line.weight == Weight::Fact),
            "{all}"
        );
    }

    #[test]
    fn what_should_worry_is_said() {
        let check = |text: String, about: &str, part: &str| {
            let warned = lines(&text);
            let found = warned.iter().any(|line| {
                line.weight == Weight::Warning && line.about == about && line.text.contains(part)
            });
            assert!(found, "no `{part}` in {warned:#?}");
        };
        let sim = |more: &str| format!("{}{more}\n", base("simulator"));
        let real = |more: &str| format!("{}{more}\n", base("http://example.com"));
        let queue = "[simulator]\nworkers = 4\nservice_time = 'fixed(1s)'";
        check(sim(queue), "simulator", "a queue of about 480 works");
        check(
            sim("[poll]\nbudget = '10/s'"),
            "budget",
            "poll.budget holds 10/s",
        );
        check(
            sim("[limits]\nrate = '30/s'"),
            "budget",
            "[limits] holds 30/s",
        );
        check(
            sim("[simulator]\nrate_limit = '30/s'"),
            "rate limit",
            "expect 429",
        );
        check(
            sim("[simulator]\nintake_id = 'a'"),
            "simulator",
            "expect 404",
        );
        check(
            sim("[simulator]\nendless_ratio = 0.1"),
            "simulator",
            "10.0 % of its works",
        );
        check(
            sim("[api.poll]\npath = '/w/{work_id}'"),
            "simulator",
            "default API only",
        );
        check(sim("[poll]\nfirst = 'now'"), "polls", "cannot be known");
        check(
            sim("[[slo]]\nthat = 'accept_latency.p99.9 < 1s'"),
            "proof",
            "needs 2995 works",
        );
        check(
            sim("[[slo]]\nthat = 'work_failure_ratio < 0.1%'"),
            "proof",
            "needs 2995 works",
        );
        check(real("[poll]\ninterval = '500ms'"), "polls", "once a second");
        check(real("[poll]\npolicy = 'hinted'"), "polls", "biased");
        let optimal = "[poll]\npolicy = 'optimal'\ninterval = '2s'";
        check(real(optimal), "polls", "after 200ms");
        check(sim(optimal), "polls", "poll.like");
        check(real("max_rate = '30/s'"), "budget", "each needs 2 requests");
        check(real("api_key = 'env:KEY'"), "security", "plain http");
        check(
            real("[http]\ninsecure = true"),
            "security",
            "any certificate",
        );
        let warned = lines(&base("http://127.0.0.1:1"));
        assert!(
            warned.iter().all(|line| line.weight == Weight::Fact),
            "{warned:?}"
        );
    }

    #[test]
    fn a_real_service_gets_the_longest_works_that_fit() {
        let lines = lines(&format!(
            "{}max_rate = '100/s'\n",
            base("https://example.com")
        ));
        // 1 s x (100 / 20 - 2)
        let part = "enough at the peak for works of up to 3 s in the mean";
        assert!(
            lines.iter().any(|line| line.text.contains(part)),
            "{lines:#?}"
        );
    }

    #[test]
    fn figures_read_well() {
        let check = |per_second: f64, text: &str| assert_eq!(rate(per_second), text);
        check(20.0, "20/s");
        check(0.5, "30/min");
        check(0.001, "3.6/h");
        check(0.0, "0/s");
        let check = |length: f64, text: &str| assert_eq!(seconds(length), text);
        check(0.25, "250 ms");
        check(90.0, "90 s");
        check(150.0, "2.5 min");
        check(28_800.0, "8 h");
    }
}
