//! A run over HTTP: a thread a shard, against a real service or the built-in one.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use super::callbacks;
use super::pace::Pace;
use super::prepare::{self, Target};
use super::venue::{Left, ShardWays, Shards, Venue, Ways};
use super::{Mistake, Options};
use crate::arrival::Segment;
use crate::report::Facts;
use crate::scenario::Plan;
use crate::shell::RunClock;
use crate::shell::driver::Reports;
use crate::shell::orders::Orders;
use crate::shell::receiver::{self, Endpoint, Receiver};
use crate::shell::requests::{Sends, Shapes};
use crate::shell::secret::Secret;
use crate::shell::shard::{Common, Shard, reports};
use crate::shell::watchdog::Watchdog;
use crate::sim::{Seen, Truth};
use crate::time::Span;

/// From the moment at which everything is ready to the first instant of the plan.
const LEAD: Span = Span::from_millis(100);
/// The same for each connection that is opened before: what TLS takes on a busy core.
const LEAD_A_CONNECTION: Span = Span::from_millis(1);

/// A service that can be reached.
pub(super) struct OverHttp {
    plan: Arc<Plan>,
    shards: u64,
    key: Option<Secret>,
    truth: TruthTo,
    sends: Option<Sends>,
    /// Where callbacks come in, in a mode that hears any.
    endpoint: Option<Endpoint>,
}

/// Who wants to know what the built-in service saw.
#[derive(Debug)]
pub(super) enum TruthTo {
    /// Nobody.
    Nobody,
    /// The readers of this file.
    File(PathBuf),
    /// The other end: also each request as it came.
    Caller(mpsc::Sender<(Truth, Vec<Seen>)>),
}

impl OverHttp {
    /// Looks for what can be known to be wrong. Connects to a real service, and sends nothing.
    pub(super) fn prepare(plan: &Arc<Plan>, options: &Options) -> Result<Self, Mistake> {
        let shards = prepare::shards(plan, options.shards)?;
        prepare::descriptors(plan, shards)?;
        let key = prepare::key(plan)?;
        let endpoint = callbacks::endpoint(plan)?;
        prepare::reach_target(plan, options.truth.as_deref())?;
        Ok(Self {
            plan: Arc::clone(plan),
            shards,
            key,
            truth: options.truth.clone().map_or(TruthTo::Nobody, TruthTo::File),
            sends: None,
            endpoint,
        })
    }

    /// The same against the built-in service, for a caller who wants to know what the service saw,
    /// and perhaps of each request when it was sent.
    pub(super) fn watched(
        self,
        sends: Option<Sends>,
        truth: mpsc::Sender<(Truth, Vec<Seen>)>,
    ) -> Self {
        Self {
            truth: TruthTo::Caller(truth),
            sends,
            ..self
        }
    }
}

impl Venue for OverHttp {
    type Shards = HttpShards;

    fn facts(&self) -> Facts {
        let mut facts = Facts::of(&self.plan);
        facts.shards = self.shards;
        facts
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = prepare::warnings(&self.plan);
        warnings.extend(prepare::descriptors_warning(&self.plan, self.shards));
        warnings
    }

    fn ways(&self) -> Ways {
        let warm_up = Span(LEAD_A_CONNECTION.0 * u64::from(self.plan.http.warm_up));
        let clock = RunClock::starting_in(Span(LEAD.0 + warm_up.0));
        Ways::new(
            clock,
            Pace::default(),
            Orders::new(clock, self.shards),
            reports(),
        )
    }

    fn start(self, ways: ShardWays) -> Result<HttpShards, Mistake> {
        let watched = matches!(self.truth, TruthTo::Caller(_));
        let urls = self.endpoint.as_ref().map(|it| it.urls().clone());
        let target = Target::start(&self.plan, self.key, ways.clock, urls.as_ref(), watched)?;
        let token = self.endpoint.as_ref().map(|it| it.token().clone());
        let shapes = Shapes {
            wire: prepare::wire(&self.plan, target.url())?,
            plan: Arc::clone(&self.plan),
            callbacks: urls,
            sends: self.sends,
        };
        let common = Common {
            shapes,
            base_url: target.url(),
            key: target.key(),
            hidden: token,
            clock: ways.clock,
            orders: ways.orders,
        };
        let (tell, told) = receiver::ways(self.shards);
        let threads = self.shards + u64::from(self.endpoint.is_some());
        let (watchdog, mut probes) = Watchdog::start(ways.clock, self.plan.seed, threads)?;
        let endpoint = self.endpoint.zip(probes.pop_if(|_| threads > self.shards));
        let receiver = endpoint
            .map(|(endpoint, probes)| endpoint.start(&self.plan, ways.clock, tell, probes))
            .transpose()?;
        let mut threads = Vec::new();
        let ends = ways.inbounds.into_iter().zip(told).zip(probes);
        for (shard, (inbound, probes)) in ends.enumerate() {
            let (index, of) = (shard as u64, self.shards);
            let to = ways.to.clone();
            let reports = Reports { shard, to };
            let segment = Segment { index, of };
            threads.push(Shard::start(&common, segment, inbound, reports, probes)?);
        }
        Ok(HttpShards {
            threads,
            watchdog,
            receiver,
            target,
            truth: self.truth,
        })
    }
}

/// The threads, and the built-in service where that is the target.
pub(super) struct HttpShards {
    threads: Vec<Shard>,
    watchdog: Watchdog,
    receiver: Option<Receiver>,
    target: Target,
    truth: TruthTo,
}

impl Shards for HttpShards {
    fn join(self) -> Left {
        // Whoever watches goes on until those are over who are watched.
        let shards = self.threads.into_iter().map(Shard::join).collect();
        Left {
            shards,
            watch: Some(self.watchdog.stop()),
            receiver: self.receiver.map(Receiver::stop),
            truth: self.target.stop(&self.truth),
        }
    }
}
