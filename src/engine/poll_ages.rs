//! `PollAges`: the policy `optimal`. Polls where the works of this run are found to end, at the
//! polls a work that `fixed` would have taken.
//!
//! A tenth of the works explore (`engine/explorers.rs`); the others are asked at the ages of
//! [`Ages`]. Until 300 explorers have ended all are polled as by `fixed`, or by the curve of an
//! earlier run. Every five seconds the curve and the price are found anew, at the end of an
//! interval, so that the same run is the same again. Each shard learns by itself.
//!
//! The price is the one at which the curve expects the polls of `fixed`, or as many as the budget
//! of polls has room for, corrected by what the works have really taken: for each lesson with
//! enough works the polls that are aimed at go up or down by a part of what they were missed by (an
//! integral controller on the logarithm). They are compared with what `fixed` would have taken for
//! the very same works, which have ended within their windows: so it matters little how long the
//! works of five seconds happen to be.

use super::Engine;
use super::explorers::Explorers;
use super::poll_policy::NextSlot;
use super::share::Share;
use super::works::{Work, WorkTable};
use crate::estimate::ages::{Ages, Gaps};
use crate::estimate::curve::Curve;
use crate::scenario::earlier::Ended;
use crate::scenario::{Plan, PollPolicy};
use crate::time::{Span, Tick};
use crate::work::Slot;

/// Explorers that must have ended before anything is learned of them.
pub const ENOUGH: u32 = 300;
/// The share of the works that go on as explorers once something is learned.
pub const EXPLORE: f64 = 0.1;
/// From one lesson to the next.
const LESSON: Span = Span::from_secs(5);
/// The shortest gap is this part of the interval.
pub const SHORTEST: f64 = 0.1;
/// And never less than this: the clock of timers is not finer.
const LEAST_GAP: Span = Span::from_millis(1);
/// The share of the budget that polls are planned for: what is not planned for it must carry too.
const OF_BUDGET: f64 = 0.95;
/// Fewest polls a work that are planned: one sees the end.
const FEWEST: f64 = 1.02;
/// Works of which it is judged whether polls are too many.
const JUDGED: u32 = 100;
/// Which part of an error is corrected at once.
const CORRECTED: f64 = 0.3;
/// A correction goes no further than this factor, up or down.
const MOST_CORRECTION: f64 = 4.0;

/// The shortest time between two polls of a work that goes by ages.
pub fn shortest_gap(interval: Span) -> Span {
    Span::from_secs_f64(interval.seconds() * SHORTEST).max(LEAST_GAP)
}

/// What works have taken that went by ages.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    works: u32,
    polls: f64,
    /// Polls that `fixed` is expected to have taken for the same works.
    of_fixed: f64,
}

/// The ages at which works are asked now.
#[derive(Debug)]
struct Learned {
    ages: Ages,
    price: f64,
    /// Works that were accepted from here on were asked so from the first poll on.
    since: Tick,
    /// From here on those that leave are like all of them, and not the short ones alone.
    mature: Tick,
}

impl Learned {
    /// The age at which a work has ended in the mean that was found open at one age and ended at
    /// another: by the curve, and half-way where nothing ends by it.
    fn ends_at(&self, open: f64, end: f64) -> f64 {
        let curve = self.ages.curve();
        let share = curve.share(end) - curve.share(open);
        let lag = if share > 1e-9 {
            curve.undetected(open, end) / share
        } else {
            (end - open) / 2.0
        };
        end - lag.min(end - open)
    }
}

/// When to ask, as it is known so far.
#[derive(Debug)]
pub(super) struct PollAges {
    gaps: Gaps,
    give_up_after: Span,
    /// Requests a second that polls may take, and that polls and submits may take together.
    polls_per_second: f64,
    requests_per_second: f64,
    explorers: Explorers,
    learned: Option<Learned>,
    correction: f64,
    /// What the works that did not explore have taken since this was last judged.
    taken: Taken,
    /// Works that were accepted since the last lesson, and a second before it.
    accepted: u32,
    accepted_per_second: f64,
    last_lesson: Tick,
}

impl Engine {
    /// An interval ends.
    pub(super) fn learn_ages(&mut self, now: Tick) {
        if let Some(ages) = &mut self.ages {
            ages.learn(now, &self.works);
        }
    }

    /// A work is followed no longer: with the sending of the poll that saw its end, if one did.
    pub(super) fn saw_of_ages(&mut self, slot: Slot, end: Option<Tick>) {
        if let (Some(ages), Some(work)) = (&mut self.ages, self.works.get(slot)) {
            ages.leaves(slot.index, work, end);
        }
    }
}

impl PollAges {
    /// For a share of a plan, if its policy is `optimal`.
    pub(super) fn of(plan: &Plan, share: &Share) -> Option<Self> {
        let PollPolicy::Optimal { longest } = plan.poll.policy else {
            return None;
        };
        let interval = plan.poll.interval.seconds();
        let shortest = shortest_gap(plan.poll.interval).seconds();
        let longest = longest.seconds().max(shortest);
        let rate = |bucket: Option<crate::scenario::Bucket>| {
            bucket.map_or(f64::INFINITY, |bucket| bucket.rate.per_second())
        };
        let mut known = Self {
            gaps: Gaps {
                shortest,
                longest,
                unknown: interval.clamp(shortest, longest),
            },
            give_up_after: plan.poll.give_up_after,
            polls_per_second: rate(share.polls),
            requests_per_second: rate(share.limits).min(rate(share.max_rate)),
            explorers: Explorers::new(plan.seed),
            learned: None,
            correction: 1.0,
            taken: Taken::default(),
            accepted: 0,
            accepted_per_second: 0.0,
            last_lesson: Tick::ZERO,
        };
        let earlier = plan.poll.like.as_deref().and_then(curve_of);
        if let Some(curve) = earlier {
            known.explorers.be_few();
            known.go_by(curve, Tick::ZERO);
        }
        Some(known)
    }

    /// When a work that was accepted at `at` is asked first, if it goes by ages.
    pub(super) fn first(&mut self, place: u32, work: &Work, at: Tick) -> Option<Tick> {
        self.accepted = self.accepted.saturating_add(1);
        if self.explorers.take(place, work.seq) {
            return None;
        }
        let learned = self.learned.as_ref()?;
        let age = learned.ages.next(0.0, learned.price);
        Some((work.sent + Span::from_secs_f64(age)).max(at))
    }

    /// The slot after a poll that was sent and answered then, if the work goes by ages. Where the
    /// answer was late there is a gap behind it.
    pub(super) fn next(
        &self,
        place: u32,
        work: &Work,
        (sent, answered): (Tick, Tick),
    ) -> Option<NextSlot> {
        let learned = self.learned.as_ref()?;
        if self.explorers.has(place) {
            return None;
        }
        let age = sent.since(work.sent).seconds();
        let next = Span::from_secs_f64(learned.ages.next(age, learned.price));
        let soonest = answered + Span::from_secs_f64(self.gaps.shortest);
        Some(NextSlot {
            due: (work.sent + next).max(soonest),
            number: work.slot_number.saturating_add(1),
            skipped: 0,
        })
    }

    /// A work leaves: with the sending of the poll that saw its end, if one did.
    fn leaves(&mut self, place: u32, work: &Work, end: Option<Tick>) {
        let age = |at: Tick| at.since(work.sent);
        let open = work.last_open.get().map_or(Span::ZERO, age);
        if self.explorers.leaves(place, open, end.map(age)) {
            return;
        }
        let (Some(learned), Some(accepted)) = (&self.learned, work.accepted.get()) else {
            return;
        };
        if accepted < learned.since || work.polls == 0 {
            return;
        }
        let accepted = age(accepted).seconds();
        let followed = match end {
            Some(end) => learned.ends_at(open.seconds(), age(end).seconds()) - accepted,
            None => open.seconds() - accepted,
        };
        self.taken.works = self.taken.works.saturating_add(1);
        self.taken.polls += f64::from(work.polls);
        self.taken.of_fixed += followed.max(0.0) / self.gaps.unknown + 1.0;
    }

    /// An interval ends: learns, if it is time.
    fn learn(&mut self, now: Tick, works: &WorkTable) {
        let passed = now.since(self.last_lesson);
        if passed < LESSON {
            return;
        }
        self.last_lesson = now;
        self.accepted_per_second = f64::from(self.accepted) / passed.seconds();
        self.accepted = 0;
        if self.explorers.ended() < u64::from(ENOUGH) {
            return;
        }
        self.explorers.forget();
        let found_open = |place: u32| {
            let work = works.slot_at(place).and_then(|slot| works.get(slot));
            let open = work.and_then(|work| Some(work.last_open.get()?.since(work.sent)));
            open.unwrap_or_default()
        };
        if let Some(curve) = self.explorers.curve(found_open) {
            self.explorers.be_few();
            self.correct(now);
            self.go_by(curve, now);
        }
    }

    /// Goes by a curve from now on.
    fn go_by(&mut self, curve: Curve, now: Tick) {
        let settled = Span::from_secs_f64(curve.reaches(0.99 * curve.known()));
        let since = self.learned.as_ref().map_or(now, |learned| learned.since);
        let mature = since + settled.min(self.give_up_after) + LESSON;
        let ages = Ages::new(curve, self.gaps);
        let fixed = ages.cost_of_fixed(self.gaps.unknown).polls;
        let polls = self.within_budget(fixed) * self.correction;
        self.learned = Some(Learned {
            price: ages.price_of(polls.max(FEWEST)),
            ages,
            since,
            mature,
        });
    }

    /// As many polls a work as `fixed` takes, or as there is room for beside the explorers, which
    /// do take those of `fixed`.
    fn within_budget(&self, polls: f64) -> f64 {
        let works = self.accepted_per_second;
        let room = (self.polls_per_second).min(self.requests_per_second - works) * OF_BUDGET;
        if works <= 0.0 || room >= polls * works {
            return polls;
        }
        let most = (room / works - polls * EXPLORE) / (1.0 - EXPLORE);
        most.clamp(FEWEST, polls.max(FEWEST))
    }

    /// Compares what works have taken with what `fixed` would have, or there was room for.
    fn correct(&mut self, now: Tick) {
        let is_mature = (self.learned.as_ref()).is_some_and(|learned| now >= learned.mature);
        if !is_mature {
            self.taken = Taken::default();
            return;
        }
        if self.taken.works < JUDGED {
            return;
        }
        let works = f64::from(self.taken.works);
        let aim = self.within_budget(self.taken.of_fixed / works);
        let missed = libm::log(self.taken.polls / works / aim);
        let correction = self.correction * libm::exp(-CORRECTED * missed);
        self.correction = correction.clamp(1.0 / MOST_CORRECTION, MOST_CORRECTION);
        self.taken = Taken::default();
    }
}

/// The curve of an earlier run.
fn curve_of(ended: &[Ended]) -> Option<Curve> {
    let share = |at: &Ended| (at.seconds, (at.completed + at.failed).min(1.0));
    Curve::through(ended.iter().map(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::Segment;
    use crate::scenario::resolve;

    fn known(poll: &str) -> PollAges {
        let text = format!(
            "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '40/s'\n\
             duration = '1s'\n[poll]\npolicy = 'optimal'\ninterval = '4s'\n{poll}\n"
        );
        let curve = b"t_s,completed,failed\n6,0,0\n10,1,0\n".to_vec();
        let plan = resolve::read(&text, &[], &|_| Ok(curve.clone())).unwrap();
        PollAges::of(&plan, &Share::of(&plan, Segment::WHOLE)).unwrap()
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn an_end_lies_within_its_window_as_the_curve_has_it() {
        let known = known("like = 'earlier'");
        let learned = known.learned.unwrap();
        // Evenly between 6 s and 10 s.
        near(learned.ends_at(7.0, 9.0), 8.0);
        near(learned.ends_at(4.0, 9.0), 7.5);
        // Nothing ends there by the curve.
        near(learned.ends_at(1.0, 3.0), 2.0);
        near(learned.ends_at(12.0, 16.0), 14.0);
        assert_eq!(learned.since, Tick::ZERO);
    }

    #[test]
    fn polls_are_as_many_as_there_is_room_for() {
        let check = |poll: &str, works: f64, polls: f64| {
            let mut known = known(poll);
            known.accepted_per_second = works;
            near(known.within_budget(3.0), polls);
        };
        check("", 40.0, 3.0);
        check("budget = '200/s'", 40.0, 3.0);
        // 95 of 100 a second are 2.375 a work, of which the tenth that explores takes 0.3.
        check("budget = '100/s'", 40.0, (2.375 - 0.3) / 0.9);
        check("budget = '10/s'", 40.0, FEWEST);
        check("budget = '10/s'", 0.0, 3.0);
        // Submits take from the same limit.
        check("[limits]\nrate = '140/s'", 40.0, (2.375 - 0.3) / 0.9);
    }

    #[test]
    fn too_many_polls_make_them_fewer_once_works_are_like_all_of_them() {
        let mut known = known("like = 'earlier'");
        let many = Taken {
            works: 1_000,
            polls: 4_000.0,
            of_fixed: 3_000.0,
        };
        known.taken = many;
        known.correct(Tick::ZERO);
        near(known.correction, 1.0);
        assert_eq!(known.taken.works, 0);
        known.taken = many;
        known.correct(Tick(100_000_000_000));
        near(known.correction, libm::pow(0.75, CORRECTED));
    }
}
