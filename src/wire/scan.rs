//! Scan: passes over JSON (RFC 8259) without building anything.
//!
//! An answer to a poll is read for one word, thousands of times a second, and a general parser
//! spends more on handing values over than on reading them. This one only says where values begin
//! and end; what a string means is left to `serde_json`, which is also the oracle of its tests.

/// Goes through a text that is to be JSON.
#[derive(Clone, Debug)]
pub(super) struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte that is next, after blanks.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes over this byte, and blanks before it, if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Where it is: before the next value, once that was peeked at.
    pub(super) const fn place(&self) -> usize {
        self.at
    }

    /// What was passed over since a place.
    pub(super) fn since(&self, place: usize) -> &'t str {
        &self.text[place..self.at]
    }

    /// Whether nothing but blanks is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Passes over a key and its colon; the key as it is written, with its quotes.
    pub(super) fn key(&mut self) -> Option<&'t str> {
        let key = self.string()?;
        self.take(b':').then_some(key)
    }

    /// Passes over one value, however deep it is, without recursion; the value as it is written.
    /// Nothing if there is none.
    pub(super) fn value(&mut self) -> Option<&'t str> {
        self.peek()?;
        let start = self.at;
        let mut around = Nesting::default();
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    self.at += 1;
                    if !self.take(b'}') {
                        around.enter(true);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.take(b']') {
                        around.enter(false);
                        continue;
                    }
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => self.number()?,
            }
            // A value has ended, and perhaps those that it stands in.
            loop {
                let Some(is_object) = around.inmost() else {
                    return Some(self.since(start));
                };
                if self.take(b',') {
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                if !self.take(if is_object { b'}' } else { b']' }) {
                    return None;
                }
                around.leave();
            }
        }
    }

    fn string(&mut self) -> Option<&'t str> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut at = start + 1;
        loop {
            let byte = *bytes.get(at)?;
            if PLAIN[usize::from(byte)] {
                at += 1;
            } else if byte == b'\\' {
                at += 1 + escape(&bytes[at + 1..])?;
            } else if byte == b'"' {
                break;
            } else {
                return None;
            }
        }
        self.at = at + 1;
        Some(self.since(start))
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then_some(())?;
        self.at += word.len();
        Some(())
    }

    /// RFC 8259, section 6.
    fn number(&mut self) -> Option<()> {
        self.pass(b"-");
        if !self.pass(b"0") {
            self.digits()?;
        }
        if self.pass(b".") {
            self.digits()?;
        }
        if self.pass(b"eE") {
            self.pass(b"+-");
            self.digits()?;
        }
        Some(())
    }

    /// One of these bytes, if it is next.
    fn pass(&mut self, any: &[u8]) -> bool {
        let next = self.text.as_bytes().get(self.at);
        let is_next = next.is_some_and(|byte| any.contains(byte));
        self.at += usize::from(is_next);
        is_next
    }

    fn digits(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        (digits > 0).then_some(())
    }
}

/// What stands for itself in a string (RFC 8259, section 7).
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut control = 0;
    while control < 0x20 {
        plain[control] = false;
        control += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

/// How long an escape is after its backslash; whether halves of a surrogate pair meet is not asked.
fn escape(after: &[u8]) -> Option<usize> {
    match after.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => {
            let digits = after.get(1..5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(5)
        }
        _ => None,
    }
}

/// The containers around a place, a bit each: set for objects. The first 64 need no memory.
#[derive(Default)]
struct Nesting {
    inner: u64,
    outer: Vec<u64>,
    depth: usize,
}

impl Nesting {
    fn enter(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether the inmost is an object, if there is any.
    fn inmost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.inner & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Whether the whole text is one value.
    fn is_json(text: &str) -> bool {
        let mut scan = Scan::new(text);
        scan.value().is_some() && scan.is_at_end()
    }

    #[test]
    fn the_grammar_is_that_of_rfc_8259() {
        for good in [
            "0",
            "-0",
            "10",
            "1.5e+3",
            "1E-2",
            "\"\"",
            r#""\u00e9\n""#,
            "[]",
            "[ 1 , [] ]",
            "{}",
            r#"{"":{"a":[{}]}}"#,
            " true ",
            "null",
            "false",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "NaN",
            "tru",
            "truee",
            "\"",
            "\"\n\"",
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u12"#,
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "{1:1}",
            "[}",
            "{]",
            "[[]",
            "1 1",
            "'a'",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn values_may_be_as_deep_as_a_body_is_long() {
        for depth in [1, 63, 64, 65, 127, 128, 129, 1_000, 100_000] {
            let (open, close) = (r#"[{"a":"#.repeat(depth), "}]".repeat(depth));
            assert!(is_json(&format!("{open}1{close}")), "{depth}");
            assert!(!is_json(&format!("{open}1]{close}")), "{depth}");
            assert!(!is_json(&format!("{open}1{}", &close[1..])), "{depth}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_json_is_json_to_another_parser(
            text in "([\\[\\]{}\",:0-2ae.\\\\ \n+-]|true|null|\"a\":|\"\\\\u00|\\{\"a\":){0,12}"
        ) {
            // Halves of surrogate pairs cannot be made of these letters.
            let read: Result<Value, _> = serde_json::from_str(&text);
            let is_too_large = read.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
            prop_assert_eq!(is_json(&text), read.is_ok() || is_too_large, "{}", text);
        }
    }
}
