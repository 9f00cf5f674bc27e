//! Which windows tell of the same time.

use super::regions::Weighted;
use crate::record::windows::{Happening, Windows};

/// A time that polls bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// From the submit to the end in the service, completed or failed.
    Sojourn,
    /// From the submit to the begin.
    QueueWait,
}

/// How it ended: risks that compete for a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Completed,
    Failed,
}

impl Family {
    /// How the happening ends a time of this family.
    fn cause(self, what: Happening) -> Option<Cause> {
        match (self, what) {
            (Self::Sojourn, Happening::Completed)
            | (Self::QueueWait, Happening::Begun | Happening::BegunUnseen) => {
                Some(Cause::Completed)
            }
            (Self::Sojourn, Happening::Failed) => Some(Cause::Failed),
            _ => None,
        }
    }
}

/// The windows of a family, by how they ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Risks {
    /// All of them.
    pub(super) all: Vec<Weighted>,
    /// Those that completed.
    pub(super) completed: Vec<Weighted>,
    /// Those that failed.
    pub(super) failed: Vec<Weighted>,
    /// How many works.
    pub(super) works: u64,
    /// How many of them were not seen to end.
    pub(super) censored: u64,
}

impl Risks {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 works")]
    pub(super) fn of(windows: &Windows, family: Family) -> Self {
        let mut risks = Self::default();
        for (window, works) in windows.iter() {
            let Some(cause) = family.cause(window.what) else {
                continue;
            };
            let weighted = (window.from, window.to, works as f64);
            risks.works += works;
            risks.all.push(weighted);
            match (window.to, cause) {
                (None, _) => risks.censored += works,
                (Some(_), Cause::Completed) => risks.completed.push(weighted),
                (Some(_), Cause::Failed) => risks.failed.push(weighted),
            }
        }
        risks
    }
}
