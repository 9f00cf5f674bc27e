//! The receiver: a thread of its own that reads callbacks, stamps them, and tells the shards.
//!
//! ```text
//!  service ─► door: places, token, body ─► Callbacks ─► the shard of the work
//!                                              │ 200, or the fault of the scenario
//!  service ◄───────────────────────────────────┘
//! ```
//!
//! The port is open to anybody, so whatever a sender does costs a bounded amount: connections have
//! places, requests a time, bodies a length, and a notice waits here until its shard has room.
//! Whoever does not know the token is answered 404, counted, and changes no result.

mod door;
mod places;
mod reach;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{Receiver as Inbound, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

use super::RunClock;
use super::core_share::CoreShare;
use super::limits::thread_cpu;
use super::listen::listen;
use super::secret::{Secret, drawn_token};
use super::watchdog::Probes;
use crate::engine::Input;
use crate::report::Receiver as Used;
use crate::scenario::Plan;
use crate::time::{Span, Tick};
use crate::wire::callback::{CallbackUrls, Callbacks};
use crate::wire::signature::Keyring;
use crate::work::Strays;
use door::Door;
pub use places::Tally;

/// Notices that a shard may be behind by; then callbacks wait for their answer.
const NOTICES: usize = 256;
/// How often slow connections are looked at, and strays are told.
const TICK: Span = Span::from_millis(50);

/// The way on which shards are told.
pub type Told = Inbound<Input>;

/// The ends of the ways to so many shards.
pub fn ways(shards: u64) -> (Vec<Sender<Input>>, Vec<Told>) {
    (0..shards).map(|_| channel(NOTICES)).unzip()
}

/// What the receiver needs to know that no scenario has.
#[derive(Debug)]
pub struct Keys {
    /// The path segment that a callback carries.
    pub token: Secret,
    /// Checks signatures, where callbacks are signed.
    pub keyring: Option<Keyring>,
    /// The private key for the certificate, PEM.
    pub tls_key: Option<Secret>,
}

/// Why there can be no receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReceiver {
    /// The key of the scenario.
    pub place: &'static str,
    /// What stands there.
    pub found: String,
    /// What is wrong with it.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

/// A port that is bound, where nobody answers yet.
#[derive(Debug)]
pub struct Endpoint {
    runtime: Runtime,
    listener: TcpListener,
    urls: CallbackUrls,
    keys: Keys,
    tls: Option<Arc<ServerConfig>>,
}

impl Endpoint {
    /// Binds the port that the scenario names.
    pub fn bind(plan: &Plan, keys: Keys) -> Result<Self, NoReceiver> {
        let callback = &plan.observe.callback;
        let wrong = |why: String, hint| NoReceiver {
            place: "observe.callback.listen",
            found: callback.listen.clone(),
            why,
            hint,
        };
        let address: SocketAddr = (callback.listen.parse())
            .map_err(|_| wrong("not an address and a port".into(), "write 127.0.0.1:0"))?;
        if callback.public_url.is_none() && address.ip().is_unspecified() {
            let hint = "observe.callback.public_url says how the service reaches this machine";
            return Err(wrong("an address that nobody can call".into(), hint));
        }
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| wrong(error.to_string(), "can this process open files?"))?;
        let bound = runtime.block_on(async { listen(address) });
        let listener = bound.map_err(|error| {
            let hint = "is the port taken, or the address another machine's? Port 0 takes any free \
                        one";
            wrong(error.to_string(), hint)
        })?;
        let address = listener.local_addr().unwrap_or(address);
        let tls = match (&callback.tls, &keys.tls_key) {
            (Some((chain, _)), Some(key)) => Some(tls(chain, key)?),
            _ => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let here = format!("{scheme}://{address}");
        let base = callback.public_url.as_ref().unwrap_or(&here);
        let urls = CallbackUrls::new(base, keys.token.expose(), &callback.find);
        let urls = urls.map_err(|bad| NoReceiver {
            place: bad.place,
            found: bad.found,
            why: bad.why,
            hint: "write a URL such as https://hooks.example/plimsoll",
        })?;
        Ok(Self {
            runtime,
            listener,
            urls,
            keys,
            tls,
        })
    }

    /// Where it is called.
    pub const fn urls(&self) -> &CallbackUrls {
        &self.urls
    }

    /// What stands in each of those URLs, and must not be shown.
    pub const fn token(&self) -> &Secret {
        &self.keys.token
    }

    /// Whether it is we who are reached at the URL that the service is told. Over HTTP only; takes
    /// some seconds at most.
    pub fn reach(&self) -> Result<(), String> {
        let url = self.urls.of_all();
        let probe = drawn_token().map_err(|error| error.to_string())?;
        let (tell, told) = oneshot::channel();
        let caller = probe.clone();
        // Whoever waits for it has gone only where it is not needed any more.
        let call = move || drop(tell.send(reach::reach(&url, &caller)));
        Builder::new()
            .name("probe".into())
            .spawn(call)
            .map_err(|error| error.to_string())?;
        self.runtime
            .block_on(reach::answer(&self.listener, &probe, told))
    }

    /// Answers from now on, and tells each shard of its works. `probes` are those of the watchdog.
    pub fn start(
        self,
        plan: &Arc<Plan>,
        clock: RunClock,
        tell: Vec<Sender<Input>>,
        probes: Probes,
    ) -> io::Result<Receiver> {
        let (stop, stopped) = oneshot::channel();
        let plan = Arc::clone(plan);
        let thread = Builder::new().name("receiver".into()).spawn(move || {
            let Self {
                runtime,
                listener,
                urls,
                keys,
                tls,
            } = self;
            let reader = Callbacks::new(&plan.observe.callback, keys.keyring);
            let door = Door::new(plan, clock, urls, keys.token, reader, tell);
            let serve = serve(door, listener, tls, probes, stopped);
            LocalSet::new().block_on(&runtime, serve)
        })?;
        Ok(Receiver { thread, stop })
    }
}

fn tls(chain: &[u8], key: &Secret) -> Result<Arc<ServerConfig>, NoReceiver> {
    let wrong = |place, why: String| NoReceiver {
        place,
        found: "a PEM text".to_owned(),
        why,
        hint: "the certificate chain begins with the receiver's own, and the key is that of it",
    };
    let cert = "observe.callback.tls_cert";
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(cert, error.to_string()))?;
    // The reason could show a part of the key.
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| {
        wrong(
            "observe.callback.tls_key",
            "no private key in PEM".to_owned(),
        )
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| wrong(cert, error.to_string()))?;
    Ok(Arc::new(config))
}

/// The receiver at work.
#[derive(Debug)]
pub struct Receiver {
    thread: JoinHandle<io::Result<Seen>>,
    stop: oneshot::Sender<()>,
}

/// What the receiver saw of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Its connections and requests.
    pub tally: Tally,
    /// The largest share of a core that its thread has used over ten seconds.
    pub cpu_share: f64,
    /// All time that its thread has spent on a processor.
    pub cpu: Span,
    /// The longest that a notice has waited for room in its shard.
    pub longest_wait: Span,
    /// A connection was not taken as the process had no descriptor left.
    pub out_of_descriptors: bool,
    /// Probes of the watchdog that it read, and how many of them it read later than
    /// `validity.schedule_lag_p99`.
    pub probes: (u64, u64),
    /// Callbacks that came when their shard had closed its books: they are in no count.
    pub after_the_end: u64,
    /// The same of strays.
    pub strays_after: Strays,
}

impl Seen {
    /// The same as the report has it, of a run that lasted until `end`.
    pub fn used(&self, end: Tick) -> Used {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let whole = |span: Span| Span(span.micros() * 1_000);
        let lasted = end.since(Tick::ZERO).seconds();
        Used {
            most_connections: count(self.tally.most_open),
            most_at_once: count(self.tally.most_busy),
            mean_at_once: self.tally.busy.seconds() / lasted.max(1e-9),
            longest_wait: whole(self.longest_wait),
            cpu: whole(self.cpu),
        }
    }
}

impl Receiver {
    /// Ends it, once the shards have ended.
    pub fn stop(self) -> Result<Seen, String> {
        drop(self.stop);
        match self.thread.join() {
            Ok(seen) => seen.map_err(|error| error.to_string()),
            Err(panic) => Err(super::shard::words(&*panic)),
        }
    }
}

async fn serve(
    door: Door,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    probes: Probes,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<Seen> {
    let door = Rc::new(door);
    let mut core = CoreShare::default();
    let mut ticks = tokio::time::interval(TICK.duration());
    // What was missed while the process stood still is not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::task::spawn_local(Rc::clone(&door).answer_probes(probes));
    let mut guests = door::Guests::new(Rc::clone(&door), tls);
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            _ = ticks.tick() => {
                door.look_around();
                core.look(door.now());
            }
            () = guests.next_leaves() => {}
            accepted = listener.accept() => {
                guests.take_in(accepted).await;
                // Those who are in come first: in a flood of connections they would have to make
                // room before they are heard.
                tokio::task::yield_now().await;
            }
        }
    }
    guests.send_away().await;
    Ok(Seen {
        cpu_share: core.largest(),
        cpu: thread_cpu(),
        ..door.seen()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    fn endpoint(callback: &str) -> Result<Endpoint, NoReceiver> {
        let text = format!(
            "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
             duration = '1s'\n[observe]\nmode = 'both'\n[observe.callback]\n{callback}\n"
        );
        let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
        let keys = Keys {
            token: drawn_token().unwrap(),
            keyring: None,
            tls_key: None,
        };
        Endpoint::bind(&plan, keys)
    }

    #[test]
    fn we_are_reached_where_we_listen_and_nowhere_else() {
        let here = endpoint("").unwrap();
        assert_eq!(here.reach(), Ok(()));
        let url = here.urls().of_all();
        let base = url.rsplit_once('/').unwrap().0;
        let elsewhere = endpoint(&format!("public_url = '{base}'")).unwrap();
        drop(here);
        assert!(elsewhere.reach().is_err());
    }
}
