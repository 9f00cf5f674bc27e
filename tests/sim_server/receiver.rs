//! A receiver of callbacks that shares no code with the service: threads, and a channel to the
//! test, which decides on each answer and writes the log.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

/// A call, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// On which connection, by number.
    pub(crate) connection: usize,
    /// Path and query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Call {
    /// A text in the body, or nothing.
    pub(crate) fn said(&self, name: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn work_id(&self) -> String {
        self.said("work_id")
    }

    /// Which attempt it says that it is.
    pub(crate) fn attempt(&self) -> usize {
        self.headers["webhook-attempt"].parse().unwrap()
    }
}

/// What a call gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// A status, and lines of a header.
    Status(u16, &'static str),
    /// Nothing, until the other side leaves.
    Silence,
    /// The connection is closed without a byte.
    Close,
}

impl Reply {
    /// The word for it in the truth.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Status(status, _) => status.to_string(),
            Self::Silence => "timeout".to_owned(),
            Self::Close => "broken".to_owned(),
        }
    }
}

type Asked = (Call, mpsc::Sender<Reply>);

pub(crate) struct Receiver {
    pub(crate) addr: SocketAddr,
    calls: mpsc::Receiver<Asked>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, calls) = mpsc::channel();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (stream, tell) = (stream.unwrap(), tell.clone());
                std::thread::spawn(move || serve(number, stream, &tell));
            }
        });
        Self { addr, calls }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The next call, which waits for its reply.
    pub(crate) fn next(&self) -> Asked {
        self.calls.recv().unwrap()
    }

    /// A call that came already, if there is one.
    pub(crate) fn waiting(&self) -> Option<Asked> {
        self.calls.try_recv().ok()
    }

    /// Answers as many calls, and what was answered to each.
    pub(crate) fn answer(
        &self,
        count: usize,
        reply: impl Fn(&Call) -> Reply,
    ) -> Vec<(Call, Reply)> {
        let answer = |_| {
            let (call, answer) = self.next();
            let reply = reply(&call);
            answer.send(reply).unwrap();
            (call, reply)
        };
        (0..count).map(answer).collect()
    }
}

fn serve(connection: usize, stream: TcpStream, tell: &mpsc::Sender<Asked>) {
    let mut wire = BufReader::new(stream);
    while let Some(call) = read(connection, &mut wire) {
        let (answer, answered) = mpsc::channel();
        // A test that is over hears no more, and answers no more.
        let Ok(()) = tell.send((call, answer)) else {
            return;
        };
        match answered.recv() {
            Ok(Reply::Status(status, headers)) => {
                let text = format!("HTTP/1.1 {status} So\r\nContent-Length: 2\r\n{headers}\r\nok");
                if wire.get_mut().write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Ok(Reply::Silence) => {
                let _ = wire.read_to_end(&mut Vec::new());
                return;
            }
            Ok(Reply::Close) | Err(_) => return,
        }
    }
}

fn read(connection: usize, wire: &mut impl BufRead) -> Option<Call> {
    let mut line = String::new();
    let mut next = || {
        line.clear();
        let read = wire.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    };
    let first = next()?;
    let mut headers = BTreeMap::new();
    while let Some((name, value)) = next()?.split_once(": ") {
        let before = headers.insert(name.to_ascii_lowercase(), value.to_owned());
        assert_eq!(before, None, "{name} stands there twice");
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    wire.read_exact(&mut body).ok()?;
    let mut parts = first.split(' ');
    assert_eq!(parts.next(), Some("POST"), "{first}");
    let path = parts.next().unwrap().to_owned();
    assert_eq!(parts.next(), Some("HTTP/1.1"), "{first}");
    Some(Call {
        connection,
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
