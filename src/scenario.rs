//! Plan: a scenario checked and resolved, with nothing optional left undecided.
//!
//! ```text
//!  text ──file──► Tree, checked by keys ──resolve──► Plan ──payload──► bodies and headers
//!    └────────────────► Mistake (every one) ──picture──► text for people
//! ```
//!
//! [`keys`] is the catalogue of keys (paths, kinds, defaults, words for the schema), [`mod@file`]
//! reads TOML by it and finds every mistake at once, [`resolve`] makes the [`Plan`], and
//! [`payload`] renders requests from it. Files that a scenario names are given as bytes: nothing
//! here opens one.

use crate::time::Span;
pub use api::{
    BodyForm, Condition, HeaderWords, IdSource, Pointer, PollShape, Profile, ResetForm,
    SubmitShape, SyncAnswer, TerminalRule, UrlSource,
};
pub use empirical::Empirical;
pub use observe::{
    CallbackPlan, Find, Mode, Observe, ReceiverFault, ReceiverFaultKind, SignaturePlan,
    SignatureScheme, UrlTo,
};
pub use size::SizePlan;

/// Everything that a run does, decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the run directory.
    pub name: String,
    /// Every random choice of the run is a function of this number.
    pub seed: u64,
    /// Whom to load.
    pub target: Target,
    /// How the service speaks.
    pub api: Profile,
    /// How requests are carried.
    pub http: Http,
    /// The built-in service, where `target` is it.
    pub simulator: SimPlan,
    /// Stages, one after the other; never empty.
    pub load: Vec<Stage>,
    /// What a submit is.
    pub submit: Submit,
    /// How works are followed.
    pub poll: Poll,
    /// By polls, callbacks or both.
    pub observe: Observe,
    /// A limit of submits and polls together.
    pub limits: Option<Limits>,
    /// How long works are followed after the last arrival.
    pub drain_limit: Span,
    /// What must hold.
    pub slo: Vec<Slo>,
    /// What `plimsoll size` decides.
    pub size: Option<SizePlan>,
    /// When the measurement itself is not to be trusted.
    pub validity: ValidityLimits,
    /// What is written.
    pub report: ReportPlan,
}

/// The service under test.
#[derive(Clone, Debug)]
pub struct Target {
    /// The built-in service, or an origin with an optional path, without a trailing slash.
    pub base: Base,
    /// Fills `{intake_id}` in the profile's paths.
    pub intake_id: String,
    /// Where the key comes from; the key itself is never in a plan.
    pub api_key: Option<SecretRef>,
    /// Origins beside that of `base_url` which may be given the key.
    pub trusted_origins: Vec<String>,
    /// A ceiling of all requests together, which no other setting can exceed.
    pub max_rate: Option<Rate>,
}

/// What `base_url` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// `"simulator"`: the service is started with the run.
    Simulator,
    /// A real one: `scheme://host[:port][/path]`.
    Url(String),
}

/// A reference to a secret, as it may be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `env:NAME`
    Env(String),
    /// `file:PATH`
    File(String),
}

/// An exact rate: `count` in every `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, never 0 except in a ramp's end or a pause.
    pub count: u64,
    /// In which time, never 0.
    pub per: Span,
}

impl Rate {
    /// Works or requests per second.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate for people and for statistics"
    )]
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.per.seconds()
    }
}

/// A bucket: a rate and how many may leave at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The rate at which it fills.
    pub rate: Rate,
    /// How much it holds, at least 1.
    pub burst: u32,
}

/// One stage of the load.
#[derive(Clone, Debug)]
pub struct Stage {
    /// When arrivals are due.
    pub arrivals: Arrivals,
    /// How long the stage lasts.
    pub duration: Span,
}

/// The law of the arrivals of a stage.
#[derive(Clone, Debug)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant(Shape),
    /// A Poisson process.
    Poisson(Shape),
    /// A recorded log: offsets from the start of the stage, ascending.
    Replay(std::sync::Arc<[Span]>),
}

/// The rate over a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The same all the time.
    Flat(Rate),
    /// Changing linearly from one to the other.
    Ramp(Rate, Rate),
}

/// What a submit is.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The body, a template.
    pub body: payload::Template,
    /// Headers beside those of the profile: name and template.
    pub headers: Vec<(String, payload::Template)>,
    /// An `Idempotency-Key` header.
    pub idempotency_key: IdempotencyKey,
    /// Rows that templates may use.
    pub corpus: Option<payload::Corpus>,
    /// From the send to the whole answer.
    pub timeout: Span,
    /// Submits on the wire at once; 0 = no cap, the open loop.
    pub max_in_flight: u32,
    /// What happens to an arrival that a local limit holds back.
    pub overload: Overload,
    /// How often a submit that got 429 is sent again; 0 = it is rejected.
    pub retries: u32,
}

/// The form of the `Idempotency-Key` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdempotencyKey {
    /// Not sent.
    Off,
    /// As Stripe has it: a bare uuid.
    Bare,
    /// As the IETF draft has it: a structured-field string.
    Quoted,
}

/// What happens to an arrival that a local limit holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// It waits; the wait counts in its latency.
    Queue,
    /// It is not sent, and counted.
    Drop,
}

/// How works are followed.
#[derive(Clone, Debug)]
pub struct Poll {
    /// When to ask again.
    pub policy: PollPolicy,
    /// The first interval.
    pub interval: Span,
    /// When to ask first.
    pub first: FirstPoll,
    /// What an interval is counted from.
    pub from: PollFrom,
    /// How the works of an earlier run ended: where `Optimal` begins.
    pub like: Option<std::sync::Arc<[earlier::Ended]>>,
    /// From the accept until a work is given up.
    pub give_up_after: Span,
    /// From the accept until a work that was never visible counts as lost.
    pub lost_after: Span,
    /// From the send to the whole answer.
    pub timeout: Span,
    /// This caller's own bucket for polls.
    pub budget: Option<Bucket>,
    /// Headers beside those of the profile.
    pub headers: Vec<(String, String)>,
    /// Share of the settled works that are asked once more, in `[0, 1]`.
    pub recheck: f64,
    /// How long after its end such a work is asked again.
    pub recheck_after: Span,
    /// How long the id of a settled work is remembered.
    pub remember: Span,
}

/// When to ask again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PollPolicy {
    /// The same interval each time.
    Fixed,
    /// Each interval `factor` times the one before, up to `cap`; each one shortened or lengthened
    /// by up to the share `jitter`, drawn from the seed.
    Exponential {
        /// At least 1.
        factor: f64,
        /// The longest interval.
        cap: Span,
        /// In `[0, 1)`.
        jitter: f64,
    },
    /// What the `Retry-After` of an open answer says, else the interval.
    Hinted,
    /// The ages at which works are found to end, at the polls per work of `Fixed`.
    Optimal {
        /// The longest time between two polls of a work, at least the interval.
        longest: Span,
    },
}

/// When a work is asked first, counted from its accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPoll {
    /// Uniform in one interval.
    Random,
    /// After one interval.
    Interval,
    /// At once.
    Now,
}

/// What an interval is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollFrom {
    /// The schedule: slots that have passed are skipped and counted.
    Schedule,
    /// The last answer.
    Answer,
}

/// A limit of submits and polls together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The ceiling; `None` = only what is learned.
    pub bucket: Option<Bucket>,
    /// Obey what `RateLimit` headers say.
    pub learn: bool,
}

/// How requests are carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Which version of HTTP.
    pub version: HttpVersion,
    /// From the start of a connection until it can carry a request.
    pub connect_timeout: Span,
    /// Requests on the wire at once; 0 = no cap.
    pub max_in_flight: u32,
    /// Connections that are opened before the first intended start.
    pub warm_up: u32,
    /// An idle connection is kept this long.
    pub keep_alive: Span,
    /// A PEM file of certificate authorities to trust beside the system's, already read.
    pub ca: Option<std::sync::Arc<[u8]>>,
    /// Accept any certificate. Only by an explicit key, and shown in the report.
    pub insecure: bool,
    /// Use the proxy that the environment names.
    pub proxy_from_environment: bool,
    /// The most of a response body that is read; a longer one is a fault of kind `body`.
    pub max_body: u64,
    /// Which client carries them.
    pub lane: Lane,
}

/// Which client carries requests. Both mean the same by their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Our own connections: HTTP/1.1 without a proxy, at the lowest cost.
    Direct,
    /// reqwest: everything.
    Reqwest,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Reqwest];

    /// The word in a scenario and in a report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Reqwest => "reqwest",
        }
    }
}

/// Which version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only: by ALPN under TLS, by prior knowledge without.
    Http2,
    /// What ALPN yields; HTTP/1.1 without TLS.
    Auto,
}

/// The simulated service.
#[derive(Clone, Debug, PartialEq)]
pub struct SimPlan {
    /// Workers that share one queue; 0 = as many as there are works.
    pub workers: u32,
    /// How long a worker is busy with a work.
    pub service_time: Law,
    /// The same for a work that fails, where it is another law.
    pub failed_service_time: Option<Law>,
    /// Share of the works that fail.
    pub fail_ratio: f64,
    /// From the request to its answer, for submits.
    pub accept_delay: Law,
    /// From the request to its answer, for polls.
    pub poll_delay: Law,
    /// One way between caller and service, in virtual time.
    pub network_delay: Law,
    /// To what its answers tell when a work ended, by its own clock; none if they do not.
    pub finished_at: Option<Span>,
    /// The bucket of the service.
    pub rate_limit: Option<Bucket>,
    /// What the bucket counts.
    pub rate_scope: RateScope,
    /// The key it wants, if one is named; otherwise any that begins with `user.` or `team.`.
    pub api_key: Option<SecretRef>,
    /// The intake it serves.
    pub intake_id: String,
    /// From the accept until a poll can see the work.
    pub visible_after: Span,
    /// The `Retry-After` of an answer that a work is open, in seconds; 0 = none.
    pub retry_after_s: u32,
    /// Times in which it answers nothing; requests that come then are served at the end.
    pub stalls: Vec<Window>,
    /// Times in which everything is answered 429.
    pub refusals: Vec<Window>,
    /// Share of the requests answered 500.
    pub error_ratio: f64,
    /// Share of the submits whose connection is reset before the work is taken.
    pub reset_before_ratio: f64,
    /// Share of the submits whose connection is reset after the work is taken.
    pub reset_after_ratio: f64,
    /// Share of the accepted works that a poll no longer finds from half of their life on.
    pub lose_ratio: f64,
    /// Share of the works that never end.
    pub endless_ratio: f64,
    /// Share of the works that are given the id of the work before.
    pub repeat_id_ratio: f64,
    /// Share of the works whose terminal state is taken back at the first poll after it was told.
    pub revert_ratio: f64,
    /// Share of the answers that are not JSON.
    pub garbage_ratio: f64,
    /// How it calls back.
    pub callback: SimCallback,
}

/// How the simulated service calls back.
#[derive(Clone, Debug, PartialEq)]
pub struct SimCallback {
    /// Where it calls for every work whose submit does not say; none = only where one does.
    pub url: Option<String>,
    /// Where the body of a submit says it.
    pub field: Pointer,
    /// The header of a submit that says it.
    pub header: String,
    /// From the end of a work to the first attempt.
    pub delay: Law,
    /// Share of the deliveries that are made twice.
    pub duplicate_ratio: f64,
    /// Share of the deliveries that are never made.
    pub drop_ratio: f64,
    /// Share of the deliveries that are held back, so that later ones overtake them.
    pub reorder_ratio: f64,
    /// For how long they are.
    pub reorder_delay: Law,
    /// From a failed attempt to the next; after the last of them it gives up.
    pub retries: Vec<Span>,
    /// How long it waits for an answer.
    pub timeout: Span,
    /// Attempts on the wire at once; 0 = no cap.
    pub concurrency: u32,
    /// How it signs, if it does.
    pub signature: Option<SignaturePlan>,
    /// It calls at all: not where a run learns of ends by polls alone, as what a submit says may be
    /// a copy of what a real one said.
    pub calls: bool,
    /// Where a call names its work: what `observe.callback.find` says, as nobody else listens.
    pub find: Find,
}

impl SimPlan {
    /// How long a worker is busy with any work, whether it fails or not.
    pub fn any_service_time(&self) -> Law {
        match &self.failed_service_time {
            None => self.service_time.clone(),
            Some(failed) => Law::Mixture(vec![
                (1.0 - self.fail_ratio, self.service_time.clone()),
                (self.fail_ratio, failed.clone()),
            ]),
        }
    }
}

impl SimCallback {
    /// Each delivery once, at once and unsigned, to where the submit says.
    pub fn faultless() -> Self {
        Self {
            url: None,
            field: Pointer("/callback_url".into()),
            header: "X-Callback-URL".into(),
            delay: Law::Fixed(Span::ZERO),
            duplicate_ratio: 0.0,
            drop_ratio: 0.0,
            reorder_ratio: 0.0,
            reorder_delay: Law::Fixed(Span::ZERO),
            retries: Vec::new(),
            timeout: Span::from_secs(15),
            concurrency: 0,
            signature: None,
            calls: true,
            find: Find::Body(Pointer("/work_id".into())),
        }
    }
}

/// A time window of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it begins, from the start of the service.
    pub at: Span,
    /// How long it lasts.
    pub length: Span,
}

/// What the bucket of the service counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateScope {
    /// Submits only.
    Submit,
    /// Polls only.
    Poll,
    /// All requests.
    Both,
}

/// A law of random times.
#[derive(Clone, Debug, PartialEq)]
pub enum Law {
    /// Always the same.
    Fixed(Span),
    /// Uniform between two ends.
    Uniform(Span, Span),
    /// Exponential with a mean.
    Exponential(Span),
    /// Log-normal with a median and the standard deviation of the logarithm.
    Lognormal(Span, f64),
    /// One of several, by weight; the weights sum to 1.
    Mixture(Vec<(f64, Law)>),
    /// As it was measured. No scenario says it; a run that is to be like an earlier one has it.
    Empirical(Empirical),
}

/// A promise to be judged: `metric.statistic < 250ms`, `ratio < 2%`, `count == 0`,
/// `achieved_rate >= 45/s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// As written.
    pub that: String,
    /// What is judged: a metric's or a count's name, `<ratio>_ratio`, or `achieved_rate`.
    pub subject: String,
    /// For a metric: which statistic of it.
    pub statistic: Option<Statistic>,
    /// The relation that must hold.
    pub relation: Relation,
    /// The bound in SI units: seconds, a fraction, a count, or per second.
    pub bound: f64,
    /// By the 95 % bound, or on the bare value.
    pub judge: Judge,
}

/// A statistic of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The arithmetic mean.
    Mean,
    /// A quantile, in `(0, 1)`.
    Quantile(f64),
    /// The largest.
    Max,
}

/// A relation between a measured value and a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `==`
    Equal,
}

/// How an SLO is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// By one-sided 95 % bounds.
    Bounds,
    /// On the bare value.
    Point,
}

/// When the measurement itself is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidityLimits {
    /// The largest p99 of the generator's own lateness.
    pub schedule_lag_p99: Span,
    /// The largest share of a core that the generator may use over ten seconds.
    pub cpu_share: f64,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportPlan {
    /// Whether `works.csv` has a row for each submission; otherwise it has none.
    pub works: bool,
    /// Bytes of one body kept in `failures.jsonl`.
    pub body_bytes: u64,
    /// Bytes of all last bodies of open works held in memory.
    pub open_body_bytes: u64,
    /// Lines of `failures.jsonl`.
    pub failures: u64,
}

pub mod api;
mod auxot;
pub mod corpus;
mod cursor;
pub mod earlier;
pub mod empirical;
pub mod file;
mod http;
pub mod keys;
pub mod kind;
pub mod law;
pub mod mask;
pub mod mistake;
pub mod observe;
pub mod payload;
mod profile;
pub mod rate;
mod requests;
pub mod resolve;
mod rows;
pub mod schema;
pub mod size;
pub mod slo;
mod stages;
pub mod tree;
