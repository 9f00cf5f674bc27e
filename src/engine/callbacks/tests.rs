use std::sync::Arc;

use super::*;
use crate::arrival::Segment;
use crate::engine::{Effect, Input};
use crate::record::ledger::Count;
use crate::record::row::Settled;
use crate::scenario::{Plan, resolve};
use crate::time::Span;
use crate::work::{Fault, IntakeReply, PollReply, PollUrl, RateHint};
use Ending::{Completed, Failed};

const NEVER_MIND: &str = "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\n\
                          arrivals = 'constant'\nrate = '1/s'\nduration = '1s'\n[poll]\n\
                          interval = '10s'\nfirst = 'interval'\ngive_up_after = '60s'\n";

fn plan(observe: &str) -> Arc<Plan> {
    let text = format!("{NEVER_MIND}[observe]\ndeadline = '30s'\n{observe}");
    Arc::new(resolve::read(&text, &[], &|_| Err(String::new())).unwrap())
}

/// One work, its submit on the wire, and what is told of it.
struct Told {
    engine: Engine,
    slot: Slot,
    now: Tick,
}

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Span::from_secs(seconds)
}

impl Told {
    fn new(observe: &str) -> Self {
        let mut engine = Engine::new(plan(observe), Segment::WHOLE);
        let Some(Effect::Submit { slot, .. }) = engine.next_effect(Tick::ZERO) else {
            panic!("the first arrival is due at once");
        };
        let now = Tick::ZERO;
        Self { engine, slot, now }
    }

    /// Everything that the engine wants to do until then; polls are sent and not yet answered.
    fn until(&mut self, seconds: u64) -> u32 {
        let mut polls = 0;
        loop {
            while let Some(effect) = self.engine.next_effect(self.now) {
                polls += u32::from(matches!(effect, Effect::Poll { .. }));
            }
            let next = self.engine.next_wakeup();
            if next > at(seconds) {
                self.now = at(seconds);
                return polls;
            }
            self.now = next;
        }
    }

    fn accepted(&mut self) {
        let reply = IntakeReply::Accepted {
            status: 202,
            id: WorkId("w".into()),
            poll_url: PollUrl::FromProfile,
            at_once: None,
            hint: RateHint::default(),
        };
        self.intake(reply);
    }

    fn intake(&mut self, reply: IntakeReply) {
        let (slot, sent, at) = (self.slot, Tick::ZERO, self.now);
        self.engine.handle(Input::Intake {
            slot,
            sent,
            at,
            reply,
        });
    }

    fn polled(&mut self, ending: Option<Ending>) {
        let reply = match ending {
            Some(ending) => PollReply::Terminal(terminal(ending), RateHint::default()),
            None => PollReply::Open {
                status: "running".into(),
                known: true,
                body: "{}".into(),
                hint: RateHint::default(),
            },
        };
        let (slot, at) = (self.slot, self.now);
        self.engine.handle(Input::Poll {
            slot,
            sent: at,
            at,
            reply,
        });
    }

    fn called_about(&mut self, about: About, said: CallbackSaid) {
        let notice = Box::new(CallbackNotice {
            about,
            said,
            delivery: Some(1),
            verified: None,
            taken: true,
        });
        let at = self.now;
        self.engine.handle(Input::Callback { at, notice });
    }

    fn called(&mut self, ending: Ending) {
        let said = CallbackSaid::Terminal(terminal(ending));
        self.called_about(About::Id(WorkId("w".into())), said);
    }

    /// The counts that are not zero, of callbacks and of broken promises; and how works ended.
    fn counts(&mut self) -> String {
        self.until(200);
        self.engine.close(self.now);
        let counts = self.engine.recorder.counts();
        let group = |count: &&Count| {
            use crate::record::ledger::Group;
            matches!(count.group(), Group::Callbacks | Group::Anomalies)
        };
        let named = |count: &Count| match counts.get(*count) {
            0 => None,
            1 => Some(count.name().to_owned()),
            many => Some(format!("{}={many}", count.name())),
        };
        let all: Vec<String> = (Count::ALL.iter().filter(group))
            .filter_map(named)
            .collect();
        all.join(" ")
    }

    fn row(&mut self) -> Settled {
        self.engine.take_settled().remove(0)
    }
}

fn terminal(ending: Ending) -> Terminal {
    Terminal {
        ending,
        status: "done".into(),
        finished: None,
        body: "{}".into(),
    }
}

#[test]
fn the_first_callback_settles_and_the_others_are_duplicates() {
    let mut told = Told::new("mode = 'callback'");
    told.accepted();
    assert_eq!(told.until(5), 0);
    told.called(Completed);
    let row = told.row().row;
    assert_eq!(
        (row.detected, row.source),
        (Some(at(5)), Some(Source::Callback))
    );
    told.until(6);
    told.called(Completed);
    told.called(Failed);
    assert_eq!(
        told.counts(),
        "callbacks=3 callbacks_first callbacks_same_delivery=2 callbacks_again=2 \
         duplicate_callback=2 disagreement"
    );
}

#[test]
fn a_callback_that_overtakes_the_202_waits_for_it() {
    let mut told = Told::new("mode = 'callback'");
    told.until(1);
    told.called(Completed);
    told.until(2);
    told.accepted();
    let row = told.row().row;
    // Before the 202 nobody knew whose it was.
    assert_eq!(row.detected, Some(at(2)));
    assert_eq!(
        told.counts(),
        "callbacks callbacks_first callbacks_parked callback_before_accept"
    );
}

#[test]
fn a_callback_that_nobody_claims_is_of_an_unknown_work() {
    let mut told = Told::new("mode = 'callback'");
    told.accepted();
    told.called_about(
        About::Id(WorkId("other".into())),
        CallbackSaid::Terminal(terminal(Completed)),
    );
    assert_eq!(
        told.counts(),
        "callbacks callbacks_parked callbacks_overdue unknown_work"
    );
}

#[test]
fn a_work_without_a_callback_is_overdue_and_then_expired() {
    let mut told = Told::new("mode = 'callback'");
    told.accepted();
    assert_eq!(told.until(59), 0);
    assert!(told.engine.take_settled().is_empty());
    told.until(61);
    assert_eq!(told.row().row.outcome, crate::work::Outcome::Expired);
    told.called(Completed);
    assert_eq!(
        told.counts(),
        "callbacks callbacks_first callbacks_late callbacks_overdue callback_after_settlement"
    );
}

#[test]
fn hybrid_polls_from_the_deadline_on_only() {
    let mut told = Told::new("mode = 'hybrid'");
    told.accepted();
    assert_eq!(told.until(29), 0);
    assert_eq!(told.until(31), 1);
    told.polled(None);
    assert_eq!(told.until(41), 1);
    told.polled(Some(Completed));
    let row = told.row().row;
    assert_eq!((row.source, row.polls), (Some(Source::Poll), 2));
    told.called(Completed);
    assert_eq!(
        told.counts(),
        "callbacks callbacks_first callbacks_late callbacks_overdue callbacks_swept \
         callback_after_settlement"
    );
}

#[test]
fn a_poll_that_the_callback_outran_contradicts_nothing() {
    let mut told = Told::new("mode = 'hybrid'");
    told.accepted();
    assert_eq!(told.until(31), 1);
    told.called(Failed);
    assert_eq!(told.row().row.source, Some(Source::Callback));
    told.polled(None);
    assert_eq!(told.until(100), 0);
    assert_eq!(
        told.counts(),
        "callbacks callbacks_first callbacks_late callbacks_overdue"
    );
    let (works, ..) = told.engine.held_in_memory();
    assert_eq!(works, 0);
}

#[test]
fn in_both_a_work_is_polled_to_its_own_end() {
    let mut told = Told::new("mode = 'both'");
    told.accepted();
    told.until(5);
    told.called(Completed);
    assert_eq!(told.row().row.detected, Some(at(5)));
    assert_eq!(told.until(11), 1);
    told.polled(None);
    assert_eq!(told.until(21), 1);
    told.polled(Some(Completed));
    assert_eq!(told.until(100), 0);
    assert_eq!(
        told.counts(),
        "callbacks callbacks_first pairs_callback_first polls_behind_callback"
    );
    let pairs = told.engine.take_calls();
    assert!(pairs.contains(&CallNote::Pair(PairRow {
        seq: 0,
        work_id: WorkId("w".into()),
        called: at(5),
        polled: at(21),
    })));
}

#[test]
fn in_both_a_poll_may_be_first() {
    let mut told = Told::new("mode = 'both'");
    told.accepted();
    assert_eq!(told.until(11), 1);
    told.polled(Some(Failed));
    assert_eq!(told.row().row.source, Some(Source::Poll));
    told.until(12);
    told.called(Completed);
    assert_eq!(
        told.counts(),
        "callbacks callbacks_first pairs_poll_first disagreement"
    );
}

#[test]
fn a_url_of_its_own_tells_a_work_whatever_became_of_it() {
    let own = "mode = 'callback'\ncallback = { find = 'url', linger = '20s' }\n";
    let mine = || About::Own { seq: 0 };
    let said = || CallbackSaid::Terminal(terminal(Completed));
    let mut told = Told::new(own);
    told.intake(IntakeReply::Failed {
        fault: Fault::Timeout,
        status: None,
        maybe_accepted: true,
        detail: "".into(),
    });
    told.called_about(mine(), said());
    assert_eq!(told.counts(), "callbacks callbacks_not_accepted");

    // Long after the work is forgotten it is still known that a callback had come.
    let mut told = Told::new(own);
    told.accepted();
    told.called_about(mine(), said());
    told.engine.expire_heard(Tick(u64::MAX / 2));
    assert_eq!(told.engine.held_of_callbacks(), (0, 0));
    told.called_about(mine(), said());
    told.called_about(mine(), CallbackSaid::Terminal(terminal(Failed)));
    assert_eq!(
        told.counts(),
        "callbacks=3 callbacks_first duplicate_callback=2 disagreement"
    );
}

#[test]
fn parked_callbacks_are_bounded_and_none_is_lost() {
    let mut told = Told::new("mode = 'callback'\ncallback = { parked = 2 }\n");
    for id in ["a", "b", "c", "w"] {
        let said = CallbackSaid::Terminal(terminal(Completed));
        told.called_about(About::Id(WorkId(id.into())), said);
    }
    assert_eq!(told.engine.held_of_callbacks(), (0, 2));
    told.accepted();
    assert_eq!(
        told.counts(),
        "callbacks=4 callbacks_first callbacks_parked=4 unknown_work=3"
    );
}

#[test]
fn the_run_lingers_for_late_callbacks() {
    let mut told = Told::new("mode = 'callback'\ncallback = { linger = '7s' }\n");
    told.accepted();
    told.until(5);
    told.called(Completed);
    assert!(!told.engine.is_finished(at(11)));
    assert_eq!(
        told.engine.next_wakeup().min(at(12)),
        told.engine.next_wakeup()
    );
    assert!(told.engine.is_finished(at(12)));
}
