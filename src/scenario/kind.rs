//! Kinds of values: what each accepts, in words, as a check, and as JSON Schema.

use serde_json::{Value as Json, json};

use super::payload::Template;
use super::tree::{Node, Value};
use super::{Judge, Law, Rate, Slo, law, rate, slo};
use crate::time::Span;

/// The kind of the value of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Text, not empty.
    Text,
    /// An integer between two ends, both included.
    Integer(i64, i64),
    /// A number between two ends, both included.
    Number(f64, f64),
    /// `true` or `false`.
    Bool,
    /// A length of time, zero included.
    Duration,
    /// A length of time above zero.
    Positive,
    /// A rate above zero.
    Rate,
    /// A rate, zero included.
    RateOrZero,
    /// Rates above zero, from one to 32.
    Rates,
    /// Lengths of time above zero, as many.
    Positives,
    /// A share in `[0, 1]`.
    Ratio,
    /// A law of random times.
    Law,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words.
    Choices(&'static [&'static str]),
    /// `env:NAME` or `file:PATH`.
    Secret,
    /// References to secrets.
    Secrets,
    /// Lengths of time.
    Durations,
    /// An http or https URL without user, query and fragment.
    Url,
    /// `"simulator"` or an http or https URL without user, query and fragment.
    BaseUrl,
    /// Origins, `scheme://host[:port]`.
    Origins,
    /// A JSON pointer that is not empty.
    Pointer,
    /// HTTP statuses.
    Statuses,
    /// Bytes: an integer, or text with a unit.
    Size,
    /// A table of header names and values; values may be templates.
    Headers,
    /// Any scalar.
    Scalar,
    /// Scalars of any kind.
    Scalars,
    /// Texts.
    Texts,
    /// A path under `base_url`: begins with `/`.
    Path,
    /// A body: text with `{{placeholders}}`.
    Template,
    /// The name of a file, relative to the scenario.
    File,
    /// A promise.
    Promise,
    /// A table, whose keys the catalogue lists below it.
    Table,
    /// A list of such tables.
    Tables,
    /// Any of these kinds.
    AnyOf(&'static [Self]),
}

/// The longest time that a key takes, and a whole load: ten years, so that sums never come near the
/// end of time.
pub const LONGEST: Span = Span::from_secs(10 * 365 * 86_400);

/// Items of a list that is gone through one by one: more of them is a mistake.
const MOST_ITEMS: usize = 32;

impl Kind {
    /// What is expected, in words.
    pub fn expected(self) -> String {
        match self {
            Self::Text => "text that is not empty".to_owned(),
            Self::Integer(low, i64::MAX) => format!("an integer from {low} on"),
            Self::Integer(low, high) => format!("an integer from {low} to {high}"),
            Self::Number(low, high) if high.is_infinite() => format!("a number from {low} on"),
            Self::Number(low, high) => format!("a number from {low} to {high}"),
            Self::Bool => "true or false".to_owned(),
            Self::Duration => "a duration such as \"250ms\", \"5s\" or \"2m\"".to_owned(),
            Self::Positive => "a duration above zero such as \"250ms\" or \"2m\"".to_owned(),
            Self::Rate => "a rate above zero such as \"20/s\", \"600/min\" or \"1/h\"".to_owned(),
            Self::RateOrZero => "a rate such as \"20/s\", \"600/min\" or \"0/s\"".to_owned(),
            Self::Rates => format!("from 1 to {MOST_ITEMS} rates such as [\"600/min\", \"20/s\"]"),
            Self::Positives => format!("from 1 to {MOST_ITEMS} durations such as [\"1s\", \"5s\"]"),
            Self::Choices(words) => format!("a list of {}", Self::Choice(words).expected()),
            Self::Ratio => "a share from 0 to 1".to_owned(),
            Self::Law => law::GRAMMAR.to_owned(),
            Self::Choice(words) => words
                .iter()
                .map(|word| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(" or "),
            Self::Secret => "a reference, \"env:NAME\" or \"file:PATH\"".to_owned(),
            Self::Secrets => "a list of references, \"env:NAME\" or \"file:PATH\"".to_owned(),
            Self::Durations => "a list of durations such as [\"5s\", \"5m\"]".to_owned(),
            Self::Url => "a URL such as \"https://hooks.example.com\"".to_owned(),
            Self::BaseUrl => {
                "\"simulator\", or a URL such as \"https://ai.example.com\"".to_owned()
            }
            Self::Origins => "a list of origins such as \"https://api.example.com\"".to_owned(),
            Self::Pointer => "a JSON pointer such as \"/work_id\"".to_owned(),
            Self::Statuses => "a list of HTTP statuses such as [202]".to_owned(),
            Self::Size => "a size such as \"16KiB\" or \"1MiB\"".to_owned(),
            Self::Headers => "a table of header names and texts".to_owned(),
            Self::Scalar => "text, a number, true or false".to_owned(),
            Self::Scalars => "a list of texts, numbers or booleans".to_owned(),
            Self::Texts => "a list of texts".to_owned(),
            Self::Path => "a path that begins with \"/\"".to_owned(),
            Self::Template => "text, perhaps with {{placeholders}}".to_owned(),
            Self::File => "the name of a file".to_owned(),
            Self::Promise => slo::GRAMMAR.to_owned(),
            Self::Table => "a table".to_owned(),
            Self::Tables => "a list of tables".to_owned(),
            Self::AnyOf(kinds) => {
                let all: Vec<String> = kinds.iter().map(|kind| kind.expected()).collect();
                all.join(", or ")
            }
        }
    }

    /// Whether a value is of this kind; otherwise what was found, in words that hold no secret.
    pub fn check(self, value: &Value) -> Result<(), String> {
        match self {
            Self::AnyOf(kinds) => {
                if kinds.iter().any(|kind| kind.check(value).is_ok()) {
                    return Ok(());
                }
                // The kind that has the value's own type says best what is wrong with it.
                let said = kinds.iter().filter_map(|kind| kind.check(value).err());
                let said: Vec<String> = said.collect();
                let noun = value.noun();
                Err(said
                    .iter()
                    .find(|text| !text.starts_with(noun))
                    .or(said.first())
                    .cloned()
                    .unwrap_or_else(|| noun.to_owned()))
            }
            _ => match value {
                Value::Text(text) => self.check_text(text),
                Value::Integer(number) => self.check_integer(*number),
                Value::Number(number) => self.check_number(*number),
                Value::List(list) => self.check_list(list),
                Value::Bool(_) if matches!(self, Self::Bool | Self::Scalar) => Ok(()),
                Value::Table(_) if self == Self::Table => Ok(()),
                Value::Table(table) if self == Self::Headers => table
                    .iter()
                    .try_for_each(|(name, node)| check_header(name, &node.value)),
                other => Err(shown(other)),
            },
        }
    }

    fn check_text(self, text: &str) -> Result<(), String> {
        let quoted = || format!("\"{text}\"");
        let span = |text| Span::parse(text).filter(|span| *span <= LONGEST);
        let good = match self {
            Self::Text | Self::File => !text.is_empty(),
            Self::Template => return Template::parse(text).map(|_| ()),
            Self::Scalar => true,
            Self::Duration => span(text).is_some(),
            Self::Positive => span(text).is_some_and(|span| span > Span::ZERO),
            Self::Rate => Rate::parse(text).is_some_and(|rate| rate.count > 0),
            Self::RateOrZero => Rate::parse(text).is_some(),
            Self::Law => {
                return Law::parse(text)
                    .map(|_| ())
                    .map_err(|why| format!("{}: {why}", quoted()));
            }
            Self::Promise => {
                return Slo::parse(text, Judge::Bounds)
                    .map(|_| ())
                    .map_err(|why| format!("{}: {why}", quoted()));
            }
            Self::Choice(words) => words.contains(&text),
            Self::Secret => {
                let good = secret(text).is_some();
                return good
                    .then_some(())
                    .ok_or_else(|| "a literal, which is not shown".to_owned());
            }
            Self::Url => return base_url(text),
            Self::BaseUrl => {
                return if text == "simulator" {
                    Ok(())
                } else {
                    base_url(text)
                };
            }
            Self::Pointer => is_pointer(text),
            Self::Path => text.starts_with('/') && !text.contains(char::is_whitespace),
            Self::Size => rate::size(text).is_some(),
            _ => false,
        };
        good.then_some(()).ok_or_else(quoted)
    }

    fn check_integer(self, number: i64) -> Result<(), String> {
        let good = match self {
            Self::Integer(low, high) => (low..=high).contains(&number),
            Self::Size => number >= 0,
            Self::Scalar => true,
            Self::Number(..) | Self::Ratio => {
                // Any integer that matters here is far below the 53 bits of a float.
                return i32::try_from(number)
                    .map_err(|_| number.to_string())
                    .and_then(|number| self.check_number(f64::from(number)));
            }
            _ => false,
        };
        good.then_some(()).ok_or_else(|| number.to_string())
    }

    fn check_number(self, number: f64) -> Result<(), String> {
        let good = match self {
            Self::Number(low, high) => (low..=high).contains(&number) && number.is_finite(),
            Self::Ratio => (0.0..=1.0).contains(&number),
            Self::Scalar => number.is_finite(),
            _ => false,
        };
        good.then_some(()).ok_or_else(|| number.to_string())
    }

    fn check_list(self, list: &[Node]) -> Result<(), String> {
        let item = match self {
            Self::Statuses => Self::Integer(100, 599),
            Self::Scalars => Self::Scalar,
            Self::Texts => Self::Text,
            Self::Tables => Self::Table,
            Self::Rates | Self::Positives | Self::Choices(_)
                if !(1..=MOST_ITEMS).contains(&list.len()) =>
            {
                return Err(format!("a list of {}", list.len()));
            }
            Self::Rates => Self::Rate,
            Self::Positives => Self::Positive,
            Self::Choices(words) => Self::Choice(words),
            Self::Secrets => Self::Secret,
            Self::Durations => Self::Duration,
            Self::Origins => {
                return list.iter().try_for_each(|node| match &node.value {
                    Value::Text(text) => origin(text),
                    other => Err(shown(other)),
                });
            }
            _ => return Err("a list".to_owned()),
        };
        let within = |node: &Node| item.check(&node.value);
        list.iter()
            .try_for_each(within)
            .map_err(|found| format!("{found} in the list"))
    }

    /// The kind as JSON Schema (2020-12), without the keys of tables.
    pub fn schema(self) -> Json {
        const DURATION: &str = r"^\s*([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d))+\s*$";
        const RATE: &str = r"^\s*[0-9]+(\.[0-9]{1,6}0*)?\s*/\s*(s|min|h)\s*$";
        let items = |kind: &Self| {
            let items = kind.schema();
            json!({"type": "array", "minItems": 1, "maxItems": MOST_ITEMS, "items": items})
        };
        match self {
            Self::Text | Self::File => json!({"type": "string", "minLength": 1}),
            Self::Template => json!({"type": "string"}),
            Self::Integer(low, i64::MAX) => json!({"type": "integer", "minimum": low}),
            Self::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
            Self::Number(low, high) if high.is_infinite() => {
                json!({"type": "number", "minimum": low})
            }
            Self::Number(low, high) => json!({"type": "number", "minimum": low, "maximum": high}),
            Self::Bool => json!({"type": "boolean"}),
            Self::Duration | Self::Positive => json!({"type": "string", "pattern": DURATION}),
            Self::Rate | Self::RateOrZero => json!({"type": "string", "pattern": RATE}),
            Self::Rates => items(&Self::Rate),
            Self::Positives => items(&Self::Positive),
            Self::Choices(words) => items(&Self::Choice(words)),
            Self::Ratio => json!({"type": "number", "minimum": 0, "maximum": 1}),
            Self::Law => {
                json!({"type": "string", "pattern": r"^\s*(fixed|uniform|exp|lognormal|mix)\s*\(.*\)\s*$"})
            }
            Self::Choice(words) => json!({"enum": words}),
            Self::Secret => json!({"type": "string", "pattern": "^(env|file):.+$"}),
            Self::Secrets => {
                json!({"type": "array", "items": {"type": "string", "pattern": "^(env|file):.+$"}})
            }
            Self::Durations => {
                json!({"type": "array", "items": {"type": "string", "pattern": DURATION}})
            }
            Self::Url => json!({"type": "string", "pattern": "^https?://[^@?#]+$"}),
            Self::BaseUrl => json!({"type": "string", "pattern": "^(simulator|https?://[^@?#]+)$"}),
            Self::Origins => {
                json!({"type": "array", "items": {"type": "string", "pattern": "^https?://[^@/?#]+$"}})
            }
            Self::Pointer => json!({"type": "string", "pattern": "^(/([^~/]|~0|~1)*)+$"}),
            Self::Statuses => {
                json!({"type": "array", "items": {"type": "integer", "minimum": 100, "maximum": 599}})
            }
            Self::Size => json!({"anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9]+\s*(B|KiB|MiB|GiB|kB|MB|GB)\s*$"},
            ]}),
            Self::Headers => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            Self::Scalar => json!({"type": ["string", "number", "boolean"]}),
            Self::Scalars => {
                json!({"type": "array", "items": {"type": ["string", "number", "boolean"]}})
            }
            Self::Texts => json!({"type": "array", "items": {"type": "string", "minLength": 1}}),
            Self::Path => json!({"type": "string", "pattern": r"^/\S*$"}),
            Self::Promise => json!({"type": "string", "pattern": "(<|<=|>|>=|==)"}),
            Self::Table => json!({"type": "object"}),
            Self::Tables => json!({"type": "array"}),
            Self::AnyOf(kinds) => {
                let all: Vec<Json> = kinds.iter().map(|kind| kind.schema()).collect();
                json!({"anyOf": all})
            }
        }
    }
}

/// A value as a mistake shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{text}\""),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        other => other.noun().to_owned(),
    }
}

/// The two parts of a reference to a secret: whether it is a variable, and its name.
pub fn secret(text: &str) -> Option<(bool, &str)> {
    let (scheme, name) = text.split_once(':')?;
    match scheme {
        "env" if !name.is_empty() && !name.contains(['=', '\0']) => Some((true, name)),
        "file" if !name.is_empty() => Some((false, name)),
        _ => None,
    }
}

fn parse_url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).map_err(|why| format!("no URL ({why})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("a URL of scheme `{}`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user or password in it, which is not shown".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a URL with a query or fragment".to_owned());
    }
    Ok(url)
}

fn base_url(text: &str) -> Result<(), String> {
    parse_url(text).map(|_| ())
}

fn origin(text: &str) -> Result<(), String> {
    let url = parse_url(text)?;
    if url.path() == "/" {
        Ok(())
    } else {
        Err(format!("the path \"{}\" behind an origin", url.path()))
    }
}

/// RFC 6901: segments that begin with `/`, in which `~` stands only as `~0` or `~1`.
fn is_pointer(text: &str) -> bool {
    let good = |part: &str| part.starts_with('0') || part.starts_with('1');
    text.starts_with('/') && text.split('~').skip(1).all(good)
}

/// RFC 9110 section 5.1: a field name is a token. A value has no line break.
fn check_header(name: &str, value: &Value) -> Result<(), String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(format!("`{name}`, which is no header name"));
    }
    match value {
        Value::Text(text) if text.contains(['\r', '\n', '\0']) => {
            Err(format!("a line break in `{name}`"))
        }
        Value::Text(text) => Template::parse(text)
            .map(|_| ())
            .map_err(|why| format!("{why} in `{name}`")),
        other => Err(format!("{} for `{name}`", other.noun())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_kind() {
        let text = |text: &str| Value::Text(text.to_owned());
        let check = |kind: Kind, value: Value, good: bool| {
            assert_eq!(kind.check(&value).is_ok(), good, "{kind:?} {value:?}");
        };
        check(Kind::Integer(1, 5), Value::Integer(6), false);
        check(Kind::Integer(1, 5), Value::Integer(5), true);
        check(Kind::Number(1.0, f64::INFINITY), Value::Integer(2), true);
        check(
            Kind::Number(1.0, f64::INFINITY),
            Value::Number(f64::NAN),
            false,
        );
        check(Kind::Ratio, Value::Number(1.5), false);
        check(Kind::Positive, text("0s"), false);
        check(Kind::Duration, text("0s"), true);
        check(Kind::Duration, text("4000d"), false);
        check(Kind::Rate, text("0/s"), false);
        check(Kind::Secret, text("user.abc"), false);
        check(Kind::Secret, text("env:KEY"), true);
        check(Kind::BaseUrl, text("simulator"), true);
        check(Kind::BaseUrl, text("http://127.0.0.1:8202/api/"), true);
        check(Kind::BaseUrl, text("https://u:p@host"), false);
        check(Kind::BaseUrl, text("ftp://host"), false);
        check(Kind::BaseUrl, text("https://host?x=1"), false);
        check(Kind::Pointer, text("/a~1b/0"), true);
        check(Kind::Pointer, text("/a~b"), false);
        check(
            Kind::Statuses,
            Value::List(vec![Node::made(Value::Integer(99))]),
            false,
        );
        let list =
            |items: &[&str]| Value::List(items.iter().map(|item| Node::made(text(item))).collect());
        check(Kind::Rates, list(&["600/min", "20/s"]), true);
        check(Kind::Rates, list(&["600/min", "0/s"]), false);
        check(Kind::Rates, list(&[]), false);
        check(Kind::Rates, list(&["1/s"; MOST_ITEMS + 1]), false);
        check(Kind::Positives, list(&["1s", "0s"]), false);
        check(Kind::Choices(&["a", "b"]), list(&["b", "a"]), true);
        check(Kind::Choices(&["a", "b"]), list(&["c"]), false);
        check(Kind::AnyOf(&[Kind::Rate, Kind::Table]), text("1/s"), true);
        check(
            Kind::AnyOf(&[Kind::Rate, Kind::Table]),
            Value::Bool(true),
            false,
        );
    }
}
