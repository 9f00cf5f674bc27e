//! Before the load of a run that hears callbacks: the secrets, the port, and whether the service
//! will know where to call.

use super::prepare::no_key;
use super::{Mistake, reason};
use crate::record::ledger::Count;
use crate::record::snapshot::Snapshot;
use crate::report::binomial::share_bounds;
use crate::report::{Code, EndedBy, Facts, Reason};
use crate::scenario::{Base, Plan, SecretRef, SignaturePlan, UrlTo};
use crate::shell::receiver::{Endpoint, Keys, NoReceiver, Seen};
use crate::shell::requests::has_place_for_url;
use crate::shell::secret::{self, Missing, Secret};
use crate::wire::signature::Keyring;

/// A token of fewer characters could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Binds the receiver's port, where the mode hears callbacks. Nobody answers there yet.
pub(super) fn endpoint(plan: &Plan) -> Result<Option<Endpoint>, Mistake> {
    if !plan.observe.mode.hears_callbacks() {
        return Ok(None);
    }
    knows_where(plan)?;
    let endpoint = Endpoint::bind(plan, keys(plan)?).map_err(|no: NoReceiver| {
        Mistake(format!(
            "no receiver of callbacks: found {} = \"{}\": {}\nhint: {}",
            no.place, no.found, no.why, no.hint
        ))
    })?;
    if plan.target.base == Base::Simulator && endpoint.urls().of_all().starts_with("https:") {
        return Err(Mistake(
            "the built-in service calls over plain HTTP: found an https URL of the receiver\n\
             hint: leave out observe.callback.tls_cert, or https in observe.callback.public_url"
                .to_owned(),
        ));
    }
    reach(plan, &endpoint)?;
    Ok(Some(endpoint))
}

/// Why it cannot be said of any work when its callback came: none did, though the run was not cut
/// short. Whether the service or the way to the receiver is at fault nobody can tell.
pub(super) fn deaf(plan: &Plan, facts: &Facts, snapshot: &Snapshot) -> Option<Reason> {
    let get = |count| snapshot.counts.get(count);
    let works = get(Count::Accepted);
    let may_be = facts.mode.hears_callbacks() && !facts.simulated;
    let is_whole = facts.ended_by == EndedBy::Plan;
    if !may_be || !is_whole || works == 0 || get(Count::CallbacksFirst) > 0 {
        return None;
    }
    let why = if get(Count::CallbacksUnreadable) > 0 {
        "callbacks came, and none was understood: do observe.callback.id and \
         observe.callback.terminal name what is in them?"
            .to_owned()
    } else if get(Count::CallbacksRefused) > 0 {
        "all that came were refused by observe.callback.faults".to_owned()
    } else if get(Count::UnknownWork) > 0 {
        "callbacks came, and none named a work of this run: does observe.callback.find fit?"
            .to_owned()
    } else if get(Count::BadToken) > 0 {
        "requests came without the token: does the service call the URL as it is?".to_owned()
    } else {
        let told = match &plan.observe.callback.url {
            UrlTo::Body(field) => format!("does the service read {} of the body", field.0),
            UrlTo::Header(name) => format!("does the service read the header {name}"),
            UrlTo::Server => "is the URL configured at the service".to_owned(),
        };
        format!("nobody called the receiver: {told}, and does it reach us?")
    };
    let text = format!("no callback told the end of any of {works} works; {why}");
    Some(reason(Code::Receiver, Some(0.0), Some(1.0), text))
}

/// Whether we answer where the built-in service is to call, which a tunnel or proxy may prevent. A
/// service elsewhere takes ways that we cannot.
fn reach(plan: &Plan, endpoint: &Endpoint) -> Result<(), Mistake> {
    let Some(url) = &plan.observe.callback.public_url else {
        return Ok(());
    };
    if plan.target.base != Base::Simulator {
        return Ok(());
    }
    endpoint.reach().map_err(|why| {
        Mistake(format!(
            "the receiver cannot be reached: found observe.callback.public_url = \"{url}\": {why}\n\
             hint: does the tunnel or proxy lead to observe.callback.listen?"
        ))
    })
}

/// Why the receiver is not to be trusted.
pub(super) fn overloaded(plan: &Plan, seen: &Seen) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let most = plan.validity.cpu_share;
    if seen.cpu_share > most {
        let (share, limit) = (100.0 * seen.cpu_share, 100.0 * most);
        let text = format!(
            "the receiver of callbacks used {share:.0} % of a core over ten seconds, the limit is \
             {limit:.0} %"
        );
        reasons.push(reason(Code::Cpu, Some(seen.cpu_share), Some(most), text));
    }
    let (probes, late) = seen.probes;
    // Late more often than one time in a hundred, also if chance made it look worse than it is.
    let (at_least, _) = share_bounds(late.min(probes), probes.max(1));
    if at_least > 0.01 {
        let limit = plan.validity.schedule_lag_p99;
        let text = format!(
            "the receiver of callbacks read {late} of {probes} probes more than {limit} late: \
             callbacks came sooner than they are stamped"
        );
        reasons.push(reason(Code::Receiver, Some(at_least), Some(0.01), text));
    }
    let refused = seen.tally.refused;
    if refused > 0 {
        let text = format!(
            "the receiver of callbacks turned {refused} connections away: all {} of \
             observe.callback.connections were at work",
            plan.observe.callback.connections
        );
        let value = f64::from(u32::try_from(refused).unwrap_or(u32::MAX));
        reasons.push(reason(Code::Receiver, Some(value), Some(0.0), text));
    }
    reasons
}

/// Whether submits carry the URL where the service looks for it.
fn knows_where(plan: &Plan) -> Result<(), Mistake> {
    let url = &plan.observe.callback.url;
    if !has_place_for_url(plan) {
        let (key, place) = match url {
            UrlTo::Header(name) => (
                "header",
                format!("\"{name}\", which is no name of a header"),
            ),
            UrlTo::Body(field) => ("field", format!("\"{}\"", field.0)),
            UrlTo::Server => return Ok(()),
        };
        return Err(Mistake(format!(
            "a submit has no place for the URL of its callback: found observe.callback.{key} = \
             {place}\n\
             hint: submit.body must be an object there; url = \"header\" or \"server\" needs no body"
        )));
    }
    let simulator = &plan.simulator.callback;
    // Names of headers have no case, keys of JSON have.
    let (key, ours, theirs, is_same) = match url {
        UrlTo::Body(field) => {
            let (ours, theirs) = (&field.0, &simulator.field.0);
            ("field", ours, theirs, ours == theirs)
        }
        UrlTo::Header(name) => {
            let is_same = name.eq_ignore_ascii_case(&simulator.header);
            ("header", name, &simulator.header, is_same)
        }
        UrlTo::Server => return Ok(()),
    };
    if plan.target.base == Base::Simulator && !is_same {
        return Err(Mistake(format!(
            "the built-in service looks elsewhere for the URL: found observe.callback.{key} = \
             \"{ours}\" and simulator.callback.{key} = \"{theirs}\", expected the same\n\
             hint: --set 'simulator.callback.{key}=\"{ours}\"'"
        )));
    }
    Ok(())
}

/// Whether the secrets of the receiver are there.
pub(super) fn secrets(plan: &Plan) -> Result<(), Mistake> {
    if plan.observe.mode.hears_callbacks() {
        keys(plan)?;
    }
    Ok(())
}

/// As it is: RFC 3986 calls these characters unreserved.
fn stands_in_a_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn keys(plan: &Plan) -> Result<Keys, Mistake> {
    let callback = &plan.observe.callback;
    let token = match &callback.token {
        None => secret::drawn_token()?,
        Some(reference) => {
            let place = "observe.callback.token";
            let token = read(place, reference, secret::read)?;
            if token.expose().len() < SHORTEST_TOKEN {
                return Err(Mistake(format!(
                    "the token at {place} = \"{reference}\" could be guessed: found {} characters, \
                     expected {SHORTEST_TOKEN} or more\n\
                     hint: openssl rand -hex 16 draws one",
                    token.expose().len()
                )));
            }
            if !token.expose().bytes().all(stands_in_a_url) {
                return Err(Mistake(format!(
                    "the token at {place} = \"{reference}\" would look different in a URL, and could \
                     not be covered where a service says it again: expected letters, digits and \
                     -._~ alone\n\
                     hint: openssl rand -hex 16 draws one"
                )));
            }
            token
        }
    };
    let keyring = callback.signature.as_ref();
    let keyring = keyring.map(|plan| keyring_of("observe.callback.signature.secrets", plan));
    let key = callback.tls.as_ref().map(|(_, key)| key);
    let key = key.map(|key| read("observe.callback.tls_key", key, secret::read_text));
    Ok(Keys {
        token,
        keyring: keyring.transpose()?,
        tls_key: key.transpose()?,
    })
}

/// The secrets of a side that signs or verifies.
pub(super) fn keyring_of(place: &str, plan: &SignaturePlan) -> Result<Keyring, Mistake> {
    let secrets = plan.secrets.iter();
    let secrets: Vec<Secret> = secrets
        .map(|reference| read(place, reference, secret::read))
        .collect::<Result<_, _>>()?;
    let texts: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    Keyring::new(&plan.scheme, &texts, plan.tolerance).map_err(|_| {
        Mistake(format!(
            "a secret at {place} is none of Standard Webhooks: expected base64, after whsec_ or \
             bare\nhint: for any other text use scheme = \"hmac\""
        ))
    })
}

fn read(
    place: &str,
    reference: &SecretRef,
    how: fn(&SecretRef) -> Result<Secret, Missing>,
) -> Result<Secret, Mistake> {
    how(reference).map_err(|missing| no_key(place, reference, &missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::resolve;

    #[test]
    fn a_receiver_that_stamps_late_is_not_to_be_trusted_and_chance_alone_is_no_reason() {
        let text = "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
                    duration = '1s'\n[observe]\nmode = 'both'\n";
        let plan = resolve::read(text, &[], &|_| Err(String::new())).unwrap();
        let check = |probes, is_late: bool| {
            let seen = Seen {
                probes,
                ..Seen::default()
            };
            assert_eq!(
                overloaded(&plan, &seen).len(),
                usize::from(is_late),
                "{probes:?}"
            );
        };
        check((0, 0), false);
        check((40, 0), false);
        // One of forty: P(Bin(40, 0.01) >= 1) is 33 %; two: 6.1 %; three: 0.7 %.
        check((40, 1), false);
        check((40, 2), false);
        check((40, 3), true);
        check((10_000, 100), false);
        check((10_000, 150), true);
        let busy = Seen {
            cpu_share: 0.96,
            ..Seen::default()
        };
        assert_eq!(overloaded(&plan, &busy)[0].code, Code::Cpu);
        let busy = Seen {
            cpu_share: 0.94,
            ..busy
        };
        assert!(overloaded(&plan, &busy).is_empty());
    }

    #[test]
    fn a_key_of_json_in_another_case_is_another_key() {
        let check = |keys: &str, knows: bool| {
            let text = format!(
                "name = 'x'\n[target]\nbase_url = 'simulator'\n[[load]]\nrate = '1/s'\n\
                 duration = '1s'\n[observe]\nmode = 'both'\n[observe.callback]\n{keys}\n"
            );
            let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
            assert_eq!(knows_where(&plan).is_ok(), knows, "{keys}");
        };
        check("", true);
        check("field = '/Callback_URL'", false);
        check("url = 'header'\nheader = 'x-callback-url'", true);
        check("url = 'header'\nheader = 'x-elsewhere'", false);
    }
}
