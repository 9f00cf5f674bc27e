//! The `RateLimit` fields that are structured fields (RFC 9651). Nothing for a field that is
//! missing, empty or malformed: such a field is ignored as a whole.

use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parser};

use crate::time::Span;
use crate::work::{Policy, Remaining};

/// A policy of drafts -08 to -11: `"name";q=100;w=60;qu="requests"`.
pub(super) struct NamedPolicy {
    pub(super) name: String,
    /// Whether the unit is requests; bytes and open requests are other things.
    pub(super) of_requests: bool,
    pub(super) quota: u64,
    pub(super) window: Option<Span>,
}

/// A service limit of drafts -08 to -11: `"name";r=50;t=30`.
pub(super) struct ServiceLimit {
    pub(super) name: String,
    pub(super) remaining: u64,
    pub(super) reset: Option<Span>,
}

/// The whole field is to be ignored.
struct Malformed;

pub(super) fn policies(field: Option<&[u8]>) -> Option<Vec<NamedPolicy>> {
    read_list(field, |item| {
        Ok(NamedPolicy {
            name: name(item)?,
            of_requests: match item.params.get("qu") {
                Some(unit) => unit.as_string().ok_or(Malformed)?.as_str() == "requests",
                None => true,
            },
            quota: parameter(item, "q")?.ok_or(Malformed)?,
            window: window(item, "w")?,
        })
    })
}

pub(super) fn service_limits(field: Option<&[u8]>) -> Option<Vec<ServiceLimit>> {
    read_list(field, |item| {
        Ok(ServiceLimit {
            name: name(item)?,
            remaining: parameter(item, "r")?.ok_or(Malformed)?,
            reset: parameter(item, "t")?.map(Span::from_secs),
        })
    })
}

/// The `RateLimit-Policy` of drafts up to -07: `100;w=60, 1000;w=3600`.
pub(super) fn numbered(field: Option<&[u8]>) -> Option<Vec<Policy>> {
    let policies = read_list(field, |item| {
        let quota = unsigned(&item.bare_item)?;
        // Draft -00 spelled the parameter out.
        let window = window(item, "w")?.or(window(item, "window")?);
        Ok(window.map(|window| Policy { quota, window }))
    });
    Some(policies?.into_iter().flatten().collect())
}

/// The `RateLimit-Limit` of drafts up to -06, and of Envoy: the limit, then perhaps the policies
/// that it comes from.
pub(super) fn limits(field: Option<&[u8]>) -> Option<Vec<Policy>> {
    // Most vendors write a bare number, which is no policy without a window.
    let bare = field?.trim_ascii();
    if !bare.is_empty() && bare.iter().all(u8::is_ascii_digit) {
        return Some(Vec::new());
    }
    numbered(field)
}

/// The `RateLimit` of draft -07: `limit=100, remaining=50, reset=30`, of which the last two count.
pub(super) fn dictionary(field: Option<&[u8]>) -> Option<Remaining> {
    let entries = Parser::new(field?).parse::<Dictionary>().ok()?;
    let value = |key: &str| match entries.get(key)? {
        ListEntry::Item(item) => unsigned(&item.bare_item).ok(),
        ListEntry::InnerList(_) => None,
    };
    if entries.contains_key("limit") {
        value("limit")?;
    }
    Some(Remaining {
        requests: value("remaining")?,
        reset: Span::from_secs(value("reset")?),
    })
}

fn read_list<T>(
    field: Option<&[u8]>,
    read: impl Fn(&Item) -> Result<T, Malformed>,
) -> Option<Vec<T>> {
    let list = Parser::new(field?).parse::<List>().ok()?;
    if list.is_empty() {
        return None;
    }
    let items = list.iter().map(|entry| match entry {
        ListEntry::Item(item) => read(item),
        ListEntry::InnerList(_) => Err(Malformed),
    });
    items.collect::<Result<_, _>>().ok()
}

fn name(item: &Item) -> Result<String, Malformed> {
    let name = item.bare_item.as_string().ok_or(Malformed)?;
    Ok(name.as_str().to_owned())
}

fn unsigned(value: &BareItem) -> Result<u64, Malformed> {
    let integer = value.as_integer().ok_or(Malformed)?;
    u64::try_from(integer).map_err(|_| Malformed)
}

fn parameter(item: &Item, key: &str) -> Result<Option<u64>, Malformed> {
    item.params.get(key).map(unsigned).transpose()
}

/// A window is longer than nothing.
fn window(item: &Item, key: &str) -> Result<Option<Span>, Malformed> {
    match parameter(item, key)? {
        Some(0) => Err(Malformed),
        seconds => Ok(seconds.map(Span::from_secs)),
    }
}
