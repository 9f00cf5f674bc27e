//! What the polls of a work said last: its status word, whether it was denied since, and the body.

use std::hint::black_box;

use super::chunks::Aside;

/// The last status word of a work, and whether the service has denied the work since: one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said(u8);

impl Said {
    const DENIED: u8 = 1 << 7;

    /// This word, by its number in [`Words`].
    pub fn word(number: u8) -> Self {
        debug_assert!(usize::from(number) <= Words::MOST);
        Self(number + 1)
    }

    /// The number of the word, if there was one.
    pub fn number(self) -> Option<u8> {
        (self.0 & !Self::DENIED).checked_sub(1)
    }

    /// Whether the service has denied the work since.
    pub fn is_denied(self) -> bool {
        self.0 & Self::DENIED != 0
    }

    /// The same word, and denied since.
    #[must_use]
    pub fn denied(self) -> Self {
        Self(self.0 | Self::DENIED)
    }
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
    pub fn number(&mut self, word: &str) -> u8 {
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
        u8::try_from(at).expect("at most 65 numbers")
    }

    /// The word of a number.
    pub fn word(&self, number: u8) -> &str {
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
    bodies: Aside,
    bytes: u64,
    most: u64,
}

impl LastBodies {
    /// Holds at most this many bytes of bodies.
    pub fn new(most: u64) -> Self {
        Self {
            bodies: Aside::default(),
            bytes: 0,
            most,
        }
    }

    /// Keeps the body of the work at a place instead of the one before; false if there is no room.
    pub fn keep(&mut self, place: u32, body: Box<str>) -> bool {
        let before = self.bodies.get(place).map_or(0, str::len);
        let bytes = self.bytes - before as u64 + body.len() as u64;
        if bytes > self.most {
            self.take(place);
            return false;
        }
        self.bytes = bytes;
        self.bodies.put(place, body);
        true
    }

    /// Reads what will be needed soon to replace the body of the work at a place.
    pub fn touch(&self, place: u32) {
        black_box(
            self.bodies
                .get(place)
                .and_then(|body| body.as_bytes().first().copied()),
        );
    }

    /// Takes the body of the work at a place.
    pub fn take(&mut self, place: u32) -> Option<Box<str>> {
        let body = self.bodies.take(place)?;
        self.bytes -= body.len() as u64;
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_tells_every_word_and_whether_the_work_was_denied() {
        assert_eq!(
            (Said::default().number(), Said::default().is_denied()),
            (None, false)
        );
        assert_eq!(Said::default().denied().number(), None);
        for number in 0..=64 {
            let said = Said::word(number);
            assert_eq!((said.number(), said.is_denied()), (Some(number), false));
            let denied = said.denied();
            assert_eq!((denied.number(), denied.is_denied()), (Some(number), true));
        }
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
        assert!(bodies.keep(0, "123456".into()));
        assert!(!bodies.keep(1, "123456".into()));
        assert!(bodies.keep(0, "1234567890".into()));
        assert_eq!(bodies.take(0).as_deref(), Some("1234567890"));
        assert!(bodies.keep(1, "123456".into()));
    }
}
