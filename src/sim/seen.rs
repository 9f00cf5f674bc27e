//! `Seen`: a request as the service saw it, for whoever compares a caller's stamps with ours.

use super::answer::{Answer, Kind, Said, Taken, Word};
use super::service::Service;
use super::truth::Answered;
use crate::time::Tick;

/// A request, when it came, and when its answer left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it asked for.
    pub kind: Kind,
    /// The number of the work that it is about, in the order of [`super::Truth::rows`]: of a
    /// submit that was granted, and of a poll of a ticket that was given.
    pub work: Option<u64>,
    /// When it was read whole.
    pub arrived: Tick,
    /// When its answer, or its reset, was handed to the connection.
    pub left: Tick,
    /// How it was answered.
    pub answered: Answered,
    /// The answer said that the work has ended.
    pub terminal: bool,
}

impl Seen {
    /// A submit that came at `arrived`.
    pub fn submit(service: &Service, arrived: Tick, answer: &Answer<Taken>) -> Self {
        let work = match &answer.said {
            Said::Granted(taken) => service.number(&taken.work_id),
            _ => None,
        };
        Self {
            work,
            ..Self::refused(Kind::Submit, arrived, answer)
        }
    }

    /// A poll of this ticket that came at `arrived`.
    pub fn poll(service: &Service, work_id: &str, arrived: Tick, answer: &Answer<Word>) -> Self {
        let terminal = matches!(answer.said, Said::Granted(Word::Completed | Word::Failed));
        Self {
            work: service.number(work_id),
            terminal,
            ..Self::refused(Kind::Poll, arrived, answer)
        }
    }

    /// A request that was refused for what it is.
    pub fn refused<T>(kind: Kind, arrived: Tick, answer: &Answer<T>) -> Self {
        Self {
            kind,
            work: None,
            arrived,
            left: answer.at,
            answered: Answered::of(&answer.said),
            terminal: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SimPlan;
    use crate::sim::quiet_plan;
    use crate::time::Span;

    #[test]
    fn requests_are_seen_as_they_were_answered() {
        let plan = SimPlan {
            intake_id: "demo".into(),
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 3, None);
        let taken = service.submit(Tick(5));
        let seen = Seen::submit(&service, Tick(5), &taken);
        assert_eq!((seen.work, seen.answered), (Some(0), Answered::Granted));
        let Said::Granted(Taken { work_id }) = taken.said else {
            panic!("not taken: {taken:?}");
        };
        let check = |service: &mut Service, at: Tick, id: &str, work, answered, terminal| {
            let answer = service.poll(at, id);
            let seen = Seen::poll(service, id, at, &answer);
            assert_eq!((seen.arrived, seen.kind), (at, Kind::Poll));
            assert_eq!(
                (seen.work, seen.answered, seen.terminal),
                (work, answered, terminal)
            );
        };
        let first = Some(0);
        check(
            &mut service,
            Tick(6),
            &work_id,
            first,
            Answered::Granted,
            false,
        );
        let end = Tick(5) + Span::from_secs(1);
        check(&mut service, end, &work_id, first, Answered::Granted, true);
        check(
            &mut service,
            end,
            "work_none",
            None,
            Answered::UnknownWork,
            false,
        );
    }
}
