//! How late a bare loop is: one datagram at each intended instant, by a timerfd and by the
//! runtime's own sleep. What a load generator adds to the first of them is its own.
//! `cargo bench --bench pacing`; `RATE=1000 LENGTH=4` (seconds). Prints a line of JSON a method.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench measures what the clock says, prints it, and ends where it cannot go on"
)]

use std::net::UdpSocket;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use plimsoll::shell::limits::thread_cpu;

/// Sends at each intended instant, and keeps by how much it was late.
struct Pace {
    socket: UdpSocket,
    begin: Instant,
    gap: Duration,
    sent: u32,
    count: u32,
    late: Histogram<u64>,
}

impl Pace {
    fn new(rate: u32, seconds: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // To itself; nobody reads, and the kernel drops what its buffer cannot hold.
        socket.connect(socket.local_addr().unwrap()).unwrap();
        Self {
            socket,
            begin: Instant::now() + Duration::from_millis(50),
            gap: Duration::from_secs(1) / rate,
            sent: 0,
            count: rate * seconds,
            late: Histogram::new(3).unwrap(),
        }
    }

    /// Sends all that is due. Then the next instant, if there is one.
    fn turn(&mut self) -> Option<Instant> {
        while self.sent < self.count {
            let due = self.begin + self.gap * self.sent;
            let now = Instant::now();
            if now < due {
                return Some(due);
            }
            self.socket.send(b"x").unwrap();
            self.late += u64::try_from((now - due).as_nanos()).unwrap();
            self.sent += 1;
        }
        None
    }
}

fn by_timerfd(pace: &mut Pace) {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).unwrap();
    while let Some(due) = pace.turn() {
        // Zero would disarm it.
        let wait = due.saturating_duration_since(Instant::now()).as_nanos() + 1;
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: i64::try_from(wait / 1_000_000_000).unwrap(),
            tv_nsec: i64::try_from(wait % 1_000_000_000).unwrap(),
        };
        let once = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once).unwrap();
        rustix::io::read(&timer, &mut [0_u8; 8]).unwrap();
    }
}

fn by_sleep(pace: &mut Pace) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        while let Some(due) = pace.turn() {
            tokio::time::sleep_until(due.into()).await;
        }
    });
}

fn main() {
    let number = |name, or| std::env::var(name).map_or(or, |text| text.parse().unwrap());
    let (rate, seconds) = (number("RATE", 1_000), number("LENGTH", 4));
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).unwrap();
    for name in ["timerfd", "sleep"] {
        let mut pace = Pace::new(rate, seconds);
        let (cpu, wall) = (thread_cpu(), Instant::now());
        match name {
            "timerfd" => by_timerfd(&mut pace),
            _ => by_sleep(&mut pace),
        }
        let cpu = (thread_cpu().seconds() - cpu.seconds()) / wall.elapsed().as_secs_f64();
        let micros = |quantile| pace.late.value_at_quantile(quantile) / 1_000;
        println!(
            "{{\"method\":\"{name}\",\"rate\":{rate},\"p50_us\":{},\"p99_us\":{},\"core\":{cpu:.4}}}",
            micros(0.5),
            micros(0.99)
        );
    }
}
