//! Head: what the first bytes of an answer say, and how its body is framed (RFC 9112, sections 4 to
//! 6). httparse reads the lines; here is only what they mean.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Status};

/// More bytes are no head.
pub(super) const MOST_BYTES: usize = 400 << 10;
/// More fields are no head.
const MOST_FIELDS: usize = 100;
/// What nearly all heads have room in.
const USUAL_FIELDS: usize = 24;

/// Where the name and the value of a field stand in a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// It comes in chunks, the last of which is empty.
    Chunks,
    /// It ends with the connection.
    UntilClose,
}

/// A head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Its bytes, the empty line included.
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// The connection may carry another request after the body.
    pub(super) keeps: bool,
}

impl Head {
    /// Reads a head from the first bytes of an answer; nothing if there is more to come. `places`
    /// are those of its fields. The error is in words.
    pub(super) fn read(bytes: &[u8], places: &mut Vec<Place>) -> Result<Option<Self>, String> {
        let read = match parse(bytes, &mut [EMPTY_HEADER; USUAL_FIELDS], places) {
            Err(Wrong::Lines(httparse::Error::TooManyHeaders)) => {
                parse(bytes, &mut [EMPTY_HEADER; MOST_FIELDS], places)
            }
            read => read,
        };
        match read {
            Ok(None) if bytes.len() >= MOST_BYTES => {
                Err(format!("its head is longer than {MOST_BYTES} bytes"))
            }
            Err(Wrong::Lines(error)) => Err(error.to_string()),
            Err(Wrong::Meaning(why)) => Err(why.to_owned()),
            Ok(head) => Ok(head),
        }
    }

    /// It announces the answer, and is none.
    pub(super) const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// A longer head is read anew each time.
const MOST_REMEMBERED: usize = 4 << 10;

/// Reads the heads of one connection, and knows the last one again by its bytes: until the second
/// of the `Date` is over, the answers of many services begin alike.
#[derive(Debug, Default)]
pub(super) struct Heads {
    last: Option<Head>,
    text: Vec<u8>,
    places: Vec<Place>,
}

impl Heads {
    /// As [`Head::read`].
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<Head>, String> {
        if self.last.is_some() && bytes.starts_with(&self.text) {
            return Ok(self.last);
        }
        self.last = None;
        let read = Head::read(bytes, &mut self.places)?;
        if let Some(head) = read.filter(|head| head.length <= MOST_REMEMBERED) {
            self.text.clear();
            self.text.extend_from_slice(&bytes[..head.length]);
            self.last = Some(head);
        }
        Ok(read)
    }

    /// Where the fields of the head that was read last stand in it.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }
}

enum Wrong {
    Lines(httparse::Error),
    Meaning(&'static str),
}

fn parse<'b>(
    bytes: &'b [u8],
    fields: &mut [Header<'b>],
    places: &mut Vec<Place>,
) -> Result<Option<Head>, Wrong> {
    let mut response = httparse::Response::new(fields);
    let length = match response.parse(bytes).map_err(Wrong::Lines)? {
        Status::Complete(length) => length,
        Status::Partial => return Ok(None),
    };
    let is_new = response.version == Some(1);
    let status = response.code.unwrap_or_default();
    let mut meaning = Meaning::default();
    places.clear();
    for field in response.headers.iter() {
        meaning.hear(field.name, field.value)?;
        places.push(Place {
            name: place(bytes, field.name.as_bytes()),
            value: place(bytes, field.value),
        });
    }
    let framing = meaning.framing(status, is_new)?;
    let keeps = meaning.keeps.unwrap_or(is_new);
    Ok(Some(Head {
        status,
        length,
        framing,
        keeps: keeps && framing != Framing::UntilClose && status != 101,
    }))
}

/// Where a part of `whole` stands in it.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// What the fields say of the body and the connection.
#[derive(Default)]
struct Meaning {
    length: Option<u64>,
    /// Whether the last transfer coding is `chunked`, if there is any.
    is_chunked: Option<bool>,
    /// What `Connection` says, if it does; `close` outweighs `keep-alive`.
    keeps: Option<bool>,
}

impl Meaning {
    fn hear(&mut self, name: &str, value: &[u8]) -> Result<(), Wrong> {
        if name.eq_ignore_ascii_case("content-length") {
            for part in parts(value) {
                let length = number(part).ok_or(Wrong::Meaning("a Content-Length of no number"))?;
                if self
                    .length
                    .replace(length)
                    .is_some_and(|before| before != length)
                {
                    return Err(Wrong::Meaning("two values of Content-Length"));
                }
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            let last = parts(value).last().unwrap_or_default();
            self.is_chunked = Some(last.eq_ignore_ascii_case(b"chunked"));
        } else if name.eq_ignore_ascii_case("connection") {
            for part in parts(value) {
                if part.eq_ignore_ascii_case(b"close") {
                    self.keeps = Some(false);
                } else if part.eq_ignore_ascii_case(b"keep-alive") {
                    self.keeps.get_or_insert(true);
                }
            }
        }
        Ok(())
    }

    /// RFC 9112, section 6.3.
    fn framing(&self, status: u16, is_new: bool) -> Result<Framing, Wrong> {
        if matches!(status, 100..200 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        Ok(match (self.is_chunked, self.length) {
            (Some(_), _) if !is_new => {
                return Err(Wrong::Meaning("a Transfer-Encoding in HTTP/1.0"));
            }
            (Some(true), _) => Framing::Chunks,
            (None, Some(length)) => Framing::Length(length),
            (Some(false), _) | (None, None) => Framing::UntilClose,
        })
    }
}

/// The members of a list, without the spaces around them.
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::Framing::{Chunks, Length, UntilClose};
    use super::*;

    #[test]
    fn the_framing_is_that_of_rfc_9112() {
        let check = |lines: &str, expected: Result<(Framing, bool), ()>| {
            let head = Head::read(lines.as_bytes(), &mut Vec::new());
            let found = head.map(|head| {
                let head = head.expect("a whole head");
                assert_eq!(head.length, lines.len());
                (head.framing, head.keeps)
            });
            assert_eq!(found.map_err(|_| ()), expected, "{lines}");
        };
        let new = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let old = |fields: &str| format!("HTTP/1.0 200 OK\r\n{fields}\r\n");
        check(&new("Content-Length: 5\r\n"), Ok((Length(5), true)));
        check(
            &new("content-length: 5, 5\r\nContent-Length: 5\r\n"),
            Ok((Length(5), true)),
        );
        check(&new("Content-Length: 5, 6\r\n"), Err(()));
        check(&new("Content-Length: +5\r\n"), Err(()));
        check(&new("Content-Length:\r\n"), Err(()));
        check(&new("Content-Length: 99999999999999999999\r\n"), Err(()));
        check(&new(""), Ok((UntilClose, false)));
        check(
            &new("Transfer-Encoding: gzip, Chunked\r\n"),
            Ok((Chunks, true)),
        );
        check(
            &new("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            Ok((Chunks, true)),
        );
        check(
            &new("Transfer-Encoding: chunked, gzip\r\nContent-Length: 5\r\n"),
            Ok((UntilClose, false)),
        );
        check(&old("Transfer-Encoding: chunked\r\n"), Err(()));
        check(&old("Content-Length: 5\r\n"), Ok((Length(5), false)));
        check(
            &old("Content-Length: 5\r\nConnection: x, Keep-Alive\r\n"),
            Ok((Length(5), true)),
        );
        check(
            &new("Content-Length: 5\r\nConnection: x, Close\r\n"),
            Ok((Length(5), false)),
        );
        for status in [204, 304] {
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
            check(&head, Ok((Length(0), true)));
        }
    }

    #[test]
    fn a_head_that_is_known_again_is_read_as_if_it_were_new() {
        let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\nrest");
        let long = format!(
            "X: {}\r\nContent-Length: 7\r\n",
            "x".repeat(MOST_REMEMBERED)
        );
        let texts = [
            head("Content-Length: 5\r\n"),
            head("Content-Length: 5\r\n"),
            head("Content-Length: 56\r\n"),
            head("Content-Length: 5\r\nConnection: close\r\n"),
            head("Content-Length: 5\r\n"),
            head(&long),
            head(&long),
            head("Content-Length: 5\r\n"),
            "HTTP/1.1 nonsense\r\n\r\n".to_owned(),
            head("Content-Length: 5\r\n"),
        ];
        let mut heads = Heads::default();
        for text in &texts {
            for end in [text.len() / 2, text.len()] {
                let bytes = &text.as_bytes()[..end];
                let mut places = Vec::new();
                let anew = Head::read(bytes, &mut places);
                let known = heads.read(bytes);
                assert_eq!(known, anew, "{text}");
                if let Ok(Some(_)) = known {
                    assert_eq!(heads.places(), places, "{text}");
                }
            }
        }
    }

    #[test]
    fn fields_are_found_where_they_stand_however_many() {
        for fields in [0, 1, 24, 25, 100] {
            let lines: Vec<String> = (0..fields).map(|n| format!("X-{n}:  v{n} \r\n")).collect();
            let head = format!("HTTP/1.1 200 OK\r\n{}\r\nbody", lines.concat());
            let mut places = Vec::new();
            assert!(Head::read(head.as_bytes(), &mut places).unwrap().is_some());
            assert_eq!(places.len(), fields);
            for (n, place) in places.into_iter().enumerate() {
                assert_eq!(head[place.name], format!("X-{n}"));
                assert_eq!(head[place.value], format!("v{n}"));
            }
        }
    }
}
