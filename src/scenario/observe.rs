//! `[observe]`: how the end of a work is learned, and what a callback looks like.

use std::sync::Arc;

use super::cursor::Cursor;
use super::mistake::Mistakes;
use super::profile::rule;
use super::resolve::ReadFile;
use super::{BodyForm, Pointer, Poll, PollPolicy, PollShape, Profile, SecretRef, TerminalRule};
use crate::random::{Purpose, unit_at};
use crate::time::{Span, Tick};

/// How the end of a work is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By polls alone.
    Poll,
    /// By callbacks alone.
    Callback,
    /// Each work both ways, and polled to its own terminal poll whatever a callback said: every
    /// work is its own control.
    Both,
    /// By callbacks; works without one past a deadline are polled.
    Hybrid,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Poll, Self::Callback, Self::Both, Self::Hybrid];

    /// The mode of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }

    /// Whether the service calls back.
    pub const fn hears_callbacks(self) -> bool {
        !matches!(self, Self::Poll)
    }

    /// Whether every work is polled until a poll sees its end: then, and only then, polls tell the
    /// distribution of the ends.
    pub const fn polls_to_the_end(self) -> bool {
        matches!(self, Self::Poll | Self::Both)
    }

    /// The word in a scenario and in a report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Callback => "callback",
            Self::Both => "both",
            Self::Hybrid => "hybrid",
        }
    }
}

/// How works are observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Observe {
    /// By polls, callbacks or both.
    pub mode: Mode,
    /// From the accept until a callback that has not come is overdue; then `hybrid` polls.
    pub deadline: Span,
    /// How callbacks are received; read in every mode, used where the mode hears them.
    pub callback: CallbackPlan,
}

/// How callbacks are received and understood.
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackPlan {
    /// Where the receiver listens: an address and a port, 0 for any free one.
    pub listen: String,
    /// By which base URL the service reaches it, without a trailing slash; none = where it listens.
    pub public_url: Option<String>,
    /// Certificate chain in PEM, and where the key for it comes from.
    pub tls: Option<(Arc<[u8]>, SecretRef)>,
    /// The path segment that a callback must carry; none = drawn anew for each run.
    pub token: Option<SecretRef>,
    /// How the URL reaches the service.
    pub url: UrlTo,
    /// How a callback finds its work.
    pub find: Find,
    /// The form of its body.
    pub form: BodyForm,
    /// What its body must say to end a work.
    pub terminal: TerminalRule,
    /// Where this key is present, and neither null nor false, in a terminal one, the work failed.
    pub failed_if: Option<Pointer>,
    /// Where a terminal one says when the work ended.
    pub finished_at: Option<Pointer>,
    /// The header that is the same in each attempt of one delivery.
    pub delivery_header: String,
    /// How it is signed, if it is.
    pub signature: Option<SignaturePlan>,
    /// The most of a body that is read, in bytes; a longer one is answered 413.
    pub max_body: u64,
    /// Connections at once.
    pub connections: u32,
    /// From the first byte of a request until it is read.
    pub read_timeout: Span,
    /// Callbacks that are kept while nobody knows their work.
    pub parked: u32,
    /// How long each of them is kept.
    pub park_for: Span,
    /// After the last work has settled: how long late and repeated callbacks are still heard.
    pub linger: Span,
    /// What the receiver does wrong on purpose.
    pub faults: Vec<ReceiverFault>,
}

/// How the URL of the receiver reaches the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlTo {
    /// In the body of the submit.
    Body(Pointer),
    /// In a header of the submit.
    Header(String),
    /// It is configured at the service.
    Server,
}

/// How a callback finds its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// The id stands in the body.
    Body(Pointer),
    /// The id is the last segment of the path.
    Path,
    /// The id is a parameter of the query.
    Query(String),
    /// Each work has a URL of its own.
    OwnUrl,
}

/// How a callback is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignaturePlan {
    /// By which scheme.
    pub scheme: SignatureScheme,
    /// Any of these may have been used: so keys are rotated.
    pub secrets: Vec<SecretRef>,
    /// By how much the time of the signature may differ from ours, where the scheme has one.
    pub tolerance: Span,
}

/// A scheme of signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureScheme {
    /// Standard Webhooks, version 1.
    Standard,
    /// `X-Hub-Signature-256`.
    Github,
    /// HMAC-SHA-256 of the body.
    Hmac {
        /// The header.
        header: String,
        /// What stands before the code in it.
        prefix: String,
        /// Base64, not hex.
        base64: bool,
    },
    /// `Authorization: Bearer SECRET`.
    Bearer,
}

/// What the receiver does wrong on purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiverFault {
    /// What it does.
    pub kind: ReceiverFaultKind,
    /// Share of the callbacks to which it does so.
    pub ratio: f64,
    /// From when on.
    pub at: Tick,
    /// Until when.
    pub until: Tick,
}

/// A kind of what the receiver does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverFaultKind {
    /// It answers 200 this much later.
    Slow(Span),
    /// It answers this status.
    Status(u16),
    /// It resets the connection.
    Reset,
    /// It never answers.
    Silent,
}

impl ReceiverFaultKind {
    /// Whether it takes in what the callback said: a late 200 is a 200.
    pub const fn takes(self) -> bool {
        match self {
            Self::Slow(_) => true,
            Self::Status(status) => status >= 200 && status < 300,
            Self::Reset | Self::Silent => false,
        }
    }
}

impl CallbackPlan {
    /// What the receiver does wrong with the n-th callback, which it has read at `at`: the first
    /// fault in the list that applies.
    pub fn fault(&self, seed: u64, n: u64, at: Tick) -> Option<ReceiverFaultKind> {
        let number = |index: usize| n << 8 | index as u64;
        let applies = |(index, fault): &(usize, &ReceiverFault)| {
            let in_time = fault.at <= at && at < fault.until;
            let draw = || unit_at(seed, Purpose::RECEIVER_FAULTS, number(*index));
            in_time && (fault.ratio >= 1.0 || draw() < fault.ratio)
        };
        let mut faults = self.faults.iter().enumerate();
        faults.find(applies).map(|(_, fault)| fault.kind)
    }
}

/// Reads `[observe]`.
pub(super) fn observe(
    at: &Cursor<'_>,
    (api, poll): (&Profile, &Poll),
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Observe {
    let mode = Mode::named(at.text("mode")).unwrap_or(Mode::Poll);
    if api.poll == PollShape::Nowhere && mode != Mode::Callback {
        let mode = at.at("mode");
        let hint = Some("write mode = \"callback\" in [observe]".to_owned());
        let expected = "\"callback\", as api.poll.by is \"none\"";
        let found = format!("\"{}\"", at.text("mode"));
        mistakes.add(mode.path(), mode.place(), found, expected, hint);
    }
    together(at, mode, poll, mistakes);
    Observe {
        mode,
        deadline: at.span("deadline"),
        callback: callback(&at.at("callback"), mode, api, read, mistakes),
    }
}

/// What the way of polling and the mode do not have in common.
fn together(at: &Cursor<'_>, mode: Mode, poll: &Poll, mistakes: &mut Mistakes<'_>) {
    let mut refuse = |key: &str, found: &str, expected: &str| {
        let at = at.at(key);
        mistakes.add(at.path(), at.place(), found, expected, None);
    };
    if matches!(poll.policy, PollPolicy::Optimal { .. }) && !mode.polls_to_the_end() {
        let expected = "\"poll\" or \"both\": the policy optimal learns from works that are polled to \
                        their end";
        refuse("mode", mode.word(), expected);
    }
    if mode == Mode::Callback && poll.recheck > 0.0 {
        refuse(
            "mode",
            "\"callback\" with poll.recheck",
            "no polls where only callbacks tell",
        );
    }
    if mode == Mode::Hybrid && at.span("deadline") >= poll.give_up_after {
        let found = at.text("deadline");
        let expected = "a deadline before poll.give_up_after, when works are given up";
        refuse("deadline", found, expected);
    }
}

fn callback(
    at: &Cursor<'_>,
    mode: Mode,
    api: &Profile,
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> CallbackPlan {
    let (url, find) = (url(at), find(at));
    if url == UrlTo::Server && find == Find::OwnUrl {
        let find = at.at("find");
        let expected = "body, path or query, as the service has one URL for all works";
        mistakes.add(find.path(), find.place(), "\"url\"", expected, None);
    }
    let own = at.maybe("terminal");
    let terminal = match &own {
        Some(own) => rule(own, mistakes),
        None => api.terminal.clone(),
    };
    let by_status = matches!(terminal, TerminalRule::Status { .. });
    if by_status && mode.hears_callbacks() {
        let hint = "add terminal = { pointer = \"/status\", completed = [\"completed\"] } to \
                    [observe.callback]";
        let expected = "words or a key that tell the end: a callback has no status";
        let found = "a terminal rule by status";
        let terminal = at.at("terminal");
        mistakes.add(
            terminal.path(),
            at.place(),
            found,
            expected,
            Some(hint.into()),
        );
    }
    let inherited = |key: &str, from: &Option<Pointer>| match &own {
        Some(own) => own.pointer(key),
        None => from.clone(),
    };
    let tls = certificate(at, read, mistakes).zip(at.secret("tls_key"));
    if at.maybe("tls_cert").is_some() != at.maybe("tls_key").is_some() {
        let expected = "tls_cert and tls_key, or neither";
        mistakes.add(at.path(), at.place(), "one of two", expected, None);
    }
    CallbackPlan {
        listen: at.text("listen").to_owned(),
        public_url: at
            .at("public_url")
            .own_text()
            .map(|url| url.trim_end_matches('/').to_owned()),
        tls,
        token: at.secret("token"),
        url,
        find,
        form: match at.text("form") {
            "form" => BodyForm::Form,
            _ => BodyForm::Json,
        },
        terminal,
        failed_if: inherited("failed_if", &api.failed_if),
        finished_at: inherited("finished_at", &api.finished_at),
        delivery_header: at.text("delivery_header").to_owned(),
        signature: signature(at, mistakes),
        max_body: at.size("max_body"),
        connections: at.count("connections"),
        read_timeout: at.span("read_timeout"),
        parked: at.count("parked"),
        park_for: at.span("park_for"),
        linger: at.span("linger"),
        faults: at.items("faults").iter().map(fault).collect(),
    }
}

fn url(at: &Cursor<'_>) -> UrlTo {
    match at.text("url") {
        "header" => UrlTo::Header(at.text("header").to_owned()),
        "server" => UrlTo::Server,
        _ => UrlTo::Body(at.pointer("field").unwrap_or(Pointer(String::new()))),
    }
}

fn find(at: &Cursor<'_>) -> Find {
    match at.text("find") {
        "path" => Find::Path,
        "query" => Find::Query(at.text("parameter").to_owned()),
        "url" => Find::OwnUrl,
        _ => Find::Body(at.pointer("id").unwrap_or(Pointer(String::new()))),
    }
}

fn certificate(
    at: &Cursor<'_>,
    read: ReadFile<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Arc<[u8]>> {
    let file = at.maybe("tls_cert")?;
    let name = file.own_text()?;
    match read(name) {
        Ok(bytes) => Some(Arc::from(bytes)),
        Err(why) => {
            let found = format!("\"{name}\": {why}");
            mistakes.add(file.path(), file.place(), found, "a PEM file", None);
            None
        }
    }
}

/// Reads the table `signature` of a side that signs or verifies.
pub(super) fn signature(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) -> Option<SignaturePlan> {
    let at = at.maybe("signature")?;
    let scheme = match at.text("scheme") {
        "github" => SignatureScheme::Github,
        "bearer" => SignatureScheme::Bearer,
        "hmac" => SignatureScheme::Hmac {
            header: at.text("header").to_owned(),
            prefix: at.at("prefix").own_text().unwrap_or_default().to_owned(),
            base64: at.text("encoding") == "base64",
        },
        _ => SignatureScheme::Standard,
    };
    let secrets: Vec<SecretRef> = (at.items("secrets").iter())
        .filter_map(Cursor::own_secret)
        .collect();
    if secrets.is_empty() && at.at("secrets").is_there() {
        let secrets = at.at("secrets");
        let expected = "at least one \"env:NAME\" or \"file:PATH\"";
        mistakes.add(secrets.path(), secrets.place(), "no secret", expected, None);
    }
    Some(SignaturePlan {
        scheme,
        secrets,
        tolerance: at.span("tolerance"),
    })
}

fn fault(at: &Cursor<'_>) -> ReceiverFault {
    ReceiverFault {
        kind: match at.text("kind") {
            "slow" => ReceiverFaultKind::Slow(at.span("delay")),
            "reset" => ReceiverFaultKind::Reset,
            "silent" => ReceiverFaultKind::Silent,
            _ => ReceiverFaultKind::Status(u16::try_from(at.count("status")).unwrap_or(503)),
        },
        ratio: at.number("ratio"),
        at: Tick::ZERO + at.span("at"),
        until: match at.maybe("for") {
            Some(_) => Tick::ZERO + at.span("at") + at.span("for"),
            None => Tick::NEVER,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve::read;

    const GOOD: &str = "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
                        duration = '1s'\n";

    fn found(more: &str) -> Vec<(String, String)> {
        let none = |_: &str| Err("no file".to_owned());
        let mistakes = read(&format!("{GOOD}{more}"), &[], &none)
            .err()
            .unwrap_or_default();
        let said = |mistake: &crate::scenario::mistake::Mistake| {
            (mistake.path.clone(), format!("{mistake:?}"))
        };
        mistakes.iter().map(said).collect()
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_its_place() {
        let check = |more: &str, path: &str, word: &str| {
            let found = found(more);
            assert!(
                found
                    .iter()
                    .any(|(at, said)| at == path && said.contains(word)),
                "{more}: {found:?}"
            );
        };
        check("[api.poll]\nby = 'none'", "observe.mode", "api.poll.by");
        check(
            "[poll]\npolicy = 'optimal'\n[observe]\nmode = 'hybrid'",
            "observe.mode",
            "optimal",
        );
        check(
            "[poll]\nrecheck = 0.5\n[observe]\nmode = 'callback'",
            "observe.mode",
            "recheck",
        );
        check(
            "[observe]\nmode = 'hybrid'\ndeadline = '2m'",
            "observe.deadline",
            "give_up_after",
        );
        check(
            "[observe]\nmode = 'both'\ncallback = { url = 'server', find = 'url' }",
            "observe.callback.find",
            "one URL",
        );
        check(
            "[observe]\nmode = 'both'\ncallback = { tls_key = 'env:KEY' }",
            "observe.callback",
            "tls_cert",
        );
        check(
            "[observe]\ncallback = { signature = { scheme = 'github', secrets = [] } }",
            "observe.callback.signature.secrets",
            "at least one",
        );
    }

    #[test]
    fn a_fault_of_the_receiver_follows_from_seed_number_and_time() {
        let text = format!(
            "{GOOD}[observe]\nmode = 'both'\n[[observe.callback.faults]]\nkind = 'status'\n\
             status = 410\nat = '10s'\nfor = '5s'\n[[observe.callback.faults]]\nkind = 'slow'\n\
             delay = '2s'\nratio = 0.25\n"
        );
        let plan = read(&text, &[], &|_| Err(String::new())).unwrap();
        let callback = &plan.observe.callback;
        let at = |seconds| Tick::ZERO + Span::from_secs(seconds);
        let fault = |n, seconds| callback.fault(7, n, at(seconds));
        assert_eq!(fault(0, 10), Some(ReceiverFaultKind::Status(410)));
        assert!(!matches!(fault(0, 15), Some(ReceiverFaultKind::Status(_))));
        let slow = (0..10_000).filter(|n| fault(*n, 0).is_some()).count();
        // Four standard deviations of a binomial count are 173.
        assert!(slow.abs_diff(2_500) < 174, "{slow}");
        assert!((0..100).all(|n| fault(n, 0) == fault(n, 0)));
    }
}
