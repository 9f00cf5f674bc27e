//! Orders: what is said to shards by other threads, and by other shards.
//!
//! An order that must hold for all shards from the same instant names one a little ahead, so that
//! each hears it before and their intervals end together.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::RunClock;
use crate::engine::peers::News;
use crate::time::{Span, Tick};

/// How far ahead a stop lies: longer than a turn of a shard, and shorter than anybody waits for.
const AHEAD: Span = Span::from_millis(20);

/// Something for a shard to hear.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Stop sending submits at this instant, follow the works, report.
    StopLoad(Tick),
    /// Stop everything at this instant, report.
    StopRun(Tick),
    /// All shards have finished: take in what the receiver of callbacks still has to say, and then
    /// listen to it no more.
    HearOut,
    /// All shards have heard it out: close the books as of this instant.
    Close(Tick),
    /// Another shard tells something.
    Hear(News),
}

/// The way to all shards.
#[derive(Clone, Debug)]
pub struct Orders {
    /// None in virtual time, which has no instant of ours: an order holds once it is heard.
    clock: Option<RunClock>,
    shards: Vec<UnboundedSender<Order>>,
}

impl Orders {
    /// A way to so many shards, and the ends at which they listen.
    pub fn new(clock: RunClock, shards: u64) -> (Self, Vec<UnboundedReceiver<Order>>) {
        Self::with(Some(clock), shards)
    }

    /// The same in virtual time: an order names no instant, and holds once it is heard.
    pub fn in_virtual_time(shards: u64) -> (Self, Vec<UnboundedReceiver<Order>>) {
        Self::with(None, shards)
    }

    fn with(clock: Option<RunClock>, shards: u64) -> (Self, Vec<UnboundedReceiver<Order>>) {
        let (shards, ends) = (0..shards).map(|_| unbounded_channel()).unzip();
        (Self { clock, shards }, ends)
    }

    /// The instant of an order that is given now.
    fn ahead(&self) -> Tick {
        self.clock.map_or(Tick::ZERO, |clock| clock.now() + AHEAD)
    }

    /// Ends the load of all shards. False where no shard is left to hear it.
    pub fn stop_load(&self) -> bool {
        self.to_all(&Order::StopLoad(self.ahead()))
    }

    /// Ends the run of all shards. False where no shard is left to hear it.
    pub fn stop_run(&self) -> bool {
        self.to_all(&Order::StopRun(self.ahead()))
    }

    /// All shards have finished.
    pub fn hear_out(&self) {
        self.to_all(&Order::HearOut);
    }

    /// All shards have heard out the receiver, the last of them at this instant.
    pub fn close(&self, at: Tick) {
        self.to_all(&Order::Close(at));
    }

    /// Tells one shard something that another has to say.
    pub(super) fn tell(&self, shard: u64, news: News) {
        let shard = usize::try_from(shard).ok();
        let shard = shard.and_then(|shard| self.shards.get(shard));
        // A shard that died hears nothing, and the run is invalid by that.
        let _ = shard.map(|shard| shard.send(Order::Hear(news)));
    }

    fn to_all(&self, order: &Order) -> bool {
        let send = |shard: &UnboundedSender<Order>| shard.send(order.clone()).is_ok();
        self.shards.iter().filter(|shard| send(shard)).count() > 0
    }
}
