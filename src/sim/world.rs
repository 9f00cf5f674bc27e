//! World: the whole engine against the simulated service, in virtual time.
//!
//! A heap of (instant, order, event) stands for the network; time jumps to the next event, so an
//! hour passes as fast as it can be computed. The same seed gives the same run. Faults of the
//! service are the scenario's; the network adds delays, answers that come too late, and a shard
//! that wakes late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::{Service, Truth, draw};
use crate::arrival::Segment;
use crate::engine::{Effect, Engine, Input};
use crate::random::{ChaCha8Rng, Purpose, stream, unit};
use crate::record::interval::Interval;
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
}

impl Network {
    /// No delay and no fault.
    pub const IDEAL: Self = Self {
        delay: Law::Fixed(Span::ZERO),
        late_ratio: 0.0,
        late_most: Span::ZERO,
    };
}

/// Watches a virtual run; a test's checks are one.
pub trait Watch {
    /// This is about to be done.
    fn effect(&mut self, _now: Tick, _effect: Effect) {}
    /// This is about to be told to the engine.
    fn input(&mut self, _input: &Input) {}
    /// All effects of a turn are out.
    fn turn(&mut self, _now: Tick, _engine: &mut Engine) {}
    /// An interval has ended.
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
        slot: Slot,
        sent: Tick,
    },
    PollArrives {
        slot: Slot,
        sent: Tick,
    },
    /// A submit arrives that nobody waits for any more.
    ForgottenSubmit,
    /// A poll of this id likewise.
    ForgottenPoll(Box<str>),
    /// Boxed, as the heap moves its entries about.
    Told(Box<Input>),
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

struct World<'a, W> {
    plan: &'a Plan,
    network: &'a Network,
    engine: Engine,
    service: Service,
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
    messages: ChaCha8Rng,
    snapshot: Snapshot,
    watch: &'a mut W,
}

/// Runs a plan to its end. `told` are things that happen from outside, such as a stop.
///
/// # Panics
/// When the engine breaks its contract: it asks to be woken in the past, or never.
pub fn run(
    plan: &Arc<Plan>,
    network: &Network,
    told: Vec<(Tick, Input)>,
    watch: &mut impl Watch,
) -> VirtualRun {
    let mut world = World {
        engine: Engine::new(Arc::clone(plan), Segment::WHOLE),
        service: Service::new(&plan.simulator, plan.seed, None),
        heap: BinaryHeap::new(),
        order: 0,
        messages: stream(plan.seed, Purpose::NETWORK, 0),
        snapshot: Snapshot::default(),
        plan,
        network,
        watch,
    };
    for (at, input) in told {
        world.put(at, Event::Told(Box::new(input)));
    }
    world.run()
}

impl<W: Watch> World<'_, W> {
    fn run(mut self) -> VirtualRun {
        let mut now = Tick::ZERO;
        loop {
            while let Some(effect) = self.engine.next_effect(now) {
                self.watch.effect(now, effect);
                self.carry(now, effect);
            }
            self.watch.turn(now, &mut self.engine);
            self.collect();
            if self.engine.is_finished(now) {
                break;
            }
            now = self.sleep(now);
            while self
                .heap
                .peek()
                .is_some_and(|Reverse(entry)| entry.at <= now)
            {
                let Some(Reverse(entry)) = self.heap.pop() else {
                    break;
                };
                self.happen(entry.at, entry.event);
            }
        }
        self.snapshot.stuck = self.engine.close(now);
        self.collect();
        VirtualRun {
            snapshot: self.snapshot,
            truth: self.service.close(now),
            end: now,
        }
    }

    /// The next instant at which anything happens, or later where the shard sleeps through it.
    fn sleep(&mut self, now: Tick) -> Tick {
        let wakeup = self.engine.next_wakeup();
        assert!(
            wakeup > now,
            "the engine asks at {now} to be woken at {wakeup}: it would spin"
        );
        let event = self
            .heap
            .peek()
            .map_or(Tick::NEVER, |Reverse(entry)| entry.at);
        let next = wakeup.min(event).max(now);
        if self.network.late_ratio > 0.0 && unit(&mut self.messages) < self.network.late_ratio {
            let most = self.network.late_most.seconds();
            return next + Span::from_secs_f64(most * unit(&mut self.messages));
        }
        next
    }

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
    fn carry(&mut self, now: Tick, effect: Effect) {
        let at = now + self.delay();
        match effect {
            Effect::Submit { slot, .. } => {
                let limit = now + self.plan.submit.timeout;
                if at > limit {
                    self.hear_submit(now, limit, slot, submit_timed_out());
                    self.put(at, Event::ForgottenSubmit);
                } else {
                    self.put(at, Event::SubmitArrives { slot, sent: now });
                }
            }
            Effect::Poll { slot } => {
                let limit = now + self.plan.poll.timeout;
                if at > limit {
                    let id = self.engine.address(slot).map(|(id, _)| id.into());
                    self.hear_poll(now, limit, slot, PollReply::Fault(Fault::Timeout));
                    self.put(at, Event::ForgottenPoll(id.unwrap_or_default()));
                } else {
                    self.put(at, Event::PollArrives { slot, sent: now });
                }
            }
        }
    }

    fn hear_submit(&mut self, sent: Tick, at: Tick, slot: Slot, reply: IntakeReply) {
        let input = Input::Intake {
            slot,
            sent,
            at,
            reply,
        };
        self.put(at, Event::Told(Box::new(input)));
    }

    fn hear_poll(&mut self, sent: Tick, at: Tick, slot: Slot, reply: PollReply) {
        let input = Input::Poll {
            slot,
            sent,
            at,
            reply,
        };
        self.put(at, Event::Told(Box::new(input)));
    }

    fn happen(&mut self, at: Tick, event: Event) {
        match event {
            Event::SubmitArrives { slot, sent } => {
                let answer = self.service.submit(at);
                let heard = answer.at + self.delay();
                let limit = sent + self.plan.submit.timeout;
                if heard > limit {
                    self.hear_submit(sent, limit, slot, submit_timed_out());
                } else {
                    self.hear_submit(sent, heard, slot, answer.intake_reply());
                }
            }
            Event::PollArrives { slot, sent } => {
                let (id, _) = self
                    .engine
                    .address(slot)
                    .expect("a work stays while its poll is on the wire");
                let answer = self.service.poll(at, id);
                let heard = answer.at + self.delay();
                let limit = sent + self.plan.poll.timeout;
                if heard > limit {
                    self.hear_poll(sent, limit, slot, PollReply::Fault(Fault::Timeout));
                } else {
                    self.hear_poll(sent, heard, slot, answer.poll_reply());
                }
            }
            Event::ForgottenSubmit => {
                self.service.submit(at);
            }
            Event::ForgottenPoll(id) => {
                self.service.poll(at, &id);
            }
            Event::Told(input) => {
                self.watch.input(&input);
                self.engine.handle(*input);
            }
        }
    }

    fn collect(&mut self) {
        for interval in self.engine.take_intervals() {
            self.snapshot.absorb(&interval);
            self.watch.interval(&interval);
        }
        for settled in self.engine.take_settled() {
            self.watch.settled(settled);
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
