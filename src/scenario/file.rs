//! A scenario file, its overrides and the catalogue made into one checked tree.
//!
//! Nothing stops at the first mistake. A value that is wrong is reported, then replaced by its
//! default, so that the rest can still be read.

use toml::de::{DeTable, DeValue};

use super::keys::{self, Fallback, Key};
use super::kind::Kind;
use super::mistake::{Mistakes, place_of};
use super::tree::{self, Node, Place, Table, Value};
use super::{Rate, slo};

/// Reads text and overrides into a tree in which every value is of its kind and every default is
/// filled in. What was wrong is in `mistakes`.
pub fn tree(text: &str, sets: &[String], mistakes: &mut Mistakes<'_>) -> Node {
    let (parsed, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let (found, expected) = syntax(text, &span, error.message());
        mistakes.add("", &Place::Text(span), found, expected, None);
    }
    let mut root = Node::made(Value::Table(tree::from_toml(parsed.get_ref())));
    for (index, set) in sets.iter().enumerate() {
        apply(&mut root, index, set, mistakes);
    }
    if let Value::Table(table) = &mut root.value {
        check_table("", "", table, &Place::Default, mistakes);
    }
    root
}

/// The parser's message, cut into what stands there and what should.
fn syntax(text: &str, span: &std::ops::Range<usize>, message: &str) -> (String, String) {
    let (problem, expected) = message
        .split_once(", expected ")
        .unwrap_or((message, "TOML"));
    let piece = text.get(span.clone()).unwrap_or("").trim();
    let found = if piece.is_empty() || piece.len() > 40 {
        problem.to_owned()
    } else {
        format!("{problem} at `{}`", piece.escape_debug())
    };
    (found, expected.to_owned())
}

/// Writes one `path.to.key=value` into the tree.
fn apply(root: &mut Node, index: usize, set: &str, mistakes: &mut Mistakes<'_>) {
    let place = Place::Override(index);
    let Some((path, value)) = set.split_once('=') else {
        let hint = Some("for example --set load.0.rate=80/s".to_owned());
        mistakes.add("", &place, "no `=`", "path.to.key=value", hint);
        return;
    };
    let mut node = match DeValue::parse(value.trim()) {
        Ok(parsed) => tree::node_from(parsed.get_ref(), 0..0),
        Err(_) => Node::made(Value::Text(value.to_owned())),
    };
    // A bare word that TOML takes for a date or a huge number is meant as text.
    if matches!(node.value, Value::Other(_)) {
        node.value = Value::Text(value.trim().to_owned());
    }
    tree::place_all(&mut node, &place);
    let steps: Vec<&str> = path.trim().split('.').collect();
    if let Err(why) = put(root, &steps, node) {
        let hint = Some("list items count from 0, as in load.0.rate".to_owned());
        mistakes.add("", &place, why, "the path of a key", hint);
    }
}

fn put(node: &mut Node, steps: &[&str], value: Node) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        *node = value;
        return Ok(());
    };
    match &mut node.value {
        Value::List(list) => {
            let length = list.len();
            let index: Option<usize> = step.parse().ok();
            let item = index.and_then(|index| list.get_mut(index));
            let item = item.ok_or_else(|| format!("`{step}` in a list of {length}"))?;
            put(item, rest, value)
        }
        Value::Table(table) => {
            let below = table.entry((*step).to_owned()).or_insert_with(|| Node {
                value: Value::Table(Table::new()),
                place: value.place.clone(),
                key: value.place.clone(),
            });
            put(below, rest, value)
        }
        // An inline alternative gives way: `rate = "1/s"` becomes { from, to } key by key.
        _ => {
            node.value = Value::Table(Table::new());
            node.place = value.place.clone();
            put(node, steps, value)
        }
    }
}

/// Checks a table against the catalogue and fills in its defaults. `pattern` has `[]` for list
/// items, `path` their numbers.
fn check_table(
    pattern: &str,
    path: &str,
    table: &mut Table,
    place: &Place,
    mistakes: &mut Mistakes<'_>,
) {
    let names: Vec<String> = table.keys().cloned().collect();
    let mut meant = Vec::new();
    for name in names {
        let here = join(path, &name);
        let Some(key) = keys::find(&join(pattern, &name)) else {
            let known: Vec<&str> = keys::inside(pattern).map(|(name, _)| name).collect();
            meant.extend(keys::nearest(&name, known.iter().copied()));
            let expected = format!("one of {}", known.join(", "));
            let hint = keys::suggestion(pattern, &name);
            if let Some(node) = table.remove(&name) {
                let found = format!("the unknown key `{name}`");
                mistakes.add(&here, &node.key, found, expected, hint);
            }
            continue;
        };
        if let Some(node) = table.get_mut(&name) {
            if check_value(key, &here, node, mistakes) {
                check_below(key, &here, node, mistakes);
            } else {
                table.remove(&name);
            }
        }
    }
    for (name, key) in keys::inside(pattern) {
        // What was misspelled or wrong is not missing as well.
        let told = meant.contains(&name) || mistakes.touches(&join(path, name));
        if key.fallback != Fallback::Required || !told {
            fill(name, key, &join(path, name), table, place, mistakes);
        }
    }
}

/// Whether a value is of its kind; if not, the mistake is told.
fn check_value(key: &Key, path: &str, node: &mut Node, mistakes: &mut Mistakes<'_>) -> bool {
    let Err(found) = key.kind.check(&node.value) else {
        return true;
    };
    // `--set http.version=2` is typed without quotes.
    if let Some(text) = mistakes
        .typed(&node.place)
        .map(|typed| Value::Text(typed.to_owned()))
        && matches!(
            node.value,
            Value::Integer(_) | Value::Number(_) | Value::Bool(_)
        )
        && key.kind.check(&text).is_ok()
    {
        node.value = text;
        return true;
    }
    let hint = hint(key, &node.value);
    // A bad entry of a list or a table of headers is shown where it stands.
    let at = inner_fault(key.kind, node).unwrap_or(node);
    mistakes.add(path, &at.place, found, key.kind.expected(), hint);
    false
}

/// The first item of a list that is wrong by itself.
fn inner_fault(kind: Kind, node: &Node) -> Option<&Node> {
    match &node.value {
        Value::List(list) => list.iter().find(|item| {
            let alone = Value::List(vec![(*item).clone()]);
            kind.check(&alone).is_err()
        }),
        Value::Table(table) if kind == Kind::Headers => table.iter().find_map(|(name, item)| {
            let alone = Value::Table([(name.clone(), item.clone())].into());
            kind.check(&alone).is_err().then_some(item)
        }),
        _ => None,
    }
}

fn hint(key: &Key, value: &Value) -> Option<String> {
    match (key.kind, value) {
        (Kind::Duration | Kind::Positive, Value::Integer(number)) => {
            Some(format!("write the unit: \"{number}s\" or \"{number}ms\""))
        }
        (Kind::Rate | Kind::RateOrZero, Value::Integer(number)) => Some(format!(
            "write the time: \"{number}/s\" or \"{number}/min\""
        )),
        (Kind::AnyOf(_), Value::Integer(number)) if key.path == "load[].rate" => Some(format!(
            "write the time: \"{number}/s\" or \"{number}/min\""
        )),
        (Kind::Duration | Kind::Positive, Value::Text(_)) => {
            Some("units are ns, us, ms, s, m, h and d".to_owned())
        }
        (Kind::Choice(words), Value::Text(text)) => {
            let near = keys::nearest(text, words.iter().copied())?;
            Some(format!("did you mean \"{near}\"?"))
        }
        (Kind::Secret, _) => Some(
            "put the key into an environment variable and name it: \"env:PLIMSOLL_API_KEY\""
                .to_owned(),
        ),
        (Kind::BaseUrl, Value::Text(text)) if text.contains('@') => {
            Some("a secret has no place in the file: use target.api_key".to_owned())
        }
        (Kind::Promise, Value::Text(text)) => {
            let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            let word = text.split(end).next().unwrap_or("");
            let near = keys::nearest(word, slo::names()).filter(|near| *near != word)?;
            Some(format!("did you mean `{near}`?"))
        }
        (Kind::Tables, Value::Table(_)) => {
            Some(format!("write [[{}]] with two brackets", key.path))
        }
        (Kind::Ratio, Value::Text(text)) if text.ends_with('%') => {
            Some("write a share as a number: 2 % is 0.02".to_owned())
        }
        _ => None,
    }
}

/// The keys below a table or a list of tables.
fn check_below(key: &Key, path: &str, node: &mut Node, mistakes: &mut Mistakes<'_>) {
    let nested = matches!(key.kind, Kind::Table)
        || matches!(key.kind, Kind::AnyOf(kinds) if kinds.contains(&Kind::Table));
    let place = node.place.clone();
    match &mut node.value {
        Value::Table(table) if nested => check_table(key.path, path, table, &place, mistakes),
        Value::List(list) if key.kind == Kind::Tables => {
            let pattern = format!("{}[]", key.path);
            for (index, item) in list.iter_mut().enumerate() {
                let place = item.place.clone();
                if let Value::Table(table) = &mut item.value {
                    check_table(
                        &pattern,
                        &format!("{path}[{index}]"),
                        table,
                        &place,
                        mistakes,
                    );
                }
            }
        }
        _ => {}
    }
}

/// Fills in a default, or tells what is missing or out of place.
fn fill(
    name: &str,
    key: &Key,
    path: &str,
    table: &mut Table,
    place: &Place,
    mistakes: &mut Mistakes<'_>,
) {
    let present = table.contains_key(name);
    let is_word = |table: &Table, sister: &str, word: &str| {
        table.get(sister).map(|node| &node.value) == Some(&Value::Text(word.to_owned()))
    };
    let default = match key.fallback {
        Fallback::Required if !present => {
            let hint = Some(key.doc.to_owned());
            mistakes.add(path, place, "nothing", key.kind.expected(), hint);
            None
        }
        Fallback::Default(text) => Some(text),
        Fallback::Unless(sisters, text) => {
            let free = !sisters.iter().any(|sister| table.contains_key(*sister));
            free.then_some(text)
        }
        Fallback::When(sister, word, _) if present && !is_word(table, sister, word) => {
            let at = place_of(table.get(name), place);
            let expected = format!("it only where {sister} = \"{word}\"");
            mistakes.add(path, at, "a key without effect", expected, None);
            None
        }
        Fallback::When(sister, word, text) => is_word(table, sister, word).then_some(text),
        Fallback::BurstOf(sister) => {
            burst(name, sister, path, table, place, mistakes);
            None
        }
        Fallback::Required | Fallback::Nothing => None,
    };
    if let Some(text) = default
        && !present
        && let Ok(parsed) = DeValue::parse(text)
    {
        let mut node = tree::node_from(parsed.get_ref(), 0..0);
        tree::place_all(&mut node, &Place::Default);
        check_below(key, path, &mut node, mistakes);
        table.insert(name.to_owned(), node);
    }
}

fn burst(
    name: &str,
    sister: &str,
    path: &str,
    table: &mut Table,
    place: &Place,
    mistakes: &mut Mistakes<'_>,
) {
    let rate = match table.get(sister).map(|node| &node.value) {
        Some(Value::Text(text)) => Rate::parse(text),
        _ => None,
    };
    match (rate, table.get(name)) {
        (Some(rate), None) => {
            let burst = Value::Integer(i64::from(rate.default_burst()));
            table.insert(name.to_owned(), Node::made(burst));
        }
        (None, Some(node)) => {
            let hint = Some(format!("a burst belongs to a rate: write {sister} too"));
            let at = place_of(Some(node), place).clone();
            // Where the rate was written wrongly, that is the one mistake.
            if !mistakes.touches(&path.replace(name, sister)) {
                mistakes.add(
                    path,
                    &at,
                    "a burst alone",
                    format!("{sister} beside it"),
                    hint,
                );
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::mistake::{Mistake, Spot, picture};

    fn mistakes(text: &str, sets: &[&str]) -> Vec<Mistake> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let mut mistakes = Mistakes::new(text, &sets);
        tree(text, &sets, &mut mistakes);
        mistakes.into_sorted()
    }

    const GOOD: &str = "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
                        duration = '1s'\n";

    #[test]
    fn five_mistakes_are_five_pictures() {
        let text = "name = 'x'\nseed = -1\n[target]\nbase_ulr = 'simulator'\n[[load]]\n\
                    rate = 20\nduration = '1s'\n[poll]\nintervall = '1s'\n[drain]\nlimit = true\n";
        let list = mistakes(text, &[]);
        let drawn = picture("bad.toml", text, &list, false);
        let lines: Vec<usize> = list
            .iter()
            .filter_map(|mistake| match mistake.spot {
                Spot::File { line, .. } => Some(line),
                Spot::Override(_) => None,
            })
            .collect();
        assert_eq!(lines, [2, 4, 6, 9, 11], "{drawn}");
        for word in [
            "bad.toml:2:8",
            "found -1",
            "did you mean `base_url`?",
            "write the time: \"20/s\"",
            "did you mean `interval`?",
            "found true",
            "expected a duration",
        ] {
            assert!(drawn.contains(word), "no {word} in\n{drawn}");
        }
    }

    #[test]
    fn each_mistake_has_path_and_words() {
        let check = |line: &str, path: &str, word: &str| {
            let text = format!("{GOOD}{line}\n");
            let list = mistakes(&text, &[]);
            assert_eq!(list.len(), 1, "{line}: {list:?}");
            let said = format!("{:?}", list[0]);
            assert_eq!(list[0].path, path, "{line}");
            assert!(said.contains(word), "{line}: {said}");
        };
        check(
            "[poll]\nfactor = 3.0",
            "poll.factor",
            "policy = \\\"exponential\\\"",
        );
        check("[poll]\nburst = 3", "poll.burst", "write budget too");
        check("[poll]\nbudget = 3\nburst = 3", "poll.budget", "3/s");
        check(
            "[[slo]]\nthat = 'accept_latncy.p99 < 1s'",
            "slo[0].that",
            "did you mean `accept_latency`",
        );
        check("[slo]\nthat = 'lost == 0'", "slo", "two brackets");
        check(
            "[simulator]\nfail_ratio = '2%'",
            "simulator.fail_ratio",
            "0.02",
        );
        check("[submit]\nbody = '{{what}}'", "submit.body", "none of seq");
        check(
            "[submit]\nheaders = { 'a b' = 'x' }",
            "submit.headers",
            "no header name",
        );
        check(
            "[api.submit]\naccept = [202, 999]",
            "api.submit.accept",
            "999",
        );
        check(
            "[api.submit]\nid = 'server'",
            "api.submit.id",
            "\\\"server\\\"",
        );
        check(
            "[api.submit.id]\nbdy = '/x'",
            "api.submit.id.bdy",
            "did you mean `body`",
        );
        check("[drain]\nlimit = 60", "drain.limit", "60s");
    }

    #[test]
    fn overrides_are_read_as_toml_or_text() {
        let sets = [
            "load.0.rate=80/s",
            "seed=7",
            "poll.first=now",
            "http.version=2",
            "slo=[{that='lost == 0'}]",
        ];
        let sets = sets.map(str::to_owned);
        let mut mistakes = Mistakes::new(GOOD, &sets);
        let root = tree(GOOD, &sets, &mut mistakes);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let value = |path: &str| root.at(path).map(|node| node.value.inline());
        assert_eq!(value("load.0.rate").as_deref(), Some("\"80/s\""));
        assert_eq!(value("seed").as_deref(), Some("7"));
        assert_eq!(value("poll.first").as_deref(), Some("\"now\""));
        assert_eq!(value("http.version").as_deref(), Some("\"2\""));
        assert_eq!(value("slo.0.judge").as_deref(), Some("\"bounds\""));
    }

    #[test]
    fn mistaken_overrides_name_themselves() {
        let check = |set: &str, word: &str| {
            let list = mistakes(GOOD, &[set]);
            assert_eq!(list.len(), 1, "{list:?}");
            let drawn = picture("x.toml", GOOD, &list, false);
            assert!(matches!(list[0].spot, Spot::Override(_)), "{list:?}");
            assert!(drawn.contains("--set ") && drawn.contains(word), "{drawn}");
        };
        check("load.0.rate=fast", "found \"fast\"");
        check("load.3.rate=1/s", "`3` in a list of 1");
        check("pol.interval=1s", "did you mean `poll`?");
        check("seed", "path.to.key=value");
        check("target.api_key=user.secretsecret", "a literal");
        assert!(
            !format!(
                "{:?}",
                mistakes(GOOD, &["target.api_key=user.secretsecret"])
            )
            .contains("secret")
        );
    }

    #[test]
    fn every_syntax_error_is_told() {
        let list = mistakes("name = \nseed = 1 2\n[target\n", &[]);
        let syntax = list
            .iter()
            .filter(|mistake| mistake.path.is_empty())
            .count();
        assert!(syntax >= 3, "{list:?}");
    }
}
