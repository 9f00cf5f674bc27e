//! URLs: those that a profile makes out of an id, and those that a service gives.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Origin, Url};

use crate::work::PollUrl;

/// A longer poll URL is refused as a bad body: it could not be kept in bounded memory.
const MAX_URL_BYTES: usize = 4_096;

/// Stands for the id of a work, as one segment of a path or one value of a query.
const WORK_ID: &str = "{work_id}";

/// The same for ids that are paths themselves, such as `operations/7` of AIP-151: `/` is kept.
const WORK_PATH: &str = "{+work_id}";

/// An address that cannot be used. The text names no user and no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress {
    /// The key of the scenario.
    pub place: &'static str,
    /// What stood there.
    pub found: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, why } = self;
        write!(
            f,
            "{place}: found \"{found}\" ({why}), expected http:// or https:// with a host"
        )?;
        f.write_str("\nhint: write it as https://ai.example.com or https://ai.example.com/base")
    }
}

impl std::error::Error for BadAddress {}

/// Reads an address of a scenario: a scheme that carries HTTP, a host, and no secrets in it.
pub(crate) fn configured(place: &'static str, text: &str) -> Result<Url, BadAddress> {
    let wrong = |found: &str, why: &str| BadAddress {
        place,
        found: found.into(),
        why: why.into(),
    };
    // Whatever stands before an `@` may be a password, even where the rest is no URL.
    let shown = text.rsplit_once('@').map_or(text, |(_, after)| after);
    let url = Url::parse(text).map_err(|error| wrong(shown, &error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(shown, "not a scheme of HTTP"));
    }
    if has_user(&url) {
        return Err(wrong(
            shown,
            "a user or a password in a URL is a secret in the open",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            shown,
            "a query or a fragment cannot be followed by a path",
        ));
    }
    Ok(url)
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// A URL with places for the id of a work.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    head: String,
    /// Each place, and the text that follows it.
    places: Vec<(Place, String)>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Segment,
    Path,
}

impl Template {
    /// `path` goes after `base`; the intake is filled in for good.
    pub(crate) fn new(base: &Url, path: &str, intake_id: &str) -> Self {
        let slash = if path.is_empty() || path.starts_with(['/', '?']) {
            ""
        } else {
            "/"
        };
        let path = path.replace("{intake_id}", &segment(intake_id));
        let text = format!("{}{slash}{path}", base.as_str().trim_end_matches('/'));
        let mut rest = text.as_str();
        let mut next = || {
            let found = [(WORK_ID, Place::Segment), (WORK_PATH, Place::Path)]
                .into_iter()
                .filter_map(|(mark, place)| Some((rest.find(mark)?, mark.len(), place)))
                .min_by_key(|&(at, ..)| at);
            let (at, length, place) = found.unwrap_or((rest.len(), 0, Place::Segment));
            let before = rest[..at].to_owned();
            rest = &rest[at + length..];
            (before, found.map(|_| place))
        };
        let (head, mut place) = next();
        let mut places = Vec::new();
        while let Some(here) = place {
            let (after, following) = next();
            places.push((here, after));
            place = following;
        }
        Self { head, places }
    }

    /// The URL of one work. Whatever the id, scheme, host, path and query stay those of the
    /// template.
    pub(crate) fn fill(&self, id: &str) -> String {
        let mut url = String::new();
        self.write(id, &mut url);
        url
    }

    /// The same at the end of a text.
    pub(crate) fn write(&self, id: &str, url: &mut String) {
        url.push_str(&self.head);
        for (place, after) in &self.places {
            match place {
                Place::Segment => encode(id, url),
                Place::Path => {
                    for (nth, part) in id.split('/').enumerate() {
                        if nth > 0 {
                            url.push('/');
                        }
                        encode(part, url);
                    }
                }
            }
            url.push_str(after);
        }
    }
}

/// What is not unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is unreserved, for a look at each byte of each id.
const UNRESERVED: [bool; 256] = {
    let mut unreserved = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let is_mark = matches!(byte, b'-' | b'.' | b'_' | b'~');
        unreserved[byte as usize] = is_mark || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    unreserved
};

/// One path segment or query value: all but the unreserved characters of RFC 3986, section 2.3, is
/// percent-encoded.
fn encode(text: &str, url: &mut String) {
    // A URL parser takes `.` and `..` for steps in the path, and `%2E` for a dot. Encoded twice
    // they name nothing and lead nowhere; an intake with such an id is refused anyway.
    let is_unreserved = text
        .bytes()
        .fold(true, |all, byte| all & UNRESERVED[usize::from(byte)]);
    if matches!(text, "." | "..") {
        url.extend(text.chars().map(|_| "%252E"));
    } else if is_unreserved {
        // As nearly all ids are; going through them in pieces costs ten times as much.
        url.push_str(text);
    } else {
        url.extend(utf8_percent_encode(text, RESERVED));
    }
}

/// One path segment or query value.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    encode(text, &mut encoded);
    encoded
}

/// Undoes percent-encoding; a text that is not UTF-8 afterwards stays as it was.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let pair = tail.first_chunk::<2>().filter(|_| first == b'%');
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = pair.and_then(|&[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The id in a header: the last path segment if the value is an absolute or relative URL, else the
/// whole value.
pub(crate) fn id_of(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    if !value.contains('/') {
        return Cow::Borrowed(value);
    }
    let path = value.split(['?', '#']).next().unwrap_or(value);
    let path = path.split_once("://").map_or(path, |(_, after)| {
        after.split_once('/').map_or("", |(_, path)| path)
    });
    let path = path.trim_end_matches('/');
    decode(path.rsplit_once('/').map_or(path, |(_, last)| last))
}

/// The origins that may have the key.
#[derive(Clone, Debug)]
pub(crate) struct Trusted(Vec<Origin>);

impl Trusted {
    pub(crate) fn new(base: &Url, others: &[String]) -> Result<Self, BadAddress> {
        let mut origins = vec![base.origin()];
        for other in others {
            origins.push(configured("target.trusted_origins", other)?.origin());
        }
        Ok(Self(origins))
    }

    /// The poll URL that an answer to `request` gave; nothing if it is none.
    ///
    /// Another scheme is another origin (RFC 6454), so `http` in the answer of an `https` service
    /// is foreign; so is a URL with a user in it, which would be sent in the place of the key.
    pub(crate) fn judge(&self, given: &str, request: &str) -> Option<PollUrl> {
        let given = given.trim();
        if given.is_empty() || given.len() > MAX_URL_BYTES {
            return None;
        }
        let mut url = Url::parse(request).ok()?.join(given).ok()?;
        url.set_fragment(None);
        if url.as_str().len() > MAX_URL_BYTES {
            return None;
        }
        let may_have_key = !has_user(&url) && self.0.contains(&url.origin());
        let text = String::from(url).into();
        Some(if may_have_key {
            PollUrl::Given(text)
        } else {
            PollUrl::Foreign(text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Url {
        configured("target.base_url", "https://ai.example.com:8443/api/").unwrap()
    }

    #[test]
    fn hostile_ids_stay_in_their_place() {
        let check = |path: &str, id: &str, url: &str| {
            let filled = Template::new(&base(), path, "in/take").fill(id);
            let expected = format!("https://ai.example.com:8443/api{url}");
            assert_eq!(filled, expected);
            assert_eq!(Url::parse(&filled).unwrap().as_str(), expected);
        };
        check(
            "/v1/{intake_id}/work/{work_id}",
            "w_1",
            "/v1/in%2Ftake/work/w_1",
        );
        check(
            "/w/{work_id}",
            "../../admin?x#y",
            "/w/..%2F..%2Fadmin%3Fx%23y",
        );
        check("/w/{work_id}", "..", "/w/%252E%252E");
        check("/w/{work_id}", "\\..\\@evil.com", "/w/%5C..%5C%40evil.com");
        check("/w/{work_id}", "a%2e%2eb é", "/w/a%252e%252eb%20%C3%A9");
        check("/w/{work_id}", "{work_id}", "/w/%7Bwork_id%7D");
        check("/w?id={work_id}&x=1", "a&x=2#", "/w?id=a%26x%3D2%23&x=1");
        check("w/{work_id}/of/{work_id}", "7", "/w/7/of/7");
        check("/v1/{+work_id}:get", "operations/7", "/v1/operations/7:get");
        check(
            "/v1/{+work_id}",
            "../../x?y",
            "/v1/%252E%252E/%252E%252E/x%3Fy",
        );
        check("@evil.com/{work_id}", "1", "/@evil.com/1");
    }

    #[test]
    fn ids_in_headers() {
        let check = |value: &str, id: &str| assert_eq!(id_of(value), id, "{value}");
        check("job-7", "job-7");
        check(" a%20b ", "a%20b");
        check("/v1/jobs/a%20b", "a b");
        check("https://h.example/jobs/7/?api-version=1/2", "7");
        check("jobs/7#top", "7");
        check("https://h.example", "");
        check("/jobs/%ff", "%ff");
        check("/jobs/50%", "50%");
        check("/jobs/%+1", "%+1");
    }

    #[test]
    fn only_trusted_origins_are_given_the_key() {
        let others = ["https://poll.example.net".to_owned()];
        let trusted = Trusted::new(&base(), &others).unwrap();
        let request = "https://ai.example.com:8443/api/v1/intake/demo?sync=0";
        let given = |url: &str| Some(PollUrl::Given(url.into()));
        let foreign = |url: &str| Some(PollUrl::Foreign(url.into()));
        let check = |value: &str, expected| assert_eq!(trusted.judge(value, request), expected);
        check("/w/7#x", given("https://ai.example.com:8443/w/7"));
        check(
            "w/7",
            given("https://ai.example.com:8443/api/v1/intake/w/7"),
        );
        check(
            "HTTPS://AI.example.COM:8443/w",
            given("https://ai.example.com:8443/w"),
        );
        check(
            "https://poll.example.net:443/w",
            given("https://poll.example.net/w"),
        );
        check(
            "http://ai.example.com:8443/w",
            foreign("http://ai.example.com:8443/w"),
        );
        check(
            "https://ai.example.com/w",
            foreign("https://ai.example.com/w"),
        );
        check("//evil.example/w", foreign("https://evil.example/w"));
        check("\\\\evil.example\\w", foreign("https://evil.example/w"));
        check(
            "https://ai.example.com:8443@evil.example/",
            foreign("https://ai.example.com:8443@evil.example/"),
        );
        check(
            "https://u:p@ai.example.com:8443/w",
            foreign("https://u:p@ai.example.com:8443/w"),
        );
        check(
            "https://ai.example.com.evil.example:8443/",
            foreign("https://ai.example.com.evil.example:8443/"),
        );
        check("javascript:alert(1)", foreign("javascript:alert(1)"));
        check("https://[", None);
        check("", None);
        check(&format!("/{}", "a".repeat(5_000)), None);
    }

    #[test]
    fn bad_addresses_are_refused_without_their_secrets() {
        for bad in [
            "ftp://h",
            "h.example",
            "https://u:pw@h",
            "https://h?x",
            "https://h#x",
            "u:pw@h",
            "",
        ] {
            let error = configured("target.base_url", bad).unwrap_err();
            assert!(
                error.to_string().starts_with("target.base_url: found"),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("pw"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_id_changes_more_than_its_segment(id in "\\PC{1,12}|[./\\\\%2eE?#@:]{1,8}|[\0-\x7f]{1,4}") {
            let template = Template::new(&base(), "/v1/work/{work_id}", "demo");
            let url = Url::parse(&template.fill(&id)).unwrap();
            prop_assert_eq!(url.origin(), base().origin());
            prop_assert!(url.query().is_none() && url.fragment().is_none() && !has_user(&url));
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(&segments[..3], &["api", "v1", "work"]);
            prop_assert_eq!(segments.len(), 4);
            if !matches!(id.as_str(), "." | "..") {
                prop_assert_eq!(decode(segments[3]), id);
            }
        }

        #[test]
        fn no_id_leaves_its_path(id in "[a./\\\\%2eE?#@:]{1,12}") {
            let template = Template::new(&base(), "/v1/{+work_id}", "demo");
            let url = Url::parse(&template.fill(&id)).unwrap();
            prop_assert_eq!(url.origin(), base().origin());
            prop_assert!(url.as_str().starts_with("https://ai.example.com:8443/api/v1/"));
            prop_assert!(url.query().is_none() && url.fragment().is_none());
        }

        #[test]
        fn no_given_url_reaches_another_host_with_the_key(given in "(https?:)?[/\\\\@.:#?a-c]{0,12}(evil.example)?[/@:]?.{0,5}") {
            let trusted = Trusted::new(&base(), &[]).unwrap();
            if let Some(PollUrl::Given(url)) = trusted.judge(&given, "https://ai.example.com:8443/api/v1") {
                prop_assert!(url.starts_with("https://ai.example.com:8443/"), "{}", url);
            }
        }
    }
}
