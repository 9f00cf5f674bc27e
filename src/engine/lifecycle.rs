//! One work's state machine: (Stage, Event) → what follows. Total, and without memory of its own.
//!
//! ```text
//!                 ┌── Retrying ◄─┐
//!                 ▼              │ refused for now
//!  arrival ─► Submitting ────────┘
//!                 │ taken                     ┌──── silent, open ───┐
//!                 ▼                           ▼                     │
//!              Waiting ── due ──► Due ── sent ──► Polling ──────────┘
//!                 │ overdue        │ overdue          │ ended, denied for good
//!                 └────────────────┴──────► Settled ◄─┘
//!                                              │ due (a work chosen for a recheck)
//!                                              ▼
//!                                         RecheckDue ── sent ──► Rechecking ──► gone
//! ```
//!
//! A callback settles a work that waits, is due or is asked. Where its polls are to go on all the
//! same it is `Told`, `ToldDue`, `ToldPolling` from then on, until a poll has seen its end too;
//! elsewhere one whose poll is on the wire is `Outrun` until the answer comes.

use std::num::NonZeroU8;

use crate::work::{Anomaly, Ending, Outcome};

/// Where a work is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its submit is on the wire.
    Submitting,
    /// Its submit got 429 and waits to be sent again.
    Retrying,
    /// Accepted; its next poll is not due yet.
    Waiting,
    /// Its poll is due and waits for the budget.
    Due,
    /// Its poll is on the wire.
    Polling,
    /// It ended, and will be asked once more.
    Settled(Ending),
    /// Its recheck is due and waits for the budget.
    RecheckDue(Ending),
    /// Its recheck is on the wire.
    Rechecking(Ending),
    /// A callback told its end, and its next poll is not due yet.
    Told(Ending),
    /// A callback told its end, and its poll waits for the budget.
    ToldDue(Ending),
    /// A callback told its end, and its poll is on the wire.
    ToldPolling(Ending),
    /// A callback told its end while its last poll was on the wire.
    Outrun(Ending),
}

impl Stage {
    /// Whether a callback told its end, and a poll may still see it.
    pub const fn is_told(self) -> bool {
        matches!(
            self,
            Self::Told(_) | Self::ToldDue(_) | Self::ToldPolling(_) | Self::Outrun(_)
        )
    }
}

/// A stage in one byte, which is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageByte(NonZeroU8);

impl From<Stage> for StageByte {
    fn from(stage: Stage) -> Self {
        let number = match stage {
            Stage::Submitting => 1,
            Stage::Retrying => 2,
            Stage::Waiting => 3,
            Stage::Due => 4,
            Stage::Polling => 5,
            Stage::Settled(ending) => 6 + ending as u8,
            Stage::RecheckDue(ending) => 8 + ending as u8,
            Stage::Rechecking(ending) => 10 + ending as u8,
            Stage::Told(ending) => 12 + ending as u8,
            Stage::ToldDue(ending) => 14 + ending as u8,
            Stage::ToldPolling(ending) => 16 + ending as u8,
            Stage::Outrun(ending) => 18 + ending as u8,
        };
        Self(NonZeroU8::MIN.saturating_add(number - 1))
    }
}

impl From<StageByte> for Stage {
    fn from(byte: StageByte) -> Self {
        let number = byte.0.get();
        let ending = match number % 2 {
            0 => Ending::Completed,
            _ => Ending::Failed,
        };
        match number {
            1 => Self::Submitting,
            2 => Self::Retrying,
            3 => Self::Waiting,
            4 => Self::Due,
            5 => Self::Polling,
            6 | 7 => Self::Settled(ending),
            8 | 9 => Self::RecheckDue(ending),
            10 | 11 => Self::Rechecking(ending),
            12 | 13 => Self::Told(ending),
            14 | 15 => Self::ToldDue(ending),
            16 | 17 => Self::ToldPolling(ending),
            _ => Self::Outrun(ending),
        }
    }
}

/// What happened to a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A submit that got 429 goes out again.
    Resent,
    /// The service took it.
    Taken,
    /// The service took it, and the result was in the answer.
    TakenAndEnded(Ending),
    /// The service answered 429, and the scenario sends it again.
    RefusedForNow,
    /// The service refused it.
    Refused,
    /// No usable answer to its submit.
    Unanswered,
    /// The instant of its next poll has come.
    PollDue,
    /// Its poll was handed to the client.
    PollSent,
    /// The service says: not yet.
    Open,
    /// The poll brought no news: a fault, 429, 5xx, or a denial that is not final.
    Silent,
    /// The service denies it for good.
    DeniedForGood,
    /// The answer of a poll says how it ended.
    Ended(Ending),
    /// A callback says how it ended, and nothing more is to be asked.
    Called(Ending),
    /// A callback says how it ended, and its polls go on.
    CalledAndWatched(Ending),
    /// `give_up_after` has passed.
    Overdue,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is in this stage now.
    Enter(Stage),
    /// Accepted: its first poll is to be scheduled.
    Follow,
    /// Its next poll is to be scheduled.
    AskAgain,
    /// Its submit waits to be sent again.
    Retry,
    /// It has its outcome.
    Settle(Outcome),
    /// It has its outcome, and is in this stage from now on.
    SettleAndWatch(Outcome, Stage),
    /// A poll has seen the end that a callback told before, with the promise that was broken if
    /// they do not agree.
    Paired(Option<Anomaly>),
    /// No poll will see the end that a callback told.
    Unpaired,
    /// A second answer about a settled work, with the promise that it broke, if it did.
    Confirmed(Option<Anomaly>),
    /// The event says nothing to a work in this stage: the stage stays.
    Stay,
}

/// The outcome that a terminal answer stands for.
pub const fn outcome(ending: Ending) -> Outcome {
    match ending {
        Ending::Completed => Outcome::Completed,
        Ending::Failed => Outcome::Failed,
    }
}

/// Settled by a callback, in a stage that is not the last.
const fn watch(ending: Ending, stage: Stage) -> Next {
    Next::SettleAndWatch(outcome(ending), stage)
}

/// The promise that is broken where the second answer is not the first.
fn disagreement(first: Ending, second: Ending) -> Option<Anomaly> {
    (first != second).then_some(Anomaly::Disagreement)
}

/// The whole machine.
pub fn next(stage: Stage, event: Event) -> Next {
    match stage {
        Stage::Submitting => match event {
            Event::Taken => Next::Follow,
            Event::TakenAndEnded(ending) => Next::Settle(outcome(ending)),
            Event::RefusedForNow => Next::Retry,
            Event::Refused => Next::Settle(Outcome::Rejected),
            Event::Unanswered => Next::Settle(Outcome::IntakeFailed),
            _ => Next::Stay,
        },
        Stage::Retrying => match event {
            Event::Resent => Next::Enter(Stage::Submitting),
            _ => Next::Stay,
        },
        Stage::Waiting => match event {
            Event::PollDue => Next::Enter(Stage::Due),
            Event::Overdue => Next::Settle(Outcome::Expired),
            Event::Called(ending) => Next::Settle(outcome(ending)),
            Event::CalledAndWatched(ending) => watch(ending, Stage::Told(ending)),
            _ => Next::Stay,
        },
        Stage::Due => match event {
            Event::PollSent => Next::Enter(Stage::Polling),
            Event::Overdue => Next::Settle(Outcome::Expired),
            Event::Called(ending) => Next::Settle(outcome(ending)),
            Event::CalledAndWatched(ending) => watch(ending, Stage::ToldDue(ending)),
            _ => Next::Stay,
        },
        Stage::Polling => match event {
            Event::Open | Event::Silent => Next::AskAgain,
            Event::Ended(ending) => Next::Settle(outcome(ending)),
            Event::DeniedForGood => Next::Settle(Outcome::Lost),
            Event::Called(ending) => watch(ending, Stage::Outrun(ending)),
            Event::CalledAndWatched(ending) => watch(ending, Stage::ToldPolling(ending)),
            // The answer on the wire decides: what the service says last is what the row says.
            _ => Next::Stay,
        },
        Stage::Settled(ending) => match event {
            Event::PollDue => Next::Enter(Stage::RecheckDue(ending)),
            _ => Next::Stay,
        },
        Stage::RecheckDue(ending) => match event {
            Event::PollSent => Next::Enter(Stage::Rechecking(ending)),
            _ => Next::Stay,
        },
        Stage::Rechecking(ending) => match event {
            Event::Open => Next::Confirmed(Some(Anomaly::TerminalReverted)),
            Event::Ended(again) => Next::Confirmed(disagreement(ending, again)),
            Event::Silent | Event::DeniedForGood => Next::Confirmed(None),
            _ => Next::Stay,
        },
        Stage::Told(_) | Stage::ToldDue(_) | Stage::ToldPolling(_) | Stage::Outrun(_) => {
            next_when_told(stage, event)
        }
    }
}

/// A work of which a callback has told.
fn next_when_told(stage: Stage, event: Event) -> Next {
    match stage {
        Stage::Told(ending) => match event {
            Event::PollDue => Next::Enter(Stage::ToldDue(ending)),
            Event::Overdue => Next::Unpaired,
            _ => Next::Stay,
        },
        Stage::ToldDue(ending) => match event {
            Event::PollSent => Next::Enter(Stage::ToldPolling(ending)),
            Event::Overdue => Next::Unpaired,
            _ => Next::Stay,
        },
        Stage::ToldPolling(ending) => match event {
            Event::Open | Event::Silent => Next::AskAgain,
            Event::Ended(again) => Next::Paired(disagreement(ending, again)),
            Event::DeniedForGood => Next::Unpaired,
            _ => Next::Stay,
        },
        // Its poll was sent before the callback came: that it was open then is no contradiction.
        Stage::Outrun(ending) => match event {
            Event::Ended(again) => Next::Confirmed(disagreement(ending, again)),
            Event::Open | Event::Silent | Event::DeniedForGood => Next::Confirmed(None),
            _ => Next::Stay,
        },
        _ => Next::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ending::{Completed, Failed};

    const STAGES: [Stage; 12] = [
        Stage::Submitting,
        Stage::Retrying,
        Stage::Waiting,
        Stage::Due,
        Stage::Polling,
        Stage::Settled(Completed),
        Stage::RecheckDue(Completed),
        Stage::Rechecking(Completed),
        Stage::Told(Completed),
        Stage::ToldDue(Completed),
        Stage::ToldPolling(Completed),
        Stage::Outrun(Completed),
    ];

    const EVENTS: [Event; 16] = [
        Event::Resent,
        Event::Taken,
        Event::TakenAndEnded(Completed),
        Event::TakenAndEnded(Failed),
        Event::RefusedForNow,
        Event::Refused,
        Event::Unanswered,
        Event::PollDue,
        Event::PollSent,
        Event::Open,
        Event::Silent,
        Event::DeniedForGood,
        Event::Ended(Completed),
        Event::Called(Failed),
        Event::CalledAndWatched(Failed),
        Event::Overdue,
    ];

    /// Every pair that is not a `Stay`, written down a second time from the words of the contract.
    const fn moves() -> [(Stage, Event, Next); 21] {
        use Event as E;
        use Stage as S;
        [
            (S::Submitting, E::Taken, Next::Follow),
            (
                S::Submitting,
                E::TakenAndEnded(Completed),
                Next::Settle(Outcome::Completed),
            ),
            (
                S::Submitting,
                E::TakenAndEnded(Failed),
                Next::Settle(Outcome::Failed),
            ),
            (S::Submitting, E::RefusedForNow, Next::Retry),
            (S::Submitting, E::Refused, Next::Settle(Outcome::Rejected)),
            (
                S::Submitting,
                E::Unanswered,
                Next::Settle(Outcome::IntakeFailed),
            ),
            (S::Retrying, E::Resent, Next::Enter(S::Submitting)),
            (S::Waiting, E::PollDue, Next::Enter(S::Due)),
            (S::Waiting, E::Overdue, Next::Settle(Outcome::Expired)),
            (S::Due, E::PollSent, Next::Enter(S::Polling)),
            (S::Due, E::Overdue, Next::Settle(Outcome::Expired)),
            (S::Polling, E::Open, Next::AskAgain),
            (S::Polling, E::Silent, Next::AskAgain),
            (S::Polling, E::DeniedForGood, Next::Settle(Outcome::Lost)),
            (
                S::Polling,
                E::Ended(Completed),
                Next::Settle(Outcome::Completed),
            ),
            (
                S::Settled(Completed),
                E::PollDue,
                Next::Enter(S::RecheckDue(Completed)),
            ),
            (
                S::RecheckDue(Completed),
                E::PollSent,
                Next::Enter(S::Rechecking(Completed)),
            ),
            (
                S::Rechecking(Completed),
                E::Open,
                Next::Confirmed(Some(Anomaly::TerminalReverted)),
            ),
            (S::Rechecking(Completed), E::Silent, Next::Confirmed(None)),
            (
                S::Rechecking(Completed),
                E::DeniedForGood,
                Next::Confirmed(None),
            ),
            (
                S::Rechecking(Completed),
                E::Ended(Completed),
                Next::Confirmed(None),
            ),
        ]
    }

    /// The same for callbacks.
    const fn told_moves() -> [(Stage, Event, Next); 18] {
        use Event as E;
        use Stage as S;
        [
            (S::Waiting, E::Called(Failed), Next::Settle(Outcome::Failed)),
            (S::Due, E::Called(Failed), Next::Settle(Outcome::Failed)),
            (
                S::Polling,
                E::Called(Failed),
                Next::SettleAndWatch(Outcome::Failed, S::Outrun(Failed)),
            ),
            (
                S::Waiting,
                E::CalledAndWatched(Failed),
                Next::SettleAndWatch(Outcome::Failed, S::Told(Failed)),
            ),
            (
                S::Due,
                E::CalledAndWatched(Failed),
                Next::SettleAndWatch(Outcome::Failed, S::ToldDue(Failed)),
            ),
            (
                S::Polling,
                E::CalledAndWatched(Failed),
                Next::SettleAndWatch(Outcome::Failed, S::ToldPolling(Failed)),
            ),
            (
                S::Told(Completed),
                E::PollDue,
                Next::Enter(S::ToldDue(Completed)),
            ),
            (S::Told(Completed), E::Overdue, Next::Unpaired),
            (
                S::ToldDue(Completed),
                E::PollSent,
                Next::Enter(S::ToldPolling(Completed)),
            ),
            (S::ToldDue(Completed), E::Overdue, Next::Unpaired),
            (S::ToldPolling(Completed), E::Open, Next::AskAgain),
            (S::ToldPolling(Completed), E::Silent, Next::AskAgain),
            (S::ToldPolling(Completed), E::DeniedForGood, Next::Unpaired),
            (
                S::ToldPolling(Completed),
                E::Ended(Completed),
                Next::Paired(None),
            ),
            (S::Outrun(Completed), E::Open, Next::Confirmed(None)),
            (S::Outrun(Completed), E::Silent, Next::Confirmed(None)),
            (
                S::Outrun(Completed),
                E::DeniedForGood,
                Next::Confirmed(None),
            ),
            (
                S::Outrun(Completed),
                E::Ended(Completed),
                Next::Confirmed(None),
            ),
        ]
    }

    #[test]
    fn a_byte_holds_every_stage() {
        let ended = [Completed, Failed].into_iter().flat_map(|ending| {
            [
                Stage::Settled(ending),
                Stage::RecheckDue(ending),
                Stage::Rechecking(ending),
                Stage::Told(ending),
                Stage::ToldDue(ending),
                Stage::ToldPolling(ending),
                Stage::Outrun(ending),
            ]
        });
        for stage in STAGES.into_iter().chain(ended) {
            assert_eq!(Stage::from(StageByte::from(stage)), stage);
        }
    }

    #[test]
    fn the_whole_table() {
        let moves = [&moves()[..], &told_moves()].concat();
        for stage in STAGES {
            for event in EVENTS {
                let wanted = moves
                    .iter()
                    .find(|(from, what, _)| *from == stage && *what == event)
                    .map_or(Next::Stay, |(_, _, then)| *then);
                assert_eq!(next(stage, event), wanted, "{stage:?} {event:?}");
            }
        }
        let disagreement = Some(Anomaly::Disagreement);
        for stage in [Stage::Rechecking(Completed), Stage::Outrun(Completed)] {
            let then = next(stage, Event::Ended(Failed));
            assert_eq!(then, Next::Confirmed(disagreement), "{stage:?}");
        }
        let then = next(Stage::ToldPolling(Completed), Event::Ended(Failed));
        assert_eq!(then, Next::Paired(disagreement));
    }
}
