//! The clock of the simulated service, and a timer that is finer than a runtime's millisecond.
//!
//! All delayed answers share one timerfd, armed for the earliest: a stall that holds ten thousand
//! requests costs a heap of them and one wake-up.

use crate::shell::timer::Timer;
use crate::time::Tick;
use std::cell::{Cell, RefCell};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Who waits until when.
pub(super) struct Delays {
    origin: Instant,
    timer: Timer,
    waiting: RefCell<BinaryHeap<Reverse<Wait>>>,
    asked: Cell<u64>,
}

struct Wait {
    due: Tick,
    /// Who asked first goes first.
    order: u64,
    wake: oneshot::Sender<()>,
}

impl Delays {
    /// Nobody waits yet. Must be called inside a runtime that drives sockets.
    pub(super) fn new(origin: Instant) -> io::Result<Self> {
        Ok(Self {
            origin,
            timer: Timer::new()?,
            waiting: RefCell::default(),
            asked: Cell::new(0),
        })
    }

    /// The time since the origin; zero before it.
    pub(super) fn now(&self) -> Tick {
        #[expect(
            clippy::disallowed_methods,
            reason = "the service has a thread and a clock of its own"
        )]
        let elapsed = Instant::now().saturating_duration_since(self.origin);
        Tick(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// What the wall clock shows, in seconds of the Unix epoch: signatures have it.
    #[expect(
        clippy::unused_self,
        reason = "a clock is asked by who holds the clocks of the service"
    )]
    pub(super) fn unix_seconds(&self) -> i64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "who checks a signature has no other clock in common with us"
        )]
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        i64::try_from(wall.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
    }

    /// Returns at `due`, or at once without touching a timer if that is past; `Tick::NEVER` does
    /// not touch one either.
    pub(super) async fn until(&self, due: Tick) {
        if due <= self.now() {
            return;
        }
        if due == Tick::NEVER {
            return std::future::pending().await;
        }
        let (wake, woken) = oneshot::channel();
        let order = self.asked.replace(self.asked.get() + 1);
        let first = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(Reverse(Wait { due, order, wake }));
            waiting
                .peek()
                .is_some_and(|Reverse(wait)| wait.order == order)
        };
        if first {
            self.arm(due);
        }
        // The sender leaves the heap only when it is used, or with the whole service.
        let _ = woken.await;
    }

    /// Wakes those whose time has come, for ever.
    pub(super) async fn run(&self) -> io::Result<()> {
        loop {
            self.timer.rung().await?;
            self.wake();
        }
    }

    fn wake(&self) {
        let now = self.now();
        let mut waiting = self.waiting.borrow_mut();
        while let Some(Reverse(first)) = waiting.peek() {
            // Who does not wait any more, as with a call that was answered, is in nobody's way.
            if first.due > now && !first.wake.is_closed() {
                self.arm(first.due);
                break;
            }
            if let Some(Reverse(wait)) = waiting.pop() {
                // A client that has gone does not hear it.
                let _ = wait.wake.send(());
            }
        }
    }

    fn arm(&self, due: Tick) {
        self.timer
            .arm(due.since(self.now()))
            .expect("a timer of our own and a valid length");
    }
}

impl PartialEq for Wait {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Wait {}

impl PartialOrd for Wait {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Wait {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}
