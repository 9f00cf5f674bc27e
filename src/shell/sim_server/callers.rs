//! Whom the service calls: the URLs that submits name.
//!
//! Each URL is kept once, however many works have it: where all works share one that is one entry,
//! where each has its own it is one for each work that was taken. An entry is at most `LONGEST`
//! bytes of text, and some 200 around it.

use crate::scenario::SimCallback;
use crate::sim::Refusal;
use crate::wire::pointer::Picker;
use hyper::header::HeaderMap;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use url::Url;

/// The most bytes of a URL that is taken.
const LONGEST: usize = 2_000;

/// Who is to be called, each by a number.
pub(super) struct Callers {
    /// Where the body of a submit says whereto.
    field: Picker<1>,
    /// The header that does, in its place.
    header: String,
    /// Whereto if neither does.
    fixed: Option<Rc<Url>>,
    /// Nobody is called, whatever a submit says.
    is_mute: bool,
    numbers: BTreeMap<Rc<Url>, u64>,
    urls: Vec<Rc<Url>>,
}

impl Callers {
    /// Nobody is known yet. The error is a URL of the plan that cannot be called.
    pub(super) fn new(plan: &SimCallback) -> io::Result<Self> {
        let fixed = plan.url.as_deref().map(|text| {
            usable(text).ok_or_else(|| {
                let text = format!(
                    "simulator.callback.url: found \"{text}\", expected http:// with a host, \
                     at most {LONGEST} bytes\n\
                     hint: the simulated service speaks no TLS: http://127.0.0.1:9000/callbacks"
                );
                io::Error::new(io::ErrorKind::InvalidInput, text)
            })
        });
        Ok(Self {
            field: Picker::new([Some(&plan.field)]),
            header: plan.header.clone(),
            fixed: fixed.transpose()?.map(Rc::new),
            is_mute: !plan.calls,
            numbers: BTreeMap::new(),
            urls: Vec::new(),
        })
    }

    /// Whom this submit wants to be called; a URL that cannot be is the fault of the submit.
    pub(super) fn named(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<Rc<Url>>, Refusal> {
        if self.is_mute {
            return Ok(None);
        }
        let in_body = self.field.pick(body).and_then(|[found]| found?.string());
        let text = match (in_body, headers.get(&self.header)) {
            (Some(text), _) => text,
            (None, Some(value)) => {
                Cow::Borrowed(value.to_str().map_err(|_| Refusal::BadRequest)?.trim())
            }
            (None, None) => return Ok(self.fixed.clone()),
        };
        let url = usable(&text).ok_or(Refusal::BadRequest)?;
        Ok(Some(Rc::new(url)))
    }

    /// The number that leads to this URL, once it is kept.
    pub(super) fn number(&self, url: &Rc<Url>) -> u64 {
        let next = self.urls.len() as u64;
        self.numbers.get(url).copied().unwrap_or(next)
    }

    /// A work was taken whose caller it is.
    pub(super) fn keep(&mut self, url: Rc<Url>) {
        let number = self.number(&url);
        if number == self.urls.len() as u64 {
            self.urls.push(Rc::clone(&url));
            self.numbers.insert(url, number);
        }
    }

    /// The URL of a number that was kept.
    pub(super) fn url(&self, number: u64) -> &Url {
        let index = usize::try_from(number).ok();
        index
            .and_then(|index| self.urls.get(index))
            .expect("a work is called only after its caller was kept")
    }
}

/// A URL that can be called: of plain HTTP, short, and without a password in the open.
fn usable(text: &str) -> Option<Url> {
    let url = (text.len() <= LONGEST).then(|| Url::parse(text).ok())??;
    let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    plain.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn callers(url: Option<&str>) -> Callers {
        let plan = SimCallback {
            url: url.map(str::to_owned),
            ..SimCallback::faultless()
        };
        Callers::new(&plan).unwrap()
    }

    #[test]
    fn the_body_is_asked_before_the_header_and_both_before_the_plan() {
        let check = |fixed, header: Option<&'static str>, body: &str, expected| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("x-callback-url", HeaderValue::from_static(header));
            }
            let named = callers(fixed).named(&headers, body.as_bytes());
            let named = named.map(|url| url.map(|url| url.to_string()));
            assert_eq!(named, expected, "{fixed:?} {header:?} {body}");
        };
        let some = |text: &str| Ok(Some(text.to_owned()));
        let body = r#"{"callback_url": "http://body/"}"#;
        check(
            Some("http://plan/"),
            Some("http://header/"),
            body,
            some("http://body/"),
        );
        check(
            Some("http://plan/"),
            Some("http://header/"),
            "{}",
            some("http://header/"),
        );
        check(Some("http://plan/"), None, "{}", some("http://plan/"));
        check(None, None, r#"{"callback_url": 7}"#, Ok(None));
        check(None, None, "{}", Ok(None));
        let bad = Err(Refusal::BadRequest);
        check(None, None, r#"{"callback_url": ""}"#, bad.clone());
        check(
            None,
            None,
            r#"{"callback_url": "https://body/"}"#,
            bad.clone(),
        );
        check(
            None,
            None,
            r#"{"callback_url": "http://me:pass@body/"}"#,
            bad.clone(),
        );
        check(None, Some("/path"), "{}", bad.clone());
        let long = format!(
            r#"{{"callback_url": "http://body/{}"}}"#,
            "x".repeat(LONGEST)
        );
        check(None, None, &long, bad);
    }

    #[test]
    fn equal_urls_share_a_number_and_what_was_not_taken_has_none() {
        let mut callers = callers(None);
        let [a, b] = ["http://a/", "http://b/"].map(|url| Rc::new(Url::parse(url).unwrap()));
        assert_eq!((callers.number(&a), callers.number(&b)), (0, 0));
        callers.keep(Rc::clone(&b));
        callers.keep(Rc::clone(&a));
        callers.keep(Rc::clone(&b));
        assert_eq!((callers.number(&b), callers.number(&a)), (0, 1));
        assert_eq!(callers.url(1), &*a);
        assert_eq!(callers.urls.len(), 2);
    }

    #[test]
    fn a_plan_that_cannot_be_called_is_told_so() {
        for url in ["https://hooks.example.com", "hooks.example.com"] {
            let plan = SimCallback {
                url: Some(url.to_owned()),
                ..SimCallback::faultless()
            };
            let error = Callers::new(&plan).err().unwrap().to_string();
            assert!(error.contains(url) && error.contains("hint: "), "{error}");
        }
    }
}
