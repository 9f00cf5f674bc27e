//! The catalogue as JSON Schema, for editors, and as Markdown, for people.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use super::keys::{self, Fallback, KEYS, Key};
use super::kind::Kind;
use super::tree;

/// The JSON Schema (draft 2020-12) of a scenario.
pub fn schema() -> Json {
    let mut schema = table("");
    let extra = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Plimsoll scenario",
    });
    merge(&mut schema, extra);
    schema
}

/// The schema as the text of a file.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

fn table(path: &str) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, key) in keys::inside(path) {
        properties.insert(name.to_owned(), property(key));
        if key.fallback == Fallback::Required {
            required.push(name);
        }
    }
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        merge(&mut schema, json!({ "required": required }));
    }
    schema
}

fn property(key: &Key) -> Json {
    let mut schema = match key.kind {
        Kind::Table => table(key.path),
        Kind::Tables => {
            let items = table(&format!("{}[]", key.path));
            json!({ "type": "array", "items": items })
        }
        Kind::AnyOf(kinds) => {
            let one = |kind: &Kind| match kind {
                Kind::Table => table(key.path),
                kind => kind.schema(),
            };
            let all: Vec<Json> = kinds.iter().map(one).collect();
            json!({ "anyOf": all })
        }
        kind => kind.schema(),
    };
    merge(&mut schema, json!({ "description": key.doc }));
    if let Some(text) = default_of(key)
        && text != "{}"
        && let Ok(parsed) = DeValue::parse(text)
    {
        let node = tree::node_from(parsed.get_ref(), 0..0);
        merge(&mut schema, json!({ "default": node.value.json() }));
    }
    schema
}

const fn default_of(key: &Key) -> Option<&'static str> {
    match key.fallback {
        Fallback::Default(text) | Fallback::Unless(_, text) | Fallback::When(_, _, text) => {
            Some(text)
        }
        Fallback::Required | Fallback::Nothing | Fallback::BurstOf(_) => None,
    }
}

fn merge(schema: &mut Json, extra: Json) {
    if let (Json::Object(schema), Json::Object(extra)) = (schema, extra) {
        schema.extend(extra);
    }
}

/// The reference of all keys as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Scenario reference\n\n\
         Every key of a scenario, from the catalogue in `src/scenario/keys.rs` (a test holds this file \
         equal to it; `UPDATE=1 cargo test` rewrites it). `plimsoll schema` prints the same as JSON \
         Schema.\n\n\
         Durations are `250ms`, `1.5s`, `2m`, `8h`, `1h30m`. Rates are `20/s`, `600/min`, `1/h`. Sizes \
         are `16KiB`, `1MiB`. `--set path.to.key=value` overrides any key; list items count from 0, as \
         in `--set load.0.rate=80/s`.\n",
    );
    for table in KEYS.iter().filter(|key| is_table(key.kind)) {
        if table.path == "name" {
            continue;
        }
        let _ = section(&mut out, table);
    }
    let top = KEYS
        .iter()
        .filter(|key| !key.path.contains('.') && !is_table(key.kind));
    let mut head = String::from("\n## At the top\n\n");
    let _ = rows(&mut head, top.map(|key| (key.path, key)));
    let at = out.find("\n## ").unwrap_or(out.len());
    out.insert_str(at, &head);
    out.push_str(PLACEHOLDERS);
    out
}

const PLACEHOLDERS: &str = "\n## Placeholders\n\n\
    In `submit.body` and `submit.headers`. All are functions of the seed and the number of the \
    arrival.\n\n\
    | placeholder | stands for |\n|---|---|\n\
    | `{{seq}}` | the number of the arrival, from 0 |\n\
    | `{{uuid}}` | a random uuid (version 4) |\n\
    | `{{int A B}}` | an integer, uniform from A to B, both included |\n\
    | `{{float A B}}` | a number, uniform from A up to B |\n\
    | `{{string N}}` | N letters and digits |\n\
    | `{{pick a\\|b\\|c}}` | one of the texts |\n\
    | `{{work_id}}` | the id, where the client chooses it |\n\
    | `{{corpus.FIELD}}` | a field of the corpus row of this arrival |\n\n\
    Values of `pick` and `corpus` are escaped where they stand inside a JSON string, stand as they are \
    elsewhere in a JSON body, and are percent-encoded in a form body; in a header control characters \
    become spaces.\n";

fn is_table(kind: Kind) -> bool {
    matches!(kind, Kind::Table | Kind::Tables)
        || matches!(kind, Kind::AnyOf(kinds) if kinds.contains(&Kind::Table))
}

fn section(out: &mut String, table: &Key) -> std::fmt::Result {
    let (head, path) = match table.kind {
        Kind::Tables => (format!("[[{}]]", table.path), format!("{}[]", table.path)),
        Kind::AnyOf(_) => (format!("{} = {{ }}", table.path), table.path.to_owned()),
        _ => (format!("[{}]", table.path), table.path.to_owned()),
    };
    writeln!(out, "\n## `{head}`\n\n{}\n", table.doc)?;
    rows(
        out,
        keys::inside(&path).filter(|(_, key)| key.kind != Kind::Table),
    )
}

fn rows<'a>(out: &mut String, keys: impl Iterator<Item = (&'a str, &'a Key)>) -> std::fmt::Result {
    let mut lines = String::new();
    for (name, key) in keys {
        let default = match key.fallback {
            Fallback::Required => "required".to_owned(),
            Fallback::Nothing => String::new(),
            Fallback::BurstOf(sister) => format!("0.1 s of `{sister}`, at least 1"),
            Fallback::Default(text) | Fallback::Unless(_, text) => format!("`{text}`"),
            Fallback::When(sister, word, text) => format!("`{text}` where {sister} is {word}"),
        };
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let kind = cell(&key.kind.expected());
        writeln!(
            lines,
            "| `{name}` | {kind} | {} | {} |",
            cell(&default),
            cell(key.doc)
        )?;
    }
    if lines.is_empty() {
        return Ok(());
    }
    write!(
        out,
        "| key | value | default | meaning |\n|---|---|---|---|\n{lines}"
    )
}
