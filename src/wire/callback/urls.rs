//! The URLs at which callbacks come in, and what a path says.

use crate::scenario::Find;
use crate::wire::address::{BadAddress, configured, decode, segment};
use crate::wire::signature::{hex, hmac_sha256, is_secret};

/// Hex digits of the code in the URL of a work: 64 bits, which nobody guesses in one run.
const CODE_DIGITS: usize = 16;

/// Where the receiver is called. Whoever knows the token may call.
#[derive(Clone)]
pub struct CallbackUrls {
    /// Scheme, host and path, without a trailing slash.
    base: String,
    /// How many segments the path of `base` has: a proxy may take them off, or leave them.
    depth: usize,
    token: Box<[u8]>,
    /// Each work has a URL of its own.
    own: bool,
}

/// What the path of a request says, if it carries the token of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called<'a> {
    /// What follows the token.
    pub rest: &'a str,
    /// The arrival, where each work has a URL of its own.
    pub own: Option<u64>,
}

impl std::fmt::Debug for CallbackUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallbackUrls({}/..)", self.base)
    }
}

impl CallbackUrls {
    /// URLs below `base`, each with the token.
    pub fn new(base: &str, token: &str, find: &Find) -> Result<Self, BadAddress> {
        let url = configured("observe.callback.public_url", base)?;
        let path = url.path().trim_matches('/');
        Ok(Self {
            base: url.as_str().trim_end_matches('/').to_owned(),
            depth: path.split('/').filter(|part| !part.is_empty()).count(),
            token: token.as_bytes().into(),
            own: *find == Find::OwnUrl,
        })
    }

    /// That of all works; each URL of a work begins so.
    pub fn of_all(&self) -> String {
        let token = String::from_utf8_lossy(&self.token);
        format!("{}/{}", self.base, segment(&token))
    }

    /// What the submit of an arrival carries.
    pub fn of_work(&self, seq: u64) -> String {
        let mut url = self.of_all();
        if self.own {
            let work = seq.to_string();
            let code = self.code(&work);
            url = format!("{url}/{work}-{code}");
        }
        url
    }

    /// What a path says; none of one that does not carry the token, or the code of its work.
    pub fn read<'a>(&self, path: &'a str) -> Option<Called<'a>> {
        let path = path.strip_prefix('/')?;
        let after = |segments: usize| {
            let mut steps = 0..segments;
            steps.try_fold(path, |path, _| Some(path.split_once('/')?.1))
        };
        // Both are looked at, so that the time tells nothing.
        let [near, far] = [0, self.depth].map(|depth| self.after_token(after(depth)?));
        let rest = near.or(far)?;
        let own = if self.own {
            Some(self.own_work(rest.split('/').next()?)?)
        } else {
            None
        };
        Some(Called { rest, own })
    }

    fn after_token<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (token, rest) = path.split_once('/').unwrap_or((path, ""));
        is_secret(&self.token, decode(token).as_bytes()).then_some(rest)
    }

    fn own_work(&self, text: &str) -> Option<u64> {
        let (work, code) = text.split_once('-')?;
        let fits = is_secret(self.code(work).as_bytes(), code.as_bytes());
        fits.then_some(work.parse().ok()?)
    }

    fn code(&self, work: &str) -> String {
        let mut code = hex(&hmac_sha256(&self.token, work.as_bytes()));
        code.truncate(CODE_DIGITS);
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Pointer;
    use proptest::prelude::*;
    use url::Url;

    const TOKEN: &str = "0123456789abcdef-token";

    fn urls(base: &str, find: &Find) -> CallbackUrls {
        CallbackUrls::new(base, TOKEN, find).unwrap()
    }

    fn by_body() -> Find {
        Find::Body(Pointer("/id".into()))
    }

    #[test]
    fn a_path_is_known_by_its_token_alone() {
        let check = |base: &str, path: &str, rest: Option<&str>| {
            let called = urls(base, &by_body()).read(path);
            assert_eq!(called.map(|called| called.rest), rest, "{base} {path}");
        };
        let plain = "http://127.0.0.1:8000";
        check(plain, &format!("/{TOKEN}"), Some(""));
        check(plain, &format!("/{TOKEN}/"), Some(""));
        check(plain, &format!("/{TOKEN}/a/b"), Some("a/b"));
        check(plain, "/%30123456789abcdef-token/a", Some("a"));
        for other in ["", "/", "x", "/a", "/0123456789abcdef-toke", "//"] {
            check(plain, other, None);
        }
        check(plain, TOKEN, None);
        check(plain, &format!("/{TOKEN}x"), None);
        check(plain, &format!("/hooks/{TOKEN}"), None);
        // A proxy leaves the path of the public URL as it is, or takes it off.
        let behind = "https://proxy.example/in/hooks/";
        check(behind, &format!("/in/hooks/{TOKEN}/7"), Some("7"));
        check(behind, &format!("/{TOKEN}/7"), Some("7"));
        check(behind, &format!("/hooks/{TOKEN}"), None);
    }

    #[test]
    fn a_work_has_a_url_of_its_own_that_fits_no_other() {
        let urls = urls("http://127.0.0.1:8000", &Find::OwnUrl);
        let url = urls.of_work(42);
        let path = Url::parse(&url).unwrap().path().to_owned();
        // printf 42 | openssl dgst -sha256 -hmac 0123456789abcdef-token
        assert_eq!(path, format!("/{TOKEN}/42-140bb4b6a4b43fd9"));
        assert_eq!(urls.read(&path).unwrap().own, Some(42));
        assert_eq!(urls.read(&format!("{path}/more")).unwrap().own, Some(42));
        for other in [
            path.replace("42-", "43-"),
            path[..path.len() - 1].to_owned(),
            format!("/{TOKEN}"),
            format!("/{TOKEN}/42-"),
        ] {
            assert_eq!(urls.read(&other), None, "{other}");
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let shown = format!("{:?}", urls("http://h.example/p", &by_body()));
        assert_eq!(shown, "CallbackUrls(http://h.example/p/..)");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seq: u64, token in "[ -~]{16,40}", path in "(/[a-z]{1,5}){0,3}") {
            let base = format!("https://h.example{path}");
            for find in [by_body(), Find::OwnUrl] {
                let urls = CallbackUrls::new(&base, &token, &find).unwrap();
                let url = Url::parse(&urls.of_work(seq)).unwrap();
                let called = urls.read(url.path()).unwrap();
                prop_assert_eq!(called.own, (find == Find::OwnUrl).then_some(seq));
            }
        }

        #[test]
        fn no_path_is_known_by_chance(path in "\\PC{0,60}|(/[0-9a-f-]{0,24}){0,4}") {
            for find in [by_body(), Find::OwnUrl] {
                prop_assert_eq!(urls("http://h.example/a", &find).read(&path), None);
            }
        }
    }
}
