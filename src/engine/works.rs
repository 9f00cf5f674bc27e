//! `WorkTable`: the works that are followed, in generational slots, and the ids that are
//! remembered.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};

use super::lifecycle::Stage;
use crate::time::Tick;
use crate::work::{Slot, WorkId};

/// One work that is followed.
#[derive(Debug)]
pub struct Work {
    /// The number of its arrival.
    pub seq: u64,
    /// Its load stage.
    pub load_stage: u16,
    /// Where it is in its life.
    pub stage: Stage,
    /// When its submit was due.
    pub intended: Tick,
    /// When its submit was first sent.
    pub sent: Tick,
    /// When its last request was sent.
    pub asked: Tick,
    /// When the whole accept was read.
    pub accepted: Option<Tick>,
    /// Its ticket; empty before the accept.
    pub id: WorkId,
    /// The poll URL that the accept gave.
    pub url: Option<Box<str>>,
    /// Its poll URL is at an origin that may not have the key: it is never polled.
    pub foreign: bool,
    /// The instant of its next (or last) poll slot.
    pub due: Tick,
    /// The number of that slot.
    pub slot_number: u32,
    /// Polls sent.
    pub polls: u32,
    /// Answers 429 to its submit and polls.
    pub rate_limited: u32,
    /// Its submit was sent again so often.
    pub retries: u32,
    /// The status of its last submit.
    pub http_status: Option<u16>,
    /// When the last poll that was answered "not yet" was sent.
    pub last_open: Option<Tick>,
    /// The last status word, by its number in [`Words`].
    pub last_word: Option<u16>,
    /// Denials in a row.
    pub denials: u8,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    work: Option<Box<Work>>,
}

/// The works that are followed.
#[derive(Debug, Default)]
pub struct WorkTable {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl WorkTable {
    /// Gives the work a place.
    ///
    /// # Panics
    /// At 2^32 works at once, which no machine can hold.
    pub fn insert(&mut self, work: Work) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 works at once")
        });
        let place = &mut self.places[index as usize];
        place.work = Some(Box::new(work));
        Slot {
            index,
            generation: place.generation,
        }
    }

    /// The work of a slot; nothing if it has left.
    pub fn get(&self, slot: Slot) -> Option<&Work> {
        let place = self.places.get(slot.index as usize)?;
        place
            .work
            .as_deref()
            .filter(|_| place.generation == slot.generation)
    }

    /// The work of a slot; nothing if it has left.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Work> {
        let place = self.places.get_mut(slot.index as usize)?;
        place
            .work
            .as_deref_mut()
            .filter(|_| place.generation == slot.generation)
    }

    /// Takes the work out; its slot is never valid again.
    pub fn remove(&mut self, slot: Slot) -> Option<Work> {
        let place = self.places.get_mut(slot.index as usize)?;
        if place.generation != slot.generation {
            return None;
        }
        let work = place.work.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot.index);
        Some(*work)
    }

    /// The slot of the work at a place.
    pub fn slot_at(&self, index: u32) -> Option<Slot> {
        let place = self.places.get(index as usize)?;
        place.work.as_ref().map(|_| Slot {
            index,
            generation: place.generation,
        })
    }

    /// The slots of all works, in the order of their places.
    pub fn slots(&self) -> Vec<Slot> {
        let places = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        (0..places)
            .filter_map(|index| self.slot_at(index))
            .collect()
    }

    /// How many works there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Works by the fingerprint of their id. Never walked, so its order does not matter; the
/// fingerprint is a hash already, and the same in every run.
#[expect(
    clippy::disallowed_types,
    reason = "the hasher is fixed, and nothing walks the map"
)]
type Holders = std::collections::HashMap<u128, u32, BuildHasherDefault<LowHalf>>;

/// Hashes a number that is a hash to its lower half.
#[derive(Clone, Copy, Debug, Default)]
struct LowHalf(u64);

impl Hasher for LowHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut half = [0; 8];
        let length = bytes.len().min(8);
        half[..length].copy_from_slice(&bytes[..length]);
        self.0 = u64::from_le_bytes(half);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lower half is what is wanted"
    )]
    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

/// Ids of open works, and of settled ones for a while: is an id given twice?
///
/// An id is kept as a 128-bit hash, 16 bytes; two of a billion ids agree by chance with a
/// probability of 1e-21 (birthday bound).
#[derive(Debug, Default)]
pub struct KnownIds {
    known: Holders,
    leaving: VecDeque<(Tick, u128)>,
}

impl KnownIds {
    /// Notes the [`fingerprint`] of an id; false if it was known.
    pub fn note_fingerprint(&mut self, id: u128) -> bool {
        let holders = self.known.entry(id).or_insert(0);
        *holders += 1;
        *holders == 1
    }

    /// Forgets it at `until`. Those calls come in the order of their instants, or nearly so: one
    /// that is behind waits for those before it.
    pub fn forget_fingerprint_at(&mut self, until: Tick, id: u128) {
        self.leaving.push_back((until, id));
    }

    /// Forgets what is to be forgotten by now.
    pub fn expire(&mut self, now: Tick) {
        while self.leaving.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, id)) = self.leaving.pop_front() else {
                return;
            };
            if let Some(holders) = self.known.get_mut(&id) {
                *holders -= 1;
                if *holders == 0 {
                    self.known.remove(&id);
                }
            }
        }
    }

    /// How many ids are held.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none are held.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// What is remembered of an id: a hash that is the same in every run and in every shard.
pub fn fingerprint(id: &WorkId) -> u128 {
    let half = |salt: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(id.0.as_bytes());
        u128::from(hasher.finish())
    };
    (half(0) << 64) | half(1)
}

/// The distinct status words of a service, at most [`Words::MOST`]; later ones share a place.
#[derive(Debug, Default)]
pub struct Words {
    words: Vec<Box<str>>,
}

impl Words {
    /// How many words are told apart.
    pub const MOST: usize = 64;
    /// What stands for all others.
    pub const OTHER: &'static str = "(other words)";

    /// The number of a word.
    pub fn number(&mut self, word: &str) -> u16 {
        let at = self
            .words
            .iter()
            .position(|known| **known == *word)
            .unwrap_or_else(|| {
                if self.words.len() < Self::MOST {
                    self.words.push(word.into());
                    self.words.len() - 1
                } else {
                    Self::MOST
                }
            });
        u16::try_from(at).expect("at most 65 numbers")
    }

    /// The word of a number.
    pub fn word(&self, number: u16) -> &str {
        self.words
            .get(usize::from(number))
            .map_or(Self::OTHER, |word| word)
    }
}

/// The last bodies of open works, within a bound of bytes: what a stuck work said last.
///
/// A work that leaves takes its body along, so the place alone names the tenant.
#[derive(Debug)]
pub struct LastBodies {
    bodies: Vec<Option<Box<str>>>,
    bytes: u64,
    most: u64,
}

impl LastBodies {
    /// Holds at most this many bytes of bodies.
    pub const fn new(most: u64) -> Self {
        Self {
            bodies: Vec::new(),
            bytes: 0,
            most,
        }
    }

    /// Keeps the body in place of the one before; false if there is no room.
    pub fn keep(&mut self, slot: Slot, body: Box<str>) -> bool {
        self.take(slot);
        if self.bytes + body.len() as u64 > self.most {
            return false;
        }
        self.bytes += body.len() as u64;
        let place = slot.index as usize;
        if place >= self.bodies.len() {
            self.bodies.resize(place + 1, None);
        }
        self.bodies[place] = Some(body);
        true
    }

    /// Takes the body of a work.
    pub fn take(&mut self, slot: Slot) -> Option<Box<str>> {
        let body = self.bodies.get_mut(slot.index as usize)?.take()?;
        self.bytes -= body.len() as u64;
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> u128 {
        fingerprint(&WorkId(text.into()))
    }

    #[test]
    fn an_id_is_known_until_its_last_holder_is_forgotten() {
        let mut ids = KnownIds::default();
        assert!(ids.note_fingerprint(id("a")));
        assert!(!ids.note_fingerprint(id("a")));
        assert!(ids.note_fingerprint(id("b")));
        ids.forget_fingerprint_at(Tick(10), id("a"));
        ids.forget_fingerprint_at(Tick(20), id("a"));
        ids.expire(Tick(10));
        assert!(!ids.note_fingerprint(id("a")));
        ids.forget_fingerprint_at(Tick(30), id("a"));
        ids.expire(Tick(30));
        assert!(ids.note_fingerprint(id("a")));
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn words_beyond_the_bound_share_a_place() {
        let mut words = Words::default();
        for number in 0..100 {
            words.number(&format!("word {number}"));
        }
        let third = words.number("word 3");
        assert_eq!(words.word(third), "word 3");
        let late = words.number("word 99");
        assert_eq!(words.word(late), Words::OTHER);
    }

    #[test]
    fn last_bodies_stay_within_their_bound() {
        let mut bodies = LastBodies::new(10);
        let slot = |index| Slot {
            index,
            generation: 0,
        };
        assert!(bodies.keep(slot(0), "123456".into()));
        assert!(!bodies.keep(slot(1), "123456".into()));
        assert!(bodies.keep(slot(0), "1234567890".into()));
        assert_eq!(bodies.take(slot(0)).as_deref(), Some("1234567890"));
        assert!(bodies.keep(slot(1), "123456".into()));
    }
}
