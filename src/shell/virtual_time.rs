//! A run in virtual time: one thread plays all shards against the simulated service, and tells the
//! collector what they would.
//!
//! Virtual time can wait: where the collector is behind, the thread is held up until there is room,
//! and nothing is lost.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc::{Sender, UnboundedReceiver};

use super::driver::{Finished, FromShard, Health, Message, ROWS_A_MESSAGE, Reports};
use super::orders::Order;
use super::shard::{LastWord, words};
use crate::engine::Input;
use crate::scenario::Plan;
use crate::sim::world::{Network, Unwatched, World};
use crate::sim::{Service, Truth};

/// Messages that the collector may be behind by. Few, as an interval may have a megabyte of
/// histograms.
pub const MESSAGES: usize = 16;

/// How many instants pass before orders are looked for, where no interval ends before.
const INSTANTS: u64 = 4_096;

/// All shards of a run, as one thread.
#[derive(Debug)]
pub struct VirtualShards {
    thread: JoinHandle<(Vec<Finished>, Option<Truth>)>,
    shards: usize,
}

impl VirtualShards {
    /// Starts as many shards as `inbounds` are the orders of. Where no `truth` is wanted the
    /// service forgets works whose time is over.
    pub fn start(
        plan: &Arc<Plan>,
        truth: bool,
        inbounds: Vec<UnboundedReceiver<Order>>,
        to: &Sender<FromShard>,
    ) -> io::Result<Self> {
        let shards = inbounds.len();
        let reports = (0..shards).map(|shard| {
            let to = to.clone();
            Reports { shard, to }
        });
        let last_words: Vec<_> = reports.map(LastWord).collect();
        let plan = Arc::clone(plan);
        let thread = Builder::new().name("virtual time".into()).spawn(move || {
            let service = Service::new(&plan.simulator, plan.seed, None);
            let service = if truth { service } else { service.forgetful() };
            let network = Network {
                delay: plan.simulator.network_delay.clone(),
                ..Network::IDEAL
            };
            let play = Play {
                world: World::new(&plan, shards, network, service),
                inbounds,
                interrupted: false,
            };
            play.run(&last_words, truth)
        })?;
        Ok(Self { thread, shards })
    }

    /// What the shards leave behind, once they have ended, and the truth if it was wanted. If the
    /// thread died, all of them did.
    pub fn join(self) -> (Vec<Result<Finished, String>>, Option<Truth>) {
        match self.thread.join() {
            Ok((shards, truth)) => (shards.into_iter().map(Ok).collect(), truth),
            Err(panic) => {
                let why = words(&*panic);
                let dead = (0..self.shards).map(|_| Err(why.clone()));
                (dead.collect(), None)
            }
        }
    }
}

/// The world, and who gives orders to it.
struct Play {
    world: World,
    /// All shards are given the same orders, so only the first are read; the others are held, so
    /// that whoever gives orders finds every shard.
    inbounds: Vec<UnboundedReceiver<Order>>,
    interrupted: bool,
}

impl Play {
    fn run(mut self, shards: &[LastWord], truth: bool) -> (Vec<Finished>, Option<Truth>) {
        let mut instants = 0_u64;
        while self.world.step(&mut Unwatched) {
            instants += 1;
            let mut has_ended = false;
            for (shard, LastWord(reports)) in shards.iter().enumerate() {
                has_ended |= self.report(shard, reports);
            }
            if has_ended || instants.is_multiple_of(INSTANTS) {
                self.obey();
            }
        }
        let end = self.world.now();
        for LastWord(reports) in shards {
            reports.send_waiting(Message::Finished);
            reports.send_waiting(Message::HeardOut(end));
        }
        let (engines, service) = self.world.end();
        let finished = engines.into_iter().map(|engine| Finished {
            interrupted: self.interrupted,
            ..Finished::of(engine, end)
        });
        (finished.collect(), truth.then(|| service.close(end)))
    }

    /// Tells what a shard has to report; true if an interval has ended.
    fn report(&mut self, shard: usize, reports: &Reports) -> bool {
        let engine = self.world.engine(shard);
        let ended = engine.take_intervals();
        let held = engine.settled_rows();
        if held >= ROWS_A_MESSAGE || (held > 0 && !ended.is_empty()) {
            reports.send_waiting(Message::Settled(engine.take_settled()));
        }
        let held = engine.call_rows();
        if held >= ROWS_A_MESSAGE || (held > 0 && !ended.is_empty()) {
            reports.send_waiting(Message::Calls(engine.take_calls()));
        }
        let has_ended = !ended.is_empty();
        for interval in ended {
            let message = Message::Interval(Box::new(interval), Health::default());
            reports.send_waiting(message);
        }
        has_ended
    }

    /// An order holds from the present instant on.
    fn obey(&mut self) {
        while let Some(Ok(order)) = self.inbounds.first_mut().map(UnboundedReceiver::try_recv) {
            let at = self.world.now();
            let input = match order {
                Order::StopLoad(_) => Input::StopLoad { at },
                Order::StopRun(_) => Input::StopRun { at },
                // That all have finished, and what the others say, the world knows itself.
                Order::HearOut | Order::Close(_) | Order::Hear(_) => continue,
            };
            self.interrupted = true;
            self.world.tell(at, &input);
        }
    }
}
