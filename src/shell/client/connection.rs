//! Connection: carries one request after the other, and has a task that reads their answers.
//!
//! Whoever has a request writes it at once, if the connection is idle; the task is woken when
//! something can be read, and by nothing else. An idle connection is looked after by nobody: what
//! the service did to it meanwhile is seen when it is next used.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::NoAnswer;
use super::exchange::{Live, Progress, Reply, UnderWay};
use super::waits::{Deadline, Waits};
use crate::time::Tick;
use crate::work::Fault;

/// A connection, and what it carries: an errand is what a request is for.
pub(super) struct Connection<E> {
    inner: RefCell<Inner<E>>,
    /// Its task, once that has begun.
    task: OnceCell<Waker>,
    deadline: Deadline,
}

struct Inner<E> {
    live: Live,
    request: Option<Request<E>>,
    /// It was idle before the request that it carries.
    was_idle: bool,
    is_closed: bool,
    idle_since: Tick,
}

struct Request<E> {
    errand: E,
    until: Tick,
    under_way: UnderWay,
    progress: Progress,
    /// What came of it, where that was known before the task looked.
    came: Option<Result<Reply, NoAnswer>>,
}

/// A request that has come to its end.
#[derive(Debug)]
pub(super) struct Ended<E> {
    pub(super) errand: E,
    pub(super) until: Tick,
    pub(super) came: Came,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Came {
    /// An answer, which stands in the buffers of the connection.
    Reply(Reply),
    /// None, and there will be none.
    Nothing(NoAnswer),
    /// The connection had been closed while it was idle, and nothing was written: the same request,
    /// to be sent on another one.
    NotSent(Vec<u8>),
}

impl<E> fmt::Debug for Connection<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl<E> Request<E> {
    fn new(errand: E, until: Tick, max_body: u64) -> Self {
        Self {
            errand,
            until,
            under_way: UnderWay::new(max_body),
            progress: Progress::default(),
            came: None,
        }
    }
}

impl<E> Connection<E> {
    /// A new connection, idle as of now.
    pub(super) fn new(live: Live, waits: &Rc<Waits>, now: Tick) -> Rc<Self> {
        Rc::new(Self {
            inner: RefCell::new(Inner {
                live,
                request: None,
                was_idle: false,
                is_closed: false,
                idle_since: now,
            }),
            task: OnceCell::new(),
            deadline: Deadline::new(waits),
        })
    }

    /// Sends a request on an idle connection, as far as it can be written now, and takes the bytes
    /// of an older one in its place. The errand comes back if the connection is closed and nothing
    /// was written. Before its task has begun it is left to that one.
    pub(super) fn send(
        &self,
        request: &mut Vec<u8>,
        (errand, until): (E, Tick),
        max_body: u64,
    ) -> Result<(), E> {
        let inner = &mut *self.inner.borrow_mut();
        *request = inner.live.put_request(std::mem::take(request));
        let mut sending = Request::new(errand, until, max_body);
        let Some(task) = self.task.get() else {
            self.deadline.set(until);
            inner.request = Some(sending);
            return Ok(());
        };
        inner.was_idle = true;
        let mut context = Context::from_waker(task);
        let Request {
            under_way,
            progress,
            ..
        } = &mut sending;
        match under_way.go_on(&mut inner.live, progress, &mut context) {
            Poll::Ready(Err(_)) if !sending.progress.was_written() => {
                *request = inner.live.put_request(Vec::new());
                inner.is_closed = true;
                task.wake_by_ref();
                return Err(sending.errand);
            }
            Poll::Ready(came) => {
                sending.came = Some(came);
                task.wake_by_ref();
            }
            Poll::Pending => self.deadline.set(until),
        }
        inner.request = Some(sending);
        Ok(())
    }

    /// Waits for the end of the request that is on its way, or of the next one; nothing once it is
    /// closed.
    pub(super) async fn ended(&self) -> Option<Ended<E>> {
        poll_fn(|context| self.go_on(context)).await
    }

    fn go_on(&self, context: &mut Context<'_>) -> Poll<Option<Ended<E>>> {
        self.task.get_or_init(|| context.waker().clone());
        let inner = &mut *self.inner.borrow_mut();
        let Some(request) = &mut inner.request else {
            return if inner.is_closed {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        };
        let Request {
            under_way,
            progress,
            came,
            ..
        } = request;
        let came = match came.take() {
            Some(came) => came,
            None => match under_way.go_on(&mut inner.live, progress, context) {
                Poll::Ready(came) => came,
                Poll::Pending if self.deadline.is_over(context) => {
                    Err(progress.no_answer(Fault::Timeout, "timed out".into()))
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        self.deadline.clear();
        let was_written = progress.was_written();
        let came = match came {
            Ok(reply) => Came::Reply(reply),
            Err(NoAnswer { fault, .. })
                if Self::goes_elsewhere(inner.was_idle, was_written, fault) =>
            {
                Came::NotSent(inner.live.put_request(Vec::new()))
            }
            Err(no_answer) => Came::Nothing(no_answer),
        };
        let Some(Request { errand, until, .. }) = inner.request.take() else {
            return Poll::Pending;
        };
        Poll::Ready(Some(Ended {
            errand,
            until,
            came,
        }))
    }

    /// As none of the request had left, it is the same request still. A new connection is the last
    /// resort, and its failure is the request's; so is it that its time is over.
    fn goes_elsewhere(was_idle: bool, was_written: bool, fault: Fault) -> bool {
        was_idle && !was_written && fault != Fault::Timeout
    }

    /// What the buffers hold of the answer that came last.
    pub(super) fn with_live<T>(&self, look: impl FnOnce(&Live) -> T) -> T {
        look(&self.inner.borrow().live)
    }

    /// Is idle from now on; false if it cannot carry another request.
    pub(super) fn rest(&self, now: Tick) -> bool {
        let inner = &mut *self.inner.borrow_mut();
        inner.idle_since = now;
        inner.live.shrink();
        inner.live.is_reusable()
    }

    /// Since when it is idle.
    pub(super) fn idle_since(&self) -> Tick {
        self.inner.borrow().idle_since
    }

    /// Closes an idle connection: its task ends.
    pub(super) fn close(&self) {
        self.inner.borrow_mut().is_closed = true;
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}
