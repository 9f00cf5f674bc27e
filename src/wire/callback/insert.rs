//! A text put into the body of a submit: the URL at which the service is to call back.
//!
//! The body is not written anew: what the scenario wrote stays as it is, byte for byte.

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::scenario::{BodyForm, Pointer};
use crate::wire::pointer::{Found, Kind, Picker};

/// Puts a text at the place that a pointer names: in the place of the value that is there, or as a
/// new member, in objects that are made where they are missing. False, and nothing is changed,
/// where the way leads through anything but objects.
pub fn insert(body: &mut Vec<u8>, form: BodyForm, at: &Pointer, text: &str) -> bool {
    match form {
        BodyForm::Json => into_json(body, at, text),
        BodyForm::Form => into_form(body, at, text),
    }
}

fn into_json(body: &mut Vec<u8>, at: &Pointer, text: &str) -> bool {
    let text = string(text);
    // The place itself, then whatever lies on the way to it, the nearest first.
    let mut end = at.0.len();
    let (from, to, new) = loop {
        let pointer = Pointer(at.0[..end].to_owned());
        let Some([found]) = Picker::new([Some(&pointer)]).pick(body) else {
            return false;
        };
        if let Some(found) = found {
            let start = found.raw().as_ptr().addr() - body.as_ptr().addr();
            if end == at.0.len() {
                break (start, start + found.raw().len(), text);
            }
            let Some(member) = member(found, &at.0[end..], text) else {
                return false;
            };
            break (start + 1, start + 1, member);
        }
        match at.0[..end].rfind('/') {
            Some(before) => end = before,
            None => return false,
        }
    };
    body.splice(from..to, new.into_bytes());
    true
}

/// What stands behind the `{` of an object once it holds a text at the end of this way.
fn member(object: Found<'_>, way: &str, text: String) -> Option<String> {
    if object.kind() != Kind::Object {
        return None;
    }
    let keys = way.strip_prefix('/')?.rsplit('/');
    let value = keys.fold(text, |inner, key| {
        let key = string(&unescaped(key));
        format!("{{{key}:{inner}}}")
    });
    // Without its own braces it is a member of the object that is there.
    let member = value.strip_prefix('{')?.strip_suffix('}')?;
    let is_empty = object.raw()[1..].trim_start().starts_with('}');
    Some(format!("{member}{}", if is_empty { "" } else { "," }))
}

fn into_form(body: &mut Vec<u8>, at: &Pointer, text: &str) -> bool {
    let Some(name) = at.0.strip_prefix('/') else {
        return false;
    };
    let name = unescaped(name);
    let old = String::from_utf8_lossy(body);
    let is_it = |pair: &&str| {
        let key = pair.split('=').next().unwrap_or(pair).replace('+', " ");
        percent_decode_str(&key).decode_utf8_lossy() == name.as_str()
    };
    let others = old
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_it(pair));
    let mut new: String = others.collect::<Vec<_>>().join("&");
    if !new.is_empty() {
        new.push('&');
    }
    let pair = form_urlencoded::Serializer::new(String::new())
        .append_pair(&name, text)
        .finish();
    new.push_str(&pair);
    *body = new.into_bytes();
    true
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const URL: &str = "http://127.0.0.1:1/t";

    #[test]
    fn a_text_stands_where_the_pointer_leads_and_the_rest_stays() {
        let check = |body: &str, at: &str, expected: Option<&str>| {
            let mut changed = body.as_bytes().to_vec();
            let done = insert(&mut changed, BodyForm::Json, &Pointer(at.into()), "U\"");
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(done.then_some(changed.as_str()), expected, "{at} in {body}");
            assert!(done || changed == body);
        };
        let url = r#""U\"""#;
        check("{}", "/url", Some(r#"{"url":"U\""}"#));
        check(" { } ", "/url", Some(r#" {"url":"U\"" } "#));
        check(r#"{"a": 1.50}"#, "/url", Some(r#"{"url":"U\"","a": 1.50}"#));
        check(
            r#"{"url": null, "b":2}"#,
            "/url",
            Some(r#"{"url": "U\"", "b":2}"#),
        );
        check("{}", "/a/b~1c", Some(r#"{"a":{"b/c":"U\""}}"#));
        check(
            r#"{"a":{"x":0}}"#,
            "/a/b/c",
            Some(r#"{"a":{"b":{"c":"U\""},"x":0}}"#),
        );
        check(r#"{"a":[{}]}"#, "/a/0/u", Some(r#"{"a":[{"u":"U\""}]}"#));
        check("1", "", Some(url));
        for (body, at) in [
            ("[]", "/url"),
            ("1", "/url"),
            (r#"{"a":[]}"#, "/a/0"),
            (r#"{"a":"b"}"#, "/a/b"),
            ("{", "/url"),
            ("", "/url"),
            ("{}", "url"),
        ] {
            check(body, at, None);
        }
    }

    #[test]
    fn a_form_has_one_pair_of_the_name() {
        let check = |body: &str, expected: &str| {
            let mut changed = body.as_bytes().to_vec();
            let at = Pointer("/call back".into());
            assert!(insert(&mut changed, BodyForm::Form, &at, URL));
            assert_eq!(String::from_utf8(changed).unwrap(), expected, "{body}");
        };
        let pair = "call+back=http%3A%2F%2F127.0.0.1%3A1%2Ft";
        check("", pair);
        check("a=1&b=%20", &format!("a=1&b=%20&{pair}"));
        check("call%20back=x&a=1&call+back", &format!("a=1&{pair}"));
    }

    proptest! {
        #[test]
        fn a_tree_finds_the_text_and_nothing_else_has_changed(
            members in prop::collection::btree_map("[ab]", "1|null|\\{\\}|\\{\"a\": 2\\}", 0..3),
            at in "(/[ab]){1,3}",
        ) {
            let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
            let text = format!("{{{}}}", members.join(" , "));
            let before: Value = serde_json::from_str(&text).unwrap();
            let mut body = text.into_bytes();
            if insert(&mut body, BodyForm::Json, &Pointer(at.clone()), URL) {
                let after: Value = serde_json::from_slice(&body).unwrap();
                prop_assert_eq!(after.pointer(&at), Some(&json!(URL)));
                let top = at[1..].split('/').next().unwrap();
                for (key, value) in before.as_object().unwrap() {
                    prop_assert!(key == top || after.get(key) == Some(value));
                }
            }
        }

        #[test]
        fn hostile_bodies_are_left_alone_or_changed(body in "[\\[\\]{}\",:a0 ]{0,20}", at in "[/ab~01]{0,6}") {
            let mut bytes = body.into_bytes();
            insert(&mut bytes, BodyForm::Json, &Pointer(at), URL);
        }
    }
}
