//! Report: what a run was, what it measured, and what is to be thought of it.
//!
//! Everything here turns values into bytes and back: no file, no clock. `Report` is the whole
//! result; `summary` and `text` write it, `csv`, `hlog` and `failures` write what is kept while the
//! run goes on, and `rebuild` makes a [`Snapshot`] from those files again.

pub mod binomial;
pub mod call_lags;
pub mod calls;
pub mod cost;
pub mod csv;
pub mod curve;
pub mod failures;
pub mod hlog;
pub mod live;
pub mod own_error;
pub mod poll_ages;
pub mod quantiles;
pub mod rebuild;
mod receiver;
pub mod seen;
pub mod selftest;
pub mod slo;
pub mod summary;
pub mod text;
pub mod times;

#[cfg(test)]
mod fixture;

use crate::record::Metric;
use crate::record::area::AreaBooks;
use crate::record::bursts::Burst;
use crate::record::disturbance::Disturbances;
use crate::record::ledger::Count;
use crate::record::snapshot::Snapshot;
use crate::scenario::{Base, Lane, Mode, Plan, Slo, ValidityLimits};
use crate::time::Span;
use binomial::float;
use call_lags::{CallLags, NoLags};
use calls::Attempt;
pub use cost::{Cost, Memory};
use poll_ages::{Looks, PollAtAges};
use quantiles::Sample;
pub use receiver::Receiver;
use selftest::Quoted;
use slo::{Decision, Judgement};
use times::Times;

/// The built-in service, where a target is named.
const SIMULATOR: &str = "the built-in simulator";

/// The note of a run of which the area identity was not checked.
const AREA_NOT_CHECKED: &str = "the backlog was not compared with the rows: rows are missing";

/// To what the files tell an instant.
const FILE_RESOLUTION: Span = Span(1_000);

/// What the run was, apart from what it measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The scenario's name.
    pub scenario: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// The version of this program.
    pub version: String,
    /// The wall clock at the origin of all times: microseconds since the Unix epoch.
    pub started_at: i64,
    /// How long the load was to last.
    pub load_planned: Span,
    /// How long it lasted, the drain apart.
    pub load: Span,
    /// How long the whole run lasted.
    pub duration: Span,
    /// Why it ended.
    pub ended_by: EndedBy,
    /// The service, as it may be shown.
    pub target: String,
    /// Nothing was sent: the simulated service answered in virtual time.
    pub simulated: bool,
    /// Certificates were not checked.
    pub insecure: bool,
    /// Which client carried the requests; none of a run whose summary does not say.
    pub client: Option<Lane>,
    /// How many shards offered the load.
    pub shards: u64,
    /// How the ends of works were learned.
    pub mode: Mode,
    /// What the generator's threads spent on a processor, in whole microseconds; none of a run that
    /// was killed.
    pub cpu: Option<Span>,
    /// The memory of the process; none of a run that was killed.
    pub memory: Option<Memory>,
    /// The receiver of callbacks; none where there was none.
    pub receiver: Option<Receiver>,
    /// Which family of rate-limit headers the service sent.
    pub rate_limit_family: Option<String>,
    /// The run directory, as it may be shown.
    pub run_dir: String,
    /// What kept the machine, the process or a shard from measuring; none where nobody watched.
    pub disturbances: Option<Disturbances>,
    /// Every submission has a row in `works.csv`.
    pub has_rows: bool,
    /// How accurate the machine is known to be.
    pub selftest: Quoted,
    /// How polls look at works; none where they do not look at works of all ages.
    pub looks: Option<Looks>,
    /// What the way of polling does to the sojourn time, a sentence each.
    pub cautions: Vec<String>,
    /// What else a reader must know, a sentence each.
    pub notes: Vec<String>,
}

impl Facts {
    /// What a plan says; the rest is as of a run that never began.
    pub fn of(plan: &Plan) -> Self {
        Self {
            scenario: plan.name.clone(),
            seed: plan.seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: 0,
            load_planned: plan.load.iter().fold(Span::ZERO, |sum, stage| {
                Span(sum.0.saturating_add(stage.duration.0))
            }),
            load: Span::ZERO,
            duration: Span::ZERO,
            ended_by: EndedBy::Plan,
            target: match &plan.target.base {
                Base::Simulator => SIMULATOR.to_owned(),
                Base::Url(url) => url.clone(),
            },
            simulated: false,
            insecure: plan.http.insecure,
            client: Some(plan.http.lane),
            shards: 1,
            mode: plan.observe.mode,
            cpu: None,
            memory: None,
            receiver: None,
            rate_limit_family: None,
            run_dir: String::new(),
            disturbances: None,
            has_rows: plan.report.works,
            selftest: Quoted::Unknown,
            looks: Looks::of(plan),
            cautions: times::cautions(plan),
            notes: (!plan.report.works)
                .then(|| "works.csv has no rows, as report.works is \"none\"".to_owned())
                .into_iter()
                .collect(),
        }
    }

    /// The same of a run in virtual time, in which no client and no machine had a part. `how` is a
    /// sentence: what answered in the place of the target.
    #[must_use]
    pub fn in_virtual_time(mut self, how: &str) -> Self {
        self.notes.insert(0, how.to_owned());
        if self.target != SIMULATOR {
            self.target = format!("{SIMULATOR} in place of {}", self.target);
        }
        Self {
            simulated: true,
            insecure: false,
            client: None,
            cpu: None,
            memory: None,
            receiver: None,
            disturbances: None,
            selftest: Quoted::Unknown,
            ..self
        }
    }

    /// What answered in virtual time, of a run that was one.
    pub fn what_answered(&self) -> Option<&str> {
        let note = self.notes.first().map(String::as_str);
        note.filter(|_| self.simulated)
    }

    /// Intended arrivals per second of the load; none if there was no load.
    pub fn offered_rate(&self, snapshot: &Snapshot) -> Option<f64> {
        self.rate(snapshot.counts.get(Count::Scheduled))
    }

    /// Submits sent per second of the load, those of the drain apart; none if there was no load.
    pub fn achieved_rate(&self, snapshot: &Snapshot) -> Option<f64> {
        self.rate(snapshot.sent_in_load)
    }

    /// Over the load as the files tell it, to the microsecond: whoever divides by `load_s`, or
    /// makes the report from the files again, finds the same rate.
    fn rate(&self, events: u64) -> Option<f64> {
        let load = (self.load.seconds() * 1e6).round() / 1e6;
        (load > 0.0).then(|| float(events) / load)
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// It was over.
    Plan,
    /// The operator stopped it.
    Interrupt,
    /// The service refused the key or does not know the intake, so the load was not worth sending.
    Abort,
    /// The run could not go on: a full disk, a thread that died.
    Error,
    /// It was killed; the report is made from what it had written.
    Killed,
}

impl EndedBy {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Plan,
        Self::Interrupt,
        Self::Abort,
        Self::Error,
        Self::Killed,
    ];

    /// The word in `summary.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Interrupt => "interrupt",
            Self::Abort => "abort",
            Self::Error => "error",
            Self::Killed => "killed",
        }
    }
}

/// Why a measurement is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The generator itself was late.
    LateGenerator,
    /// The books do not balance.
    Books,
    /// The wall clock jumped.
    ClockStep,
    /// The machine was suspended.
    Suspended,
    /// File descriptors ran out.
    Descriptors,
    /// A shard, or the receiver of callbacks, used its whole core.
    Cpu,
    /// The receiver of callbacks had no room for who called, or heard nothing.
    Receiver,
    /// A shard died.
    ShardDied,
    /// The journal could not write everything.
    JournalLost,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::LateGenerator,
        Self::Books,
        Self::ClockStep,
        Self::Suspended,
        Self::Descriptors,
        Self::Cpu,
        Self::Receiver,
        Self::ShardDied,
        Self::JournalLost,
    ];

    /// The word in `summary.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LateGenerator => "late_generator",
            Self::Books => "books",
            Self::ClockStep => "clock_step",
            Self::Suspended => "suspended",
            Self::Descriptors => "descriptors",
            Self::Cpu => "cpu",
            Self::Receiver => "receiver",
            Self::ShardDied => "shard_died",
            Self::JournalLost => "journal_lost",
        }
    }
}

/// One reason why a measurement is not to be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Which kind.
    pub code: Code,
    /// What was found, in SI units; none where it is no number.
    pub value: Option<f64>,
    /// What would have been fine.
    pub limit: Option<f64>,
    /// A sentence.
    pub text: String,
}

/// What is to be thought of the run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything promised was kept.
    Pass,
    /// Too few samples to judge a promise, and none is broken.
    Undecided,
    /// A promise is broken.
    Fail,
    /// The measurement is not to be trusted.
    Invalid,
}

impl Verdict {
    /// The word in `summary.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Undecided => "undecided",
            Self::Fail => "fail",
            Self::Invalid => "invalid",
        }
    }

    /// The exit code of `report`, which judges the run and not how it ended.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Invalid => 3,
            Self::Undecided => 4,
        }
    }
}

/// The whole result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the run was.
    pub facts: Facts,
    /// What it measured.
    pub snapshot: Snapshot,
    /// What its validity was judged by.
    pub limits: ValidityLimits,
    /// Why it is not to be trusted; empty if it is.
    pub reasons: Vec<Reason>,
    /// How long works were in the service.
    pub times: Times,
    /// When to ask for works of this service.
    pub poll_at_ages: Option<PollAtAges>,
    /// What became of each promise.
    pub slo: Vec<Judgement>,
    /// The verdict.
    pub verdict: Verdict,
}

impl Report {
    /// How unevenly callbacks came; nothing where none came, or `callbacks.csv` has no rows, from
    /// which it is made again.
    pub fn bursts(&self) -> Vec<Burst> {
        if self.facts.has_rows {
            self.snapshot.bursts.until(self.snapshot.end)
        } else {
            Vec::new()
        }
    }

    /// How long after the one before each attempt to tell of a work came; nothing without
    /// `callbacks.csv`, from which it is made again.
    pub fn attempts(&self) -> Vec<Attempt> {
        if self.facts.has_rows {
            calls::attempts(&self.snapshot.attempts)
        } else {
            Vec::new()
        }
    }

    /// How late callbacks came; not known without `callbacks.csv`, from which it is made again.
    pub fn call_lags(&self) -> Result<CallLags, NoLags> {
        if self.facts.has_rows {
            CallLags::of(&self.snapshot)
        } else {
            Err(NoLags::NoRows)
        }
    }

    /// Judges a run: `reasons` are those that only its world can know (clock, descriptors,
    /// processor, shards, journal); lateness and books are judged here.
    pub fn new(plan: &Plan, facts: Facts, snapshot: Snapshot, reasons: Vec<Reason>) -> Self {
        Self::judge(&plan.slo, plan.validity, facts, snapshot, reasons)
    }

    /// The same from the parts of a plan that matter.
    pub fn judge(
        promises: &[Slo],
        limits: ValidityLimits,
        facts: Facts,
        snapshot: Snapshot,
        mut reasons: Vec<Reason>,
    ) -> Self {
        reasons.extend(late_generator(&snapshot, limits));
        let died = |why: &Reason| why.code == Code::ShardDied;
        let is_whole = facts.ended_by != EndedBy::Killed && !reasons.iter().any(died);
        let books = snapshot.check_books(is_whole);
        reasons.extend(books.err().map(|line| open_books(&line)));
        let slo: Vec<Judgement> = promises
            .iter()
            .map(|promise| slo::judge(promise, &snapshot, &facts))
            .collect();
        let worst = slo.iter().map(|judged| judged.decision).max();
        // A run that could not go on proves nothing good, however little it saw.
        let broke_off = matches!(facts.ended_by, EndedBy::Abort | EndedBy::Error);
        let verdict = match worst {
            _ if !reasons.is_empty() => Verdict::Invalid,
            Some(Decision::Fail) => Verdict::Fail,
            Some(Decision::Undecided) => Verdict::Undecided,
            Some(Decision::Pass) | None if broke_off => Verdict::Undecided,
            Some(Decision::Pass) | None => Verdict::Pass,
        };
        let times = Times::of(&facts, &snapshot);
        Self {
            poll_at_ages: PollAtAges::of(&facts, &snapshot, &times),
            times,
            facts,
            snapshot,
            limits,
            reasons,
            slo,
            verdict,
        }
    }

    /// The exit code of `run`: 2 the operator's mistake, 130 interrupted, else that of the verdict.
    ///
    /// An abort is a wrong key or intake, and an error a disk or a target that failed: mistakes of
    /// the operator. A shard that died is ours, and makes the measurement invalid.
    pub fn exit_code(&self) -> u8 {
        let ours = |reason: &Reason| reason.code == Code::ShardDied;
        match self.facts.ended_by {
            EndedBy::Abort => 2,
            EndedBy::Error if !self.reasons.iter().any(ours) => 2,
            EndedBy::Interrupt => 130,
            EndedBy::Error | EndedBy::Plan | EndedBy::Killed => self.verdict.exit_code(),
        }
    }
}

/// Compares the area under the backlog with the rows, as exactly as the files tell both: then a
/// report that is made from the files says the same. There are no `books` of a run that keeps no
/// rows. The answer is a reason for distrust, if they differ; or why they cannot be compared, for
/// the notes.
pub fn check_area(books: Option<AreaBooks>, reasons: &[Reason]) -> Result<Option<Reason>, String> {
    let misses_rows = |why: &Reason| matches!(why.code, Code::ShardDied | Code::JournalLost);
    let whole = books.filter(|_| !reasons.iter().any(misses_rows));
    let books = whole.ok_or_else(|| AREA_NOT_CHECKED.to_owned())?;
    let difference = books.compare(FILE_RESOLUTION).err();
    Ok(difference.map(|difference| open_books(&difference.to_string())))
}

fn open_books(line: &str) -> Reason {
    Reason {
        code: Code::Books,
        value: None,
        limit: None,
        text: format!("the books do not balance: {line}"),
    }
}

/// The generator's own lateness, waits that the scenario chose apart.
fn late_generator(snapshot: &Snapshot, limits: ValidityLimits) -> Option<Reason> {
    let sample = Sample::of(snapshot, Metric::GeneratorLag);
    if sample.total() == 0 {
        return None;
    }
    let limit = limits.schedule_lag_p99.seconds();
    let [lag] = sample.quantiles([0.99]);
    let late = lag.is_none_or(|lag| lag > limit);
    late.then(|| Reason {
        code: Code::LateGenerator,
        value: lag,
        limit: Some(limit),
        text: format!(
            "the generator was late itself: p99 of its lag is {}, the limit is {}",
            lag.map_or_else(|| "beyond a day".to_owned(), text::number::time),
            text::number::time(limit),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::fixture::{at_most, facts, limits, run};
    use super::*;

    #[test]
    fn the_verdict_is_the_worst_and_the_exit_code_the_first_that_applies() {
        let check = |bounds: &[f64], reasons: &[Code], ended_by, verdict, code| {
            let slo: Vec<Slo> = bounds
                .iter()
                .map(|bound| at_most("accept_latency", 0.99, *bound))
                .collect();
            let reasons = reasons
                .iter()
                .map(|code| Reason {
                    code: *code,
                    value: None,
                    limit: None,
                    text: String::new(),
                })
                .collect();
            let facts = Facts {
                ended_by,
                ..facts()
            };
            let report = Report::judge(&slo, limits(), facts, run().snapshot, reasons);
            assert_eq!(report.verdict, verdict, "{bounds:?} {ended_by:?}");
            assert_eq!(report.exit_code(), code, "{bounds:?} {ended_by:?}");
        };
        // The accept latencies of the run are 1 to 100 ms, so p99 is 99 ms: too few for its bound.
        check(&[], &[], EndedBy::Plan, Verdict::Pass, 0);
        check(&[0.02], &[], EndedBy::Plan, Verdict::Fail, 1);
        check(&[1.0], &[], EndedBy::Plan, Verdict::Undecided, 4);
        check(&[1.0, 0.02], &[], EndedBy::Killed, Verdict::Fail, 1);
        check(&[0.02], &[Code::Cpu], EndedBy::Plan, Verdict::Invalid, 3);
        check(
            &[0.02],
            &[Code::Cpu],
            EndedBy::Interrupt,
            Verdict::Invalid,
            130,
        );
        check(&[], &[], EndedBy::Interrupt, Verdict::Pass, 130);
        check(&[], &[], EndedBy::Abort, Verdict::Undecided, 2);
        check(&[0.02], &[], EndedBy::Abort, Verdict::Fail, 2);
        check(
            &[],
            &[Code::JournalLost],
            EndedBy::Error,
            Verdict::Invalid,
            2,
        );
        check(&[], &[Code::ShardDied], EndedBy::Error, Verdict::Invalid, 3);
    }

    #[test]
    fn a_rate_is_that_of_the_load_in_the_files() {
        let check = |nanos: u64, rate: Option<f64>| {
            let facts = Facts {
                load: Span(nanos),
                ..facts()
            };
            assert_eq!(facts.rate(114), rate, "{nanos} ns");
        };
        // An interrupt stops the load within a microsecond, of which the files know nothing.
        check(1_895_199_450, Some(114.0 / 1.895_199));
        check(1_895_199_550, Some(114.0 / 1.895_2));
        check(1, None);
        check(0, None);
    }

    #[test]
    fn the_backlog_is_compared_where_all_rows_are_there() {
        let run = run();
        let mut books = AreaBooks::of(&run.intervals);
        let gauge = check_area(Some(books.clone()), &[]).unwrap();
        assert_eq!(gauge.map(|reason| reason.code), Some(Code::Books));
        for settled in &run.rows {
            books.row(&settled.row);
        }
        assert_eq!(check_area(Some(books.clone()), &[]), Ok(None));
        let not_made = Err(AREA_NOT_CHECKED.to_owned());
        assert_eq!(check_area(None, &[]), not_made);
        for code in [Code::ShardDied, Code::JournalLost] {
            let misses = Reason {
                code,
                value: None,
                limit: None,
                text: String::new(),
            };
            assert_eq!(check_area(Some(books.clone()), &[misses]), not_made);
        }
    }

    #[test]
    fn a_late_generator_and_open_books_make_a_run_invalid() {
        let mut snapshot = run().snapshot;
        snapshot.counts.add(Count::Sent, 1);
        let tight = ValidityLimits {
            schedule_lag_p99: Span::from_millis(0),
            ..limits()
        };
        let report = Report::judge(&[], tight, facts(), snapshot, Vec::new());
        let codes: Vec<Code> = report.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!(codes, [Code::LateGenerator, Code::Books]);
        assert_eq!(report.verdict, Verdict::Invalid);
        assert!(report.reasons[1].text.contains("scheduled ="));
    }
}
