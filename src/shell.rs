//! The shell: what touches the world. It reads the clock, sockets, files and signals, and tells the
//! engine; everything that is decided is decided in there.

pub mod alarm;
pub mod client;
mod couriers;
pub mod driver;
pub mod limits;
pub mod orders;
pub mod requests;
pub mod run_directory;
pub mod screen;
pub mod secret;
pub mod shard;
pub mod signals;
pub mod sim_command;
pub mod sim_server;
pub mod timer;
pub mod virtual_time;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Span, Tick};

/// The only reader of clocks: ticks since the origin of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    origin: Instant,
    /// The wall clock at the origin, in microseconds of the Unix epoch.
    origin_wall: i64,
}

impl RunClock {
    /// A clock whose origin lies `ahead` of now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn starting_in(ahead: Span) -> Self {
        let ahead = ahead.duration();
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            + ahead;
        Self {
            origin: Instant::now() + ahead,
            origin_wall: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Now; the origin itself until it has come.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn now(&self) -> Tick {
        Tick(span(Instant::now().saturating_duration_since(self.origin)).0)
    }

    /// How long until the origin comes.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn until_origin(&self) -> Span {
        span(self.origin.saturating_duration_since(Instant::now()))
    }

    /// The origin on the process's own clock.
    pub const fn origin(&self) -> Instant {
        self.origin
    }

    /// The wall clock at the origin, in microseconds of the Unix epoch.
    pub const fn origin_wall_micros(&self) -> i64 {
        self.origin_wall
    }

    /// By how much the wall clock has gone apart from the other one since the origin.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn wall_drift(&self) -> Span {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let wall = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        let steady = i64::try_from(self.now().0 / 1_000).unwrap_or(i64::MAX);
        let drift = wall
            .saturating_sub(self.origin_wall)
            .saturating_sub(steady)
            .unsigned_abs();
        Span(drift.saturating_mul(1_000))
    }
}

fn span(duration: std::time::Duration) -> Span {
    Span(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
