//! What a plan that hears callbacks will do.

use url::{Host, Url};

use super::Lines;
use crate::scenario::{Base, Find, Mode, Plan, UrlTo};

/// Whether the service is on this machine.
fn is_here(base: &Base) -> bool {
    let Base::Url(url) = base else { return true };
    let url = Url::parse(url).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn explain(plan: &Plan, lines: &mut Lines) {
    let observe = &plan.observe;
    if !observe.mode.hears_callbacks() {
        return;
    }
    let callback = &observe.callback;
    let what = match observe.mode {
        Mode::Poll | Mode::Callback => "callbacks alone tell the end of a work".to_owned(),
        Mode::Both => "callbacks, and polls of each work until one has seen its end".to_owned(),
        Mode::Hybrid => format!(
            "callbacks; a work without one is polled from {} after its accept on",
            observe.deadline
        ),
    };
    let find = match &callback.find {
        Find::Body(pointer) => format!("the id at {} of its body", pointer.0),
        Find::Path => "the id at the end of its path".to_owned(),
        Find::Query(name) => format!("the id in its query, `{name}`"),
        Find::OwnUrl => "a URL of its own for each work".to_owned(),
    };
    let told = match &callback.url {
        UrlTo::Body(pointer) => format!("{} of the submit's body", pointer.0),
        UrlTo::Header(name) => format!("the header {name} of the submit"),
        UrlTo::Server => "the configuration of the service".to_owned(),
    };
    lines.fact(
        "callbacks",
        format!("{what}; each finds its work by {find}"),
    );
    let at = match (&callback.public_url, callback.listen.strip_suffix(":0")) {
        (Some(url), _) => url.clone(),
        (None, Some(address)) => format!("any free port of {address}"),
        (None, None) => callback.listen.clone(),
    };
    lines.fact(
        "callbacks",
        format!("the service is told the URL by {told}, and must reach {at}"),
    );
    if !observe.mode.polls_to_the_end() {
        lines.fact(
            "callbacks",
            "the sojourn time is not estimated: a callback ends the asking",
        );
    }
    let is_local = callback.listen.starts_with("127.") || callback.listen.starts_with("[::1]");
    if !is_here(&plan.target.base) && is_local && callback.public_url.is_none() {
        lines.warn(
            "callbacks",
            "observe.callback.listen is this machine alone: a service elsewhere needs a public_url",
        );
    }
    if callback.signature.is_none() && plan.target.base != Base::Simulator {
        lines.warn(
            "callbacks",
            "signatures are not checked (observe.callback.signature): who knows the URL can call",
        );
    }
    if !callback.faults.is_empty() {
        let text = format!(
            "the receiver does wrong on purpose: {} in observe.callback.faults",
            callback.faults.len()
        );
        lines.warn("callbacks", text);
    }
}
