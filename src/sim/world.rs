//! World: the whole engine, or the engines of several shards, against the simulated service, in
//! virtual time.
//!
//! A heap of (instant, order, event) stands for the network; time jumps to the next event, so an
//! hour passes as fast as it can be computed. The same seed gives the same run. Faults of the
//! service are the scenario's; the network adds delays, answers that come too late, and a shard
//! that wakes late.

mod receiver;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use super::{Received, Sending, Service, Truth, draw};
use crate::arrival::Segment;
use crate::engine::{Effect, Engine, Input};
use crate::random::{ChaCha8Rng, Purpose, stream, unit};
use crate::record::interval::Interval;
use crate::record::merge::Merge;
use crate::record::row::Settled;
use crate::record::snapshot::Snapshot;
use crate::scenario::{Law, Plan};
use crate::time::{Span, Tick};
use crate::work::{Fault, IntakeReply, PollReply, Slot};

/// What lies between the engine and the service.
#[derive(Clone, Debug)]
pub struct Network {
    /// One way, drawn for each message.
    pub delay: Law,
    /// Share of the turns that the shard sleeps through.
    pub late_ratio: f64,
    /// How long it then sleeps at most.
    pub late_most: Span,
    /// From one shard to another.
    pub between_shards: Span,
}

impl Network {
    /// No delay and no fault.
    pub const IDEAL: Self = Self {
        delay: Law::Fixed(Span::ZERO),
        late_ratio: 0.0,
        late_most: Span::ZERO,
        between_shards: Span::ZERO,
    };
}

/// Watches a virtual run; a test's checks are one.
pub trait Watch {
    /// This is about to be done by a shard.
    fn effect(&mut self, _shard: usize, _now: Tick, _effect: Effect) {}
    /// This is about to be told to a shard.
    fn input(&mut self, _input: &Input) {}
    /// All effects of a turn of a shard are out.
    fn turn(&mut self, _shard: usize, _now: Tick, _engine: &mut Engine) {}
    /// An interval of all shards together has ended.
    fn interval(&mut self, _interval: &Interval) {}
    /// A submission has settled.
    fn settled(&mut self, _settled: Settled) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// What a virtual run leaves behind.
#[derive(Debug)]
pub struct VirtualRun {
    /// What the engine measured.
    pub snapshot: Snapshot,
    /// What the service did.
    pub truth: Truth,
    /// When it ended.
    pub end: Tick,
}

enum Event {
    SubmitArrives {
        from: Caller,
        seq: u64,
        sent: Tick,
    },
    PollArrives {
        from: Caller,
        sent: Tick,
    },
    /// A submit arrives that nobody waits for any more.
    ForgottenSubmit {
        seq: u64,
    },
    /// The service calls. Boxed for the same reason.
    CallArrives {
        sending: Box<Sending>,
        sent: Tick,
    },
    /// The service knows what came of a call.
    CallEnds(Box<(Sending, Received)>),
    /// A poll of this id likewise.
    ForgottenPoll(Box<str>),
    /// A shard is told something. Boxed, as the heap moves its entries about.
    Told(usize, Box<Input>),
}

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
struct Caller {
    shard: usize,
    slot: Slot,
}

struct Entry {
    at: Tick,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A shard and the turn that it takes next.
struct Sleeper {
    engine: Engine,
    /// When its next turn is: settled once anything wakes it, late or not.
    turn_at: Tick,
    is_woken: bool,
    has_finished: bool,
}

/// The engines of all shards, the service, and what is on its way between them.
pub struct World {
    plan: Arc<Plan>,
    network: Network,
    shards: Vec<Sleeper>,
    service: Service,
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
    messages: ChaCha8Rng,
    /// Calls that have reached the receiver.
    received: u64,
    now: Tick,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("shards", &self.shards.len())
            .field("events", &self.heap.len())
            .finish_non_exhaustive()
    }
}

/// Runs a plan to its end, as one shard. `told` are things that happen from outside, such as a
/// stop.
///
/// # Panics
/// As [`World::step`].
pub fn run(
    plan: &Arc<Plan>,
    network: &Network,
    told: Vec<(Tick, Input)>,
    watch: &mut impl Watch,
) -> VirtualRun {
    run_sharded(plan, 1, network, told, watch)
}

/// The same, as so many shards; each of them is told everything.
///
/// # Panics
/// As [`World::step`], and if the plan cannot be split so.
pub fn run_sharded(
    plan: &Arc<Plan>,
    shards: usize,
    network: &Network,
    told: Vec<(Tick, Input)>,
    watch: &mut impl Watch,
) -> VirtualRun {
    let service = Service::new(&plan.simulator, plan.seed, None);
    let mut world = World::new(plan, shards, network.clone(), service);
    for (at, input) in told {
        world.tell(at, &input);
    }
    let mut gathered = Gathered {
        merge: Merge::new(shards),
        snapshot: Snapshot::default(),
    };
    while world.step(watch) {
        for shard in 0..shards {
            gathered.take(shard, world.engine(shard), watch);
        }
    }
    let end = world.now();
    let (mut engines, service) = world.end();
    for (shard, engine) in engines.iter_mut().enumerate() {
        for (word, works) in engine.close(end) {
            *gathered.snapshot.stuck.entry(word).or_insert(0) += works;
        }
        gathered.take(shard, engine, watch);
    }
    VirtualRun {
        snapshot: gathered.snapshot,
        truth: service.close(end),
        end,
    }
}

/// What the shards have reported, as one.
struct Gathered {
    merge: Merge,
    snapshot: Snapshot,
}

impl Gathered {
    /// Takes what a shard has to report.
    fn take(&mut self, shard: usize, engine: &mut Engine, watch: &mut impl Watch) {
        if engine.settled_rows() > 0 {
            for settled in engine.take_settled() {
                watch.settled(settled);
            }
        }
        let ended = engine.take_intervals();
        if ended.is_empty() {
            return;
        }
        for interval in ended {
            self.merge.put(shard, interval);
        }
        while let Some(interval) = self.merge.take_whole() {
            self.snapshot.absorb(&interval);
            watch.interval(&interval);
        }
    }
}

impl World {
    /// A world at the origin of the run.
    ///
    /// # Panics
    /// If the plan cannot be split into so many shards.
    pub fn new(plan: &Arc<Plan>, shards: usize, network: Network, service: Service) -> Self {
        let of = shards as u64;
        let service = if plan.observe.mode.hears_callbacks() {
            service.calling()
        } else {
            service
        };
        let shard = |index| Sleeper {
            engine: Engine::new(Arc::clone(plan), Segment { index, of }),
            turn_at: Tick::ZERO,
            is_woken: true,
            has_finished: false,
        };
        Self {
            shards: (0..of).map(shard).collect(),
            service,
            heap: BinaryHeap::new(),
            order: 0,
            messages: stream(plan.seed, Purpose::NETWORK, 0),
            received: 0,
            now: Tick::ZERO,
            plan: Arc::clone(plan),
            network,
        }
    }

    /// The instant that the world has come to.
    pub const fn now(&self) -> Tick {
        self.now
    }

    /// The engine of a shard, to take what it has to report.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn engine(&mut self, shard: usize) -> &mut Engine {
        &mut self.shards[shard].engine
    }

    /// Every shard is told something at this instant, or at once where it has passed.
    pub fn tell(&mut self, at: Tick, input: &Input) {
        for shard in 0..self.shards.len() {
            let input = Box::new(input.clone());
            self.put(at.max(self.now), Event::Told(shard, input));
        }
    }

    /// Shards do what is due now, and time goes on to the next thing that happens. False once all
    /// shards have finished.
    ///
    /// # Panics
    /// When an engine breaks its contract: it asks to be woken in the past, or never.
    pub fn step(&mut self, watch: &mut impl Watch) -> bool {
        let now = self.now;
        for shard in 0..self.shards.len() {
            if self.shards[shard].turn_at <= now {
                self.turn(shard, now, watch);
            }
        }
        if self.shards.iter().all(|shard| shard.has_finished) {
            return false;
        }
        self.now = self.next_instant().max(now);
        while let Some((at, event)) = self.take_event(self.now) {
            self.happen(at, event, watch);
        }
        self.send_calls();
        self.oversleep(self.now);
        true
    }

    /// The end of the run: the engines, which have heard what the others had still to tell and are
    /// to be closed as of now, and the service.
    pub fn end(mut self) -> (Vec<Engine>, Service) {
        while let Some(Reverse(Entry { event, .. })) = self.heap.pop() {
            if let Event::Told(shard, input) = event
                && matches!(*input, Input::News(_))
            {
                self.shards[shard].engine.handle(*input);
            }
        }
        let engines = self.shards.into_iter().map(|shard| shard.engine);
        (engines.collect(), self.service)
    }

    /// A shard does what it wants to do.
    fn turn(&mut self, shard: usize, now: Tick, watch: &mut impl Watch) {
        while let Some(effect) = self.shards[shard].engine.next_effect(now) {
            watch.effect(shard, now, effect);
            self.carry(shard, now, effect);
        }
        let sleeper = &mut self.shards[shard];
        watch.turn(shard, now, &mut sleeper.engine);
        sleeper.has_finished |= sleeper.engine.is_finished(now);
        let news = sleeper.engine.take_news(sleeper.has_finished);
        sleeper.turn_at = sleeper.engine.next_wakeup();
        sleeper.is_woken = false;
        assert!(
            sleeper.turn_at > now,
            "the engine asks at {now} to be woken at {}: it would spin",
            sleeper.turn_at
        );
        for (to, news) in news {
            let to = usize::try_from(to).expect("shards are few");
            let input = Box::new(Input::News(news));
            self.put(now + self.network.between_shards, Event::Told(to, input));
        }
    }

    /// The next thing that has happened by now.
    #[inline]
    fn take_event(&mut self, now: Tick) -> Option<(Tick, Event)> {
        let Reverse(next) = self.heap.peek()?;
        if next.at > now {
            return None;
        }
        let Reverse(Entry { at, event, .. }) = self.heap.pop()?;
        Some((at, event))
    }

    #[inline]
    fn next_instant(&self) -> Tick {
        let event = self.heap.peek().map(|Reverse(entry)| entry.at);
        let turns = self.shards.iter().map(|shard| shard.turn_at);
        let call = self.service.next_call();
        turns.chain(event).min().unwrap_or(Tick::NEVER).min(call)
    }

    /// Shards that are to be woken now may sleep on.
    #[inline]
    fn oversleep(&mut self, now: Tick) {
        let ratio = self.network.late_ratio;
        for shard in &mut self.shards {
            if shard.is_woken || shard.turn_at > now {
                continue;
            }
            shard.is_woken = true;
            if ratio > 0.0 && unit(&mut self.messages) < ratio {
                let most = self.network.late_most.seconds();
                shard.turn_at = now + Span::from_secs_f64(most * unit(&mut self.messages));
            }
        }
    }

    #[inline]
    fn put(&mut self, at: Tick, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry {
            at,
            order: self.order,
            event,
        }));
    }

    fn delay(&mut self) -> Span {
        match self.network.delay {
            Law::Fixed(delay) => delay,
            _ => draw(&self.network.delay, &mut self.messages),
        }
    }

    /// Puts a message on its way. One that arrives after its timeout is served all the same, but
    /// the timeout is heard when it passes.
    #[inline]
    fn carry(&mut self, shard: usize, now: Tick, effect: Effect) {
        let at = now + self.delay();
        match effect {
            Effect::Submit { slot, seq, .. } => {
                let from = Caller { shard, slot };
                let limit = now + self.plan.submit.timeout;
                if at > limit {
                    self.hear_submit(now, limit, from, submit_timed_out());
                    self.put(at, Event::ForgottenSubmit { seq });
                } else {
                    let sent = now;
                    self.put(at, Event::SubmitArrives { from, seq, sent });
                }
            }
            Effect::Poll { slot } => {
                let from = Caller { shard, slot };
                let limit = now + self.plan.poll.timeout;
                if at > limit {
                    let id = self.id_of(from).into();
                    self.hear_poll(now, limit, from, PollReply::Fault(Fault::Timeout));
                    self.put(at, Event::ForgottenPoll(id));
                } else {
                    self.put(at, Event::PollArrives { from, sent: now });
                }
            }
        }
    }

    fn id_of(&self, Caller { shard, slot }: Caller) -> &str {
        let address = self.shards[shard].engine.address(slot);
        address.map_or("", |(id, _)| id)
    }

    fn hear_submit(&mut self, sent: Tick, at: Tick, from: Caller, reply: IntakeReply) {
        let input = Input::Intake {
            slot: from.slot,
            sent,
            at,
            reply,
        };
        self.put(at, Event::Told(from.shard, Box::new(input)));
    }

    fn hear_poll(&mut self, sent: Tick, at: Tick, from: Caller, reply: PollReply) {
        let input = Input::Poll {
            slot: from.slot,
            sent,
            at,
            reply,
        };
        self.put(at, Event::Told(from.shard, Box::new(input)));
    }

    fn happen(&mut self, at: Tick, event: Event, watch: &mut impl Watch) {
        match event {
            Event::SubmitArrives { from, seq, sent } => {
                let answer = self.service.submit_for(at, Some(seq));
                let heard = answer.at + self.delay();
                let limit = sent + self.plan.submit.timeout;
                if heard > limit {
                    self.hear_submit(sent, limit, from, submit_timed_out());
                } else {
                    self.hear_submit(sent, heard, from, answer.intake_reply());
                }
            }
            Event::PollArrives { from, sent } => {
                let (id, _) = self.shards[from.shard]
                    .engine
                    .address(from.slot)
                    .expect("a work stays while its poll is on the wire");
                let answer = self.service.poll(at, id);
                let heard = answer.at + self.delay();
                let limit = sent + self.plan.poll.timeout;
                if heard > limit {
                    self.hear_poll(sent, limit, from, PollReply::Fault(Fault::Timeout));
                } else {
                    let mut reply = answer.poll_reply();
                    if let PollReply::Terminal(terminal, _) = &mut reply
                        && self.plan.api.finished_at.is_none()
                    {
                        terminal.finished = None;
                    }
                    self.hear_poll(sent, heard, from, reply);
                }
            }
            Event::ForgottenSubmit { seq } => {
                self.service.submit_for(at, Some(seq));
            }
            Event::CallArrives { sending, sent } => self.receive(*sending, sent, at, watch),
            Event::CallEnds(ended) => self.service.heard(at, ended.0, ended.1),
            Event::ForgottenPoll(id) => {
                self.service.poll(at, &id);
            }
            Event::Told(shard, input) => self.hear(shard, at, *input, watch),
        }
    }

    /// A shard is told something, and acts on it in its next turn. One that has finished hears only
    /// the others.
    fn hear(&mut self, shard: usize, at: Tick, input: Input, watch: &mut impl Watch) {
        let shard = &mut self.shards[shard];
        if shard.has_finished && !matches!(input, Input::News(_) | Input::Callback { .. }) {
            return;
        }
        watch.input(&input);
        shard.engine.handle(input);
        if !shard.is_woken {
            shard.turn_at = shard.turn_at.min(at);
        }
    }
}

fn submit_timed_out() -> IntakeReply {
    IntakeReply::Failed {
        fault: Fault::Timeout,
        status: None,
        maybe_accepted: true,
        detail: "no answer in time".into(),
    }
}
