//! Rates in headers: `Retry-After` and the families of `RateLimit`, read by one parser.
//!
//! | family | form | reset |
//! |---|---|---|
//! | IETF drafts -08 to -11 | `RateLimit: "name";r=50;t=30`, `RateLimit-Policy: "name";q=100;w=60`
//! | seconds from now |
//! | IETF draft -07 | `RateLimit: limit=100, remaining=50, reset=30`, `RateLimit-Policy: 100;w=60`
//! | seconds from now |
//! | IETF drafts -00 to -06 | `RateLimit-Limit: 100, 100;w=60`, `RateLimit-Remaining`,
//! `RateLimit-Reset` | a number |
//! | vendors | `X-RateLimit-*`, `X-Rate-Limit-*`, `X-RateLimit-*-Requests` | a number, a length, a
//! date |
//!
//! A field that is malformed is ignored as a whole; the lines of a field are joined first (RFC
//! 9110, section 5.3). The first family of the table that yields anything is the answer's. A bare
//! number is read as [`ResetForm`] says; instants are compared with the answer's own `Date`, and
//! without one they are ignored: two clocks that are not the same would make a wait out of their
//! difference.

use std::borrow::Cow;

use crate::scenario::ResetForm;
use crate::time::Span;
use crate::wire::{Headers, instant};
use crate::work::{Family, Policy, RateHint, Remaining};

mod structured;

/// The names that matter.
#[derive(Clone, Copy)]
enum Name {
    Date,
    RetryAfter,
    RetryAfterMillis,
    AzureRetryAfterMillis,
    RateLimit,
    RateLimitPolicy,
    Limit,
    Remaining,
    Reset,
    XLimit,
    XRemaining,
    XReset,
    XResetAfter,
    RequestsLimit,
    RequestsRemaining,
    RequestsReset,
    TwitterLimit,
    TwitterRemaining,
    TwitterReset,
}

const NAMES: [(&str, Name); 19] = [
    ("date", Name::Date),
    ("retry-after", Name::RetryAfter),
    ("retry-after-ms", Name::RetryAfterMillis),
    ("x-ms-retry-after-ms", Name::AzureRetryAfterMillis),
    ("ratelimit", Name::RateLimit),
    ("ratelimit-policy", Name::RateLimitPolicy),
    ("ratelimit-limit", Name::Limit),
    ("ratelimit-remaining", Name::Remaining),
    ("ratelimit-reset", Name::Reset),
    ("x-ratelimit-limit", Name::XLimit),
    ("x-ratelimit-remaining", Name::XRemaining),
    ("x-ratelimit-reset", Name::XReset),
    ("x-ratelimit-reset-after", Name::XResetAfter),
    ("x-ratelimit-limit-requests", Name::RequestsLimit),
    ("x-ratelimit-remaining-requests", Name::RequestsRemaining),
    ("x-ratelimit-reset-requests", Name::RequestsReset),
    ("x-rate-limit-limit", Name::TwitterLimit),
    ("x-rate-limit-remaining", Name::TwitterRemaining),
    ("x-rate-limit-reset", Name::TwitterReset),
];

/// Limit, remaining and reset of one vendor; those that count requests alone come first.
const VENDORS: [[Name; 3]; 3] = [
    [
        Name::RequestsLimit,
        Name::RequestsRemaining,
        Name::RequestsReset,
    ],
    [Name::XLimit, Name::XRemaining, Name::XReset],
    [
        Name::TwitterLimit,
        Name::TwitterRemaining,
        Name::TwitterReset,
    ],
];

/// The values of one answer, each field's lines joined.
struct Fields<'h> {
    values: [Option<Cow<'h, [u8]>>; NAMES.len()],
    any: bool,
}

impl<'h> Fields<'h> {
    fn of<H: Headers + ?Sized>(headers: &'h H) -> Self {
        let mut fields = Self {
            values: Default::default(),
            any: false,
        };
        for (name, value) in headers.fields() {
            let first = name.first().map(u8::to_ascii_lowercase);
            if !matches!(first, Some(b'd' | b'r' | b'x')) {
                continue;
            }
            let known = NAMES
                .iter()
                .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
            let Some(&(_, known)) = known else { continue };
            fields.any |= !matches!(known, Name::Date);
            match &mut fields.values[known as usize] {
                Some(joined) => {
                    let joined = joined.to_mut();
                    joined.extend_from_slice(b", ");
                    joined.extend_from_slice(value);
                }
                empty => *empty = Some(Cow::Borrowed(value)),
            }
        }
        fields
    }

    fn bytes(&self, name: Name) -> Option<&[u8]> {
        self.values[name as usize].as_deref()
    }

    fn text(&self, name: Name) -> Option<&str> {
        std::str::from_utf8(self.bytes(name)?).ok().map(str::trim)
    }

    /// Seconds of the epoch by the service's own clock.
    fn date(&self) -> Option<i64> {
        instant::http_date(self.bytes(Name::Date)?)
    }
}

/// What one family says, before the longest believed wait is applied.
struct Said {
    family: Family,
    remaining: Option<Remaining>,
    policy: Option<Policy>,
}

/// Reads hints as one profile wants it.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    reset: ResetForm,
    longest: Span,
}

impl Reader {
    /// `reset` says how bare numbers are read; no wait is believed that is longer than `longest`.
    pub const fn new(reset: ResetForm, longest: Span) -> Self {
        Self { reset, longest }
    }

    /// What the headers of one answer say.
    pub fn read<H: Headers + ?Sized>(&self, headers: &H) -> RateHint {
        // Most answers have none, and a `Date` alone says nothing.
        let may_hint = |name: &[u8]| matches!(name.first(), Some(b'R' | b'X' | b'r' | b'x'));
        if !headers.fields().any(|(name, _)| may_hint(name)) {
            return RateHint::default();
        }
        let fields = Fields::of(headers);
        if !fields.any {
            return RateHint::default();
        }
        let mut hint = RateHint {
            retry_after: retry_after(&fields),
            ..RateHint::default()
        };
        let said = by_list(&fields)
            .or_else(|| by_dictionary(&fields))
            .or_else(|| self.by_fields(&fields))
            .or_else(|| {
                VENDORS
                    .into_iter()
                    .find_map(|names| self.by_vendor(&fields, names))
            });
        if let Some(said) = said {
            hint.family = Some(said.family);
            hint.remaining = said.remaining;
            hint.policy = said.policy;
        }
        let waits = hint.retry_after.iter_mut();
        for wait in waits.chain(
            hint.remaining
                .iter_mut()
                .map(|remaining| &mut remaining.reset),
        ) {
            if *wait > self.longest {
                *wait = self.longest;
                hint.clamps += 1;
            }
        }
        hint
    }

    /// IETF drafts -00 to -06.
    fn by_fields(&self, fields: &Fields<'_>) -> Option<Said> {
        let requests = fields.text(Name::Remaining).and_then(count);
        let limits = structured::limits(fields.bytes(Name::Limit));
        let policies = structured::numbered(fields.bytes(Name::RateLimitPolicy));
        let window = tightest(limits.iter().chain(&policies).flatten());
        let reset = fields
            .text(Name::Reset)
            .and_then(|text| self.reset(text, fields));
        let wait = reset
            .map(|(_, wait)| wait)
            .or(window.map(|policy| policy.window));
        if requests.is_none() && limits.is_none() {
            return None;
        }
        Some(Said {
            family: Family::IetfFields,
            remaining: requests
                .zip(wait)
                .map(|(requests, reset)| Remaining { requests, reset }),
            policy: window,
        })
    }

    /// The names that everybody uses and nobody wrote down.
    fn by_vendor(&self, fields: &Fields<'_>, [limit, remaining, reset]: [Name; 3]) -> Option<Said> {
        let after = fields
            .text(Name::XResetAfter)
            .filter(|_| matches!(reset, Name::XReset));
        let requests = fields.text(remaining).and_then(count);
        let limits = structured::limits(fields.bytes(limit));
        if requests.is_none() && limits.is_none() {
            return None;
        }
        let policy = tightest(limits.iter().flatten());
        let reset = after
            .and_then(|text| Some((Family::VendorDelta, Span::from_secs_f64(number(text)?))))
            .or_else(|| fields.text(reset).and_then(|text| self.reset(text, fields)));
        let wait = reset
            .map(|(_, wait)| wait)
            .or(policy.map(|policy| policy.window));
        Some(Said {
            family: reset.map_or(Family::Vendor, |(family, _)| family),
            remaining: requests
                .zip(wait)
                .map(|(requests, reset)| Remaining { requests, reset }),
            policy,
        })
    }

    /// How long until a reset, and how its text was read.
    fn reset(&self, text: &str, fields: &Fields<'_>) -> Option<(Family, Span)> {
        let Some(value) = number(text) else {
            if let Some(length) = Span::parse(text) {
                return Some((Family::VendorDuration, length));
            }
            // A date by its letters; a number would have been read above.
            let instant = instant::from_text(text)?;
            let since = instant
                .0
                .saturating_sub(fields.date()?.checked_mul(1_000_000)?);
            let micros = u64::try_from(since).unwrap_or(0);
            return Some((Family::VendorDate, Span(micros.saturating_mul(1_000))));
        };
        let family = match self.reset {
            ResetForm::Epoch => Family::VendorEpoch,
            ResetForm::Guess if value >= instant::MILLIS_FROM => Family::VendorEpochMillis,
            ResetForm::Guess if value >= EPOCH_FROM => Family::VendorEpoch,
            ResetForm::Guess | ResetForm::Delta => Family::VendorDelta,
        };
        let seconds = match family {
            Family::VendorDelta => value,
            Family::VendorEpochMillis => value / 1e3 - seconds(fields.date()?),
            _ => value - seconds(fields.date()?),
        };
        Some((family, Span::from_secs_f64(seconds)))
    }
}

/// From here on a bare number is guessed to be an instant: as a wait it would be 31 years.
const EPOCH_FROM: f64 = 1e9;

#[expect(
    clippy::cast_precision_loss,
    reason = "dates of HTTP end with the year 9999"
)]
fn seconds(date: i64) -> f64 {
    date as f64
}

/// RFC 9110, section 10.2.3: whole seconds, or a date. The finer forms of Azure count before it.
fn retry_after(fields: &Fields<'_>) -> Option<Span> {
    let finer = [Name::RetryAfterMillis, Name::AzureRetryAfterMillis];
    let millis = |name| fields.text(name).and_then(number);
    if let Some(millis) = finer.into_iter().find_map(millis) {
        return Some(Span::from_secs_f64(millis / 1e3));
    }
    let text = fields.text(Name::RetryAfter)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text).map(Span::from_secs_f64);
    }
    let instant = instant::http_date(text.as_bytes())?;
    let wait = instant.saturating_sub(fields.date()?);
    Some(Span::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// IETF drafts -08 to -11.
fn by_list(fields: &Fields<'_>) -> Option<Said> {
    let policies = structured::policies(fields.bytes(Name::RateLimitPolicy));
    let limits = structured::service_limits(fields.bytes(Name::RateLimit));
    if policies.is_none() && limits.is_none() {
        return None;
    }
    let policies = policies.unwrap_or_default();
    let named = |name: &str| policies.iter().find(|policy| policy.name == name);
    let limits = limits.unwrap_or_default();
    let requests = limits
        .iter()
        .filter(|limit| named(&limit.name).is_none_or(|p| p.of_requests));
    // Without `t` there will be more after a whole window at the latest.
    let remaining = requests.filter_map(|limit| {
        let window = || named(&limit.name).and_then(|policy| policy.window);
        let reset = limit.reset.or_else(window)?;
        Some(Remaining {
            requests: limit.remaining,
            reset,
        })
    });
    let of_requests = policies.iter().filter(|policy| policy.of_requests);
    let windows: Vec<Policy> = of_requests
        .filter_map(|policy| {
            Some(Policy {
                quota: policy.quota,
                window: policy.window?,
            })
        })
        .collect();
    Some(Said {
        family: Family::IetfList,
        remaining: remaining.reduce(|one, other| if fewer(one, other) { one } else { other }),
        policy: tightest(&windows),
    })
}

/// IETF draft -07.
fn by_dictionary(fields: &Fields<'_>) -> Option<Said> {
    let state = structured::dictionary(fields.bytes(Name::RateLimit))?;
    let policies = structured::numbered(fields.bytes(Name::RateLimitPolicy));
    Some(Said {
        family: Family::IetfDictionary,
        remaining: Some(state),
        policy: tightest(policies.iter().flatten()),
    })
}

/// Whether the pace of `one` until its reset is the slower one; with equal paces, the longer wait.
fn fewer(one: Remaining, other: Remaining) -> bool {
    let pace = |a: Remaining, b: Remaining| u128::from(a.requests) * u128::from(b.reset.0);
    let (left, right) = (pace(one, other), pace(other, one));
    left < right || (left == right && one.reset > other.reset)
}

/// The policy with the lowest rate in the long run; with equal rates, the one with the shorter
/// window, as it allows the smaller burst.
fn tightest<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Option<Policy> {
    let rate = |a: &Policy, b: &Policy| u128::from(a.quota) * u128::from(b.window.0);
    let policies = policies.into_iter().copied();
    policies.min_by(|one, other| {
        let by_rate = rate(one, other).cmp(&rate(other, one));
        by_rate.then(one.window.cmp(&other.window))
    })
}

/// A number without sign and exponent, and perhaps with a fraction.
fn number(text: &str) -> Option<f64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    text.parse().ok()
}

/// A number of requests. Reddit writes it with a fraction, which is no whole request.
fn count(text: &str) -> Option<u64> {
    number(text)?;
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    Some(whole.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
