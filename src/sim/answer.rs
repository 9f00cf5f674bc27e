//! What the service says, and when; and the two ways to read it.
//!
//! The virtual world reads an answer as the reply that an HTTP client with the default profile
//! would make of it ([`Answer::intake_reply`], [`Answer::poll_reply`]); the HTTP face writes it
//! ([`Answer::http`]). Both come from the same status and the same body, so they cannot part.

use super::http_answer::{HttpAnswer, LimitState};
use crate::time::{Span, Tick};
use crate::work::{
    Ending, Family, Fault, IntakeReply, Policy, PollReply, PollUrl, RateHint, Remaining,
    ServiceTime, Terminal, WorkId,
};
use std::borrow::Cow;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To take a work.
    Submit,
    /// How a work is getting on.
    Poll,
}

/// An answer of the service, or the lack of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// When it leaves, or when the connection is reset.
    pub at: Tick,
    /// What it says.
    pub said: Said<T>,
    /// The bucket after this request, where the service limits such requests.
    pub limit: Option<LimitState>,
    /// The `Retry-After` of an answer that a work is open, in seconds. That of a 429 is its own.
    pub ask_again_s: Option<u64>,
    /// When the work ended by the clock of the service, where it ended and the service says so.
    pub finished: Option<ServiceTime>,
}

/// What an answer says; `T` is what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<T> {
    /// What was asked for.
    Granted(T),
    /// An HTTP status that says why not.
    Refused(Refusal),
    /// The status of success, with a body that is not JSON.
    Garbage,
    /// The connection is reset, without a byte of an answer.
    Reset {
        /// The work was taken before.
        taken: bool,
    },
}

/// The work is taken: the 202.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its ticket.
    pub work_id: String,
}

/// The status word of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It waits for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// It is done.
    Completed,
    /// It was given up.
    Failed,
}

/// Why a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: the body is no JSON object.
    BadRequest,
    /// 401: the key is wrong or missing.
    Unauthorized,
    /// 404: no such path or intake.
    UnknownIntake,
    /// 404: no such work, or not yet, or no longer.
    UnknownWork,
    /// 405: the path has another method.
    WrongMethod,
    /// 413: the body is longer than [`super::MAX_REQUEST_BODY`].
    TooLarge,
    /// 429: too many requests.
    Throttled {
        /// What `Retry-After` says, in seconds, at least 1.
        retry_after_s: u64,
    },
    /// 500: the service broke.
    Internal,
}

/// What is granted: a status of success and its body.
trait Grant {
    const STATUS: u16;
    fn body(&self, finished: Option<ServiceTime>) -> Cow<'static, str>;
}

impl Grant for Taken {
    const STATUS: u16 = 202;
    fn body(&self, _: Option<ServiceTime>) -> Cow<'static, str> {
        // An id is of our own making: there is nothing in it to escape.
        format!(r#"{{"work_id":"{}"}}"#, self.work_id).into()
    }
}

impl Grant for Word {
    const STATUS: u16 = 200;
    fn body(&self, finished: Option<ServiceTime>) -> Cow<'static, str> {
        let body = match self {
            Self::Pending => r#"{"status":"pending"}"#,
            Self::Running => r#"{"status":"running"}"#,
            Self::Completed => r#"{"status":"completed","result":{"simulated":true}}"#,
            Self::Failed => r#"{"status":"failed","error":"the simulated work failed"}"#,
        };
        let Some(ServiceTime(micros)) = finished else {
            return Cow::Borrowed(body);
        };
        let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
        let rest = body.strip_prefix('{').unwrap_or_default();
        format!(r#"{{"finished_at":{whole}.{part:06},{rest}"#).into()
    }
}

impl Word {
    /// The word on the wire and in the truth file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The body of a call that says it of a work: what a poll would say, behind the id.
    pub(super) fn call_body(self, work_id: &str, finished: Option<ServiceTime>) -> String {
        let body = self.body(finished);
        let rest = body.strip_prefix('{').unwrap_or_default();
        format!(r#"{{"work_id":"{work_id}",{rest}"#)
    }
}

impl Refusal {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::UnknownIntake | Self::UnknownWork => 404,
            Self::WrongMethod => 405,
            Self::TooLarge => 413,
            Self::Throttled { .. } => 429,
            Self::Internal => 500,
        }
    }

    /// The body.
    pub const fn body(self) -> &'static str {
        match self {
            Self::BadRequest => r#"{"error":"the body must be a JSON object"}"#,
            Self::Unauthorized => r#"{"error":"missing or wrong key"}"#,
            Self::UnknownIntake => r#"{"error":"no such intake"}"#,
            Self::UnknownWork => r#"{"error":"no such work"}"#,
            Self::WrongMethod => r#"{"error":"method not allowed"}"#,
            Self::TooLarge => r#"{"error":"the body is too large"}"#,
            Self::Throttled { .. } => r#"{"error":"too many requests"}"#,
            Self::Internal => r#"{"error":"internal error"}"#,
        }
    }
}

const GARBAGE: &str = "<html><body>Oops, something went wrong</body></html>";
const JSON: &str = "application/json";

impl<T> Answer<T> {
    fn retry_after_s(&self) -> Option<u64> {
        match self.said {
            Said::Refused(Refusal::Throttled { retry_after_s }) => Some(retry_after_s),
            _ => self.ask_again_s,
        }
    }

    /// What the headers say about rates, as the default profile reads them.
    fn hint(&self) -> RateHint {
        RateHint {
            retry_after: self.retry_after_s().map(Span::from_secs),
            remaining: self.limit.map(|limit| Remaining {
                requests: limit.remaining,
                reset: Span::from_secs(limit.reset_s),
            }),
            policy: self.limit.map(|limit| Policy {
                quota: limit.quota,
                window: Span::from_secs(limit.window_s),
            }),
            clamps: 0,
            family: self.limit.map(|_| Family::IetfList),
        }
    }
}

#[expect(
    private_bounds,
    reason = "sealed: the service grants a ticket or a status word, nothing else"
)]
impl<T: Grant> Answer<T> {
    /// The answer as HTTP has it; nothing if the connection is reset.
    pub fn http(&self) -> Option<HttpAnswer> {
        let answer = |status, content_type, body| HttpAnswer {
            status,
            content_type,
            retry_after_s: self.retry_after_s(),
            allow: None,
            limit: self.limit,
            body,
        };
        match &self.said {
            Said::Granted(granted) => Some(answer(T::STATUS, JSON, granted.body(self.finished))),
            Said::Garbage => Some(answer(T::STATUS, "text/html", Cow::Borrowed(GARBAGE))),
            Said::Reset { .. } => None,
            Said::Refused(refusal) => Some(HttpAnswer {
                // The status of success tells the two paths, and so their methods, apart.
                allow: (*refusal == Refusal::WrongMethod).then_some(
                    if T::STATUS == Taken::STATUS {
                        "POST"
                    } else {
                        "GET"
                    },
                ),
                ..answer(refusal.status(), JSON, Cow::Borrowed(refusal.body()))
            }),
        }
    }
}

impl Answer<Taken> {
    /// What a client makes of it that reads the default profile.
    pub fn intake_reply(&self) -> IntakeReply {
        match &self.said {
            Said::Granted(taken) => IntakeReply::Accepted {
                status: Taken::STATUS,
                id: WorkId(taken.work_id.as_str().into()),
                poll_url: PollUrl::FromProfile,
                at_once: None,
                hint: self.hint(),
            },
            Said::Refused(refusal) => IntakeReply::Rejected {
                status: refusal.status(),
                body: refusal.body().into(),
                hint: self.hint(),
            },
            Said::Garbage => IntakeReply::Failed {
                fault: Fault::Body,
                status: Some(Taken::STATUS),
                maybe_accepted: true,
                detail: GARBAGE.into(),
            },
            Said::Reset { .. } => IntakeReply::Failed {
                fault: Fault::Reset,
                status: None,
                // Nobody outside the service can tell before from after.
                maybe_accepted: true,
                detail: "connection reset".into(),
            },
        }
    }
}

impl Answer<Word> {
    /// What a client makes of it that reads the default profile.
    pub fn poll_reply(&self) -> PollReply {
        let terminal = |ending, word: Word| {
            let terminal = Terminal {
                ending,
                status: word.word().into(),
                finished: self.finished,
                body: word.body(self.finished).into(),
            };
            PollReply::Terminal(terminal, self.hint())
        };
        match &self.said {
            Said::Granted(Word::Completed) => terminal(Ending::Completed, Word::Completed),
            Said::Granted(Word::Failed) => terminal(Ending::Failed, Word::Failed),
            Said::Granted(word) => PollReply::Open {
                status: word.word().into(),
                known: true,
                body: word.body(None).into(),
                hint: self.hint(),
            },
            Said::Refused(refusal) => self.refused(*refusal),
            Said::Garbage => PollReply::Fault(Fault::Body),
            Said::Reset { .. } => PollReply::Fault(Fault::Reset),
        }
    }

    fn refused(&self, refusal: Refusal) -> PollReply {
        let (status, body) = (refusal.status(), refusal.body().into());
        match status {
            404 => PollReply::Denied { gone: false, body },
            429 => PollReply::Throttled {
                status,
                hint: self.hint(),
            },
            _ => PollReply::Error { status, body },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LimitState = LimitState {
        quota: 110,
        window_s: 1,
        remaining: 7,
        reset_s: 2,
    };

    fn answer<T>(said: Said<T>) -> Answer<T> {
        Answer {
            at: Tick::ZERO,
            said,
            limit: Some(LIMIT),
            ask_again_s: None,
            finished: None,
        }
    }

    #[test]
    fn every_body_but_garbage_is_a_json_object() {
        let check = |http: Option<HttpAnswer>, object: bool| {
            let body = http.unwrap().body;
            let parsed = serde_json::from_str::<serde_json::Value>(&body);
            assert_eq!(
                parsed.is_ok_and(|value| value.is_object()),
                object,
                "{body}"
            );
        };
        for word in [Word::Pending, Word::Running, Word::Completed, Word::Failed] {
            check(answer(Said::Granted(word)).http(), true);
            let body: serde_json::Value = serde_json::from_str(&word.body(None)).unwrap();
            assert_eq!(body["status"], word.word());
            let stamped = word.body(Some(ServiceTime(1_750_000_000_000_042)));
            let stamped: serde_json::Value = serde_json::from_str(&stamped).unwrap();
            assert_eq!(stamped["status"], word.word());
            assert_eq!(stamped["finished_at"].to_string(), "1750000000.000042");
        }
        for refusal in [
            Refusal::BadRequest,
            Refusal::Unauthorized,
            Refusal::UnknownIntake,
            Refusal::UnknownWork,
            Refusal::WrongMethod,
            Refusal::TooLarge,
            Refusal::Throttled { retry_after_s: 1 },
            Refusal::Internal,
        ] {
            check(answer(Said::<Word>::Refused(refusal)).http(), true);
        }
        check(
            answer(Said::Granted(Taken {
                work_id: "work_1".into(),
            }))
            .http(),
            true,
        );
        check(answer(Said::<Taken>::Garbage).http(), false);
        assert_eq!(answer(Said::<Taken>::Reset { taken: true }).http(), None);
    }

    #[test]
    fn both_readings_of_a_submit_agree() {
        let check = |said: Said<Taken>, expected: &str| {
            let answer = answer(said);
            let http = answer.http();
            let reply = answer.intake_reply();
            let (status, body, found) = match &reply {
                IntakeReply::Accepted { status, id, .. } => {
                    let body = format!(r#"{{"work_id":"{}"}}"#, id.0);
                    (Some(*status), Some(body), "accepted")
                }
                IntakeReply::Rejected { status, body, .. } => {
                    (Some(*status), Some(body.to_string()), "rejected")
                }
                IntakeReply::Failed { status: None, .. } => (None, None, "reset"),
                IntakeReply::Failed { status, detail, .. } => {
                    (*status, Some(detail.to_string()), "garbage")
                }
            };
            assert_eq!(found, expected);
            assert_eq!(http.as_ref().map(|http| http.status), status);
            assert_eq!(http.map(|http| http.body.into_owned()), body);
        };
        check(
            Said::Granted(Taken {
                work_id: "work_1".into(),
            }),
            "accepted",
        );
        check(
            Said::Refused(Refusal::Throttled { retry_after_s: 2 }),
            "rejected",
        );
        check(Said::Refused(Refusal::Internal), "rejected");
        check(Said::Garbage, "garbage");
        check(Said::Reset { taken: true }, "reset");
        check(Said::Reset { taken: false }, "reset");
    }

    #[test]
    fn a_hint_stands_in_the_header_and_in_the_reading() {
        let open = Answer {
            ask_again_s: Some(7),
            ..answer(Said::Granted(Word::Running))
        };
        assert_eq!(open.http().unwrap().retry_after_s, Some(7));
        let PollReply::Open { hint, .. } = open.poll_reply() else {
            panic!("a running work is open");
        };
        assert_eq!(hint.retry_after, Some(Span::from_secs(7)));
    }

    #[test]
    fn a_poll_reads_as_the_contract_says() {
        let check = |said: Said<Word>, holds: fn(&PollReply) -> bool| {
            let reply = answer(said).poll_reply();
            assert!(holds(&reply), "{reply:?}");
        };
        check(
            Said::Granted(Word::Pending),
            |reply| matches!(reply, PollReply::Open { status, known: true, .. } if &**status == "pending"),
        );
        check(
            Said::Granted(Word::Failed),
            |reply| matches!(reply, PollReply::Terminal(end, _) if end.ending == Ending::Failed),
        );
        check(Said::Refused(Refusal::UnknownWork), |reply| {
            matches!(reply, PollReply::Denied { gone: false, .. })
        });
        check(
            Said::Refused(Refusal::Throttled { retry_after_s: 2 }),
            |reply| {
                let PollReply::Throttled { status: 429, hint } = reply else {
                    return false;
                };
                hint.retry_after == Some(Span::from_secs(2))
            },
        );
        check(Said::Refused(Refusal::Internal), |reply| {
            matches!(reply, PollReply::Error { status: 500, .. })
        });
        check(Said::Garbage, |reply| {
            *reply == PollReply::Fault(Fault::Body)
        });
        check(Said::Reset { taken: false }, |reply| {
            *reply == PollReply::Fault(Fault::Reset)
        });
    }
}
