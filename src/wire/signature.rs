//! Signatures of callbacks: made by who sends one, checked by who receives it.
//!
//! | scheme | header | code over | written as |
//! |---|---|---|---|
//! | Standard Webhooks, version 1 | `webhook-signature` | `id.timestamp.body` | `v1,` and base64, a list |
//! | GitHub | `X-Hub-Signature-256` | the body | `sha256=` and hex |
//! | HMAC | of the scenario's choice | the body | a prefix, and hex or base64 |
//! | bearer | `Authorization` | nothing: the secret itself | `Bearer` and the secret |
//!
//! Each code is HMAC-SHA-256 (RFC 2104) over the bytes as they came, and is compared in a time that
//! does not hang on where it differs. Version 1a of Standard Webhooks, with public keys, is passed
//! over.

use std::fmt::{self, Write};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::scenario::SignatureScheme;
use crate::time::{NANOS_PER_SECOND, Span};
use crate::wire::{Headers, first};

#[cfg(test)]
mod tests;

const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";
/// What stands before a secret of Standard Webhooks; some leave it away.
const WEBHOOK_SECRET: &str = "whsec_";
const AUTHORIZATION: &str = "Authorization";

/// Base64 with or without padding: services write both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a signature does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// A header that the scheme needs is not there.
    Missing,
    /// A header is not what the scheme describes.
    Malformed,
    /// It was signed too long ago.
    Old,
    /// It was signed too far in the future.
    Future,
    /// No secret of ours makes this code.
    Wrong,
}

impl Unverified {
    /// One word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Old => "old",
            Self::Future => "future",
            Self::Wrong => "wrong",
        }
    }
}

/// A secret that its scheme cannot use: for Standard Webhooks it must be base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSecret;

/// A scheme and its secrets. It has no text form that shows them.
pub struct Keyring {
    scheme: Scheme,
    keys: Vec<Key>,
    /// By how many seconds the time of a signature may differ from ours.
    tolerance: u64,
}

/// The bytes of a secret.
type Key = Box<[u8]>;

/// What schemes come down to.
enum Scheme {
    Standard,
    Body {
        header: String,
        prefix: String,
        base64: bool,
    },
    Bearer,
}

impl Keyring {
    /// The first secret is the one to sign with; any of them may have been used by who calls.
    /// `tolerance` counts in whole seconds.
    pub fn new(
        scheme: &SignatureScheme,
        secrets: &[&str],
        tolerance: Span,
    ) -> Result<Self, BadSecret> {
        let scheme = match scheme {
            SignatureScheme::Standard => Scheme::Standard,
            SignatureScheme::Github => Scheme::Body {
                header: "X-Hub-Signature-256".to_owned(),
                prefix: "sha256=".to_owned(),
                base64: false,
            },
            SignatureScheme::Hmac {
                header,
                prefix,
                base64,
            } => Scheme::Body {
                header: header.clone(),
                prefix: prefix.clone(),
                base64: *base64,
            },
            SignatureScheme::Bearer => Scheme::Bearer,
        };
        let key = |secret: &&str| match scheme {
            Scheme::Standard => webhook_key(secret),
            Scheme::Body { .. } | Scheme::Bearer => Ok(secret.as_bytes().into()),
        };
        Ok(Self {
            keys: secrets.iter().map(key).collect::<Result<_, _>>()?,
            scheme,
            tolerance: tolerance.0 / NANOS_PER_SECOND,
        })
    }

    /// The headers that a sender adds to this body, at `now` in seconds of the Unix epoch. `id`
    /// names the delivery and is the same in each attempt; Standard Webhooks signs it too.
    pub fn sign(&self, id: &str, now: i64, body: &[u8]) -> Vec<(String, String)> {
        let first = self.keys.first().map_or(&[][..], |key| key);
        match &self.scheme {
            Scheme::Standard => {
                let time = now.to_string();
                let entry = |key: &Key| {
                    let code = webhook_code(key, id.as_bytes(), time.as_bytes(), body);
                    format!("v1,{}", BASE64.encode(code.finalize().into_bytes()))
                };
                let entries: Vec<String> = self.keys.iter().map(entry).collect();
                vec![
                    (WEBHOOK_ID.to_owned(), id.to_owned()),
                    (WEBHOOK_TIMESTAMP.to_owned(), time),
                    (WEBHOOK_SIGNATURE.to_owned(), entries.join(" ")),
                ]
            }
            Scheme::Body {
                header,
                prefix,
                base64,
            } => {
                let code = hmac_sha256(first, body);
                let code = if *base64 {
                    BASE64.encode(code)
                } else {
                    hex(&code)
                };
                vec![(header.clone(), format!("{prefix}{code}"))]
            }
            Scheme::Bearer => {
                let secret = String::from_utf8_lossy(first);
                vec![(AUTHORIZATION.to_owned(), format!("Bearer {secret}"))]
            }
        }
    }

    /// Whether one of the secrets signed this body, at `now` in seconds of the Unix epoch.
    pub fn verify<H: Headers + ?Sized>(
        &self,
        headers: &H,
        body: &[u8],
        now: i64,
    ) -> Result<(), Unverified> {
        let needed = |name: &str| first(headers, name).ok_or(Unverified::Missing);
        let fits = match &self.scheme {
            Scheme::Standard => {
                let (id, time) = (needed(WEBHOOK_ID)?, needed(WEBHOOK_TIMESTAMP)?);
                let list = needed(WEBHOOK_SIGNATURE)?;
                self.is_of_now(time, now)?;
                let given = webhook_codes(list);
                let of = |key: &Key| webhook_code(key, id, time, body);
                self.keys.iter().map(of).any(|code| {
                    let fits = |given: &Vec<u8>| code.clone().verify_slice(given).is_ok();
                    given.iter().any(fits)
                })
            }
            Scheme::Body {
                header,
                prefix,
                base64,
            } => {
                let value = needed(header)?.trim_ascii();
                let code = value.strip_prefix(prefix.as_bytes());
                let code = code.and_then(|code| match base64 {
                    true => BASE64.decode(code).ok(),
                    false => from_hex(code),
                });
                let code = code.ok_or(Unverified::Malformed)?;
                let fits = |key: &Key| begin(key).chain_update(body).verify_slice(&code);
                self.keys.iter().any(|key| fits(key).is_ok())
            }
            Scheme::Bearer => {
                let token = bearer(needed(AUTHORIZATION)?).ok_or(Unverified::Malformed)?;
                self.keys.iter().any(|key| is_secret(key, token))
            }
        };
        if fits { Ok(()) } else { Err(Unverified::Wrong) }
    }

    fn is_of_now(&self, time: &[u8], now: i64) -> Result<(), Unverified> {
        let text = std::str::from_utf8(time).map_err(|_| Unverified::Malformed)?;
        let signed: i64 = text.parse().map_err(|_| Unverified::Malformed)?;
        match now.abs_diff(signed) <= self.tolerance {
            true => Ok(()),
            false if signed < now => Err(Unverified::Old),
            false => Err(Unverified::Future),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} secrets)", self.keys.len())
    }
}

/// HMAC-SHA-256 (RFC 2104, FIPS 180-4) of a message.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    begin(key)
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

/// Whether the text is the secret, in a time that tells neither where it differs nor how long the
/// secret is: two codes are compared in their place.
pub fn is_secret(secret: &[u8], text: &[u8]) -> bool {
    let expected = hmac_sha256(secret, secret);
    let code = begin(secret).chain_update(text);
    code.verify_slice(&expected).is_ok()
}

/// Two lower-case digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn begin(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn webhook_key(secret: &str) -> Result<Key, BadSecret> {
    let text = secret.strip_prefix(WEBHOOK_SECRET).unwrap_or(secret);
    let key = BASE64.decode(text).map_err(|_| BadSecret)?;
    if key.is_empty() {
        return Err(BadSecret);
    }
    Ok(key.into())
}

/// The code of Standard Webhooks, not yet finished.
fn webhook_code(key: &[u8], id: &[u8], time: &[u8], body: &[u8]) -> Hmac<Sha256> {
    [id, b".", time, b".", body]
        .iter()
        .fold(begin(key), Mac::chain_update)
}

/// Those of version 1 in the list; what is no code fits nothing.
fn webhook_codes(list: &[u8]) -> Vec<Vec<u8>> {
    list.split(|byte| *byte == b' ')
        .filter_map(|entry| entry.strip_prefix(b"v1,"))
        .filter_map(|code| BASE64.decode(code).ok())
        .collect()
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer".len())?;
    let is_it = scheme.eq_ignore_ascii_case(b"Bearer") && token.starts_with(b" ");
    is_it.then(|| token.trim_ascii())
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    };
    text.chunks(2).map(pair).collect()
}
