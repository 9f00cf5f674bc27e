//! The shell: what touches the world. It reads the clock, sockets, files and signals, and tells the
//! engine; everything that is decided is decided in there.

pub mod alarm;
pub mod client;
mod core_share;
pub mod driver;
pub mod limits;
mod listen;
pub mod orders;
pub mod receiver;
pub mod requests;
pub mod run_directory;
pub mod screen;
pub mod secret;
pub mod shard;
pub mod signals;
pub mod sim_command;
pub mod sim_server;
pub mod state_file;
pub mod timer;
pub mod virtual_time;
pub mod watchdog;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::record::disturbance::Reading;
use crate::time::{NANOS_PER_SECOND, Span, Tick};

/// The only reader of clocks: ticks since the origin of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    origin: Instant,
    /// The same, to reckon with.
    origin_nanos: u64,
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
        let (origin, origin_nanos) = (Instant::now(), steady_nanos());
        Self {
            origin: origin + ahead,
            origin_nanos: origin_nanos.saturating_add(span(ahead).0),
            origin_wall: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Now; the origin itself until it has come.
    ///
    /// Read for every request, so without the detour over [`Instant`], whose clock it is.
    pub fn now(&self) -> Tick {
        Tick(steady_nanos().saturating_sub(self.origin_nanos))
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

    /// All clocks of the machine. That of the run is the one of `Instant`, which on Linux stands
    /// still while the machine sleeps.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn reading(&self) -> Reading {
        let before = self.now();
        let boot = nanos(clock_gettime(ClockId::Boottime));
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Reading {
            before,
            boot: i64::try_from(boot).unwrap_or(i64::MAX),
            wall: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX),
            after: self.now(),
        }
    }
}

/// The clock that never goes back: nanoseconds since some instant before the program began.
fn steady_nanos() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

fn nanos(Timespec { tv_sec, tv_nsec }: Timespec) -> u64 {
    let parts = u64::try_from(tv_sec).ok().zip(u64::try_from(tv_nsec).ok());
    let (seconds, nanos) = parts.expect("the clock counts from the start of the machine");
    seconds * NANOS_PER_SECOND + nanos
}

fn span(duration: std::time::Duration) -> Span {
    Span(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
