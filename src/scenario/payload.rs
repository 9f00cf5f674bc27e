//! Request bodies and headers as functions of the seed and the number of the arrival.
//!
//! | placeholder | stands for |
//! |---|---|
//! | `{{seq}}` | the number of the arrival, from 0 |
//! | `{{uuid}}` | a random uuid (version 4) |
//! | `{{int A B}}` | an integer, uniform from A to B, both included |
//! | `{{float A B}}` | a number, uniform from A up to B |
//! | `{{string N}}` | N letters and digits |
//! | `{{pick a\|b\|c}}` | one of the texts |
//! | `{{work_id}}` | the id, where the client chooses it |
//! | `{{corpus.FIELD}}` | a field of the corpus row of this arrival |
//!
//! Escaping has one rule. Of these, only `pick` and `corpus` can yield a character that means
//! something: inside a JSON string they are escaped as its content, elsewhere in a JSON body they
//! stand as they are (so a field may hold a number or an object); in a form body they are
//! percent-encoded; in a header control characters become spaces.
//!
//! Randomness is `ChaCha8` keyed by (seed, purpose) with the number of the arrival as its stream,
//! so arrival N renders the same bytes whoever renders it, in whatever order.

use std::borrow::Cow;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use uuid::Uuid;

use super::BodyForm;
pub use super::corpus::{Corpus, CorpusOrder};

/// A text with places to fill in.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
    purpose: u64,
    escape: Escape,
}

/// The longest text that `{{string N}}` makes.
const LONGEST_STRING: u32 = 65_536;

/// Streams of randomness that belong to no template.
const PURPOSE_WORK_ID: &str = "work_id";
const PURPOSE_IDEMPOTENCY_KEY: &str = "idempotency_key";

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(Box<str>),
    Hole { what: Hole, in_string: bool },
}

#[derive(Clone, Debug, PartialEq)]
enum Hole {
    Seq,
    Uuid,
    Int(i64, i64),
    Float(f64, f64),
    Text(u32),
    Pick(Box<[Box<str>]>),
    WorkId,
    Corpus(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Json,
    Form,
    Header,
}

/// What a template is rendered for.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The seed of the run.
    pub seed: u64,
    /// The number of the arrival, from 0.
    pub seq: u64,
    /// Rows for `{{corpus.FIELD}}`; without them such a field is empty.
    pub corpus: Option<&'a Corpus>,
}

impl Default for Template {
    /// The empty text.
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            purpose: purpose("body"),
            escape: Escape::Json,
        }
    }
}

impl Template {
    /// Reads a JSON body, or says what is wrong with its placeholders.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::new(text, "body", Escape::Json)
    }

    /// Reads a body of a given form.
    pub fn body(text: &str, form: BodyForm) -> Result<Self, String> {
        let escape = match form {
            BodyForm::Json => Escape::Json,
            BodyForm::Form => Escape::Form,
        };
        Self::new(text, "body", escape)
    }

    /// Reads the value of a header; each header has randomness of its own.
    pub fn header(name: &str, text: &str) -> Result<Self, String> {
        let purpose = format!("header:{}", name.to_ascii_lowercase());
        Self::new(text, &purpose, Escape::Header)
    }

    fn new(text: &str, name: &str, escape: Escape) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut in_string = false;
        while let Some(open) = rest.find("{{") {
            let (literal, tail) = rest.split_at(open);
            in_string = string_state(literal, in_string);
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.into()));
            }
            let close = tail
                .find("}}")
                .ok_or_else(|| "a {{ without its }}".to_owned())?;
            let what = hole(tail[2..close].trim())?;
            pieces.push(Piece::Hole { what, in_string });
            rest = &tail[close + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        Ok(Self {
            pieces,
            purpose: purpose(name),
            escape,
        })
    }

    /// Appends the text for one arrival.
    pub fn render(&self, item: &Item<'_>, out: &mut Vec<u8>) {
        let mut random = stream(item.seed, self.purpose, item.seq);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Hole { what, in_string } => {
                    let text = what.fill(item, &mut random);
                    let free = matches!(what, Hole::Pick(_) | Hole::Corpus(_));
                    match self.escape {
                        _ if !free => out.extend_from_slice(text.as_bytes()),
                        Escape::Json if *in_string => json_content(&text, out),
                        Escape::Json => out.extend_from_slice(text.as_bytes()),
                        Escape::Form => {
                            let encoded = url::form_urlencoded::byte_serialize(text.as_bytes());
                            encoded.for_each(|part| out.extend_from_slice(part.as_bytes()));
                        }
                        Escape::Header => out.extend(text.bytes().map(|byte| match byte {
                            0..=31 | 127 => b' ',
                            byte => byte,
                        })),
                    }
                }
            }
        }
    }

    /// The fields of the corpus that it uses.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.holes().filter_map(|hole| match hole {
            Hole::Corpus(field) => Some(&**field),
            _ => None,
        })
    }

    /// Whether it uses `{{work_id}}`.
    pub fn uses_work_id(&self) -> bool {
        self.holes().any(|hole| matches!(hole, Hole::WorkId))
    }

    fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole { what, .. } => Some(what),
            Piece::Literal(_) => None,
        })
    }
}

impl Hole {
    fn fill<'a>(&'a self, item: &Item<'a>, random: &mut ChaCha8Rng) -> Cow<'a, str> {
        match self {
            Self::Seq => item.seq.to_string().into(),
            Self::Uuid => uuid(random).to_string().into(),
            Self::Int(low, high) => {
                let count = high.abs_diff(*low);
                let step = below(random, u128::from(count) + 1);
                low.wrapping_add_unsigned(step).to_string().into()
            }
            Self::Float(low, high) => (low + (high - low) * unit(random)).to_string().into(),
            Self::Text(length) => {
                const LETTERS: &[u8; 62] =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
                let letter = |_| char::from(LETTERS[index(random, LETTERS.len())]);
                (0..*length).map(letter).collect::<String>().into()
            }
            Self::Pick(words) => (&*words[index(random, words.len())]).into(),
            Self::WorkId => client_work_id(item.seed, item.seq).to_string().into(),
            Self::Corpus(field) => item
                .corpus
                .and_then(|corpus| corpus.field(item.seq, field))
                .unwrap_or("")
                .into(),
        }
    }
}

/// The id that the client chooses for an arrival.
pub fn client_work_id(seed: u64, seq: u64) -> Uuid {
    uuid(&mut stream(seed, purpose(PURPOSE_WORK_ID), seq))
}

/// The idempotency key of an arrival, the same for each of its retries.
pub fn idempotency_key(seed: u64, seq: u64) -> Uuid {
    uuid(&mut stream(seed, purpose(PURPOSE_IDEMPOTENCY_KEY), seq))
}

/// A name as a number that tells streams apart: FNV-1a, 64 bits (Fowler, Noll, Vo).
fn purpose(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn stream(seed: u64, purpose: u64, seq: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&purpose.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(seq);
    random
}

fn uuid(random: &mut ChaCha8Rng) -> Uuid {
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Uniform in `0..count` by a widening product; its bias is below `count / 2^64`.
fn below(random: &mut ChaCha8Rng, count: u128) -> u64 {
    ((u128::from(random.next_u64()) * count) >> 64) as u64
}

fn index(random: &mut ChaCha8Rng, length: usize) -> usize {
    // A place in memory is never beyond 64 bits, and the draw is below the length.
    usize::try_from(below(random, length as u128)).unwrap_or(0)
}

/// Uniform in `[0, 1)` with 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Whether a JSON text goes on inside a string after `literal`.
fn string_state(literal: &str, mut inside: bool) -> bool {
    let mut escaped = false;
    for byte in literal.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

/// A text as the content of a JSON string.
fn json_content(text: &str, out: &mut Vec<u8>) {
    let quoted = serde_json::Value::from(text).to_string();
    out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
}

fn hole(text: &str) -> Result<Hole, String> {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let bad = |form: &str| format!("{{{{{text}}}}} instead of {{{{{form}}}}}");
    match (name, words.as_slice()) {
        ("seq", []) => Ok(Hole::Seq),
        ("uuid", []) => Ok(Hole::Uuid),
        ("work_id", []) => Ok(Hole::WorkId),
        ("int", [low, high]) => match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) if low <= high => Ok(Hole::Int(low, high)),
            _ => Err(bad("int A B")),
        },
        ("float", [low, high]) => match (low.parse::<f64>(), high.parse::<f64>()) {
            (Ok(low), Ok(high)) if low <= high && (high - low).is_finite() => {
                Ok(Hole::Float(low, high))
            }
            _ => Err(bad("float A B")),
        },
        ("string", [length]) => match length.parse() {
            Ok(length) if length <= LONGEST_STRING => Ok(Hole::Text(length)),
            _ => Err(bad("string N")),
        },
        ("pick", [_, ..]) => Ok(Hole::Pick(
            rest.split('|').map(|word| word.trim().into()).collect(),
        )),
        ("int", _) => Err(bad("int A B")),
        ("float", _) => Err(bad("float A B")),
        ("string", _) => Err(bad("string N")),
        ("pick", _) => Err(bad("pick a|b|c")),
        (_, []) => match name.strip_prefix("corpus.") {
            Some(field) if !field.is_empty() => Ok(Hole::Corpus(field.into())),
            _ => Err(unknown(text)),
        },
        _ => Err(unknown(text)),
    }
}

fn unknown(text: &str) -> String {
    format!(
        "the placeholder {{{{{text}}}}}, which is none of seq, uuid, int A B, float A B, string N, \
         pick a|b|c, work_id, corpus.FIELD"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(template: &Template, seed: u64, seq: u64, corpus: Option<&Corpus>) -> String {
        let mut out = Vec::new();
        template.render(&Item { seed, seq, corpus }, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn corpus() -> Corpus {
        let rows = b"name,n\n\"a \"\"b\"\" \\ c\",1\nplain,2\n";
        Corpus::read("x.csv", rows, CorpusOrder::Loop, &["name", "n"]).unwrap()
    }

    #[test]
    fn the_same_seed_and_number_make_the_same_bytes() {
        let all =
            "{{seq}} {{uuid}} {{int -5 5}} {{float 0 1}} {{string 8}} {{pick a|b|c}} {{work_id}}";
        let template = Template::parse(all).unwrap();
        // From another implementation of ChaCha8, keyed as the head of this file says.
        let golden = [
            (
                1,
                0,
                "0 c05276fd-2e56-49a9-9934-dc096658ffca 2 0.44264835006745684 Jtra3QE4 b 7f4e7670-e617-4281-945c-b49ed1fa5f74",
            ),
            (
                1,
                7,
                "7 17b6e1d6-211e-420f-9fca-827b80f01ea7 3 0.10318215219354876 3HXKKS7T c c849cf8f-4f25-45c6-8784-66841578a529",
            ),
            (
                202,
                0,
                "0 6f87093d-f2ea-48bb-92e9-58ccffc26414 1 0.7741664894127243 lFCNlt2Q b 7e9354be-545c-498d-ba9a-487adfeda8b4",
            ),
        ];
        for (seed, seq, expected) in golden {
            assert_eq!(text(&template, seed, seq, None), expected);
        }
    }

    #[test]
    fn values_are_escaped_where_they_stand() {
        let check = |template: Result<Template, String>, expected: &str| {
            assert_eq!(text(&template.unwrap(), 1, 0, Some(&corpus())), expected);
        };
        check(
            Template::parse(r#"{"\"{{corpus.name}}": "{{corpus.name}}", "n": {{corpus.n}}}"#),
            r#"{"\"a \"b\" \\ c": "a \"b\" \\ c", "n": 1}"#,
        );
        check(
            Template::body("a={{corpus.name}}&b={{seq}}", BodyForm::Form),
            "a=a+%22b%22+%5C+c&b=0",
        );
        check(
            Template::header("X-Name", "{{corpus.name}}"),
            "a \"b\" \\ c",
        );
        check(Template::header("X", "{{pick a\tb}}"), "a b");
        check(Template::parse("{{corpus.none}}"), "");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, word: &str| {
            let said = Template::parse(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        };
        check("{{seq", "without its }}");
        check("{{int 5 1}}", "{{int A B}}");
        check("{{int 1}}", "{{int A B}}");
        check("{{float 0 inf}}", "{{float A B}}");
        check("{{string 70000}}", "{{string N}}");
        check("{{pick}}", "{{pick a|b|c}}");
        check("{{now}}", "{{now}}");
        check("{{corpus.}}", "{{corpus.}}");
        check("{{seq 1}}", "{{seq 1}}");
    }

    #[test]
    fn purposes_have_streams_of_their_own() {
        let one = Template::header("X-One", "{{uuid}}").unwrap();
        let two = Template::header("X-Two", "{{uuid}}").unwrap();
        let body = Template::parse("{{uuid}}").unwrap();
        let mut seen = vec![
            text(&one, 1, 0, None),
            text(&two, 1, 0, None),
            text(&body, 1, 0, None),
            client_work_id(1, 0).to_string(),
            idempotency_key(1, 0).to_string(),
        ];
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 5);
        assert_eq!(client_work_id(1, 0).get_version_num(), 4);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // The vectors of its authors for "" and "a".
        assert_eq!(purpose(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(purpose("a"), 0xaf63_dc4c_8601_ec8c);
    }

    proptest! {
        #[test]
        fn draws_stay_within_their_ends(low: i64, high: i64, seed: u64, seq: u64) {
            let (low, high) = (low.min(high), low.max(high));
            let template = Template::parse(&format!("{{{{int {low} {high}}}}}")).unwrap();
            let drawn: i64 = text(&template, seed, seq, None).parse().unwrap();
            prop_assert!((low..=high).contains(&drawn));
        }

        #[test]
        fn any_text_can_be_inside_a_json_string(name in any::<String>()) {
            let rows = serde_json::json!({ "name": name }).to_string();
            let corpus =
                Corpus::read("x.jsonl", rows.as_bytes(), CorpusOrder::Loop, &["name"]).unwrap();
            let template = Template::parse(r#"{"x": "{{corpus.name}}"}"#).unwrap();
            let body = text(&template, 1, 0, Some(&corpus));
            let read: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(read["x"].as_str(), Some(name.as_str()));
        }
    }
}
