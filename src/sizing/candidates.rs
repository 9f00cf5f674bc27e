//! What is tried: the scenario with other words in a few of its keys.

use crate::scenario::{Mode, Plan, PollShape, SizePlan};

/// A choice before its scenario is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name: `poll 5s`, `poll optimal 5s`, `callback`, `hybrid`.
    pub name: String,
    /// What is overridden in the scenario.
    pub sets: Vec<String>,
}

impl Candidate {
    /// Its name as that of a file.
    pub fn file_name(&self) -> String {
        self.name.replace(' ', "-")
    }
}

/// Every choice that the scenario asks for and its service offers.
pub fn candidates(plan: &Plan, size: &SizePlan) -> Vec<Candidate> {
    let mut all = Vec::new();
    let has_polls = plan.api.poll != PollShape::Nowhere;
    for mode in &size.modes {
        let mode_is = format!("observe.mode={}", mode.word());
        match mode {
            Mode::Callback => all.push(Candidate {
                name: mode.word().to_owned(),
                sets: vec![mode_is],
            }),
            _ if !has_polls => {}
            Mode::Poll => all.extend(polls(size, &mode_is)),
            Mode::Hybrid | Mode::Both => all.push(Candidate {
                name: mode.word().to_owned(),
                sets: vec![mode_is],
            }),
        }
    }
    all
}

fn polls(size: &SizePlan, mode_is: &str) -> Vec<Candidate> {
    let mut all = Vec::new();
    for policy in &size.policies {
        for interval in &size.intervals {
            let word = if policy == "fixed" {
                String::new()
            } else {
                format!("{policy} ")
            };
            all.push(Candidate {
                name: format!("poll {word}{interval}"),
                sets: vec![
                    mode_is.to_owned(),
                    format!("poll.policy={policy}"),
                    format!("poll.interval={interval}"),
                ],
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::need::tests::plan;
    use super::*;

    fn names(more: &str) -> Vec<String> {
        let plan = plan(more);
        let size = plan.size.clone().unwrap();
        let all = candidates(&plan, &size);
        all.into_iter().map(|candidate| candidate.name).collect()
    }

    #[test]
    fn every_interval_goes_with_every_policy() {
        let found = names(
            "[size]\npeak = ['1/s']\nintervals = ['1s', '90s']\npolicies = ['fixed', 'optimal']",
        );
        let polls = ["poll 1s", "poll 90s", "poll optimal 1s", "poll optimal 90s"];
        assert_eq!(found[..4], polls);
        assert_eq!(found[4..], ["callback", "hybrid"]);
        assert_eq!(
            names("[size]\npeak = ['1/s']\nmodes = ['poll']"),
            ["poll 1s"]
        );
        let nowhere =
            "[size]\npeak = ['1/s']\n[observe]\nmode = 'callback'\n[api.poll]\nby = 'none'";
        assert_eq!(names(nowhere), ["callback"]);
    }
}
