//! What is checked while a run runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use plimsoll::engine::{Effect, Engine, Input, poll_policy};
use plimsoll::record::area::AreaBooks;
use plimsoll::record::interval::Interval;
use plimsoll::record::row::{Settled, WorkRow};
use plimsoll::scenario::{Plan, PollPolicy};
use plimsoll::sim::world::Watch;
use plimsoll::time::{Span, Tick};
use plimsoll::work::{Outcome, Slot};

/// Works are told as settled once an interval at the latest, so ids may be held that much longer.
const SLACK: Span = Span::from_secs(4);

/// What the watch knows of a work.
#[derive(Debug, Default)]
struct Seen {
    first_sent: Tick,
    polls: u32,
    first_poll: Option<Tick>,
    last_poll: Tick,
    is_settled: bool,
}

/// Sees every effect and every row of a run, and panics at what must not be.
pub(crate) struct Checks<'a> {
    plan: &'a Plan,
    /// By shard and slot.
    by_slot: BTreeMap<(usize, Slot), u64>,
    works: BTreeMap<u64, Seen>,
    rechecked: BTreeSet<(usize, Slot)>,
    ended: usize,
    /// When works with an id settled, as long as their ids may be held.
    ids: VecDeque<Tick>,
    /// Send stamps of all requests, and of polls alone.
    pub(crate) sent: Vec<Tick>,
    pub(crate) polled: Vec<Tick>,
    pub(crate) submits: u64,
    pub(crate) rows: Vec<WorkRow>,
    turns: u64,
    /// Where the last interval ended.
    until: Tick,
    on_the_wire: u32,
    pub(crate) area: AreaBooks,
}

impl<'a> Checks<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            by_slot: BTreeMap::new(),
            works: BTreeMap::new(),
            rechecked: BTreeSet::new(),
            ended: 0,
            ids: VecDeque::new(),
            sent: Vec::new(),
            polled: Vec::new(),
            submits: 0,
            rows: Vec::new(),
            turns: 0,
            until: Tick::ZERO,
            on_the_wire: 0,
            area: AreaBooks::default(),
        }
    }

    pub(crate) fn rechecks(&self) -> usize {
        self.rechecked.len()
    }

    /// When the last poll of a work was sent.
    pub(crate) fn last_poll(&self, row: &WorkRow) -> Tick {
        self.works[&row.seq].last_poll
    }

    fn submit(&mut self, now: Tick, slot: (usize, Slot), seq: u64, intended: Tick) {
        assert!(
            intended <= now,
            "arrival {seq} left at {now}, before {intended}"
        );
        self.submits += 1;
        if let Some(work) = self.works.get(&seq) {
            assert_eq!(
                self.by_slot.get(&slot),
                Some(&seq),
                "a retry has another slot"
            );
            assert!(!work.is_settled, "arrival {seq} was sent after its row");
            assert!(self.plan.submit.retries > 0, "arrival {seq} was sent twice");
            return;
        }
        let first = Seen {
            first_sent: now,
            ..Seen::default()
        };
        self.works.insert(seq, first);
        self.by_slot.insert(slot, seq);
    }

    fn poll(&mut self, now: Tick, slot: (usize, Slot)) {
        self.polled.push(now);
        let Some(seq) = self.by_slot.get(&slot) else {
            assert!(self.plan.poll.recheck > 0.0, "a poll of nobody's work");
            assert!(self.rechecked.insert(slot), "a second recheck");
            return;
        };
        let work = self.works.get_mut(seq).unwrap();
        assert!(!work.is_settled, "work {seq} was polled after its row");
        work.polls += 1;
        work.first_poll.get_or_insert(now);
        work.last_poll = now;
    }

    /// Works that were sent and whose rows have not come.
    fn open(&self) -> usize {
        let settled = self.rows.iter().filter(|row| row.sent.is_some()).count();
        self.works.len() - settled
    }

    fn check_memory(&mut self, now: Tick, engine: &Engine) {
        let (works, due, known) = engine.held_in_memory();
        let rechecks = if self.plan.poll.recheck > 0.0 {
            self.ended - self.rechecks().min(self.ended)
        } else {
            0
        };
        let on_the_wire = self.rechecks();
        let most = self.open() + rechecks + on_the_wire;
        assert!(works <= most, "{works} works are held of {most}");
        assert!(due <= works, "{due} polls are due of {works} works");
        let forgotten = now - self.plan.poll.remember - SLACK;
        while self.ids.front().is_some_and(|settled| *settled < forgotten) {
            self.ids.pop_front();
        }
        let most = self.open() + self.ids.len();
        assert!(known <= most, "{known} ids are held of {most}");
    }
}

impl Watch for Checks<'_> {
    fn effect(&mut self, shard: usize, now: Tick, effect: Effect) {
        assert!(self.sent.last().is_none_or(|last| *last <= now));
        self.sent.push(now);
        self.on_the_wire += 1;
        let cap = self.plan.http.max_in_flight;
        assert!(cap == 0 || self.on_the_wire <= cap, "one too many at {now}");
        match effect {
            Effect::Submit {
                slot,
                seq,
                intended,
            } => self.submit(now, (shard, slot), seq, intended),
            Effect::Poll { slot } => self.poll(now, (shard, slot)),
        }
    }

    fn input(&mut self, input: &Input) {
        if matches!(input, Input::Intake { .. } | Input::Poll { .. }) {
            self.on_the_wire -= 1;
        }
    }

    fn turn(&mut self, _shard: usize, now: Tick, engine: &mut Engine) {
        engine.check_books(now).unwrap();
        self.turns += 1;
        // Counting what is open walks all rows: not at every turn.
        if self.turns.is_multiple_of(64) {
            self.check_memory(now, engine);
        }
    }

    /// Intervals of all shards have the same ends, so that one row of them all follows another.
    fn interval(&mut self, interval: &Interval) {
        assert_eq!(interval.start, self.until);
        self.until = interval.end();
        self.area.interval(interval);
    }

    fn settled(&mut self, settled: Settled) {
        let row = settled.row;
        self.area.row(&row);
        if let Some(sent) = row.sent {
            let work = self
                .works
                .get_mut(&row.seq)
                .expect("a row of a work that was sent");
            assert!(!work.is_settled, "work {} has two rows", row.seq);
            work.is_settled = true;
            assert_eq!(work.first_sent, sent);
            assert_eq!(work.polls, row.polls, "polls of work {}", row.seq);
            if let Some(detected) = row.detected {
                assert!(
                    work.last_poll <= detected,
                    "work {} polled after its end",
                    row.seq
                );
            }
            if let (Some(accepted), Some(polled)) = (row.accepted, work.first_poll) {
                let is_optimal = matches!(self.plan.poll.policy, PollPolicy::Optimal { .. });
                let first = if is_optimal {
                    Span::ZERO
                } else {
                    poll_policy::first(&self.plan.poll, self.plan.seed, row.seq)
                };
                assert!(polled >= accepted + first, "work {} polled early", row.seq);
            }
        } else {
            assert!(!self.works.contains_key(&row.seq));
        }
        if matches!(row.outcome, Outcome::Completed | Outcome::Failed) {
            self.ended += 1;
        }
        if row.work_id.is_some() {
            // The latest instant at which it can have settled is not known here: the row comes in
            // the turn in which it settled, whose instant is that of the last effect or later.
            let last = self.ids.back().copied().unwrap_or(Tick::ZERO);
            let at = row.detected.or(self.sent.last().copied()).unwrap_or(last);
            self.ids.push_back(at.max(last));
        }
        self.rows.push(row);
    }
}
