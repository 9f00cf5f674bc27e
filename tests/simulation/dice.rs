//! The scenarios of the seeds: TOML text, read by the reader that users use.

use std::fmt::Write;

use plimsoll::engine::Input;
use plimsoll::scenario::{Law, Plan, mistake, resolve};
use plimsoll::sim::world::Network;
use plimsoll::time::{Span, Tick};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// One seed's run, before it runs.
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) plan: Plan,
    pub(crate) network: Network,
    /// When they are told, and what: a stop may lie ahead.
    pub(crate) told: Vec<(Tick, Input)>,
    pub(crate) shards: usize,
}

/// Where all choices of a seed come from.
struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(of.len() as u64)).unwrap();
        of[index]
    }

    /// A length in milliseconds, as likely below a tenth of `most` as above.
    fn millis(&mut self, most: u64) -> String {
        let most = if self.one_in(2) { most / 10 } else { most };
        format!("{}ms", self.between(1, most.max(1)))
    }

    /// A share that is often 0 and seldom large.
    fn share(&mut self) -> f64 {
        match self.below(6) {
            0 => 0.02,
            1 => 0.2,
            2 if self.one_in(4) => 1.0,
            _ => 0.0,
        }
    }

    fn rate(&mut self, most: u64) -> String {
        match self.below(8) {
            0 => format!("{}/min", self.between(1, 60 * most)),
            1 => format!("{}/h", self.between(60, 3_600 * most)),
            _ => format!("{}/s", self.between(1, most)),
        }
    }
}

/// What an earlier run left behind: where `optimal` begins.
const EARLIER: &str = "earlier/sojourn_time.csv";
const CURVE: &str = "t_s,completed,failed\n0.3,0,0\n0.9,0.5,0.1\n4,0.8,0.1\n";

/// The case of a seed.
pub(crate) fn case(seed: u64) -> Case {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let mut text = format!("name = \"seed\"\nseed = {}\n", seed % 1_000_000_007);
    target(&mut dice, &mut text);
    simulator(&mut dice, &mut text);
    let log = load(&mut dice, &mut text);
    submit(&mut dice, &mut text);
    // None of the seeds that were found before that policy was.
    let is_optimal = matches!(seed % 7, 2 | 3);
    poll(&mut dice, is_optimal, &mut text);
    limits(&mut dice, &mut text);
    http(&mut dice, &mut text);
    let read = |name: &str| {
        let file = if name == EARLIER { CURVE } else { log.as_str() };
        Ok(file.as_bytes().to_vec())
    };
    let plan = resolve::read(&text, &[], &read).unwrap_or_else(|mistakes| {
        panic!(
            "{}\n{text}",
            mistake::picture("seed", &text, &mistakes, false)
        )
    });
    let mut network = network(&mut dice);
    let mut told = told(&mut dice, &plan);
    let shards = shards(&mut dice, &plan);
    network.between_shards = Span::from_millis(dice.below(30));
    if dice.one_in(2) {
        // As the shell has it: all shards are told before the instant comes.
        let ahead = Span::from_millis(dice.between(1, 1_500));
        for (heard, _) in &mut told {
            *heard = *heard - ahead;
        }
    }
    Case {
        text,
        plan,
        network,
        told,
        shards,
    }
}

fn target(dice: &mut Dice, text: &mut String) {
    text.push_str("[target]\nbase_url = \"simulator\"\n");
    if dice.one_in(6) {
        let rate = dice.rate(100);
        writeln!(text, "max_rate = \"{rate}\"").unwrap();
    }
}

fn simulator(dice: &mut Dice, text: &mut String) {
    text.push_str("[simulator]\n");
    let workers = if dice.one_in(2) {
        0
    } else {
        dice.between(1, 60)
    };
    writeln!(text, "workers = {workers}").unwrap();
    let laws = [
        "fixed(0s)",
        "fixed(700ms)",
        "uniform(10ms, 3s)",
        "exp(900ms)",
        "lognormal(600ms, 1.0)",
        "mix(0.9 exp(200ms), 0.1 fixed(9s))",
    ];
    let service_time = dice.pick(&laws);
    writeln!(text, "service_time = \"{service_time}\"").unwrap();
    for key in ["accept_delay", "poll_delay"] {
        if dice.one_in(2) {
            let law = match dice.below(4) {
                0 => "exp(80ms)".to_owned(),
                1 => format!("uniform(0s, {})", dice.millis(1_500)),
                _ => format!("fixed({})", dice.millis(400)),
            };
            writeln!(text, "{key} = \"{law}\"").unwrap();
        }
    }
    if dice.one_in(3) {
        let (rate, burst) = (dice.rate(80), dice.between(1, 40));
        let scope = dice.pick(&["submit", "poll", "both"]);
        writeln!(
            text,
            "rate_limit = \"{rate}\"\nrate_burst = {burst}\nrate_scope = \"{scope}\""
        )
        .unwrap();
    }
    if dice.one_in(4) {
        let visible_after = dice.millis(4_000);
        writeln!(text, "visible_after = \"{visible_after}\"").unwrap();
    }
    for key in ["stalls", "refusals"] {
        if dice.one_in(3) {
            let windows: Vec<String> = (0..dice.between(1, 3))
                .map(|_| {
                    let (at, length) = (dice.millis(15_000), dice.millis(4_000));
                    format!("{{ at = \"{at}\", for = \"{length}\" }}")
                })
                .collect();
            writeln!(text, "{key} = [{}]", windows.join(", ")).unwrap();
        }
    }
    for fault in [
        "fail",
        "error",
        "reset_before",
        "reset_after",
        "lose",
        "endless",
        "repeat_id",
        "revert",
        "garbage",
    ] {
        let share = dice.share();
        if share > 0.0 {
            writeln!(text, "{fault}_ratio = {share:?}").unwrap();
        }
    }
}

/// The stages; the answer is the file that a replay reads.
fn load(dice: &mut Dice, text: &mut String) -> String {
    for stage in 0..dice.between(1, 4) {
        text.push_str("[[load]]\n");
        if dice.one_in(8) {
            let scale = dice.pick(&["0.5", "1.0", "3.0"]);
            writeln!(
                text,
                "arrivals = \"replay\"\nfile = \"log.csv\"\ntime_scale = {scale}"
            )
            .unwrap();
            continue;
        }
        let arrivals = dice.pick(&["constant", "poisson"]);
        let rate = match dice.below(6) {
            0 if stage > 0 => "\"0/s\"".to_owned(),
            1 | 2 => {
                let (from, to) = (dice.below(40), dice.between(1, 80));
                format!("{{ from = \"{from}/s\", to = \"{to}/s\" }}")
            }
            _ => format!("\"{}\"", dice.rate(60)),
        };
        let duration = dice.between(1, 40) * 100;
        writeln!(
            text,
            "arrivals = \"{arrivals}\"\nrate = {rate}\nduration = \"{duration}ms\""
        )
        .unwrap();
    }
    let drain = dice.pick(&["0s", "500ms", "5s", "20s", "20s"]);
    writeln!(text, "[drain]\nlimit = \"{drain}\"").unwrap();
    let mut log = "timestamp\n".to_owned();
    let mut at = 0;
    for _ in 0..dice.between(1, 40) {
        writeln!(log, "{}.{:03}", at / 1_000, at % 1_000).unwrap();
        at += dice.below(200);
    }
    log
}

fn submit(dice: &mut Dice, text: &mut String) {
    text.push_str("[submit]\n");
    let timeout = dice.millis(5_000);
    let timeout = dice.pick(&["10s", "10s", &timeout]);
    writeln!(text, "timeout = \"{timeout}\"").unwrap();
    if dice.one_in(3) {
        let cap = dice.between(1, 16);
        writeln!(text, "max_in_flight = {cap}").unwrap();
    }
    let overload = dice.pick(&["queue", "drop"]);
    writeln!(text, "overload = \"{overload}\"").unwrap();
    if dice.one_in(2) {
        let retries = dice.between(1, 4);
        writeln!(text, "on_429 = \"retry\"\nretries = {retries}").unwrap();
    }
}

fn http(dice: &mut Dice, text: &mut String) {
    if dice.one_in(4) {
        let cap = dice.between(1, 24);
        writeln!(text, "[http]\nmax_in_flight = {cap}").unwrap();
    }
}

fn poll(dice: &mut Dice, is_optimal: bool, text: &mut String) {
    let policy = dice.pick(&["fixed", "exponential", "hinted"]);
    let policy = if is_optimal { "optimal" } else { policy };
    let interval = dice.millis(3_000);
    let first = dice.pick(&["random", "interval", "now"]);
    let from = dice.pick(&["schedule", "answer"]);
    let (first, from) = match policy {
        "optimal" => ("random", "schedule"),
        _ => (first, from),
    };
    let timeout = dice.millis(5_000);
    let timeout = dice.pick(&["10s", "10s", &timeout]);
    let (mut give_up, mut lost) = ("2m".to_owned(), "30s".to_owned());
    if dice.one_in(3) {
        give_up = dice.millis(8_000);
    }
    if dice.one_in(3) {
        lost = dice.millis(4_000);
    }
    writeln!(
        text,
        "[poll]\npolicy = \"{policy}\"\ninterval = \"{interval}\"\nfirst = \"{first}\"\n\
         from = \"{from}\"\ntimeout = \"{timeout}\"\ngive_up_after = \"{give_up}\"\n\
         lost_after = \"{lost}\""
    )
    .unwrap();
    if policy == "exponential" {
        let (factor, jitter) = (
            dice.pick(&["1.0", "1.5", "4.0"]),
            dice.pick(&["0.0", "0.3"]),
        );
        writeln!(
            text,
            "factor = {factor}\ncap = \"{}ms\"\njitter = {jitter}",
            dice.between(3_000, 6_000)
        )
        .unwrap();
    }
    if policy == "optimal" {
        writeln!(text, "longest = \"{}ms\"", dice.between(3_000, 9_000)).unwrap();
        if dice.one_in(2) {
            text.push_str("like = \"earlier\"\n");
        }
    }
    if dice.one_in(2) {
        let (rate, burst) = (dice.rate(120), dice.between(1, 20));
        writeln!(text, "budget = \"{rate}\"\nburst = {burst}").unwrap();
    }
    if dice.one_in(3) {
        let (share, after) = (dice.pick(&["0.1", "1.0"]), dice.millis(3_000));
        writeln!(text, "recheck = {share}\nrecheck_after = \"{after}\"").unwrap();
    }
    if dice.one_in(2) {
        let remember = dice.millis(5_000);
        writeln!(text, "remember = \"{remember}\"").unwrap();
    }
}

fn limits(dice: &mut Dice, text: &mut String) {
    if dice.one_in(3) {
        let learn = dice.one_in(2);
        writeln!(text, "[limits]\nlearn = {learn}").unwrap();
        if !learn || dice.one_in(2) {
            let (rate, burst) = (dice.rate(120), dice.between(1, 20));
            writeln!(text, "rate = \"{rate}\"\nburst = {burst}").unwrap();
        }
    }
}

fn network(dice: &mut Dice) -> Network {
    let delay = match dice.below(5) {
        0 => Law::Fixed(Span::from_millis(dice.between(1, 100))),
        1 => Law::Uniform(Span::ZERO, Span::from_millis(dice.between(1, 300))),
        2 => Law::Exponential(Span::from_millis(dice.between(1, 100))),
        _ => Law::Fixed(Span::ZERO),
    };
    let late = dice.one_in(4);
    Network {
        delay,
        late_ratio: if late { 0.05 } else { 0.0 },
        late_most: Span::from_millis(dice.between(1, 2_500)),
        between_shards: Span::ZERO,
    }
}

/// One to three, as far as the limits have a part for each.
fn shards(dice: &mut Dice, plan: &Plan) -> usize {
    let bursts = [
        plan.limits.and_then(|limits| limits.bucket),
        plan.poll.budget,
    ];
    let bursts = bursts.iter().flatten().map(|bucket| bucket.burst);
    let caps = [plan.submit.max_in_flight, plan.http.max_in_flight];
    let caps = caps.into_iter().filter(|cap| *cap > 0);
    let ceiling = plan.target.max_rate.map(|_| 1);
    let most = bursts.chain(caps).chain(ceiling).min().unwrap_or(u32::MAX);
    let wanted = dice.between(1, 3);
    usize::try_from(wanted.min(u64::from(most))).unwrap()
}

/// Stops at random instants: half of them on the millisecond, where arrivals are.
fn told(dice: &mut Dice, plan: &Plan) -> Vec<(Tick, Input)> {
    let length = plimsoll::arrival::length(&plan.load).0.max(1);
    let instant = |dice: &mut Dice, most: u64| {
        let at = dice.below(most);
        Tick(if dice.one_in(2) {
            at - at % 1_000_000
        } else {
            at
        })
    };
    let mut told = Vec::new();
    if dice.one_in(5) {
        let at = instant(dice, length + length / 5);
        told.push((at, Input::StopLoad { at }));
    }
    if dice.one_in(8) {
        let at = instant(dice, length * 2);
        told.push((at, Input::StopRun { at }));
    }
    told
}
