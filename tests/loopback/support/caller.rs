//! A service that calls back, badly on purpose, over sockets of its own. Its log is the truth.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use standardwebhooks::Webhook;
use url::Url;

use super::host::{Reply, Request, Service, answer};

/// What signs its calls.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It says that a work has completed.
    Completed,
    /// It says that a work has failed.
    Failed,
    /// It says that a work is running.
    Running,
    /// It says nothing that anybody understands.
    Gibberish,
    /// It is about a work that was never given to anybody.
    Stranger,
    /// Its signature is that of another secret.
    Forged,
    /// It goes to a path without the token.
    BadToken,
    /// It is too long.
    TooLong,
    /// It is so long that the answer may not be heard.
    FarTooLong,
    /// It is a GET.
    Get,
}

/// A call that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) delivery: String,
    /// The work's 202 had not been sent.
    pub(crate) is_early: bool,
    /// None where nobody answered.
    pub(crate) status: Option<u16>,
}

/// What becomes of a work.
#[derive(Clone, Debug)]
struct Life {
    /// When it ends, in seconds of the epoch.
    ends: f64,
    fails: bool,
    /// What it says beside its state.
    says: Option<String>,
}

impl Life {
    fn more(&self) -> String {
        match &self.says {
            Some(text) => format!(r#", "says": "{text}""#),
            None => String::new(),
        }
    }
}

/// Whether a service calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Calls {
    #[default]
    ByScript,
    Never,
}

/// How it calls.
#[derive(Clone, Default)]
pub(crate) struct Habits {
    /// Whether it calls at all.
    pub(crate) calls: Calls,
    /// It signs.
    pub(crate) signs: bool,
    /// It calls again where the answer is none, or 5xx, up to so many times.
    pub(crate) retries: u32,
    /// Before its first call it opens so many connections, and sends a byte on each.
    pub(crate) slow_connections: usize,
    /// From its first call on somebody opens connections and closes them, as fast as can be.
    pub(crate) floods: bool,
    /// So many go on telling of the first work, until nobody answers.
    pub(crate) insists: usize,
    /// It says the URL that it is to call again in each answer.
    pub(crate) echoes: bool,
    /// Whom it believes where it calls over TLS.
    pub(crate) trusts: Option<Arc<ClientConfig>>,
}

/// The service. What it does with a work is a function of the number of the arrival.
pub(crate) struct Caller {
    habits: Habits,
    lives: BTreeMap<String, Life>,
    log: Sender<Made>,
    made: Receiver<Made>,
    callers: Vec<JoinHandle<()>>,
    /// Connections that are open and say nothing more.
    slow: Vec<TcpStream>,
    flood: Option<JoinHandle<()>>,
    ended: Arc<AtomicBool>,
}

/// Numbers of arrivals after which everything begins anew.
pub(crate) const ROUND: u64 = 20;

/// From the submit to the end of a work.
const LIFE: Duration = Duration::from_millis(200);

/// What is called about a work, and how long after the call before.
fn script(seq: u64) -> Vec<(Duration, Kind, &'static str)> {
    use Kind::{
        BadToken, Completed, Failed, FarTooLong, Forged, Get, Gibberish, Running, Stranger, TooLong,
    };
    let (now, soon) = (Duration::ZERO, Duration::from_millis(20));
    let end = if is_early(seq) { now } else { LIFE };
    match seq % ROUND {
        1 => vec![(end, Failed, "a")],
        2 => vec![],
        3 => vec![(end, Completed, "a"), (soon, Completed, "a")],
        4 => vec![(end, Completed, "a"), (soon, Completed, "b")],
        5 => vec![(end + Duration::from_secs(1), Completed, "a")],
        7 => vec![(LIFE / 4, Running, "a"), (end, Completed, "b")],
        8 => vec![(end, Gibberish, "a"), (soon, Completed, "b")],
        9 => vec![(end, Forged, "a")],
        10 => vec![(end, Stranger, "a"), (soon, Completed, "b")],
        11 => vec![(end, BadToken, "a"), (now, Completed, "b")],
        12 => vec![(end, TooLong, "a"), (now, Get, "b"), (now, Completed, "c")],
        13 => vec![
            (end, Completed, "a"),
            (now, Completed, "a"),
            (now, Completed, "b"),
        ],
        14 => vec![(end, FarTooLong, "a"), (now, Completed, "b")],
        _ => vec![(end, Completed, "a")],
    }
}

/// Whether everything is called before the 202 is sent.
fn is_early(seq: u64) -> bool {
    seq % ROUND == 6
}

impl Caller {
    pub(crate) fn new(habits: Habits) -> Self {
        let (log, made) = channel();
        Self {
            lives: BTreeMap::new(),
            log,
            made,
            callers: Vec::new(),
            slow: Vec::new(),
            flood: None,
            ended: Arc::default(),
            habits,
        }
    }

    /// Every call that was made.
    pub(crate) fn made(mut self) -> Vec<Made> {
        self.callers.drain(..).for_each(|it| it.join().unwrap());
        self.ended.store(true, Ordering::Relaxed);
        self.flood.into_iter().for_each(|it| it.join().unwrap());
        drop(self.log);
        self.made.iter().collect()
    }

    /// The works that were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.lives.len() as u64
    }

    fn submit(&mut self, request: &Request) -> Reply {
        let seq = request.seq();
        let id = format!("work_{seq:04}");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let url = body["callback_url"].as_str();
        let url = url.unwrap_or(request.header("x-callback-url")).to_owned();
        let line = Line {
            seq,
            id: id.clone(),
            url: Url::parse(&url).unwrap(),
            habits: self.habits.clone(),
            log: self.log.clone(),
        };
        while self.slow.len() < self.habits.slow_connections {
            let mut slow = line.connect().unwrap();
            slow.write_all(b"P").unwrap();
            self.slow.push(slow);
        }
        if self.habits.floods && self.flood.is_none() {
            let address = line.url.socket_addrs(|| None).unwrap()[0];
            let ended = Arc::clone(&self.ended);
            self.flood = Some(thread::spawn(move || {
                // Once the receiver has gone nobody can be flooded.
                while !ended.load(Ordering::Relaxed) && TcpStream::connect(address).is_ok() {}
            }));
        }
        while seq == 0 && self.callers.len() < self.habits.insists {
            let line = line.clone();
            self.callers.push(thread::spawn(move || line.insist()));
        }
        let life = Life {
            ends: request.at + LIFE.as_secs_f64(),
            fails: seq % ROUND == 1,
            says: self.habits.echoes.then_some(url),
        };
        self.lives.insert(id.clone(), life.clone());
        if is_early(seq) {
            line.call_all();
        } else {
            self.callers.push(thread::spawn(move || line.call_all()));
        }
        answer(202, &[], format!(r#"{{"work_id": "{id}"{}}}"#, life.more()))
    }
}

impl Service for Caller {
    fn answer(&mut self, request: &Request) -> Reply {
        if request.method == "POST" {
            return self.submit(request);
        }
        let id = request.target.rsplit('/').next().unwrap();
        let life = &self.lives[id];
        let word = match (request.at >= life.ends, life.fails) {
            (false, _) => "running",
            (true, false) => "completed",
            (true, true) => "failed",
        };
        answer(
            200,
            &[],
            format!(r#"{{"status": "{word}"{}}}"#, life.more()),
        )
    }
}

/// The calls about one work.
#[derive(Clone)]
struct Line {
    seq: u64,
    id: String,
    url: Url,
    habits: Habits,
    log: Sender<Made>,
}

impl Line {
    #[expect(
        clippy::disallowed_methods,
        reason = "a service that calls later has a clock of its own"
    )]
    fn call_all(&self) {
        if self.habits.calls == Calls::Never {
            return;
        }
        for (wait, kind, delivery) in script(self.seq) {
            thread::sleep(wait);
            let delivery = format!("msg_{}_{delivery}", self.seq);
            for _ in 0..=self.habits.retries {
                let answered = self.call(kind, &delivery);
                // Who is still writing may hear nothing: it counts as refused all the same.
                let is_long = kind == Kind::FarTooLong;
                let status = answered.or(is_long.then_some(413));
                let made = Made {
                    seq: self.seq,
                    kind,
                    delivery: delivery.clone(),
                    is_early: is_early(self.seq),
                    status,
                };
                self.log.send(made).unwrap();
                if status.is_some_and(|status| status < 500) {
                    break;
                }
            }
        }
    }

    fn insist(&self) {
        let mut status = Some(200);
        while status.is_some() {
            status = self.call(Kind::Completed, "insisting");
            let made = Made {
                seq: self.seq,
                kind: Kind::Completed,
                delivery: "insisting".to_owned(),
                is_early: false,
                status,
            };
            self.log.send(made).unwrap();
        }
    }

    fn connect(&self) -> Option<TcpStream> {
        let address = self.url.socket_addrs(|| None).unwrap()[0];
        let stream = TcpStream::connect(address).ok()?;
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).unwrap();
        Some(stream)
    }

    fn call(&self, kind: Kind, delivery: &str) -> Option<u16> {
        let says = if self.habits.echoes {
            format!(r#","says":"{}""#, self.url)
        } else {
            String::new()
        };
        let said =
            |id: &str, word: &str| format!(r#"{{"work_id":"{id}","status":"{word}"{says}}}"#);
        let body = match kind {
            Kind::Failed => said(&self.id, "failed"),
            Kind::Running => said(&self.id, "running"),
            Kind::Gibberish => "<html>".to_owned(),
            Kind::Stranger if self.habits.echoes => said(self.url.as_str(), "completed"),
            Kind::Stranger => said("nobody's", "completed"),
            Kind::TooLong => "x".repeat(5_000),
            Kind::FarTooLong => "x".repeat(5_000_000),
            _ => said(&self.id, "completed"),
        };
        let (method, path) = match kind {
            Kind::Get => ("GET", self.url.path().to_owned()),
            Kind::BadToken => ("POST", format!("{}0", self.url.path())),
            _ => ("POST", self.url.path().to_owned()),
        };
        let mut lines = vec![format!("webhook-id: {delivery}")];
        if self.habits.signs {
            let now = jiff::Timestamp::now().as_second();
            let secret = match kind {
                Kind::Forged => "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                _ => SECRET,
            };
            let signer = Webhook::new(secret).unwrap();
            let code = signer.sign(delivery, now, body.as_bytes()).unwrap();
            lines.push(format!("webhook-timestamp: {now}"));
            lines.push(format!("webhook-signature: {code}"));
        }
        let stream = self.connect()?;
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\
             {}\r\n\r\n{body}",
            body.len(),
            lines.join("\r\n"),
        );
        match &self.habits.trusts {
            None => exchange(stream, &text),
            Some(config) => {
                let name = "localhost".try_into().unwrap();
                let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
                exchange(StreamOwned::new(tls, stream), &text)
            }
        }
    }
}

/// The status of the answer; none if there is none.
fn exchange(mut stream: impl Read + Write, text: &str) -> Option<u16> {
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // How the connection ends does not matter, once the answer is there.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
