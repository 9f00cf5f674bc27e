//! `[submit]` and `[poll]`: what is sent, and when a work is asked for.

use std::sync::Arc;

use super::cursor::Cursor;
use super::earlier::{self, Ended};
use super::mistake::Mistakes;
use super::payload::{Item, Template};
use super::resolve::ReadFile;
use super::rows;
use super::tree::{self, Value};
use super::{
    BodyForm, FirstPoll, IdSource, IdempotencyKey, Overload, Poll, PollFrom, PollPolicy, Profile,
    Stage, Submit,
};

/// Headers that carry secrets, beside the one of the profile.
const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
];

/// Headers that say where a body ends: two opinions on that are a hole in many services.
const FRAMING_HEADERS: [&str; 2] = ["content-length", "transfer-encoding"];

/// Reads `[submit]`, its templates and its corpus.
pub(super) fn submit(
    top: &Cursor<'_>,
    seed: u64,
    api: &Profile,
    load: &[Stage],
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Submit {
    let at = top.at("submit");
    let body_at = at.at("body");
    let text = body_at.own_text().unwrap_or("{}");
    let (body, _) = template(Template::body(text, api.submit.form), &body_at, mistakes);
    let mut headers = Vec::new();
    for (name, text) in header_texts(&at, api, mistakes) {
        let (value, good) = template(Template::header(&name, &text), &at.at("headers"), mistakes);
        if good {
            headers.push((name, value));
        }
    }
    let templates: Vec<&Template> = std::iter::once(&body)
        .chain(headers.iter().map(|(_, value)| value))
        .collect();
    let corpus = rows::corpus(&at, &templates, load, read, mistakes);
    client_id(&at, api, &templates, mistakes);
    if api.submit.form == BodyForm::Json && !mistakes.touches("submit") {
        let item = Item {
            seed,
            seq: 0,
            corpus: corpus.as_ref(),
        };
        json_object(&body, &item, &body_at, mistakes);
    }
    Submit {
        body,
        headers,
        idempotency_key: match at.text("idempotency_key") {
            "bare" => IdempotencyKey::Bare,
            "quoted" => IdempotencyKey::Quoted,
            _ => IdempotencyKey::Off,
        },
        corpus,
        timeout: at.span("timeout"),
        max_in_flight: at.count("max_in_flight"),
        overload: match at.text("overload") {
            "drop" => Overload::Drop,
            _ => Overload::Queue,
        },
        retries: at.count("retries"),
    }
}

/// The template, or an empty one and the mistake.
fn template(
    read: Result<Template, String>,
    at: &Cursor<'_>,
    mistakes: &mut Mistakes<'_>,
) -> (Template, bool) {
    match read {
        Ok(template) => (template, true),
        Err(why) => {
            mistakes.add(at.path(), at.place(), why, "known placeholders", None);
            (Template::default(), false)
        }
    }
}

/// Names and values of the headers at `headers`, but for those that carry a secret.
fn header_texts(
    at: &Cursor<'_>,
    api: &Profile,
    mistakes: &mut Mistakes<'_>,
) -> Vec<(String, String)> {
    let headers = at.at("headers");
    let mut list = Vec::new();
    for name in headers.table().into_iter().flat_map(tree::Table::keys) {
        let lower = name.to_ascii_lowercase();
        let secret =
            SECRET_HEADERS.contains(&lower.as_str()) || api.key_header.eq_ignore_ascii_case(name);
        if secret {
            let hint = "name the key in target.api_key, and its header in [api.key]".to_owned();
            let found = format!("the header `{name}`, which carries a secret");
            let expected = "headers without secrets";
            mistakes.add(headers.path(), headers.place(), found, expected, Some(hint));
        } else if FRAMING_HEADERS.contains(&lower.as_str()) {
            let found = format!("the header `{name}`, which the client writes itself");
            let expected = "headers that say nothing of the length of the body";
            mistakes.add(headers.path(), headers.place(), found, expected, None);
        } else if let Some(Value::Text(text)) = headers
            .table()
            .and_then(|table| table.get(name))
            .map(|node| &node.value)
        {
            list.push((name.clone(), text.clone()));
        }
    }
    list
}

/// `{{work_id}}` stands exactly where the client chooses the id.
fn client_id(at: &Cursor<'_>, api: &Profile, templates: &[&Template], mistakes: &mut Mistakes<'_>) {
    let used = templates.iter().any(|template| template.uses_work_id());
    let chosen = api.submit.id == IdSource::Client;
    if used && !chosen {
        let hint = Some("write [api.submit] id = \"client\" if it does".to_owned());
        let expected = "no {{work_id}}, as the client does not choose the id";
        mistakes.add(
            at.path(),
            at.at("body").place(),
            "{{work_id}}",
            expected,
            hint,
        );
    }
    if chosen && !used && !api.submit.path.contains("{work_id}") {
        let found = "an id that the service is never told";
        let expected = "{{work_id}} in the body or a header, or {work_id} in api.submit.path";
        mistakes.add("submit.body", at.at("body").place(), found, expected, None);
    }
}

/// A JSON body must be an object; the first arrival's stands for all.
fn json_object(body: &Template, item: &Item<'_>, at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) {
    let mut bytes = Vec::new();
    body.render(item, &mut bytes);
    let read: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_slice(&bytes);
    if let Err(why) = read {
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((cut, _)) = text.char_indices().nth(120) {
            text.truncate(cut);
        }
        let found = format!("for the first arrival `{text}`: {why}");
        let hint = Some("quote placeholders that are texts: \"{{uuid}}\"".to_owned());
        mistakes.add(at.path(), at.place(), found, "a JSON object", hint);
    }
}

/// Reads `[poll]`.
pub(super) fn poll(
    at: &Cursor<'_>,
    api: &Profile,
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Poll {
    let policy = match at.text("policy") {
        "exponential" => PollPolicy::Exponential {
            factor: at.number("factor"),
            cap: at.span("cap"),
            jitter: at.number("jitter"),
        },
        "hinted" => PollPolicy::Hinted,
        "optimal" => PollPolicy::Optimal {
            longest: at.span("longest"),
        },
        _ => PollPolicy::Fixed,
    };
    let interval = at.span("interval");
    let most = match policy {
        PollPolicy::Exponential { cap, .. } => Some(("cap", cap)),
        PollPolicy::Optimal { longest } => Some(("longest", longest)),
        PollPolicy::Fixed | PollPolicy::Hinted => None,
    };
    if let Some((key, most)) = most
        && most < interval
        && !mistakes.touches("poll.interval")
    {
        let most_at = at.at(key);
        let expected = format!("at least the interval, {interval}");
        mistakes.add(
            most_at.path(),
            most_at.place(),
            most.to_string(),
            expected,
            None,
        );
    }
    let like = like(at, policy, read, mistakes);
    let headers = header_texts(at, api, mistakes);
    if headers.iter().any(|(_, text)| text.contains("{{")) {
        let headers = at.at("headers");
        let expected = "plain texts, as polls are all alike";
        mistakes.add(
            headers.path(),
            headers.place(),
            "a placeholder",
            expected,
            None,
        );
    }
    Poll {
        policy,
        interval,
        first: match at.text("first") {
            "interval" => FirstPoll::Interval,
            "now" => FirstPoll::Now,
            _ => FirstPoll::Random,
        },
        from: match at.text("from") {
            "answer" => PollFrom::Answer,
            _ => PollFrom::Schedule,
        },
        like,
        give_up_after: at.span("give_up_after"),
        lost_after: at.span("lost_after"),
        timeout: at.span("timeout"),
        budget: at.bucket("budget", "burst"),
        headers,
        recheck: at.number("recheck"),
        recheck_after: at.span("recheck_after"),
        remember: at.span("remember"),
    }
}

/// What `optimal` knows before the run, and keys that say nothing with or without it.
fn like(
    at: &Cursor<'_>,
    policy: PollPolicy,
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Arc<[Ended]>> {
    let is_optimal = matches!(policy, PollPolicy::Optimal { .. });
    if is_optimal {
        for (key, word) in [("first", "random"), ("from", "schedule")] {
            let key_at = at.at(key);
            let text = key_at.own_text().unwrap_or(word);
            if text != word && !mistakes.touches(key_at.path()) {
                let found = format!("\"{text}\", which has no effect with the policy optimal");
                let expected = format!("\"{word}\"");
                mistakes.add(key_at.path(), key_at.place(), found, expected, None);
            }
        }
    }
    let like_at = at.maybe("like")?;
    let directory = like_at.own_text()?;
    if !is_optimal {
        let found = "an earlier run, which has no effect with another policy";
        let hint = Some("write policy = \"optimal\"".to_owned());
        let expected = "nothing, as the policy is not optimal";
        mistakes.add(like_at.path(), like_at.place(), found, expected, hint);
        return None;
    }
    let name = format!("{directory}/{}", earlier::CURVE);
    let curve = read(&name).and_then(|bytes| {
        let curve = earlier::read(&bytes).map_err(|unlike| unlike.to_string())?;
        Ok(curve.into())
    });
    match curve {
        Ok(curve) => Some(curve),
        Err(why) => {
            let hint = Some("poll.like names the directory of an earlier run".to_owned());
            let found = format!("`{name}`: {why}");
            let expected = "the curve of the sojourn time that a run leaves behind";
            mistakes.add(like_at.path(), like_at.place(), found, expected, hint);
            None
        }
    }
}
