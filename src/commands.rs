//! The commands: what each flag set of `cli` does. The answer of each is its exit code.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::{CommandFactory, Parser};

use crate::check::{self, Weight};
use crate::cli::{Cli, Command, Report, Run, ScenarioArgs, Selftest, Shown, Sim, Size};
use crate::report::rebuild::{Files, rebuild};
use crate::report::text::wrap::hanging;
use crate::report::{self, Facts, summary, text};
use crate::run::selftest::SelftestOptions;
use crate::run::size::SizeOptions;
use crate::run::{self, Mistake, Options, Output, Scenario, read_scenario};
use crate::scenario::mistake::picture;
use crate::scenario::resolve;
use crate::scenario::schema::schema_text;
use crate::shell::limits::cores;
use crate::shell::run_directory::{
    CALLBACKS, HISTOGRAMS, INTERVALS, SCENARIO, SUMMARY, WINDOWS, WORKS,
};
use crate::shell::screen::{self, Show};
use crate::shell::sim_command::{SimCommand, interrupted, serve_until};

/// The exit code for a mistake of the operator.
pub const MISTAKE: u8 = 2;

/// Where the facts of `plimsoll check` begin.
const FACT_INDENT: usize = 15;

/// Columns of the help texts in the man page.
const MAN_WIDTH: usize = 72;

/// What `plimsoll sim` serves without a scenario.
const PLAIN_SERVICE: &str = r#"
name = "sim"
[target]
base_url = "simulator"
intake_id = "demo"
[simulator]
service_time = "lognormal(2s, 0.6)"
fail_ratio = 0.01
[[load]]
arrivals = "constant"
rate = "1/s"
duration = "1s"
"#;

/// Runs the program on the arguments of the process; the answer is the exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to the standard output, a mistake to the error output.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(MISTAKE);
        }
    };
    let shown = match &cli.command {
        Command::Run(flags) => Some(flags.shown),
        Command::Report(flags) => Some(flags.shown),
        Command::Selftest(flags) => Some(flags.shown),
        Command::Size(flags) => Some(flags.shown),
        _ => None,
    };
    if shown.is_some_and(|shown| shown.plain) {
        anstream::ColorChoice::Never.write_global();
    }
    let mut out = Listener(anstream::stdout().lock());
    match run_command(cli.command, &mut out) {
        Ok(code) => code,
        Err(Mistake(text)) => {
            let style = anstyle::AnsiColor::Red.on_default().bold();
            let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {text}");
            MISTAKE
        }
    }
}

/// The standard output, whoever reads it: that a reader leaves early (`| head`) is no mistake.
#[derive(Debug)]
struct Listener<W>(W);

impl<W: Write> Write for Listener<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

fn run_command(command: Command, out: &mut impl Write) -> Result<u8, Mistake> {
    match command {
        Command::Run(flags) => start(&flags, out),
        Command::Sim(flags) => serve(&flags, out),
        Command::Check(flags) => check(&flags, out),
        Command::Selftest(flags) => selftest(&flags, out),
        Command::Size(flags) => size(flags, out),
        Command::Schema => {
            out.write_all(schema_text().as_bytes())?;
            Ok(0)
        }
        Command::Report(flags) => render(&flags, out),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "plimsoll", &mut text);
            out.write_all(&text)?;
            Ok(0)
        }
        Command::Man => {
            man(out)?;
            Ok(0)
        }
    }
}

/// One page for all: the commands have no pages of their own, so their help stands in it.
fn man(out: &mut impl Write) -> io::Result<()> {
    let mut cli = Cli::command().term_width(MAN_WIDTH);
    cli.build();
    let commands = cli.get_subcommands_mut();
    let helps: Vec<_> = commands
        .filter(|command| command.get_name() != "help")
        .map(|command| {
            let name = command.get_name().to_uppercase();
            (name, command.render_help().to_string())
        })
        .collect();
    let page = clap_mangen::Man::new(cli);
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    for (name, help) in helps {
        writeln!(out, ".SH {name}\n.nf")?;
        for line in help.lines() {
            // `\&` in front: a line that begins with a dot is no request.
            let line = line.replace('\\', r"\e").replace('-', r"\-");
            writeln!(out, r"\&{line}")?;
        }
        writeln!(out, ".fi")?;
    }
    page.render_extra_section(out)?;
    page.render_version_section(out)
}

fn read(flags: &ScenarioArgs) -> Result<Scenario, Mistake> {
    read_scenario(
        &flags.scenario,
        &flags.overrides(),
        io::stderr().is_terminal(),
    )
}

fn output(shown: Shown) -> Output {
    match shown {
        Shown { json: true, .. } => Output::Json,
        Shown { quiet: true, .. } => Output::Line,
        _ => Output::Text,
    }
}

fn show(shown: Shown) -> Show {
    match shown {
        Shown { quiet: true, .. } => Show::Nothing,
        Shown { plain: true, .. } | Shown { json: true, .. } => Show::Plain,
        _ => Show::Auto,
    }
}

fn selftest(flags: &Selftest, out: &mut impl Write) -> Result<u8, Mistake> {
    let options = SelftestOptions {
        duration: flags.duration,
        out: flags.out.clone(),
        seed: flags.seed,
        show: show(flags.shown),
        output: output(flags.shown),
    };
    run::selftest::selftest(&options, out)
}

fn size(flags: Size, out: &mut impl Write) -> Result<u8, Mistake> {
    let options = SizeOptions {
        sets: flags.scenario.overrides(),
        scenario: flags.scenario.scenario,
        coloured: io::stderr().is_terminal(),
        from: flags.from,
        virtual_time: flags.virtual_time,
        out: flags.out,
        show: show(flags.shown),
        output: output(flags.shown),
    };
    run::size::size(&options, out)
}

fn start(flags: &Run, out: &mut impl Write) -> Result<u8, Mistake> {
    let scenario = read(&flags.scenario)?;
    let options = Options {
        out: flags.out.clone(),
        truth: flags.truth.clone(),
        show: show(flags.shown),
        output: output(flags.shown),
        shards: flags.shards,
        virtual_time: flags.virtual_time,
        like: flags.like.clone(),
    };
    run::run(&scenario, &options, out)
}

fn serve(flags: &Sim, out: &mut impl Write) -> Result<u8, Mistake> {
    let seed = flags.seed.map(|seed| format!("seed={seed}"));
    let url = flags.callback_url.as_ref();
    let url = url.map(|url| format!("simulator.callback.url={url}"));
    let sets: Vec<String> = flags.sets.iter().cloned().chain(seed).chain(url).collect();
    let plan = match &flags.scenario {
        Some(path) => read_scenario(path, &sets, io::stderr().is_terminal())?.plan,
        None => resolve::read(PLAIN_SERVICE, &sets, &|_| Err("no files here".to_owned()))
            .map_err(|mistakes| Mistake(picture("--set", PLAIN_SERVICE, &mistakes, false)))?
            .into(),
    };
    let secrets = run::sim_secrets(&plan.simulator)?;
    let mut service = plan.simulator.clone();
    // Alone it does not know how its callers learn of ends.
    service.callback.calls = true;
    let command = SimCommand {
        plan: service,
        seed: plan.seed,
        listen: flags.listen,
        truth: flags.truth.clone(),
    };
    serve_until(command, secrets, out, interrupted())?;
    Ok(0)
}

fn check(flags: &ScenarioArgs, out: &mut impl Write) -> Result<u8, Mistake> {
    let scenario = read(flags)?;
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    let columns = screen::columns(io::stdout());
    writeln!(out, "{} is valid", flags.scenario.display())?;
    let mut warnings = Vec::new();
    for line in check::explain(&scenario.plan, cores()) {
        match line.weight {
            Weight::Fact => {
                let text = hanging(&line.text, FACT_INDENT, columns);
                writeln!(out, "  {:<12} {text}", line.about)?;
            }
            Weight::Warning => warnings.push(format!("{}: {}", line.about, line.text)),
        }
    }
    warnings.extend(run::secret_warnings(&scenario.plan));
    warnings.extend(run::selftest_warning(&scenario.plan));
    for warning in warnings {
        let text = hanging(&format!("warning: {warning}"), 2, columns);
        let text = text.strip_prefix("warning").unwrap_or_default();
        writeln!(out, "{yellow}warning{yellow:#}{text}")?;
    }
    Ok(0)
}

fn render(flags: &Report, out: &mut impl Write) -> Result<u8, Mistake> {
    let path = |name: &str| flags.run_dir.join(name);
    let missing = |path: &Path, error: &io::Error| {
        Mistake(format!(
            "cannot read {}: {error}\nhint: a run directory has {SCENARIO}, {INTERVALS}, {WORKS} and {HISTOGRAMS}",
            path.display()
        ))
    };
    let bytes = |name: &str| fs::read(path(name)).map_err(|error| missing(&path(name), &error));
    let scenario = bytes(SCENARIO)?;
    let scenario = String::from_utf8_lossy(&scenario);
    let plan = resolve::recall(&scenario).map_err(|mistakes| {
        let name = path(SCENARIO).display().to_string();
        Mistake(picture(&name, &scenario, &mistakes, false))
    })?;
    let (intervals, histograms) = (bytes(INTERVALS)?, bytes(HISTOGRAMS)?);
    let works = fs::File::open(path(WORKS)).map_err(|error| missing(&path(WORKS), &error))?;
    // Runs of earlier versions have none.
    let windows = fs::read(path(WINDOWS)).unwrap_or_default();
    // A run that heard no callbacks has none either.
    let mut callbacks: Box<dyn io::Read> = match fs::File::open(path(CALLBACKS)) {
        Ok(file) => Box::new(io::BufReader::new(file)),
        Err(_) => Box::new(io::empty()),
    };
    let written = fs::read(path(SUMMARY)).ok();
    let mut facts = Facts::of(&plan);
    facts.run_dir = flags.run_dir.display().to_string();
    let files = Files {
        intervals: &intervals,
        windows: &windows,
        histograms: &histograms,
        works: &mut io::BufReader::new(works),
        callbacks: &mut *callbacks,
        summary: written.as_deref(),
    };
    let rebuilt = rebuild(facts, files).map_err(|error| Mistake(error.to_string()))?;
    let report = report::Report::new(&plan, rebuilt.facts, rebuilt.snapshot, rebuilt.reasons);
    match output(flags.shown) {
        Output::Text => {
            let columns = screen::columns(io::stdout());
            out.write_all(text::summary(&report, columns).as_bytes())?;
        }
        Output::Line => writeln!(out, "{}", text::line(&report))?,
        Output::Json => out.write_all(&summary::write(&report))?,
    }
    out.flush()?;
    Ok(report.verdict.exit_code())
}
