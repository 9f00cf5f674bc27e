//! Values at a few JSON pointers (RFC 6901), taken out of a body without building a tree.
//!
//! Whatever no pointer passes through is skipped, and what is found stays where it is in the body:
//! a number keeps the digits that the service wrote. Depth is bounded by the length of the pointers
//! and by the limit of `serde_json`; what is skipped is skipped without recursion. Of keys that
//! occur twice the last one counts, as in `serde_json::Value`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::scenario::Pointer;

/// A JSON pointer taken apart.
#[derive(Clone, Debug)]
struct Path(Box<[Token]>);

/// One step of a pointer, unescaped.
#[derive(Clone, Debug)]
struct Token {
    key: Box<str>,
    /// Where the step can lead into an array: `0`, or digits that do not begin with one (RFC 6901,
    /// section 4).
    index: Option<usize>,
}

impl Token {
    fn new(text: &str) -> Self {
        let plain = text == "0" || !text.starts_with(['0', '+']);
        Self {
            key: text.replace("~1", "/").replace("~0", "~").into(),
            index: if plain { text.parse().ok() } else { None },
        }
    }
}

impl Path {
    /// Nothing for a text that is no pointer, as it points nowhere.
    fn new(pointer: &Pointer) -> Option<Self> {
        let text = pointer.0.as_str();
        if text.is_empty() {
            return Some(Self(Box::default()));
        }
        let tokens = text.strip_prefix('/')?.split('/');
        Some(Self(tokens.map(Token::new).collect()))
    }
}

/// A value as it stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'b>(&'b str);

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An object.
    Object,
    /// An array.
    Array,
}

impl<'b> Found<'b> {
    /// The JSON text of the value, without blanks around it.
    pub const fn raw(self) -> &'b str {
        self.0
    }

    /// Its type, which the first character tells.
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => Kind::Number,
        }
    }

    /// The content of a string; nothing for other types, and for half of a surrogate pair.
    pub fn string(self) -> Option<Cow<'b, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            return serde_json::from_str(self.0).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(inner))
    }

    /// The content of a string, the text of anything else.
    pub fn text(self) -> Cow<'b, str> {
        self.string().unwrap_or(Cow::Borrowed(self.0))
    }

    /// The first element of an array for which `wanted` holds.
    pub fn find_item(self, wanted: impl FnMut(Found<'b>) -> bool) -> Option<Found<'b>> {
        let mut items = serde_json::Deserializer::from_str(self.0);
        items.deserialize_seq(Items(wanted)).ok().flatten()
    }
}

/// Up to `N` pointers, made ready; a place without a pointer never finds anything.
#[derive(Clone, Debug)]
pub struct Picker<const N: usize> {
    paths: [Option<Path>; N],
}

impl<const N: usize> Picker<N> {
    /// Makes pointers ready.
    pub fn new(pointers: [Option<&Pointer>; N]) -> Self {
        const {
            assert!(
                N <= 32,
                "the pointers that are still followed are bits of a u32"
            );
        };
        Self {
            paths: pointers.map(|pointer| pointer.and_then(Path::new)),
        }
    }

    /// The values that are there; nothing at all if the body is not JSON.
    ///
    /// A byte order mark is passed over (RFC 8259, section 8.1 allows it).
    pub fn pick<'b>(&self, body: &'b [u8]) -> Option<[Option<Found<'b>>; N]> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let mut found = [None; N];
        let mut json = serde_json::Deserializer::from_slice(body);
        let seed = Seed {
            live: mask(&self.paths, |_| true),
            paths: &self.paths,
            found: &mut found,
            depth: 0,
        };
        seed.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(found)
    }
}

/// A bit for each path for which `wanted` holds.
fn mask(paths: &[Option<Path>], wanted: impl Fn(&Path) -> bool) -> u32 {
    let bits = paths.iter().enumerate();
    bits.filter(|(_, path)| path.as_ref().is_some_and(&wanted))
        .fold(0, |mask, (bit, _)| mask | 1 << bit)
}

/// One value on the way: `live` has a bit for each path that leads through it.
struct Seed<'p, 'b> {
    paths: &'p [Option<Path>],
    found: &'p mut [Option<Found<'b>>],
    live: u32,
    depth: usize,
}

impl<'b> Seed<'_, 'b> {
    fn put(&mut self, which: u32, value: Option<Found<'b>>) {
        for (bit, found) in self.found.iter_mut().enumerate() {
            if which & 1 << bit != 0 {
                *found = value;
            }
        }
    }

    /// The paths that go on through the child for which `step` holds.
    fn through(&self, step: impl Fn(&Token) -> bool) -> u32 {
        self.live & mask(self.paths, |path| path.0.get(self.depth).is_some_and(&step))
    }

    fn child(&mut self, live: u32) -> Seed<'_, 'b> {
        // A later key of the same name hides all that an earlier one held.
        self.put(live, None);
        Seed {
            paths: self.paths,
            found: self.found,
            live,
            depth: self.depth + 1,
        }
    }
}

impl<'b> DeserializeSeed<'b> for Seed<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(mut self, json: D) -> Result<(), D::Error> {
        let here = self.live & mask(self.paths, |path| path.0.len() == self.depth);
        if here == 0 {
            return json.deserialize_any(self);
        }
        let raw = <&'b RawValue as serde::Deserialize>::deserialize(json)?.get();
        self.put(here, Some(Found(raw)));
        self.live &= !here;
        if self.live == 0 {
            return Ok(());
        }
        let mut inner = serde_json::Deserializer::from_str(raw);
        inner.deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'b> Visitor<'b> for Seed<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(live) = map.next_key_seed(Key(&self))? {
            if live == 0 {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(self.child(live))?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(mut self, mut seq: A) -> Result<(), A::Error> {
        for index in 0.. {
            let live = self.through(|token| token.index == Some(index));
            let more = if live == 0 {
                seq.next_element::<IgnoredAny>()?.is_some()
            } else {
                seq.next_element_seed(self.child(live))?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// A key of an object; its value is the mask of the paths that lead through it.
struct Key<'s, 'p, 'b>(&'s Seed<'p, 'b>);

impl<'b> DeserializeSeed<'b> for Key<'_, '_, '_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'b>>(self, json: D) -> Result<u32, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_, '_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<u32, E> {
        Ok(self.0.through(|token| &*token.key == key))
    }
}

/// Looks through the elements of an array.
struct Items<F>(F);

impl<'b, F: FnMut(Found<'b>) -> bool> Visitor<'b> for Items<F> {
    type Value = Option<Found<'b>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'b>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        while let Some(raw) = seq.next_element::<&'b RawValue>()? {
            let item = Found(raw.get());
            if (self.0)(item) {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What is found, as a list of none or one; nothing for what is no JSON.
    fn pick<'b>(pointer: &str, body: &'b str) -> Option<Vec<&'b str>> {
        let pointer = Pointer(pointer.into());
        let found = Picker::new([Some(&pointer)]).pick(body.as_bytes())?;
        Some(found.into_iter().flatten().map(Found::raw).collect())
    }

    #[test]
    fn values_are_found_as_they_are_written() {
        let check = |pointer: &str, body: &str, found: Option<&[&str]>| {
            assert_eq!(pick(pointer, body).as_deref(), found, "{pointer} in {body}");
        };
        check("/a", r#"{"a": 1.50}"#, Some(&["1.50"]));
        check(
            "/a",
            r#"{"a":123456789012345678901234567890}"#,
            Some(&["123456789012345678901234567890"]),
        );
        check("/a/1/b", r#"{"a":[0,{"b": [ ] }]}"#, Some(&["[ ]"]));
        check("/a/01", r#"{"a":[0,1]}"#, Some(&[]));
        check("/a/-", r#"{"a":[0,1]}"#, Some(&[]));
        check("", " {} ", Some(&["{}"]));
        check("/", r#"{"":null}"#, Some(&["null"]));
        check("a", r#"{"a":1}"#, Some(&[]));
        check("/m~0n/a~1b", r#"{"m~n":{"a/b":"x"}}"#, Some(&["\"x\""]));
        check("/a", r#"{"\u0061":true}"#, Some(&["true"]));
        check("/a/b", r#"{"a":{"b":1},"a":2}"#, Some(&[]));
        check("/a", r#"{"a":1,"a":2}"#, Some(&["2"]));
        check("/a", "\u{feff}{\"a\":1}", Some(&["1"]));
        for broken in ["", "{", "<html>", r#"{"a":1} x"#, r#"{"a":}"#] {
            check("/a", broken, None);
        }
    }

    #[test]
    fn depth_does_not_overflow_the_stack() {
        let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(
            pick("/a", &format!(r#"{{"b":{deep},"a":1}}"#)),
            Some(vec!["1"])
        );
        assert_eq!(pick(&"/0".repeat(200_000), &deep), None);
    }

    #[test]
    fn strings_are_unescaped_only_where_they_must_be() {
        let text = |raw| Found(raw).string();
        assert!(matches!(text(r#""plain""#), Some(Cow::Borrowed("plain"))));
        assert_eq!(text(r#""\u0041\n""#).as_deref(), Some("A\n"));
        assert_eq!(text(r#""\ud800""#), None);
        assert_eq!(text("12"), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c/~\"\\\\é]{0,3}".prop_map(Value::from),
        ];
        scalar.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab01/~]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(
            value in json(),
            pointers in prop::array::uniform3("(/([ab]|~0|~1|0|1|01|){1,2}){0,4}|a"),
        ) {
            let pointers = pointers.map(Pointer);
            let body = value.to_string();
            let found = Picker::new(pointers.each_ref().map(Some)).pick(body.as_bytes()).unwrap();
            for (pointer, found) in pointers.iter().zip(found) {
                let found = found.map(|found| serde_json::from_str::<Value>(found.raw()).unwrap());
                prop_assert_eq!(found.as_ref(), value.pointer(&pointer.0), "{:?}", pointer);
            }
        }

        #[test]
        fn agrees_with_a_tree_on_repeated_keys(
            members in prop::collection::vec(("[ab]", "1|\\{\"a\":2\\}|\\{\"b\":3,\"b\":4\\}"), 0..6),
        ) {
            let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let body = format!("{{{}}}", members.join(","));
            let value: Value = serde_json::from_str(&body).unwrap();
            for pointer in ["/a", "/b", "/a/a", "/a/b", "/b/b"] {
                let tree = value.pointer(pointer).map(Value::to_string);
                let found = pick(pointer, &body).unwrap();
                let text = |raw| serde_json::from_str::<Value>(raw).unwrap().to_string();
                let found = found.first().copied().map(text);
                prop_assert_eq!(found, tree);
            }
        }

        #[test]
        fn reads_whatever_a_tree_reads(body in "[\\[\\]{}\",:0-9a\\\\ -]{0,24}") {
            if let Ok(value) = serde_json::from_str::<Value>(&body) {
                prop_assert_eq!(pick("/a", &body).map(|found| !found.is_empty()), Some(value.pointer("/a").is_some()));
            }
        }
    }
}
