//! `Heard`: what is known of each work that a callback may be about, and callbacks that wait until
//! somebody knows their work.
//!
//! A work has an entry from its accept until `poll.remember` after it has left. Where each work has
//! a URL of its own a byte of it stays for the whole run, so that a callback is told from a
//! duplicate however late it comes.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use super::known_ids::fingerprint;
use super::tables::Tables;
use crate::arrival::Segment;
use crate::scenario::{Find, Plan};
use crate::time::{Span, Tick};
use crate::work::{About, CallbackNotice, Ending};

/// What names a work to a callback: the fingerprint of its id, or the number of its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u64; 2]);

impl Key {
    pub(super) fn of_fingerprint(fingerprint: u128) -> Self {
        let half = |shift: u32| {
            u64::try_from(fingerprint >> shift & u128::from(u64::MAX)).expect("64 bits")
        };
        Self([half(64), half(0)])
    }

    fn of_arrival(seq: u64) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        seq.hash(&mut hasher);
        Self([seq, hasher.finish()])
    }

    const fn hash(self) -> u64 {
        self.0[1]
    }
}

/// Where a work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// At this place of the work table, and open.
    Here(u32),
    /// It has settled here.
    Left,
    /// Another shard follows it.
    Elsewhere(u64),
}

/// What is known of a work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    key: Key,
    pub(super) holder: Holder,
    pub(super) seq: u64,
    pub(super) accepted: Tick,
    /// Callbacks about it.
    pub(super) calls: u32,
    /// When the last of them came.
    pub(super) last_call: Tick,
    /// The delivery of the last of them.
    pub(super) delivery: Option<u64>,
    /// When the first terminal one came, and what it said.
    pub(super) called: Option<(Tick, Ending)>,
    /// When a poll saw its end (or the accept told it), and what that was.
    pub(super) polled: Option<(Tick, Ending)>,
    /// It was given up.
    pub(super) given_up: bool,
}

/// What stays known of a work with a URL of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// Nobody has forgotten it yet, or it was never accepted.
    pub(super) is_known: bool,
    pub(super) was_accepted: bool,
    pub(super) called: Option<Ending>,
    pub(super) polled: Option<Ending>,
}

impl Fate {
    const ENDINGS: [Option<Ending>; 3] = [None, Some(Ending::Completed), Some(Ending::Failed)];

    fn byte(self) -> u8 {
        let ending = |ending: Option<Ending>| ending.map_or(0, |ending| ending as u8 + 1);
        u8::from(self.is_known)
            | u8::from(self.was_accepted) << 1
            | ending(self.called) << 2
            | ending(self.polled) << 4
    }

    fn of(byte: u8) -> Self {
        let ending = |shift: u8| Self::ENDINGS[usize::from(byte >> shift & 3).min(2)];
        Self {
            is_known: byte & 1 > 0,
            was_accepted: byte & 2 > 0,
            called: ending(2),
            polled: ending(4),
        }
    }
}

/// A callback that waits.
type Parked = (Tick, CallbackNotice);

/// What is known, and what waits.
#[derive(Debug)]
pub(super) struct Heard {
    by_arrival: bool,
    segment: Segment,
    most_parked: usize,
    park_for: Span,
    entries: Tables<Entry>,
    /// When entries are to be forgotten, in that order.
    leaving: VecDeque<(Tick, Key)>,
    /// By arrival of this shard, as far as any is known.
    fates: Vec<u8>,
    parked: BTreeMap<Key, Vec<Parked>>,
    /// Until when each waits, in that order.
    parking: VecDeque<(Tick, Key)>,
    parked_now: usize,
}

impl Heard {
    /// Nothing yet; none of a plan whose mode hears no callbacks.
    pub(super) fn of(plan: &Plan, segment: Segment) -> Option<Self> {
        let callback = &plan.observe.callback;
        plan.observe.mode.hears_callbacks().then(|| Self {
            by_arrival: callback.find == Find::OwnUrl,
            segment,
            most_parked: usize::try_from(callback.parked).unwrap_or(usize::MAX),
            park_for: callback.park_for,
            entries: Tables::default(),
            leaving: VecDeque::new(),
            fates: Vec::new(),
            parked: BTreeMap::new(),
            parking: VecDeque::new(),
            parked_now: 0,
        })
    }

    /// Whether ids name works, and not the numbers of their arrivals.
    pub(super) const fn goes_by_id(&self) -> bool {
        !self.by_arrival
    }

    /// Which work a callback is about; none if nothing says.
    pub(super) fn key_about(about: &About) -> Option<Key> {
        match about {
            About::Id(id) => Some(Key::of_fingerprint(fingerprint(&id.0))),
            About::Own { seq } => Some(Key::of_arrival(*seq)),
            About::Nobody => None,
        }
    }

    /// What names a work to callbacks; none of one without an id, where ids do.
    pub(super) fn key_of(&self, seq: u64, id: &str) -> Option<Key> {
        if self.by_arrival {
            Some(Key::of_arrival(seq))
        } else {
            (!id.is_empty()).then(|| Key::of_fingerprint(fingerprint(id)))
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(key.hash(), |entry| entry.key == key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(key.hash(), |entry| entry.key == key)
    }

    /// A work was accepted. An id that an open work has stays with that one.
    pub(super) fn enter(&mut self, key: Key, holder: Holder, seq: u64, accepted: Tick) {
        let entry = Entry {
            key,
            holder,
            seq,
            accepted,
            calls: 0,
            last_call: Tick::ZERO,
            delivery: None,
            called: None,
            polled: None,
            given_up: false,
        };
        match self.get_mut(key) {
            None => (self.entries).insert(key.hash(), entry, |entry| entry.key.hash()),
            Some(old) if old.holder == Holder::Left => *old = entry,
            Some(_) => {}
        }
    }

    /// Forgets a work at `until`. None is forgotten before one whose instant was told earlier.
    pub(super) fn forget_at(&mut self, until: Tick, key: Key) {
        self.leaving.push_back((until, key));
    }

    /// Forgets what is to be forgotten by now, but for the byte that stays.
    pub(super) fn expire(&mut self, now: Tick) {
        while let Some((_, key)) = self.leaving.pop_front_if(|(until, _)| *until <= now) {
            // A later work with the same id has taken its place.
            let Some(entry) = self.get(key).copied() else {
                continue;
            };
            if matches!(entry.holder, Holder::Here(_)) {
                continue;
            }
            self.entries.remove(key.hash(), entry);
            if self.by_arrival {
                let fate = Fate {
                    is_known: true,
                    was_accepted: true,
                    called: entry.called.map(|(_, ending)| ending),
                    polled: entry.polled.map(|(_, ending)| ending),
                };
                self.set_fate(entry.seq, fate);
            }
        }
    }

    /// What stays known of the work of an arrival.
    pub(super) fn fate(&self, about: &About) -> Option<Fate> {
        let About::Own { seq } = about else {
            return None;
        };
        let place = usize::try_from(seq / self.segment.of).ok()?;
        let fate = Fate::of(*self.fates.get(place)?);
        fate.is_known.then_some(fate)
    }

    /// Notes what stays known of the work of an arrival, where works have URLs of their own.
    pub(super) fn set_fate(&mut self, seq: u64, fate: Fate) {
        if !self.by_arrival {
            return;
        }
        let Ok(place) = usize::try_from(seq / self.segment.of) else {
            return;
        };
        if self.fates.len() <= place {
            self.fates.resize(place + 1, 0);
        }
        self.fates[place] = fate.byte();
    }

    /// How many works are known, and how many callbacks wait.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.entries.len(), self.parked_now)
    }

    /// Keeps a callback whose work nobody knows yet. Where there is no room it takes that of the
    /// oldest, which is handed back.
    pub(super) fn park(&mut self, key: Key, at: Tick, notice: CallbackNotice) -> Option<Parked> {
        let oldest = if self.parked_now >= self.most_parked {
            self.take_oldest(Tick::NEVER)
        } else {
            None
        };
        self.parked.entry(key).or_default().push((at, notice));
        self.parking.push_back((at + self.park_for, key));
        self.parked_now += 1;
        oldest
    }

    /// A callback that has waited too long; to be called until there is none.
    pub(super) fn take_oldest(&mut self, now: Tick) -> Option<Parked> {
        loop {
            let (until, key) = self.parking.pop_front_if(|(until, _)| *until <= now)?;
            // Those that were claimed are gone, whatever has come since.
            let waiting = self.parked.get_mut(&key);
            let Some(waiting) = waiting.filter(|waiting| waiting[0].0 + self.park_for == until)
            else {
                continue;
            };
            let oldest = waiting.remove(0);
            if waiting.is_empty() {
                self.parked.remove(&key);
            }
            self.parked_now -= 1;
            return Some(oldest);
        }
    }

    /// The callbacks that have waited for a work.
    pub(super) fn claim(&mut self, key: Key) -> Vec<Parked> {
        let waiting = self.parked.remove(&key).unwrap_or_default();
        self.parked_now -= waiting.len();
        waiting
    }
}
