//! `plimsoll selftest`: the runs, through the same door as any other, and what becomes of them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::over_http::OverHttp;
use super::prepare::{self, Scenario};
use super::state::Quote;
use super::{Done, Mistake, Options, Output, Shards, carry_out};
use crate::arrival::{ArrivalSchedule, Segment};
use crate::check;
use crate::report::Code;
use crate::report::text::number;
use crate::scenario::{Plan, resolve};
use crate::selftest::arrivals::{self, Offered};
use crate::selftest::budget::{self, Budgets, Stamp};
use crate::selftest::ladder::{Ladder, Limits, Rung};
use crate::selftest::{Check, Harness, Machine, Selftest, Served, counts, latency, phases, table};
use crate::shell::orders::Orders;
use crate::shell::requests::{Sends, Sent};
use crate::shell::run_directory::WORKS;
use crate::shell::screen::{self, Screen, Show};
use crate::shell::{RunClock, limits, signals, state_file};
use crate::time::{Span, Tick};

/// What `plimsoll selftest` was asked for.
#[derive(Clone, Debug)]
pub struct SelftestOptions {
    /// About how long it may take.
    pub duration: Span,
    /// Where the result is written; otherwise it is kept as that of this machine.
    pub out: Option<PathBuf>,
    /// The seed of every random choice.
    pub seed: u64,
    /// What is shown while it runs.
    pub show: Show,
    /// What is shown at the end.
    pub output: Output,
}

/// The exit code where a figure is not within what is promised.
const NOT_WITHIN: u8 = 3;

/// Runs the selftest, shows and writes its result. The answer is the exit code.
pub fn selftest(options: &SelftestOptions, out: &mut impl Write) -> Result<u8, Mistake> {
    let screen = Screen::new(options.show);
    let folder = Folder::create()?;
    let (runs, orders) = unbounded_channel();
    let (to, interrupted) = mpsc::channel();
    signals::stop_runs(orders, to)?;
    let bench = Bench {
        folder: &folder.path,
        screen: &screen,
        whole: options.duration,
        seed: options.seed,
        clock: RunClock::starting_in(Span::ZERO),
        runs,
        interrupted,
    };
    let result = match bench.all() {
        Ok(result) => result,
        Err(Ending::Mistake(mistake)) => return Err(mistake),
        Err(Ending::Interrupted) => {
            screen.say("interrupted: nothing is kept");
            return Ok(signals::INTERRUPTED);
        }
    };
    drop(folder);
    screen.clear();

    let json = result.write();
    match options.output {
        Output::Text => {
            let columns = screen::columns(io::stdout());
            out.write_all(table::table(&result, columns).as_bytes())?;
        }
        Output::Line => writeln!(out, "{}", table::line(&result))?,
        Output::Json => out.write_all(&json)?,
    }
    out.flush()?;
    let path = options.out.clone().or_else(state_file::selftest_path);
    let Some(path) = path else {
        return Err(Mistake(
            "there is no place to keep the result: neither XDG_STATE_HOME nor HOME is set\n\
             hint: --out names a file"
                .to_owned(),
        ));
    };
    state_file::write(&path, &json).map_err(|error| {
        Mistake(format!(
            "cannot write the result to {}: {error}\n\
             hint: --out names a file in a directory that you may write",
            path.display()
        ))
    })?;
    screen.say(&format!("written to {}", path.display()));
    Ok(if result.passed() { 0 } else { NOT_WITHIN })
}

/// A folder for the runs, gone when they are over.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create() -> Result<Self, Mistake> {
        let name = format!("plimsoll-selftest-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A directory that is there already is none of ours.
        fs::create_dir(&path).map_err(|error| {
            let path = path.display();
            Mistake(format!(
                "cannot make a place for the runs, {path}: {error}\nhint: TMPDIR names another"
            ))
        })?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    // It is the system's to clear where we cannot.
    let _ = fs::remove_dir_all(path);
}

/// What all runs of a selftest share.
struct Bench<'a> {
    folder: &'a Path,
    screen: &'a Screen,
    whole: Span,
    seed: u64,
    clock: RunClock,
    /// Whoever stops runs is told of each.
    runs: UnboundedSender<Orders>,
    /// And says when they are to end.
    interrupted: mpsc::Receiver<()>,
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

/// A run that is over, from both sides.
struct Compared {
    plan: Arc<Plan>,
    harness: Harness,
    served: Served,
    busiest_second: u64,
}

impl Bench<'_> {
    fn all(&self) -> Result<Selftest, Ending> {
        let mut checks = Vec::new();
        let mut invalid = Vec::new();
        let says = |text: &str| self.screen.say(text);
        says("comparing a run with what the service knows");
        let run = self.run("accuracy", &phases::accuracy(self.whole, self.seed), None)?;
        invalid.extend(invalid_by("accuracy", &run));
        checks.extend(compare(&run));
        says("trying the rate budget");
        let (sends, sent) = mpsc::channel();
        let run = self.run(
            "budget",
            &phases::budget(self.whole, self.seed),
            Some(sends),
        )?;
        invalid.extend(invalid_by("budget", &run));
        let stamps: Vec<Stamp> = sent.into_iter().map(stamp).collect();
        checks.extend(try_budget(&run, &stamps));
        let ladder = self.climb()?;
        Ok(Selftest {
            started_at: self.clock.origin_wall_micros(),
            duration: self.clock.now().since(Tick::ZERO),
            machine: Machine {
                cores: limits::cores(),
                kernel: limits::kernel(),
            },
            checks,
            invalid,
            ladder,
        })
    }

    /// Climbs while there is time for one rung more.
    fn climb(&self) -> Result<Ladder, Ending> {
        let mut ladder = Ladder::default();
        let mut longest = Span(phases::rung_load(self.whole).0 + Span::from_secs(1).0);
        while let Some(works) = ladder.next() {
            let begun = self.clock.now();
            let tried = ladder.rungs().iter().any(Rung::was_tried);
            if tried && begun + longest > Tick::ZERO + self.whole {
                break;
            }
            let text = phases::rung(self.whole, self.seed, works);
            if !may_open(&text)? {
                ladder.put(Rung::not_tried(works, Code::Descriptors.word()));
                continue;
            }
            let name = format!("rung-{}", ladder.rungs().len());
            let run = self.run(&name, &text, None)?;
            let limits = Limits {
                lag: run.plan.validity.schedule_lag_p99.seconds(),
                core_share: run.plan.validity.cpu_share,
            };
            let (busiest, harness, served) = (run.busiest_second, &run.harness, &run.served);
            let rung = Rung::judge(works, busiest, limits, harness, served);
            let how = rung.stopped_by.as_ref().map_or("accurate", String::as_str);
            let rate = number::count(works);
            self.screen.say(&format!("{rate} works a second: {how}"));
            ladder.put(rung);
            longest = longest.max(self.clock.now().since(begun));
        }
        Ok(ladder)
    }

    /// A run of this scenario against the built-in service, and what both sides know of it. Its
    /// send stamps go to `sends`, its files are read and thrown away.
    fn run(&self, name: &str, text: &str, sends: Option<Sends>) -> Result<Compared, Ending> {
        let scenario = Scenario {
            plan: plan(text),
            resolved: text.to_owned(),
        };
        let path = self.folder.join(name);
        let options = Options {
            out: None,
            truth: None,
            show: Show::Nothing,
            output: Output::Json,
            shards: Shards::Auto,
            virtual_time: false,
            like: None,
        };
        let (to, truth) = mpsc::channel();
        let venue = OverHttp::prepare(&scenario.plan, &options)?.watched(sends, to);
        let quiet = Screen::new(Show::Nothing);
        let quote = Quote::of_nothing();
        let listen = |orders: &Orders| {
            // Where nobody stops runs any more the process is about to end.
            let _ = self.runs.send(orders.clone());
            Ok(())
        };
        let done = carry_out(venue, &scenario, &path, quiet, quote, listen)?;
        let Done {
            json,
            outcome,
            busiest_second,
            ..
        } = done;
        outcome?;
        if self.interrupted.try_recv().is_ok() {
            return Err(Ending::Interrupted);
        }
        let works = fs::read(path.join(WORKS))?;
        remove(&path);
        let harness = Harness::read(&works, &json).map_err(Mistake)?;
        let (truth, seen) = truth.recv().map_err(|_| {
            Mistake("the simulated service left no books; is the disk full?".to_owned())
        })?;
        Ok(Compared {
            plan: scenario.plan,
            harness,
            served: Served::of(&truth, &seen),
            busiest_second,
        })
    }
}

fn plan(text: &str) -> Arc<Plan> {
    let plan = resolve::read(text, &[], &|_| Err("no files here".to_owned()));
    Arc::new(plan.expect("the scenarios of a selftest are valid"))
}

/// Whether the process may open as many files as this scenario needs connections.
fn may_open(text: &str) -> Result<bool, Mistake> {
    let plan = plan(text);
    let shards = prepare::shards(&plan, Shards::Auto)?;
    let need = check::descriptors::needed(&plan, shards);
    Ok(need.at_least <= limits::raise_descriptors())
}

/// Why a run is not to be trusted, and which it was.
fn invalid_by(name: &str, run: &Compared) -> Vec<String> {
    let codes = run.harness.reasons().into_iter();
    codes
        .map(|code| format!("{code} in the {name} run"))
        .collect()
}

fn stamp(Sent { polled, at }: Sent) -> Stamp {
    Stamp {
        polled: polled.map(|id| id.0.into()),
        at,
    }
}

fn compare(run: &Compared) -> Vec<Check> {
    let plan = &run.plan;
    let schedule = ArrivalSchedule::new(&plan.load, plan.seed, Segment::WHOLE);
    let offered = Offered {
        arrivals: schedule.total(),
        rate: phases::ACCURACY_RATE,
    };
    let mut checks = arrivals::checks(offered, &run.harness, &run.served);
    checks.extend(latency::checks(plan, &run.harness, &run.served));
    checks.extend(counts::checks(&run.harness, &run.served));
    checks
}

fn try_budget(run: &Compared, stamps: &[Stamp]) -> Vec<Check> {
    let (polls, limits) = (run.plan.poll.budget, run.plan.limits);
    let both = polls.zip(limits.and_then(|limits| limits.bucket));
    let (polls, all) = both.expect("the scenario that tries budgets has both");
    let budgets = Budgets { polls, all };
    budget::checks(budgets, stamps, &run.harness, &run.served)
}
