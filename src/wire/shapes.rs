//! The families of job APIs, each as a profile: what the classifier is held against, by recorded
//! answers and by a fuzzer.

use serde_json::json;

use crate::scenario::{
    Condition, HeaderWords, IdSource, Pointer, PollShape, Profile, ResetForm, SubmitShape,
    SyncAnswer, TerminalRule, UrlSource,
};
use crate::wire::Wire;
use crate::work::{IntakeReply, PollReply, WorkId};

fn at(pointer: &str) -> Pointer {
    Pointer(pointer.to_owned())
}

fn words(completed: &[&str], failed: &[&str], open: &[&str]) -> TerminalRule {
    word_at("/status", completed, failed, open)
}

fn word_at(pointer: &str, completed: &[&str], failed: &[&str], open: &[&str]) -> TerminalRule {
    let list = |words: &[&str]| words.iter().map(|word| json!(word)).collect();
    TerminalRule::Word {
        pointer: at(pointer),
        completed: list(completed),
        failed: list(failed),
        open: list(open),
    }
}

/// A profile that differs from the default in what nearly all differ in.
fn shape(accept: &[u16], id: IdSource, poll: PollShape, terminal: TerminalRule) -> Profile {
    let default = Profile::default();
    Profile {
        submit: SubmitShape {
            path: "/v1/jobs".into(),
            accept: accept.to_vec(),
            id,
            ..default.submit
        },
        poll,
        terminal,
        ..default
    }
}

fn polled_at(mut profile: Profile, source: UrlSource) -> Profile {
    profile.submit.poll_url = Some(source);
    profile
}

/// Azure, newer form: a status monitor at `Operation-Location` that tells a word.
pub fn azure() -> Profile {
    let source = "Operation-Location";
    let terminal = words(
        &["Succeeded"],
        &["Failed", "Canceled"],
        &["NotStarted", "Running"],
    );
    let id = IdSource::Header(source.into());
    let profile = shape(&[202], id, PollShape::Url, terminal);
    Profile {
        key_header: "api-key".into(),
        key_form: "{key}".into(),
        ..polled_at(profile, UrlSource::Header(source.into()))
    }
}

/// Azure, classic form: 202 at `Location` until it becomes 200 or a redirect to the result.
pub fn azure_location() -> Profile {
    let terminal = TerminalRule::Status {
        completed: vec![200, 201, 204, 302, 303],
        failed: vec![409, 422],
        open: vec![202],
        overrule: Some(HeaderWords {
            name: "x-ms-operation-state".into(),
            completed: vec!["Succeeded".into()],
            failed: vec!["Failed".into(), "Canceled".into()],
            open: vec!["InProgress".into()],
        }),
    };
    let id = IdSource::Header("Location".into());
    let mut profile = shape(&[202], id, PollShape::Url, terminal);
    profile.submit.sync = SyncAnswer::Status(vec![200]);
    polled_at(profile, UrlSource::Header("Location".into()))
}

/// Google AIP-151: an operation that is `done`, with `error` or `response`.
pub fn aip_151() -> Profile {
    let terminal = TerminalRule::Word {
        pointer: at("/done"),
        completed: vec![json!(true)],
        failed: vec![],
        open: vec![json!(false)],
    };
    let poll = PollShape::Path("/v1/{+work_id}".into());
    let mut profile = shape(&[200], IdSource::Body(at("/name")), poll, terminal);
    profile.submit.sync = SyncAnswer::Body;
    profile.failed_if = Some(at("/error"));
    profile.finished_at = Some(at("/metadata/endTime"));
    profile
}

/// OGC API Processes, part 1: `201` with `Location`, and a status document.
pub fn ogc() -> Profile {
    let terminal = words(
        &["successful"],
        &["failed", "dismissed"],
        &["accepted", "running"],
    );
    let id = IdSource::Body(at("/jobID"));
    let mut profile = shape(&[201], id, PollShape::Url, terminal);
    profile.finished_at = Some(at("/finished"));
    profile.submit.sync = SyncAnswer::Status(vec![200]);
    polled_at(profile, UrlSource::Header("Location".into()))
}

/// Replicate: `201` with the poll URL in the body.
pub fn replicate() -> Profile {
    let terminal = words(
        &["succeeded"],
        &["failed", "canceled", "aborted"],
        &["starting", "processing"],
    );
    let id = IdSource::Body(at("/id"));
    let mut profile = shape(&[200, 201], id, PollShape::Url, terminal);
    profile.finished_at = Some(at("/completed_at"));
    profile.submit.sync = SyncAnswer::Body;
    polled_at(profile, UrlSource::Body(at("/urls/get")))
}

/// Meilisearch: tasks with whole numbers for ids.
pub fn meilisearch() -> Profile {
    let terminal = words(
        &["succeeded"],
        &["failed", "canceled"],
        &["enqueued", "processing"],
    );
    let poll = PollShape::Path("/tasks/{work_id}".into());
    let mut profile = shape(&[202], IdSource::Body(at("/taskUid")), poll, terminal);
    profile.finished_at = Some(at("/finishedAt"));
    profile
}

/// The same tasks, asked for in a list.
pub fn collection() -> Profile {
    let poll = PollShape::Collection {
        path: "/tasks?uids={work_id}".into(),
        items: at("/results"),
        id: at("/uid"),
    };
    Profile {
        poll,
        ..meilisearch()
    }
}

/// Salesforce bulk API 2.0: `state`, and 200 for an accept that its body must confirm.
pub fn salesforce() -> Profile {
    let terminal = word_at(
        "/state",
        &["JobComplete"],
        &["Failed", "Aborted"],
        &["Open", "UploadComplete", "InProgress"],
    );
    let poll = PollShape::Path("/v1/jobs/{work_id}".into());
    let mut profile = shape(&[200], IdSource::Body(at("/id")), poll, terminal);
    profile.submit.accept_if = Some(Condition {
        pointer: at("/state"),
        equals: json!("UploadComplete"),
    });
    profile
}

/// A job whose answer has the key `progress` until it is over.
pub fn key_gone() -> Profile {
    let poll = PollShape::Path("/v1/job?id={work_id}".into());
    let terminal = TerminalRule::KeyGone(at("/progress"));
    let mut profile = shape(&[202], IdSource::Body(at("/job/id")), poll, terminal);
    profile.failed_if = Some(at("/error"));
    profile.reset = ResetForm::Epoch;
    profile
}

/// A `PUT` at a URL that the client makes up, told by numbers.
pub fn client_id() -> Profile {
    let poll = PollShape::Path("/v1/jobs/{work_id}".into());
    let terminal = TerminalRule::Word {
        pointer: at("/state"),
        completed: vec![json!(2)],
        failed: vec![json!(3)],
        open: vec![json!(0), json!(1)],
    };
    let mut profile = shape(&[200, 201, 202, 204], IdSource::Client, poll, terminal);
    profile.submit.method = "PUT".into();
    profile.submit.path = "/v1/jobs/{work_id}".into();
    profile.reset = ResetForm::Delta;
    profile
}

/// Every family, by name.
pub fn all() -> [(&'static str, Profile); 11] {
    [
        ("auxot", Profile::default()),
        ("azure", azure()),
        ("azure_location", azure_location()),
        ("aip_151", aip_151()),
        ("ogc", ogc()),
        ("replicate", replicate()),
        ("meilisearch", meilisearch()),
        ("collection", collection()),
        ("salesforce", salesforce()),
        ("key_gone", key_gone()),
        ("client_id", client_id()),
    ]
}

/// What one answer means to a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The family.
    pub family: &'static str,
    /// As the answer to a submit.
    pub intake: IntakeReply,
    /// As the answer to a poll.
    pub poll: PollReply,
}

/// All families, made ready for one target.
#[derive(Clone, Debug)]
pub struct Families(Vec<(&'static str, Wire)>);

impl Families {
    /// For a service at `https://api.example.com`.
    pub fn new() -> Self {
        let ready = |(name, profile): (_, Profile)| {
            let wire = Wire::new(&profile, "https://api.example.com", &[], "demo");
            (name, wire.expect("the base URL above is one"))
        };
        Self(all().into_iter().map(ready).collect())
    }

    /// Reads a message by every family: a status line of digits, header lines, an empty line, the
    /// body. Any bytes are a message; what is missing is empty.
    pub fn read(&self, message: &[u8]) -> Vec<Reading> {
        let (status, rest) = line(message);
        let status = status.iter().fold(0_u16, |status, byte| {
            status
                .wrapping_mul(10)
                .wrapping_add(u16::from(byte.wrapping_sub(b'0')))
        });
        let mut headers = Vec::new();
        let mut body = rest;
        while !body.is_empty() {
            let (field, after) = line(body);
            body = after;
            if field.is_empty() {
                break;
            }
            let colon = field.iter().position(|&byte| byte == b':');
            let (name, value) = field.split_at(colon.unwrap_or(field.len()));
            if let Ok(name) = std::str::from_utf8(name) {
                headers.push((name, value.get(1..).unwrap_or_default().trim_ascii()));
            }
        }
        let work_id = WorkId("7".into());
        let read = |(family, wire): &(&'static str, Wire)| Reading {
            family,
            intake: wire.intake(status, &*headers, body, Some("7")),
            poll: wire.poll(&work_id, status, &*headers, body),
        };
        self.0.iter().map(read).collect()
    }
}

impl Default for Families {
    fn default() -> Self {
        Self::new()
    }
}

/// The first line and what follows it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b'\n');
    let (line, rest) = text.split_at(end.unwrap_or(text.len()));
    (line.trim_ascii(), rest.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{Fault, PollUrl};
    use proptest::prelude::*;

    /// What holds for every answer, whatever came.
    fn check(reading: &Reading) {
        let family = reading.family;
        match &reading.intake {
            IntakeReply::Accepted {
                id,
                poll_url,
                at_once,
                ..
            } => {
                assert!(id.0.len() <= WorkId::MAX_BYTES, "{family}");
                assert!(!id.0.is_empty() || at_once.is_some(), "{family}");
                assert!(!id.0.chars().any(char::is_control), "{family}");
                if let PollUrl::Given(url) = poll_url {
                    assert!(
                        url.starts_with("https://api.example.com/"),
                        "{family}: {url}"
                    );
                }
            }
            IntakeReply::Failed {
                fault,
                maybe_accepted,
                ..
            } => {
                assert_eq!((*fault, *maybe_accepted), (Fault::Body, true), "{family}");
            }
            IntakeReply::Rejected { .. } => {}
        }
        let word = match &reading.poll {
            PollReply::Open { status, .. } => status,
            PollReply::Terminal(terminal, _) => &terminal.status,
            _ => return,
        };
        assert!(word.chars().count() <= 64, "{family}: {word}");
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let status = prop_oneof![
            prop::sample::select(vec![200_u16, 201, 202, 204, 302, 404, 410, 429, 500, 503]),
            any::<u16>(),
        ];
        let header = "(Location|Operation-Location|Retry-After|RateLimit|Date|x-ratelimit-reset|x-ms-operation-state): ?[ -~]{0,24}";
        let headers = prop::collection::vec(header, 0..4);
        let keys =
            "status|state|done|error|progress|id|uid|taskUid|work_id|results|job|jobID|urls|get";
        let value = "\"[a-zA-Z/.:%\\\\u0-9]{0,8}\"|-?[0-9]{1,14}|true|false|null|\\[\\{\"uid\":7,\"status\":\"failed\"\\}\\]|\\{\"id\":7,\"get\":\"/x\"\\}|\"completed\"|\"Succeeded\"";
        let member = (keys, value).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        let object = prop::collection::vec(member, 0..5)
            .prop_map(|members| format!("{{{}}}", members.join(",")).into_bytes());
        let body = prop_oneof![4 => object, 1 => prop::collection::vec(any::<u8>(), 0..40)];
        (status, headers, body).prop_map(|(status, headers, body)| {
            let mut message = format!("{status}\n").into_bytes();
            for header in headers {
                message.extend_from_slice(header.as_bytes());
                message.push(b'\n');
            }
            message.push(b'\n');
            message.extend_from_slice(&body);
            message
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn every_answer_has_a_meaning(message in message()) {
            Families::new().read(&message).iter().for_each(check);
        }

        #[test]
        fn so_has_every_heap_of_bytes(message in prop::collection::vec(any::<u8>(), 0..200)) {
            Families::new().read(&message).iter().for_each(check);
        }
    }
}
