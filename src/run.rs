//! `plimsoll run`: Plan → shards → Snapshot → Report; the only file in which every layer meets.

mod callbacks;
mod collect;
mod ending;
mod in_virtual_time;
mod like;
mod over_http;
mod pace;
mod prepare;
pub mod selftest;
pub mod size;
mod state;
mod venue;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::record::disturbance::{Disturbance, Disturbances, Kind};
use crate::report::text::number;
use crate::report::{
    Code, EndedBy, Facts, Memory, Reason, Report, check_area, curve, summary, text,
};
use crate::scenario::Plan;
use crate::shell::client::BadClient;
use crate::shell::driver::Health;
use crate::shell::limits;
use crate::shell::orders::Orders;
use crate::shell::run_directory::{RunDirectory, Unwritable};
use crate::shell::screen::{self, Screen, Show};
use crate::shell::signals;
use crate::time::Span;
use crate::work::Policy;
use collect::{Collected, Collector};
use ending::Ending;
use in_virtual_time::InVirtualTime;
use over_http::OverHttp;
use state::Quote;
use venue::{Left, Shards as _, Venue, Ways};

pub(crate) use prepare::sim_secrets;
pub use prepare::{Scenario, read_scenario, secret_warnings};
pub use state::selftest_warning;

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
    /// Against the simulated service in virtual time, whatever the target is.
    pub virtual_time: bool,
    /// The directory of an earlier run, whose works those of this one end like; in virtual time.
    pub like: Option<PathBuf>,
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
    if options.virtual_time {
        let venue = InVirtualTime::prepare(&scenario.plan, options)?;
        run_at(venue, scenario, options, out)
    } else if options.like.is_some() {
        Err(Mistake(
            "--like is for virtual time: a real service ends its works as it will\n\
             hint: add --virtual"
                .to_owned(),
        ))
    } else {
        let venue = OverHttp::prepare(&scenario.plan, options)?;
        run_at(venue, scenario, options, out)
    }
}

fn run_at(
    venue: impl Venue,
    scenario: &Scenario,
    options: &Options,
    out: &mut impl Write,
) -> Result<u8, Mistake> {
    let screen = Screen::new(options.show);
    let path = options
        .out
        .clone()
        .unwrap_or_else(|| prepare::default_directory(&venue.facts()));
    let notices = screen.clone();
    let listen =
        |orders: &Orders| signals::listen(orders.clone(), move |notice| notices.say(notice));
    let quote = if options.virtual_time {
        Quote::of_nothing()
    } else {
        Quote::of_this_machine()
    };
    let done = carry_out(venue, scenario, &path, screen, quote, listen)?;
    // Of a run that its first answer ended a person needs to know only why.
    if done.report.facts.ended_by != EndedBy::Abort || options.output == Output::Json {
        show(out, options.output, &done.report, &done.json)?;
    }
    done.outcome?;
    Ok(done.report.exit_code())
}

/// A run that is over.
struct Done {
    report: Report,
    /// `summary.json`.
    json: Vec<u8>,
    /// What the operator must put right.
    outcome: Result<(), Mistake>,
    /// Requests in the second that had the most.
    busiest_second: u64,
}

/// From the directory to the summary in it. `listen` hears what the operator wants of the shards.
fn carry_out(
    venue: impl Venue,
    scenario: &Scenario,
    path: &Path,
    screen: Screen,
    quote: Quote,
    listen: impl FnOnce(&Orders) -> io::Result<()>,
) -> Result<Done, Mistake> {
    let plan = &scenario.plan;
    let mut facts = venue.facts();
    let mut directory = RunDirectory::create(path, &scenario.resolved, plan)?;
    let columns = screen::columns(io::stderr());
    for line in prepare::opening(&facts, path, &venue.warnings(), columns) {
        screen.say(&line);
    }

    let Ways {
        clock,
        pace,
        orders,
        mut messages,
        shards,
    } = venue.ways();
    listen(&orders)?;
    directory.begin(clock.origin_wall_micros(), facts.what_answered())?;
    let number = shards.inbounds.len();
    let mut collector = Collector::new(plan, directory, screen, pace, orders, number);
    let memory = limits::peak_memory();
    let shards = venue.start(shards)?;
    collector.listen(&mut messages);
    let Left {
        shards,
        watch,
        receiver,
        truth,
    } = shards.join();
    let (mut ending, left) = Ending::of(shards);
    ending.add_watch(watch);
    ending.add_receiver(receiver);
    let mut collected = collector.finish(left);

    facts.memory = memory.filter(|_| !facts.simulated).and_then(|before| {
        let peak = limits::peak_memory()?;
        let grown = peak.saturating_sub(before);
        Some(Memory { peak, grown })
    });
    facts.started_at = clock.origin_wall_micros();
    facts.run_dir = path.display().to_string();
    facts.notes.extend(quote.damage);
    facts
        .notes
        .extend(quote.quoted.note(collected.busiest_second));
    facts.selftest = quote.quoted;
    let report = judge(plan, facts, &ending, &collected);
    let json = summary::write(&report);
    let written = collected.directory.finish(&curve::write(&report), &json);
    let outcome = match mistake(plan, &report, &collected, &ending) {
        Some(sentence) => Err(Mistake(sentence)),
        None => written.map_err(Mistake::from).and(truth),
    };
    Ok(Done {
        report,
        json,
        outcome,
        busiest_second: collected.busiest_second,
    })
}

/// Everything that a run showed, judged.
fn judge(plan: &Plan, mut facts: Facts, ending: &Ending, collected: &Collected) -> Report {
    let mut snapshot = collected.snapshot.clone();
    snapshot.stuck.clone_from(&ending.stuck);
    facts.load = Span(facts.load_planned.0.min(snapshot.end.0));
    facts.duration = Span(snapshot.end.0);
    facts.notes.extend(collected.notes());
    facts.notes.extend(ending.unwatched.clone());
    facts.notes.extend(ending.unheard());
    facts.receiver = ending.receiver.map(|seen| seen.used(snapshot.end));
    facts.disturbances.clone_from(&ending.disturbances);
    if let Some(at) = ending.at {
        facts.load = Span(ending.load_end.0);
        facts.duration = Span(at.0);
        let receiver = ending.receiver.map_or(Span::ZERO, |seen| seen.cpu);
        let cpu = collected.health.cpu + receiver;
        let cpu = Span(cpu.micros() * 1_000);
        facts.cpu = (!facts.simulated).then_some(cpu);
    }
    let (family, policy) = ending.announced;
    facts.rate_limit_family = family.map(|family| family.word().to_owned());
    let announced = policy.map(|policy| announcement(plan, policy));
    facts.notes.extend(announced);
    if plan.http.warm_up > 0 && !facts.simulated {
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
    let disturbances = ending.disturbances.iter();
    let mut reasons: Vec<Reason> = disturbances.flat_map(disturbed).collect();
    reasons.extend(overtaxed(plan, ending, collected));
    reasons.extend(
        ending
            .receiver
            .iter()
            .flat_map(|seen| callbacks::overloaded(plan, seen)),
    );
    reasons.extend(callbacks::deaf(plan, &facts, &snapshot));
    reasons.extend(ending.died.iter().map(|why| {
        let text = why.clone();
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
fn overtaxed(plan: &Plan, ending: &Ending, collected: &Collected) -> Vec<Reason> {
    let Health {
        cpu_share,
        out_of_descriptors,
        rows_lost,
        ..
    } = collected.health;
    let mut reasons = Vec::new();
    let receiver = ending.receiver.unwrap_or_default();
    if out_of_descriptors || receiver.out_of_descriptors {
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
