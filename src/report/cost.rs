//! What the generator itself took of the machine.

use super::binomial::float;
use super::{Facts, SIMULATOR};
use crate::record::ledger::Count;
use crate::record::snapshot::Snapshot;
use crate::time::Span;

/// Works that outweigh what a process takes anyway.
const MANY_WORKS: u64 = 100_000;

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The most that was resident.
    pub peak: u64,
    /// How much more that was than before the load.
    pub grown: u64,
}

/// What the generator itself cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Time of its threads on a processor, those apart that write files and draw the screen.
    pub cpu: Span,
    /// The same for each request (submits, polls and rechecks), in seconds; none without one.
    pub per_request_s: Option<f64>,
    /// The same as a share of one core over the whole run; above 1 where there are several threads.
    pub core_share: Option<f64>,
    /// The memory of the whole process.
    pub memory: Option<Memory>,
    /// What it grew by for each work that was open at once; none where that cannot be told.
    pub bytes_per_work: Option<f64>,
}

impl Facts {
    /// What the generator itself cost; none where that is not known.
    pub fn cost(&self, snapshot: &Snapshot) -> Option<Cost> {
        let counts = &snapshot.counts;
        let requests = [Count::Submits, Count::Polls, Count::Rechecks]
            .iter()
            .fold(0_u64, |sum, count| sum.saturating_add(counts.get(*count)));
        let cpu = self.cpu?;
        // Of a duration as `summary.json` has it, so that its reader finds the same share.
        let lasted = (self.duration.seconds() * 1e6).round() / 1e6;
        Some(Cost {
            cpu,
            per_request_s: (requests > 0).then(|| cpu.seconds() / float(requests)),
            core_share: (lasted > 0.0).then(|| cpu.seconds() / lasted),
            memory: self.memory,
            bytes_per_work: self.bytes_per_work(snapshot),
        })
    }

    /// What the memory grew by for each work that was open at once. None where there were too few
    /// to tell it from what a process takes anyway, or where it is that of the service too.
    fn bytes_per_work(&self, snapshot: &Snapshot) -> Option<f64> {
        let is_ours = self.target != SIMULATOR && snapshot.most_backlog >= MANY_WORKS;
        let grown = self.memory.filter(|_| is_ours)?.grown;
        Some(float(grown) / float(snapshot.most_backlog))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::facts;
    use super::*;

    #[test]
    fn memory_is_shared_out_among_many_works_of_a_service_elsewhere() {
        let check = |target: &str, most_backlog: u64, expected: Option<f64>| {
            let facts = Facts {
                target: target.to_owned(),
                memory: Some(Memory {
                    peak: 40_000_000,
                    grown: 25_600_000,
                }),
                ..facts()
            };
            let snapshot = Snapshot {
                most_backlog,
                ..Snapshot::default()
            };
            let cost = facts.cost(&snapshot).unwrap();
            assert_eq!(cost.bytes_per_work, expected, "{target} {most_backlog}");
        };
        check("https://ai.example.com", 200_000, Some(128.0));
        check("https://ai.example.com", 99_999, None);
        check(SIMULATOR, 200_000, None);
    }
}
