//! What the shards of a run tell each other: 429s, and ids whose home is another shard.
//!
//! There is no cell that two shards read. A 429 that closes a gate is told to all others at once.
//! Whether an id was given before is known by its home alone, a shard that follows from the id; who
//! was given it says so to its home, in batches.

use super::Engine;
use super::known_ids::fingerprint;
use crate::arrival::Segment;
use crate::record::ledger::Count;
use crate::time::{Span, Tick};
use crate::work::{About, Anomaly, CallbackNotice, RateHint};

/// News that are not urgent wait so long for more of them, so that a shard with little to do is
/// seldom woken.
const HOLD: Span = Span::from_millis(50);

/// News for another shard.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A request got 429, or 503 with `Retry-After`.
    Throttled(Throttled),
    /// Ids whose home is the shard that is told.
    Ids {
        /// The shard that follows their works.
        from: u64,
        /// What became of each.
        ids: Vec<IdNews>,
    },
    /// A callback about a work that the shard that is told follows, and when it was read.
    Callback(Tick, Box<CallbackNotice>),
}

/// A 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// When the request was sent.
    pub sent: Tick,
    /// When its answer was read.
    pub at: Tick,
    /// How long the service asks to wait, if it says.
    pub retry_after: Option<Span>,
}

/// The shard of so many that is told of a callback first: the one that sends the arrival, where the
/// callback says which; else the home of the id.
pub fn callback_home(about: &About, shards: u64) -> u64 {
    match about {
        About::Own { seq, .. } => seq % shards,
        About::Id(id) => home_of(fingerprint(&id.0), shards),
        About::Nobody => 0,
    }
}

/// The shard of so many that knows whether an id was given before. It follows from the upper half
/// of the fingerprint: tables of ids go by the lower one.
fn home_of(id: u128, shards: u64) -> u64 {
    u64::try_from(id >> 64).expect("64 bits are left") % shards
}

/// What became of an id, told as its fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdNews {
    /// A work was given it.
    Given(u128),
    /// That work has settled; the id is to be forgotten then.
    Left(u128, Tick),
}

/// News that have not left yet.
#[derive(Debug)]
pub(super) struct Peers {
    segment: Segment,
    /// By home.
    ids: Vec<Vec<IdNews>>,
    /// The last 429 that only keeps the gate closed for longer.
    prolonged: Option<Throttled>,
    /// When those leave that wait for more of them; never where there are none.
    leave_at: Tick,
    ready: Vec<(u64, News)>,
}

impl Peers {
    pub(super) fn new(segment: Segment) -> Self {
        Self {
            segment,
            ids: (0..segment.of).map(|_| Vec::new()).collect(),
            prolonged: None,
            leave_at: Tick::NEVER,
            ready: Vec::new(),
        }
    }

    /// The shard that knows whether an id was given before; none if it is this one.
    fn home(&self, id: u128) -> Option<u64> {
        let home = home_of(id, self.segment.of);
        (home != self.segment.index).then_some(home)
    }

    /// The same for an id, with its fingerprint; nobody else is asked where there is nobody else.
    fn elsewhere(&self, id: &str) -> Option<(u64, u128)> {
        if self.segment.of == 1 {
            return None;
        }
        let id = fingerprint(id);
        self.home(id).map(|home| (home, id))
    }

    /// Tells a home of an id.
    pub(super) fn tell(&mut self, home: u64, news: IdNews, now: Tick) {
        let place = usize::try_from(home).expect("shards are few");
        self.ids[place].push(news);
        self.leave_at = self.leave_at.min(now + HOLD);
    }

    /// Tells a shard something that does not wait for more.
    pub(super) fn tell_at_once(&mut self, shard: u64, news: News) {
        self.ready.push((shard, news));
    }

    /// Tells all others of a 429: at once if it closes the gate, soon if it keeps it closed for
    /// longer; of those only the last says anything, and none after the next closure.
    pub(super) fn tell_throttled(&mut self, throttled: Throttled, is_event: bool) {
        if self.segment.of == 1 {
            return;
        }
        self.prolonged = (!is_event).then_some(throttled);
        if is_event {
            self.pass_throttled(throttled);
        } else {
            self.leave_at = self.leave_at.min(throttled.at + HOLD);
        }
    }

    /// When news are to leave that wait for more.
    pub(super) const fn wakeup(&self) -> Tick {
        self.leave_at
    }

    /// Makes ready what has waited long enough.
    pub(super) fn pass(&mut self, now: Tick) {
        if now >= self.leave_at {
            self.pass_all();
        }
    }

    fn pass_all(&mut self) {
        self.leave_at = Tick::NEVER;
        for (home, ids) in (0..).zip(&mut self.ids) {
            if !ids.is_empty() {
                let from = self.segment.index;
                let ids = std::mem::take(ids);
                self.ready.push((home, News::Ids { from, ids }));
            }
        }
        if let Some(throttled) = self.prolonged.take() {
            self.pass_throttled(throttled);
        }
    }

    fn pass_throttled(&mut self, throttled: Throttled) {
        let others = (0..self.segment.of).filter(|shard| *shard != self.segment.index);
        self.ready
            .extend(others.map(|shard| (shard, News::Throttled(throttled))));
    }

    /// What is to be told now, and to which shard. News for one shard must come to it in this
    /// order. With `all` nothing is held back.
    pub(super) fn take(&mut self, all: bool) -> Vec<(u64, News)> {
        if all {
            self.pass_all();
        }
        std::mem::take(&mut self.ready)
    }
}

impl Engine {
    /// The gate hears of a 429.
    pub(super) fn throttled(&mut self, sent: Tick, at: Tick, hint: &RateHint) {
        let was_open_at = self.gate.open_at();
        let retry_after = hint.retry_after;
        let is_event = self.gate.throttled(sent, at, retry_after);
        self.count_closure(is_event);
        if self.gate.open_at() > was_open_at {
            let throttled = Throttled {
                sent,
                at,
                retry_after,
            };
            self.peers.tell_throttled(throttled, is_event);
        }
    }

    /// Another shard tells something.
    pub(super) fn hear_news(&mut self, news: News) {
        match news {
            News::Throttled(Throttled {
                sent,
                at,
                retry_after,
            }) => {
                let is_event = self.gate.throttled(sent, at, retry_after);
                self.count_closure(is_event);
            }
            News::Ids { from, ids } => ids.into_iter().for_each(|id| self.hear_id(from, id)),
            News::Callback(at, notice) => self.hear_callback(at, *notice),
        }
    }

    /// Two shards may hear of one event at once: what the first of them makes of it is counted.
    fn count_closure(&mut self, is_event: bool) {
        if is_event && self.segment.index == 0 {
            self.recorder.count(Count::GateClosures);
        }
    }

    /// The work at a place was given its id.
    pub(super) fn note_id(&mut self, place: u32, at: Tick) {
        if let Some((home, id)) = self.peers.elsewhere(self.works.id(place)) {
            self.peers.tell(home, IdNews::Given(id), at);
        } else {
            let is_new = self.known.note(&self.works, place);
            self.count_duplicate(!is_new);
        }
    }

    /// The work at a place has settled: its id, if it has one, is to be forgotten.
    pub(super) fn forget_later(&mut self, place: u32, at: Tick) {
        let (id, until) = (self.works.id(place), at + self.plan.poll.remember);
        if id.is_empty() {
            return;
        }
        match self.peers.elsewhere(id) {
            Some((home, id)) => self.peers.tell(home, IdNews::Left(id, until), at),
            None => self.known.forget_at(until, &self.works, place),
        }
    }

    fn hear_id(&mut self, from: u64, news: IdNews) {
        match news {
            IdNews::Given(id) => {
                let is_new = self.known.note_fingerprint(&self.works, id);
                self.count_duplicate(!is_new);
                self.follow_elsewhere(id, from);
            }
            IdNews::Left(id, until) => {
                self.known.forget_fingerprint_at(until, id);
                self.forget_elsewhere(id, until);
            }
        }
    }

    fn count_duplicate(&mut self, is_duplicate: bool) {
        if is_duplicate {
            self.recorder.count(Anomaly::DuplicateId.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(at: u64) -> Throttled {
        Throttled {
            sent: Tick::ZERO,
            at: Tick(at),
            retry_after: None,
        }
    }

    #[test]
    fn a_shard_alone_has_nobody_to_tell() {
        let mut peers = Peers::new(Segment::WHOLE);
        peers.tell_throttled(throttled(1), true);
        assert_eq!(peers.home(u128::MAX), None);
        assert_eq!(peers.wakeup(), Tick::NEVER);
        assert_eq!(peers.take(true), []);
    }

    #[test]
    fn ids_go_home_together_and_in_order() {
        let mut peers = Peers::new(Segment { index: 1, of: 3 });
        let homes = [3_u128, 4, 5].map(|id| peers.home(id << 64));
        assert_eq!(homes, [Some(0), None, Some(2)]);
        let now = Tick(7);
        for (home, news) in [
            (2, IdNews::Given(5)),
            (0, IdNews::Given(3)),
            (2, IdNews::Left(5, now)),
        ] {
            peers.tell(home, news, now);
        }
        peers.pass(now);
        assert_eq!(peers.take(false), []);
        assert_eq!(peers.wakeup(), now + HOLD);
        peers.pass(now + HOLD);
        assert_eq!(peers.wakeup(), Tick::NEVER);
        let both = vec![IdNews::Given(5), IdNews::Left(5, now)];
        let ids = |ids| News::Ids { from: 1, ids };
        let expected = [(0, ids(vec![IdNews::Given(3)])), (2, ids(both))];
        assert_eq!(peers.take(false), expected);
        assert_eq!(peers.take(true), []);
    }

    #[test]
    fn all_others_hear_of_a_closure_at_once_and_of_its_last_prolongation() {
        let mut peers = Peers::new(Segment { index: 0, of: 3 });
        let to_others = |at| [1, 2].map(|to| (to, News::Throttled(throttled(at))));
        for (at, is_event) in [(1, true), (2, false), (3, false)] {
            peers.tell_throttled(throttled(at), is_event);
        }
        assert_eq!(peers.take(false), to_others(1));
        peers.pass(Tick(2) + HOLD);
        assert_eq!(peers.take(false), to_others(3));
        // The next closure makes the end of the one before it worthless.
        for (at, is_event) in [(4, false), (5, true)] {
            peers.tell_throttled(throttled(at), is_event);
        }
        assert_eq!(peers.take(true), to_others(5));
    }
}
