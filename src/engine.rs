//! Engine: told the time and what happened, it answers with what to do. Pure and single-threaded.
//!
//! The shell (or the virtual world) calls [`Engine::handle`] for each thing that happened, stamped
//! where it was seen; then [`Engine::next_effect`] with the time, until there is none; then it
//! waits until something happens or [`Engine::next_wakeup`]. The `now` of an effect is its send
//! stamp: the budgets are asked with it, so no budget is exceeded on our own stamps.
//!
//! An engine has a [`Share`] of the plan. What the engines of one run tell each other is taken with
//! [`Engine::take_news`] and handed to the other as an [`Input`]: each pair in order.

mod backlog;
mod callbacks;
mod chunks;
mod closed_loop;
mod due_polls;
mod explorers;
mod following;
pub mod gate;
mod heard;
mod intake;
pub mod known_ids;
pub mod lifecycle;
mod messages;
pub mod peers;
pub mod poll_ages;
pub mod poll_policy;
pub mod rate_budget;
pub mod said;
pub mod share;
mod stopwatch;
mod tables;
pub mod timers;
mod watched;
pub mod works;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::arrival::{Arrival, ArrivalSchedule, Segment};
use crate::record::calls::CallNote;
use crate::record::interval::Interval;
use crate::record::ledger::{Count, Gauges, balance};
use crate::record::row::{Settled, WorkRow};
use crate::record::snapshot::Snapshot;
use crate::record::{Metric, Recorder};
use crate::scenario::Plan;
use crate::time::{NANOS_PER_SECOND, Span, Tick};
use crate::work::{Family, Outcome, Policy, Slot, Source, WorkId};
use backlog::Backlog;
use closed_loop::ClosedLoop;
use due_polls::DuePolls;
use gate::Gate;
use heard::Heard;
use known_ids::KnownIds;
use lifecycle::Stage;
pub use messages::{Effect, Input, Refusal};
use peers::{News, Peers};
use poll_ages::PollAges;
use rate_budget::RateBudget;
use said::{LastBodies, Words};
use share::Share;
use stopwatch::Stopwatch;
use timers::TimerQueue;
use works::{Work, WorkTable};

/// The length of an interval of the record.
pub const INTERVAL: Span = Span(NANOS_PER_SECOND);

/// When a request was sent, and when its answer was read.
type Trip = (Tick, Tick);

/// One shard's decisions.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    segment: Segment,
    share: Share,
    peers: Peers,
    /// The time that was told last.
    now: Tick,
    arrivals: ArrivalSchedule,
    /// The same schedule, ahead where a local limit holds arrivals back: counts what is due.
    due_arrivals: ArrivalSchedule,
    /// The last instant at which a local limit let go of submits, and of polls.
    released: Tick,
    polls_released: Tick,
    closed_loop: ClosedLoop,
    works: WorkTable,
    known: KnownIds,
    /// Where callbacks are heard.
    heard: Option<Heard>,
    words: Words,
    bodies: LastBodies,
    stuck: BTreeMap<Option<u8>, u64>,
    timers: TimerQueue,
    due: DuePolls,
    /// Where the policy is to learn when to ask.
    ages: Option<PollAges>,
    retries: VecDeque<Slot>,
    budget: RateBudget,
    gate: Gate,
    budget_wait: Stopwatch,
    submit_refused_until: Tick,
    poll_refused_until: Tick,
    submits_in_flight: u64,
    polls_in_flight: u64,
    submitting: u64,
    backlog: Backlog,
    recorder: Recorder,
    interval_end: Tick,
    intervals: Vec<Interval>,
    settled: Vec<Settled>,
    calls: Vec<CallNote>,
    /// When a work settled last.
    last_settled: Tick,
    load_end: Tick,
    drain_end: Tick,
    /// Where the run was stopped.
    run_end: Tick,
    answered: bool,
    refusal: Option<Refusal>,
    /// What the headers last said of a rate limit: the kind of headers, and the policy.
    announced: (Option<Family>, Option<Policy>),
}

impl Engine {
    /// An engine for a segment of the plan's schedule and its share of the limits, at the origin of
    /// the run.
    ///
    /// # Panics
    /// If the limits cannot be shared by so many: see [`share::most`].
    pub fn new(plan: Arc<Plan>, segment: Segment) -> Self {
        let share = Share::of(&plan, segment);
        let shards = u32::try_from(segment.of).expect("shards are few");
        let learn = plan.limits.is_some_and(|limits| limits.learn);
        let arrivals = ArrivalSchedule::new(&plan.load, plan.seed, segment);
        let load_end = arrivals.end();
        Self {
            segment,
            share,
            peers: Peers::new(segment),
            now: Tick::ZERO,
            due_arrivals: arrivals.clone(),
            released: Tick::ZERO,
            polls_released: Tick::ZERO,
            closed_loop: ClosedLoop::default(),
            works: WorkTable::default(),
            known: KnownIds::default(),
            heard: Heard::of(&plan, segment),
            words: Words::default(),
            bodies: LastBodies::new(share.open_body_bytes),
            stuck: BTreeMap::new(),
            timers: TimerQueue::default(),
            due: DuePolls::default(),
            ages: PollAges::of(&plan, &share),
            retries: VecDeque::new(),
            budget: RateBudget::new(share.max_rate, share.limits, share.polls),
            gate: Gate::new(learn, shards),
            budget_wait: Stopwatch::default(),
            submit_refused_until: Tick::ZERO,
            poll_refused_until: Tick::ZERO,
            submits_in_flight: 0,
            polls_in_flight: 0,
            submitting: 0,
            backlog: Backlog::default(),
            recorder: Recorder::new(Tick::ZERO),
            interval_end: (Tick::ZERO + INTERVAL).min(load_end),
            intervals: Vec::new(),
            settled: Vec::new(),
            calls: Vec::new(),
            last_settled: Tick::ZERO,
            load_end,
            drain_end: load_end + plan.drain_limit,
            run_end: Tick::NEVER,
            answered: false,
            refusal: None,
            announced: (None, None),
            arrivals,
            plan,
        }
    }

    /// Takes in one thing that happened. Inputs must come in the order of their stamps, or nearly
    /// so. An answer belongs to the interval of its stamp, however late it is told.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Intake {
                slot,
                sent,
                at,
                reply,
            } => {
                self.close_intervals(at);
                self.on_intake(slot, (sent, at), reply);
            }
            Input::Poll {
                slot,
                sent,
                at,
                reply,
            } => {
                self.close_intervals(at);
                self.on_poll(slot, (sent, at), reply);
            }
            Input::Probe { from, at } => {
                self.recorder.count(Count::Probes);
                self.recorder.record(Metric::StampDelay, at.since(from));
            }
            Input::Callback { at, notice } => {
                self.close_intervals(at);
                self.on_callback(at, *notice);
            }
            Input::Strays(strays) => self.count_strays(strays),
            Input::Connections { opened } => {
                self.recorder.count_many(Count::NewConnections, opened);
            }
            Input::News(news) => self.hear_news(news),
            Input::StopLoad { at } => self.stop_load(at),
            Input::StopRun { at } => {
                self.stop_load(at);
                self.run_end = self.run_end.min(at);
            }
        }
    }

    /// What to do at `now`; to be called until there is nothing. `now` never goes back.
    pub fn next_effect(&mut self, now: Tick) -> Option<Effect> {
        self.now = now;
        self.close_intervals(now);
        self.known.expire(now);
        self.expire_heard(now);
        self.fire_timers(now);
        self.peers.pass(now);
        if self.is_over(now) {
            return None;
        }
        self.next_submit(now).or_else(|| self.next_poll(now))
    }

    /// When to come back if nothing happens before. After [`Engine::next_effect`] has answered that
    /// there is nothing to do, this is later than its `now`.
    pub fn next_wakeup(&self) -> Tick {
        self.next_wakeup_in_steps(Span(1))
    }

    /// The same, where what waits for a timer of its own (a poll, a retry) may be late: its instant
    /// is rounded up to whole steps, so that those which are due close together leave together.
    pub fn next_wakeup_in_steps(&self, step: Span) -> Tick {
        let mut next = self.interval_end.min(self.peers.wakeup());
        let quiet = self.quiet_from();
        for end in [self.load_end, self.drain_end, self.run_end, quiet] {
            if end > self.now {
                next = next.min(end);
            }
        }
        if let Some(at) = self.timers.next() {
            next = next.min(at.rounded_up(step));
        }
        if self.is_over(self.now) {
            return next;
        }
        if let Some(at) = self.submit_wakeup() {
            next = next.min(at);
        }
        // A full wire holds back until an answer comes.
        if !self.due.is_empty() && !self.is_wire_full() {
            next = next.min(self.poll_refused_until);
        }
        next
    }

    /// Whether the run is over: everything settled, or the time for it gone and nothing on the
    /// wire.
    pub fn is_finished(&self, now: Tick) -> bool {
        if now >= self.run_end {
            return true;
        }
        if now < self.load_end {
            return false;
        }
        let on_the_wire = self.submits_in_flight + self.polls_in_flight;
        let idle = self.works.is_empty() && (self.is_cut() || self.queued() == 0);
        let is_quiet = idle && now >= self.quiet_from();
        on_the_wire == 0 && (is_quiet || now >= self.drain_end)
    }

    /// From when on nothing is heard any more, if nothing is open: late and repeated callbacks come
    /// after the last work has settled.
    fn quiet_from(&self) -> Tick {
        match &self.heard {
            Some(_) => self.last_settled.max(self.load_end) + self.plan.observe.callback.linger,
            None => Tick::ZERO,
        }
    }

    /// Its part of the limits.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// When the load ends: by its stages, or where it was stopped.
    pub fn load_end(&self) -> Tick {
        self.load_end
    }

    /// The id of a work and the poll URL that the service gave, if it gave one.
    pub fn address(&self, slot: Slot) -> Option<(&str, Option<&str>)> {
        self.works
            .get(slot)
            .map(|_| (self.works.id(slot.index), self.works.url(slot.index)))
    }

    /// The operator's mistake that the first answer showed.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Which kind of rate-limit headers the service sends, and the policy that they announced last.
    pub fn announced_limit(&self) -> (Option<Family>, Option<Policy>) {
        self.announced
    }

    /// How many rows [`Engine::take_settled`] would yield.
    pub fn settled_rows(&self) -> usize {
        self.settled.len()
    }

    /// The rows of submissions that have settled since the last call: of all, or where the plan
    /// wants no rows of those that have something to explain.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// Callbacks, and works that were told both ways, since the last call; none where the plan wants
    /// no rows.
    pub fn take_calls(&mut self) -> Vec<CallNote> {
        std::mem::take(&mut self.calls)
    }

    /// The intervals that have ended since the last call.
    pub fn take_intervals(&mut self) -> Vec<Interval> {
        std::mem::take(&mut self.intervals)
    }

    /// What other shards are to be told, and which: for each of them in this order. With `all`
    /// nothing waits for more to be told with it, as a shard that has finished must.
    pub fn take_news(&mut self, all: bool) -> Vec<(u64, News)> {
        self.peers.take(all)
    }

    /// Checks that the books balance at `now`; the error is one line.
    pub fn check_books(&mut self, now: Tick) -> Result<(), String> {
        let gauges = self.gauges(now);
        balance(self.recorder.counts(), &gauges)
    }

    /// How many works, due polls and remembered ids are held: for bounds that a test holds.
    pub fn held_in_memory(&self) -> (usize, usize, usize) {
        (self.works.len(), self.due.len(), self.known.len())
    }

    /// How many works callbacks may be about, and how many callbacks wait for theirs.
    pub fn held_of_callbacks(&self) -> (usize, usize) {
        self.heard.as_ref().map_or((0, 0), Heard::held)
    }

    /// Ends the run at `now`: whatever is open becomes unresolved, whatever is not sent is queued.
    /// What remains to be written is taken with [`Engine::take_settled`] and
    /// [`Engine::take_intervals`]; the answer is the number of stuck works by their last status.
    pub fn close(&mut self, now: Tick) -> BTreeMap<Box<str>, u64> {
        let now = now.max(self.backlog.last_change());
        self.stop_load(now);
        self.run_end = self.run_end.min(now);
        self.close_intervals(now);
        // The files tell time in microseconds: what happened at the very end of the interval before
        // gets one of its own.
        let end = now.max(self.recorder.start() + Span(1_000));
        self.expire_held(end);
        self.expire_heard(Tick::NEVER);
        for slot in self.works.slots() {
            let stage = self.works.get(slot).map(Work::stage);
            if let Some(
                Stage::Waiting
                | Stage::Due
                | Stage::Polling
                | Stage::Told(_)
                | Stage::ToldDue(_)
                | Stage::ToldPolling(_),
            ) = stage
            {
                self.saw_no_end(slot);
            }
        }
        self.close_interval(end);
        for slot in self.works.slots() {
            let Some(work) = self.works.get(slot) else {
                continue;
            };
            match work.stage() {
                Stage::Submitting | Stage::Retrying => {
                    self.leave(slot, Outcome::Submitting, None, None);
                }
                Stage::Waiting | Stage::Due | Stage::Polling => {
                    self.leave(slot, Outcome::Unresolved, None, None);
                }
                _ => {}
            }
            self.works.remove(slot);
        }
        // Whatever was counted as due has a row, also where the load was stopped at that instant.
        let counted = self.due_arrivals.peek().map_or(u64::MAX, |next| next.seq);
        while let Some(arrival) = self.arrivals.peek().filter(|next| next.seq < counted) {
            self.leave_unsent(arrival, Outcome::Queued);
            self.arrivals.next();
        }
        let word = |number: &Option<u8>| match *number {
            None => Snapshot::NO_WORD,
            Some(number) => self.words.word(number),
        };
        (self.stuck.iter())
            .map(|(number, works)| (word(number).into(), *works))
            .collect()
    }

    /// Whether nothing leaves any more: the run is over, or its first answer made it pointless.
    fn is_over(&self, now: Tick) -> bool {
        now >= self.run_end.min(self.drain_end) || self.refusal.is_some()
    }

    /// Whether the load was stopped before its own end, now or at an instant that lies ahead.
    fn is_cut(&self) -> bool {
        self.load_end < self.arrivals.end()
    }

    /// Whether it was, and the instant has come: then nothing new is sent.
    fn is_stopped(&self, now: Tick) -> bool {
        self.is_cut() && now >= self.load_end
    }

    fn stop_load(&mut self, at: Tick) {
        // An order may come late; what is closed by then stays closed.
        let at = at
            .max(self.recorder.start())
            .max(self.backlog.last_change());
        if at < self.load_end {
            self.load_end = at;
            self.drain_end = at + self.plan.drain_limit;
            // Where an interval has just ended nothing is left to cut short.
            if at > self.recorder.start() {
                self.interval_end = self.interval_end.min(at);
            }
        }
    }

    fn gauges(&mut self, now: Tick) -> Gauges {
        Gauges {
            backlog: self.backlog.works(),
            in_flight: self.submits_in_flight + self.polls_in_flight,
            queued: self.count_queued(now),
            submitting: self.submitting,
        }
    }

    /// Ends every interval whose end has come.
    fn close_intervals(&mut self, now: Tick) {
        while self.interval_end <= now {
            self.close_interval(self.interval_end);
        }
    }

    /// Ends the interval that runs, at `end`. The next one lasts a second, but ends where the load
    /// ends: what belongs to the load and what to the drain is told apart exactly.
    fn close_interval(&mut self, end: Tick) {
        self.expire_held(end);
        self.learn_ages(end);
        let gauges = self.gauges(end);
        let stage = self
            .arrivals
            .stage_at(end - Span(1))
            .filter(|_| end <= self.load_end);
        let area = self.backlog.take_area(end);
        self.intervals
            .push(self.recorder.close(end, stage, gauges, area));
        let next = end + INTERVAL;
        self.interval_end = if end < self.load_end {
            next.min(self.load_end)
        } else {
            next
        };
    }

    /// Books the end of a work: its row, and what its polls said last if it is stuck. Its record
    /// stays, for a recheck or to be removed. The answer is the row, if it has one.
    ///
    /// `detected` is when its terminal answer was read, and what told it.
    fn leave(
        &mut self,
        slot: Slot,
        outcome: Outcome,
        detected: Option<(Tick, Source)>,
        body: Option<Box<str>>,
    ) -> Option<&mut WorkRow> {
        let last_body = self.bodies.take(slot.index);
        let work = self.works.get(slot)?;
        // A callback may end a work whose polls go on.
        if !work.stage().is_told() {
            self.timers.cancel(slot.index);
        }
        let is_stuck = matches!(
            outcome,
            Outcome::Expired | Outcome::Lost | Outcome::Unresolved
        );
        let last_word = work.said.number();
        if is_stuck {
            *self.stuck.entry(last_word).or_insert(0) += 1;
        }
        if !self.has_row(outcome) {
            return None;
        }
        let id = self.works.id(slot.index);
        let row = WorkRow {
            seq: work.seq,
            stage: self.arrivals.stage_of(work.seq),
            intended: work.intended,
            sent: Some(work.sent),
            accepted: work.accepted.get(),
            http_status: work.http_status.map(NonZeroU16::get),
            work_id: (!id.is_empty()).then(|| WorkId(id.into())),
            last_open: work.last_open.get(),
            detected: detected.map(|(at, _)| at),
            source: detected.map(|(_, source)| source),
            outcome,
            polls: work.polls,
            rate_limited: work.rate_limited,
            fault: None,
            maybe_accepted: false,
            last_status: last_word.map(|word| self.words.word(word).into()),
            finished: None,
            settled: detected.map(|(at, _)| at),
        };
        let body = body.or(if is_stuck { last_body } else { None });
        self.settled.push(Settled { row, body });
        self.settled.last_mut().map(|settled| &mut settled.row)
    }

    /// Books an arrival that is not sent.
    fn leave_unsent(&mut self, arrival: Arrival, outcome: Outcome) {
        if self.has_row(outcome) {
            self.settled.push(Settled {
                row: WorkRow::unsent(arrival, outcome),
                body: None,
            });
        }
    }

    /// Whether a submission that ended so is reported: without rows only what goes into
    /// `failures.jsonl` is.
    fn has_row(&self, outcome: Outcome) -> bool {
        self.plan.report.works || outcome.explains()
    }

    /// Records what a terminal answer shows.
    fn record_end(&mut self, intended: Tick, detected: Tick, outcome: Outcome) {
        let waited = detected.since(intended);
        self.recorder.count(Count::Terminal);
        self.recorder.record(Metric::TimeToTerminal, waited);
        if outcome == Outcome::Completed {
            self.recorder.count(Count::Completed);
            self.recorder.record(Metric::TimeToCompleted, waited);
        } else {
            self.recorder.count(Count::Failed);
            self.recorder.record(Metric::TimeToFailed, waited);
        }
    }
}
