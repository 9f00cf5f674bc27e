//! `KnownIds`: was an id given before? Ids of open works, and of settled ones for a while.
//!
//! An open work costs five bytes here for each bucket: its place, in a table that hashes the id
//! where it stands. A settled work leaves a fingerprint of 128 bits; so does, from the first, one
//! that another shard follows. Two of a billion agree by chance with a probability of 1e-21
//! (birthday bound).

use std::collections::VecDeque;
use std::hash::Hasher;

use super::tables::Tables;
use super::works::WorkTable;
use crate::time::Tick;

/// A 128-bit hash of an id: the same in every shard, and in every run.
pub fn fingerprint(id: &str) -> u128 {
    u128::from(half(id, 0)) << 64 | u128::from(half(id, 1))
}

/// One half of a fingerprint. The half 1 is what the tables are hashed by.
fn half(id: &str, salt: u8) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write_u8(salt);
    hasher.write(id.as_bytes());
    hasher.finish()
}

/// A fingerprint as it is kept: a `u128` would be aligned to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept([u64; 2]);

impl Kept {
    fn new(fingerprint: u128) -> Self {
        let half = |shift: u32| {
            u64::try_from(fingerprint >> shift & u128::from(u64::MAX)).expect("64 bits")
        };
        Self([half(64), half(0)])
    }

    fn hash(self) -> u64 {
        self.0[1]
    }
}

/// The ids that are known. An id that was given twice is held twice, and known until both holders
/// have left and are forgotten.
#[derive(Debug, Default)]
pub struct KnownIds {
    /// Open works, by place.
    open: Tables<u32>,
    /// Open works that another shard follows.
    elsewhere: Tables<Kept>,
    /// Settled works, by their number in the queue.
    settled: Tables<u32>,
    leaving: VecDeque<(Tick, Kept)>,
    /// The number of the first in the queue.
    first: u32,
}

impl KnownIds {
    /// Notes the id of the work at a place; false if it was known.
    pub fn note(&mut self, works: &WorkTable, place: u32) -> bool {
        let id = works.id(place);
        let kept = Kept::new(fingerprint(id));
        let is_open = self.open.has(kept.hash(), |other| works.id(other) == id);
        let is_known = is_open || self.has_fingerprint(kept);
        (self.open).insert(kept.hash(), place, |other| half(works.id(other), 1));
        !is_known
    }

    /// Notes an id whose work another shard follows; false if it was known.
    pub fn note_fingerprint(&mut self, works: &WorkTable, fingerprint: u128) -> bool {
        let kept = Kept::new(fingerprint);
        let is_it = |place| self::fingerprint(works.id(place)) == fingerprint;
        let is_known = self.open.has(kept.hash(), is_it) || self.has_fingerprint(kept);
        self.elsewhere.insert(kept.hash(), kept, Kept::hash);
        !is_known
    }

    fn has_fingerprint(&self, kept: Kept) -> bool {
        let is_it = |number: u32| self.leaving[self.queued(number)].1 == kept;
        self.elsewhere.has(kept.hash(), |other| other == kept)
            || self.settled.has(kept.hash(), is_it)
    }

    /// Where in the queue a number stands.
    fn queued(&self, number: u32) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    /// The work at a place has settled: forgets its id at `until`. An id is never forgotten before
    /// one whose instant was told earlier.
    pub fn forget_at(&mut self, until: Tick, works: &WorkTable, place: u32) {
        let kept = Kept::new(fingerprint(works.id(place)));
        if self.open.remove(kept.hash(), place) {
            self.leave_at(until, kept);
        }
    }

    /// The same, for a work that another shard follows.
    pub fn forget_fingerprint_at(&mut self, until: Tick, fingerprint: u128) {
        let kept = Kept::new(fingerprint);
        if self.elsewhere.remove(kept.hash(), kept) {
            self.leave_at(until, kept);
        }
    }

    fn leave_at(&mut self, until: Tick, kept: Kept) {
        let queued = u32::try_from(self.leaving.len()).expect("fewer than 2^32 ids at once");
        self.leaving.push_back((until, kept));
        let (leaving, first) = (&self.leaving, self.first);
        let hash_of = |number: u32| leaving[number.wrapping_sub(first) as usize].1.hash();
        let number = first.wrapping_add(queued);
        self.settled.insert(kept.hash(), number, hash_of);
    }

    /// Forgets what is to be forgotten by now.
    pub fn expire(&mut self, now: Tick) {
        while let Some((_, kept)) = self.leaving.pop_front_if(|(until, _)| *until <= now) {
            self.settled.remove(kept.hash(), self.first);
            self.first = self.first.wrapping_add(1);
        }
    }

    /// How many ids are held.
    pub fn len(&self) -> usize {
        self.open.len() + self.elsewhere.len() + self.leaving.len()
    }

    /// Whether none are held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::works::Work;
    use crate::work::{Slot, WorkId};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A work of its own that got this id.
    fn named(works: &mut WorkTable, id: &str) -> Slot {
        let slot = works.insert(Work::new(0, Tick::ZERO, Tick::ZERO));
        works.name(slot, WorkId(id.into()));
        slot
    }

    #[test]
    fn an_id_is_known_until_its_last_holder_is_forgotten() {
        let (mut works, mut ids) = (WorkTable::default(), KnownIds::default());
        let [first, second, other] = ["a", "a", "b"].map(|id| named(&mut works, id).index);
        assert!(ids.note(&works, first));
        assert!(!ids.note(&works, second));
        assert!(ids.note(&works, other));
        ids.forget_at(Tick(10), &works, first);
        ids.forget_at(Tick(20), &works, second);
        ids.expire(Tick(10));
        assert!(!ids.note_fingerprint(&works, fingerprint("a")));
        ids.forget_fingerprint_at(Tick(30), fingerprint("a"));
        ids.expire(Tick(29));
        let again = named(&mut works, "a").index;
        assert!(!ids.note(&works, again));
        ids.forget_at(Tick(30), &works, again);
        ids.expire(Tick(30));
        assert!(ids.note_fingerprint(&works, fingerprint("a")));
        assert_eq!(ids.len(), 2);
    }

    proptest! {
        /// Against a map from id to the instants at which its holders are forgotten.
        #[test]
        fn an_id_is_known_exactly_while_somebody_holds_it(
            steps in prop::collection::vec((0_u8..6, 0_u8..40), 1..400),
        ) {
            let (mut works, mut ids) = (WorkTable::default(), KnownIds::default());
            let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
            let mut holders: BTreeMap<String, Vec<Option<Tick>>> = BTreeMap::new();
            for (now, (what, number)) in (0_u64..).zip(steps) {
                ids.expire(Tick(now));
                for held in holders.values_mut() {
                    held.retain(|until| until.is_none_or(|until| until > Tick(now)));
                }
                // Some ids are too long for a record.
                let id = "x".repeat(usize::from(number % 12) * 5 + 1);
                let until = Tick(now + 20);
                match what {
                    0 | 1 => {
                        let held = holders.entry(id.clone()).or_default();
                        let slot = named(&mut works, &id);
                        prop_assert_eq!(ids.note(&works, slot.index), held.is_empty());
                        held.push(None);
                        here.push((slot, id));
                    }
                    2 => {
                        let held = holders.entry(id.clone()).or_default();
                        let is_new = ids.note_fingerprint(&works, fingerprint(&id));
                        prop_assert_eq!(is_new, held.is_empty());
                        held.push(None);
                        elsewhere.push(id);
                    }
                    3 | 4 if !here.is_empty() => {
                        let (slot, id) = here.swap_remove(usize::from(number) % here.len());
                        ids.forget_at(until, &works, slot.index);
                        works.remove(slot);
                        leave(&mut holders, &id, until);
                    }
                    5 if !elsewhere.is_empty() => {
                        let id = elsewhere.swap_remove(usize::from(number) % elsewhere.len());
                        ids.forget_fingerprint_at(until, fingerprint(&id));
                        leave(&mut holders, &id, until);
                    }
                    _ => {}
                }
                prop_assert_eq!(ids.len(), holders.values().map(Vec::len).sum::<usize>());
            }
        }
    }

    fn leave(holders: &mut BTreeMap<String, Vec<Option<Tick>>>, id: &str, until: Tick) {
        let held = holders.get_mut(id).unwrap();
        *held.iter_mut().find(|held| held.is_none()).unwrap() = Some(until);
    }
}
