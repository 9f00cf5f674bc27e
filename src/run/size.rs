//! `plimsoll size`: the short runs, through the same door as any other, and what is made of them.

use std::cell::Cell;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::in_virtual_time::InVirtualTime;
use super::over_http::OverHttp;
use super::prepare::{self, Scenario, read_scenario};
use super::state::Quote;
use super::{Done, Mistake, Options, Output, Shards, carry_out};
use crate::report::text::number;
use crate::report::{Facts, Report};
use crate::scenario::earlier::{self, CURVE};
use crate::scenario::{Base, Mode, Plan, SizePlan};
use crate::selftest::Harness;
use crate::shell::orders::Orders;
use crate::shell::run_directory::{SUMMARY, WORKS};
use crate::shell::screen::{self, Screen, Show};
use crate::shell::{RunClock, signals};
use crate::sizing::advice::Choice;
use crate::sizing::burst::{Dispersion, WINDOWS};
use crate::sizing::candidates::{Candidate, candidates};
use crate::sizing::delivery::Delivery;
use crate::sizing::measured::Measured;
use crate::sizing::need::Given;
use crate::sizing::result::{Peak, Row, Sizing};
use crate::sizing::sojourn::{Sojourn, Way};
use crate::sizing::{json, played, rows, table};
use crate::time::Span;

/// The result for machines.
const JSON: &str = "size.json";
/// A row for each choice at each peak.
const CSV: &str = "size.csv";
/// Where the runs are.
const RUNS: &str = "runs";
/// What was measured is told by the rows of works.
const WITH_ROWS: &str = "report.works=all";
/// The exit code where a run is not to be trusted.
const INVALID: u8 = 3;

/// What `plimsoll size` was asked for.
#[derive(Clone, Debug)]
pub struct SizeOptions {
    /// The scenario.
    pub scenario: PathBuf,
    /// What is overridden in it.
    pub sets: Vec<String>,
    /// Whether mistakes are drawn in colours.
    pub coloured: bool,
    /// The directory of an earlier run which says how long works take; then none is made.
    pub from: Option<PathBuf>,
    /// Whether the runs are in virtual time.
    pub virtual_time: bool,
    /// The directory of the result, if one is named.
    pub out: Option<PathBuf>,
    /// What is shown on the way.
    pub show: Show,
    /// What is shown at the end.
    pub output: Output,
}

/// Why there is no result.
enum Ending {
    Mistake(Mistake),
    Interrupted,
}

impl<E: Into<Mistake>> From<E> for Ending {
    fn from(error: E) -> Self {
        Self::Mistake(error.into())
    }
}

/// Measures, reckons, plays, and writes what is recommended to `out`. The answer is the exit code.
pub fn size(options: &SizeOptions, out: &mut impl Write) -> Result<u8, Mistake> {
    let screen = Screen::new(options.show);
    let scenario = read_scenario(&options.scenario, &options.sets, options.coloured)?;
    let size = scenario.plan.size.clone().ok_or_else(no_size)?;
    let (runs, orders) = unbounded_channel();
    let (to, interrupted) = mpsc::channel();
    signals::stop_runs(orders, to)?;
    let clock = RunClock::starting_in(Span::ZERO);
    let bench = Bench {
        options,
        folder: folder(options, &scenario.plan),
        screen: &screen,
        scenario: &scenario,
        size: &size,
        runs,
        interrupted,
        is_over: Cell::new(false),
    };
    let mut sizing = match bench.all() {
        Ok(sizing) => sizing,
        Err(Ending::Mistake(mistake)) => return Err(mistake),
        Err(Ending::Interrupted) => {
            screen.say("interrupted: nothing is recommended");
            return Ok(signals::INTERRUPTED);
        }
    };
    sizing.started_at = clock.origin_wall_micros();
    screen.clear();
    let json = json::write(&sizing);
    write(&bench.folder.join(JSON), &json)?;
    write(&bench.folder.join(CSV), &rows::write(&sizing))?;
    match options.output {
        Output::Text => {
            let columns = screen::columns(io::stdout());
            let files = bench.folder.display().to_string();
            out.write_all(table::table(&sizing, &files, columns).as_bytes())?;
        }
        Output::Line => writeln!(out, "{}", table::line(&sizing))?,
        Output::Json => out.write_all(&json)?,
    }
    out.flush()?;
    Ok(if sizing.invalid().is_empty() {
        0
    } else {
        INVALID
    })
}

fn no_size() -> Mistake {
    Mistake(
        "the scenario does not say what to decide: found no [size]\n\
         hint: add [size] with peak = [\"600/min\"]; `docs/scenario.md` has its other keys"
            .to_owned(),
    )
}

/// `reports/<name>-size-<UTC time>`, unless one is named.
fn folder(options: &SizeOptions, plan: &Plan) -> PathBuf {
    options.out.clone().unwrap_or_else(|| {
        let mut facts = Facts::of(plan);
        facts.scenario.push_str("-size");
        prepare::default_directory(&facts)
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Mistake> {
    fs::write(path, bytes).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Mistake {
    Mistake(format!(
        "cannot write {}: {error}\nhint: --out names a directory that you may write",
        path.display()
    ))
}

/// What all runs share.
struct Bench<'a> {
    options: &'a SizeOptions,
    folder: PathBuf,
    screen: &'a Screen,
    scenario: &'a Scenario,
    size: &'a SizePlan,
    /// Whoever stops runs is told of each.
    runs: UnboundedSender<Orders>,
    /// And says when they are to end.
    interrupted: mpsc::Receiver<()>,
    is_over: Cell<bool>,
}

/// A run that says how long works take.
struct Source {
    shown: String,
    works: u64,
    sojourn: Sojourn,
    way: Way,
}

impl Bench<'_> {
    fn all(&self) -> Result<Sizing, Ending> {
        let candidates = candidates(&self.scenario.plan, self.size);
        let scenarios: Vec<Scenario> = (candidates.iter())
            .map(|candidate| self.read(candidate))
            .collect::<Result<_, _>>()?;
        if self.folder.join(JSON).exists() {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, "it holds a result already");
            return Err(unwritable(&self.folder, &error).into());
        }
        let runs_in = self.folder.join(RUNS);
        fs::create_dir_all(&runs_in).map_err(|error| unwritable(&runs_in, &error))?;
        let mut runs = Vec::new();
        let mut called = None;
        let mut dispersion = [1.0; WINDOWS.len()];
        let from = if let Some(from) = &self.options.from {
            runs.push(earlier_run(from)?);
            from.clone()
        } else {
            let (candidate, _) = teller(&candidates, &scenarios)?;
            for (candidate, scenario) in candidates.iter().zip(&scenarios) {
                let (run, report) = self.run(candidate, scenario)?;
                if scenario.plan.observe.mode == Mode::Callback {
                    dispersion = dispersion_of(&report);
                    called = run.time_to_terminal.filter(|_| !self.knows_truth(scenario));
                }
                runs.push(run);
            }
            runs_in.join(candidate.file_name())
        };
        let source = source(&from)?;
        let plan = Arc::clone(&self.scenario.plan);
        let mut delivery = Delivery::of(&plan.simulator.callback, self.size.failure_ratio);
        if let Some(called) = called {
            delivery = delivery.delayed(called - source.sojourn.mean() - source.way.one_way());
        }
        let given = Given {
            sojourn: source.sojourn,
            way: source.way,
            size: self.size.clone(),
            limit: self.size.limit,
            delivery,
            dispersion,
        };
        let choices: Vec<Choice> = (candidates.iter().zip(scenarios))
            .map(|(candidate, scenario)| Choice {
                name: candidate.name.clone(),
                plan: scenario.plan,
            })
            .collect();
        let mut sizing = Sizing {
            scenario: plan.name.clone(),
            seed: plan.seed,
            started_at: 0,
            target: Facts::of(&plan).target,
            simulated: self.options.virtual_time,
            source: source.shown,
            works: source.works,
            highest: given.highest(&plan),
            break_even: given.break_even(&plan),
            notes: notes(&given, &plan, &runs, &choices),
            given,
            choices,
            runs,
            peaks: Vec::new(),
        };
        sizing.peaks = self.peaks(&sizing)?;
        Ok(sizing)
    }

    /// The scenario with a choice in it.
    fn read(&self, candidate: &Candidate) -> Result<Scenario, Mistake> {
        let sets: Vec<String> = (self.options.sets.iter())
            .chain(&candidate.sets)
            .cloned()
            .chain([WITH_ROWS.to_owned()])
            .collect();
        read_scenario(&self.options.scenario, &sets, self.options.coloured)
    }

    /// A run of a choice, and what it told.
    fn run(
        &self,
        candidate: &Candidate,
        scenario: &Scenario,
    ) -> Result<(Measured, Report), Ending> {
        self.screen.say(&format!("measuring: {}", candidate.name));
        let path = self.folder.join(RUNS).join(candidate.file_name());
        let knows_truth = self.options.virtual_time || scenario.plan.target.base == Base::Simulator;
        let truth = knows_truth.then(|| path.with_extension("truth.csv"));
        let options = Options {
            out: None,
            truth: truth.clone(),
            show: self.options.show,
            output: Output::Json,
            shards: Shards::Auto,
            virtual_time: self.options.virtual_time,
            like: None,
        };
        let listen = |orders: &Orders| {
            // Where nobody stops runs any more the process is about to end.
            let _ = self.runs.send(orders.clone());
            Ok(())
        };
        let screen = Screen::new(self.options.show);
        let Done {
            report,
            json,
            outcome,
            ..
        } = if options.virtual_time {
            let venue = InVirtualTime::prepare(&scenario.plan, &options)?;
            carry_out(venue, scenario, &path, screen, Quote::of_nothing(), listen)?
        } else {
            let venue = OverHttp::prepare(&scenario.plan, &options)?;
            carry_out(
                venue,
                scenario,
                &path,
                screen,
                Quote::of_this_machine(),
                listen,
            )?
        };
        outcome?;
        if !self.goes_on() {
            return Err(Ending::Interrupted);
        }
        let works = fs::read(path.join(WORKS))?;
        let truth = truth.map(fs::read).transpose()?;
        let told = Harness::read(&works, &json).map_err(Mistake)?;
        let shown = path.display().to_string();
        let run = Measured::of(&candidate.name, &shown, &told, truth.as_deref());
        Ok((run.map_err(Mistake)?, report))
    }

    /// Whether the service is a simulated one, which tells when works really ended.
    fn knows_truth(&self, scenario: &Scenario) -> bool {
        self.options.virtual_time || scenario.plan.target.base == Base::Simulator
    }

    /// Whether nobody wants it to end.
    fn goes_on(&self) -> bool {
        if self.interrupted.try_recv().is_ok() {
            self.is_over.set(true);
        }
        !self.is_over.get()
    }

    fn peaks(&self, sizing: &Sizing) -> Result<Vec<Peak>, Ending> {
        let is_valid = sizing.invalid().is_empty();
        let (given, choices) = (&sizing.given, &sizing.choices);
        let mut peaks = Vec::new();
        for &rate in &self.size.peak {
            let mut rows = Vec::new();
            for choice in choices {
                let plan = &choice.plan;
                self.screen.say(&format!("playing {rate}: {}", choice.name));
                let found = played::play(given, plan, rate, &|| self.goes_on());
                let played = Some(found.ok_or(Ending::Interrupted)?);
                let need = given.need(plan, rate.per_second());
                rows.push(Row { need, played });
            }
            let advice = is_valid.then(|| given.advise(&self.scenario.plan, choices, rate));
            peaks.push(Peak { advice, rate, rows });
        }
        Ok(peaks)
    }
}

/// The run that says how long works take: the one that looks at them most often.
fn teller<'a>(
    candidates: &'a [Candidate],
    scenarios: &'a [Scenario],
) -> Result<(&'a Candidate, &'a Scenario), Mistake> {
    let polls = (candidates.iter().zip(scenarios))
        .filter(|(_, scenario)| scenario.plan.observe.mode == Mode::Poll);
    polls
        .min_by_key(|(_, scenario)| scenario.plan.poll.interval)
        .ok_or_else(|| {
            Mistake(
                "nothing would tell how long works take: found no polls among the choices\n\
                 hint: add \"poll\" to size.modes, or name an earlier run by --from"
                    .to_owned(),
            )
        })
}

/// What an earlier run told.
fn earlier_run(from: &Path) -> Result<Measured, Mistake> {
    let read = |name: &str| fs::read(from.join(name)).map_err(|error| no_run(from, name, &error));
    let told = Harness::read(&read(WORKS)?, &read(SUMMARY)?).map_err(Mistake)?;
    let shown = from.display().to_string();
    Measured::of(&shown, &shown, &told, None).map_err(Mistake)
}

fn no_run(from: &Path, name: &str, error: &io::Error) -> Mistake {
    Mistake(format!(
        "cannot read {}: {error}\nhint: --from names the directory of an earlier run that was not killed",
        from.join(name).display()
    ))
}

/// How long works take, by the directory of a run.
fn source(from: &Path) -> Result<Source, Mistake> {
    let read = |name: &str| fs::read(from.join(name)).map_err(|error| no_run(from, name, &error));
    let shown = from.display().to_string();
    let curve = earlier::read(&read(CURVE)?).map_err(|error| {
        Mistake(format!(
            "{} does not tell how long works take: {error}\n\
             hint: its summary.json says why, at sojourn_time.reason; a longer load or drain helps",
            from.join(CURVE).display()
        ))
    })?;
    let sojourn = Sojourn::of_ended(&curve).ok_or_else(|| {
        Mistake(format!(
            "{} has no work that ended",
            from.join(CURVE).display()
        ))
    })?;
    let told = Harness::read(b"", &read(SUMMARY)?).map_err(Mistake)?;
    let mean = |metric| told.figure(metric, "mean").unwrap_or(0.0);
    Ok(Source {
        shown,
        works: told.count("sojourn_time", "n"),
        sojourn,
        way: Way {
            accept: mean("accept_service_time"),
            round_trip: mean("poll_round_trip"),
        },
    })
}

/// How unevenly callbacks came in a run, as far as it was long enough to tell.
fn dispersion_of(report: &Report) -> [f64; WINDOWS.len()] {
    let bursts = report.snapshot.bursts.until(report.snapshot.end);
    let mut found = [1.0; WINDOWS.len()];
    for (burst, place) in bursts.iter().zip(&mut found) {
        *place = Dispersion {
            index: burst.dispersion,
            windows: report.facts.load.seconds() / burst.window.seconds(),
        }
        .beyond_chance();
    }
    found
}

/// What a reader must know of what was taken for granted.
fn notes(given: &Given, plan: &Plan, runs: &[Measured], choices: &[Choice]) -> Vec<String> {
    let mut notes = Vec::new();
    let is_measured = |choice: &&Choice| runs.iter().any(|run| run.choice == choice.name);
    let mut called = (choices.iter()).filter(|it| it.plan.observe.mode.hears_callbacks());
    if called.any(|choice| !is_measured(&choice)) {
        notes.push("callbacks were reckoned and played, and not measured".to_owned());
    }
    for run in runs.iter().filter(|run| run.rejected > 0) {
        notes.push(format!(
            "the run of {} met the limit of the service ({} of 429): a lower rate in [[load]] \
             measures undisturbed",
            run.choice,
            number::counted(run.rejected, "answer")
        ));
    }
    if given.limit.is_none() {
        notes
            .push("no limit is known, so nothing is judged by it: size.limit names one".to_owned());
    }
    if given.sojourn.endless() > 0.0 {
        notes.push(format!(
            "{} of the works were not seen to end: they are polled until poll.give_up_after ({})",
            number::percent(given.sojourn.endless()),
            plan.poll.give_up_after
        ));
    }
    notes
}
