//! A server that plays a script: each connection has its own.

use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use std::sync::{Arc, LazyLock, mpsc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

/// What a connection does next. After the last act it stays open until the client leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Read one request, and keep it.
    Read,
    /// Read a part of a request.
    Some,
    /// Write this.
    Say(&'static str),
    /// Say nothing more.
    Silence,
    /// Close in order.
    Close,
    /// Close with a reset.
    Reset,
}

/// A running server. It ends with the process.
pub(crate) struct Server {
    scheme: &'static str,
    port: u16,
    requests: mpsc::Receiver<String>,
    left: UnboundedReceiver<()>,
}

/// Where connections tell what happened.
#[derive(Clone)]
struct Told {
    requests: mpsc::Sender<String>,
    left: UnboundedSender<()>,
}

impl Server {
    /// The nth connection plays the nth script; more are refused.
    pub(crate) fn start(scripts: &[&[Act]]) -> Self {
        Self::serve(scripts, None)
    }

    fn serve(scripts: &[&[Act]], tls: Option<TlsAcceptor>) -> Self {
        let scripts: Vec<Vec<Act>> = scripts.iter().map(|acts| acts.to_vec()).collect();
        let (said, requests) = mpsc::channel();
        let (leaving, left) = unbounded_channel();
        let told = Told {
            requests: said,
            left: leaving,
        };
        let (bound, port) = mpsc::channel();
        let scheme = if tls.is_some() { "https" } else { "http" };
        std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap().port()).unwrap();
                let mut playing = Vec::new();
                for script in scripts {
                    let (tcp, _) = listener.accept().await.unwrap();
                    let (tls, told) = (tls.clone(), told.clone());
                    playing.push(tokio::task::spawn_local(async move {
                        match tls {
                            None => {
                                play(tcp, &script, &told, |tcp| {
                                    let _ = tcp.set_zero_linger();
                                })
                                .await;
                            }
                            // A client that does not like the certificate leaves.
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(tcp).await {
                                    play(stream, &script, &told, |_| {}).await;
                                }
                            }
                        }
                    }));
                }
                drop((listener, told));
                for connection in playing {
                    let _ = connection.await;
                }
            });
        });
        Self {
            scheme,
            port: port.recv().unwrap(),
            requests,
            left,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// The requests that have been read, whole.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }

    /// Returns when a connection was closed by its script, and the caller's runtime has looked at
    /// its sockets since.
    pub(crate) async fn left(&mut self) {
        self.left.recv().await.unwrap();
        tokio::task::yield_now().await;
    }
}

async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    script: &[Act],
    told: &Told,
    before_reset: impl Fn(&S),
) {
    let mut part = vec![0; 1 << 10];
    for act in script {
        match act {
            Act::Read => {
                let Some(request) = read_request(&mut stream).await else {
                    return;
                };
                let _ = told.requests.send(request);
            }
            Act::Some => {
                let _ = stream.read(&mut part).await;
            }
            Act::Say(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                let _ = stream.flush().await;
                // What is said next is another packet, and likely another read.
                tokio::task::yield_now().await;
            }
            Act::Silence => break,
            Act::Close | Act::Reset => {
                if matches!(act, Act::Reset) {
                    before_reset(&stream);
                }
                drop(stream);
                let _ = told.left.send(());
                return;
            }
        }
    }
    while matches!(stream.read(&mut part).await, Ok(read) if read > 0) {}
}

/// The head of a request, after which its body was read.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}

/// The URL of a port at which nobody listens any more.
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

static CERTIFICATE: LazyLock<CertifiedKey<KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap());

/// The file `ca.pem` names who vouches for [`tls`]; any other names somebody else.
pub(crate) fn authority(file: &str) -> String {
    if file == "ca.pem" {
        return CERTIFICATE.cert.pem();
    }
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    other.cert.pem()
}

/// A server that speaks TLS, and plays one script on each of `connections`.
pub(crate) fn tls(script: &[Act], connections: usize) -> Server {
    let key = PrivateKeyDer::try_from(CERTIFICATE.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CERTIFICATE.cert.der().clone()], key)
        .unwrap();
    let scripts = vec![script; connections];
    Server::serve(&scripts, Some(TlsAcceptor::from(Arc::new(config))))
}
