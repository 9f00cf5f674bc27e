//! Just enough of Rust's grammar: code without comments, strings and tests, and the paths in it.

use super::Text;

/// The code of a file. Everything else is blank, so that lines and columns stay.
pub(crate) fn code(text: &str) -> String {
    without_tests(&without_words(text))
}

/// Blanks comments, strings and characters.
pub(crate) fn without_words(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out: Vec<char> = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_words(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
            out.extend(chars[at..end].iter().map(blank));
            at = end;
        }
    }
    out.into_iter().collect()
}

/// Where a comment, string or character that begins here ends; `at` itself if none does.
fn end_of_words(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let found = |length: Option<usize>| at + length.unwrap_or(rest.len());
    let is_word = |index: usize| {
        chars
            .get(index)
            .is_some_and(|c| c.is_alphanumeric() || *c == '_')
    };
    match rest {
        ['/', '/', ..] => found(rest.iter().position(|c| *c == '\n')),
        ['/', '*', ..] => found(
            rest.windows(2)
                .position(|two| two == ['*', '/'])
                .map(|n| n + 2),
        ),
        ['r', '"' | '#', ..] if at == 0 || !is_word(at - 1) => {
            let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
            if rest.get(1 + hashes) != Some(&'"') {
                return at;
            }
            let close: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', hashes))
                .collect();
            let inside = &rest[2 + hashes..];
            let length = inside.windows(close.len()).position(|some| some == close);
            found(length.map(|n| 2 + hashes + n + close.len()))
        }
        ['"', ..] => {
            let mut escaped = false;
            let close = rest[1..].iter().position(|c| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            found(close.map(|n| n + 2))
        }
        ['\'', '\\', ..] => found(rest[3..].iter().position(|c| *c == '\'').map(|n| n + 4)),
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

/// Blanks every item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    while let Some(start) = out.find(TEST) {
        let mut depth = 0_usize;
        let mut is_attribute = false;
        let item = &out[start + TEST.len()..];
        let length = item
            .char_indices()
            .find(|(_, c)| {
                match c {
                    '[' => is_attribute = true,
                    ']' => is_attribute = false,
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && (*c == '}' || (*c == ';' && !is_attribute))
            })
            .map_or(item.len(), |(index, c)| index + c.len_utf8());
        let end = start + TEST.len() + length;
        let blank: String = (out[start..end].chars())
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// The files that are part of tests alone: `#[cfg(test)] mod NAME;` of `a.rs` is `a/NAME.rs`.
pub(crate) fn test_files(texts: &[Text]) -> Vec<String> {
    let mut found = Vec::new();
    for file in texts {
        let code = without_words(&file.text);
        for after in code.split("#[cfg(test)]").skip(1) {
            let words: Vec<&str> = after.split_whitespace().take(3).collect();
            let name = match words[..] {
                ["mod", name, ..] | ["pub" | "pub(crate)" | "pub(super)", "mod", name] => {
                    name.strip_suffix(';')
                }
                _ => None,
            };
            if let Some(name) = name {
                let folder = file.path.trim_end_matches(".rs");
                found.push(format!("{folder}/{name}.rs"));
            }
        }
    }
    found
}

/// A path such as `crate::time::Span`, and the line that it is on.
#[derive(Debug, PartialEq)]
pub(crate) struct Path<'a> {
    pub(crate) line: usize,
    pub(crate) segments: Vec<&'a str>,
}

/// Every path of the code; a group is told as the paths that it stands for. A single word is a path
/// only where `use` or `!` is beside it.
pub(crate) fn paths(code: &str) -> Vec<Path<'_>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = is_name(tokens[at].1) && (at == 0 || !matches!(tokens[at - 1].1, "::" | "."));
        if !begins {
            at += 1;
            continue;
        }
        let (next, before) = (tokens.get(at + 1), at.checked_sub(1).map(|n| tokens[n].1));
        if next.is_some_and(|token| token.1 == "::") {
            at = tree(&tokens, at, &[], &mut found);
        } else {
            if next.is_some_and(|token| token.1 == "!") || before == Some("use") {
                let (line, word) = tokens[at];
                found.push(Path {
                    line,
                    segments: vec![word],
                });
            }
            at += 1;
        }
    }
    found
}

/// Reads one path or group from `at` on; the answer is where it ends.
fn tree<'a>(
    tokens: &[(usize, &'a str)],
    mut at: usize,
    prefix: &[&'a str],
    found: &mut Vec<Path<'a>>,
) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens[at].0;
    while let Some((_, token)) = tokens.get(at) {
        match *token {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.1 != "}") {
                    at = tree(tokens, at, &segments, found);
                    while tokens
                        .get(at)
                        .is_some_and(|token| !matches!(token.1, "," | "}"))
                    {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|token| token.1 == ","));
                }
                return at + 1;
            }
            name if is_name(name) || name == "*" => segments.push(name),
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token.1 != "::") {
            break;
        }
        at += 1;
    }
    found.push(Path { line, segments });
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            found.push((number, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    found
}

#[test]
fn only_code_is_left() {
    let text = r##"
        use a::b; // use no::comment;
        /* no::block */ let c = '"'; let s = "no::string \" still"; let r = r#"no::raw " "#;
        fn life<'a>(x: &'a str) -> e::F { '\''; g::h }
        #[cfg(test)]
        mod tests { use no::test; fn f() {} }
        #[cfg(test)]
        pub(crate) fn only() -> [u8; 2] { no::item() }
        #[cfg(test)]
        mod outside;
        use last::one;
    "##;
    let code = code(text);
    let found: Vec<String> = paths(&code).iter().map(|p| p.segments.join("::")).collect();
    assert_eq!(found, ["a::b", "e::F", "g::h", "last::one"]);
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn groups_are_told_one_by_one() {
    let code = "use std::{fs, io::{self, Write as _}, thread::*};\nuse csv;\nprintln!(x.y);";
    let found: Vec<(usize, String)> = (paths(code).iter())
        .map(|p| (p.line, p.segments.join("::")))
        .collect();
    let expected = [
        (1, "std::fs"),
        (1, "std::io::self"),
        (1, "std::io::Write"),
        (1, "std::thread::*"),
        (2, "csv"),
        (3, "println"),
    ];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
}

#[test]
fn files_of_tests_are_known() {
    let text = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod fixture;\nmod real;".into();
    let path = "src/report.rs".into();
    let found = test_files(&[Text { path, text }]);
    assert_eq!(found, ["src/report/tests.rs", "src/report/fixture.rs"]);
}
