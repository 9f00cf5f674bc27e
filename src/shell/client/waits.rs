//! Waits: the timeouts of all requests of a shard, kept by one task.
//!
//! A timer of the runtime for each request would cost more than the request's own parsing. Here
//! whoever waits has a place in a table for its instant and its waker; the task sleeps until the
//! earliest instant that it knows of, and looks at all of them then. With timeouts far above the
//! answers' usual time that is about once in a timeout. A timeout is never early, and late by at
//! most [`PAUSE`] and a tick of the runtime's timer.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::shell::RunClock;
use crate::time::{Span, Tick};

/// Between two looks at the table at least.
const PAUSE: Span = Span::from_millis(10);

/// One place.
#[derive(Debug, Default)]
struct Wait {
    /// When somebody's time is over, if anybody waits for that.
    until: Option<Tick>,
    /// It has come.
    is_over: bool,
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

/// A place in the table, given back at the end. Not set at first.
#[derive(Debug)]
pub(super) struct Deadline {
    waits: Rc<Waits>,
    index: usize,
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let table = &mut *self.waits.table.borrow_mut();
        table.waits[self.index] = Wait::default();
        table.free.push(self.index);
    }
}

impl Deadline {
    pub(super) fn new(waits: &Rc<Waits>) -> Self {
        let table = &mut *waits.table.borrow_mut();
        let index = table.free.pop().unwrap_or_else(|| {
            table.waits.push(Wait::default());
            table.waits.len() - 1
        });
        let waits = Rc::clone(waits);
        Self { waits, index }
    }

    /// From now on it comes at this instant.
    pub(super) fn set(&self, until: Tick) {
        let wait = &mut self.waits.table.borrow_mut().waits[self.index];
        (wait.until, wait.is_over) = (Some(until), false);
        self.waits.look_at(until);
    }

    /// Nobody waits for it any more.
    pub(super) fn clear(&self) {
        let wait = &mut self.waits.table.borrow_mut().waits[self.index];
        (wait.until, wait.is_over) = (None, false);
    }

    /// Whether it has come; if not, who is to be woken then.
    pub(super) fn is_over(&self, context: &Context<'_>) -> bool {
        let wait = &mut self.waits.table.borrow_mut().waits[self.index];
        if wait.is_over {
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
    pub(super) fn new(clock: RunClock) -> Rc<Self> {
        Rc::new(Self {
            table: RefCell::default(),
            earliest: Cell::new(Tick::NEVER),
            sooner: Notify::new(),
            clock,
        })
    }

    /// What a future yields, or nothing if that is not before `until`.
    pub(super) async fn within<F: Future>(
        self: &Rc<Self>,
        until: Tick,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        let deadline = Deadline::new(self);
        deadline.set(until);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if deadline.is_over(context) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
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
            let Some(until) = wait.until else { continue };
            if until > now {
                earliest = earliest.min(until);
                continue;
            }
            (wait.until, wait.is_over) = (None, true);
            if let Some(waker) = &wait.waker {
                waker.wake_by_ref();
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
    use tokio::task::{LocalSet, spawn_local};

    /// Runs what waits, with the task that watches.
    async fn watched(test: impl AsyncFnOnce(RunClock, &Rc<Waits>)) {
        let clock = RunClock::starting_in(Span::ZERO);
        let waits = Waits::new(clock);
        let watching = Rc::clone(&waits);
        let watch = async move {
            spawn_local(async move {
                loop {
                    watching.due().await;
                }
            });
            test(clock, &waits).await;
        };
        LocalSet::new().run_until(watch).await;
    }

    #[tokio::test]
    async fn a_wait_is_never_early_and_leaves_nothing_behind() {
        watched(async |clock, waits| {
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

    #[tokio::test]
    async fn a_deadline_can_be_set_again_and_comes_only_for_what_it_was_set_to() {
        watched(async |clock, waits| {
            let deadline = Deadline::new(waits);
            let comes = async || {
                std::future::poll_fn(|context| {
                    let is_over = deadline.is_over(context);
                    if is_over {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            };
            for _ in 0..3 {
                deadline.set(clock.now());
                deadline.clear();
                let soon = clock.now() + Span::from_millis(5);
                assert_eq!(waits.within(soon, pin!(comes())).await, None, "cleared");
                let soon = clock.now() + Span::from_millis(5);
                deadline.set(soon);
                comes().await;
                assert!(clock.now() >= soon);
            }
        })
        .await;
    }
}
