//! `plimsoll run`: Plan → shards → Snapshot → Report; the only file in which every layer meets.

mod collect;
mod ending;
mod prepare;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::arrival::Segment;
use crate::record::disturbance::{Disturbance, Disturbances, Kind};
use crate::report::text::number;
use crate::report::{Code, EndedBy, Facts, Reason, Report, check_area, summary, text};
use crate::scenario::Plan;
use crate::shell::client::BadClient;
use crate::shell::driver::{Health, Reports};
use crate::shell::orders::Orders;
use crate::shell::requests::Shapes;
use crate::shell::run_directory::{RunDirectory, Unwritable};
use crate::shell::screen::{self, Screen, Show};
use crate::shell::shard::{Common, Shard, reports};
use crate::shell::watchdog::Watchdog;
use crate::shell::{RunClock, signals};
use crate::time::Span;
use crate::work::Policy;
use collect::{Collected, Collector};
use ending::Ending;

pub(crate) use prepare::no_key;
pub use prepare::{Scenario, key_warning, read_scenario};

/// From the moment at which everything is ready to the first instant of the plan.
const LEAD: Span = Span::from_millis(100);
/// The same for each connection that is opened before: what TLS takes on a busy core.
const LEAD_A_CONNECTION: Span = Span::from_millis(1);

/// Something that the operator can put right. Ends a command with exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(pub String);

impl From<BadClient> for Mistake {
    fn from(error: BadClient) -> Self {
        Self(error.0)
    }
}

impl From<Unwritable> for Mistake {
    fn from(error: Unwritable) -> Self {
        Self(format!(
            "cannot write {}: {}\nhint: {}",
            error.path.display(),
            error.reason,
            match error.kind {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded =>
                    "the disk is full: make room, or use --out",
                io::ErrorKind::FileTooLarge =>
                    "files may not grow so long here: look at `ulimit -f`, or use --out",
                io::ErrorKind::AlreadyExists => "--out names a new directory",
                _ => "--out names a directory that you may write",
            }
        ))
    }
}

impl From<io::Error> for Mistake {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What the result on the standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The summary that a person reads.
    Text,
    /// One line.
    Line,
    /// `summary.json`.
    Json,
}

/// What `plimsoll run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run directory, if one is named.
    pub out: Option<PathBuf>,
    /// Where the built-in service writes its truth.
    pub truth: Option<PathBuf>,
    /// What is shown while it runs.
    pub show: Show,
    /// What is shown at the end.
    pub output: Output,
    /// Threads that offer the load.
    pub shards: Shards,
}

/// How many threads offer the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// As many as the expected rate asks for.
    Auto,
    /// So many.
    Exactly(u64),
}

/// Runs a scenario to its end, and writes the result to `out`. The answer is the exit code.
pub fn run(scenario: &Scenario, options: &Options, out: &mut impl Write) -> Result<u8, Mistake> {
    let plan = &scenario.plan;
    let shards = prepare::shards(plan, options.shards)?;
    prepare::descriptors(plan, shards)?;
    let key = prepare::key(plan)?;
    let screen = Screen::new(options.show);
    let path = options
        .out
        .clone()
        .unwrap_or_else(|| prepare::default_directory(plan));
    prepare::reach_target(plan, options.truth.as_deref())?;
    let load = crate::arrival::length(&plan.load);
    let mut directory = RunDirectory::create(&path, &scenario.resolved, load, plan.report)?;
    for line in prepare::opening(plan, &path, shards, screen::columns(io::stderr())) {
        screen.say(&line);
    }

    let warm_up = Span(LEAD_A_CONNECTION.0 * u64::from(plan.http.warm_up));
    let clock = RunClock::starting_in(Span(LEAD.0 + warm_up.0));
    let (orders, inbounds) = Orders::new(clock, shards);
    let notices = screen.clone();
    signals::listen(orders.clone(), move |notice| notices.say(notice))?;
    let target = prepare::Target::start(plan, key, clock)?;
    directory.begin(clock.origin_wall_micros())?;
    let shapes = Shapes {
        plan: Arc::clone(plan),
        wire: prepare::wire(plan, target.url())?,
    };
    let (reports, mut messages) = reports();
    let mut collector = Collector::new(plan, directory, screen, orders.clone(), inbounds.len());
    let common = Common {
        shapes,
        base_url: target.url(),
        key: target.key(),
        clock,
        orders,
    };
    let (watchdog, probes) = Watchdog::start(clock, plan.seed, shards)?;
    let mut threads = Vec::new();
    for (shard, (inbound, probes)) in inbounds.into_iter().zip(probes).enumerate() {
        let (index, of) = (shard as u64, shards);
        let to = reports.clone();
        let reports = Reports { shard, to };
        let segment = Segment { index, of };
        threads.push(Shard::start(&common, segment, inbound, reports, probes)?);
    }
    drop(reports);
    collector.listen(&mut messages);
    let (mut ending, left) = Ending::of(threads.into_iter().map(Shard::join).collect());
    ending.add_watch(watchdog.stop());
    let mut collected = collector.finish(left);
    target.stop(options.truth.as_deref())?;

    let mut facts = Facts::of(plan);
    facts.started_at = clock.origin_wall_micros();
    facts.run_dir = path.display().to_string();
    facts.shards = shards;
    let report = judge(plan, facts, &ending, &collected);
    let json = summary::write(&report);
    let written = collected.directory.finish(&json);
    let mistake = mistake(plan, &report, &collected, &ending);
    // Of a run that its first answer ended a person needs to know only why.
    if report.facts.ended_by != EndedBy::Abort || options.output == Output::Json {
        show(out, options.output, &report, &json)?;
    }
    if let Some(sentence) = mistake {
        return Err(Mistake(sentence));
    }
    written?;
    Ok(report.exit_code())
}

/// Everything that a run showed, judged.
fn judge(plan: &Plan, mut facts: Facts, ending: &Ending, collected: &Collected) -> Report {
    let mut snapshot = collected.snapshot.clone();
    snapshot.stuck.clone_from(&ending.stuck);
    facts.load = Span(facts.load_planned.0.min(snapshot.end.0));
    facts.duration = Span(snapshot.end.0);
    facts.notes.extend(collected.notes());
    facts.notes.extend(ending.unwatched.clone());
    facts.disturbances = Some(ending.disturbances.clone());
    if let Some(at) = ending.at {
        facts.load = Span(ending.load_end.0);
        facts.duration = Span(at.0);
        facts.cpu = Some(Span(collected.health.cpu.micros() * 1_000));
    }
    let (family, policy) = ending.announced;
    facts.rate_limit_family = family.map(|family| family.word().to_owned());
    let announced = policy.map(|policy| announcement(plan, policy));
    facts.notes.extend(announced);
    if plan.http.warm_up > 0 {
        facts.notes.push(format!(
            "{} connections stood at the first instant, of {} that http.warm_up asks for",
            ending.warm, plan.http.warm_up
        ));
    }
    facts.ended_by = if !ending.died.is_empty() {
        EndedBy::Error
    } else if ending.refusal.is_some() {
        EndedBy::Abort
    } else if collected.unwritable.is_some() {
        EndedBy::Error
    } else if ending.interrupted {
        EndedBy::Interrupt
    } else {
        EndedBy::Plan
    };
    let mut reasons = disturbed(&ending.disturbances);
    reasons.extend(overtaxed(plan, collected));
    reasons.extend(ending.died.iter().map(|why| {
        let text = format!("a shard died: {why}");
        reason(Code::ShardDied, None, None, text)
    }));
    match check_area(collected.area.clone(), &reasons) {
        Ok(difference) => reasons.extend(difference),
        Err(note) => facts.notes.push(note),
    }
    Report::new(plan, facts, snapshot, reasons)
}

/// What the service said of its limit, and whether it was obeyed.
fn announcement(plan: &Plan, Policy { quota, window }: Policy) -> String {
    let learns = plan.limits.is_some_and(|limits| limits.learn);
    let obeyed = if learns {
        "obeyed"
    } else {
        "not obeyed, as limits.learn is off"
    };
    format!("the service announces a limit of {quota} requests in {window}: {obeyed}")
}

fn reason(code: Code, value: Option<f64>, limit: Option<f64>, text: String) -> Reason {
    Reason {
        code,
        value,
        limit,
        text,
    }
}

/// What the clocks of the machine did is a reason for distrust. That a process or a shard was
/// starved is judged by the lags.
fn disturbed(disturbances: &Disturbances) -> Vec<Reason> {
    let tells = |kind, code, what: &str| {
        let Disturbance { at, length, .. } = disturbances.longest_of(kind)?;
        let (at, by) = (number::clock(Span(at.0)), number::time(length.seconds()));
        let limit = Disturbances::SHORTEST.seconds();
        let text = format!("at {at} {what} {by}");
        Some(reason(code, Some(length.seconds()), Some(limit), text))
    };
    let asleep = "the machine was suspended for";
    let set = "the wall clock was set by";
    [
        tells(Kind::Suspended, Code::Suspended, asleep),
        tells(Kind::ClockStep, Code::ClockStep, set),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The reasons for distrust that only the shell can know.
fn overtaxed(plan: &Plan, collected: &Collected) -> Vec<Reason> {
    let Health {
        cpu_share,
        out_of_descriptors,
        rows_lost,
        ..
    } = collected.health;
    let mut reasons = Vec::new();
    if out_of_descriptors {
        let text = "the process ran out of file descriptors: raise `ulimit -n`".to_owned();
        reasons.push(reason(Code::Descriptors, None, None, text));
    }
    if cpu_share > plan.validity.cpu_share {
        let (share, limit) = (100.0 * cpu_share, 100.0 * plan.validity.cpu_share);
        let text = format!(
            "the generator used {share:.0} % of a core over ten seconds, the limit is {limit:.0} %"
        );
        reasons.push(reason(
            Code::Cpu,
            Some(cpu_share),
            Some(plan.validity.cpu_share),
            text,
        ));
    }
    if let Some(error) = &collected.unwritable {
        let text = format!(
            "{} could not be written: {}",
            error.path.display(),
            error.reason
        );
        reasons.push(reason(Code::JournalLost, None, None, text));
    } else if rows_lost > 0 {
        let lost = f64::from(u32::try_from(rows_lost).unwrap_or(u32::MAX));
        let text = format!("{rows_lost} rows could not be written in time");
        reasons.push(reason(Code::JournalLost, Some(lost), Some(0.0), text));
    }
    reasons
}

/// A sentence for what the operator must put right, where that is why the run ended.
fn mistake(plan: &Plan, report: &Report, collected: &Collected, ending: &Ending) -> Option<String> {
    if let Some(error) = &collected.unwritable {
        let Mistake(text) = error.clone().into();
        return Some(format!("the run was stopped: {text}"));
    }
    if report.facts.ended_by == EndedBy::Abort {
        return Some(prepare::refused(plan, ending.refusal.as_ref()?));
    }
    None
}

fn show(out: &mut impl Write, output: Output, report: &Report, json: &[u8]) -> Result<(), Mistake> {
    match output {
        Output::Text => {
            let columns = screen::columns(io::stdout());
            out.write_all(text::summary(report, columns).as_bytes())?;
        }
        Output::Line => writeln!(out, "{}", text::line(report))?,
        Output::Json => out.write_all(json)?,
    }
    Ok(out.flush()?)
}
