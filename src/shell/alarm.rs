//! Alarm: wakes the driver at an instant, finer than the runtime's own millisecond.

use std::cell::Cell;
use std::io;

use super::RunClock;
use super::timer::Timer;
use crate::time::Tick;

/// A timer of one shard.
#[derive(Debug)]
pub struct Alarm {
    timer: Timer,
    /// What the timer is set to, if it has not rung: most turns find it set already.
    set: Cell<Option<Tick>>,
    clock: RunClock,
}

impl Alarm {
    /// A timer on the runtime that this is called in.
    pub fn new(clock: RunClock) -> io::Result<Self> {
        Ok(Self {
            timer: Timer::new()?,
            set: Cell::new(None),
            clock,
        })
    }

    /// Returns when `at` has come: never early.
    pub async fn until(&self, at: Tick) -> io::Result<()> {
        loop {
            let now = self.clock.now();
            if now >= at {
                return Ok(());
            }
            if self.set.get() != Some(at) {
                self.timer.arm(at.since(now))?;
                self.set.set(Some(at));
            }
            self.timer.rung().await?;
            self.set.set(None);
        }
    }

    /// Returns when the origin of the run has come.
    pub async fn until_origin(&self) -> io::Result<()> {
        loop {
            let wait = self.clock.until_origin();
            if wait.0 == 0 {
                return Ok(());
            }
            self.timer.arm(wait)?;
            self.timer.rung().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[tokio::test]
    async fn an_alarm_is_never_early() {
        let clock = RunClock::starting_in(Span::from_millis(5));
        let alarm = Alarm::new(clock).unwrap();
        alarm.until_origin().await.unwrap();
        assert_eq!(clock.until_origin(), Span::ZERO);
        let mut at = clock.now();
        for step in [0, 1, 999, 50_000, 1_000_000, 3_000_000] {
            at = at + Span(step);
            alarm.until(at).await.unwrap();
            assert!(clock.now() >= at);
        }
    }
}
