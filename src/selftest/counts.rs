//! Counts and losses: both sides must have counted the same, work by work.

use std::collections::BTreeMap;

use super::{Check, Harness, Served};
use crate::sim::{Answered, State};
use crate::work::Outcome;

/// All counts that the service has as well.
pub fn checks(harness: &Harness, served: &Served) -> Vec<Check> {
    let ledger = |name: &str| harness.count("ledger", name);
    let state = |state: State| {
        let works = served.works.iter().filter(|work| work.state == state);
        works.count() as u64
    };
    let open = state(State::Pending) + state(State::Running);
    let accepted = served.works.len() as u64;
    let refused = served.answered(Answered::Internal) + served.answered(Answered::Throttled);
    let taken_unseen = served.answered(Answered::ResetAfter);
    let resets = served.answered(Answered::ResetBefore) + taken_unseen;
    let asked = harness.count("requests", "polls") + harness.count("requests", "rechecks");
    vec![
        Check::count("works accepted", accepted, ledger("accepted")),
        Check::count(
            "works completed",
            state(State::Completed),
            ledger("completed"),
        ),
        Check::count("works failed", state(State::Failed), ledger("failed")),
        Check::count("works lost", state(State::Lost), ledger("lost")),
        Check::count("works open at the end", open, ledger("unresolved")),
        Check::count("submits refused", refused, ledger("rejected")),
        Check::count("submits without an answer", resets, ledger("intake_failed")),
        Check::count("polls", served.polls.len() as u64, asked),
        Check::count("works that ended otherwise", 0, otherwise(harness, served)),
    ]
}

/// Works of either side that the other does not know, or knows another end of.
fn otherwise(harness: &Harness, served: &Served) -> u64 {
    let mut told: BTreeMap<&str, Outcome> = harness
        .works
        .iter()
        .filter_map(|told| Some((told.work_id.as_deref()?, told.outcome)))
        .collect();
    let mut wrong = 0;
    for work in &served.works {
        let expected = match work.state {
            State::Completed => Outcome::Completed,
            State::Failed => Outcome::Failed,
            State::Lost => Outcome::Lost,
            State::Pending | State::Running => Outcome::Unresolved,
        };
        wrong += u64::from(told.remove(work.id.as_str()) != Some(expected));
    }
    wrong + told.len() as u64
}

#[cfg(test)]
mod tests {
    use super::super::crafted::Crafted;
    use super::*;

    fn wrong(crafted: &Crafted) -> Vec<String> {
        let all = checks(&crafted.harness(), &crafted.served()).into_iter();
        all.filter(|check| !check.is_within())
            .map(|check| check.what)
            .collect()
    }

    #[test]
    fn equal_books_are_within() {
        assert_eq!(wrong(&Crafted::default()), Vec::<String>::new());
    }

    #[test]
    fn a_lost_work_that_is_told_as_completed_is_found() {
        let mut crafted = Crafted::default();
        let lost = crafted
            .works
            .iter()
            .position(|work| work.state == State::Lost);
        crafted.works[lost.unwrap()].told = Some(Outcome::Completed);
        let names = [
            "works completed",
            "works lost",
            "works that ended otherwise",
        ];
        assert_eq!(wrong(&crafted), names);
    }

    #[test]
    fn two_errors_that_cancel_out_are_found() {
        let mut crafted = Crafted::default();
        let place = |state| crafted.works.iter().position(|work| work.state == state);
        let (one, other) = (
            place(State::Failed).unwrap(),
            place(State::Completed).unwrap(),
        );
        crafted.works[one].told = Some(Outcome::Completed);
        crafted.works[other].told = Some(Outcome::Failed);
        assert_eq!(wrong(&crafted), ["works that ended otherwise"]);
    }

    #[test]
    fn a_work_that_the_run_never_wrote_down_is_found() {
        let mut crafted = Crafted::default();
        crafted.works[7].told = Some(Outcome::IntakeFailed);
        let found = wrong(&crafted);
        assert!(found.contains(&"works accepted".to_owned()), "{found:?}");
        assert!(
            found.contains(&"submits without an answer".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn a_poll_that_one_side_did_not_count_is_found() {
        let crafted = Crafted {
            polls_untold: 1,
            ..Crafted::default()
        };
        assert_eq!(wrong(&crafted), ["polls"]);
    }
}
