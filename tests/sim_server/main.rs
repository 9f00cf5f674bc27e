//! The simulated service over real sockets, seen by a client that shares no code with it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod callbacks;
mod receiver;

use plimsoll::scenario::{Bucket, Law, Rate, RateScope, SimCallback, SimPlan, Window};
use plimsoll::shell::sim_command::{SimCommand, serve_until};
use plimsoll::shell::sim_server::{SimSecrets, SimServer};
use plimsoll::sim::{Answered, Kind, LastAnswer, State, Truth};
use plimsoll::time::Span;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn quiet_plan() -> SimPlan {
    SimPlan {
        finished_at: None,
        workers: 0,
        service_time: Law::Fixed(Span::ZERO),
        failed_service_time: None,
        fail_ratio: 0.0,
        accept_delay: Law::Fixed(Span::ZERO),
        poll_delay: Law::Fixed(Span::ZERO),
        network_delay: Law::Fixed(Span::ZERO),
        rate_limit: None,
        rate_scope: RateScope::Both,
        api_key: None,
        intake_id: "demo".into(),
        visible_after: Span::ZERO,
        retry_after_s: 0,
        stalls: Vec::new(),
        refusals: Vec::new(),
        error_ratio: 0.0,
        reset_before_ratio: 0.0,
        reset_after_ratio: 0.0,
        lose_ratio: 0.0,
        endless_ratio: 0.0,
        repeat_id_ratio: 0.0,
        revert_ratio: 0.0,
        garbage_ratio: 0.0,
        callback: SimCallback::faultless(),
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests of the shell meet its clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn start(plan: &SimPlan) -> SimServer {
    SimServer::start(plan, SimSecrets::default(), 7, now(), any_port()).unwrap()
}

/// A client of one connection, which it opens again after an error.
struct Client {
    addr: SocketAddr,
    wire: Option<BufReader<TcpStream>>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Reply {
    fn field(&self, name: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        Some(body.get(name)?.as_str()?.to_owned())
    }
}

const OBJECT: &str = r#"{"source": "test"}"#;

impl Client {
    fn new(addr: SocketAddr) -> Self {
        Self { addr, wire: None }
    }

    fn submit(&mut self) -> io::Result<Reply> {
        self.send("POST", "/v1/intake/demo", "Bearer user.x", OBJECT)
    }

    /// With more lines of a header, and a body of one's own.
    fn submit_as(&mut self, headers: &str, body: &str) -> io::Result<Reply> {
        let key = format!("Bearer user.x\r\n{headers}");
        self.send("POST", "/v1/intake/demo", key.trim_end(), body)
    }

    fn poll(&mut self, id: &str) -> io::Result<Reply> {
        self.send(
            "GET",
            &format!("/v1/intake/demo/work/{id}"),
            "Bearer user.x",
            "",
        )
    }

    fn send(&mut self, method: &str, path: &str, key: &str, body: &str) -> io::Result<Reply> {
        let result = self.exchange(method, path, key, body);
        if result.is_err() {
            self.wire = None;
        }
        result
    }

    fn exchange(&mut self, method: &str, path: &str, key: &str, body: &str) -> io::Result<Reply> {
        if self.wire.is_none() {
            self.wire = Some(BufReader::new(TcpStream::connect(self.addr)?));
        }
        let wire = self.wire.as_mut().unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: sim\r\nAuthorization: {key}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        wire.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        if wire.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            wire.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        wire.read_exact(&mut body)?;
        let body = String::from_utf8(body).unwrap();
        Ok(Reply {
            status,
            headers,
            body,
        })
    }
}

#[test]
fn a_work_is_taken_and_polled_on_one_connection() {
    let server = start(&SimPlan {
        fail_ratio: 0.5,
        ..quiet_plan()
    });
    let mut client = Client::new(server.addr());
    let mut told = BTreeMap::new();
    for _ in 0..20 {
        let taken = client.submit().unwrap();
        assert_eq!(taken.status, 202);
        assert_eq!(taken.headers["content-type"], "application/json");
        let id = taken.field("work_id").unwrap();
        assert!(id.starts_with("work_"), "{id}");
        let reply = client.poll(&id).unwrap();
        assert_eq!(reply.status, 200);
        told.insert(id, reply.field("status").unwrap());
    }
    let truth = server.stop().unwrap();
    let kept: BTreeMap<String, String> = truth
        .rows()
        .map(|row| (row.work_id, row.last_answer.word().to_owned()))
        .collect();
    assert_eq!(kept, told);
    assert!(told.values().any(|word| word == "failed"));
    assert!(told.values().any(|word| word == "completed"));
}

#[test]
fn what_is_not_in_the_contract_is_refused() {
    let server = start(&quiet_plan());
    let mut client = Client::new(server.addr());
    let mut check = |method, path, key, body: &str, status: u16| {
        let reply = client.send(method, path, key, body).unwrap();
        assert_eq!(reply.status, status, "{method} {path} {key}");
        assert!(
            reply.field("error").is_some() || status == 202,
            "{}",
            reply.body
        );
        reply
    };
    let (submit, poll) = (
        "/v1/intake/demo",
        "/v1/intake/demo/work/work_0123456789abcdef",
    );
    check("POST", submit, "Bearer team.x", OBJECT, 202);
    check("POST", submit, "Bearer other", OBJECT, 401);
    check("POST", submit, "Basic user.x", OBJECT, 401);
    check("GET", poll, "Bearer other", "", 401);
    check("GET", poll, "Bearer user.x", "", 404);
    check("POST", "/v1/intake/other", "Bearer user.x", OBJECT, 404);
    check("GET", "/", "Bearer user.x", "", 404);
    check("POST", submit, "Bearer user.x", "[1]", 400);
    check("POST", submit, "Bearer user.x", "", 400);
    let allow = |reply: &Reply| reply.headers["allow"].clone();
    assert_eq!(
        allow(&check("PUT", submit, "Bearer user.x", OBJECT, 405)),
        "POST"
    );
    assert_eq!(
        allow(&check("DELETE", poll, "Bearer user.x", "", 405)),
        "GET"
    );
    let huge = format!(r#"{{"text": "{}"}}"#, "x".repeat(2 << 20));
    check("POST", submit, "Bearer user.x", &huge, 413);
    let truth = server.stop().unwrap();
    let count = |kind, answered| truth.books().answered(kind, answered);
    assert_eq!(count(Kind::Submit, Answered::Granted), 1);
    assert_eq!(count(Kind::Submit, Answered::Unauthorized), 2);
    assert_eq!(count(Kind::Submit, Answered::BadRequest), 4);
    assert_eq!(count(Kind::Poll, Answered::UnknownWork), 1);
}

#[test]
fn a_named_key_is_the_only_one() {
    let key = SimSecrets {
        key: Some("team.named".to_owned()),
        ..SimSecrets::default()
    };
    let server = SimServer::start(&quiet_plan(), key, 7, now(), any_port()).unwrap();
    let mut client = Client::new(server.addr());
    let mut status = |key| {
        client
            .send("POST", "/v1/intake/demo", key, OBJECT)
            .unwrap()
            .status
    };
    assert_eq!(status("Bearer team.named"), 202);
    assert_eq!(status("Bearer team.other"), 401);
}

#[test]
fn who_watches_learns_of_every_request_and_when_its_answer_left() {
    let delay = Span::from_millis(30);
    let plan = SimPlan {
        accept_delay: Law::Fixed(delay),
        ..quiet_plan()
    };
    let server =
        SimServer::start_watched(&plan, SimSecrets::default(), 7, now(), any_port()).unwrap();
    let mut client = Client::new(server.addr());
    let id = client.submit().unwrap().field("work_id").unwrap();
    client.poll(&id).unwrap();
    client
        .send("POST", "/v1/intake/demo", "Bearer nobody", OBJECT)
        .unwrap();
    let (_, seen) = server.stop_watched().unwrap();
    let what: Vec<_> = seen
        .iter()
        .map(|one| (one.kind, one.work, one.answered, one.terminal))
        .collect();
    let expected = [
        (Kind::Submit, Some(0), Answered::Granted, false),
        (Kind::Poll, Some(0), Answered::Granted, true),
        (Kind::Submit, None, Answered::Unauthorized, false),
    ];
    assert_eq!(what, expected);
    assert!(seen[0].left.since(seen[0].arrived) >= delay, "{seen:?}");
    assert!(seen.is_sorted_by_key(|one| one.arrived), "{seen:?}");
    // A service that nobody watches keeps no list.
    let server = start(&quiet_plan());
    Client::new(server.addr()).submit().unwrap();
    assert!(server.stop_watched().unwrap().1.is_empty());
}

#[test]
fn a_rate_limit_is_told_in_headers() {
    let rate = Rate {
        count: 1,
        per: Span::from_secs(3_600),
    };
    let server = start(&SimPlan {
        rate_limit: Some(Bucket { rate, burst: 2 }),
        ..quiet_plan()
    });
    let mut client = Client::new(server.addr());
    let first = client.submit().unwrap();
    assert_eq!(first.headers["ratelimit-policy"], r#""default";q=1;w=3600"#);
    assert_eq!(first.headers["ratelimit"], r#""default";r=1;t=3600"#);
    assert_eq!(client.poll("work_0").unwrap().status, 404);
    let refused = client.submit().unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["ratelimit"], r#""default";r=0;t=7200"#);
    // The test took less than an hour, and some time: so the wait is 3600 rounded up.
    assert_eq!(refused.headers["retry-after"], "3600");
}

#[test]
fn a_reset_is_a_reset() {
    let check = |plan: SimPlan, taken: usize| {
        let server = start(&plan);
        let error = Client::new(server.addr()).submit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        assert_eq!(server.stop().unwrap().rows().count(), taken);
    };
    check(
        SimPlan {
            reset_before_ratio: 1.0,
            ..quiet_plan()
        },
        0,
    );
    check(
        SimPlan {
            reset_after_ratio: 1.0,
            ..quiet_plan()
        },
        1,
    );
}

#[test]
fn nothing_is_answered_before_its_time() {
    let check = |plan: &SimPlan, answered_after: Duration| {
        let origin = now();
        let server = SimServer::start(plan, SimSecrets::default(), 7, origin, any_port()).unwrap();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let mut client = Client::new(server.addr());
                std::thread::spawn(move || client.submit().unwrap().status)
            })
            .collect();
        for client in clients {
            assert_eq!(client.join().unwrap(), 202);
            assert!(now() - origin >= answered_after);
        }
        server.stop().unwrap()
    };
    let length = Span::from_millis(150);
    let stalled = SimPlan {
        stalls: vec![Window {
            at: Span::ZERO,
            length,
        }],
        ..quiet_plan()
    };
    let truth = check(&stalled, length.duration());
    assert!(truth.rows().all(|row| row.accepted.0 >= length.0));
    let delayed = SimPlan {
        accept_delay: Law::Fixed(length),
        ..quiet_plan()
    };
    check(&delayed, length.duration());
}

/// What a client of many faults knows at the end.
#[derive(Default)]
struct Seen {
    told: BTreeMap<String, LastAnswer>,
    maybe_accepted: usize,
    refused: u64,
}

fn follow(client: &mut Client, seen: &mut Seen) {
    let id = match client.submit() {
        Ok(reply) if reply.status == 202 => reply.field("work_id"),
        Ok(reply) => {
            assert_eq!(reply.status, 500);
            seen.refused += 1;
            return;
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            None
        }
    };
    let Some(id) = id else {
        seen.maybe_accepted += 1;
        return;
    };
    loop {
        let reply = client.poll(&id).unwrap();
        let answer = match (reply.status, reply.field("status").as_deref()) {
            (200, Some("completed")) => LastAnswer::Word(plimsoll::sim::Word::Completed),
            (200, Some("failed")) => LastAnswer::Word(plimsoll::sim::Word::Failed),
            (404, _) => LastAnswer::NotFound,
            // Broken or garbage: ask again.
            (200 | 500, None) => continue,
            other => panic!("{other:?}"),
        };
        seen.told.insert(id, answer);
        return;
    }
}

#[test]
fn the_truth_balances_with_what_clients_saw() {
    let server = start(&SimPlan {
        fail_ratio: 0.2,
        lose_ratio: 0.1,
        error_ratio: 0.1,
        reset_before_ratio: 0.1,
        reset_after_ratio: 0.1,
        garbage_ratio: 0.1,
        ..quiet_plan()
    });
    let addr = server.addr();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let (mut client, mut seen) = (Client::new(addr), Seen::default());
                for _ in 0..100 {
                    follow(&mut client, &mut seen);
                }
                seen
            })
        })
        .collect();
    let mut all = Seen::default();
    for client in clients {
        let seen = client.join().unwrap();
        all.told.extend(seen.told);
        all.maybe_accepted += seen.maybe_accepted;
        all.refused += seen.refused;
    }
    check_books(&server.stop().unwrap(), &all);
}

fn check_books(truth: &Truth, seen: &Seen) {
    let mut not_ours = 0;
    for row in truth.rows() {
        let Some(told) = seen.told.get(&row.work_id) else {
            not_ours += 1;
            continue;
        };
        assert_eq!(row.last_answer, *told);
        let agreed = match told {
            LastAnswer::NotFound => row.state == State::Lost,
            LastAnswer::Word(word) => row.state.word() == word.word(),
            LastAnswer::Nothing => false,
        };
        assert!(agreed, "{row:?}");
    }
    assert_eq!(truth.rows().count(), seen.told.len() + not_ours);
    let count = |answered| truth.books().answered(Kind::Submit, answered);
    assert_eq!(count(Answered::Granted), seen.told.len() as u64);
    assert_eq!(count(Answered::Internal), seen.refused);
    let unanswered = count(Answered::Garbage) + count(Answered::ResetAfter);
    assert_eq!(unanswered, not_ours as u64);
    assert_eq!(
        unanswered + count(Answered::ResetBefore),
        seen.maybe_accepted as u64
    );
    assert_eq!(truth.books().requests(Kind::Submit), 800);
}

#[test]
fn stopping_closes_idle_connections_and_the_port() {
    let server = start(&quiet_plan());
    let addr = server.addr();
    let mut client = Client::new(addr);
    assert_eq!(client.submit().unwrap().status, 202);
    assert_eq!(server.stop().unwrap().rows().count(), 1);
    let mut rest = Vec::new();
    assert_eq!(client.wire.unwrap().read_to_end(&mut rest).unwrap(), 0);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn stopping_cuts_off_an_answer_that_is_too_far_away() {
    let accept_delay = Law::Fixed(Span::from_secs(3_600));
    let server = start(&SimPlan {
        accept_delay,
        ..quiet_plan()
    });
    let mut waiting = TcpStream::connect(server.addr()).unwrap();
    let length = OBJECT.len();
    let head = "POST /v1/intake/demo HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer user.x\r\n";
    write!(waiting, "{head}Content-Length: {length}\r\n\r\n{OBJECT}").unwrap();
    // Later requests are answered while the first one waits; after them it has surely been read.
    let mut other = Client::new(server.addr());
    for _ in 0..20 {
        assert_eq!(other.poll("work_0").unwrap().status, 404);
    }
    assert_eq!(server.stop().unwrap().rows().count(), 1);
    let mut answer = Vec::new();
    // Closed or reset, but never answered.
    let _ = waiting.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn a_taken_port_is_an_error_at_the_start() {
    let server = start(&quiet_plan());
    // Linux lets nobody listen where somebody listens, whatever SO_REUSEADDR says.
    let second = SimServer::start(
        &quiet_plan(),
        SimSecrets::default(),
        7,
        now(),
        server.addr(),
    );
    assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
}

/// A writer that passes on what is flushed.
struct Lines(Vec<u8>, mpsc::Sender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = String::from_utf8(std::mem::take(&mut self.0)).unwrap();
        self.1.send(text).map_err(io::Error::other)
    }
}

fn address_in(greeting: &str) -> SocketAddr {
    let start = greeting.find("127.0.0.1:").unwrap();
    let rest = greeting[start..].split(['/', ',']).next();
    rest.unwrap().parse().unwrap()
}

#[test]
fn the_command_says_where_it_listens_and_leaves_the_truth() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("truth.csv");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (lines, heard) = mpsc::channel();
    let asked = SimCommand {
        plan: quiet_plan(),
        seed: 7,
        listen: any_port(),
        truth: Some(path.clone()),
    };
    let serving = std::thread::spawn(move || {
        let stop = async { stopped.await.map_err(io::Error::other) };
        serve_until(
            asked,
            SimSecrets::default(),
            &mut Lines(Vec::new(), lines),
            stop,
        )
    });
    let greeting = heard.recv().unwrap();
    let addr = address_in(&greeting);
    assert!(greeting.contains("curl -i"), "{greeting}");
    let taken = Client::new(addr).submit().unwrap();
    stop.send(()).unwrap();
    serving.join().unwrap().unwrap();
    assert!(heard.recv().unwrap().contains("took 1 works"));
    let file = std::fs::read_to_string(path).unwrap();
    let row: Vec<&str> = file.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(row[0], taken.field("work_id").unwrap());
    // Seconds of the epoch: after this file was written, in the year 2026.
    assert!(row[1].parse::<f64>().unwrap() > 1.76e9, "{row:?}");
    assert_eq!(row[4], "completed");
}
