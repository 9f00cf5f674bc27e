//! `[api]` made into a [`Profile`].

use serde_json::Value as Json;

use super::cursor::Cursor;
use super::mistake::Mistakes;
use super::{
    BodyForm, Condition, HeaderWords, IdSource, PollShape, Profile, ResetForm, SubmitShape,
    SyncAnswer, TerminalRule, UrlSource,
};
use super::{Pointer, tree::Value};

/// Reads `[api]` and checks that its parts go together.
pub(super) fn profile(api: &Cursor<'_>, mistakes: &mut Mistakes<'_>) -> Profile {
    let submit = submit(&api.at("submit"), mistakes);
    let poll = poll(&api.at("poll"), mistakes);
    if poll == PollShape::Url && submit.poll_url.is_none() {
        let by = api.at("poll.by");
        let hint = "add poll_url = { header = \"Location\" } to [api.submit]".to_owned();
        let expected = "an [api.submit] that says where the poll URL is";
        mistakes.add(by.path(), by.place(), "no poll_url", expected, Some(hint));
    }
    let terminal = api.at("terminal");
    let form = api.at("key.form");
    if !form.own_text().unwrap_or("{key}").contains("{key}") {
        let expected = "a text that holds {key}";
        mistakes.add(form.path(), form.place(), "no {key} in it", expected, None);
    }
    Profile {
        submit,
        poll,
        terminal: rule(&terminal, mistakes),
        begun: terminal
            .items("begun")
            .iter()
            .filter_map(|item| item.value().map(Value::json))
            .map(as_said)
            .collect(),
        failed_if: terminal.pointer("failed_if"),
        finished_at: terminal.pointer("finished_at"),
        denied: api.statuses("poll.denied"),
        gone: api.statuses("poll.gone"),
        key_header: api.text("key.header").to_owned(),
        key_form: api.text("key.form").to_owned(),
        reset: match api.text("limits.reset") {
            "delta" => ResetForm::Delta,
            "epoch" => ResetForm::Epoch,
            _ => ResetForm::Guess,
        },
        max_retry_after: api.span("limits.max_retry_after"),
    }
}

fn submit(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) -> SubmitShape {
    let id = id(&at.at("id"), mistakes);
    path(&at.at("path"), id == IdSource::Client, mistakes);
    let sync = at.at("sync");
    SubmitShape {
        method: at.text("method").to_owned(),
        path: at.text("path").to_owned(),
        form: match at.text("form") {
            "form" => BodyForm::Form,
            _ => BodyForm::Json,
        },
        accept: not_empty(&at.at("accept"), at.statuses("accept"), mistakes),
        accept_if: at.maybe("accept_if").map(|condition| Condition {
            pointer: condition
                .pointer("pointer")
                .unwrap_or(Pointer(String::new())),
            equals: condition
                .at("equals")
                .value()
                .map_or(Json::Null, Value::json),
        }),
        id,
        poll_url: at.maybe("poll_url").and_then(|url| {
            let pair = one_of(&url, &["header", "body"], mistakes);
            match pair {
                Some("header") => Some(UrlSource::Header(url.text("header").to_owned())),
                Some(_) => url.pointer("body").map(UrlSource::Body),
                None => None,
            }
        }),
        sync: match sync.own_text() {
            Some("body") => SyncAnswer::Body,
            Some(_) => SyncAnswer::Never,
            None => SyncAnswer::Status(at.statuses("sync")),
        },
    }
}

fn id(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) -> IdSource {
    if at.own_text() == Some("client") {
        return IdSource::Client;
    }
    match one_of(at, &["body", "header"], mistakes) {
        Some("header") => IdSource::Header(at.text("header").to_owned()),
        _ => IdSource::Body(at.pointer("body").unwrap_or(Pointer("/work_id".to_owned()))),
    }
}

fn poll(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) -> PollShape {
    match one_of(at, &["path", "by", "collection"], mistakes) {
        Some("by") if at.text("by") == "none" => PollShape::Nowhere,
        Some("by") => PollShape::Url,
        Some("collection") => {
            let list = at.at("collection");
            path(&list.at("path"), true, mistakes);
            let pointer = |key| list.pointer(key).unwrap_or(Pointer(String::new()));
            PollShape::Collection {
                path: list.text("path").to_owned(),
                items: pointer("items"),
                id: pointer("id"),
            }
        }
        _ => {
            let text = at.text("path");
            path(&at.at("path"), true, mistakes);
            if !text.contains("{work_id}") && !text.contains("{+work_id}") {
                let path = at.at("path");
                let expected = "a path that holds {work_id}";
                mistakes.add(
                    path.path(),
                    path.place(),
                    format!("\"{text}\""),
                    expected,
                    None,
                );
            }
            PollShape::Path(text.to_owned())
        }
    }
}

pub(super) fn rule(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) -> TerminalRule {
    match one_of(at, &["pointer", "status", "key_gone"], mistakes) {
        Some("status") => {
            let status = at.at("status");
            disjoint(&status, mistakes);
            let overrule = status.maybe("overrule").map(|words| HeaderWords {
                name: words.text("header").to_owned(),
                completed: words.texts("completed"),
                failed: words.texts("failed"),
                open: words.texts("open"),
            });
            TerminalRule::Status {
                completed: status.statuses("completed"),
                failed: status.statuses("failed"),
                open: status.statuses("open"),
                overrule,
            }
        }
        Some("key_gone") => {
            TerminalRule::KeyGone(at.pointer("key_gone").unwrap_or(Pointer(String::new())))
        }
        _ => {
            disjoint(at, mistakes);
            let words = |key: &str| -> Vec<Json> {
                at.items(key)
                    .iter()
                    .filter_map(|item| item.value().map(Value::json))
                    .collect()
            };
            TerminalRule::Word {
                pointer: at.pointer("pointer").unwrap_or(Pointer(String::new())),
                completed: not_empty(&at.at("completed"), words("completed"), mistakes),
                failed: words("failed"),
                open: words("open"),
            }
        }
    }
}

/// A word as it is shown: the content of a string, the text of anything else.
fn as_said(word: Json) -> Box<str> {
    match word {
        Json::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// Which one of several keys is written; none or two of them are a mistake.
fn one_of<'k>(at: &Cursor<'_>, keys: &[&'k str], mistakes: &mut Mistakes<'_>) -> Option<&'k str> {
    let there: Vec<&'k str> = keys
        .iter()
        .copied()
        .filter(|key| at.at(key).is_there())
        .collect();
    if there.len() == 1 {
        return Some(there[0]);
    }
    let found = match there.len() {
        0 => "none of them".to_owned(),
        _ => there.join(" and "),
    };
    let place = there.last().map_or(at.place(), |key| at.at(key).place());
    let expected = format!("one of {}", keys.join(", "));
    mistakes.add(at.path(), place, found, expected, None);
    there.first().copied()
}

/// A word or status that means two things is a mistake.
fn disjoint(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) {
    let mut seen: Vec<(String, &str)> = Vec::new();
    for key in ["completed", "failed", "open"] {
        for item in at.items(key) {
            let Some(value) = item.value().map(Value::inline) else {
                continue;
            };
            match seen.iter().find(|(word, _)| *word == value) {
                Some((_, other)) => {
                    let found = format!("{value}, which stands in {other} too");
                    let expected = "a word that means one thing";
                    mistakes.add(item.path(), item.place(), found, expected, None);
                }
                None => seen.push((value, key)),
            }
        }
    }
}

fn not_empty<T>(at: &Cursor<'_>, list: Vec<T>, mistakes: &mut Mistakes<'_>) -> Vec<T> {
    if list.is_empty() && at.is_there() {
        mistakes.add(
            at.path(),
            at.place(),
            "an empty list",
            "at least one entry",
            None,
        );
    }
    list
}

/// The single-brace names of a path.
fn path(at: &Cursor<'_>, work_id: bool, mistakes: &mut Mistakes<'_>) {
    let Some(text) = at.own_text() else {
        return;
    };
    let rest = text.replace("{intake_id}", "");
    let rest = if work_id {
        rest.replace("{work_id}", "").replace("{+work_id}", "")
    } else {
        rest
    };
    if rest.contains(['{', '}']) {
        let expected = if work_id {
            "a path with no braces but {intake_id}, {work_id} and {+work_id}"
        } else {
            "a path with no braces but {intake_id}, as the client does not choose the id"
        };
        mistakes.add(at.path(), at.place(), format!("\"{text}\""), expected, None);
    }
}
