//! One shard's loop: clock, inbox, effects, sleep.
//!
//! A turn reads what has come, tells the engine, hands over what the engine wants done, and sleeps
//! until something comes or the engine's next wake-up. Requests on the wire are local tasks; works
//! are not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, error::TrySendError};

use super::RunClock;
use super::alarm::Alarm;
use super::client::{ClientPlan, ConnectionCounts};
use super::core_share::CoreShare;
use super::limits::thread_cpu;
use super::orders::{Order, Orders};
use super::receiver::Told;
use super::requests::Requests;
use super::watchdog::{Late, Probes};
use crate::engine::{Effect, Engine, Input, Refusal};
use crate::record::calls::CallNote;
use crate::record::disturbance::Disturbances;
use crate::record::interval::Interval;
use crate::record::row::Settled;
use crate::time::{Span, Tick};
use crate::work::{Family, Policy};

/// Effects handed over in one turn at most, so that answers are read in between.
const EFFECTS_PER_TURN: usize = 64;
/// Rows wait until there are so many, or an interval ends: each message wakes the collector.
pub(super) const ROWS_A_MESSAGE: usize = 256;
/// A poll may be late by this part of `poll.interval`, and by [`LONGEST_STEP`] at most: those that
/// are due close together share a wake-up, which costs more than a request. `poll_wait` has it.
const STEPS_AN_INTERVAL: u64 = 2_000;
const LONGEST_STEP: Span = Span(250_000);

/// What a shard tells the collector.
#[derive(Debug)]
pub enum Message {
    /// Submissions that have settled.
    Settled(Vec<Settled>),
    /// Callbacks, and works whose end was told both ways.
    Calls(Vec<CallNote>),
    /// An interval that has ended, and how the shard is doing.
    Interval(Box<Interval>, Health),
    /// Its own part of the run is over. It goes on hearing the others until all are.
    Finished,
    /// It has taken in the last callback before then, and told the others what is theirs.
    HeardOut(Tick),
    /// It tells no more: the last message.
    Ended,
}

/// A message, and the number of the shard that it is from.
pub type FromShard = (usize, Message);

/// The way from one shard to the collector.
#[derive(Clone, Debug)]
pub struct Reports {
    /// Which shard it is.
    pub shard: usize,
    /// The channel that all shards share.
    pub to: Sender<FromShard>,
}

impl Reports {
    /// Hands a message over, or back where there is no room for it.
    fn send(&self, message: Message) -> Result<(), Message> {
        let sent = self.to.try_send((self.shard, message));
        match sent {
            Err(TrySendError::Full((_, message))) => Err(message),
            // Nobody listens any more: nothing is to be kept for later.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Hands a message over as soon as there is room for it. For threads without a runtime.
    pub(super) fn send_waiting(&self, message: Message) {
        // Where nobody listens any more nothing is to be kept.
        let _ = self.to.blocking_send((self.shard, message));
    }
}

/// How the shard itself is doing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Health {
    /// The largest share of a core that the shard has used over ten intervals.
    pub cpu_share: f64,
    /// All time that the shard has spent on a processor.
    pub cpu: Span,
    /// The process ran out of file descriptors.
    pub out_of_descriptors: bool,
    /// Rows that the collector could not take in time.
    pub rows_lost: u64,
}

impl Health {
    /// That of several shards: the worst of each, and the sum of what adds up.
    pub fn of_all(shards: impl Iterator<Item = Self>) -> Self {
        shards.fold(Self::default(), |all, one| Self {
            cpu_share: all.cpu_share.max(one.cpu_share),
            cpu: Span(all.cpu.0 + one.cpu.0),
            out_of_descriptors: all.out_of_descriptors || one.out_of_descriptors,
            rows_lost: all.rows_lost + one.rows_lost,
        })
    }
}

/// What a shard leaves behind.
#[derive(Debug)]
pub struct Finished {
    /// When the run ended.
    pub end: Tick,
    /// When the load ended.
    pub load_end: Tick,
    /// Works that are stuck, by their last status.
    pub stuck: BTreeMap<Box<str>, u64>,
    /// The operator's mistake that the first answer showed.
    pub refusal: Option<Refusal>,
    /// Which kind of rate-limit headers the service sent, and the policy that they announced last.
    pub announced: (Option<Family>, Option<Policy>),
    /// The rest that was not sent as a message: last intervals and rows.
    pub intervals: Vec<Interval>,
    /// The same for rows.
    pub settled: Vec<Settled>,
    /// The same for rows of callbacks.
    pub calls: Vec<CallNote>,
    /// How the shard has been doing.
    pub health: Health,
    /// When it did not read what had come; none of a shard that is not probed.
    pub disturbances: Option<Disturbances>,
    /// An order from outside ended it.
    pub interrupted: bool,
    /// Connections that stood at the first instant, of those that `http.warm_up` asks for.
    pub warm: u64,
    /// Submits whose body had no place for the URL at which the service is to call.
    pub without_url: u64,
}

impl Finished {
    /// What the engine of a shard leaves behind when its books are closed as of `end`.
    pub(super) fn of(mut engine: Engine, end: Tick) -> Self {
        let load_end = engine.load_end();
        let stuck = engine.close(end);
        Self {
            end,
            load_end,
            stuck,
            refusal: engine.refusal().cloned(),
            announced: engine.announced_limit(),
            intervals: engine.take_intervals(),
            settled: engine.take_settled(),
            calls: engine.take_calls(),
            health: Health::default(),
            disturbances: None,
            interrupted: false,
            warm: 0,
            without_url: 0,
        }
    }
}

/// Answers that have come and are not yet told to the engine. Bounded by the requests on the wire
/// and the probes of an interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox {
    inputs: Rc<RefCell<Vec<Input>>>,
    arrived: Rc<Notify>,
}

impl Inbox {
    pub(super) fn put(&self, input: Input) {
        self.inputs.borrow_mut().push(input);
        self.arrived.notify_one();
    }

    /// What nobody waits for: it is taken in with the next turn, an interval later at most.
    pub(super) fn put_for_later(&self, input: Input) {
        self.inputs.borrow_mut().push(input);
    }
}

/// How far the end of a run has come for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Its part goes on.
    Open,
    /// The collector knows that its part is over.
    Finished,
    /// All shards have finished: it takes in the last callbacks.
    HearsOut,
    /// The collector knows that it has.
    HeardOut,
    /// All shards have, the last of them then.
    Closes(Tick),
}

/// One shard.
#[derive(Debug)]
pub struct Driver {
    engine: Engine,
    /// How finely polls are timed.
    step: Span,
    clock: RunClock,
    requests: Requests,
    inbox: Inbox,
    /// Changes places with those in the inbox, so that neither is made anew.
    inputs: Vec<Input>,
    counts: Arc<ConnectionCounts>,
    inbound: UnboundedReceiver<Order>,
    /// What the receiver of callbacks has to say.
    told: Told,
    /// It may say more.
    listens: bool,
    /// The way to the other shards.
    orders: Orders,
    reports: Reports,
    health: Health,
    core: CoreShare,
    /// Intervals that the collector had no room for yet.
    unsent: Vec<Interval>,
    refusal: Option<Refusal>,
    interrupted: bool,
    /// Connections that stood at the origin.
    warm: u64,
    phase: Phase,
}

impl Driver {
    /// A shard that is ready to run on the thread that this is called on, inside a `LocalSet`.
    pub fn new(
        engine: Engine,
        clock: RunClock,
        client: ClientPlan,
        requests: super::requests::Shapes,
        counts: Arc<ConnectionCounts>,
        (orders, inbound, told): (Orders, UnboundedReceiver<Order>, Told),
        reports: Reports,
    ) -> Self {
        let inbox = Inbox::default();
        let interval = requests.plan.poll.interval;
        Self {
            step: Span(interval.0 / STEPS_AN_INTERVAL).min(LONGEST_STEP),
            requests: Requests::new(client, requests, clock, inbox.clone()),
            engine,
            clock,
            inbox,
            inputs: Vec::new(),
            counts,
            inbound,
            told,
            listens: true,
            orders,
            reports,
            health: Health::default(),
            core: CoreShare::default(),
            unsent: Vec::new(),
            refusal: None,
            interrupted: false,
            warm: 0,
            phase: Phase::Open,
        }
    }

    /// Runs to the end. Must be called inside a `LocalSet`.
    pub async fn run(mut self, probes: Probes) -> io::Result<Finished> {
        let late = probes.hear(self.clock, self.inbox.clone())?;
        let alarm = Alarm::new(self.clock)?;
        self.requests.warm_up(self.engine.share().warm_up);
        alarm.until_origin().await?;
        self.warm = self.counts.take_opened();
        if self.warm > 0 {
            let opened = self.warm;
            self.engine.handle(Input::Connections { opened });
        }
        loop {
            self.obey();
            self.take_in();
            let has_more = self.hand_out();
            self.report();
            self.rest();
            if let Phase::Closes(end) = self.phase {
                return Ok(self.finish(end, &late));
            }
            if has_more {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.inbox.arrived.notified() => {}
                Some(order) = self.inbound.recv() => self.hear(order),
                told = self.told.recv(), if self.listens => match told {
                    Some(told) => self.engine.handle(told),
                    None => self.listens = false,
                },
                rung = alarm.until(self.engine.next_wakeup_in_steps(self.step)) => rung?,
            }
        }
    }

    fn obey(&mut self) {
        while let Ok(order) = self.inbound.try_recv() {
            self.hear(order);
        }
        while let Ok(told) = self.told.try_recv() {
            self.engine.handle(told);
        }
    }

    fn hear(&mut self, order: Order) {
        self.interrupted |= matches!(order, Order::StopLoad(_) | Order::StopRun(_));
        match order {
            Order::StopLoad(at) => self.engine.handle(Input::StopLoad { at }),
            Order::StopRun(at) => self.engine.handle(Input::StopRun { at }),
            Order::Hear(news) => self.engine.handle(Input::News(news)),
            // Whoever calls from now on is told that nobody listens; what was taken comes yet.
            Order::HearOut => {
                self.told.close();
                self.phase = Phase::HearsOut;
            }
            Order::Close(at) => self.phase = Phase::Closes(at),
        }
    }

    fn take_in(&mut self) {
        if self.phase >= Phase::Finished {
            // Probes go on until all shards have finished.
            self.inbox.inputs.borrow_mut().clear();
            return;
        }
        std::mem::swap(&mut self.inputs, &mut *self.inbox.inputs.borrow_mut());
        for input in self.inputs.drain(..) {
            self.engine.handle(input);
        }
        let opened = self.counts.take_opened();
        if opened > 0 {
            self.engine.handle(Input::Connections { opened });
        }
        if self.refusal.is_none()
            && let Some(refusal) = self.engine.refusal()
        {
            self.refusal = Some(refusal.clone());
            self.orders.stop_run();
        }
    }

    /// True if there may be more to do at once.
    fn hand_out(&mut self) -> bool {
        for _ in 0..EFFECTS_PER_TURN {
            // The clock is read for each, because this is the send stamp.
            let now = self.clock.now();
            match self.engine.next_effect(now) {
                Some(Effect::Submit { slot, seq, .. }) => self.requests.submit(slot, seq, now),
                Some(Effect::Poll { slot }) => {
                    if let Some((id, url)) = self.engine.address(slot) {
                        self.requests.poll(slot, id, url, now);
                    }
                }
                None => return false,
            }
        }
        true
    }

    fn report(&mut self) {
        let ended = self.engine.take_intervals();
        let held = self.engine.settled_rows();
        if held >= ROWS_A_MESSAGE || (held > 0 && !ended.is_empty()) {
            let settled = self.engine.take_settled();
            let rows = settled.len() as u64;
            if self.reports.send(Message::Settled(settled)).is_err() {
                self.health.rows_lost += rows;
            }
        }
        let held = self.engine.call_rows();
        if held >= ROWS_A_MESSAGE || (held > 0 && !ended.is_empty()) {
            let calls = self.engine.take_calls();
            let rows = calls.len() as u64;
            if self.reports.send(Message::Calls(calls)).is_err() {
                self.health.rows_lost += rows;
            }
        }
        if !ended.is_empty() {
            self.look_at_ourselves();
        }
        self.unsent.extend(ended);
        for interval in std::mem::take(&mut self.unsent) {
            let message = Message::Interval(Box::new(interval), self.health);
            if let Err(Message::Interval(interval, _)) = self.reports.send(message) {
                self.unsent.push(*interval);
            }
        }
    }

    /// Tells the other shards what they must hear, and the collector that this one has finished.
    fn rest(&mut self) {
        let now = self.clock.now();
        let is_finished = self.phase >= Phase::Finished || self.engine.is_finished(now);
        for (shard, news) in self.engine.take_news(is_finished) {
            self.orders.tell(shard, news);
        }
        // What is another's is on its way by now, before that shard is told to close.
        let (message, then) = match self.phase {
            Phase::Open if is_finished => (Message::Finished, Phase::Finished),
            Phase::HearsOut if !self.listens => (Message::HeardOut(now), Phase::HeardOut),
            _ => return,
        };
        // Where there is no room the next turn tries again: one comes when an interval ends.
        if self.reports.send(message).is_ok() {
            self.phase = then;
        }
    }

    /// Once an interval: the share of a core, the descriptors.
    fn look_at_ourselves(&mut self) {
        self.health.cpu = self.core.look(self.clock.now());
        self.health.cpu_share = self.core.largest();
        self.health.out_of_descriptors = self.counts.out_of_descriptors();
    }

    fn finish(mut self, end: Tick, late: &Late) -> Finished {
        let mut finished = Finished::of(self.engine, end);
        self.unsent.append(&mut finished.intervals);
        self.health.out_of_descriptors = self.counts.out_of_descriptors();
        self.health.cpu = thread_cpu();
        Finished {
            intervals: self.unsent,
            refusal: self.refusal,
            health: self.health,
            disturbances: Some(late.take()),
            interrupted: self.interrupted,
            warm: self.warm,
            without_url: self.requests.without_url(),
            ..finished
        }
    }
}
