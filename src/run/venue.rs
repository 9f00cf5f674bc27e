//! `Venue`: where a run takes place, over HTTP or in virtual time. Everything else of a run is the
//! same: shards report to the collector over a channel, are told by `Orders`, and leave `Finished`
//! behind.

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver};

use super::Mistake;
use super::pace::Pace;
use crate::record::disturbance::Disturbances;
use crate::report::Facts;
use crate::shell::RunClock;
use crate::shell::driver::{Finished, FromShard};
use crate::shell::orders::{Order, Orders};
use crate::shell::receiver::Seen;

/// A place for a run that was looked at beforehand: what can be known to be wrong is not.
pub(super) trait Venue {
    /// The shards while they run, and the service with them.
    type Shards: Shards;

    /// What the run is, as far as that is known before it begins.
    fn facts(&self) -> Facts;

    /// What should worry the operator, a sentence each.
    fn warnings(&self) -> Vec<String>;

    /// The ways between the shards and the others.
    fn ways(&self) -> Ways;

    /// Starts the shards, each of which is told at its end of `ways`.
    fn start(self, ways: ShardWays) -> Result<Self::Shards, Mistake>;
}

/// Shards that run.
pub(super) trait Shards {
    /// What there is of them, once all have ended.
    fn join(self) -> Left;
}

/// What a run leaves behind.
pub(super) struct Left {
    /// Each shard; of one that died the reason.
    pub(super) shards: Vec<Result<Finished, String>>,
    /// What the watchdog saw, or why it could not go on; none where there was none.
    pub(super) watch: Option<Result<Disturbances, String>>,
    /// What the receiver of callbacks saw, or why it died; none where there was none.
    pub(super) receiver: Option<Result<Seen, String>>,
    /// Whether the truth of the service could be written, where it was asked for.
    pub(super) truth: Result<(), Mistake>,
}

/// The ways between the shards and the others.
pub(super) struct Ways {
    /// Its origin is the first instant of the plan.
    pub(super) clock: RunClock,
    /// When progress is shown.
    pub(super) pace: Pace,
    /// To all shards.
    pub(super) orders: Orders,
    /// From all shards.
    pub(super) messages: Receiver<FromShard>,
    /// The other ends.
    pub(super) shards: ShardWays,
}

/// The ends of the ways at which the shards are.
pub(super) struct ShardWays {
    /// The clock of the run.
    pub(super) clock: RunClock,
    /// To each other.
    pub(super) orders: Orders,
    /// Where each hears orders.
    pub(super) inbounds: Vec<UnboundedReceiver<Order>>,
    /// To the collector.
    pub(super) to: Sender<FromShard>,
}

impl Ways {
    pub(super) fn new(
        clock: RunClock,
        pace: Pace,
        (orders, inbounds): (Orders, Vec<UnboundedReceiver<Order>>),
        (to, messages): (Sender<FromShard>, Receiver<FromShard>),
    ) -> Self {
        let shards = ShardWays {
            clock,
            orders: orders.clone(),
            inbounds,
            to,
        };
        Self {
            clock,
            pace,
            orders,
            messages,
            shards,
        }
    }
}
