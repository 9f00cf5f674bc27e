//! The simulated service: the job API that Plimsoll is tested and tried with.
//!
//! It is a pure state machine that is told the time. [`Service::submit`] and [`Service::poll`] say
//! what goes over the wire and when, as an [`Answer`]; the virtual world reads an answer as the
//! replies of an HTTP client, and `shell::sim_server` writes the same answer to a socket.
//!
//! The life of the n-th work that is taken (service time, how it ends, whether it is lost) is a
//! function of the seed and n alone; the faults of the n-th submit and of the n-th poll likewise.
//! Because the service time is known when the work is taken, the start of a work in a queue of
//! `workers` servers is known then too: the later of now and the first worker to be free.
//!
//! The service keeps its own books ([`Truth`]): what it counted, and what became of each work, in
//! 40 bytes a work. They are what a run's own books are held against.

mod answer;
mod calendar;
mod chance;
mod deliveries;
mod http_answer;
mod law;
mod life;
mod like;
mod limiter;
mod seen;
mod service;
mod truth;
mod works;
pub mod world;

pub use answer::{Answer, Kind, Refusal, Said, Taken, Word};
pub use deliveries::{Attempt, Made, Received, Sending};
pub use http_answer::{HttpAnswer, LimitState};
pub use law::{draw, mean};
pub use like::Like;
pub use seen::Seen;
pub use service::Service;
pub use truth::{Answered, Books, LastAnswer, State, Truth, TruthRow};

/// The largest request body that the service reads, in bytes.
pub const MAX_REQUEST_BODY: usize = 1 << 20;

#[cfg(test)]
mod queue_tests;

/// A service without queue, delays, limits or faults: what tests start from.
#[cfg(test)]
pub(crate) fn quiet_plan() -> crate::scenario::SimPlan {
    use crate::scenario::{Law, RateScope, SimCallback, SimPlan};
    use crate::time::Span;
    SimPlan {
        finished_at: None,
        workers: 0,
        service_time: Law::Fixed(Span::from_secs(1)),
        failed_service_time: None,
        fail_ratio: 0.0,
        accept_delay: Law::Fixed(Span::ZERO),
        poll_delay: Law::Fixed(Span::ZERO),
        network_delay: Law::Fixed(Span::ZERO),
        rate_limit: None,
        rate_scope: RateScope::Both,
        api_key: None,
        intake_id: "demo".into(),
        visible_after: Span::ZERO,
        retry_after_s: 0,
        stalls: Vec::new(),
        refusals: Vec::new(),
        error_ratio: 0.0,
        reset_before_ratio: 0.0,
        reset_after_ratio: 0.0,
        lose_ratio: 0.0,
        endless_ratio: 0.0,
        repeat_id_ratio: 0.0,
        revert_ratio: 0.0,
        garbage_ratio: 0.0,
        callback: SimCallback::faultless(),
    }
}
