//! What is recommended at a peak, why, and what would change it.

use std::sync::Arc;

use super::need::{Given, Need};
use super::played::WITHIN;
use super::polling::{fixed, highest_rate, shortest_interval};
use crate::report::text::number;
use crate::scenario::{Bucket, Mode, Plan, PollShape, Rate};
use crate::time::Span;

/// The share of a limit that a plan may use: what is left carries retries, other callers of the
/// same key, and a peak that is higher than was thought.
pub const MARGIN: f64 = 0.7;

/// A way for callers to learn the end of works.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name in every file and on the terminal.
    pub name: String,
    /// The scenario with it.
    pub plan: Arc<Plan>,
}

/// What callers should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Poll.
    Poll,
    /// Be called back, and poll what is overdue.
    Hybrid,
    /// Be called back: the service has no polls.
    Callback,
    /// Nothing of this fits the limit.
    Nothing,
}

impl Verdict {
    /// The word in `size.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Hybrid => "hybrid",
            Self::Callback => "callback",
            Self::Nothing => "nothing",
        }
    }

    /// What callers should do, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Hybrid => "be called back, and poll what is overdue",
            Self::Callback => "be called back",
            Self::Nothing => "ask for a higher limit first",
        }
    }
}

/// What is decided at a rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What callers should do.
    pub verdict: Verdict,
    /// The interval in seconds at which polls see ends as late as is wanted, in the mean; none if
    /// no interval is short enough, or the service has no polls.
    pub interval: Option<f64>,
    /// What that takes of the limit; none without one.
    pub share: Option<f64>,
    /// The shortest interval that the limit carries; none if it carries none, or there is none.
    pub shortest: Option<f64>,
    /// One of those that were tried, if it is among what does.
    pub choice: Option<String>,
}

/// What is recommended at a rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The rate.
    pub peak: Rate,
    /// What is decided.
    pub decision: Decision,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// The same if every work takes twice as long.
    pub if_slower: Decision,
    /// The same if the limit is half of what it is; none without one.
    pub if_halved: Option<Decision>,
}

/// Works a second that polling carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Highest {
    /// At the lag that is wanted, by the whole limit.
    pub at_lag: f64,
    /// The same by the share of it that leaves a margin.
    pub with_margin: f64,
    /// At any lag: each work needs its submit, and the poll that sees its end.
    pub at_any_lag: f64,
}

impl Given {
    /// The interval at which fixed polling with a random first poll has the lag that is wanted.
    pub fn wanted_interval(&self, plan: &Plan) -> Option<f64> {
        if plan.api.poll == PollShape::Nowhere {
            return None;
        }
        // The lag is half the interval, and what no interval makes less.
        let second = fixed(
            1.0,
            plan.poll.give_up_after.seconds(),
            &self.sojourn,
            self.way,
        );
        let interval = 2.0 * (self.size.lag.seconds() - (second.lag.mean - 0.5));
        (interval > 0.0).then_some(interval)
    }

    /// The highest rates that polling carries; none without a limit or polls.
    pub fn highest(&self, plan: &Plan) -> Option<Highest> {
        let limit = self.limit?.rate.per_second();
        let polling = self.fixed(plan, self.wanted_interval(plan)?);
        Some(Highest {
            at_lag: highest_rate(limit, polling.polls),
            with_margin: highest_rate(MARGIN * limit, polling.polls),
            at_any_lag: highest_rate(limit, polling.seen),
        })
    }

    /// The interval in seconds from which on polling takes as few requests as callbacks with a
    /// sweep take attempts and polls: `polls(T) = A + sweep`. None if it never does.
    pub fn break_even(&self, plan: &Plan) -> Option<f64> {
        let second = self.fixed(plan, 1.0);
        let called = self.delivery.attempts() + self.polling(&self.called_back(plan)).polls;
        let left = called - second.seen;
        (left > 0.0).then(|| (second.polls - second.seen) / left)
    }

    /// The scenario as it is called back: with a sweep where the service has polls. One that began
    /// before works end would poll them all, so the deadline is the scenario's or a later one, by
    /// which 99 in a hundred works have ended and their callbacks come.
    pub fn called_back(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        if plan.api.poll == PollShape::Nowhere {
            plan.observe.mode = Mode::Callback;
            return plan;
        }
        let most = self.sojourn.quantile(0.99) + self.delivery.lag(self.way).p99;
        plan.observe.mode = Mode::Hybrid;
        plan.observe.deadline = plan.observe.deadline.max(Span::from_secs_f64(most.ceil()));
        plan
    }

    fn fixed(&self, plan: &Plan, interval: f64) -> super::polling::Polling {
        fixed(
            interval,
            plan.poll.give_up_after.seconds(),
            &self.sojourn,
            self.way,
        )
    }

    /// What should be done at a rate of works a second. `plan` is the scenario, `choices` are what
    /// was tried.
    pub fn decide(&self, plan: &Plan, choices: &[Choice], rate: f64) -> Decision {
        let limit = self.limit.map(|limit| limit.rate.per_second());
        let interval = self.wanted_interval(plan);
        let polling = interval.map(|interval| self.fixed(plan, interval));
        let share_of = |requests: f64| limit.map(|limit| requests / limit);
        let share = polling.and_then(|polling| share_of(rate * (1.0 + polling.polls)));
        let second = self.fixed(plan, 1.0);
        let shortest = limit.and_then(|limit| shortest_interval(rate, limit, &second, 1.0));
        let tried = self.tried(choices, rate);
        let polls_do = polling.is_some() && share.is_none_or(|share| share <= MARGIN);
        let called = self.called_back(plan);
        let mode = called.observe.mode;
        let fits = |plan: &Plan| self.need(plan, rate).excess_per_s <= 0.0;
        let verdict = if tried.is_some() || polls_do {
            Verdict::Poll
        } else if !fits(&called) {
            Verdict::Nothing
        } else if mode == Mode::Hybrid {
            Verdict::Hybrid
        } else {
            Verdict::Callback
        };
        let choice = match verdict {
            Verdict::Poll => tried,
            Verdict::Nothing => None,
            Verdict::Hybrid | Verdict::Callback => choices
                .iter()
                .find(|choice| choice.plan.observe.mode == mode && fits(&choice.plan))
                .map(|choice| choice.name.clone()),
        };
        Decision {
            verdict,
            interval,
            share,
            shortest: shortest.filter(|_| plan.api.poll != PollShape::Nowhere),
            choice,
        }
    }

    /// Of those that were tried: which polls keep the lag and the margin, at the fewest requests.
    fn tried(&self, choices: &[Choice], rate: f64) -> Option<String> {
        let wanted = self.size.lag.seconds();
        let polls = choices
            .iter()
            .filter(|choice| choice.plan.observe.mode == Mode::Poll);
        let needs = polls.map(|choice| (choice, self.need(&choice.plan, rate)));
        let keeps = |need: &Need| {
            need.lag
                .is_some_and(|lag| lag.mean <= wanted * (1.0 + WITHIN))
                && need.share.is_none_or(|share| share <= MARGIN)
        };
        let keeping = needs.filter(|(_, need)| keeps(need));
        let best = keeping
            .min_by(|(_, one), (_, other)| one.requests_per_s.total_cmp(&other.requests_per_s));
        best.map(|(choice, _)| choice.name.clone())
    }

    /// What is recommended at a peak.
    pub fn advise(&self, plan: &Plan, choices: &[Choice], peak: Rate) -> Advice {
        let rate = peak.per_second();
        let decision = self.decide(plan, choices, rate);
        let slower = Self {
            sojourn: self.sojourn.stretched(2.0),
            ..self.clone()
        };
        let halved = self.limit.map(|limit| Self {
            limit: Some(halved(limit)),
            ..self.clone()
        });
        Advice {
            peak,
            reasons: self.reasons(plan, &decision, rate),
            if_slower: slower.decide(plan, choices, rate),
            if_halved: halved.map(|halved| halved.decide(plan, choices, rate)),
            decision,
        }
    }

    fn reasons(&self, plan: &Plan, decision: &Decision, rate: f64) -> Vec<String> {
        let mut reasons = Vec::new();
        reasons.extend(self.about_polls(plan, decision, rate));
        if decision.verdict == Verdict::Poll {
            return reasons;
        }
        let called = self.called_back(plan);
        let need = self.need(&called, rate);
        let of_limit = need.share.map_or_else(String::new, |share| {
            format!(", {} of the limit", number::percent(share))
        });
        reasons.push(format!(
            "with callbacks the API is asked {}{of_limit}",
            number::rate(need.requests_per_s)
        ));
        if let Some(callbacks) = &need.callbacks {
            let [_, second, _] = callbacks.peak_per_s;
            reasons.push(format!(
                "the receiver must take {} in the mean, {} in the busiest second of an hour, and \
                 have {} in hand at once",
                number::rate(callbacks.per_s),
                number::rate(second),
                number::plain(callbacks.at_once)
            ));
            reasons.push(self.about_outages(&need, &called));
        }
        reasons
    }

    fn about_polls(&self, plan: &Plan, decision: &Decision, rate: f64) -> Vec<String> {
        let lag = number::time(self.size.lag.seconds());
        let Some(interval) = decision.interval else {
            return vec![match plan.api.poll {
                PollShape::Nowhere => "the service has no polls".to_owned(),
                _ => format!("a poll alone takes too long to know ends {lag} late in the mean"),
            }];
        };
        let requests = number::rate(rate * (1.0 + self.fixed(plan, interval).polls));
        let every = number::time(interval);
        let Some(share) = decision.share else {
            return vec![format!(
                "polls every {every} tell ends {lag} late in the mean, and take {requests} with the \
                 submits; no limit is known (size.limit): ask whether that may be"
            )];
        };
        let (share_said, margin) = (number::percent(share), number::percent(MARGIN));
        let mut reasons = vec![format!(
            "to know ends {lag} late in the mean a work is asked every {every}: {requests} with the \
             submits, {share_said} of the limit; up to {margin} leaves a margin"
        )];
        if share > 1.0 {
            reasons.push(match decision.shortest {
                Some(shortest) => format!(
                    "the limit lets a work be asked every {} at most: {} late",
                    number::time(shortest),
                    number::time(self.fixed(plan, shortest).lag.mean)
                ),
                None => "no interval fits the limit: each work needs its submit and the poll that \
                         sees its end"
                    .to_owned(),
            });
        }
        if decision.verdict == Verdict::Poll {
            reasons.push(match &decision.choice {
                Some(choice) if share > MARGIN => {
                    format!("{choice} knows them sooner at fewer polls")
                }
                _ => self.about_room(plan, rate),
            });
        }
        reasons
    }

    /// How far polls at this rate are from the margin.
    fn about_room(&self, plan: &Plan, rate: f64) -> String {
        let limit = self
            .limit
            .map_or(0.0, |limit| MARGIN * limit.rate.per_second());
        let shortest = shortest_interval(rate, limit, &self.fixed(plan, 1.0), 1.0);
        let shortest = shortest.map_or_else(|| "none".to_owned(), number::time);
        format!("the shortest interval that leaves the margin is {shortest}")
    }

    /// What an outage of the receiver costs the API: every work is polled, once at the least.
    fn sweep(&self, need: &Need, plan: &Plan, outage: f64) -> String {
        if outage <= plan.observe.deadline.seconds() {
            return String::new();
        }
        let rate = need.requests_per_s / (1.0 + need.polls);
        let asked = 2.0 * rate;
        let share = self.limit.map_or_else(String::new, |limit| {
            let share = asked / limit.rate.per_second();
            format!(", {} of the limit", number::percent(share))
        });
        format!(
            ": meanwhile the API is asked {}/s at least{share}",
            number::plain(asked)
        )
    }

    fn about_outages(&self, need: &Need, plan: &Plan) -> String {
        let Some(callbacks) = &need.callbacks else {
            return String::new();
        };
        let lost = callbacks.outage.lost;
        let outage = number::time(callbacks.outage.seconds);
        let first = if lost >= 1.0 {
            format!(
                "an outage of the receiver of {outage} outlasts the retries ({}): {} callbacks of it \
                 never come",
                number::time(self.delivery.retried_for()),
                number::plain(lost)
            )
        } else {
            format!("an outage of the receiver of {outage} is bridged by the retries")
        };
        match plan.observe.mode {
            Mode::Hybrid => format!(
                "{first}; what has none {} after its accept is polled ({} polls a work otherwise){}",
                number::time(plan.observe.deadline.seconds()),
                number::plain(need.polls),
                self.sweep(need, plan, callbacks.outage.seconds)
            ),
            _ => format!("{first}, and nothing else tells of those works"),
        }
    }
}

fn halved(limit: Bucket) -> Bucket {
    let Rate { count, per } = limit.rate;
    let per = Span(per.0.saturating_mul(2));
    Bucket {
        rate: Rate { count, per },
        burst: limit.burst.div_ceil(2),
    }
}

#[cfg(test)]
mod tests {
    use super::super::need::tests::{given, plan};
    use super::*;

    fn choice(name: &str, more: &str) -> Choice {
        let text =
            format!("[size]\npeak = ['4/s']\nlimit = '600/min'\nfailure_ratio = 0.0\n{more}\n");
        Choice {
            name: name.to_owned(),
            plan: plan(&text),
        }
    }

    fn choices() -> [Choice; 3] {
        [
            choice("poll 5s", "[poll]\ninterval = '5s'\ngive_up_after = '2h'"),
            choice("callback", "[observe]\nmode = 'callback'"),
            choice(
                "hybrid",
                "[poll]\ngive_up_after = '2h'\n[observe]\nmode = 'hybrid'\ndeadline = '10m'",
            ),
        ]
    }

    fn decide(rate: f64) -> Decision {
        let choices = choices();
        let given = given("exp(60s)", &choices[0].plan);
        given.decide(&choices[0].plan, &choices, rate)
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!(
            (found / expected - 1.0).abs() < 0.002,
            "{found}, not {expected}"
        );
    }

    #[test]
    fn the_rate_decides() {
        // A lag of 5 s: every 10 s, 8 requests a work. 0.7 B = 7/s: up to 0.875 works a second.
        let low = decide(0.8);
        assert_eq!(low.verdict, Verdict::Poll);
        near(low.interval, 10.0);
        near(low.share, 0.64);
        // Every 5 s takes 14 requests a work: 11.2/s do not fit.
        assert_eq!(low.choice, None);
        assert_eq!(decide(0.4).choice.as_deref(), Some("poll 5s"));
        let tight = decide(1.1);
        assert_eq!(tight.verdict, Verdict::Hybrid);
        near(tight.share, 0.88);
        let high = decide(4.0);
        assert_eq!(high.choice.as_deref(), Some("hybrid"));
        near(high.shortest, 120.0);
        assert_eq!(decide(5.0).shortest, None);
        assert_eq!(decide(11.0).verdict, Verdict::Nothing);
    }

    #[test]
    fn what_would_change_it_is_said() {
        let choices = choices();
        let given = given("exp(60s)", &choices[0].plan);
        let peak = Rate::parse("48/min").unwrap();
        let advice = given.advise(&choices[0].plan, &choices, peak);
        assert_eq!(advice.decision.verdict, Verdict::Poll);
        // 14 requests a work instead of 8; or a limit of 5/s.
        near(advice.if_slower.share, 1.12);
        assert_eq!(advice.if_slower.verdict, Verdict::Hybrid);
        near(advice.if_halved.unwrap().share, 1.28);
        let high = given.advise(&choices[0].plan, &choices, Rate::parse("4/s").unwrap());
        let all = high.reasons.join("\n");
        for part in [
            "32/s with the submits, 320 %",
            "every 120 s at most: 60 s late",
            "2,400 callbacks",
        ] {
            assert!(all.contains(part), "no {part:?} in\n{all}");
        }
    }

    #[test]
    fn the_highest_rates_and_the_break_even_are_closed() {
        let choices = choices();
        let given = given("exp(60s)", &choices[0].plan);
        let highest = given.highest(&choices[0].plan).unwrap();
        near(Some(highest.at_lag), 10.0 / 8.0);
        near(Some(highest.with_margin), 7.0 / 8.0);
        near(Some(highest.at_any_lag), 5.0);
        // One attempt a work, and each 5 s a poll of the hundredth that outlasts 277 s.
        let sweep = (-277.0_f64 / 60.0).exp() / (1.0 - (-5.0_f64 / 60.0).exp());
        let break_even = given.break_even(&choices[0].plan);
        assert!(
            (break_even.unwrap() * sweep / 60.0 - 1.0).abs() < 0.05,
            "{break_even:?}"
        );
    }
}
