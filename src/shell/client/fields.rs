//! Fields: the header of an answer as text, and where its fields stand in it.

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
    fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places.iter().map(|Place { name, value }| {
            // Names are ASCII: nothing else is the name of a field.
            let name = std::str::from_utf8(&self.text[name.clone()]).unwrap_or_default();
            (name, &self.text[value.clone()])
        })
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

    fn put(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
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
