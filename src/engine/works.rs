//! `WorkTable`: the works that are followed, in generational slots.
//!
//! A work is a record of 96 bytes, its id included, in chunks that are never moved. What few works
//! have stands aside: ids of more than 40 bytes, poll URLs that the service gave, and when a work
//! was seen to have begun.

use std::hint::black_box;
use std::num::NonZeroU16;

use super::chunks::{Aside, Chunks};
use super::lifecycle::{Stage, StageByte};
use super::said::Said;
use crate::record::windows::Edge;
use crate::time::{MaybeTick, Tick};
use crate::work::{Slot, WorkId};

/// One work that is followed. When it is to be looked at next is known to the timers, when its
/// request was sent to the one who carries it.
#[derive(Debug)]
#[repr(align(32))]
pub struct Work {
    /// The number of its arrival.
    pub seq: u64,
    /// When its submit was due.
    pub intended: Tick,
    /// When its submit was first sent.
    pub sent: Tick,
    /// When the whole accept was read.
    pub accepted: MaybeTick,
    /// When the last poll that was answered "not yet" was sent.
    pub last_open: MaybeTick,
    /// The number of its next (or last) poll slot.
    pub slot_number: u32,
    /// Polls sent.
    pub polls: u32,
    /// Answers 429 to its submit and polls. Before the accept each has led to one retry.
    pub rate_limited: u32,
    /// The status of its last submit.
    pub http_status: Option<NonZeroU16>,
    /// What its polls said last.
    pub said: Said,
    stage: StageByte,
    id: ShortId,
}

// Two cache lines, whichever half of one it begins at. `docs/decisions/011-compact-works.md` has
// the bytes.
const _: () = assert!(size_of::<Option<Work>>() == 96);

impl Work {
    /// A work whose submit leaves for the first time.
    pub fn new(seq: u64, intended: Tick, sent: Tick) -> Self {
        Self {
            seq,
            intended,
            sent,
            accepted: MaybeTick::NOT_YET,
            last_open: MaybeTick::NOT_YET,
            slot_number: 0,
            polls: 0,
            rate_limited: 0,
            http_status: None,
            said: Said::default(),
            stage: Stage::Submitting.into(),
            id: ShortId::EMPTY,
        }
    }

    /// Where it is in its life.
    pub fn stage(&self) -> Stage {
        self.stage.into()
    }

    /// It is in this stage from now on. One that has settled is another tenant of its place.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage.into();
    }

    /// Which tenant it is of its place: another number for every work, and another one once it
    /// has settled and none of its polls is awaited. It needs no memory of its own.
    fn generation(&self) -> u32 {
        let has_left = match self.stage() {
            Stage::Settled(_) | Stage::RecheckDue(_) | Stage::Rechecking(_) => 1,
            _ => 0,
        };
        let number = u32::try_from(self.seq & 0x7fff_ffff).expect("31 bits");
        number << 1 | has_left
    }
}

/// An id of at most 40 bytes. What it leaves free is filled with a byte that no text has.
#[derive(Clone, Copy, Debug)]
struct ShortId([u8; Self::BYTES]);

impl ShortId {
    const BYTES: usize = 40;
    const FILL: u8 = 0xff;
    /// The first byte of a place whose id is too long for it; no text has it either.
    const ASIDE: u8 = 0xfe;
    const EMPTY: Self = Self([Self::FILL; Self::BYTES]);
    const LONG: Self = Self([Self::ASIDE; Self::BYTES]);

    fn new(id: &str) -> Option<Self> {
        let mut short = Self::EMPTY;
        short.0.get_mut(..id.len())?.copy_from_slice(id.as_bytes());
        Some(short)
    }

    /// The id, if it is here.
    fn text(&self) -> Option<&str> {
        if self.0[0] == Self::ASIDE {
            return None;
        }
        let filled = (self.0.iter().rev())
            .take_while(|byte| **byte == Self::FILL)
            .count();
        let bytes = &self.0[..Self::BYTES - filled];
        Some(std::str::from_utf8(bytes).expect("it was a text"))
    }
}

/// The works that are followed.
#[derive(Debug, Default)]
pub struct WorkTable {
    places: Chunks<Option<Work>>,
    /// Places that ever had a tenant.
    used: u32,
    free: Vec<u32>,
    long_ids: Aside,
    urls: Aside,
    /// Between which ages the work at a place began: 4 bytes a place, up to the last one seen to.
    begun: Chunks<(Edge, Edge)>,
}

/// No work begins by the age of 0, as far as windows tell.
const NOT_BEGUN: (Edge, Edge) = (Edge::ZERO, Edge::ZERO);

impl WorkTable {
    /// Gives the work a place.
    ///
    /// # Panics
    /// At 2^32 works at once, which no machine can hold.
    pub fn insert(&mut self, work: Work) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = self.used;
            self.used = index.checked_add(1).expect("fewer than 2^32 works at once");
            self.places.reach(index, || None);
            index
        });
        let generation = work.generation();
        self.places[index] = Some(work);
        Slot { index, generation }
    }

    /// The work of a slot; nothing if it has left.
    pub fn get(&self, slot: Slot) -> Option<&Work> {
        let work = self.places.get(slot.index)?.as_ref()?;
        (work.generation() == slot.generation).then_some(work)
    }

    /// The work of a slot; nothing if it has left.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Work> {
        let work = self.places.get_mut(slot.index)?.as_mut()?;
        (work.generation() == slot.generation).then_some(work)
    }

    /// Takes the work out; its slot is never valid again.
    pub fn remove(&mut self, slot: Slot) {
        if self.get(slot).is_none() {
            return;
        }
        self.places[slot.index] = None;
        if let Some(begun) = self.begun.get_mut(slot.index) {
            *begun = NOT_BEGUN;
        }
        self.long_ids.take(slot.index);
        self.urls.take(slot.index);
        self.free.push(slot.index);
    }

    /// The work has this id from now on.
    pub fn name(&mut self, slot: Slot, id: WorkId) {
        let Some(work) = self.get_mut(slot) else {
            return;
        };
        if let Some(short) = ShortId::new(&id.0) {
            work.id = short;
        } else {
            work.id = ShortId::LONG;
            self.long_ids.put(slot.index, id.0);
        }
    }

    /// The id of the work at a place; empty before the accept.
    pub fn id(&self, place: u32) -> &str {
        match self.places.get(place) {
            Some(Some(work)) => work.id.text(),
            _ => Some(""),
        }
        .or_else(|| self.long_ids.get(place))
        .unwrap_or_default()
    }

    /// The service said where the work is to be polled.
    pub fn direct(&mut self, slot: Slot, url: Box<str>) {
        if self.get(slot).is_some() {
            self.urls.put(slot.index, url);
        }
    }

    /// The poll URL that the service gave to the work at a place.
    pub fn url(&self, place: u32) -> Option<&str> {
        self.urls.get(place)
    }

    /// A poll saw that the work had begun, after the one age and not after the other.
    pub fn begin(&mut self, slot: Slot, from: Edge, to: Edge) {
        if self.get(slot).is_some() {
            self.begun.reach(slot.index, || NOT_BEGUN);
            self.begun[slot.index] = (from, to);
        }
    }

    /// Between which ages the work at a place began, where a poll saw that it had.
    pub fn begun(&self, place: u32) -> Option<(Edge, Edge)> {
        let begun = self.begun.get(place).copied();
        begun.filter(|begun| *begun != NOT_BEGUN)
    }

    /// The slot of the work at a place.
    pub fn slot_at(&self, index: u32) -> Option<Slot> {
        let work = self.places.get(index)?.as_ref()?;
        let generation = work.generation();
        Some(Slot { index, generation })
    }

    /// The slots of all works, in the order of their places.
    pub fn slots(&self) -> Vec<Slot> {
        (0..self.used)
            .filter_map(|index| self.slot_at(index))
            .collect()
    }

    /// Reads both cache lines of a record that will be used soon.
    pub fn touch(&self, place: u32) {
        if let Some(Some(work)) = self.places.get(place) {
            black_box((work.seq, work.id.0[ShortId::BYTES - 1]));
        }
    }

    /// How many works there are.
    pub fn len(&self) -> usize {
        self.used as usize - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Ending;

    fn work(seq: u64) -> Work {
        Work::new(seq, Tick(seq), Tick(seq))
    }

    #[test]
    fn an_old_slot_finds_no_new_tenant() {
        let mut works = WorkTable::default();
        let first = works.insert(work(0));
        works.remove(first);
        let second = works.insert(work(1));
        assert_eq!(second.index, first.index);
        assert!(works.get(first).is_none());
        works.remove(first);
        assert_eq!(works.len(), 1);
        let ended = Stage::Settled(Ending::Failed);
        works.get_mut(second).unwrap().enter(ended);
        assert!(works.get(second).is_none());
        let again = works.slot_at(second.index).unwrap();
        assert_eq!(works.get(again).map(Work::stage), Some(ended));
    }

    #[test]
    fn ids_of_every_length_come_back() {
        let mut works = WorkTable::default();
        for length in [0, 1, 39, 40, 41, WorkId::MAX_BYTES] {
            for letter in ["a", "ü", "語"] {
                let id = letter.repeat(length / letter.len());
                let slot = works.insert(work(7));
                assert_eq!(works.id(slot.index), "");
                works.name(slot, WorkId(id.as_str().into()));
                assert_eq!(works.id(slot.index), id);
                works.remove(slot);
                assert_eq!(works.id(slot.index), "");
            }
        }
    }

    #[test]
    fn a_begin_leaves_with_its_work() {
        let mut works = WorkTable::default();
        let slot = works.insert(work(0));
        assert_eq!(works.begun(slot.index), None);
        let to = Edge::LAST;
        works.begin(slot, Edge::ZERO, to);
        assert_eq!(works.begun(slot.index), Some((Edge::ZERO, to)));
        works.remove(slot);
        let next = works.insert(work(1));
        assert_eq!((next.index, works.begun(next.index)), (slot.index, None));
    }

    #[test]
    fn a_url_leaves_with_its_work() {
        let mut works = WorkTable::default();
        let slot = works.insert(work(0));
        works.direct(slot, "https://a.example/1".into());
        assert_eq!(works.url(slot.index), Some("https://a.example/1"));
        works.remove(slot);
        let next = works.insert(work(1));
        assert_eq!((next.index, works.url(next.index)), (slot.index, None));
    }
}
