//! The catalogue: every key of a scenario, its kind, its default and what it means.
//!
//! The check of a file, the JSON Schema, the reference in `docs/scenario.md` and the suggestions
//! for unknown keys all come from this one list.

use super::kind::Kind;
use Kind::{
    AnyOf, Bool, Choice, Choices, Duration, File, Headers, Integer, Number, Pointer, Positive,
    Ratio, Scalar, Scalars, Secret, Size, Statuses, Text, Texts,
};

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path; `[]` stands for an item of a list of tables.
    pub path: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds where it is not written.
    pub fallback: Fallback,
    /// What it means.
    pub doc: &'static str,
}

/// What holds where a key is not written. Defaults are TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It must be written.
    Required,
    /// Nothing: the key is optional.
    Nothing,
    /// This value.
    Default(&'static str),
    /// This value, unless one of these sisters is written.
    Unless(&'static [&'static str], &'static str),
    /// This value where a sister has a word; elsewhere the key is refused.
    When(&'static str, &'static str, &'static str),
    /// A tenth of a second's worth of the sister, at least 1; without the sister the key is
    /// refused.
    BurstOf(&'static str),
}

use Fallback::{BurstOf, Default, Nothing, Required, Unless, When};

const fn key(path: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Key {
    Key {
        path,
        kind,
        fallback,
        doc,
    }
}

const COUNT: Kind = Integer(0, 4_294_967_295);
const BURST: Kind = Integer(1, 4_294_967_295);
const TABLE: Fallback = Default("{}");

/// Every key, in the order of the reference.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("name", Text, Required, "Names the run directory."),
    key("seed", Integer(0, i64::MAX), Default("1"), "Every random choice of the run is a function of this number."),

    key("target", Kind::Table, TABLE, "Whom to load."),
    key("target.base_url", Kind::BaseUrl, Required, "\"simulator\" starts the built-in service; otherwise the URL before the paths of the API."),
    key("target.intake_id", Text, Default("\"demo\""), "Fills {intake_id} in the paths of the API."),
    key("target.api_key", Secret, Nothing, "Where the key comes from: env:NAME or file:PATH. A literal key is refused. With the simulator an unset variable is fine."),
    key("target.trusted_origins", Kind::Origins, Default("[]"), "Origins beside that of base_url which may be given the key."),
    key("target.max_rate", Kind::Rate, Nothing, "A ceiling of all requests together, which no other setting can exceed."),

    key("http", Kind::Table, TABLE, "How requests are carried."),
    key("http.version", Choice(&["1.1", "2", "auto"]), Default("\"1.1\""), "The version of HTTP; auto takes what TLS negotiates."),
    key("http.connect_timeout", Positive, Default("\"5s\""), "From the start of a connection until it can carry a request."),
    key("http.max_in_flight", COUNT, Default("0"), "Requests on the wire at once, submits and polls together; 0 = no cap. Over HTTP/1.1 each has a connection of its own."),
    key("http.warm_up", COUNT, Default("0"), "Connections that are opened before the first intended start, so that the load does not begin with their opening; by Little's law as many are in use as requests a second x seconds of a round trip. The run begins 1 ms later for each, and says how many stood. Only with the direct lane."),
    key("http.keep_alive", Duration, Default("\"90s\""), "How long an idle connection is kept."),
    key("http.ca", File, Nothing, "A PEM file of certificate authorities to trust beside the system's."),
    key("http.insecure", Bool, Default("false"), "Accept any certificate. The report shows it."),
    key("http.proxy", Choice(&["none", "environment"]), Default("\"none\""), "Whether the proxy that the environment names is used."),
    key("http.max_body", Size, Default("\"1MiB\""), "The most of an answer's body that is read; a longer one is a fault of kind body."),
    key("http.lane", Choice(&["auto", "direct", "reqwest"]), Default("\"auto\""), "Which client carries the requests: direct costs the least and speaks HTTP/1.1 without a proxy, reqwest speaks everything; auto takes direct where it will do. The report names it."),

    key("simulator", Kind::Table, TABLE, "The built-in service; read when base_url is \"simulator\", by `plimsoll sim`, and by `plimsoll run --virtual`."),
    key("simulator.workers", COUNT, Default("0"), "Workers that share one queue; 0 = no queue."),
    key("simulator.service_time", Kind::Law, Default("\"lognormal(2s, 0.6)\""), "How long a worker is busy with a work."),
    key("simulator.failed_service_time", Kind::Law, Nothing, "The same for works that fail; omitted = service_time."),
    key("simulator.fail_ratio", Ratio, Default("0.0"), "Share of the works that fail."),
    key("simulator.accept_delay", Kind::Law, Default("\"fixed(0s)\""), "From a submit to its answer."),
    key("simulator.poll_delay", Kind::Law, Default("\"fixed(0s)\""), "From a poll to its answer."),
    key("simulator.network_delay", Kind::Law, Default("\"fixed(0s)\""), "From the caller to it, and back, each way; in virtual time only (`plimsoll run --virtual`), elsewhere the network is a real one."),
    key("simulator.finished_at", Positive, Nothing, "To what a terminal answer tells in `finished_at`, by its own clock, when the work ended: \"1s\" has whole seconds; omitted = it does not."),
    key("simulator.rate_limit", Kind::Rate, Nothing, "Its rate limit; omitted = none."),
    key("simulator.rate_burst", BURST, BurstOf("rate_limit"), "How many requests may come at once."),
    key("simulator.rate_scope", Choice(&["submit", "poll", "both"]), Default("\"both\""), "What the limit counts."),
    key("simulator.api_key", Secret, Nothing, "The key it wants; omitted = any that begins with user. or team."),
    key("simulator.intake_id", Text, Default("\"demo\""), "The intake it serves."),
    key("simulator.visible_after", Duration, Default("\"0s\""), "From the accept until a poll can see the work."),
    key("simulator.stalls", Kind::Tables, Default("[]"), "Times in which it answers nothing."),
    key("simulator.stalls[].at", Duration, Required, "When the stall begins, from the start of the service."),
    key("simulator.stalls[].for", Positive, Required, "How long it lasts."),
    key("simulator.retry_after", Integer(0, 86_400), Default("0"), "The Retry-After of every answer that a work is still open, in seconds; 0 = none."),
    key("simulator.refusals", Kind::Tables, Default("[]"), "Times in which it answers 429 to everything."),
    key("simulator.refusals[].at", Duration, Required, "When they begin, from the start of the service."),
    key("simulator.refusals[].for", Positive, Required, "How long they last."),
    key("simulator.error_ratio", Ratio, Default("0.0"), "Share of the requests answered 500."),
    key("simulator.reset_before_ratio", Ratio, Default("0.0"), "Share of the submits whose connection is reset before the work is taken."),
    key("simulator.reset_after_ratio", Ratio, Default("0.0"), "Share of the submits whose connection is reset after the work is taken."),
    key("simulator.lose_ratio", Ratio, Default("0.0"), "Share of the accepted works that a poll no longer finds from half of their life on."),
    key("simulator.endless_ratio", Ratio, Default("0.0"), "Share of the works that never end."),
    key("simulator.repeat_id_ratio", Ratio, Default("0.0"), "Share of the works that are given the id of the work before."),
    key("simulator.revert_ratio", Ratio, Default("0.0"), "Share of the works whose end is taken back at the poll after it was told."),
    key("simulator.garbage_ratio", Ratio, Default("0.0"), "Share of the answers that are not JSON."),
    key("simulator.callback", Kind::Table, TABLE, "How it calls back when a work ends, where a submit or url says whereto."),
    key("simulator.callback.url", Kind::Url, Nothing, "Whereto for every work whose submit does not say."),
    key("simulator.callback.field", Pointer, Default("\"/callback_url\""), "Where the body of a submit says whereto."),
    key("simulator.callback.header", Text, Default("\"X-Callback-URL\""), "The header of a submit that says whereto."),
    key("simulator.callback.delay", Kind::Law, Default("\"fixed(0s)\""), "From the end of a work to the first attempt."),
    key("simulator.callback.duplicate_ratio", Ratio, Default("0.0"), "Share of the deliveries that are made twice."),
    key("simulator.callback.drop_ratio", Ratio, Default("0.0"), "Share of the deliveries that are never made."),
    key("simulator.callback.reorder_ratio", Ratio, Default("0.0"), "Share of the deliveries that are held back, so that later ones overtake them."),
    key("simulator.callback.reorder_delay", Kind::Law, Default("\"exp(1s)\""), "For how long they are."),
    key("simulator.callback.retries", Kind::Durations, Default("[\"5s\", \"5m\"]"), "From an attempt that failed to the next; after the last it gives up. 410 ends them at once."),
    key("simulator.callback.timeout", Positive, Default("\"15s\""), "How long it waits for an answer."),
    key("simulator.callback.concurrency", COUNT, Default("0"), "Attempts on the wire at once; 0 = no cap."),
    key("simulator.callback.signature", Kind::Table, Nothing, "How it signs; omitted = it does not."),
    key("simulator.callback.signature.scheme", Choice(&["standard", "github", "hmac", "bearer"]), Required, "Standard Webhooks v1, GitHub's X-Hub-Signature-256, HMAC-SHA-256 of the body in a header of your choice, or a bearer token."),
    key("simulator.callback.signature.secrets", Kind::Secrets, Required, "It signs with the first; Standard Webhooks has a signature for each."),
    key("simulator.callback.signature.header", Text, When("scheme", "hmac", "\"X-Signature\""), "The header that holds the code."),
    key("simulator.callback.signature.prefix", Text, Nothing, "What stands before the code, such as sha256=."),
    key("simulator.callback.signature.encoding", Choice(&["hex", "base64"]), When("scheme", "hmac", "\"hex\""), "How the code is written."),
    key("simulator.callback.signature.tolerance", Positive, When("scheme", "standard", "\"5m\""), "By how much the time of a signature may differ."),

    key("load", Kind::Tables, Required, "Stages of the load, one after the other."),
    key("load[].arrivals", Choice(&["constant", "poisson", "replay"]), Default("\"poisson\""), "Evenly spaced, a Poisson process, or a recorded log."),
    key("load[].rate", AnyOf(&[Kind::RateOrZero, Kind::Table]), Nothing, "Arrivals per time, or a ramp { from, to }. 0/s is a pause. Required unless the arrivals are a replay."),
    key("load[].rate.from", Kind::RateOrZero, Required, "The rate at the start of the stage."),
    key("load[].rate.to", Kind::RateOrZero, Required, "The rate at its end."),
    key("load[].duration", Positive, Nothing, "How long the stage lasts. A replay without it ends with its last arrival; arrivals at or after it are left out."),
    key("load[].file", File, Nothing, "For a replay: a CSV file with a header line, one arrival a row, in order of time."),
    key("load[].column", Text, When("arrivals", "replay", "\"timestamp\""), "The column that holds the time: RFC 3339, or seconds from any origin. The first one is the start of the stage."),
    key("load[].time_scale", Number(1e-6, 1e6), When("arrivals", "replay", "1.0"), "Recorded gaps are multiplied by this: 0.5 replays twice as fast."),

    key("submit", Kind::Table, TABLE, "What a submit is."),
    key("submit.body", Kind::Template, Default("'{\"source\": \"plimsoll\", \"seq\": {{seq}}}'"), "The body, a template; a JSON object where the form is json."),
    key("submit.headers", Headers, Default("{}"), "Headers beside those of the API; values are templates."),
    key("submit.idempotency_key", Choice(&["off", "bare", "quoted"]), Default("\"off\""), "An Idempotency-Key header: bare as Stripe has it, quoted as the IETF draft has it."),
    key("submit.corpus", Kind::Table, Nothing, "Rows for {{corpus.FIELD}}, one row an arrival."),
    key("submit.corpus.file", File, Required, "A .csv file with a header line, or JSON objects, one a line."),
    key("submit.corpus.order", Choice(&["loop", "once"]), Default("\"loop\""), "What follows the last row: the first one, or nothing. With once the rows must outnumber the arrivals; for Poisson arrivals by six standard deviations."),
    key("submit.timeout", Positive, Default("\"10s\""), "From the send to the whole answer."),
    key("submit.max_in_flight", COUNT, Default("0"), "Submits on the wire at once; 0 = no cap, the open loop."),
    key("submit.overload", Choice(&["queue", "drop"]), Default("\"queue\""), "What happens to an arrival that a local limit holds back."),
    key("submit.on_429", Choice(&["reject", "retry"]), Default("\"reject\""), "Whether a submit that got 429 is a result, or is sent again."),
    key("submit.retries", Integer(1, 1_000), When("on_429", "retry", "3"), "How often it is sent again."),

    key("poll", Kind::Table, TABLE, "How works are followed."),
    key("poll.policy", Choice(&["fixed", "exponential", "hinted", "optimal"]), Default("\"fixed\""), "The same interval, a growing one, what Retry-After says (the interval where it is 0 or not there), or the ages at which the works of this run are found to end, at the polls per work of fixed."),
    key("poll.interval", Positive, Default("\"1s\""), "The first interval."),
    key("poll.first", Choice(&["random", "interval", "now"]), Default("\"random\""), "When a work is asked first: uniform in one interval, after one interval, or at once."),
    key("poll.from", Choice(&["schedule", "answer"]), Default("\"schedule\""), "What an interval is counted from: the slots of the work, or the last answer."),
    key("poll.factor", Number(1.0, 1_000.0), When("policy", "exponential", "2.0"), "Each interval is this many times the one before."),
    key("poll.cap", Positive, When("policy", "exponential", "\"30s\""), "The longest interval."),
    key("poll.jitter", Number(0.0, 0.999_999), When("policy", "exponential", "0.0"), "Each interval is shortened or lengthened by up to this share."),
    key("poll.longest", Positive, When("policy", "optimal", "\"1m\""), "The longest time between two polls of a work."),
    key("poll.like", File, Nothing, "The directory of an earlier run, whose sojourn_time.csv says when works end until this run has learned it. Only with the policy optimal."),
    key("poll.give_up_after", Positive, Default("\"2m\""), "From the accept until a work is given up."),
    key("poll.lost_after", Positive, Default("\"30s\""), "From the accept until a work that was never visible counts as lost."),
    key("poll.timeout", Positive, Default("\"10s\""), "From the send to the whole answer."),
    key("poll.budget", Kind::Rate, Nothing, "This caller's own token bucket for polls; omitted = none."),
    key("poll.burst", BURST, BurstOf("budget"), "How many polls may leave at once."),
    key("poll.headers", Headers, Default("{}"), "Headers beside those of the API."),
    key("poll.recheck", Ratio, Default("0.0"), "Share of the settled works that are asked once more."),
    key("poll.recheck_after", Positive, Default("\"10s\""), "How long after its end such a work is asked again."),
    key("poll.remember", Positive, Default("\"10m\""), "How long the id of a settled work is remembered."),

    key("observe", Kind::Table, TABLE, "How the end of a work is learned."),
    key("observe.mode", Choice(&["poll", "callback", "both", "hybrid"]), Default("\"poll\""), "By polls; by callbacks; each work both ways, polled to its own terminal poll whatever a callback said; or by callbacks with polls for works past the deadline."),
    key("observe.deadline", Positive, Default("\"30s\""), "From the accept until a callback that has not come is overdue; then hybrid polls the work, each poll.interval."),
    key("observe.callback", Kind::Table, TABLE, "The receiver, and what a callback looks like."),
    key("observe.callback.listen", Text, Default("\"127.0.0.1:0\""), "Where the receiver listens; port 0 takes any free one."),
    key("observe.callback.public_url", Kind::Url, Nothing, "By which base URL the service reaches the receiver, where a tunnel or proxy stands between; omitted = where it listens."),
    key("observe.callback.tls_cert", File, Nothing, "A PEM file: the receiver speaks TLS with this certificate chain."),
    key("observe.callback.tls_key", Secret, Nothing, "Where the private key comes from, PEM: env:NAME or file:PATH."),
    key("observe.callback.token", Secret, Nothing, "The path segment after public_url that a callback must carry, at least 16 letters, digits and -._~; omitted = drawn anew for each run. Anything else is answered 404."),
    key("observe.callback.url", Choice(&["body", "header", "server"]), Default("\"body\""), "How the URL reaches the service: in the body of the submit, in a header of it, or it is configured at the service."),
    key("observe.callback.field", Pointer, When("url", "body", "\"/callback_url\""), "Where in the body."),
    key("observe.callback.header", Text, When("url", "header", "\"X-Callback-URL\""), "In which header."),
    key("observe.callback.find", Choice(&["body", "path", "query", "url"]), Default("\"body\""), "How a callback finds its work: by an id in its body, in the last segment of its path, in its query, or each work has a URL of its own."),
    key("observe.callback.id", Pointer, When("find", "body", "\"/work_id\""), "Where the id stands."),
    key("observe.callback.parameter", Text, When("find", "query", "\"work_id\""), "The name of the parameter."),
    key("observe.callback.form", Choice(&["json", "form"]), Default("\"json\""), "The form of the body."),
    key("observe.callback.terminal", Kind::Table, Nothing, "What a callback says that ends a work; omitted = what a poll says, by [api.terminal]."),
    key("observe.callback.terminal.pointer", Pointer, Unless(&["key_gone"], "\"/status\""), "Where the word stands."),
    key("observe.callback.terminal.completed", Scalars, Unless(&["key_gone"], "[\"completed\"]"), "Words that mean completed."),
    key("observe.callback.terminal.failed", Scalars, Unless(&["key_gone"], "[\"failed\"]"), "Words that mean failed."),
    key("observe.callback.terminal.open", Scalars, Unless(&["key_gone"], "[\"pending\", \"running\"]"), "Words that mean not yet; any other is open too, but counted as unknown."),
    key("observe.callback.terminal.key_gone", Pointer, Nothing, "A callback is not terminal while this key is present."),
    key("observe.callback.terminal.failed_if", Pointer, Nothing, "Where this key is present, and neither null nor false, in a terminal callback, the work failed."),
    key("observe.callback.terminal.finished_at", Pointer, Nothing, "Where a terminal callback says when the work ended."),
    key("observe.callback.delivery_header", Text, Default("\"webhook-id\""), "The header that is the same in each attempt of one delivery."),
    key("observe.callback.signature", Kind::Table, Nothing, "How callbacks are signed; omitted = they are not. One that fails the check is counted as unverified, and what it says is kept."),
    key("observe.callback.signature.scheme", Choice(&["standard", "github", "hmac", "bearer"]), Required, "Standard Webhooks v1, GitHub's X-Hub-Signature-256, HMAC-SHA-256 of the body in a header of your choice, or a bearer token."),
    key("observe.callback.signature.secrets", Kind::Secrets, Required, "Any of these fits: so keys are rotated. For standard, whsec_ and base64."),
    key("observe.callback.signature.header", Text, When("scheme", "hmac", "\"X-Signature\""), "The header that holds the code."),
    key("observe.callback.signature.prefix", Text, Nothing, "What stands before the code, such as sha256=."),
    key("observe.callback.signature.encoding", Choice(&["hex", "base64"]), When("scheme", "hmac", "\"hex\""), "How the code is written."),
    key("observe.callback.signature.tolerance", Positive, When("scheme", "standard", "\"5m\""), "By how much the time of a signature may differ."),
    key("observe.callback.max_body", Size, Default("\"256KiB\""), "The most of a callback's body that is read; a longer one is answered 413 and counted."),
    key("observe.callback.connections", Integer(1, 65_536), Default("1024"), "Connections at once; beyond them one that is idle or slow is closed for each new one."),
    key("observe.callback.read_timeout", Positive, Default("\"10s\""), "From the first byte of a request until it is read whole; then the connection is closed."),
    key("observe.callback.parked", Integer(1, 1_000_000), Default("65536"), "Callbacks that are kept while nobody knows their work, because they have overtaken the 202."),
    key("observe.callback.park_for", Positive, Default("\"1m\""), "How long each is kept; then it is an unknown_work."),
    key("observe.callback.linger", Duration, Default("\"2s\""), "After the last work has settled: how long late and repeated callbacks are still heard, within drain.limit."),
    key("observe.callback.faults", Kind::Tables, Default("[]"), "What the receiver does wrong on purpose, to learn how the service redelivers; the first that applies."),
    key("observe.callback.faults[].kind", Choice(&["status", "slow", "reset", "silent"]), Required, "It answers a status, answers 200 late, resets the connection, or never answers."),
    key("observe.callback.faults[].status", Integer(200, 599), When("kind", "status", "503"), "The status; 410 asks the service to stop."),
    key("observe.callback.faults[].delay", Positive, When("kind", "slow", "\"5s\""), "How late."),
    key("observe.callback.faults[].ratio", Ratio, Default("1.0"), "Share of the callbacks."),
    key("observe.callback.faults[].at", Duration, Default("\"0s\""), "When it begins, from the origin of the run."),
    key("observe.callback.faults[].for", Positive, Nothing, "How long it lasts; omitted = always."),

    key("limits", Kind::Table, Nothing, "A limit of submits and polls together, as one key has one limit."),
    key("limits.rate", Kind::Rate, Nothing, "The ceiling; omitted = only what is learned."),
    key("limits.burst", BURST, BurstOf("rate"), "How many requests may leave at once."),
    key("limits.learn", Bool, Default("false"), "Obey what RateLimit headers say."),

    key("drain", Kind::Table, TABLE, "After the last arrival."),
    key("drain.limit", Duration, Default("\"60s\""), "How long works are still followed, at most."),

    key("slo", Kind::Tables, Default("[]"), "What must hold."),
    key("slo[].that", Kind::Promise, Required, "The promise."),
    key("slo[].judge", Choice(&["bounds", "point"]), Default("\"bounds\""), "By one-sided 95 % bounds, or on the bare value."),

    key("size", Kind::Table, Nothing, "What `plimsoll size` decides: whether callers can poll, or need callbacks."),
    key("size.peak", Kind::Rates, Required, "Works per time at the peak; each rate is decided by itself."),
    key("size.limit", Kind::Rate, Nothing, "What the service allows of submits and polls together, a second's worth of it at once; omitted = limits.rate, and without that simulator.rate_limit."),
    key("size.lag", Positive, Default("\"5s\""), "How late the end of a work may be seen, in the mean."),
    key("size.handler_time", Positive, Default("\"50ms\""), "How long a receiver of callbacks is busy with one."),
    key("size.outage", Duration, Default("\"10m\""), "An outage of the receiver that is reckoned with."),
    key("size.intervals", Kind::Positives, Nothing, "Poll intervals to try; omitted = poll.interval."),
    key("size.policies", Choices(&["fixed", "exponential", "optimal"]), Default("[\"fixed\"]"), "Poll policies to try, each with every interval."),
    key("size.modes", Choices(&["poll", "callback", "hybrid"]), Default("[\"poll\", \"callback\", \"hybrid\"]"), "Values of observe.mode to try."),
    key("size.failure_ratio", Number(0.0, 0.99), Default("0.001"), "Share of the attempts to deliver a callback that fail while the receiver is up; simulator.callback has the rest of what is taken for granted of them."),
    key("size.poll_bytes", Size, Default("\"1KiB\""), "A request and its answer on the wire, headers included: a submit, or a poll that finds a work open."),
    key("size.result_bytes", Size, Default("\"4KiB\""), "The same of a poll that has the result in its answer, or of a callback."),

    key("validity", Kind::Table, TABLE, "When the measurement itself is not to be trusted."),
    key("validity.schedule_lag_p99", Positive, Default("\"10ms\""), "The largest p99 of the generator's own lateness."),
    key("validity.cpu_share", Number(0.01, 1.0), Default("0.95"), "The largest share of a core that the generator may use over ten seconds."),

    key("report", Kind::Table, TABLE, "What is written."),
    key("report.works", Choice(&["all", "none"]), Default("\"all\""), "Rows of works.csv: one for each submission, or none, for runs of so many that nobody reads them. The books and every quantile stay the same."),
    key("report.body_bytes", Size, Default("\"16KiB\""), "Bytes of one body kept in failures.jsonl."),
    key("report.open_body_bytes", Size, Default("\"16MiB\""), "Bytes of all last bodies of open works held in memory."),
    key("report.failures", Integer(0, i64::MAX), Default("1000"), "Lines of failures.jsonl for each outcome."),

    key("api", Kind::Table, TABLE, "How the service speaks; the defaults are Auxot's intake webhooks."),
    key("api.submit", Kind::Table, TABLE, "How a work is submitted and accepted."),
    key("api.submit.method", Choice(&["POST", "PUT"]), Default("\"POST\""), "The method."),
    key("api.submit.path", Kind::Path, Default("\"/v1/intake/{intake_id}\""), "After base_url; may hold {intake_id} and, for ids that the client chooses, {work_id}."),
    key("api.submit.form", Choice(&["json", "form"]), Default("\"json\""), "The form of the body."),
    key("api.submit.accept", Statuses, Default("[202]"), "Statuses that accept."),
    key("api.submit.accept_if", Kind::Table, Nothing, "What the body must say as well."),
    key("api.submit.accept_if.pointer", Pointer, Required, "Where."),
    key("api.submit.accept_if.equals", Scalar, Required, "What."),
    key("api.submit.id", AnyOf(&[Choice(&["client"]), Kind::Table]), Default("{ body = \"/work_id\" }"), "Where the id of a work is: { body } or { header }, or \"client\": the client chooses a uuid."),
    key("api.submit.id.body", Pointer, Nothing, "In the body."),
    key("api.submit.id.header", Text, Nothing, "The last path segment of the URL in a header."),
    key("api.submit.poll_url", Kind::Table, Nothing, "Where the answer says the URL to poll: { header } or { body }."),
    key("api.submit.poll_url.header", Text, Nothing, "In a header, such as Location or Operation-Location."),
    key("api.submit.poll_url.body", Pointer, Nothing, "In the body."),
    key("api.submit.sync", AnyOf(&[Choice(&["never", "body"]), Statuses]), Default("\"never\""), "Whether the accept may hold the result: never, as the terminal rule finds it in the body, or by these statuses."),
    key("api.poll", Kind::Table, TABLE, "How a work is asked for: by path, by = \"url\", or in a collection."),
    key("api.poll.path", Kind::Path, Unless(&["by", "collection"], "\"/v1/intake/{intake_id}/work/{work_id}\""), "After base_url; may hold {intake_id} and {work_id}, also in a query; {+work_id} for ids that are paths."),
    key("api.poll.by", Choice(&["url", "none"]), Nothing, "Poll the URL that the accept gave, or none: only callbacks tell, and observe.mode is callback."),
    key("api.poll.collection", Kind::Table, Nothing, "Poll a list that holds many works."),
    key("api.poll.collection.path", Kind::Path, Required, "After base_url; may hold {intake_id} and {work_id}."),
    key("api.poll.collection.items", Pointer, Required, "The list in the answer."),
    key("api.poll.collection.id", Pointer, Required, "The id in an item."),
    key("api.poll.denied", Statuses, Default("[404]"), "Statuses that deny a work for now."),
    key("api.poll.gone", Statuses, Default("[410]"), "Statuses that deny a work for ever."),
    key("api.terminal", Kind::Table, TABLE, "Which answers end a work: words at a pointer, the status, or a key that goes away."),
    key("api.terminal.pointer", Pointer, Unless(&["status", "key_gone"], "\"/status\""), "Where the word stands."),
    key("api.terminal.completed", Scalars, Unless(&["status", "key_gone"], "[\"completed\"]"), "Words that mean completed."),
    key("api.terminal.failed", Scalars, Unless(&["status", "key_gone"], "[\"failed\"]"), "Words that mean failed."),
    key("api.terminal.open", Scalars, Unless(&["status", "key_gone"], "[\"pending\", \"running\"]"), "Words that mean not yet; any other is open too, but counted as unknown."),
    key("api.terminal.begun", Scalars, Unless(&["status", "key_gone"], "[\"running\"]"), "Words of open answers that mean that the work has begun: queue wait ends, run time starts."),
    key("api.terminal.status", Kind::Table, Nothing, "The HTTP status tells."),
    key("api.terminal.status.completed", Statuses, Required, "Statuses that mean completed."),
    key("api.terminal.status.failed", Statuses, Default("[]"), "Statuses that mean failed."),
    key("api.terminal.status.open", Statuses, Required, "Statuses that mean not yet."),
    key("api.terminal.status.overrule", Kind::Table, Nothing, "A header whose word counts more than the status."),
    key("api.terminal.status.overrule.header", Text, Required, "The header."),
    key("api.terminal.status.overrule.completed", Texts, Default("[]"), "Words that mean completed."),
    key("api.terminal.status.overrule.failed", Texts, Default("[]"), "Words that mean failed."),
    key("api.terminal.status.overrule.open", Texts, Default("[]"), "Words that mean not yet."),
    key("api.terminal.key_gone", Pointer, Nothing, "A work is open while this key is present."),
    key("api.terminal.failed_if", Pointer, Nothing, "Where this key is present, and neither null nor false, in a terminal answer, the work failed."),
    key("api.terminal.finished_at", Pointer, Nothing, "Where a terminal answer says when the work ended."),
    key("api.key", Kind::Table, TABLE, "How the key is shown to the service."),
    key("api.key.header", Text, Default("\"Authorization\""), "The header."),
    key("api.key.form", Text, Default("\"Bearer {key}\""), "Its value; {key} stands for the key."),
    key("api.limits", Kind::Table, TABLE, "How its rate headers are read."),
    key("api.limits.reset", Choice(&["guess", "delta", "epoch"]), Default("\"guess\""), "A bare number in a reset header: seconds from now, of the epoch, or told by its size."),
    key("api.limits.max_retry_after", Positive, Default("\"10m\""), "The longest wait that a header is believed."),
];

/// The key of a path in which `[]` stands for list items.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The keys directly in a table: `""` is the top, `load[]` an item of the list `load`.
pub fn inside(table: &str) -> impl Iterator<Item = (&'static str, &'static Key)> {
    KEYS.iter().filter_map(move |key| {
        let name = match table {
            "" => key.path,
            _ => key.path.strip_prefix(table)?.strip_prefix('.')?,
        };
        (!name.contains('.')).then_some((name, key))
    })
}

/// What an unknown key in a table was probably meant to be.
pub fn suggestion(table: &str, unknown: &str) -> Option<String> {
    let near = nearest(unknown, inside(table).map(|(name, _)| name));
    if let Some(name) = near {
        return Some(format!("did you mean `{name}`?"));
    }
    let last = |path: &'static str| path.rsplit('.').next().unwrap_or(path);
    let elsewhere = KEYS.iter().find(|key| last(key.path) == unknown)?;
    let home = elsewhere.path.strip_suffix(unknown)?.trim_end_matches('.');
    Some(match home {
        "" => format!("`{unknown}` belongs at the top, before the first [table]"),
        home => match home.strip_suffix("[]") {
            Some(list) => format!("`{unknown}` belongs in [[{list}]]"),
            None => format!("`{unknown}` belongs in [{home}]"),
        },
    })
}

/// The nearest of some words, if it is near: at most a third of the letters differ.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (distance(word, name), name))
        .filter(|(distance, name)| *distance * 3 <= name.len().max(word.len()).max(3))
        .min()
        .map(|(_, name)| name)
}

/// Edits between two words: insert, delete, replace or swap two neighbours
/// (optimal string alignment; Damerau 1964).
fn distance(one: &str, two: &str) -> usize {
    let one: Vec<char> = one.chars().take(64).collect();
    let two: Vec<char> = two.chars().take(64).collect();
    let mut rows = vec![(0..=two.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=two.len() {
            let cost = usize::from(one[i - 1] != two[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && one[i - 1] == two[j - 2] && one[i - 2] == two[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tree::{self, Value};
    use std::collections::BTreeSet;

    #[test]
    fn the_catalogue_is_consistent() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.path), "{} twice", key.path);
            assert!(key.doc.ends_with('.'), "{}: {}", key.path, key.doc);
            if let Some((parent, _)) = key.path.rsplit_once('.') {
                let parent = parent.trim_end_matches("[]");
                assert!(find(parent).is_some(), "{} has no parent", key.path);
            }
            let (Default(text) | Unless(_, text) | When(_, _, text)) = key.fallback else {
                continue;
            };
            let parsed = toml::de::DeValue::parse(text).unwrap();
            let node = tree::node_from(parsed.get_ref(), 0..0);
            assert_eq!(
                key.kind.check(&node.value),
                Ok(()),
                "default of {}",
                key.path
            );
            assert!(!matches!(node.value, Value::Other(_)));
        }
    }

    #[test]
    fn unknown_keys_get_a_hint() {
        let check = |table: &str, word: &str, hint: Option<&str>| {
            assert_eq!(suggestion(table, word).as_deref(), hint, "{table} {word}");
        };
        check("poll", "intervall", Some("did you mean `interval`?"));
        check("target", "base_ulr", Some("did you mean `base_url`?"));
        check("load[]", "durtion", Some("did you mean `duration`?"));
        check("target", "interval", Some("`interval` belongs in [poll]"));
        check("poll", "arrivals", Some("`arrivals` belongs in [[load]]"));
        check(
            "poll",
            "seed",
            Some("`seed` belongs at the top, before the first [table]"),
        );
        check("poll", "xyzzy", None);
    }
}
