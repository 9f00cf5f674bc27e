//! Waits: the timeouts of all requests of a shard, kept by one task.
//!
//! A timer of the runtime for each request would cost more than the request's own parsing. Here a
//! request leaves its instant and its waker in a table; the task sleeps until the earliest instant
//! that it knows of, and looks at all of them then. With timeouts far above the answers' usual time
//! that is about once in a timeout. A timeout is never early, and late by at most [`PAUSE`] and a
//! tick of the runtime's timer.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::shell::RunClock;
use crate::time::{Span, Tick};

/// Between two looks at the table at least.
const PAUSE: Span = Span::from_millis(10);

/// One wait.
#[derive(Debug)]
struct Wait {
    /// [`Tick::NEVER`] while nobody waits here.
    until: Tick,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Table {
    waits: Vec<Wait>,
    free: Vec<usize>,
}

/// The waits of a shard.
#[derive(Debug)]
pub(super) struct Waits {
    table: RefCell<Table>,
    /// When something is due, as far as the watching task knows.
    earliest: Cell<Tick>,
    sooner: Notify,
    clock: RunClock,
}

/// A place in the table, given back at the end.
struct Place<'w> {
    waits: &'w Waits,
    index: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let table = &mut *self.waits.table.borrow_mut();
        table.waits[self.index] = Wait {
            until: Tick::NEVER,
            waker: None,
        };
        table.free.push(self.index);
    }
}

impl Place<'_> {
    /// Whether the instant has come; if not, who is to be woken then.
    fn is_over(&self, context: &Context<'_>) -> bool {
        let wait = &mut self.waits.table.borrow_mut().waits[self.index];
        if wait.until == Tick::NEVER {
            return true;
        }
        match &mut wait.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        false
    }
}

impl Waits {
    pub(super) fn new(clock: RunClock) -> Self {
        Self {
            table: RefCell::default(),
            earliest: Cell::new(Tick::NEVER),
            sooner: Notify::new(),
            clock,
        }
    }

    /// What a future yields, or nothing if that is not before `until`.
    pub(super) async fn within<F: Future>(
        &self,
        until: Tick,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        let place = self.place(until);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if place.is_over(context) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn place(&self, until: Tick) -> Place<'_> {
        let table = &mut *self.table.borrow_mut();
        // The last but one instant is far enough: the very last one marks what is over.
        let wait = Wait {
            until: until.min(Tick(Tick::NEVER.0 - 1)),
            waker: None,
        };
        let index = if let Some(index) = table.free.pop() {
            table.waits[index] = wait;
            index
        } else {
            table.waits.push(wait);
            table.waits.len() - 1
        };
        self.look_at(until);
        Place { waits: self, index }
    }

    /// Something is due at an instant: [`Waits::due`] returns by then.
    pub(super) fn look_at(&self, at: Tick) {
        if at < self.earliest.get() {
            self.earliest.set(at);
            self.sooner.notify_one();
        }
    }

    /// Returns when something may be due; those whose time has come are woken then. Where nothing
    /// is due at the call it returns after [`PAUSE`] at the soonest, unless something nearer is
    /// added.
    pub(super) async fn due(&self) -> Tick {
        loop {
            let now = self.clock.now();
            let earliest = self.earliest.get();
            if earliest <= now {
                self.wake(now);
                return now;
            }
            let sooner = self.sooner.notified();
            if earliest == Tick::NEVER {
                sooner.await;
                continue;
            }
            let wait = earliest.since(now).max(PAUSE);
            // Which of the two it was, the clock tells.
            let _ = tokio::time::timeout(wait.duration(), sooner).await;
        }
    }

    fn wake(&self, now: Tick) {
        let table = &mut *self.table.borrow_mut();
        let mut earliest = Tick::NEVER;
        for wait in &mut table.waits {
            if wait.until > now {
                earliest = earliest.min(wait.until);
                continue;
            }
            wait.until = Tick::NEVER;
            if let Some(waker) = wait.waker.take() {
                waker.wake();
            }
        }
        self.earliest.set(earliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::rc::Rc;
    use tokio::task::{LocalSet, spawn_local};

    #[tokio::test]
    async fn a_wait_is_never_early_and_leaves_nothing_behind() {
        let clock = RunClock::starting_in(Span::ZERO);
        let waits = Rc::new(Waits::new(clock));
        let watched = Rc::clone(&waits);
        let local = LocalSet::new();
        local
            .run_until(async move {
                spawn_local(async move {
                    loop {
                        watched.due().await;
                    }
                });
                let far = clock.now() + Span::from_secs(3_600);
                assert_eq!(waits.within(far, pin!(ready(7))).await, Some(7));
                for millis in [30, 1, 0] {
                    let until = clock.now() + Span::from_millis(millis);
                    assert_eq!(waits.within(until, pin!(pending::<()>())).await, None);
                    assert!(clock.now() >= until);
                }
                assert_eq!(waits.within(Tick::NEVER, pin!(ready(8))).await, Some(8));
                let table = waits.table.borrow();
                assert_eq!(table.waits.len(), table.free.len());
            })
            .await;
    }
}
