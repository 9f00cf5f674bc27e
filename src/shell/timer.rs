//! Timer: a `timerfd` in the runtime's own epoll, finer than the runtime's millisecond.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::time::{NANOS_PER_SECOND, Span};

/// One timer, for one waiter.
#[derive(Debug)]
pub struct Timer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer {
    /// A timer that is not armed. Must be called inside a runtime that drives sockets.
    pub fn new() -> io::Result<Self> {
        // The default slack of 50 us would be added to every wake-up of this thread. A kernel
        // without the call keeps its slack, and the report shows the lateness.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types whose descriptor may change under it; an \
                      `OwnedFd` keeps its own until it is dropped"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd })
    }

    /// Rings once after `wait`, at least a nanosecond; an earlier arming is forgotten.
    pub fn arm(&self, wait: Span) -> io::Result<()> {
        // Zero would disarm it.
        let nanos = wait.0.max(1);
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: i64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % NANOS_PER_SECOND).unwrap_or(0),
        };
        let once = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Returns when it has rung since it was armed last.
    pub async fn rung(&self) -> io::Result<()> {
        loop {
            let mut ready = self.fd.readable().await?;
            // How often it rang does not matter. Nothing to read: an earlier arming had rung.
            if let Ok(read) = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut [0_u8; 8])?)) {
                // One read empties it, so the next need not find that out.
                ready.clear_ready();
                return read.map(drop);
            }
        }
    }
}
