//! What the receiver of callbacks took of the machine: what a team has to provide for its own.

use serde_json::Value;

use crate::time::Span;

/// The receiver, as it saw itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Receiver {
    /// The most connections that were open at once.
    pub most_connections: u64,
    /// The most callbacks that were read and not yet answered at once.
    pub most_at_once: u64,
    /// Their mean number over the run: arrival rate times the time of an answer (Little, *Oper.
    /// Res.* 9 (1961), 383-387).
    pub mean_at_once: f64,
    /// The longest that a callback waited until the shard of its work took it, its stamp being made
    /// already, in whole microseconds.
    pub longest_wait: Span,
    /// What its thread spent on a processor, in whole microseconds.
    pub cpu: Span,
}

impl Receiver {
    /// Reads it from an earlier summary.
    pub(super) fn recall(from: &Value, span_of: impl Fn(&Value) -> Option<Span>) -> Option<Self> {
        Some(Self {
            most_connections: from["most_connections"].as_u64()?,
            most_at_once: from["most_at_once"].as_u64()?,
            mean_at_once: from["mean_at_once"].as_f64()?,
            longest_wait: span_of(&from["longest_wait_s"])?,
            cpu: span_of(&from["cpu_s"])?,
        })
    }
}
