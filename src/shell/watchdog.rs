//! The watchdog: a thread that measures how late the process itself is.
//!
//! At random instants it looks at the clocks of the machine, and sends a probe to each shard: a few
//! bytes through a socket, which the shard reads and stamps as it does an answer. How late a probe
//! is stamped is how late an answer would have been that had come at that instant.
//!
//! The instants are those of a Poisson process of its own. So what the probes see is what is so on
//! the average over time (PASTA; Wolff, *Operations Research* 30 (1982), 223-231), and no rhythm of
//! the load can hide from them. Each is fixed beforehand. A probe counts from its sending, which a
//! timer alone makes some 0.1 ms late; but where the watchdog itself was held up, as the shards may
//! have been, it counts from the instant at which it was due. Else a process that is stopped would
//! send none for as long, and find that nothing was late.

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread::{Builder, JoinHandle};

use tokio::io::AsyncReadExt;
use tokio::runtime;
use tokio::sync::oneshot;

use super::RunClock;
use super::alarm::Alarm;
use super::driver::Inbox;
use crate::engine::Input;
use crate::random::{Purpose, stream};
use crate::record::disturbance::{ClockWatch, Disturbances, Kind};
use crate::scenario::Law;
use crate::sim::draw;
use crate::time::{Span, Tick};

/// The mean time between two probes of a shard: 1,200 a minute. With one shard all of it takes some
/// 0.07 % of a core, with four 0.23 % (`docs/decisions/013-own-error.md`).
const EVERY: Law = Law::Exponential(Span::from_millis(50));

/// A watchdog that is later than this had no processor: a timer alone is not so late.
const HELD_UP: Span = Span::from_millis(1);

/// The thread.
#[derive(Debug)]
pub struct Watchdog {
    thread: JoinHandle<io::Result<Disturbances>>,
    stop: oneshot::Sender<()>,
}

/// What a shard saw of itself: probes that it read late.
pub(super) type Late = Rc<RefCell<Disturbances>>;

/// The end at which a shard hears the watchdog.
#[derive(Debug)]
pub struct Probes {
    way: UnixStream,
}

impl Watchdog {
    /// Starts the watch over so many threads.
    pub fn start(clock: RunClock, seed: u64, threads: u64) -> io::Result<(Self, Vec<Probes>)> {
        let mut ways = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..threads {
            let (near, far) = UnixStream::pair()?;
            near.set_nonblocking(true)?;
            far.set_nonblocking(true)?;
            ways.push(near);
            ends.push(Probes { way: far });
        }
        let (stop, stopped) = oneshot::channel();
        let thread = Builder::new().name("watchdog".into()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(watch(clock, seed, &ways, stopped))
        })?;
        Ok((Self { thread, stop }, ends))
    }

    /// Ends the watch. The answer is what it saw; an error if it could not go on.
    pub fn stop(self) -> Result<Disturbances, String> {
        drop(self.stop);
        match self.thread.join() {
            Ok(seen) => seen.map_err(|error| error.to_string()),
            Err(_) => Err("the watchdog panicked".to_owned()),
        }
    }
}

async fn watch(
    clock: RunClock,
    seed: u64,
    ways: &[UnixStream],
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<Disturbances> {
    let mut random = stream(seed, Purpose::PROBES, 0);
    let mut clocks = ClockWatch::default();
    let alarm = Alarm::new(clock)?;
    alarm.until_origin().await?;
    let mut due = Tick::ZERO;
    clocks.look(due, clock.reading());
    loop {
        due = due + draw(&EVERY, &mut random);
        tokio::select! {
            biased;
            _ = &mut stopped => return Ok(clocks.seen()),
            rung = alarm.until(due) => rung?,
        }
        clocks.look(due, clock.reading());
        for mut way in ways {
            let sent = clock.now();
            let is_held_up = sent.since(due) > HELD_UP;
            let from = if is_held_up { due } else { sent };
            let probe = [sent, from].map(|at| at.0.to_le_bytes());
            // A shard that has ended hears nothing. One that is so late that its socket is full
            // need not hear more: what it has there will tell by how much.
            let _ = way.write(probe.as_flattened());
        }
    }
}

impl Probes {
    /// Reads probes as they come. Must be called inside a runtime.
    pub(super) fn listen(self) -> io::Result<Listening> {
        let way = tokio::net::UnixStream::from_std(self.way)?;
        Ok(Listening { way })
    }

    /// Reads probes as they come, and stamps them. Must be called inside a `LocalSet`.
    pub(super) fn hear(self, clock: RunClock, inbox: Inbox) -> io::Result<Late> {
        let mut probes = self.listen()?;
        let late = Late::default();
        let seen = Rc::clone(&late);
        tokio::task::spawn_local(async move {
            while let Some((sent, from)) = probes.next().await {
                let at = clock.now();
                let late = at.since(sent);
                seen.borrow_mut().note(Kind::ShardStarved, sent, late);
                inbox.put_for_later(Input::Probe { from, at });
            }
        });
        Ok(late)
    }
}

/// Probes as they come.
#[derive(Debug)]
pub(super) struct Listening {
    way: tokio::net::UnixStream,
}

impl Listening {
    /// When the next was sent, and from when on it could have been read. The end of the watch ends
    /// it.
    pub(super) async fn next(&mut self) -> Option<(Tick, Tick)> {
        let sent = self.way.read_u64_le().await.ok()?;
        let from = self.way.read_u64_le().await.ok()?;
        Some((Tick(sent), Tick(from)))
    }
}
