//! What a poll costs in either lane of the client: `cargo bench --bench lanes`.
//!
//! 64 polls are on the wire, and the next one leaves when one is answered; the client's
//! thread is pinned to core 0, a server that always says the same to core 1. What is counted is the
//! client's own time on the processor, in user mode and altogether: the kernel's part is the same
//! work for everybody, and on a machine that is itself virtual the larger one. Lanes take turns,
//! and the figures to quote are the ratios within a turn. `REQUESTS` and `LANE` change what is
//! done.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it finds, and ends where it cannot go on"
)]

use plimsoll::scenario::{Lane, Plan, resolve};
use plimsoll::shell::client::{Answer, Client, ClientPlan, ConnectionCounts, NoAnswer, Reader};
use plimsoll::shell::{RunClock, limits, secret};
use plimsoll::time::Span;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

const CONNECTIONS: u64 = 64;
const TURNS: usize = 5;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    date: Mon, 23 Nov 2026 15:00:00 GMT\r\ncontent-length: 68\r\n\r\n\
    {\"work_id\": \"work_0123456789abcdef0123456789\", \"status\": \"running\"}\n";

fn main() {
    let requests = std::env::var("REQUESTS").map_or(100_000, |text| text.parse().unwrap());
    let only = std::env::var("LANE").ok();
    let url = serve();
    pin(0);
    let mut ratios = [Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        let mut costs = Vec::new();
        for lane in Lane::ALL {
            if only.as_deref().is_none_or(|only| only == lane.word()) {
                let [all, user] = cost(lane, &url, requests);
                println!(
                    "turn {turn}: {:>8} {all:.2} us a poll, {user:.2} in user mode",
                    lane.word()
                );
                costs.push([all, user]);
            }
        }
        if let [direct, reqwest] = costs[..] {
            for (part, ratios) in ratios.iter_mut().enumerate() {
                ratios.push(direct[part] / reqwest[part]);
            }
        }
    }
    for (name, mut ratios) in ["altogether", "in user mode"].into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        if let (Some(low), Some(high)) = (ratios.first(), ratios.last()) {
            let median = ratios[ratios.len() / 2];
            println!("direct / reqwest {name}: {median:.3} [{low:.3}..{high:.3}]");
        }
    }
}

/// What the calling thread has spent in user mode, in ticks of 10 ms: proc(5), field 14.
fn user_time() -> Span {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 = after_name.split(' ').nth(12).unwrap().parse().unwrap();
    Span::from_millis(10 * ticks)
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // On a machine with one core both share it: the time of the client's thread is still its own.
    let _ = sched_setaffinity(None, &set);
}

fn plan(lane: Lane, url: &str) -> Plan {
    let text = format!(
        "name = 'lanes'\n[target]\nbase_url = '{url}'\n[[load]]\nrate = '1/s'\nduration = '1s'\n\
         [http]\nlane = '{}'\n",
        lane.word()
    );
    resolve::read(&text, &[], &|_| Err(String::new())).unwrap()
}

/// Microseconds of processor time for each poll: altogether, and in user mode.
#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn cost(lane: Lane, url: &str, requests: u64) -> [f64; 2] {
    let counts = Arc::new(ConnectionCounts::default());
    let key = secret::for_simulator();
    let plan = ClientPlan::new(&plan(lane, url), url, Some(&key), Arc::clone(&counts)).unwrap();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async move {
        let clock = RunClock::starting_in(Span::ZERO);
        let answers = Rc::new(Answers::default());
        let client = plan.start(clock, Count(Rc::clone(&answers)));
        // Connections are opened, and memory is warm, before anything is counted.
        polls(&client, clock, url, (&answers, requests / 10)).await;
        let before = [limits::thread_cpu(), user_time()];
        polls(&client, clock, url, (&answers, requests)).await;
        let after = [limits::thread_cpu(), user_time()];
        // Else it would be the opening of connections that is measured.
        assert!(counts.take_opened() < requests / 100);
        [0, 1].map(|part| (after[part].0 - before[part].0) as f64 / requests as f64 / 1e3)
    })
}

#[derive(Debug, Default)]
struct Answers {
    read: Cell<u64>,
    one_more: Notify,
}

#[derive(Debug)]
struct Count(Rc<Answers>);

impl Reader for Count {
    type Errand = ();

    fn read(&self, (): (), came: Result<Answer<'_>, NoAnswer>) {
        assert_eq!(came.unwrap().status, 200);
        self.0.read.set(self.0.read.get() + 1);
        self.0.one_more.notify_one();
    }
}

async fn polls(
    client: &Client<Count>,
    clock: RunClock,
    url: &str,
    (answers, requests): (&Answers, u64),
) {
    let url = format!("{url}/v1/intake/demo/work/work_0123456789abcdef0123456789");
    let (before, mut sent) = (answers.read.get(), 0);
    while answers.read.get() - before < requests {
        let on_the_wire = sent - (answers.read.get() - before);
        for _ in on_the_wire..CONNECTIONS.min(requests - sent + on_the_wire) {
            client.poll(&url, clock.now(), ());
            sent += 1;
        }
        answers.one_more.notified().await;
    }
}

/// A server on core 1 that reads heads and says the same to each.
fn serve() -> String {
    let (bound, addr) = mpsc::channel();
    std::thread::spawn(move || {
        pin(1);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                spawn_local(answer(tcp));
            }
        });
    });
    format!("http://{}", addr.recv().unwrap())
}

/// A client that asks one after the other sends each head in one piece.
async fn answer(mut tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    let mut head = [0; 4_096];
    while matches!(tcp.read(&mut head).await, Ok(read) if read > 0) {
        if tcp.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}
