//! Chunks: the body of an answer that comes in pieces with their sizes (RFC 9112, section 7.1).

use httparse::Status;

/// A longer line before a chunk, or longer trailers, are none.
const MOST_BYTES: usize = 16 << 10;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Size,
    Data(u64),
    /// The end of the line after the data.
    DataEnd,
    Trailers,
    Nothing,
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There is more to come.
    Some,
    /// The body is whole.
    All,
    /// The body is longer than is wanted.
    TooMuch,
}

/// A body as far as it has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks(Next);

impl Chunks {
    pub(super) const fn new() -> Self {
        Self(Next::Size)
    }

    /// Moves what it can of `bytes` into `body`. Says how many bytes it is done with, and how far
    /// it has come; the error is in words.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        max_body: u64,
    ) -> Result<(usize, Taken), String> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.0 {
                Next::Size => match httparse::parse_chunk_size(rest) {
                    Ok(Status::Complete((length, size))) => {
                        at += length;
                        self.0 = if size == 0 {
                            Next::Trailers
                        } else {
                            Next::Data(size)
                        };
                    }
                    Ok(Status::Partial) => return more(at, rest),
                    Err(_) => return Err("a chunk without a size".to_owned()),
                },
                Next::Data(left) => {
                    if left > max_body - body.len() as u64 {
                        return Ok((at, Taken::TooMuch));
                    }
                    let here =
                        usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    body.extend_from_slice(&rest[..here]);
                    at += here;
                    let left = left - here as u64;
                    if left > 0 {
                        self.0 = Next::Data(left);
                        return Ok((at, Taken::Some));
                    }
                    self.0 = Next::DataEnd;
                }
                Next::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.0 = Next::Size;
                    }
                    [] | [b'\r'] => return Ok((at, Taken::Some)),
                    _ => return Err("a chunk that is longer than its size".to_owned()),
                },
                // They mean nothing here: only their end is looked for.
                Next::Trailers => match rest.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        at += end + 1;
                        if matches!(rest[..end], [] | [b'\r']) {
                            self.0 = Next::Nothing;
                        }
                    }
                    None => return more(at, rest),
                },
                Next::Nothing => return Ok((at, Taken::All)),
            }
        }
    }
}

/// The line that begins here is not whole yet.
fn more(at: usize, line: &[u8]) -> Result<(usize, Taken), String> {
    if line.len() > MOST_BYTES {
        return Err(format!("a line of chunks longer than {MOST_BYTES} bytes"));
    }
    Ok((at, Taken::Some))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in pieces that end at `cuts`, and keeps what is not taken for the next.
    fn take(text: &[u8], cuts: &[usize], max_body: u64) -> Result<(Vec<u8>, usize, Taken), String> {
        let (mut chunks, mut body) = (Chunks::new(), Vec::new());
        let (mut at, mut last) = (0, Taken::Some);
        for cut in cuts.iter().copied().chain([text.len()]) {
            let (done, taken) = chunks.take(&text[at..cut], &mut body, max_body)?;
            at += done;
            last = taken;
            if taken != Taken::Some {
                break;
            }
        }
        Ok((body, at, last))
    }

    #[test]
    fn wherever_the_bytes_are_cut_the_body_is_the_same() {
        let text =
            b"4;a=\"b\"\r\nWiki\r\n006\r\npedia \r\nB\r\nin \r\nchunks\r\n0\r\nX: y\r\n\r\nHTTP";
        let whole = (
            b"Wikipedia in \r\nchunks".to_vec(),
            text.len() - 4,
            Taken::All,
        );
        assert_eq!(take(text, &[], 100), Ok(whole.clone()));
        for first in 0..text.len() {
            for second in first..text.len() {
                assert_eq!(take(text, &[first, second], 100), Ok(whole.clone()));
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_an_error_and_what_is_too_much_is_not_kept() {
        for text in [
            "xyz\r\n",
            "3\r\nabcd\r\n",
            "-1\r\n",
            "fffffffffffffffff\r\n",
        ] {
            assert!(take(text.as_bytes(), &[], 100).is_err(), "{text}");
        }
        assert!(take("0".repeat(20_000).as_bytes(), &[], 100).is_err());
        let (body, _, taken) = take(b"6\r\nhello \r\n5\r\nworld\r\n", &[], 10).unwrap();
        assert_eq!((&body[..], taken), (&b"hello "[..], Taken::TooMuch));
        let (_, _, taken) = take(b"ffffffffffffffff\r\n", &[], u64::MAX).unwrap();
        assert_eq!(taken, Taken::Some);
    }
}
