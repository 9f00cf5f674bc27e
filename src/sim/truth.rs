//! The books of the service: what it counted, and what became of each work.

use super::answer::{Kind, Refusal, Said, Word};
use super::deliveries::{Made, Received};
use super::life::{Ids, Life};
use crate::time::{Span, Tick};
use std::collections::BTreeMap;
use std::io;

/// A work as the service keeps it: 40 bytes.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent turns of a life, a byte each"
)]
pub(super) struct Work {
    /// When it was taken.
    pub(super) accepted: Tick,
    started: Tick,
    /// When its worker is done with it.
    pub(super) terminal: Tick,
    /// Polls that found it.
    pub(super) polls: u32,
    /// How many works back the one is whose id it was given; 0 = it has its own.
    pub(super) repeats: u32,
    pub(super) last_answer: LastAnswer,
    fails: bool,
    endless: bool,
    lost: bool,
    reverts: bool,
    /// Terminal answers so far, counted as far as taking one back needs it.
    told: Told,
}

/// How far a work has come that takes its end back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Terminal,
    TakenBack,
}

/// What the service last said about a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAnswer {
    /// Nobody was told anything.
    Nothing,
    /// 404: not visible yet, or lost.
    NotFound,
    /// This status.
    Word(Word),
}

impl LastAnswer {
    /// The word in the truth file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::NotFound => "not_found",
            Self::Word(word) => word.word(),
        }
    }
}

/// What a work is at an instant, whatever anybody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a worker.
    Pending,
    /// It has a worker, or waits for somebody for ever.
    Running,
    /// It was done.
    Completed,
    /// It was given up.
    Failed,
    /// The service has forgotten it.
    Lost,
}

impl State {
    /// The word in the truth file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl Work {
    pub(super) fn new(
        accepted: Tick,
        started: Tick,
        terminal: Tick,
        repeats: u32,
        life: Life,
    ) -> Self {
        Self {
            accepted,
            started,
            terminal,
            polls: 0,
            repeats,
            last_answer: LastAnswer::Nothing,
            fails: life.fails,
            endless: life.endless,
            lost: life.lost,
            reverts: life.reverts,
            told: Told::Nothing,
        }
    }

    /// From when on it is not found: half of its life, were it to end.
    pub(super) fn lost_at(&self) -> Option<Tick> {
        let half = Span(self.terminal.since(self.accepted).0 / 2);
        self.lost.then_some(self.accepted + half)
    }

    /// Whether nothing about it changes after `now`: it would have ended by then, and can be seen.
    pub(super) fn is_over(&self, now: Tick, visible_after: Span) -> bool {
        self.terminal.max(self.accepted + visible_after) <= now
    }

    /// What it is at `at`.
    fn state(&self, at: Tick) -> State {
        if self.lost_at().is_some_and(|lost| lost <= at) {
            State::Lost
        } else if at < self.started {
            State::Pending
        } else if at < self.terminal || self.endless {
            State::Running
        } else if self.fails {
            State::Failed
        } else {
            State::Completed
        }
    }

    /// The word for a poll that finds it; the first poll after a terminal answer may hear that
    /// answer taken back.
    pub(super) fn tell(&mut self, at: Tick) -> Word {
        let word = match self.state(at) {
            State::Pending => return Word::Pending,
            State::Running | State::Lost => return Word::Running,
            State::Completed => Word::Completed,
            State::Failed => Word::Failed,
        };
        match self.told {
            Told::Terminal if self.reverts => {
                self.told = Told::TakenBack;
                Word::Running
            }
            Told::Nothing => {
                self.told = Told::Terminal;
                word
            }
            Told::Terminal | Told::TakenBack => word,
        }
    }
}

/// The kinds of answers that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// 202 to a submit, 200 to a poll.
    Granted,
    /// 429.
    Throttled,
    /// 500.
    Internal,
    /// 404 to a poll: no such work.
    UnknownWork,
    /// 404: no such path or intake.
    UnknownIntake,
    /// 401.
    Unauthorized,
    /// 400, 405 and 413.
    BadRequest,
    /// A success with a body that is not JSON.
    Garbage,
    /// A reset before the work was taken.
    ResetBefore,
    /// A reset after the work was taken.
    ResetAfter,
}

impl Answered {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Granted,
        Self::Throttled,
        Self::Internal,
        Self::UnknownWork,
        Self::UnknownIntake,
        Self::Unauthorized,
        Self::BadRequest,
        Self::Garbage,
        Self::ResetBefore,
        Self::ResetAfter,
    ];

    pub(super) fn of<T>(said: &Said<T>) -> Self {
        match said {
            Said::Granted(_) => Self::Granted,
            Said::Garbage => Self::Garbage,
            Said::Reset { taken: false } => Self::ResetBefore,
            Said::Reset { taken: true } => Self::ResetAfter,
            Said::Refused(refusal) => match refusal {
                Refusal::Throttled { .. } => Self::Throttled,
                Refusal::Internal => Self::Internal,
                Refusal::UnknownWork => Self::UnknownWork,
                Refusal::UnknownIntake => Self::UnknownIntake,
                Refusal::Unauthorized => Self::Unauthorized,
                Refusal::BadRequest | Refusal::WrongMethod | Refusal::TooLarge => Self::BadRequest,
            },
        }
    }
}

/// Requests by kind and answer, counted when the answer is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    counts: [[u64; Answered::ALL.len()]; 2],
}

impl Books {
    /// Requests of a kind that were answered so.
    pub const fn answered(&self, kind: Kind, answered: Answered) -> u64 {
        self.counts[kind as usize][answered as usize]
    }

    /// All requests of a kind.
    pub fn requests(&self, kind: Kind) -> u64 {
        self.counts[kind as usize].iter().sum()
    }

    pub(super) fn count<T>(&mut self, kind: Kind, said: &Said<T>) {
        self.counts[kind as usize][Answered::of(said) as usize] += 1;
    }
}

/// What became of each work that the service took, and what it counted.
#[derive(Clone, Debug)]
pub struct Truth {
    works: Vec<Work>,
    ids: Ids,
    books: Books,
    calls: Vec<Made>,
    end: Tick,
}

/// One work that the service took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthRow {
    /// Its ticket; that of an earlier work where the service repeated an id.
    pub work_id: String,
    /// When it was taken.
    pub accepted: Tick,
    /// When a worker took it up, if that has happened.
    pub started: Option<Tick>,
    /// When it became terminal, if that has happened.
    pub terminal: Option<Tick>,
    /// What it was at the end.
    pub state: State,
    /// Polls of its ticket that the service looked up: neither refused nor broken. For a repeated
    /// ticket they stand with the first work that has it.
    pub polls: u32,
    /// What the service last said about its ticket.
    pub last_answer: LastAnswer,
}

impl Truth {
    pub(super) fn new(
        works: Vec<Work>,
        ids: Ids,
        books: Books,
        calls: Vec<Made>,
        end: Tick,
    ) -> Self {
        Self {
            works,
            ids,
            books,
            calls,
            end,
        }
    }

    /// What the service counted.
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// The calls that were made, in the order in which they left.
    pub fn calls(&self) -> &[Made] {
        &self.calls
    }

    /// The works in the order in which they were taken. A work that still waits for the end of a
    /// stall has not been taken.
    pub fn rows(&self) -> impl Iterator<Item = TruthRow> {
        let taken = self.works.partition_point(|work| work.accepted <= self.end);
        self.works[..taken]
            .iter()
            .enumerate()
            .map(|(n, work)| self.row(n, work))
    }

    fn row(&self, n: usize, work: &Work) -> TruthRow {
        let holder = n - work.repeats as usize;
        let state = work.state(self.end);
        // A lost work has done no more since it was lost.
        let until = work.lost_at().map_or(self.end, |lost| lost.min(self.end));
        TruthRow {
            work_id: self.ids.name(holder as u64),
            accepted: work.accepted,
            started: (work.started <= until).then_some(work.started),
            terminal: matches!(state, State::Completed | State::Failed).then_some(work.terminal),
            state,
            polls: work.polls,
            last_answer: self.works[holder].last_answer,
        }
    }

    /// Writes the truth file: a row a work, in seconds with six decimals. `epoch` is added to every
    /// time: nothing for seconds of the run's origin, or what the wall clock said at the origin.
    pub fn write_csv(&self, out: impl io::Write, epoch: Span) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record([
            "work_id",
            "accepted_s",
            "started_s",
            "terminal_s",
            "status",
            "polls",
            "last_answer",
            "callbacks",
        ])?;
        let mut calls: BTreeMap<u64, String> = BTreeMap::new();
        for made in &self.calls {
            let cell = calls.entry(made.attempt.work).or_default();
            let received = made.received.map_or_else(|| "?".to_owned(), Received::word);
            let gap = if cell.is_empty() { "" } else { " " };
            let call = format!("{gap}{}:{received}", made.at + epoch);
            cell.push_str(&call);
        }
        let seconds = |tick: Option<Tick>| tick.map_or(String::new(), |t| (t + epoch).to_string());
        for (n, row) in (0..).zip(self.rows()) {
            csv.write_record([
                row.work_id.as_str(),
                &seconds(Some(row.accepted)),
                &seconds(row.started),
                &seconds(row.terminal),
                row.state.word(),
                &row.polls.to_string(),
                row.last_answer.word(),
                calls.get(&n).map_or("", String::as_str),
            ])?;
        }
        csv.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SimPlan;
    use crate::sim::{Service, quiet_plan};

    #[test]
    fn a_work_takes_forty_bytes() {
        assert_eq!(size_of::<Work>(), 40);
    }

    #[test]
    fn the_truth_tells_what_happened_and_what_was_said() {
        let plan = SimPlan {
            workers: 1,
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 5, None);
        let ids: Vec<String> = (0..3).map(|n| Ids::new(5).name(n)).collect();
        for _ in 0..3 {
            service.submit(Tick::ZERO);
        }
        service.poll(Tick(1), &ids[0]);
        service.poll(Tick(2), &ids[0]);
        let rows: Vec<_> = service.close(Tick(1_500_000_000)).rows().collect();
        let found: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.started,
                    row.terminal,
                    row.state,
                    row.polls,
                    row.last_answer,
                )
            })
            .collect();
        let running = LastAnswer::Word(Word::Running);
        assert_eq!(
            found,
            [
                (
                    Some(Tick::ZERO),
                    Some(Tick(1_000_000_000)),
                    State::Completed,
                    2,
                    running
                ),
                (
                    Some(Tick(1_000_000_000)),
                    None,
                    State::Running,
                    0,
                    LastAnswer::Nothing
                ),
                (None, None, State::Pending, 0, LastAnswer::Nothing),
            ]
        );
        assert!(rows.iter().map(|row| &row.work_id).eq(&ids));
    }

    #[test]
    fn the_file_has_a_row_a_work_and_empty_cells_for_what_did_not_happen() {
        let plan = SimPlan {
            workers: 1,
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 1, None);
        for _ in 0..3 {
            service.submit(Tick(500_000_000));
        }
        let ids = Ids::new(1);
        service.poll(Tick(600_000_000), &ids.name(1));
        let truth = service.close(Tick(2_000_000_000));
        let written = |epoch| {
            let mut out = Vec::new();
            truth.write_csv(&mut out, epoch).unwrap();
            String::from_utf8(out).unwrap()
        };
        let [a, b, c] = [0, 1, 2].map(|n| ids.name(n));
        assert_eq!(
            written(Span::ZERO),
            format!(
                "work_id,accepted_s,started_s,terminal_s,status,polls,last_answer,callbacks\n\
                 {a},0.500000,0.500000,1.500000,completed,0,,\n\
                 {b},0.500000,1.500000,,running,1,pending,\n\
                 {c},0.500000,,,pending,0,,\n"
            )
        );
        let since_epoch = written(Span::from_secs(1_780_000_000));
        assert!(
            since_epoch.contains(&format!("{c},1780000000.500000,,,")),
            "{since_epoch}"
        );
    }
}
