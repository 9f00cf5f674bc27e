//! Words of a body, compared by JSON type and value.

use std::borrow::Cow;

use serde_json::Value;

use crate::wire::pointer::{Found, Kind};

/// A status word is kept up to this many characters: it is shown and counted, never followed.
const SHOWN: usize = 64;

/// A word as a service said it, read once to be compared with several.
#[derive(Clone, Debug)]
pub(crate) struct Heard<'b> {
    found: Found<'b>,
    string: Option<Cow<'b, str>>,
}

impl<'b> Heard<'b> {
    pub(crate) fn new(found: Found<'b>) -> Self {
        let string = found.string();
        Self { found, string }
    }

    /// The content of a string, the text of anything else.
    pub(crate) fn text(&self) -> &str {
        self.string.as_deref().unwrap_or(self.found.raw())
    }
}

/// One word that a profile names.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Null,
    Bool(bool),
    Number(Box<str>),
    String(Box<str>),
}

impl Word {
    /// Nothing for an object or an array, which no rule can compare.
    pub(crate) fn new(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(bool) => Some(Self::Bool(*bool)),
            Value::Number(number) => Some(Self::Number(number.to_string().into())),
            Value::String(text) => Some(Self::String(text.as_str().into())),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(crate) fn is(&self, heard: &Heard<'_>) -> bool {
        let raw = heard.found.raw();
        match self {
            Self::Null => raw == "null",
            Self::Bool(bool) => raw == if *bool { "true" } else { "false" },
            Self::Number(number) => heard.found.kind() == Kind::Number && same_number(number, raw),
            Self::String(text) => heard.string.as_deref() == Some(text),
        }
    }

    /// What the JSON form of protocol buffers leaves out: a field with its default value.
    fn is_left_out(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => true,
            Self::Bool(true) => false,
            Self::Number(number) => same_number(number, "0"),
            Self::String(text) => text.is_empty(),
        }
    }
}

/// The same text, or the same value where one of them has a fraction or an exponent: `2` is `2.0`.
fn same_number(one: &str, other: &str) -> bool {
    let whole = |text: &str| !text.contains(['.', 'e', 'E']);
    if one == other || (whole(one) && whole(other)) {
        return one == other;
    }
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => one.total_cmp(&other).is_eq(),
        _ => false,
    }
}

/// Words with one meaning.
#[derive(Clone, Debug)]
pub(crate) struct Words(Box<[Word]>);

impl Words {
    pub(crate) fn new(values: &[Value]) -> Self {
        Self(values.iter().filter_map(Word::new).collect())
    }

    pub(crate) fn have(&self, heard: &Heard<'_>) -> bool {
        self.0.iter().any(|word| word.is(heard))
    }

    /// Whether a missing value means one of the words, as `done` of AIP-151 means `false`.
    pub(crate) fn have_left_out(&self) -> bool {
        self.0.iter().any(Word::is_left_out)
    }
}

/// The beginning of a hostile word, without anything that a terminal obeys: such characters are
/// spelled out, as the word goes into files that people look at.
pub(crate) fn short(word: &str) -> Box<str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if word.len() <= SHOWN && word.bytes().all(is_plain) {
        return word.into();
    }
    let mut shown = String::new();
    for character in word.chars().take(SHOWN) {
        if is_obeyed(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Control characters, and those that turn the direction of a line (Unicode Annex 9, section 2).
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Pointer;
    use crate::wire::pointer::Picker;
    use serde_json::json;

    #[test]
    fn words_compare_by_type_and_value() {
        let check = |word: Value, json: &str, same: bool| {
            let [found] = Picker::new([Some(&Pointer(String::new()))])
                .pick(json.as_bytes())
                .unwrap();
            let is = Word::new(&word).is_some_and(|word| word.is(&Heard::new(found.unwrap())));
            assert_eq!(is, same, "{word} and {json}");
        };
        check(json!("done"), "\"done\"", true);
        check(json!("done"), "\"d\\u006fne\"", true);
        check(json!("done"), "\"Done\"", false);
        check(json!(true), "true", true);
        check(json!(true), "\"true\"", false);
        check(json!(2), "2", true);
        check(json!(2), "2.0", true);
        check(json!(2), "\"2\"", false);
        check(json!(2.5), "25e-1", true);
        check(json!(9_007_199_254_740_993_u64), "9007199254740992", false);
        check(json!(null), "null", true);
        check(json!(null), "0", false);
        check(json!({}), "{}", false);
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(short("done"), "done".into());
        assert_eq!(short(&"é".repeat(500)).chars().count(), 64);
    }

    #[test]
    fn a_word_cannot_steer_a_terminal() {
        assert_eq!(
            &*short("\u{1b}[31m evil\r\n\u{202e}\u{e9}\\\""),
            "\\u{1b}[31m evil\\r\\n\\u{202e}\u{e9}\\\""
        );
    }
}
