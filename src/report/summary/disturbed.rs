//! `disturbances` of `summary.json`.

use serde::Serialize;
use serde_json::Value;

use super::micro;
use crate::record::disturbance::{Disturbance, Disturbances, Kind};
use crate::time::{Span, Tick};

#[derive(Serialize)]
pub(super) struct Disturbed {
    count: u64,
    longest: Vec<One>,
}

#[derive(Serialize)]
struct One {
    at_s: f64,
    kind: &'static str,
    length_s: f64,
}

impl From<&Disturbances> for Disturbed {
    fn from(from: &Disturbances) -> Self {
        let one = |one: &Disturbance| One {
            at_s: micro(one.at.seconds()),
            kind: one.kind.word(),
            length_s: micro(one.length.seconds()),
        };
        Self {
            count: from.count,
            longest: from.longest.iter().map(one).collect(),
        }
    }
}

/// What an earlier summary says; none where nobody watched.
pub(super) fn recall(
    from: &Value,
    span_of: impl Fn(&Value) -> Option<Span>,
) -> Option<Disturbances> {
    let one = |from: &Value| {
        let word = from["kind"].as_str()?;
        Some(Disturbance {
            at: Tick::ZERO + span_of(&from["at_s"])?,
            kind: Kind::ALL.into_iter().find(|kind| kind.word() == word)?,
            length: span_of(&from["length_s"])?,
        })
    };
    Some(Disturbances {
        count: from["count"].as_u64()?,
        longest: from["longest"].as_array()?.iter().filter_map(one).collect(),
    })
}
