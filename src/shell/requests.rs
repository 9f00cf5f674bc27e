//! Requests: an effect becomes a request on the wire, and its answer an input, stamped when read.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::RunClock;
use super::client::{Answer, Client, NoAnswer, Submission};
use super::couriers::{Carry, Couriers};
use super::driver::Inbox;
use crate::engine::Input;
use crate::scenario::payload::{Item, client_work_id, idempotency_key};
use crate::scenario::{BodyForm, IdSource, IdempotencyKey, Plan};
use crate::time::Tick;
use crate::wire::Wire;
use crate::work::{Fault, IntakeReply, PollReply, Slot, WorkId};

/// What requests are made from: all of it made before the run.
#[derive(Clone, Debug)]
pub struct Shapes {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Names URLs and reads answers.
    pub wire: Wire,
}

/// Sends requests, and puts their answers into the inbox.
#[derive(Debug)]
pub(super) struct Requests {
    couriers: Rc<Couriers<Ways>>,
    wire: Wire,
}

/// What a courier is sent with.
#[derive(Debug)]
enum Errand {
    Submit {
        slot: Slot,
        seq: u64,
        sent: Tick,
    },
    Poll {
        slot: Slot,
        /// Empty where its answer is about no other work.
        id: WorkId,
        url: Option<String>,
        sent: Tick,
    },
}

/// What a courier needs on its way.
#[derive(Debug)]
struct Ways {
    client: Client,
    shapes: Shapes,
    clock: RunClock,
    inbox: Inbox,
    /// What URLs were written into: as many as there were ever polls at once.
    spare_urls: RefCell<Vec<String>>,
}

impl Requests {
    pub(super) fn new(client: Client, shapes: Shapes, clock: RunClock, inbox: Inbox) -> Self {
        Self {
            wire: shapes.wire.clone(),
            couriers: Couriers::new(Ways {
                client,
                shapes,
                clock,
                inbox,
                spare_urls: RefCell::default(),
            }),
        }
    }

    pub(super) fn submit(&self, slot: Slot, seq: u64, sent: Tick) {
        self.couriers.send(Errand::Submit { slot, seq, sent });
    }

    pub(super) fn poll(&self, slot: Slot, id: &str, given: Option<&str>, sent: Tick) {
        let spare = self.couriers.carry().spare_urls.borrow_mut().pop();
        let mut url = spare.unwrap_or_default();
        let is_there = self.wire.write_poll_url(id, given, &mut url);
        let url = is_there.then_some(url);
        let read_for = if self.wire.needs_id() { id } else { "" };
        self.couriers.send(Errand::Poll {
            slot,
            id: WorkId(read_for.into()),
            url,
            sent,
        });
    }
}

impl Carry for Ways {
    type Errand = Errand;

    async fn carry(&self, errand: Errand) {
        match errand {
            Errand::Submit { slot, seq, sent } => self.submit(slot, seq, sent).await,
            Errand::Poll {
                slot,
                id,
                url,
                sent,
            } => {
                self.poll(slot, &id, url.as_deref(), sent).await;
                if let Some(mut url) = url {
                    url.clear();
                    self.spare_urls.borrow_mut().push(url);
                }
            }
        }
    }
}

impl Ways {
    async fn submit(&self, slot: Slot, seq: u64, sent: Tick) {
        let Shapes { plan, wire } = &self.shapes;
        let chosen = matches!(plan.api.submit.id, IdSource::Client)
            .then(|| client_work_id(plan.seed, seq).to_string());
        let (headers, body) = render(plan, seq);
        let submission = Submission {
            url: wire.submit_url(chosen.as_deref()),
            headers,
            body,
        };
        let read = |answer: Answer<'_>| Input::Intake {
            slot,
            sent,
            at: answer.at,
            reply: wire.intake(
                answer.status,
                &answer.headers,
                answer.body,
                chosen.as_deref(),
            ),
        };
        let input = self.client.submit(submission, sent, read).await;
        self.inbox.put(input.unwrap_or_else(|no_answer| {
            let NoAnswer {
                fault,
                status,
                maybe_written,
                detail,
            } = no_answer;
            let reply = IntakeReply::Failed {
                fault,
                status,
                maybe_accepted: maybe_written,
                detail: detail.into(),
            };
            Input::Intake {
                slot,
                sent,
                at: self.clock.now(),
                reply,
            }
        }));
    }

    async fn poll(&self, slot: Slot, id: &WorkId, url: Option<&str>, sent: Tick) {
        let read = |answer: Answer<'_>| Input::Poll {
            slot,
            sent,
            at: answer.at,
            reply: self
                .shapes
                .wire
                .poll(id, answer.status, &answer.headers, answer.body),
        };
        let input = match url {
            None => Err(Fault::Body),
            Some(url) => {
                let answer = self.client.poll(url, sent, read).await;
                answer.map_err(|no_answer| no_answer.fault)
            }
        };
        self.inbox.put(input.unwrap_or_else(|fault| Input::Poll {
            slot,
            sent,
            at: self.clock.now(),
            reply: PollReply::Fault(fault),
        }));
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
