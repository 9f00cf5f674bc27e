//! Values at a few JSON pointers (RFC 6901), taken out of a body without building a tree.
//!
//! Whatever no pointer passes through is skipped, and what is found stays where it is in the body:
//! a number keeps the digits that the service wrote. Recursion is bounded by the length of the
//! pointers and by `DEEPEST`; what is skipped is skipped without it. Of keys that occur twice the
//! last one counts, as in `serde_json::Value`.

use std::borrow::Cow;

use super::scan::Scan;
use crate::scenario::Pointer;

/// A pointer of more steps than this finds nothing in a body that is as deep: it is refused.
const DEEPEST: usize = 128;

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
    pub fn find_item(self, mut wanted: impl FnMut(Found<'b>) -> bool) -> Option<Found<'b>> {
        let mut scan = Scan::new(self.0);
        let mut more = scan.take(b'[');
        while more {
            let item = Found(scan.value()?);
            if wanted(item) {
                return Some(item);
            }
            more = scan.take(b',');
        }
        None
    }
}

/// Up to `N` pointers, made ready; a place without a pointer never finds anything.
#[derive(Clone, Debug)]
pub struct Picker<const N: usize> {
    paths: [Option<Path>; N],
    /// Those that are there.
    all: Paths,
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
        let paths = pointers.map(|pointer| pointer.and_then(Path::new));
        let there = paths.iter().enumerate();
        let all = there
            .filter(|(_, path)| path.is_some())
            .fold(0, |all, (bit, _)| all | 1 << bit);
        Self { paths, all }
    }

    /// The values that are there; nothing at all if the body is not JSON.
    ///
    /// A byte order mark is passed over (RFC 8259, section 8.1 allows it).
    pub fn pick<'b>(&self, body: &'b [u8]) -> Option<[Option<Found<'b>>; N]> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let mut walk = Walk {
            paths: &self.paths,
            scan: Scan::new(std::str::from_utf8(body).ok()?),
            found: [None; N],
        };
        walk.value(self.all, 0)?;
        walk.scan.is_at_end().then_some(walk.found)
    }
}

/// One body on the way through it.
struct Walk<'p, 't, const N: usize> {
    paths: &'p [Option<Path>; N],
    scan: Scan<'t>,
    found: [Option<Found<'t>>; N],
}

/// A bit for each path.
type Paths = u32;

impl<'t, const N: usize> Walk<'_, 't, N> {
    /// Passes over one value, `depth` steps below the root, through which these paths lead.
    fn value(&mut self, live: Paths, depth: usize) -> Option<()> {
        let next = self.scan.peek()?;
        let start = self.scan.place();
        let here = self.among(live, |path| path.0.len() == depth);
        match (live & !here, next) {
            (0, _) => {
                self.scan.value()?;
            }
            (_, b'{' | b'[') if depth == DEEPEST => return None,
            (deeper, b'{') => self.object(deeper, depth)?,
            (deeper, b'[') => self.array(deeper, depth)?,
            _ => {
                self.scan.value()?;
            }
        }
        if here != 0 {
            self.put(here, Some(Found(self.scan.since(start))));
        }
        Some(())
    }

    fn object(&mut self, live: Paths, depth: usize) -> Option<()> {
        self.scan.take(b'{');
        if self.scan.take(b'}') {
            return Some(());
        }
        loop {
            let key = Found(self.scan.key()?).string();
            let is_key = |token: &Token| key.as_deref() == Some(&token.key);
            self.child(self.through(live, depth, is_key), depth)?;
            if !self.scan.take(b',') {
                return self.scan.take(b'}').then_some(());
            }
        }
    }

    fn array(&mut self, live: Paths, depth: usize) -> Option<()> {
        self.scan.take(b'[');
        if self.scan.take(b']') {
            return Some(());
        }
        for index in 0.. {
            let is_index = |token: &Token| token.index == Some(index);
            self.child(self.through(live, depth, is_index), depth)?;
            if !self.scan.take(b',') {
                break;
            }
        }
        self.scan.take(b']').then_some(())
    }

    fn child(&mut self, live: Paths, depth: usize) -> Option<()> {
        if live == 0 {
            return self.scan.value().map(drop);
        }
        // A later key of the same name hides all that an earlier one held.
        self.put(live, None);
        self.value(live, depth + 1)
    }

    fn put(&mut self, which: Paths, value: Option<Found<'t>>) {
        for bit in bits(which) {
            self.found[bit] = value;
        }
    }

    /// Those of the paths that take this step.
    fn through(&self, live: Paths, depth: usize, step: impl Fn(&Token) -> bool) -> Paths {
        self.among(live, |path| path.0.get(depth).is_some_and(&step))
    }

    fn among(&self, live: Paths, wanted: impl Fn(&Path) -> bool) -> Paths {
        bits(live)
            .filter(|bit| self.paths[*bit].as_ref().is_some_and(&wanted))
            .fold(0, |paths, bit| paths | 1 << bit)
    }
}

/// The numbers of the bits that are set.
fn bits(mut paths: Paths) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (paths != 0).then(|| paths.trailing_zeros() as usize)?;
        paths &= paths - 1;
        Some(bit)
    })
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
