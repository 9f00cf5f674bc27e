//! Requests: an effect becomes a request on the wire, and its answer an input, stamped when read.

use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::RunClock;
use super::client::{Answer, Client, ClientPlan, NoAnswer, Reader, Submission};
use super::driver::Inbox;
use crate::engine::Input;
use crate::scenario::payload::{Item, client_work_id, idempotency_key};
use crate::scenario::{BodyForm, IdSource, IdempotencyKey, Plan, UrlTo};
use crate::time::Tick;
use crate::wire::Wire;
use crate::wire::callback::{CallbackUrls, insert};
use crate::work::{IntakeReply, PollReply, Slot, WorkId};

/// What requests are made from: all of it made before the run.
#[derive(Clone, Debug)]
pub struct Shapes {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Names URLs and reads answers.
    pub wire: Wire,
    /// Where the service is to call, if it is to.
    pub callbacks: Option<CallbackUrls>,
    /// Where every request is noted down as it is sent; nobody, unless somebody wants to know.
    pub sends: Option<Sends>,
}

/// The way to whoever wants to know what was sent.
pub type Sends = std::sync::mpsc::Sender<Sent>;

/// A request that was handed to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The work that is polled; none of a submit.
    pub polled: Option<WorkId>,
    /// The send stamp.
    pub at: Tick,
}

/// Sends requests. Their answers come into the inbox.
#[derive(Debug)]
pub(super) struct Requests {
    client: Client<Understanding>,
    shapes: Shapes,
    /// The URL that was asked last, to write the next one into.
    url: String,
    /// Submits that had no place for the URL of their callback.
    without_url: u64,
}

/// What a request is for.
#[derive(Debug)]
enum Errand {
    Submit {
        slot: Slot,
        sent: Tick,
        /// The id, where we chose it.
        chosen: Option<String>,
    },
    Poll {
        slot: Slot,
        sent: Tick,
        /// Empty where its answer is about no other work.
        id: WorkId,
    },
}

impl Requests {
    /// Must be called inside a `LocalSet`.
    pub(super) fn new(client: ClientPlan, shapes: Shapes, clock: RunClock, inbox: Inbox) -> Self {
        let understanding = Understanding {
            wire: shapes.wire.clone(),
            clock,
            inbox,
        };
        Self {
            client: client.start(clock, understanding),
            shapes,
            url: String::new(),
            without_url: 0,
        }
    }

    /// Opens connections before there is anything to send.
    pub(super) fn warm_up(&self, connections: u32) {
        self.client.warm_up(connections);
    }

    fn note(&self, polled: Option<&str>, at: Tick) {
        if let Some(sends) = &self.shapes.sends {
            let polled = polled.map(|id| WorkId(id.into()));
            // Where nobody listens any more nobody wants to know.
            let _ = sends.send(Sent { polled, at });
        }
    }

    pub(super) fn submit(&mut self, slot: Slot, seq: u64, sent: Tick) {
        self.note(None, sent);
        let Shapes { plan, wire, .. } = &self.shapes;
        let chosen = matches!(plan.api.submit.id, IdSource::Client)
            .then(|| client_work_id(plan.seed, seq).to_string());
        let (mut headers, mut body) = render(plan, seq);
        if let Some(urls) = &self.shapes.callbacks {
            let told = tell_url(plan, &urls.of_work(seq), &mut headers, &mut body);
            self.without_url += u64::from(!told);
        }
        let submission = Submission {
            url: wire.submit_url(chosen.as_deref()),
            headers,
            body,
        };
        let errand = Errand::Submit { slot, sent, chosen };
        self.client.submit(submission, sent, errand);
    }

    /// Submits whose body had no place for the URL at which the service is to call.
    pub(super) const fn without_url(&self) -> u64 {
        self.without_url
    }

    pub(super) fn poll(&mut self, slot: Slot, id: &str, given: Option<&str>, sent: Tick) {
        self.note(Some(id), sent);
        let wire = &self.shapes.wire;
        self.url.clear();
        // A work that the service gave no URL for is asked at none, which is an answer too.
        wire.write_poll_url(id, given, &mut self.url);
        let id = if wire.needs_id() { id } else { "" };
        let id = WorkId(id.into());
        let errand = Errand::Poll { slot, sent, id };
        self.client.poll(&self.url, sent, errand);
    }
}

/// Makes inputs of answers.
#[derive(Debug)]
struct Understanding {
    wire: Wire,
    clock: RunClock,
    inbox: Inbox,
}

impl Reader for Understanding {
    type Errand = Errand;

    fn read(&self, errand: Errand, came: Result<Answer<'_>, NoAnswer>) {
        let at = match &came {
            Ok(answer) => answer.at,
            Err(_) => self.clock.now(),
        };
        self.inbox.put(match errand {
            Errand::Submit { slot, sent, chosen } => Input::Intake {
                slot,
                sent,
                at,
                reply: self.intake(came, chosen.as_deref()),
            },
            Errand::Poll { slot, sent, id } => Input::Poll {
                slot,
                sent,
                at,
                reply: match came {
                    Ok(Answer {
                        status,
                        headers,
                        body,
                        ..
                    }) => self.wire.poll(&id, status, &headers, body),
                    Err(no_answer) => PollReply::Fault(no_answer.fault),
                },
            },
        });
    }
}

impl Understanding {
    fn intake(&self, came: Result<Answer<'_>, NoAnswer>, chosen: Option<&str>) -> IntakeReply {
        match came {
            Ok(Answer {
                status,
                headers,
                body,
                ..
            }) => self.wire.intake(status, &headers, body, chosen),
            Err(NoAnswer {
                fault,
                status,
                maybe_written,
                detail,
            }) => IntakeReply::Failed {
                fault,
                status,
                maybe_accepted: maybe_written,
                detail: detail.into(),
            },
        }
    }
}

/// Whether the submit of the first arrival has a place for the URL of its callback.
pub fn has_place_for_url(plan: &Plan) -> bool {
    let (mut headers, mut body) = render(plan, 0);
    tell_url(plan, "http://h", &mut headers, &mut body)
}

/// Puts a URL where the scenario says that the service looks for it. False if there is no place.
fn tell_url(
    plan: &Plan,
    url: &str,
    headers: &mut Vec<(HeaderName, HeaderValue)>,
    body: &mut Vec<u8>,
) -> bool {
    match &plan.observe.callback.url {
        UrlTo::Server => true,
        UrlTo::Body(field) => insert(body, plan.api.submit.form, field, url),
        UrlTo::Header(name) => {
            let name = HeaderName::from_bytes(name.as_bytes());
            let header = name.ok().zip(HeaderValue::from_str(url).ok());
            let is_told = header.is_some();
            headers.extend(header);
            is_told
        }
    }
}

/// The headers and the body of a submit: a function of the plan and the number of the arrival.
fn render(plan: &Plan, seq: u64) -> (Vec<(HeaderName, HeaderValue)>, Vec<u8>) {
    let item = Item {
        seed: plan.seed,
        seq,
        corpus: plan.submit.corpus.as_ref(),
    };
    let mut body = Vec::new();
    plan.submit.body.render(&item, &mut body);
    let form = match plan.api.submit.form {
        BodyForm::Json => "application/json",
        BodyForm::Form => "application/x-www-form-urlencoded",
    };
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static(form))];
    for (name, template) in &plan.submit.headers {
        let mut value = Vec::new();
        template.render(&item, &mut value);
        // Names and fixed text were checked with the scenario; a row of a corpus may still hold
        // what no header can carry.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(&value),
        ) {
            headers.push((name, value));
        }
    }
    let key = idempotency_key(plan.seed, seq);
    let key = match plan.submit.idempotency_key {
        IdempotencyKey::Off => None,
        IdempotencyKey::Bare => Some(key.to_string()),
        IdempotencyKey::Quoted => Some(format!("\"{key}\"")),
    };
    if let Some(Ok(value)) = key.map(|key| HeaderValue::from_str(&key)) {
        headers.push((HeaderName::from_static("idempotency-key"), value));
    }
    (headers, body)
}
