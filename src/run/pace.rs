//! `Pace`: when progress is shown.

use crate::shell::RunClock;
use crate::time::{NANOS_PER_SECOND, Span, Tick};

/// Shows progress once a second of real time, whatever time the run has.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The real time of a virtual run, from its start on.
    real: Option<RunClock>,
    /// The whole second of it at which progress was shown last.
    shown: u64,
}

impl Pace {
    /// For a run in virtual time that began at the origin of this clock. The default is for runs in
    /// real time: their intervals are a second long.
    pub(super) fn of_virtual_time(clock: RunClock) -> Self {
        Self {
            real: Some(clock),
            shown: 0,
        }
    }

    /// Whether the end of an interval is to be shown.
    pub(super) fn is_due(&mut self) -> bool {
        let Some(now) = self.really() else {
            return true;
        };
        let second = now.0 / NANOS_PER_SECOND;
        let is_due = second > self.shown;
        self.shown = second;
        is_due
    }

    /// How long a virtual run has really taken.
    pub(super) fn really(&self) -> Option<Span> {
        self.real.map(|clock| clock.now().since(Tick::ZERO))
    }
}
