//! Places: the connections of the receiver, each in a state that says whether it may be closed.
//!
//! A sender may open connections and say nothing, or a byte a minute. Where all places are taken, a
//! new connection is given that of the one that has kept us waiting longest. Those that never
//! brought a callback go first, so that who does not know the token cannot drive away who does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;

use crate::shell::RunClock;
use crate::time::{Span, Tick};

/// How long a connection may stay open between two requests.
const KEEP_ALIVE: Span = Span::from_secs(120);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing of a request has come.
    Idle,
    /// A part of one has.
    Reading,
    /// A whole one has, and is to be answered.
    Busy,
    /// A whole one has, and is never to be answered.
    Silent,
    /// The rest of one is not read, and nothing after it: the connection ends with the answer.
    Done,
}

#[derive(Debug)]
struct Place {
    state: State,
    since: Tick,
    /// It has brought a callback before.
    is_known: bool,
    task: Option<AbortHandle>,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    read_timeout: Span,
    next: u64,
    open: BTreeMap<u64, Place>,
    /// Those that may be closed, in that order.
    loose: BTreeSet<(bool, Tick, u64)>,
    busy: usize,
    tally: Tally,
}

/// What the places have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were closed to make room.
    pub evicted: u64,
    /// Connections that were not taken, as all others were at work.
    pub refused: u64,
    /// Connections that were closed because a request was not whole in time.
    pub timed_out: u64,
    /// The most connections that were open at once.
    pub most_open: usize,
    /// The most requests that were read and not yet answered at once.
    pub most_busy: usize,
    /// For how long requests were so, all together: over the length of a run it is their mean
    /// number (Little's law).
    pub busy: Span,
}

impl Places {
    pub(super) fn new(most: u32, read_timeout: Span) -> Self {
        Self {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            read_timeout,
            next: 0,
            open: BTreeMap::new(),
            loose: BTreeSet::new(),
            busy: 0,
            tally: Tally::default(),
        }
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// A place for a new connection; none where all others are at work.
    fn take(&mut self, now: Tick) -> Option<u64> {
        if self.open.len() >= self.most {
            let Some(&(.., number)) = self.loose.first() else {
                self.tally.refused += 1;
                return None;
            };
            self.tally.evicted += 1;
            self.close(number, now);
        }
        let number = self.next;
        self.next += 1;
        let place = Place {
            state: State::Idle,
            since: now,
            is_known: false,
            task: None,
        };
        self.open.insert(number, place);
        self.loose.insert((false, now, number));
        self.tally.most_open = self.tally.most_open.max(self.open.len());
        Some(number)
    }

    fn enter(&mut self, number: u64, state: State, now: Tick) {
        let Some(place) = self.open.get_mut(&number) else {
            return;
        };
        self.loose.remove(&(place.is_known, place.since, number));
        if place.state == State::Busy {
            self.busy -= 1;
            self.tally.busy = self.tally.busy + now.since(place.since);
        }
        if state == State::Busy {
            place.is_known = true;
            self.busy += 1;
            self.tally.most_busy = self.tally.most_busy.max(self.busy);
        } else {
            self.loose.insert((place.is_known, now, number));
        }
        (place.state, place.since) = (state, now);
    }

    fn close(&mut self, number: u64, now: Tick) {
        self.enter(number, State::Idle, now);
        if let Some(place) = self.open.remove(&number) {
            self.loose.remove(&(place.is_known, place.since, number));
            if let Some(task) = place.task {
                task.abort();
            }
        }
    }

    /// Closes those that have had their time.
    pub(super) fn close_overdue(&mut self, now: Tick) {
        let over = |&&(.., since, number): &&(bool, Tick, u64)| {
            let waited = now.since(since);
            match self.open.get(&number).map(|place| place.state) {
                Some(State::Idle) => waited > KEEP_ALIVE,
                Some(State::Reading | State::Done) => waited > self.read_timeout,
                _ => false,
            }
        };
        let overdue: Vec<u64> = (self.loose.iter().filter(over))
            .map(|&(.., number)| number)
            .collect();
        for number in overdue {
            let is_late = (self.open.get(&number)).is_some_and(|it| it.state == State::Reading);
            self.tally.timed_out += u64::from(is_late);
            self.close(number, now);
        }
    }
}

/// The place of one connection, which is free once this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    places: Rc<RefCell<Places>>,
    clock: RunClock,
    number: u64,
}

impl Seat {
    /// None where all places are taken by connections at work.
    pub(super) fn take(places: &Rc<RefCell<Places>>, clock: RunClock) -> Option<Self> {
        let number = places.borrow_mut().take(clock.now())?;
        Some(Self {
            places: Rc::clone(places),
            clock,
            number,
        })
    }

    /// The number by which [`assign`] knows it.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn enter(&self, state: State) {
        let now = self.clock.now();
        self.places.borrow_mut().enter(self.number, state, now);
    }

    pub(super) fn is(&self, state: State) -> bool {
        let places = self.places.borrow();
        (places.open.get(&self.number)).is_some_and(|place| place.state == state)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.clock.now();
        self.places.borrow_mut().close(self.number, now);
    }
}

/// Says which task is to be ended where a place is needed by another.
pub(super) fn assign(places: &RefCell<Places>, number: u64, task: AbortHandle) {
    if let Some(place) = places.borrow_mut().open.get_mut(&number) {
        place.task = Some(task);
    }
}

/// A connection that tells its place when a request begins.
#[derive(Debug)]
pub(super) struct Watched<T> {
    pub(super) io: T,
    pub(super) seat: Rc<Seat>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before && self.seat.is(State::Idle) {
            self.seat.enter(State::Reading);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Span = Span::from_secs(10);

    fn at(seconds: u64) -> Tick {
        Tick::ZERO + Span::from_secs(seconds)
    }

    /// Places that are all taken, one a second, and the numbers of those that sit there.
    fn full(most: u32) -> (Places, Vec<u64>) {
        let mut places = Places::new(most, TIMEOUT);
        let numbers = (0..most).filter_map(|second| places.take(at(second.into())));
        let numbers = numbers.collect();
        (places, numbers)
    }

    fn has(places: &Places, number: u64) -> bool {
        places.open.contains_key(&number)
    }

    #[test]
    fn the_one_that_has_kept_us_waiting_longest_makes_room() {
        let (mut places, numbers) = full(3);
        places.enter(numbers[0], State::Reading, at(5));
        places.enter(numbers[2], State::Busy, at(6));
        places.take(at(7)).unwrap();
        assert!(!has(&places, numbers[1]) && has(&places, numbers[0]));
        places.take(at(8)).unwrap();
        assert!(!has(&places, numbers[0]) && has(&places, numbers[2]));
        assert_eq!(places.tally().evicted, 2);
        assert_eq!(places.tally().most_open, 3);
    }

    #[test]
    fn who_has_brought_a_callback_goes_after_all_who_have_not() {
        let (mut places, numbers) = full(3);
        places.enter(numbers[0], State::Busy, at(4));
        places.enter(numbers[0], State::Idle, at(5));
        let newer: Vec<u64> = (6..8)
            .filter_map(|second| places.take(at(second)))
            .collect();
        assert!(has(&places, numbers[0]) && newer.iter().all(|number| has(&places, *number)));
        assert!(!has(&places, numbers[1]) && !has(&places, numbers[2]));
    }

    #[test]
    fn a_request_that_is_being_answered_is_never_cut_short() {
        let (mut places, numbers) = full(2);
        for number in &numbers {
            places.enter(*number, State::Busy, at(3));
        }
        assert_eq!(places.take(at(4)), None);
        places.close_overdue(at(10_000));
        assert!(numbers.iter().all(|number| has(&places, *number)));
        // One that is never to be answered may go.
        places.enter(numbers[1], State::Silent, at(5));
        places.close_overdue(at(10_000));
        assert!(has(&places, numbers[1]));
        assert!(places.take(at(6)).is_some() && !has(&places, numbers[1]));
        assert_eq!((places.tally().refused, places.tally().evicted), (1, 1));
    }

    #[test]
    fn a_request_has_its_time_and_an_idle_connection_more() {
        let (mut places, numbers) = full(3);
        places.enter(numbers[0], State::Reading, at(3));
        places.close_overdue(at(13));
        assert!(has(&places, numbers[0]));
        places.close_overdue(at(14));
        assert!(!has(&places, numbers[0]));
        assert_eq!(places.tally().timed_out, 1);
        places.close_overdue(at(121));
        assert!(has(&places, numbers[1]));
        places.close_overdue(at(122));
        assert!(!has(&places, numbers[1]) && has(&places, numbers[2]));
        assert_eq!(places.tally().timed_out, 1);
    }

    #[test]
    fn time_at_work_adds_up() {
        let (mut places, numbers) = full(3);
        places.enter(numbers[0], State::Busy, at(3));
        places.enter(numbers[1], State::Busy, at(4));
        places.enter(numbers[0], State::Idle, at(6));
        places.close(numbers[1], at(9));
        let tally = places.tally();
        assert_eq!((tally.most_busy, tally.busy), (2, Span::from_secs(3 + 5)));
        assert_eq!((places.busy, places.open.len()), (0, 2));
        assert_eq!(places.loose.len(), 2);
    }
}
