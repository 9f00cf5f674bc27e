//! Fields: the header of an answer as text, and where its fields stand in it.

use std::ops::Range;

use hyper::header::HeaderMap;

use super::head::Place;
use crate::wire::Headers;

/// The header fields of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// All of the text that they stand in.
    pub(super) text: &'a [u8],
    pub(super) places: &'a [Place],
}

impl<'a> Fields<'a> {
    /// The same fields over another text, in which they stand at the same places.
    pub(super) const fn over(self, text: &'a [u8]) -> Self {
        Self { text, ..self }
    }
}

impl Headers for Fields<'_> {
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let part = |place: &Range<usize>| &self.text[place.clone()];
        let places = self.places.iter();
        places.map(move |Place { name, value }| (part(name), part(value)))
    }
}

/// The fields of a map, as a text of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    text: Vec<u8>,
    places: Vec<Place>,
}

impl Written {
    pub(super) fn of(map: &HeaderMap) -> Self {
        let mut written = Self::default();
        for (name, value) in map {
            let name = written.put(name.as_str().as_bytes());
            let value = written.put(value.as_bytes());
            written.places.push(Place { name, value });
        }
        written
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields {
            text: &self.text,
            places: &self.places,
        }
    }
}
