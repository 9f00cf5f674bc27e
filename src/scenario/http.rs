//! The table `http`: how requests are carried, and by which client.

use std::sync::Arc;

use super::cursor::Cursor;
use super::mistake::Mistakes;
use super::resolve::ReadFile;
use super::{Http, HttpVersion, Lane};

/// Reads the table `http`.
pub(super) fn http(at: &Cursor<'_>, read: ReadFile<'_>, mistakes: &mut Mistakes<'_>) -> Http {
    let ca = at.maybe("ca").and_then(|file| {
        let name = file.own_text().unwrap_or("");
        match read(name) {
            Ok(bytes) if contains(&bytes, b"-----BEGIN CERTIFICATE-----") => Some(Arc::from(bytes)),
            wrong => {
                let why = wrong
                    .err()
                    .unwrap_or_else(|| "no certificate in it".to_owned());
                let found = format!("\"{name}\": {why}");
                mistakes.add(file.path(), file.place(), found, "a PEM file", None);
                None
            }
        }
    });
    let version = match at.text("version") {
        "2" => HttpVersion::Http2,
        "auto" => HttpVersion::Auto,
        _ => HttpVersion::Http1,
    };
    let proxy_from_environment = at.text("proxy") == "environment";
    let direct_will_do = version == HttpVersion::Http1 && !proxy_from_environment;
    let lane = lane(at, direct_will_do, mistakes);
    let warm_up = at.count("warm_up");
    if let Some(at) = at
        .maybe("warm_up")
        .filter(|_| warm_up > 0 && lane == Lane::Reqwest)
    {
        let hint = "reqwest opens connections when requests need them: leave warm_up out, or use \
                    the direct lane";
        let found = warm_up.to_string();
        mistakes.add(at.path(), at.place(), found, "0", Some(hint.into()));
    }
    Http {
        version,
        connect_timeout: at.span("connect_timeout"),
        max_in_flight: at.count("max_in_flight"),
        warm_up,
        keep_alive: at.span("keep_alive"),
        ca,
        insecure: at.truth("insecure"),
        proxy_from_environment,
        max_body: at.size("max_body"),
        lane,
    }
}

/// The direct lane where it will do, unless a lane is named.
fn lane(at: &Cursor<'_>, direct_will_do: bool, mistakes: &mut Mistakes<'_>) -> Lane {
    match at.text("lane") {
        "direct" if !direct_will_do => {
            if let Some(at) = at.maybe("lane") {
                let expected = "\"auto\" or \"reqwest\"";
                let hint = "the direct lane speaks HTTP/1.1 without a proxy: leave lane out, or set \
                            version = \"1.1\" and proxy = \"none\"";
                mistakes.add(
                    at.path(),
                    at.place(),
                    "\"direct\"",
                    expected,
                    Some(hint.into()),
                );
            }
            Lane::Reqwest
        }
        "direct" => Lane::Direct,
        "auto" if direct_will_do => Lane::Direct,
        _ => Lane::Reqwest,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    #[test]
    fn the_cheap_lane_is_taken_where_it_will_do() {
        let check = |more: &str, lane: Option<Lane>| {
            let text = format!(
                "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
                 duration = '1s'\n[http]\n{more}\n"
            );
            let read = resolve::read(&text, &[], &|_| Err(String::new()));
            assert_eq!(read.ok().map(|plan| plan.http.lane), lane, "{more}");
        };
        check("", Some(Lane::Direct));
        check("insecure = true", Some(Lane::Direct));
        check("version = '2'", Some(Lane::Reqwest));
        check("version = 'auto'", Some(Lane::Reqwest));
        check("proxy = 'environment'", Some(Lane::Reqwest));
        check("lane = 'reqwest'", Some(Lane::Reqwest));
        check("lane = 'direct'", Some(Lane::Direct));
        check("lane = 'direct'\nversion = '2'", None);
        check("lane = 'direct'\nproxy = 'environment'", None);
        check("warm_up = 10", Some(Lane::Direct));
        check("warm_up = 0\nversion = '2'", Some(Lane::Reqwest));
        check("warm_up = 10\nversion = '2'", None);
    }
}
