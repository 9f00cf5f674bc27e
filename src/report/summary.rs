//! `summary.json`: the result of a run for machines. The shapes of the file live here.

mod calls;
mod disturbed;
mod times;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use disturbed::Disturbed;

use super::binomial::{float, whole};
use super::quantiles::{Quantiles, Sample};
use super::selftest::{Quoted, Shape};
use super::slo::{Estimate, Judgement, Ratio, polls_per_work};
use super::{Code, EndedBy, Facts, Memory, Reason, Receiver, Report, own_error};
use crate::record::ledger::{Count, Group};
use crate::record::snapshot::Snapshot;
use crate::record::{CATALOGUE, Metric};
use crate::scenario::Lane;
use crate::time::Span;

/// The version of the shape.
pub const SCHEMA: &str = "plimsoll.summary/1";

/// An object whose keys stand in this order.
struct Object<T>(Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for Object<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    schema: &'static str,
    scenario: &'a str,
    seed: u64,
    version: &'a str,
    started_at: String,
    target: &'a str,
    simulated: bool,
    insecure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<u64>,
    load_planned_s: f64,
    load_s: f64,
    duration_s: f64,
    offered_rate: Option<f64>,
    achieved_rate: Option<f64>,
    ended_by: &'static str,
    verdict: &'static str,
    validity: Validity<'a>,
    ledger: Object<u64>,
    ratios: Object<Option<f64>>,
    requests: Object<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_family: Option<&'a str>,
    metrics: Object<Figures>,
    #[serde(flatten)]
    times: times::Shape<'a>,
    poll_at_ages: Option<times::Schedule>,
    stuck: Vec<Stuck<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callbacks: Option<calls::Shape>,
    anomalies: Object<u64>,
    slo: Vec<Promise<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disturbances: Option<Disturbed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selftest: Option<Shape<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Cost {
    cpu_s: f64,
    cpu_per_request_s: Option<f64>,
    core_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_grown_bytes: Option<u64>,
    bytes_per_work: Option<f64>,
}

impl From<super::Cost> for Cost {
    fn from(from: super::Cost) -> Self {
        Self {
            cpu_s: micro(from.cpu.seconds()),
            cpu_per_request_s: from.per_request_s.map(nano),
            core_share: from.core_share.map(nano),
            peak_memory_bytes: from.memory.map(|memory| memory.peak),
            memory_grown_bytes: from.memory.map(|memory| memory.grown),
            bytes_per_work: from.bytes_per_work.map(micro),
        }
    }
}

#[derive(Serialize)]
struct Validity<'a> {
    valid: bool,
    limits: Limits,
    reasons: Vec<Why<'a>>,
}

#[derive(Serialize)]
struct Limits {
    schedule_lag_p99: f64,
    cpu_share: f64,
}

#[derive(Serialize)]
struct Why<'a> {
    code: &'static str,
    value: Option<f64>,
    limit: Option<f64>,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Count(u64),
    Share(Option<f64>),
}

#[derive(Serialize)]
struct Figures {
    count: u64,
    beyond: u64,
    mean: Option<f64>,
    min: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below_own_error: Option<Vec<&'static str>>,
}

impl From<Quantiles> for Figures {
    fn from(from: Quantiles) -> Self {
        Self {
            count: from.count,
            beyond: from.beyond,
            mean: from.mean.map(micro),
            min: from.min.map(micro),
            p50: from.p50.map(micro),
            p90: from.p90.map(micro),
            p95: from.p95.map(micro),
            p99: from.p99.map(micro),
            p999: from.p999.map(micro),
            max: from.max.map(micro),
            own_error: None,
            below_own_error: None,
        }
    }
}

#[derive(Serialize)]
struct Stuck<'a> {
    status: &'a str,
    count: u64,
}

#[derive(Serialize)]
struct Promise<'a> {
    that: &'a str,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_error: Option<f64>,
    verdict: &'static str,
}

impl<'a> From<&'a Judgement> for Promise<'a> {
    fn from(from: &'a Judgement) -> Self {
        let part = |part: fn(&Estimate) -> f64| {
            let value = from.estimate.as_ref().map(part);
            value.filter(|value| value.is_finite()).map(nano)
        };
        Self {
            that: &from.slo.that,
            value: part(|estimate| estimate.value),
            low: part(|estimate| estimate.low),
            high: part(|estimate| estimate.high),
            n: from.estimate.and_then(|estimate| estimate.n),
            own_error: from.own_error.filter(|error| error.is_finite()).map(nano),
            verdict: from.decision.word(),
        }
    }
}

/// Rounds to six decimals: the microsecond of every file.
fn micro(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Rounds to nine decimals: enough for any share, and no binary dust.
fn nano(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// The bytes of `summary.json`.
pub fn write(report: &Report) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&shape(report)).expect("plain values have a form");
    bytes.push(b'\n');
    bytes
}

fn shape(report: &Report) -> Summary<'_> {
    let (facts, snapshot) = (&report.facts, &report.snapshot);
    Summary {
        schema: SCHEMA,
        scenario: &facts.scenario,
        seed: facts.seed,
        version: &facts.version,
        started_at: wall(facts.started_at),
        target: &facts.target,
        simulated: facts.simulated,
        insecure: facts.insecure,
        client: facts.client.map(Lane::word),
        shards: (facts.shards > 1).then_some(facts.shards),
        load_planned_s: micro(facts.load_planned.seconds()),
        load_s: micro(facts.load.seconds()),
        duration_s: micro(facts.duration.seconds()),
        offered_rate: facts.offered_rate(snapshot).map(micro),
        achieved_rate: facts.achieved_rate(snapshot).map(micro),
        ended_by: facts.ended_by.word(),
        verdict: report.verdict.word(),
        validity: Validity {
            valid: report.reasons.is_empty(),
            limits: Limits {
                schedule_lag_p99: report.limits.schedule_lag_p99.seconds(),
                cpu_share: report.limits.cpu_share,
            },
            reasons: report.reasons.iter().map(why).collect(),
        },
        ledger: ledger(report),
        ratios: Object(ratios(report)),
        requests: requests(report),
        cost: facts.cost(snapshot).map(Cost::from),
        rate_limit_family: facts.rate_limit_family.as_deref(),
        metrics: Object(
            CATALOGUE
                .iter()
                .map(|row| (row.name, figures(snapshot, row.metric)))
                .chain(calls::metric(report))
                .collect(),
        ),
        times: times::Shape::from(&report.times),
        poll_at_ages: report.poll_at_ages.as_ref().map(times::Schedule::from),
        stuck: snapshot
            .stuck
            .iter()
            .map(|(status, count)| Stuck {
                status,
                count: *count,
            })
            .collect(),
        callbacks: calls::Shape::of(report),
        anomalies: Object(counts(report, Group::Anomalies).collect()),
        slo: report.slo.iter().map(Promise::from).collect(),
        disturbances: facts.disturbances.as_ref().map(Disturbed::from),
        selftest: facts.selftest.shape(),
        notes: &facts.notes,
    }
}

fn figures(snapshot: &Snapshot, metric: Metric) -> Figures {
    let quantiles = Sample::of(snapshot, metric).figures();
    let error = own_error::of_quantile(snapshot, metric, own_error::LEVEL);
    let below = quantiles.each().into_iter().filter(|figure| {
        let error = own_error::of_quantile(snapshot, metric, figure.q);
        figure
            .value
            .zip(error)
            .is_some_and(|(value, error)| value < error)
    });
    Figures {
        own_error: error.filter(|error| error.is_finite()).map(micro),
        below_own_error: error.map(|_| below.map(|figure| figure.name).collect()),
        ..quantiles.into()
    }
}

fn why(reason: &Reason) -> Why<'_> {
    Why {
        code: reason.code.word(),
        value: reason.value,
        limit: reason.limit,
        text: &reason.text,
    }
}

fn counts(report: &Report, group: Group) -> impl Iterator<Item = (&'static str, u64)> {
    Count::ALL
        .iter()
        .filter(move |count| count.group() == group)
        .map(|count| (count.name(), report.snapshot.counts.get(*count)))
}

/// The books. What is still under way at the end stands among them.
fn ledger(report: &Report) -> Object<u64> {
    let gauges = &report.snapshot.gauges;
    let mut lines: Vec<_> = counts(report, Group::Ledger).collect();
    for (after, name, value) in [
        ("dropped", "queued", gauges.queued),
        ("maybe_accepted", "submitting", gauges.submitting),
        ("lost", "unresolved", gauges.backlog),
    ] {
        let place = lines.iter().position(|(name, _)| *name == after);
        lines.insert(place.map_or(lines.len(), |place| place + 1), (name, value));
    }
    Object(lines)
}

fn requests(report: &Report) -> Object<Number> {
    let mut lines: Vec<_> = counts(report, Group::Requests)
        .map(|(name, value)| (name, Number::Count(value)))
        .collect();
    let polls = polls_per_work(&report.snapshot).map(micro);
    lines.push(("polls_per_work", Number::Share(polls)));
    Object(lines)
}

fn ratios(report: &Report) -> Vec<(&'static str, Option<f64>)> {
    Ratio::ALL
        .into_iter()
        .map(|ratio| {
            let (k, n) = ratio.parts(&report.snapshot);
            (ratio.name(), (n > 0).then(|| nano(float(k) / float(n))))
        })
        .collect()
}

/// RFC 3339 with microseconds.
pub(crate) fn wall(micros: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.6}")
}

/// What an earlier `summary.json` knows and the other files of the run do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    /// How the run went.
    pub facts: Facts,
    /// Why it is not to be trusted, as far as only its world could know.
    pub reasons: Vec<Reason>,
    /// Works that are stuck by their last status, of which `works.csv` may have no rows.
    pub stuck: BTreeMap<Box<str>, u64>,
}

/// Reads an earlier summary, as facts on top of `facts`. `None` if it is not a summary that this
/// version wrote: then the run is reported as one that was killed.
pub fn recall(bytes: &[u8], facts: &Facts) -> Option<Recalled> {
    let summary: Value = serde_json::from_slice(bytes).ok()?;
    if summary["schema"] != SCHEMA {
        return None;
    }
    let text = |key: &str| summary[key].as_str().map(str::to_owned);
    let span_of = |value: &Value| {
        let micros = whole((value.as_f64()?.max(0.0) * 1e6).round());
        Some(Span(micros.checked_mul(1_000)?))
    };
    let span = |key: &str| span_of(&summary[key]);
    let word = text("ended_by")?;
    let simulated = summary["simulated"] == true;
    let started: jiff::Timestamp = text("started_at")?.parse().ok()?;
    let facts = Facts {
        version: text("version")?,
        started_at: started.as_microsecond(),
        target: text("target")?,
        simulated,
        insecure: facts.insecure && !simulated,
        load_planned: span("load_planned_s")?,
        load: span("load_s")?,
        duration: span("duration_s")?,
        ended_by: EndedBy::ALL.into_iter().find(|why| why.word() == word)?,
        client: Lane::ALL
            .into_iter()
            .find(|lane| summary["client"] == lane.word()),
        shards: summary["shards"].as_u64().unwrap_or(1),
        cpu: span_of(&summary["cost"]["cpu_s"]),
        memory: memory(&summary["cost"]),
        receiver: Receiver::recall(&summary["callbacks"]["receiver"], span_of),
        rate_limit_family: text("rate_limit_family"),
        disturbances: disturbed::recall(&summary["disturbances"], span_of),
        selftest: Quoted::recall(&summary),
        notes: summary["notes"]
            .as_array()?
            .iter()
            .filter_map(|note| note.as_str().map(str::to_owned))
            .collect(),
        ..facts.clone()
    };
    let reasons = summary["validity"]["reasons"].as_array()?;
    let reasons = reasons.iter().filter_map(reason).collect();
    let stuck = |line: &Value| Some((line["status"].as_str()?.into(), line["count"].as_u64()?));
    Some(Recalled {
        facts,
        reasons,
        stuck: summary["stuck"]
            .as_array()?
            .iter()
            .filter_map(stuck)
            .collect(),
    })
}

fn memory(cost: &Value) -> Option<Memory> {
    Some(Memory {
        peak: cost["peak_memory_bytes"].as_u64()?,
        grown: cost["memory_grown_bytes"].as_u64()?,
    })
}

/// A reason that cannot be judged again from the samples.
fn reason(from: &Value) -> Option<Reason> {
    let word = from["code"].as_str()?;
    let code = Code::ALL.into_iter().find(|code| code.word() == word)?;
    let again = matches!(code, Code::LateGenerator | Code::Books);
    (!again).then(|| Reason {
        code,
        value: from["value"].as_f64(),
        limit: from["limit"].as_f64(),
        text: from["text"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at_most, facts, limits, run};
    use super::*;
    use crate::work::Anomaly;

    fn report() -> Report {
        let slo = [at_most("accept_latency", 0.99, 0.25)];
        let reason = Reason {
            code: Code::Cpu,
            value: Some(0.99),
            limit: Some(0.95),
            text: "busy".to_owned(),
        };
        Report::judge(&slo, limits(), facts(), run().snapshot, vec![reason])
    }

    fn keys(value: &Value) -> String {
        let keys: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.join(",")
    }

    #[test]
    fn every_promised_field_is_there() {
        let json: Value = serde_json::from_slice(&write(&report())).unwrap();
        let check = |place: &str, promised: &str| {
            for name in promised.split(',') {
                let found = json.pointer(place).and_then(|at| at.get(name));
                assert!(found.is_some(), "{place} has no {name}: {}", keys(&json));
            }
        };
        check(
            "",
            "scenario,seed,version,started_at,load_s,duration_s,offered_rate,achieved_rate",
        );
        check(
            "",
            "ended_by,verdict,validity,ledger,ratios,requests,metrics,stuck,anomalies,slo",
        );
        check("/validity", "valid,limits,reasons");
        check("/validity/reasons/0", "code,value,limit,text");
        check(
            "/ledger",
            "scheduled,sent,dropped,queued,missed,unknown,accepted,rejected",
        );
        check(
            "/ledger",
            "intake_failed,maybe_accepted,submitting,completed,failed,expired,lost",
        );
        check("/ledger", "unresolved");
        check("/ratios", "intake_failure,work_failure,unresolved");
        check(
            "/requests",
            "submits,submit_retries,polls,poll_errors,rate_limited",
        );
        check(
            "/requests",
            "rate_limited_submits,rate_limited_polls,not_visible,skipped_slots",
        );
        check("/requests", "rechecks,new_connections,polls_per_work");
        check("", "client,shards,selftest");
        check("/cost", "cpu_s,cpu_per_request_s,core_share");
        check(
            "/cost",
            "peak_memory_bytes,memory_grown_bytes,bytes_per_work",
        );
        let ours = [
            "schedule_lag",
            "generator_lag",
            "stamp_delay",
            "poll_wait",
            "poll_wait_budget",
            "poll_wait_gate",
            "poll_lag",
        ];
        for metric in &CATALOGUE {
            let place = format!("/metrics/{}", metric.name);
            check(&place, "count,beyond,mean,min,p50,p90,p95,p99,p999,max");
            if !ours.contains(&metric.name) {
                check(&place, "own_error,below_own_error");
            }
        }
        for kind in Anomaly::ALL {
            check("/anomalies", kind.word());
        }
        check("/slo/0", "that,value,low,high,n,own_error,verdict");
        check("/disturbances", "count,longest");
        check("/disturbances/longest/0", "at_s,kind,length_s");
        for time in ["/sojourn_time", "/queue_wait", "/run_time"] {
            check(time, "method,reason,n,gap,p50,p90,p95,p99,p999");
        }
        check("/sojourn_time/p50", "value,low,high,supported");
        assert!(json.pointer("/metrics/callback_lag").is_none());
    }

    #[test]
    fn the_figures_are_those_of_the_run() {
        let json: Value = serde_json::from_slice(&write(&report())).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["started_at"], "2025-06-15T15:06:40.123456Z");
        assert_eq!(json["ledger"]["scheduled"], 100);
        assert_eq!(json["ledger"]["unresolved"], 2);
        assert_eq!(json["ratios"]["intake_failure"], 0.02);
        assert_eq!(json["offered_rate"], 33.333_333);
        assert_eq!(json["metrics"]["accept_latency"]["count"], 98);
        assert_eq!(json["metrics"]["accept_latency"]["beyond"], 1);
        assert_eq!(json["metrics"]["accept_latency"]["mean"], Value::Null);
        assert_eq!(json["metrics"]["time_to_terminal"]["beyond"], 4);
        // The generator is 100 us late and an answer 950 us; the shortest latency is 1 ms.
        assert_eq!(json["metrics"]["accept_latency"]["own_error"], 0.001_05);
        assert_eq!(
            json["metrics"]["accept_latency"]["below_own_error"],
            serde_json::json!(["min"])
        );
        assert_eq!(json["metrics"]["time_to_terminal"]["p99"], Value::Null);
        assert_eq!(json["stuck"][2]["status"], "running");
        assert_eq!(json["slo"][0]["high"], Value::Null);
    }

    #[test]
    fn a_run_without_load_has_no_ratios() {
        let nothing = Facts {
            load: Span::ZERO,
            ..facts()
        };
        let snapshot = Snapshot::default();
        let report = Report::judge(&[], limits(), nothing, snapshot, Vec::new());
        let json: Value = serde_json::from_slice(&write(&report)).unwrap();
        assert_eq!(json["ratios"]["work_failure"], Value::Null);
        assert_eq!(json["requests"]["polls_per_work"], Value::Null);
        assert_eq!(json["offered_rate"], Value::Null);
        assert_eq!(json["ledger"]["sent"], 0);
    }

    #[test]
    fn a_summary_recalls_what_the_files_do_not_know() {
        let report = report();
        let bytes = write(&report);
        let recalled = recall(&bytes, &facts()).unwrap();
        assert_eq!(recalled.facts, report.facts);
        assert_eq!(recalled.reasons, report.reasons);
        assert_eq!(recalled.stuck, report.snapshot.stuck);
        assert_eq!(recall(&bytes[..bytes.len() - 9], &facts()), None);
        assert_eq!(recall(b"{}", &facts()), None);
    }
}
