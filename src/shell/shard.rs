//! Shard: a thread with one runtime, one client and one engine.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::runtime;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel};
use tokio::task::LocalSet;

use super::RunClock;
use super::client::{BadClient, ClientPlan, ConnectionCounts};
use super::driver::{Driver, Finished, FromShard, Message, Reports};
use super::orders::{Order, Orders};
use super::receiver::Told;
use super::requests::Shapes;
use super::secret::Secret;
use super::watchdog::Probes;
use crate::arrival::Segment;
use crate::engine::Engine;

/// Messages of all shards that the collector may be behind by. A message holds a few hundred rows
/// or one interval.
const MESSAGES: usize = 1_024;

/// The channel in which all shards report to the collector.
pub fn reports() -> (Sender<FromShard>, Receiver<FromShard>) {
    channel(MESSAGES)
}

/// What a thread said that panicked.
pub(super) fn words(panic: &(dyn Any + Send)) -> String {
    (panic.downcast_ref::<String>().cloned())
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// What all shards of a run have in common.
#[derive(Debug)]
pub struct Common<'a> {
    /// What requests are made from.
    pub shapes: Shapes,
    /// Where the service is.
    pub base_url: &'a str,
    /// Its key.
    pub key: Option<&'a Secret>,
    /// What else an answer may show to nobody: the token of the receiver.
    pub hidden: Option<Secret>,
    /// The clock of the run.
    pub clock: RunClock,
    /// The way to every shard.
    pub orders: Orders,
}

/// A shard that runs.
#[derive(Debug)]
pub struct Shard {
    thread: JoinHandle<io::Result<Finished>>,
}

/// The last message of a shard, sent also where it panics.
#[derive(Debug)]
pub(super) struct LastWord(pub(super) Reports);

impl Drop for LastWord {
    fn drop(&mut self) {
        // Where nobody listens any more nobody needs to know.
        let _ = self.0.to.blocking_send((self.0.shard, Message::Ended));
    }
}

impl Shard {
    /// Starts a shard for a share of the plan, which `inbound` are the orders of, `told` what the
    /// receiver has to say, and `probes` those of the watchdog.
    pub fn start(
        common: &Common<'_>,
        segment: Segment,
        (inbound, told): (UnboundedReceiver<Order>, Told),
        reports: Reports,
        probes: Probes,
    ) -> Result<Self, BadClient> {
        let (clock, orders) = (common.clock, common.orders.clone());
        let shapes = common.shapes.clone();
        let counts = Arc::new(ConnectionCounts::default());
        let (url, key) = (common.base_url, common.key);
        let client = ClientPlan::new(&shapes.plan, url, key, Arc::clone(&counts))?;
        let client = client.hiding(common.hidden.clone());
        let thread = Builder::new()
            .name(format!("shard {}", segment.index))
            .spawn(move || {
                let last_word = LastWord(reports.clone());
                let runtime = runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                // The engine is made here: it belongs to this thread alone.
                let engine = Engine::new(Arc::clone(&shapes.plan), segment);
                let finished = LocalSet::new().block_on(&runtime, async move {
                    let ways = (orders, inbound, told);
                    Driver::new(engine, clock, client, shapes, counts, ways, reports)
                        .run(probes)
                        .await
                });
                drop(last_word);
                finished
            })
            .map_err(|error| BadClient(format!("no thread for a shard: {error}")))?;
        Ok(Self { thread })
    }

    /// What it leaves behind, once it has ended; an error if it died.
    pub fn join(self) -> Result<Finished, String> {
        match self.thread.join() {
            Ok(Ok(finished)) => Ok(finished),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(words(&*panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_panics_has_a_last_word() {
        let (to, mut messages) = reports();
        let shard = 3;
        let thread = std::thread::spawn(move || {
            let _last_word = LastWord(Reports { shard, to });
            // Not a panic, which would be printed: what unwinds drops all the same.
            std::panic::resume_unwind(Box::new("a bug"));
        });
        assert!(thread.join().is_err());
        let last = messages.blocking_recv();
        assert!(matches!(last, Some((3, Message::Ended))), "{last:?}");
        assert!(messages.blocking_recv().is_none());
    }
}
