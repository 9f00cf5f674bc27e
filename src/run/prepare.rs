//! Before the load: the scenario, the key, the descriptors, the target, the directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::Arc;
use std::{fs, iter};

use super::callbacks::{self, keyring_of};
use super::over_http::TruthTo;
use super::{Mistake, Shards};
use crate::check::{self, Weight};
use crate::engine::Refusal;
use crate::engine::share::{self, Bound};
use crate::report::Facts;
use crate::report::text::number;
use crate::report::text::wrap::hanging;
use crate::scenario::mistake::picture;
use crate::scenario::resolve;
use crate::scenario::{Arrivals, Base, Plan, SecretRef, SimPlan, UrlTo};
use crate::shell::client::reach;
use crate::shell::limits::{forbid_core_files, raise_descriptors};
use crate::shell::secret::{self, Missing, Secret};
use crate::shell::sim_server::{SimSecrets, SimServer};
use crate::shell::{RunClock, limits};
use crate::sim::Truth;
use crate::time::Span;
use crate::wire::Wire;
use crate::wire::callback::CallbackUrls;

/// A scenario that was read: what it does, and how it is written down again.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it does.
    pub plan: Arc<Plan>,
    /// The same as TOML, overrides applied and defaults filled in.
    pub resolved: String,
}

/// Reads a scenario file. Every mistake in it is in the answer at once.
pub fn read_scenario(path: &Path, sets: &[String], coloured: bool) -> Result<Scenario, Mistake> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| {
        Mistake(format!(
            "cannot read the scenario {shown}: {error}\nhint: name a TOML file, such as scenarios/quickstart.toml of the repository"
        ))
    })?;
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let read_file = |name: &str| fs::read(folder.join(name)).map_err(|error| error.to_string());
    let draw = |mistakes: Vec<_>| {
        let count = mistakes.len();
        let drawn = picture(&shown.to_string(), &text, &mistakes, coloured);
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        Mistake(format!("{count} {noun} in the scenario {shown}\n\n{drawn}"))
    };
    let plan = resolve::read(&text, sets, &read_file).map_err(draw)?;
    // How long a replay lasts is known from its log, which may be gone when the run is reported.
    let lengths = plan.load.iter().enumerate().filter_map(|(index, stage)| {
        let is_replay = matches!(stage.arrivals, Arrivals::Replay(_));
        is_replay.then(|| format!("load.{index}.duration={}", stage.duration))
    });
    let sets: Vec<String> = sets.iter().cloned().chain(lengths).collect();
    let resolved = resolve::resolved_toml(&text, &sets).map_err(draw)?;
    Ok(Scenario {
        plan: Arc::new(plan),
        resolved,
    })
}

fn not_utf8(path: &Path, error: &FromUtf8Error) -> Mistake {
    let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = sound.split(|byte| *byte == b'\n').count();
    Mistake(format!(
        "{}:{line}: found bytes that are not UTF-8, expected TOML\n\
         hint: save it as UTF-8; an accent of an older encoding looks like this",
        path.display()
    ))
}

/// `reports/<name>-<UTC time>`; a virtual run has `-virtual` behind its name.
pub(super) fn default_directory(facts: &Facts) -> PathBuf {
    let mark = if facts.simulated { "-virtual" } else { "" };
    let now = RunClock::starting_in(Span::ZERO).origin_wall_micros();
    let at = jiff::Timestamp::from_microsecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let at = at.strftime("%Y%m%dT%H%M%SZ");
    PathBuf::from("reports").join(format!("{}{mark}-{at}", facts.scenario))
}

/// How many shards the run has; a number that the scenario's limits cannot be shared by is refused.
pub(super) fn shards(plan: &Plan, asked: Shards) -> Result<u64, Mistake> {
    match asked {
        Shards::Auto => Ok(check::shards::auto(plan, limits::cores())),
        Shards::Exactly(shards) => shared(plan, shards),
    }
}

/// The same in virtual time, where one shard is never too slow.
pub(super) fn virtual_shards(plan: &Plan, asked: Shards) -> Result<u64, Mistake> {
    match asked {
        Shards::Auto => Ok(1),
        Shards::Exactly(shards) => shared(plan, shards),
    }
}

fn shared(plan: &Plan, shards: u64) -> Result<u64, Mistake> {
    let Some(bound) = check::shards::obstacle(plan, shards) else {
        return Ok(shards);
    };
    let Bound {
        key, found, each, ..
    } = bound;
    let most = share::most(plan).unwrap_or(1);
    Err(Mistake(format!(
        "the scenario cannot be shared by {shards} shards: found {key} of {found}, \
         expected {each} for each shard at least\n\
         hint: --shards {most} is the most that its limits allow; --shards auto goes by the rate"
    )))
}

/// Raises the limit of open files, and refuses a plan that needs more.
pub(super) fn descriptors(plan: &Plan, shards: u64) -> Result<(), Mistake> {
    forbid_core_files();
    let have = raise_descriptors();
    let need = check::descriptors::needed(plan, shards);
    if need.at_least > have {
        return Err(Mistake(format!(
            "the scenario needs {} file descriptors, and this process may have {have}\n\
             hint: raise the hard limit (`ulimit -Hn`), lower the rate or the budget, or set http.max_in_flight",
            need.at_least
        )));
    }
    Ok(())
}

/// The key that the scenario refers to. With the built-in service an unset variable is fine.
pub(super) fn key(plan: &Plan) -> Result<Option<Secret>, Mistake> {
    let is_simulator = plan.target.base == Base::Simulator;
    let Some(reference) = &plan.target.api_key else {
        return Ok(is_simulator.then(secret::for_simulator));
    };
    match secret::read(reference) {
        Ok(key) => Ok(Some(key)),
        Err(Missing::Unset) if is_simulator => Ok(Some(secret::for_simulator())),
        Err(missing) => Err(no_key("target.api_key", reference, &missing)),
    }
}

/// What `run` would say of the secrets that the scenario refers to; nothing if they are there.
pub fn secret_warnings(plan: &Plan) -> Vec<String> {
    let mistakes = [
        key(plan).err(),
        callbacks::secrets(plan).err(),
        sim_secrets(&plan.simulator).err(),
    ];
    let first_line = |Mistake(text)| text.lines().next().map(str::to_owned);
    mistakes
        .into_iter()
        .flatten()
        .filter_map(first_line)
        .collect()
}

/// What the plan of the built-in service refers to.
pub(crate) fn sim_secrets(plan: &SimPlan) -> Result<SimSecrets, Mistake> {
    let key = plan.api_key.as_ref().map(|reference| {
        secret::read(reference).map_err(|missing| no_key("simulator.api_key", reference, &missing))
    });
    let signature = plan.callback.signature.as_ref();
    let keyring = signature.map(|plan| keyring_of("simulator.callback.signature.secrets", plan));
    Ok(SimSecrets {
        key: key.transpose()?.map(|key| key.expose().to_owned()),
        keyring: keyring.transpose()?,
    })
}

/// Says why there is no key, and what to do.
pub(super) fn no_key(place: &str, reference: &SecretRef, missing: &Missing) -> Mistake {
    let (why, hint) = match (missing, reference) {
        (Missing::Unset, SecretRef::Env(name)) => (
            "the variable is not set".to_owned(),
            format!("export {name}=... in the shell that starts the run"),
        ),
        (Missing::Unset | Missing::Empty, _) => (
            "it is empty".to_owned(),
            "it should hold the key and nothing else".to_owned(),
        ),
        (Missing::Unreadable(why), _) => (
            why.clone(),
            "the path counts from the folder in which you are".to_owned(),
        ),
        (Missing::NotAHeader, _) => (
            "it has characters that no header can carry".to_owned(),
            "is there a line break or an accent in it?".to_owned(),
        ),
    };
    Mistake(format!(
        "no key at {place} = \"{reference}\": {why}\nhint: {hint}"
    ))
}

/// Sees whether a real service can be reached, and whether the truth of the built-in one can be
/// written. Nothing is sent.
pub(super) fn reach_target(plan: &Plan, truth: Option<&Path>) -> Result<(), Mistake> {
    match (&plan.target.base, truth) {
        (Base::Simulator, None) => Ok(()),
        (Base::Simulator, Some(path)) => create_truth(path),
        (Base::Url(_), Some(_)) => Err(Mistake(
            "--truth is for the built-in service, and the scenario has a real one\n\
             hint: only a simulator knows the truth; leave the flag out, or add --virtual"
                .to_owned(),
        )),
        (Base::Url(url), None) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(reach(plan, url)).map_err(|error| {
                let hint = unreachable_hint(url, &error.0);
                Mistake(format!("cannot reach {url}: {}\nhint: {hint}", error.0))
            })
        }
    }
}

/// The service under test.
#[derive(Debug)]
pub(super) struct Target {
    url: String,
    key: Option<Secret>,
    simulator: Option<SimServer>,
}

impl Target {
    /// Starts the built-in service, where it is the target; its time and the run's have one origin.
    /// `watched`: each request is noted down.
    pub(super) fn start(
        plan: &Plan,
        key: Option<Secret>,
        clock: RunClock,
        urls: Option<&CallbackUrls>,
        watched: bool,
    ) -> Result<Self, Mistake> {
        if let Base::Url(url) = &plan.target.base {
            return Ok(Self {
                url: url.clone(),
                key,
                simulator: None,
            });
        }
        let secrets = sim_secrets(&plan.simulator)?;
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let start = if watched {
            SimServer::start_watched
        } else {
            SimServer::start
        };
        let mut simulator = plan.simulator.clone();
        if plan.observe.callback.url == UrlTo::Server {
            // What an operator of the service would configure there.
            simulator.callback.url = urls.map(CallbackUrls::of_all);
        }
        let server = start(&simulator, secrets, plan.seed, clock.origin(), local)?;
        Ok(Self {
            url: format!("http://{}", server.addr()),
            key,
            simulator: Some(server),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// Stops the built-in service, and hands on what it did.
    pub(super) fn stop(self, truth: &TruthTo) -> Result<(), Mistake> {
        let Some(server) = self.simulator else {
            return Ok(());
        };
        let (books, seen) = server.stop_watched()?;
        match truth {
            TruthTo::Nobody => Ok(()),
            TruthTo::File(path) => write_truth(path, &books),
            TruthTo::Caller(to) => {
                // Where nobody listens any more nobody wants to know.
                let _ = to.send((books, seen));
                Ok(())
            }
        }
    }
}

/// Sees whether the truth can be written.
pub(super) fn create_truth(path: &Path) -> Result<(), Mistake> {
    match fs::File::create(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(unwritable_truth(path, &error)),
    }
}

/// Writes down what the built-in service did, in seconds of the run's origin.
pub(super) fn write_truth(path: &Path, truth: &Truth) -> Result<(), Mistake> {
    fs::File::create(path)
        .and_then(|file| truth.write_csv(std::io::BufWriter::new(file), Span::ZERO))
        .map_err(|error| unwritable_truth(path, &error))
}

fn unwritable_truth(path: &Path, error: &std::io::Error) -> Mistake {
    Mistake(format!(
        "cannot write the truth to {}: {error}\nhint: --truth names a file in a directory that exists",
        path.display()
    ))
}

fn unreachable_hint(url: &str, why: &str) -> &'static str {
    let why = why.to_ascii_lowercase();
    if why.contains("certificate") || why.contains("tls") {
        "http.ca names a PEM file of authorities to trust beside the system's; \
         http.insecure = true trusts anybody"
    } else if why.contains("dns") || why.contains("lookup") || why.contains("resolve") {
        "is the host in target.base_url spelled right, and is there a name service?"
    } else if url.starts_with("https://") {
        "is the service up, and does that port speak TLS?"
    } else {
        "is the service up, and is that its port?"
    }
}

/// Names URLs and reads answers of the target.
pub(super) fn wire(plan: &Plan, url: &str) -> Result<Wire, Mistake> {
    Wire::new(
        &plan.api,
        url,
        &plan.target.trusted_origins,
        &plan.target.intake_id,
    )
    .map_err(|error| Mistake(error.to_string()))
}

/// What should worry the operator of a plan before the load begins.
pub(super) fn warnings(plan: &Plan) -> Vec<String> {
    check::explain(plan, limits::cores())
        .into_iter()
        .filter(|line| line.weight == Weight::Warning)
        .map(|line| format!("{}: {}", line.about, line.text))
        .collect()
}

/// That there may be too few descriptors, if so.
pub(super) fn descriptors_warning(plan: &Plan, shards: u64) -> Option<String> {
    let need = check::descriptors::needed(plan, shards).if_silent;
    let have = limits::descriptors_now();
    (need > have).then(|| {
        format!(
            "descriptors: a service that is silent for a whole timeout would need {need} of them, \
             and this process may have {have}"
        )
    })
}

/// What is said before the load begins, in lines of at most `columns` characters.
pub(super) fn opening(
    facts: &Facts,
    path: &Path,
    warnings: &[String],
    columns: usize,
) -> Vec<String> {
    let time = if facts.simulated {
        " in virtual time"
    } else {
        ""
    };
    let (name, target) = (&facts.scenario, &facts.target);
    let first = format!("{name} against {target}{time}, into {}", path.display());
    let warnings = warnings.iter().map(|text| format!("warning: {text}"));
    iter::once(first)
        .chain(warnings)
        .map(|line| hanging(&line, 2, columns))
        .collect()
}

/// What to put right when the first answer was a refusal.
pub(super) fn refused(plan: &Plan, refusal: &Refusal) -> String {
    let key = plan.target.api_key.as_ref().map_or_else(
        || "no key".to_owned(),
        |reference| format!("the key at {reference}"),
    );
    let intake = &plan.target.intake_id;
    let sentence = match refusal.status {
        401 => format!("the service answered the first submit 401: it does not accept {key}"),
        403 => format!(
            "the service answered the first submit 403: {key} may not use intake {intake:?}"
        ),
        status => {
            format!("the service answered the first submit {status}: it has no intake {intake:?}")
        }
    };
    let hint = match refusal.status {
        401 => "a key begins with `user.` or `team.`; is it whole, and of this service?",
        403 => "is the key of the team that owns the intake?",
        _ => "is target.intake_id spelled right, and target.base_url without a path of its own?",
    };
    let body = number::tame(&refusal.body, 200);
    format!("the run was stopped: {sentence}\nit said: {body}\nhint: {hint}")
}
