//! An intake service written from the contract alone, with faults by chance and a log of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::host::{Reply, Request, Service, answer};

/// Shares of the requests or works with which something goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) error: f64,
    pub(crate) reset_before: f64,
    pub(crate) reset_after: f64,
    pub(crate) garbage: f64,
    /// Answered after `LATE`.
    pub(crate) late: f64,
    pub(crate) fails: f64,
    pub(crate) endless: f64,
    /// Denied from the second poll on.
    pub(crate) lost: f64,
    /// Given the id of the work before.
    pub(crate) repeats: f64,
    /// Seconds for which a poll does not find a new work.
    pub(crate) invisible: f64,
    /// Requests per second and at once: one more is answered 429.
    pub(crate) bucket: Option<(f64, f64)>,
}

/// Longer than the timeouts of the tests.
pub(crate) const LATE: Duration = Duration::from_millis(900);
/// What a 429 says, in seconds.
pub(crate) const RETRY_AFTER: f64 = 1.0;

/// A work that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    at: f64,
    seconds: f64,
    ending: Option<&'static str>,
    lost: bool,
    polls: u32,
    /// What a poll was last told, in whole and in time: a word of the contract, or `404`.
    pub(crate) told: String,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Intake {
    faults: Faults,
    chance: ChaCha8Rng,
    tokens: f64,
    refilled: f64,
    /// How often each URL of a work was asked.
    asked: BTreeMap<String, u64>,
    /// By id.
    pub(crate) works: BTreeMap<String, Taken>,
    /// Which submit got which id, whether it heard of it or not.
    pub(crate) ids: BTreeMap<u64, String>,
    /// When a 429 was sent.
    pub(crate) refusals: Vec<f64>,
}

impl Intake {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            tokens: faults.bucket.map_or(0.0, |(_, burst)| burst),
            faults,
            chance: ChaCha8Rng::seed_from_u64(29),
            refilled: 0.0,
            asked: BTreeMap::new(),
            works: BTreeMap::new(),
            ids: BTreeMap::new(),
            refusals: Vec::new(),
        }
    }

    /// What happens to a request is a function of its number, not of the order in which requests
    /// come: a submit's is that of its arrival, a poll's that of its turn among those of its work.
    fn choose_stream(&mut self, request: &Request) {
        let stream = if request.method == "POST" {
            request.seq()
        } else {
            let turn = self.asked.entry(request.target.clone()).or_default();
            *turn += 1;
            let digits = request.target.rsplit('_').next().unwrap();
            let work: u64 = digits.parse().unwrap_or(0);
            (1 << 40) + (work << 20) + *turn
        };
        self.chance.set_stream(stream);
        self.chance.set_word_pos(0);
    }

    /// A number in `[0, 1)`.
    fn draw(&mut self) -> f64 {
        f64::from(self.chance.next_u32()) / 4_294_967_296.0
    }

    fn happens(&mut self, share: f64) -> bool {
        self.draw() < share
    }

    fn is_over_limit(&mut self, now: f64) -> bool {
        let Some((rate, burst)) = self.faults.bucket else {
            return false;
        };
        let passed = if self.refilled > 0.0 {
            now - self.refilled
        } else {
            0.0
        };
        self.tokens = (self.tokens + passed * rate).min(burst);
        self.refilled = now;
        if self.tokens < 1.0 {
            self.refusals.push(now);
            return true;
        }
        self.tokens -= 1.0;
        false
    }

    fn submit(&mut self, request: &Request) -> Reply {
        let seq = request.seq();
        if self.happens(self.faults.reset_before) {
            return Reply::Reset;
        }
        let repeats = self.happens(self.faults.repeats);
        // Of a lost work two askers would be told different things.
        let last = self
            .ids
            .values()
            .next_back()
            .filter(|id| !self.works[*id].lost);
        let id = match last.filter(|_| repeats) {
            Some(id) => id.clone(),
            None => self.take(request.at, seq),
        };
        let known = self.ids.insert(seq, id.clone());
        assert!(known.is_none(), "submit {seq} came twice");
        if self.happens(self.faults.reset_after) {
            return Reply::Reset;
        }
        if self.happens(self.faults.garbage) {
            return answer(202, &[], "<html>Accepted");
        }
        let reply = answer(202, &[], format!(r#"{{"work_id": "{id}"}}"#));
        if self.happens(self.faults.late) {
            return late(reply);
        }
        reply
    }

    fn take(&mut self, now: f64, seq: u64) -> String {
        let id = format!("work_{seq:04}");
        let ending = match self.draw() {
            chance if chance < self.faults.endless => None,
            chance if chance < self.faults.endless + self.faults.fails => Some("failed"),
            _ => Some("completed"),
        };
        let work = Taken {
            at: now,
            seconds: 0.1 + 0.4 * self.draw(),
            ending,
            lost: self.happens(self.faults.lost),
            polls: 0,
            told: String::new(),
        };
        self.works.insert(id.clone(), work);
        id
    }

    fn poll(&mut self, now: f64, id: &str) -> Reply {
        if self.happens(self.faults.reset_after) {
            return Reply::Reset;
        }
        if self.happens(self.faults.garbage) {
            return answer(200, &[], "{\"status\": \"comp");
        }
        let is_late = self.happens(self.faults.late);
        let invisible = self.faults.invisible;
        let Some(work) = self.works.get_mut(id) else {
            panic!("{id} was never given to anybody");
        };
        let age = now - work.at;
        let word = if age < invisible || (work.lost && work.polls > 0) {
            "404"
        } else {
            match work.ending {
                Some(word) if age >= work.seconds => word,
                _ if age >= work.seconds / 2.0 => "running",
                _ => "pending",
            }
        };
        if is_late {
            return late(said(word));
        }
        if word != "404" {
            work.polls += 1;
        }
        word.clone_into(&mut work.told);
        said(word)
    }
}

fn said(word: &str) -> Reply {
    if word == "404" {
        return answer(404, &[], "{}");
    }
    answer(200, &[], format!(r#"{{"status": "{word}", "more": [1]}}"#))
}

fn late(reply: Reply) -> Reply {
    match reply {
        Reply::Now(response) => Reply::Later(LATE, response),
        other => other,
    }
}

impl Service for Intake {
    fn answer(&mut self, request: &Request) -> Reply {
        if !request.header("authorization").starts_with("Bearer user.") {
            return answer(401, &[], r#"{"error": "bad key"}"#);
        }
        if self.is_over_limit(request.at) {
            return answer(429, &[("Retry-After", "1")], "slow down");
        }
        self.choose_stream(request);
        if self.happens(self.faults.error) {
            return answer(500, &[], "oops");
        }
        let path = request.target.as_str();
        if path == "/v1/intake/demo" && request.method == "POST" {
            return self.submit(request);
        }
        match path.strip_prefix("/v1/intake/demo/work/") {
            Some(id) if request.method == "GET" => self.poll(request.at, id),
            _ => answer(404, &[], "{}"),
        }
    }
}
