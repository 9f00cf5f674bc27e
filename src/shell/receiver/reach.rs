//! Before the first submit: is it our receiver that answers at the URL that the service is told?

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use url::Url;

use crate::shell::secret::Secret;

/// The header of the one request that is no callback. Its value is drawn anew for each run.
const PROBE: &str = "plimsoll-probe";
/// How long a tunnel may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most of a request or an answer that is looked at.
const HEAD: u16 = 4_096;

/// Calls a URL as the built-in service would: over HTTP, past every proxy. Blocks for as long as
/// that takes, and some seconds at most.
pub(super) fn reach(url: &str, probe: &Secret) -> Result<(), String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let answer = ask(&url, probe).map_err(|error| error.to_string())?;
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&answer);
    match (parsed, response.code) {
        (_, Some(204)) => Ok(()),
        (_, Some(status)) => Err(format!("somebody else answers there, {status}")),
        _ => Err("what answers there speaks no HTTP".to_owned()),
    }
}

/// Answers whoever calls, one after the other, until it is known whether the probe got through.
pub(super) async fn answer(
    listener: &TcpListener,
    probe: &Secret,
    mut told: oneshot::Receiver<Result<(), String>>,
) -> Result<(), String> {
    loop {
        let answered = async {
            let (mut stream, _) = listener.accept().await?;
            let mut head = vec![0; HEAD.into()];
            let length = stream.read(&mut head).await?;
            let status = if probe.stands_in(&head[..length]) {
                "204 No Content"
            } else {
                "404 Not Found"
            };
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await
        };
        tokio::select! {
            told = &mut told => return told.unwrap_or_else(|_| Err("the probe died".to_owned())),
            // That of a stranger may break.
            _ = answered => {}
        }
    }
}

fn ask(url: &Url, probe: &Secret) -> io::Result<Vec<u8>> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let nobody = || io::Error::other("the name has no address");
    let address = (host.trim_matches(['[', ']']), port).to_socket_addrs()?;
    let address = address.into_iter().next().ok_or_else(nobody)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {host}:{port}\r\n{PROBE}: {}\r\ncontent-length: 0\r\n\
         connection: close\r\n\r\n",
        url.path(),
        probe.expose()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(HEAD.into()).read_to_end(&mut answer)?;
    Ok(answer)
}
