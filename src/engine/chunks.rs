//! Chunks: what is kept by place, in pieces of one size, so that growth never copies and never
//! stalls.

use std::ops::{Index, IndexMut};

/// Values of one chunk.
const LENGTH: usize = 1 << BITS;
const BITS: u32 = 8;

/// A value for each place of the work table, from 0 on.
#[derive(Debug)]
pub(super) struct Chunks<T> {
    chunks: Vec<Box<[T; LENGTH]>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

/// The chunk of a place, and where in it the place is.
fn split(place: u32) -> (usize, usize) {
    let place = place as usize;
    (place >> BITS, place & (LENGTH - 1))
}

impl<T> Chunks<T> {
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        let (chunk, at) = split(place);
        self.chunks.get(chunk).map(|chunk| &chunk[at])
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let (chunk, at) = split(place);
        self.chunks.get_mut(chunk).map(|chunk| &mut chunk[at])
    }

    /// How many places there is memory for.
    pub(super) fn room(&self) -> usize {
        self.chunks.len() << BITS
    }

    /// Makes room for a place; new values are what `fresh` makes.
    pub(super) fn reach(&mut self, place: u32, fresh: impl Fn() -> T) {
        while self.room() <= place as usize {
            let values: Box<[T]> = (0..LENGTH).map(|_| fresh()).collect();
            let Ok(chunk) = values.try_into() else {
                unreachable!("as many values as a chunk has");
            };
            self.chunks.push(chunk);
        }
    }
}

impl<T> Index<u32> for Chunks<T> {
    type Output = T;

    fn index(&self, place: u32) -> &T {
        let (chunk, at) = split(place);
        &self.chunks[chunk][at]
    }
}

impl<T> IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, place: u32) -> &mut T {
        let (chunk, at) = split(place);
        &mut self.chunks[chunk][at]
    }
}

/// A text for some of the places. A chunk without any costs nothing.
#[derive(Debug, Default)]
pub(super) struct Aside {
    chunks: Vec<Option<Box<Texts>>>,
}

#[derive(Debug)]
struct Texts {
    held: usize,
    texts: [Option<Box<str>>; LENGTH],
}

impl Aside {
    pub(super) fn get(&self, place: u32) -> Option<&str> {
        let (chunk, at) = split(place);
        self.chunks.get(chunk)?.as_ref()?.texts[at].as_deref()
    }

    /// Keeps a text in place of the one before, which is handed back.
    pub(super) fn put(&mut self, place: u32, text: Box<str>) -> Option<Box<str>> {
        let (chunk, at) = split(place);
        if self.chunks.len() <= chunk {
            self.chunks.resize_with(chunk + 1, || None);
        }
        let chunk = self.chunks[chunk].get_or_insert_with(|| {
            Box::new(Texts {
                held: 0,
                texts: [const { None }; LENGTH],
            })
        });
        let before = chunk.texts[at].replace(text);
        chunk.held += usize::from(before.is_none());
        before
    }

    pub(super) fn take(&mut self, place: u32) -> Option<Box<str>> {
        let (number, at) = split(place);
        let chunk = self.chunks.get_mut(number)?;
        let texts = chunk.as_deref_mut()?;
        let text = texts.texts[at].take()?;
        texts.held -= 1;
        if texts.held == 0 {
            *chunk = None;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_its_value_in_whichever_chunk_it_is() {
        let mut chunks = Chunks::default();
        for place in [0, 1_023, 1_024, 5_000] {
            chunks.reach(place, || 7);
            *chunks.get_mut(place).unwrap() += place;
        }
        for place in [0, 1_023, 1_024, 5_000] {
            assert_eq!(chunks.get(place), Some(&(place + 7)));
        }
        assert_eq!(chunks.get(4_999), Some(&7));
        assert_eq!((chunks.room(), chunks.get(5_120)), (5_120, None));
    }

    #[test]
    fn only_chunks_with_a_text_take_memory() {
        let mut aside = Aside::default();
        assert_eq!(aside.put(3_000, "old".into()), None);
        assert_eq!(aside.put(3_000, "new".into()).as_deref(), Some("old"));
        aside.put(3_001, "other".into());
        assert_eq!(aside.get(3_000), Some("new"));
        let held = |aside: &Aside| aside.chunks.iter().flatten().count();
        assert_eq!(held(&aside), 1);
        assert_eq!(aside.take(3_000).as_deref(), Some("new"));
        assert_eq!(aside.take(3_000), None);
        assert_eq!(aside.take(3_001).as_deref(), Some("other"));
        assert_eq!((held(&aside), aside.get(3_001)), (0, None));
    }
}
