//! Both lanes of the client before servers that say byte for byte what they are told to.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod canned;

use canned::{Act, Server};
use plimsoll::scenario::{Lane, Plan, resolve};
use plimsoll::shell::RunClock;
use plimsoll::shell::client::{
    Answer, Client, ClientPlan, ConnectionCounts, NoAnswer, Reader, Submission,
};
use plimsoll::shell::secret;
use plimsoll::time::Span;
use plimsoll::work::Fault;
use proptest::prelude::*;
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn plan(lane: Lane, base_url: &str, more: &str) -> Plan {
    let text = format!(
        "name = 'lanes'\n[target]\nbase_url = '{base_url}'\n[[load]]\nrate = '1/s'\nduration = '1s'\n\
         [http]\nlane = '{}'\n{more}\n",
        lane.word()
    );
    resolve::read(&text, &[], &|file| Ok(canned::authority(file).into_bytes())).unwrap()
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Came {
    /// Status and body.
    Answer(u16, Vec<u8>),
    /// Fault, status, `maybe_written`.
    Nothing(Fault, Option<u16>, bool),
}

fn answer(status: u16, body: &str) -> Came {
    Came::Answer(status, body.into())
}

/// Tells whoever asked what came of it.
#[derive(Debug)]
struct Tell;

impl Reader for Tell {
    type Errand = oneshot::Sender<Came>;

    fn read(&self, asked: Self::Errand, came: Result<Answer<'_>, NoAnswer>) {
        let came = match came {
            Ok(answer) => Came::Answer(answer.status, answer.body.to_vec()),
            Err(no_answer) => {
                assert!(!no_answer.detail.is_empty());
                assert!(!no_answer.detail.contains("user."), "{}", no_answer.detail);
                Came::Nothing(no_answer.fault, no_answer.status, no_answer.maybe_written)
            }
        };
        asked.send(came).unwrap();
    }
}

/// A client of one lane, and what it asks.
struct Asking {
    client: Client<Tell>,
    counts: Arc<ConnectionCounts>,
    base_url: String,
    clock: RunClock,
}

impl Asking {
    async fn poll(&self) -> Came {
        let url = format!("{}/jobs/1?a=b", self.base_url);
        self.get(&url).await
    }

    async fn get(&self, url: &str) -> Came {
        let (tell, told) = oneshot::channel();
        self.client.poll(url, self.clock.now(), tell);
        told.await.unwrap()
    }

    async fn submit(&self, body: Vec<u8>) -> Came {
        let submission = Submission {
            url: format!("{}/intake", self.base_url),
            headers: Vec::new(),
            body,
        };
        let (tell, told) = oneshot::channel();
        self.client.submit(submission, self.clock.now(), tell);
        told.await.unwrap()
    }
}

/// Lets a client of a lane ask whatever `asks` wants to know.
fn ask<T>(lane: Lane, base_url: &str, more: &str, asks: impl AsyncFnOnce(Asking) -> T) -> T {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async move {
        let counts = Arc::new(ConnectionCounts::default());
        let key = secret::for_simulator();
        let plan = plan(lane, base_url, more);
        let client = ClientPlan::new(&plan, base_url, Some(&key), Arc::clone(&counts)).unwrap();
        let clock = RunClock::starting_in(Span::ZERO);
        asks(Asking {
            client: client.start(clock, Tell),
            counts,
            base_url: base_url.to_owned(),
            clock,
        })
        .await
    })
}

/// Polls as often as `expected` is long, against connections that play `script`; both lanes.
fn check(about: &str, script: &[&[Act]], more: &str, expected: &[Came], connections: u64) {
    for lane in Lane::ALL {
        let mut server = Server::start(script);
        ask(lane, &server.url(), more, async |asking| {
            let (mut playing, mut asked) = (script.iter(), 0);
            let mut acts: &[Act] = playing.next().unwrap();
            for (nth, expected) in expected.iter().enumerate() {
                if asked == acts.iter().filter(|act| matches!(act, Read)).count() {
                    (acts, asked) = (playing.next().unwrap(), 0);
                }
                assert_eq!(asking.poll().await, *expected, "{about} {lane:?} {nth}");
                asked += 1;
                let is_last = asked == acts.iter().filter(|act| matches!(act, Read)).count();
                if is_last && matches!(acts.last(), Some(Close | Reset)) {
                    // What is asked next meets a connection that is known to be closed.
                    server.left().await;
                }
            }
            assert_eq!(asking.counts.take_opened(), connections, "{about} {lane:?}");
        });
    }
}

use Act::{Close, Read, Reset, Say, Silence};

#[test]
fn connections_are_kept_while_both_ends_want_it() {
    let ok = answer(200, "ok");
    let two = [ok.clone(), ok.clone()];
    let kept: &[Act] = &[Read, Say(OK), Read, Say(OK)];
    check("keep-alive", &[kept], "", &two, 1);
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let closed: &[Act] = &[Read, Say(close), Close];
    check("Connection: close", &[closed, closed], "", &two, 2);
    let old: &[Act] = &[Read, Say("HTTP/1.0 200 OK\r\n\r\nok"), Close];
    check("HTTP/1.0, body until the end", &[old, old], "", &two, 2);
    let idle: &[Act] = &[Read, Say(OK), Close];
    check("closed while idle", &[idle, idle], "", &two, 2);
}

#[test]
fn bodies_come_in_every_framing() {
    let check = |about: &str, bytes: &'static str, expected: Came| {
        let script: &[Act] = &[Read, Say(bytes), Read, Say(OK)];
        check(about, &[script], "", &[expected, answer(200, "ok")], 1);
    };
    check(
        "chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        answer(200, "abcde"),
    );
    check(
        "chunks and trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-End: 1\r\n\r\n",
        answer(200, "a"),
    );
    check(
        "no body",
        "HTTP/1.1 204 No Content\r\n\r\n",
        answer(204, ""),
    );
    check(
        "an empty body",
        "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n",
        answer(503, ""),
    );
    check(
        "an interim answer first",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\nx",
        answer(202, "x"),
    );
    check(
        "a redirect is an answer",
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        answer(302, ""),
    );
}

#[test]
fn a_body_in_pieces_is_one_body() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    let script: &[Act] = &[
        Read,
        Say(head),
        Say("ab"),
        Say("cd"),
        Say("ef"),
        Read,
        Say(OK),
    ];
    let expected = [answer(200, "abcdef"), answer(200, "ok")];
    check("pieces", &[script], "", &expected, 1);
}

#[test]
fn broken_answers_are_faults_and_their_connections_are_dropped() {
    let check = |about: &str, bytes: &'static str, last: Act, expected: Came| {
        let broken: &[Act] = &[Read, Say(bytes), last];
        let good: &[Act] = &[Read, Say(OK)];
        check(
            about,
            &[broken, good],
            "",
            &[expected, answer(200, "ok")],
            2,
        );
    };
    let reset = |status| Came::Nothing(Fault::Reset, status, true);
    let body = |status| Came::Nothing(Fault::Body, status, true);
    check("no answer", "", Close, reset(None));
    check("a reset", "", Reset, reset(None));
    check("garbage", "220 ready\r\n\r\n", Close, body(None));
    check("half a head", "HTTP/1.1 200 OK\r\nA: b", Close, reset(None));
    check(
        "a control character in a field",
        "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
        Close,
        body(None),
    );
    check(
        "a field name with a space",
        "HTTP/1.1 200 OK\r\nbad name: x\r\nContent-Length: 0\r\n\r\n",
        Close,
        body(None),
    );
    check(
        "two lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        Close,
        body(None),
    );
    check(
        "half a body",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        Close,
        reset(Some(200)),
    );
    check(
        "half a chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        Close,
        reset(Some(200)),
    );
    check(
        "a chunk of no size",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        Close,
        body(Some(200)),
    );
}

#[test]
fn what_is_too_large_is_not_read() {
    let long: &'static str = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello world";
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n";
    let body = Came::Nothing(Fault::Body, Some(200), true);
    let expected = [body, answer(200, "ok")];
    for bytes in [long, chunks] {
        let broken: &[Act] = &[Read, Say(bytes), Silence];
        let good: &[Act] = &[Read, Say(OK)];
        check("body", &[broken, good], "max_body = 10", &expected, 2);
    }
    let just = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello worl";
    let whole: &[Act] = &[Read, Say(just)];
    let expected = [answer(200, "hello worl")];
    check("just so", &[whole], "max_body = 10", &expected, 1);
    let head: &'static str =
        format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(1 << 20)).leak();
    let endless: &[Act] = &[Read, Say(head), Silence];
    let bad = Came::Nothing(Fault::Body, None, true);
    check("header", &[endless], "", &[bad], 1);
    let lines: &'static str = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(1_000)).leak();
    let many: &[Act] = &[Read, Say(lines), Silence];
    let bad = Came::Nothing(Fault::Body, None, true);
    check("fields", &[many], "", &[bad], 1);
}

#[test]
fn bytes_above_ascii_in_a_field_are_an_answer() {
    let head = "HTTP/1.1 200 OK\r\nX-Ä: no\r\nContent-Length: 2\r\n\r\nok";
    let name: &[Act] = &[Read, Say(head), Close];
    let bad = Came::Nothing(Fault::Body, None, true);
    check("in a name", &[name], "", &[bad], 1);
    let head = "HTTP/1.1 200 OK\r\nX-Name: Ä€\r\nContent-Length: 2\r\n\r\nok";
    let value: &[Act] = &[Read, Say(head)];
    check("in a value", &[value], "", &[answer(200, "ok")], 1);
}

#[test]
fn a_service_that_says_nothing_is_a_timeout() {
    let more = "[poll]\ntimeout = '50ms'";
    let silent: &[Act] = &[Read, Silence];
    let good: &[Act] = &[Read, Say(OK)];
    let timeout = |status| Came::Nothing(Fault::Timeout, status, true);
    let expected = [timeout(None), answer(200, "ok")];
    check("silence", &[silent, good], more, &expected, 2);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let half: &[Act] = &[Read, Say(head), Silence];
    let expected = [timeout(Some(200)), answer(200, "ok")];
    check("silence in a body", &[half, good], more, &expected, 2);
}

#[test]
fn nobody_there_is_no_connection() {
    for lane in Lane::ALL {
        let url = canned::nobody();
        ask(lane, &url, "", async |asking| {
            let nobody = Came::Nothing(Fault::Connect, None, false);
            assert_eq!(asking.poll().await, nobody, "{lane:?}");
            assert_eq!(asking.submit(b"{}".to_vec()).await, nobody, "{lane:?}");
            assert_eq!(asking.counts.take_opened(), 0);
        });
    }
}

#[test]
fn many_at_once_stand_in_line_for_connections_and_all_are_answered() {
    // Far more than are opened at once; that each attempt fails is no reason to forget the next.
    for lane in Lane::ALL {
        let url = canned::nobody();
        ask(lane, &url, "", async |asking| {
            let asking = Rc::new(asking);
            let polls: Vec<_> = (0..1_000)
                .map(|_| {
                    let asking = Rc::clone(&asking);
                    spawn_local(async move { asking.poll().await })
                })
                .collect();
            for poll in polls {
                let nobody = Came::Nothing(Fault::Connect, None, false);
                assert_eq!(poll.await.unwrap(), nobody, "{lane:?}");
            }
        });
    }
}

#[test]
fn a_connection_that_does_not_come_has_a_timeout_of_its_own() {
    // TLS to somebody who never speaks: the connection stands, and carries nothing.
    let check = |more: &str, expected: [Came; 2]| {
        for (lane, expected) in Lane::ALL.into_iter().zip(expected) {
            let server = Server::start(&[&[Silence]]);
            let url = server.url().replace("http:", "https:");
            let came = ask(lane, &url, more, async |asking| asking.poll().await);
            assert_eq!(came, expected, "{lane:?} {more}");
        }
    };
    let connect = || Came::Nothing(Fault::Connect, None, false);
    check(
        "insecure = true\nconnect_timeout = '50ms'",
        [connect(), connect()],
    );
    // Here reqwest cannot tell whether anything was written, and the other lane can.
    check(
        "insecure = true\n[poll]\ntimeout = '50ms'",
        [false, true].map(|written| Came::Nothing(Fault::Timeout, None, written)),
    );
}

#[test]
fn a_request_that_was_half_written_may_have_been_taken() {
    for lane in Lane::ALL {
        // More than the buffers of a socket hold, to somebody who leaves in the middle.
        let body = vec![b'x'; 32 << 20];
        let server = Server::start(&[&[Act::Some, Reset]]);
        let url = server.url();
        let came = ask(lane, &url, "", async |asking| asking.submit(body).await);
        assert_eq!(came, Came::Nothing(Fault::Reset, None, true), "{lane:?}");
    }
}

#[test]
fn a_submit_on_a_connection_that_died_idle_is_sent_once() {
    for lane in Lane::ALL {
        let idle: &[Act] = &[Read, Say(OK), Close];
        let good: &[Act] = &[Read, Say(OK)];
        let mut server = Server::start(&[idle, good]);
        let ok = answer(200, "ok");
        let requests = ask(lane, &server.url(), "", async |asking| {
            assert_eq!(asking.submit(b"{}".to_vec()).await, ok, "{lane:?}");
            server.left().await;
            assert_eq!(asking.submit(b"{}".to_vec()).await, ok, "{lane:?}");
            server.requests()
        });
        assert_eq!(requests.len(), 2, "{lane:?}");
    }
}

#[test]
fn requests_say_who_asks_and_nothing_else() {
    let told = Lane::ALL.map(|lane| {
        let server = Server::start(&[&[Read, Say(OK), Read, Say(OK)]]);
        let url = server.url();
        ask(
            lane,
            &url,
            "[poll]\nheaders = { X-A = 'b' }",
            async |asking| {
                asking.poll().await;
                asking.submit(b"{}".to_vec()).await;
            },
        );
        let host = url.strip_prefix("http://").unwrap();
        let requests = server.requests();
        let sorted = requests.iter().map(|request| {
            let mut lines: Vec<String> = request
                .lines()
                .map(|line| line.replace(host, "HOST"))
                .collect();
            lines[1..].sort();
            lines
        });
        sorted.collect::<Vec<_>>()
    });
    assert_eq!(told[0], told[1]);
    let polled = told[0][0].join("\n");
    assert!(polled.starts_with("GET /jobs/1?a=b HTTP/1.1"), "{polled}");
    assert!(polled.contains("\nauthorization: Bearer "), "{polled}");
    assert!(polled.contains("\nuser-agent: plimsoll/"), "{polled}");
}

#[test]
fn urls_are_read_as_a_parser_reads_them() {
    for (path, line) in [
        ("", "GET / HTTP/1.1"),
        ("?a=b", "GET /?a=b HTTP/1.1"),
        ("/a/../b", "GET /b HTTP/1.1"),
        ("/.hidden", "GET /.hidden HTTP/1.1"),
        ("/a%2F..%2Fb", "GET /a%2F..%2Fb HTTP/1.1"),
        ("/ä b'\"<", "GET /%C3%A4%20b'%22%3C HTTP/1.1"),
        ("/a#fragment", "GET /a HTTP/1.1"),
    ] {
        for lane in Lane::ALL {
            let server = Server::start(&[&[Read, Say(OK)]]);
            let url = format!("{}{path}", server.url());
            ask(lane, &server.url(), "", async |asking| {
                asking.get(&url).await
            });
            let asked = server.requests();
            assert_eq!(asked[0].lines().next(), Some(line), "{lane:?} {path}");
        }
    }
}

#[test]
fn certificates_are_checked_by_both_lanes_alike() {
    let refused = Came::Nothing(Fault::Connect, None, false);
    for (more, expected) in [
        ("ca = 'ca.pem'", answer(200, "ok")),
        ("insecure = true", answer(200, "ok")),
        ("ca = 'other.pem'", refused),
    ] {
        for lane in Lane::ALL {
            let server = canned::tls(&[Read, Say(OK), Read, Say(OK)], 2);
            let came = ask(lane, &server.url(), more, async |asking| {
                let first = asking.poll().await;
                assert_eq!(asking.poll().await, first);
                if matches!(first, Came::Answer(..)) {
                    assert_eq!(asking.counts.take_opened(), 1);
                }
                first
            });
            assert_eq!(came, expected, "{lane:?} {more}");
        }
    }
}

/// An answer that is put together by chance: mostly right, sometimes broken.
fn any_answer() -> impl Strategy<Value = (String, bool)> {
    let version = prop_oneof![4 => Just("1.1"), 1 => Just("1.0")];
    let status = prop::sample::select(vec![200_u16, 200, 200, 202, 204, 304, 503]);
    let connection = prop_oneof![
        4 => Just(""),
        1 => Just("Connection: close\r\n"),
        1 => Just("connection: Keep-Alive\r\n"),
    ];
    let framing = prop_oneof![
        3 => (0..8_usize).prop_map(|length| format!("Content-Length: {length}\r\n")),
        1 => Just("Content-Length: 2\r\nContent-Length: 2\r\n".to_owned()),
        3 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
        1 => Just("Transfer-Encoding: gzip\r\n".to_owned()),
        1 => Just(String::new()),
    ];
    let body = prop_oneof![
        "[a-z]{0,8}",
        Just("3\r\nabc\r\n0\r\n\r\n".to_owned()),
        Just("1;x=y\r\na\r\n2\r\nbc\r\n0\r\nT: 1\r\n\r\n".to_owned()),
        Just("1\r\nab\r\n0\r\n\r\n".to_owned()),
    ];
    let interim = prop_oneof![3 => Just(""), 1 => Just("HTTP/1.1 100 Continue\r\n\r\n")];
    (
        version,
        status,
        connection,
        framing,
        body,
        interim,
        any::<bool>(),
    )
        .prop_map(
            |(version, status, connection, framing, body, interim, closes)| {
                let head = format!("HTTP/{version} {status} x\r\n{connection}{framing}\r\n");
                (format!("{interim}{head}{body}"), closes)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What reqwest, and hyper beneath it, makes of an answer is what the direct lane makes of it.
    #[test]
    fn the_lanes_agree_on_any_answer((text, closes) in any_answer(), cut in 0..80_usize) {
        let (first, second) = text.split_at(cut.min(text.len()));
        let [first, second]: [&'static str; 2] =
            [first, second].map(|part| &*part.to_owned().leak());
        let last = if closes { Close } else { Silence };
        let came = Lane::ALL.map(|lane| {
            let server = Server::start(&[&[Read, Say(first), Say(second), last]]);
            ask(lane, &server.url(), "[poll]\ntimeout = '100ms'", async |asking| asking.poll().await)
        });
        prop_assert_eq!(&came[0], &came[1], "{}", text);
    }
}
