//! `plimsoll sim`: the simulated service alone, for any client.

use super::sim_server::{SimSecrets, SimServer};
use crate::scenario::{SecretRef, SimCallback, SimPlan};
use crate::sim::{Answered, Kind, Made, Received, Truth};
use crate::time::Span;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// Where it listens if nobody says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8202";

/// What `plimsoll sim` was asked for, secrets apart.
#[derive(Clone, Debug)]
pub struct SimCommand {
    /// How the service behaves.
    pub plan: SimPlan,
    /// What its chance is a function of.
    pub seed: u64,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where the truth is written at the end.
    pub truth: Option<PathBuf>,
}

/// Serves until `stop` is ready, and writes the truth, in seconds of the epoch. Says on `out` where
/// it listens and how to try it, and at the end what it saw. The truth file is opened first: a
/// wrong path is known before anybody has sent anything. `secrets` are what the plan refers to.
pub fn serve_until(
    command: SimCommand,
    secrets: SimSecrets,
    out: &mut impl Write,
    stop: impl Future<Output = io::Result<()>>,
) -> io::Result<Truth> {
    let SimCommand {
        plan,
        seed,
        listen,
        truth,
    } = command;
    let file = truth
        .as_deref()
        .map(|path| create(path).map(|file| (path, file)))
        .transpose()?;
    let (origin, epoch) = origin();
    let server = SimServer::start(&plan, secrets, seed, origin, listen).map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidInput {
            return error;
        }
        let hint = "hint: is the port taken? --listen 127.0.0.1:0 takes any free one";
        io::Error::new(
            error.kind(),
            format!("cannot listen on {listen}: {error}\n{hint}"),
        )
    })?;
    greet(out, &plan, server.addr())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stopped = runtime.block_on(stop);
    let books = server.stop()?;
    if let Some((path, mut file)) = file {
        books
            .write_csv(&mut file, epoch)
            .and_then(|()| file.flush())
            .map_err(|error| at(path, &error))?;
    }
    farewell(out, &books, truth.as_deref())?;
    stopped.map(|()| books)
}

/// Ready at the first Ctrl-C or SIGTERM. Must be awaited inside a runtime.
pub async fn interrupted() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

/// Now, by the clock that never steps, and by the one on the wall.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the stand-alone service meets the clocks"
)]
fn origin() -> (Instant, Span) {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let since_epoch = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
    (Instant::now(), Span(since_epoch))
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    File::create(path)
        .map(BufWriter::new)
        .map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    let hint = "hint: --truth names a file in a directory that exists and can be written";
    let text = format!(
        "cannot write the truth to {}: {error}\n{hint}",
        path.display()
    );
    io::Error::new(error.kind(), text)
}

fn greet(out: &mut impl Write, plan: &SimPlan, addr: SocketAddr) -> io::Result<()> {
    let intake_id = &plan.intake_id;
    // The key itself is never printed.
    let key = match &plan.api_key {
        None => "user.demo".to_owned(),
        Some(SecretRef::Env(name)) => format!("${name}"),
        Some(SecretRef::File(path)) => format!("$(cat '{path}')"),
    };
    writeln!(
        out,
        "simulated service at http://{addr}, intake {intake_id}; Ctrl-C ends it"
    )?;
    writeln!(
        out,
        "try:\n     curl -i http://{addr}/v1/intake/{intake_id} \\"
    )?;
    writeln!(out, "       -H \"Authorization: Bearer {key}\" \\")?;
    writeln!(
        out,
        "       -H 'Content-Type: application/json' -d '{{\"source\": \"curl\"}}'"
    )?;
    writeln!(
        out,
        "then, with the work_id of the answer:\n     \
         curl -i http://{addr}/v1/intake/{intake_id}/work/WORK_ID \\"
    )?;
    writeln!(out, "       -H \"Authorization: Bearer {key}\"")?;
    let SimCallback {
        url, field, header, ..
    } = &plan.callback;
    write!(
        out,
        "calls back when a work ends, where a submit says whereto: at {} of its body, or in the \
         header {header}",
        field.0
    )?;
    match url {
        Some(url) => writeln!(out, "; else {url}")?,
        None => writeln!(out)?,
    }
    out.flush()
}

fn farewell(out: &mut impl Write, truth: &Truth, file: Option<&Path>) -> io::Result<()> {
    let books = truth.books();
    let throttled = [Kind::Submit, Kind::Poll]
        .map(|kind| books.answered(kind, Answered::Throttled))
        .iter()
        .sum::<u64>();
    writeln!(
        out,
        "saw {} submits and {} polls; took {} works, refused {throttled} requests with 429",
        books.requests(Kind::Submit),
        books.requests(Kind::Poll),
        truth.rows().count(),
    )?;
    let calls = truth.calls();
    if !calls.is_empty() {
        let taken = |made: &&Made| matches!(made.received, Some(Received::Answered(200..300, _)));
        let taken = calls.iter().filter(taken).count();
        writeln!(
            out,
            "called back {} times, {taken} of them answered 2xx",
            calls.len()
        )?;
    }
    if let Some(path) = file {
        writeln!(out, "what became of them is in {}", path.display())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::quiet_plan;

    #[test]
    fn a_truth_file_that_cannot_be_written_is_known_at_the_start() {
        let command = SimCommand {
            plan: quiet_plan(),
            seed: 7,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            truth: Some("/nonexistent/directory/truth.csv".into()),
        };
        let never = std::future::pending();
        let error =
            serve_until(command, SimSecrets::default(), &mut Vec::new(), never).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/nonexistent/directory/truth.csv"), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }

    #[test]
    fn the_example_names_a_key_without_showing_it() {
        let check = |api_key, expected: &str| {
            let plan = SimPlan {
                api_key,
                ..quiet_plan()
            };
            let mut out = Vec::new();
            greet(&mut out, &plan, SocketAddr::from(([127, 0, 0, 1], 8202))).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(
                text.contains(&format!("\"Authorization: Bearer {expected}\"")),
                "{text}"
            );
            assert!(
                text.contains("http://127.0.0.1:8202/v1/intake/demo \\\n"),
                "{text}"
            );
            assert!(text.contains("/v1/intake/demo/work/WORK_ID"), "{text}");
        };
        check(None, "user.demo");
        check(Some(SecretRef::Env("SIM_KEY".into())), "$SIM_KEY");
        check(Some(SecretRef::File("key.txt".into())), "$(cat 'key.txt')");
    }
}
