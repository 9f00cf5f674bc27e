//! When to ask again: fixed, exponential, hinted. Pure functions of the plan, the seed and the
//! work. Of `optimal` it is what is done until something is learned: the same as fixed.

use crate::random::{Purpose, unit_at};
use crate::scenario::{FirstPoll, Poll, PollFrom, PollPolicy};
use crate::time::{Span, Tick};

/// The next slot of a work's poll schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextSlot {
    /// When it is.
    pub due: Tick,
    /// Its number, counted from 0.
    pub number: u32,
    /// Slots that passed unused before it.
    pub skipped: u64,
}

/// From the accept to the first poll.
pub fn first(poll: &Poll, seed: u64, seq: u64) -> Span {
    match poll.first {
        FirstPoll::Random => scaled(poll.interval, unit_at(seed, Purpose::FIRST_POLL, seq)),
        FirstPoll::Interval => poll.interval,
        FirstPoll::Now => Span::ZERO,
    }
}

/// The slot that follows the slot `number` at `due`, whose poll was answered at `answered`.
///
/// `hint` is the `Retry-After` of an open answer, where the policy listens to it. One of 0, or a
/// date that is over, names no time to wait: the interval holds, or the work would be asked again
/// and again without a pause.
pub fn next(
    poll: &Poll,
    seed: u64,
    seq: u64,
    (number, due): (u32, Tick),
    answered: Tick,
    hint: Option<Span>,
) -> NextSlot {
    let hint = hint.filter(|wait| *wait > Span::ZERO);
    if let (PollPolicy::Hinted, Some(wait)) = (poll.policy, hint) {
        return NextSlot {
            due: answered + wait,
            number: number.saturating_add(1),
            skipped: 0,
        };
    }
    if poll.from == PollFrom::Answer {
        let gap = gap(poll, seed, seq, number);
        return NextSlot {
            due: answered + gap,
            number: number.saturating_add(1),
            skipped: 0,
        };
    }
    let mut slot = NextSlot {
        due,
        number,
        skipped: 0,
    };
    loop {
        let gap = gap(poll, seed, seq, slot.number);
        slot.due = slot.due + gap;
        slot.number = slot.number.saturating_add(1);
        if slot.due > answered {
            return slot;
        }
        slot.skipped += 1;
        if is_even(poll, gap) {
            // All later gaps are the same: no need to walk them.
            let passed = answered.since(slot.due).0 / gap.0;
            slot.due = slot.due + Span(passed * gap.0);
            slot.number = slot
                .number
                .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
            slot.skipped += passed;
        }
    }
}

/// Whether every gap from this one on is the same.
fn is_even(poll: &Poll, gap: Span) -> bool {
    match poll.policy {
        PollPolicy::Fixed | PollPolicy::Hinted | PollPolicy::Optimal { .. } => true,
        PollPolicy::Exponential { cap, jitter, .. } => jitter <= 0.0 && gap >= cap,
    }
}

/// The gap after the slot `number`; never 0.
fn gap(poll: &Poll, seed: u64, seq: u64, number: u32) -> Span {
    let gap = match poll.policy {
        PollPolicy::Fixed | PollPolicy::Hinted | PollPolicy::Optimal { .. } => poll.interval,
        PollPolicy::Exponential {
            factor,
            cap,
            jitter,
        } => {
            let grown = poll.interval.seconds() * libm::pow(factor, f64::from(number));
            let plain = if grown < cap.seconds() {
                Span::from_secs_f64(grown)
            } else {
                cap
            };
            if jitter <= 0.0 {
                plain
            } else {
                let index = seq.wrapping_mul(65_537).wrapping_add(u64::from(number));
                let draw = unit_at(seed, Purpose::JITTER, index);
                scaled(plain, 1.0 + jitter * (2.0 * draw - 1.0))
            }
        }
    };
    gap.max(Span(1))
}

fn scaled(span: Span, by: f64) -> Span {
    Span::from_secs_f64(span.seconds() * by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(policy: PollPolicy, from: PollFrom) -> Poll {
        let second = Span::from_secs(1);
        Poll {
            policy,
            interval: second,
            first: FirstPoll::Random,
            from,
            like: None,
            give_up_after: Span::from_secs(60),
            lost_after: second,
            timeout: second,
            budget: None,
            headers: Vec::new(),
            recheck: 0.0,
            recheck_after: second,
            remember: second,
        }
    }

    fn at(seconds: f64) -> Tick {
        Tick(Span::from_secs_f64(seconds).0)
    }

    fn check(poll: &Poll, from: (u32, f64), answered: f64, hint: Option<f64>) -> (f64, u32, u64) {
        let hint = hint.map(Span::from_secs_f64);
        let slot = next(poll, 1, 0, (from.0, at(from.1)), at(answered), hint);
        (slot.due.seconds(), slot.number, slot.skipped)
    }

    #[test]
    fn a_schedule_keeps_its_slots_and_counts_those_that_passed() {
        let fixed = poll(PollPolicy::Fixed, PollFrom::Schedule);
        assert_eq!(check(&fixed, (0, 0.25), 0.30, None), (1.25, 1, 0));
        assert_eq!(check(&fixed, (0, 0.25), 1.25, None), (2.25, 2, 1));
        assert_eq!(check(&fixed, (0, 0.25), 5.00, None), (5.25, 5, 4));
        assert_eq!(check(&fixed, (0, 0.25), 5.25, None), (6.25, 6, 5));
    }

    #[test]
    fn an_answer_starts_the_interval_as_a_shell_loop_does() {
        let fixed = poll(PollPolicy::Fixed, PollFrom::Answer);
        assert_eq!(check(&fixed, (0, 0.25), 5.0, None), (6.0, 1, 0));
    }

    #[test]
    fn exponential_gaps_grow_to_their_cap() {
        let policy = PollPolicy::Exponential {
            factor: 2.0,
            cap: Span::from_secs(5),
            jitter: 0.0,
        };
        let exponential = poll(policy, PollFrom::Schedule);
        // Slots at 0, 1, 3, 7, 12, 17, ...
        assert_eq!(check(&exponential, (0, 0.0), 0.1, None), (1.0, 1, 0));
        assert_eq!(check(&exponential, (1, 1.0), 1.1, None), (3.0, 2, 0));
        assert_eq!(check(&exponential, (0, 0.0), 6.9, None), (7.0, 3, 2));
        assert_eq!(check(&exponential, (0, 0.0), 31.9, None), (32.0, 8, 7));
    }

    #[test]
    fn jitter_stays_within_its_share_and_differs_between_works() {
        let policy = PollPolicy::Exponential {
            factor: 1.0,
            cap: Span::from_secs(5),
            jitter: 0.25,
        };
        let jittered = poll(policy, PollFrom::Answer);
        let gaps: Vec<_> = (0..200)
            .map(|seq| gap(&jittered, 1, seq, 0).seconds())
            .collect();
        assert!(gaps.iter().all(|gap| (0.75..=1.25).contains(gap)));
        assert!(gaps.iter().any(|gap| *gap < 0.8) && gaps.iter().any(|gap| *gap > 1.2));
    }

    #[test]
    fn a_hint_is_counted_from_its_answer_and_needs_the_policy() {
        let hinted = poll(PollPolicy::Hinted, PollFrom::Schedule);
        assert_eq!(check(&hinted, (0, 0.25), 0.5, Some(7.0)), (7.5, 1, 0));
        assert_eq!(check(&hinted, (0, 0.25), 0.5, None), (1.25, 1, 0));
        let fixed = poll(PollPolicy::Fixed, PollFrom::Schedule);
        assert_eq!(check(&fixed, (0, 0.25), 0.5, Some(7.0)), (1.25, 1, 0));
    }

    #[test]
    fn a_hint_of_nothing_does_not_make_a_busy_loop() {
        let hinted = poll(PollPolicy::Hinted, PollFrom::Schedule);
        assert_eq!(check(&hinted, (0, 0.25), 0.5, Some(0.0)), (1.25, 1, 0));
        let hinted = poll(PollPolicy::Hinted, PollFrom::Answer);
        assert_eq!(check(&hinted, (0, 0.25), 0.5, Some(0.0)), (1.5, 1, 0));
    }

    #[test]
    fn first_phases_are_uniform_in_one_interval() {
        let fixed = poll(PollPolicy::Fixed, PollFrom::Schedule);
        let mut sum = 0.0;
        for seq in 0..10_000 {
            let phase = first(&fixed, 7, seq).seconds();
            assert!((0.0..=1.0).contains(&phase));
            sum += phase;
        }
        // Mean 1/2, standard error sqrt(1/12/n) = 0.0029: five of them.
        assert!((sum / 10_000.0 - 0.5).abs() < 0.015);
    }
}
