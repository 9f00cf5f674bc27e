//! An answer as HTTP has it, before it is written.

use std::borrow::Cow;

/// A bucket as the `RateLimit` headers tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// Requests in a window: `q`.
    pub quota: u64,
    /// Length of the window in seconds: `w`.
    pub window_s: u64,
    /// Requests that may still leave at once: `r`.
    pub remaining: u64,
    /// Seconds until the bucket is full again, at least 1: `t`.
    pub reset_s: u64,
}

/// An answer as HTTP has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
    /// `Allow`, with a 405.
    pub allow: Option<&'static str>,
    /// Stands behind `RateLimit` and `RateLimit-Policy`.
    pub limit: Option<LimitState>,
    /// The body.
    pub body: Cow<'static, str>,
}

impl HttpAnswer {
    /// The headers, `Content-Length` and what the transport adds apart. `RateLimit` and its policy
    /// are written as draft-ietf-httpapi-ratelimit-headers has them since version 08.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let limits = self.limit.into_iter().flat_map(|limit| {
            let policy = format!(r#""default";q={};w={}"#, limit.quota, limit.window_s);
            let state = format!(r#""default";r={};t={}"#, limit.remaining, limit.reset_s);
            [
                ("ratelimit-policy", Cow::Owned(policy)),
                ("ratelimit", Cow::Owned(state)),
            ]
        });
        std::iter::once(("content-type", Cow::Borrowed(self.content_type)))
            .chain(
                self.retry_after_s
                    .map(|s| ("retry-after", s.to_string().into())),
            )
            .chain(self.allow.map(|methods| ("allow", methods.into())))
            .chain(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled() -> HttpAnswer {
        HttpAnswer {
            status: 429,
            content_type: "application/json",
            retry_after_s: Some(3),
            allow: None,
            limit: Some(LimitState {
                quota: 110,
                window_s: 1,
                remaining: 7,
                reset_s: 2,
            }),
            body: Cow::Borrowed("{}"),
        }
    }

    #[test]
    fn a_limited_service_says_so_in_headers_of_the_draft() {
        let headers: Vec<_> = throttled().headers().collect();
        assert_eq!(
            headers,
            [
                ("content-type", Cow::Borrowed("application/json")),
                ("retry-after", Cow::Borrowed("3")),
                ("ratelimit-policy", Cow::Borrowed(r#""default";q=110;w=1"#)),
                ("ratelimit", Cow::Borrowed(r#""default";r=7;t=2"#)),
            ]
        );
    }

    #[test]
    fn rate_headers_are_structured_fields() {
        use sfv::{BareItem, List, ListEntry, Parser};
        let http = throttled();
        let check = |name: &str, params: [(&str, i64); 2]| {
            let (_, value) = http.headers().find(|(found, _)| *found == name).unwrap();
            let list: List = Parser::new(value.as_ref()).parse().unwrap();
            let [ListEntry::Item(item)] = list.as_slice() else {
                panic!("one item, found {list:?}")
            };
            assert!(
                matches!(&item.bare_item, BareItem::String(name) if name.as_str() == "default")
            );
            let found: Vec<(&str, i64)> = item
                .params
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_integer().unwrap().into()))
                .collect();
            assert_eq!(found, params);
        };
        check("ratelimit-policy", [("q", 110), ("w", 1)]);
        check("ratelimit", [("r", 7), ("t", 2)]);
    }
}
