//! `[size]`: what is to be decided between polls and callbacks.

use super::cursor::Cursor;
use super::{Bucket, Mode, Rate};
use crate::time::{NANOS_PER_SECOND, Span};

/// What `plimsoll size` decides.
#[derive(Clone, Debug, PartialEq)]
pub struct SizePlan {
    /// Works per time at the peak; never empty.
    pub peak: Vec<Rate>,
    /// What the service allows of submits and polls together; none if nobody says.
    pub limit: Option<Bucket>,
    /// How late the end of a work may be seen, in the mean.
    pub lag: Span,
    /// How long a receiver is busy with a callback.
    pub handler_time: Span,
    /// An outage of the receiver that is reckoned with.
    pub outage: Span,
    /// Poll intervals to try; never empty.
    pub intervals: Vec<Span>,
    /// Words of `poll.policy` to try; never empty.
    pub policies: Vec<String>,
    /// The modes to try; never empty.
    pub modes: Vec<Mode>,
    /// Share of the attempts to deliver a callback that fail, in `[0, 1)`.
    pub failure_ratio: f64,
    /// Bytes of a submit, or of a poll that finds a work open, with its answer.
    pub poll_bytes: u64,
    /// Bytes of a poll whose answer has the result, or of a callback.
    pub result_bytes: u64,
}

/// Reads it. `limit` is what other tables say of the service's limit.
pub(super) fn size(at: &Cursor<'_>, interval: Span, limit: Option<Bucket>) -> SizePlan {
    let mut intervals = at.spans("intervals");
    if intervals.is_empty() {
        intervals.push(interval);
    }
    SizePlan {
        peak: at.rates("peak"),
        limit: at.rate("limit").map(second_at_once).or(limit),
        lag: at.span("lag"),
        handler_time: at.span("handler_time"),
        outage: at.span("outage"),
        intervals,
        policies: at.texts("policies"),
        modes: (at.texts("modes").iter())
            .filter_map(|word| Mode::named(word))
            .collect(),
        failure_ratio: at.number("failure_ratio"),
        poll_bytes: at.size("poll_bytes"),
        result_bytes: at.size("result_bytes"),
    }
}

/// A bucket of which a second's worth may come at once.
fn second_at_once(rate: Rate) -> Bucket {
    let second = u128::from(rate.count) * u128::from(NANOS_PER_SECOND) / u128::from(rate.per.0);
    let burst = u32::try_from(second).unwrap_or(u32::MAX).max(1);
    Bucket { rate, burst }
}
