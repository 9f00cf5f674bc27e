//! What the shards of a run leave behind, as one.

use std::collections::BTreeMap;

use crate::engine::Refusal;
use crate::record::disturbance::Disturbances;
use crate::shell::driver::Finished;
use crate::shell::receiver::Seen;
use crate::time::Tick;
use crate::work::{Family, Policy, Strays};

/// The end of a run.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// When it was; none if no shard came so far.
    pub(super) at: Option<Tick>,
    /// When the load ended.
    pub(super) load_end: Tick,
    pub(super) stuck: BTreeMap<Box<str>, u64>,
    pub(super) refusal: Option<Refusal>,
    pub(super) announced: (Option<Family>, Option<Policy>),
    pub(super) interrupted: bool,
    /// None where nobody watched.
    pub(super) disturbances: Option<Disturbances>,
    /// Why the clocks of the machine were not watched to the end.
    pub(super) unwatched: Option<String>,
    /// Connections that stood at the first instant.
    pub(super) warm: u64,
    /// What the receiver of callbacks saw, where there was one.
    pub(super) receiver: Option<Seen>,
    /// Submits that had no place for the URL at which the service is to call.
    without_url: u64,
    /// What died, a shard or the receiver, and why.
    pub(super) died: Vec<String>,
}

impl Ending {
    /// Of a shard that died there is the reason alone; the others are given back.
    pub(super) fn of(shards: Vec<Result<Finished, String>>) -> (Self, Vec<Option<Finished>>) {
        let mut ending = Self::default();
        let mut left = Vec::new();
        for shard in shards {
            left.push(match shard {
                Ok(finished) => {
                    ending.add(&finished);
                    Some(finished)
                }
                Err(why) => {
                    ending.died.push(format!("a shard died: {why}"));
                    None
                }
            });
        }
        (ending, left)
    }

    /// What the watchdog saw, if there was one, or why it could not go on.
    pub(super) fn add_watch(&mut self, watch: Option<Result<Disturbances, String>>) {
        match watch.transpose() {
            Ok(seen) => self.add_disturbances(seen.as_ref()),
            Err(why) => {
                self.unwatched = Some(format!("the clocks were not watched to the end: {why}"));
            }
        }
    }

    /// What the receiver saw, if there was one, or why it died.
    pub(super) fn add_receiver(&mut self, receiver: Option<Result<Seen, String>>) {
        match receiver.transpose() {
            Ok(seen) => self.receiver = seen,
            Err(why) => self
                .died
                .push(format!("the receiver of callbacks died: {why}")),
        }
    }

    /// What of callbacks is in no count.
    pub(super) fn unheard(&self) -> Vec<String> {
        let seen = self.receiver.unwrap_or_default();
        let Strays {
            bad_token,
            malformed,
            timed_out,
            evicted,
        } = seen.strays_after;
        let strays = bad_token + malformed + timed_out + evicted;
        let line = |times: u64, what: &str| (times > 0).then(|| format!("{times} {what}"));
        [
            line(
                seen.after_the_end,
                "callbacks came when the books were closed: they are in no count",
            ),
            line(strays, "requests that were no callbacks came then, too"),
            line(
                self.without_url,
                "submits had no place for the URL of their callback: the service was told none",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn add_disturbances(&mut self, seen: Option<&Disturbances>) {
        if let Some(seen) = seen {
            self.disturbances.get_or_insert_default().merge(seen);
        }
    }

    fn add(&mut self, shard: &Finished) {
        self.at = self.at.max(Some(shard.end));
        self.load_end = self.load_end.max(shard.load_end);
        for (word, works) in &shard.stuck {
            *self.stuck.entry(word.clone()).or_insert(0) += works;
        }
        // Only the first shard judges.
        self.refusal = self.refusal.take().or_else(|| shard.refusal.clone());
        let (family, policy) = shard.announced;
        self.announced = (self.announced.0.or(family), self.announced.1.or(policy));
        self.interrupted |= shard.interrupted;
        self.add_disturbances(shard.disturbances.as_ref());
        self.warm += shard.warm;
        self.without_url += shard.without_url;
    }
}
