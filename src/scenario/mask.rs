//! Text with its secrets covered, byte for byte, so that positions in it stay true.
//!
//! A scenario holds no secret, but a mistaken one may, and its lines are shown. Covered are: values
//! of keys whose name smells of a secret, unless they are references; anything that looks like a
//! key of the service; and the user part of a URL.

/// Parts of key names whose values are covered.
const SECRET_NAMES: [&str; 8] = [
    "api_key", "apikey", "-key", "auth", "cookie", "password", "secret", "token",
];

/// What keys of the service begin with.
const KEY_PREFIXES: [&str; 2] = ["user.", "team."];

/// The text with every byte of a secret replaced by `*`.
pub fn mask(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let lower = text.to_ascii_lowercase();
    for name in SECRET_NAMES {
        for (at, _) in lower.match_indices(name) {
            if let Some((from, to)) = value_after(&lower, at + name.len()) {
                cover(&mut bytes, from, to);
            }
        }
    }
    for prefix in KEY_PREFIXES {
        for (at, _) in lower.match_indices(prefix) {
            let starts = at == 0 || !lower.as_bytes()[at - 1].is_ascii_alphanumeric();
            let from = at + prefix.len();
            let length = lower[from..]
                .bytes()
                .take_while(|b| is_key_byte(*b))
                .count();
            if starts && length >= 3 {
                cover(&mut bytes, from, from + length);
            }
        }
    }
    for (at, _) in lower.match_indices("://") {
        let from = at + 3;
        let rest = &lower[from..];
        let end = rest
            .find(|c: char| c == '/' || c == '"' || c == '\'' || c.is_whitespace())
            .unwrap_or(rest.len());
        if let Some(user) = rest[..end].rfind('@') {
            cover(&mut bytes, from, from + user);
        }
    }
    // Whole characters are covered, so that what is left is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~' | b'+' | b'/')
}

fn cover(bytes: &mut [u8], from: usize, to: usize) {
    for byte in &mut bytes[from..to] {
        if !matches!(byte, b'\n' | b'\r') {
            *byte = b'*';
        }
    }
}

/// The value that is assigned to the key whose name goes on at `at`, unless it is a reference.
fn value_after(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '"' | '\'' | ' ');
    let equals = rest.find(|c: char| !name(c))?;
    let value = rest[equals..].strip_prefix(['=', ':'])?;
    let value = value.trim_start_matches([' ', '\t']);
    let mut from = text.len() - value.len();
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| value.starts_with(quote));
    let length = if let Some(quote) = quote {
        from += quote.len();
        let inner = &value[quote.len()..];
        let line = if quote.len() == 3 {
            None
        } else {
            inner.find('\n')
        };
        closing(inner, quote).or(line).unwrap_or(inner.len())
    } else {
        value.find(['\n', ',', '}']).unwrap_or(value.len())
    };
    let inner = &text[from..from + length];
    let open = ["env:", "file:", "bearer {key}", "{"]
        .iter()
        .any(|start| inner.starts_with(start));
    (!open).then_some((from, from + length))
}

/// Where a string that was opened with `quote` ends: a backslash escapes in the double kinds.
fn closing(inner: &str, quote: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + inner[from..].find(quote)?;
        let slashes = inner[..at]
            .bytes()
            .rev()
            .take_while(|b| *b == b'\\')
            .count();
        if quote.starts_with('\'') || slashes % 2 == 0 {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_covered_and_references_are_not() {
        let check = |text: &str, masked: &str| assert_eq!(mask(text), masked);
        check("api_key = 'hunter2' # x", "api_key = '*******' # x");
        check("api_key = \"a\\\"b\"", "api_key = \"****\"");
        check("api_key = hunter2", "api_key = *******");
        check("apikey='''a\nb'''", "apikey='''*\n*'''");
        check("api_key = 'abc", "api_key = '***");
        check("api_key = \"env:KEY\"", "api_key = \"env:KEY\"");
        check("target.api_key=file:k", "target.api_key=file:k");
        check(
            "{ Authorization = 'Bearer x' }",
            "{ Authorization = '********' }",
        );
        check("Ocp-Subscription-Key = 'x'", "Ocp-Subscription-Key = '*'");
        check("x = 'team.Zm9vYmFy'", "x = 'team.********'");
        check("the user. He", "the user. He");
        check(
            "u = 'https://me:pw@host/a@b'",
            "u = 'https://*****@host/a@b'",
        );
        check("service_time = 'exp(1s)'", "service_time = 'exp(1s)'");
        check("api_key = 'é'", "api_key = '**'");
    }

    proptest! {
        #[test]
        fn the_length_never_changes(text in "[a-z_'\"=.@:/ \\\\\né]{0,60}", cut in 0_usize..8) {
            let text = format!("{text}{}=", SECRET_NAMES[cut]);
            prop_assert_eq!(mask(&text).len(), text.len());
        }
    }
}
