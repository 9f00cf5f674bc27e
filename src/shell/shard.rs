//! Shard: a thread with one runtime, one client and one engine.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::runtime;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel};
use tokio::task::LocalSet;

use super::RunClock;
use super::client::{BadClient, ClientPlan, ConnectionCounts};
use super::driver::{Control, Driver, Finished, Message};
use super::requests::Shapes;
use super::secret::Secret;
use crate::arrival::Segment;
use crate::engine::Engine;

/// Messages that the collector may be behind by. A message holds the rows of one turn, at most a
/// few hundred, or one interval.
const MESSAGES: usize = 4_096;

/// A shard that runs.
#[derive(Debug)]
pub struct Shard {
    /// What it tells.
    pub messages: Receiver<Message>,
    thread: JoinHandle<io::Result<Finished>>,
}

impl Shard {
    /// Starts a shard for a share of the plan.
    pub fn start(
        shapes: Shapes,
        base_url: &str,
        key: Option<&Secret>,
        segment: Segment,
        clock: RunClock,
        controls: UnboundedReceiver<Control>,
    ) -> Result<Self, BadClient> {
        let counts = Arc::new(ConnectionCounts::default());
        let client = ClientPlan::new(&shapes.plan, base_url, key, Arc::clone(&counts))?;
        let (sender, messages) = channel(MESSAGES);
        let thread = Builder::new()
            .name("shard".into())
            .spawn(move || {
                let runtime = runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                // The engine is made here: it belongs to this thread alone.
                let engine = Engine::new(Arc::clone(&shapes.plan), segment);
                LocalSet::new().block_on(&runtime, async move {
                    let client = client.start(clock);
                    Driver::new(engine, clock, client, shapes, counts, controls, sender)
                        .run()
                        .await
                })
            })
            .map_err(|error| BadClient(format!("no thread for a shard: {error}")))?;
        Ok(Self { messages, thread })
    }

    /// What it leaves behind, once it has ended; an error if it died.
    pub fn join(self) -> Result<Finished, String> {
        match self.thread.join() {
            Ok(Ok(finished)) => Ok(finished),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "a panic without words".to_owned())),
        }
    }
}
