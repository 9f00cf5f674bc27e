//! `Served`: the truth, as the simulated service has it.

use crate::sim::{Answered, Kind, Seen, State, Truth};
use crate::time::Tick;

/// What the service saw and knows.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Every submit, in the order in which they came.
    pub submits: Vec<Submit>,
    /// When each poll came, in that order.
    pub polls: Vec<Tick>,
    /// The works whose accept it sent.
    pub works: Vec<Work>,
}

/// A submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// When it was read whole.
    pub arrived: Tick,
    /// How it was answered.
    pub answered: Answered,
}

/// A work that its caller knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its ticket.
    pub id: String,
    /// When its submit was read whole.
    pub arrived: Tick,
    /// When its accept was handed to the connection.
    pub left: Tick,
    /// When it ended, if it did.
    pub terminal: Option<Tick>,
    /// What it was at the end.
    pub state: State,
    /// When each poll of it came, in that order.
    pub polls: Vec<Tick>,
    /// When the first answer that told its end was handed to the connection.
    pub told: Option<Tick>,
}

impl Served {
    /// Joins the books of the service with what it saw.
    pub fn of(truth: &Truth, seen: &[Seen]) -> Self {
        let mut seen: Vec<&Seen> = seen.iter().collect();
        seen.sort_by_key(|one| one.arrived);
        let mut served = Self::default();
        let mut works: Vec<Work> = truth
            .rows()
            .map(|row| Work {
                id: row.work_id,
                arrived: row.accepted,
                left: row.accepted,
                terminal: row.terminal,
                state: row.state,
                polls: Vec::new(),
                told: None,
            })
            .collect();
        let mut known = vec![false; works.len()];
        for one in seen {
            let number = one.work.and_then(|number| usize::try_from(number).ok());
            let work = number.and_then(|number| works.get_mut(number));
            match one.kind {
                Kind::Submit => {
                    served.submits.push(Submit {
                        arrived: one.arrived,
                        answered: one.answered,
                    });
                    if let (Some(work), Some(number)) = (work, number) {
                        (work.arrived, work.left) = (one.arrived, one.left);
                        known[number] = true;
                    }
                }
                Kind::Poll => {
                    served.polls.push(one.arrived);
                    if let Some(work) = work {
                        work.polls.push(one.arrived);
                        if one.terminal && work.told.is_none() {
                            work.told = Some(one.left);
                        }
                    }
                }
            }
        }
        let known = works.into_iter().zip(known).filter(|(_, known)| *known);
        served.works = known.map(|(work, _)| work).collect();
        served
    }

    /// Submits that were answered so.
    pub fn answered(&self, how: Answered) -> u64 {
        let all = self.submits.iter().filter(|one| one.answered == how);
        all.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Said, Service, quiet_plan};
    use crate::time::Span;

    #[test]
    fn books_and_requests_are_joined_by_the_work() {
        let mut service = Service::new(&quiet_plan(), 3, None);
        let mut seen = Vec::new();
        let mut ids = Vec::new();
        for at in [Tick(10), Tick(20)] {
            let answer = service.submit(at);
            seen.push(Seen::submit(&service, at, &answer));
            if let Said::Granted(taken) = answer.said {
                ids.push(taken.work_id);
            }
        }
        let end = Tick(20) + Span::from_secs(1);
        for at in [Tick(500), end] {
            let answer = service.poll(at, &ids[1]);
            let left = at + Span(7);
            seen.push(Seen {
                left,
                ..Seen::poll(&service, &ids[1], at, &answer)
            });
        }
        // Answers may leave in another order than requests come.
        seen.reverse();
        let served = Served::of(&service.close(end + Span(1)), &seen);
        assert_eq!(served.answered(Answered::Granted), 2);
        assert_eq!(served.polls, [Tick(500), end]);
        let [first, second] = &served.works[..] else {
            panic!("{served:?}");
        };
        assert_eq!((&first.id, first.told), (&ids[0], None));
        assert_eq!(second.polls, [Tick(500), end]);
        assert_eq!(second.told, Some(end + Span(7)));
        assert_eq!(second.state, State::Completed);
        assert_eq!(second.terminal, Some(end));
    }

    #[test]
    fn a_work_whose_accept_was_never_sent_is_not_compared() {
        let plan = crate::scenario::SimPlan {
            reset_after_ratio: 1.0,
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 3, None);
        let answer = service.submit(Tick(10));
        let seen = [Seen::submit(&service, Tick(10), &answer)];
        let served = Served::of(&service.close(Tick(20)), &seen);
        assert_eq!(served.answered(Answered::ResetAfter), 1);
        assert!(served.works.is_empty(), "{served:?}");
    }
}
