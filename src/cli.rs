//! Flags as typed. Nothing is resolved here.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::check::shards::MOST;
use crate::run::Shards;
use crate::selftest::phases::{LONGEST, SHORTEST};
use crate::time::Span;

/// Load and soak testing for job APIs that answer 202 Accepted and finish later.
///
/// Plimsoll submits works at an open-loop rate, follows each to its end, and reports how fast the
/// 202 came, how long until a terminal status, and what share failed.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        plimsoll run scenarios/quickstart.toml     against the built-in simulator\n  \
        plimsoll run scenarios/quickstart.toml --virtual    the same in virtual time\n  \
        plimsoll check scenarios/auxot.toml        what a run would do, without sending anything\n  \
        plimsoll sim                               the simulated service, for curl\n\n\
        Exit codes: 0 all kept, 1 an SLO failed, 2 a mistake to put right, 3 the measurement is\n\
        invalid, 4 undecided, 130 interrupted."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Offer the load, follow every work to its end, write the report
    #[command(after_help = "Examples:\n  \
        plimsoll run scenarios/quickstart.toml\n  \
        plimsoll run scenarios/quickstart.toml --set load.0.rate=40/s --seed 7\n  \
        plimsoll run scenarios/quickstart.toml --shards 2 --out reports/two\n  \
        PLIMSOLL_API_KEY=team.... plimsoll run scenarios/auxot.toml --out reports/today\n  \
        plimsoll run scenarios/quickstart.toml --virtual --set load.0.duration=1d --set report.works=none\n  \
        plimsoll run scenarios/auxot.toml --virtual --like reports/today --set load.0.rate=200/s\n\n\
        Ctrl-C once: stop sending, drain, report. Twice: report now. Three times: quit.")]
    Run(Run),
    /// Run the simulated intake service alone, for any client
    #[command(after_help = "Examples:\n  \
        plimsoll sim\n  \
        plimsoll sim scenarios/spike.toml --listen 127.0.0.1:9000 --truth truth.csv\n  \
        plimsoll sim --callback-url http://127.0.0.1:9000/callbacks")]
    Sim(Sim),
    /// Is a scenario valid, and what will it do
    #[command(after_help = "Example:\n  plimsoll check scenarios/quickstart.toml")]
    Check(ScenarioArgs),
    /// Measure how accurate this tool is on this machine
    #[command(after_help = "Examples:\n  \
        plimsoll selftest\n  \
        plimsoll selftest --duration 3m --out selftest.json\n\n\
        Exit codes: 0 every error is within what is promised, 3 one is not, 2 a mistake to put\n\
        right. Ctrl-C ends it.")]
    Selftest(Selftest),
    /// Decide between polls and callbacks at the peaks of a scenario
    #[command(after_help = "Examples:\n  \
        plimsoll size scenarios/size.toml\n  \
        plimsoll size scenarios/size.toml --virtual --set 'size.peak=[\"30/s\"]'\n  \
        plimsoll size scenarios/size.toml --from reports/quickstart-20261123T150000Z\n\n\
        Exit codes: 0 something is recommended, 2 a mistake to put right, 3 a run is not to be\n\
        trusted and nothing is recommended, 130 interrupted.")]
    Size(Size),
    /// Print the JSON Schema of scenarios
    #[command(after_help = "Example:\n  plimsoll schema > scenario.schema.json")]
    Schema,
    /// Render a run again from its directory, also one that was killed
    #[command(after_help = "Example:\n  plimsoll report reports/quickstart-20261123T150000Z")]
    Report(Report),
    /// Print shell completions
    #[command(
        after_help = "Example:\n  plimsoll completions bash > /etc/bash_completion.d/plimsoll"
    )]
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the man page
    #[command(after_help = "Example:\n  plimsoll man | man -l -")]
    Man,
}

/// The largest integer of TOML, in which a seed is written down.
const MOST_SEED: u64 = i64::MAX.unsigned_abs();

/// A scenario, and what is changed in it.
#[derive(Args, Clone, Debug)]
pub struct ScenarioArgs {
    /// The scenario, a TOML file
    pub scenario: PathBuf,
    /// Override a value of the scenario; may be given several times
    #[arg(long = "set", value_name = "PATH.TO.KEY=VALUE")]
    pub sets: Vec<String>,
    /// The seed of every random choice
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MOST_SEED))]
    pub seed: Option<u64>,
}

impl ScenarioArgs {
    /// All overrides: the seed is one.
    pub fn overrides(&self) -> Vec<String> {
        let seed = self.seed.map(|seed| format!("seed={seed}"));
        self.sets.iter().cloned().chain(seed).collect()
    }
}

/// How much the terminal shows.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub struct Shown {
    /// Show one line, at the end
    #[arg(long)]
    pub quiet: bool,
    /// Show plain lines without colours, also on a terminal
    #[arg(long)]
    pub plain: bool,
    /// Print the result as JSON, as it is written, instead of the summary
    #[arg(long)]
    pub json: bool,
}

/// Flags of `plimsoll run`.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The scenario.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// The run directory, if it is named.
    #[arg(
        long,
        value_name = "DIR",
        help = "The run directory [default: reports/<name>-<UTC time>]"
    )]
    pub out: Option<PathBuf>,
    /// Where the built-in simulator writes what really happened
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Threads that offer the load: auto takes one for each 10,000 requests a second that are
    /// expected at the peak. Their limits sum to the scenario's
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = shards)]
    pub shards: Shards,
    /// Run in virtual time against the simulator of the scenario, whatever its target is: nothing
    /// is sent, and an hour takes seconds
    #[arg(long = "virtual")]
    pub virtual_time: bool,
    /// With --virtual: works end as those of an earlier run did, when and how, instead of as
    /// the scenario has it
    #[arg(long, value_name = "RUN_DIR")]
    pub like: Option<PathBuf>,
    /// How much is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// Reads `auto`, or a number that is no slip of the finger.
fn shards(text: &str) -> Result<Shards, String> {
    if text == "auto" {
        return Ok(Shards::Auto);
    }
    let number = text.parse().ok();
    number
        .filter(|shards| (1..=MOST).contains(shards))
        .map(Shards::Exactly)
        .ok_or_else(|| format!("expected auto, or a number from 1 to {MOST}"))
}

/// Flags of `plimsoll sim`.
#[derive(Args, Clone, Debug)]
pub struct Sim {
    /// The scenario whose `[simulator]` it is; without one, a service that takes 2 s a work
    pub scenario: Option<PathBuf>,
    /// Override a value of the scenario; may be given several times
    #[arg(long = "set", value_name = "PATH.TO.KEY=VALUE")]
    pub sets: Vec<String>,
    /// The seed of every random choice
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MOST_SEED))]
    pub seed: Option<u64>,
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "IP:PORT", default_value = crate::shell::sim_command::DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// Where to call when a work ends whose submit does not say.
    #[arg(
        long,
        value_name = "URL",
        help = "Call this URL when a work ends whose submit names none, such as \
                http://127.0.0.1:9000/callbacks"
    )]
    pub callback_url: Option<String>,
    /// Write what really happened to this file at the end
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
}

/// Flags of `plimsoll selftest`.
#[derive(Args, Clone, Debug)]
pub struct Selftest {
    /// About how long it takes, from 5s to 1h
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = selftest_duration)]
    pub duration: Span,
    /// Write the result to this file, and do not keep it as that of this machine
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 202,
        value_parser = clap::value_parser!(u64).range(..=MOST_SEED))]
    pub seed: u64,
    /// How much is shown.
    #[command(flatten)]
    pub shown: Shown,
}

fn selftest_duration(text: &str) -> Result<Span, String> {
    Span::parse(text)
        .filter(|span| (SHORTEST..=LONGEST).contains(span))
        .ok_or_else(|| format!("expected a duration from {SHORTEST} to {LONGEST}, such as 1m"))
}

/// Flags of `plimsoll size`.
#[derive(Args, Clone, Debug)]
pub struct Size {
    /// The scenario.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Take how long works take from an earlier run, and make none
    #[arg(long, value_name = "RUN_DIR")]
    pub from: Option<PathBuf>,
    /// Make the short runs in virtual time too, against the simulator of the scenario: nothing is
    /// sent
    #[arg(long = "virtual")]
    pub virtual_time: bool,
    /// The directory of the result.
    #[arg(
        long,
        value_name = "DIR",
        help = "The directory of the result [default: reports/<name>-size-<UTC time>]"
    )]
    pub out: Option<PathBuf>,
    /// How much is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// Flags of `plimsoll report`.
#[derive(Args, Clone, Debug)]
pub struct Report {
    /// The run directory
    pub run_dir: PathBuf,
    /// How much is shown.
    #[command(flatten)]
    pub shown: Shown,
}
