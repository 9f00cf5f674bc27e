//! Many works under a budget that is too small for them: every poll leaves when a queue and a
//! bucket say so, to the nanosecond. `WORKS=1000000 cargo test --release --test known_answer` does
//! it with a million.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use plimsoll::arrival::Segment;
use plimsoll::engine::{Effect, Engine, Input, poll_policy};
use plimsoll::record::Metric;
use plimsoll::record::ledger::Count;
use plimsoll::record::snapshot::Snapshot;
use plimsoll::scenario::{Plan, resolve};
use plimsoll::time::{NANOS_PER_SECOND, Span, Tick};
use plimsoll::work::{Ending, IntakeReply, PollReply, PollUrl, RateHint, Terminal, WorkId};

use super::{close, float};

/// Polls of a work until its end.
const POLLS: u32 = 3;
const ROUND_TRIP: Span = Span::from_millis(20);

/// Half of what the works ask for, which is a poll each in ten seconds.
fn budget(works: u64) -> u64 {
    works / 20
}

fn plan(works: u64) -> Plan {
    let text = format!(
        "name = \"backlog\"\nseed = 5\n[target]\nbase_url = \"simulator\"\n\
         [[load]]\narrivals = \"constant\"\nrate = \"{}/s\"\nduration = \"2s\"\n\
         [poll]\ninterval = \"10s\"\nbudget = \"{}/s\"\nburst = 1\n[drain]\nlimit = \"1h\"\n",
        works / 2,
        budget(works),
    );
    resolve::read(&text, &[], &|_| Err(String::new())).unwrap()
}

/// What the engine did: polls with their works, in the order in which they left.
struct Driven {
    polls: Vec<(Tick, u64)>,
    snapshot: Snapshot,
    most_held: usize,
}

/// Accepts each work at once, and ends it with its last poll.
fn drive(plan: &Arc<Plan>) -> Driven {
    let mut engine = Engine::new(Arc::clone(plan), Segment::WHOLE);
    let (mut now, mut driven) = (
        Tick::ZERO,
        Driven {
            polls: Vec::new(),
            snapshot: Snapshot::default(),
            most_held: 0,
        },
    );
    let (mut seq_of, mut asked, mut wire) = (Vec::new(), Vec::new(), VecDeque::new());
    while !engine.is_finished(now) {
        while let Some(effect) = engine.next_effect(now) {
            match effect {
                Effect::Submit { slot, seq, .. } => {
                    assert_eq!(slot.index as usize, seq_of.len(), "places fill in order");
                    seq_of.push(seq);
                    asked.push(0_u32);
                    engine.handle(Input::Intake {
                        slot,
                        sent: now,
                        at: now,
                        reply: accepted(seq),
                    });
                }
                Effect::Poll { slot } => {
                    driven.polls.push((now, seq_of[slot.index as usize]));
                    wire.push_back((now, slot));
                }
            }
        }
        engine.check_books(now).unwrap();
        driven.most_held = driven.most_held.max(engine.held_in_memory().0);
        for interval in engine.take_intervals() {
            driven.snapshot.absorb(&interval);
        }
        drop(engine.take_settled());
        let answer = wire
            .front()
            .map_or(Tick::NEVER, |(sent, _)| *sent + ROUND_TRIP);
        now = engine.next_wakeup().min(answer);
        while let Some((sent, slot)) = wire.pop_front_if(|(sent, _)| *sent + ROUND_TRIP <= now) {
            let polls = &mut asked[slot.index as usize];
            *polls += 1;
            engine.handle(Input::Poll {
                slot,
                sent,
                at: now,
                reply: answered(*polls),
            });
        }
    }
    engine.close(now);
    for interval in engine.take_intervals() {
        driven.snapshot.absorb(&interval);
    }
    driven.snapshot.check_books(true).unwrap();
    driven
}

fn accepted(seq: u64) -> IntakeReply {
    IntakeReply::Accepted {
        status: 202,
        id: WorkId(format!("work_{seq:035}").into()),
        poll_url: PollUrl::FromProfile,
        at_once: None,
        hint: RateHint::default(),
    }
}

fn answered(polls: u32) -> PollReply {
    if polls == POLLS {
        let terminal = Terminal {
            ending: Ending::Completed,
            status: "completed".into(),
            finished: None,
            body: "".into(),
        };
        return PollReply::Terminal(terminal, RateHint::default());
    }
    PollReply::Open {
        status: "running".into(),
        known: true,
        body: "".into(),
        hint: RateHint::default(),
    }
}

/// The model: first due, first served, one a period. It answers with when each poll is due and
/// leaves, and whose it is.
fn queue_with_a_bucket(plan: &Plan, works: u64) -> Vec<(Tick, Tick, u64)> {
    let period = Span(NANOS_PER_SECOND / budget(works));
    let interval = plan.poll.interval;
    let mut due: BinaryHeap<_> = (0..works)
        .map(|seq| {
            let accepted = Tick(2 * NANOS_PER_SECOND / works * seq);
            let first = poll_policy::first(&plan.poll, plan.seed, seq);
            Reverse((accepted + first, seq, 1))
        })
        .collect();
    let (mut polls, mut free_at) = (Vec::new(), Tick::ZERO);
    while let Some(Reverse((at, seq, number))) = due.pop() {
        let sent = at.max(free_at);
        free_at = sent + period;
        polls.push((at, sent, seq));
        if number < POLLS {
            let passed = (sent + ROUND_TRIP).since(at).0 / interval.0 + 1;
            due.push(Reverse((at + Span(passed * interval.0), seq, number + 1)));
        }
    }
    polls
}

#[test]
fn no_poll_of_a_large_backlog_is_later_than_its_budget_explains() {
    let works = std::env::var("WORKS").map_or(20_000, |text| text.parse().unwrap());
    let plan = Arc::new(plan(works));
    let driven = drive(&plan);
    let model = queue_with_a_bucket(&plan, works);
    assert_eq!(driven.most_held as u64, works);
    assert_eq!(driven.polls.len(), model.len());
    for (number, (polled, (due, sent, seq))) in driven.polls.iter().zip(&model).enumerate() {
        assert_eq!(polled, &(*sent, *seq), "poll {number}, due at {due}");
    }
    let waits = model
        .iter()
        .map(|(due, sent, _)| sent.since(*due).seconds());
    let mean = waits.clone().sum::<f64>() / float(model.len());
    assert!(mean > 5.0, "the budget held nobody: {mean}");
    let counts = &driven.snapshot.counts;
    assert_eq!(counts.get(Count::Completed), works);
    let of = |metric| driven.snapshot.histograms.get(metric).unwrap();
    let longest = waits.fold(0.0, f64::max);
    for metric in [Metric::PollWait, Metric::PollWaitBudget] {
        // Histograms know their values to 0.1 %.
        close(metric.name(), of(metric).mean() / 1e6, mean, 1e-3 * mean);
        let max = Span(of(metric).max() * 1_000).seconds();
        close(metric.name(), max, longest, 1e-3 * longest);
    }
    assert_eq!(of(Metric::PollWaitGate).max(), 0);
}
