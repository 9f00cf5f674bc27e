//! What should worry the reader of a plan before it runs.

use super::{Lines, arrivals, expect, rate};
use crate::engine::poll_ages;
use crate::scenario::{Base, FirstPoll, Plan, PollPolicy, PollShape};
use crate::time::Span;

/// Where the built-in service and the plan do not fit.
pub(super) fn simulator(plan: &Plan, works: Option<expect::Works>, lines: &mut Lines) {
    let Some(works) = works else { return };
    if let Some(capacity) = expect::capacity(plan) {
        for (index, stage) in plan.load.iter().enumerate() {
            let peak = stage.peak_rate();
            if peak >= capacity {
                lines.warn(
                    "simulator",
                    format!(
                        "stage {index} offers {}, its {} workers carry {}: a queue of \
                         about {:.0} works builds up",
                        rate(peak),
                        plan.simulator.workers,
                        rate(capacity),
                        expect::pile(stage, capacity)
                    ),
                );
            }
        }
    }
    if works.expired > 0.001 {
        lines.warn(
            "simulator",
            format!(
                "{:.1} % of its works last longer than poll.give_up_after, {}: they will be expired",
                works.expired * 100.0,
                plan.poll.give_up_after
            ),
        );
    }
    if plan.target.intake_id != plan.simulator.intake_id {
        lines.warn(
            "simulator",
            format!(
                "it serves the intake `{}`, but `{}` is asked: expect 404",
                plan.simulator.intake_id, plan.target.intake_id
            ),
        );
    }
    let own = |path: &str| path.starts_with("/v1/intake/{intake_id}");
    let spoken = matches!(&plan.api.poll, PollShape::Path(path) if own(path));
    if !spoken || !own(&plan.api.submit.path) {
        lines.warn(
            "simulator",
            "it speaks the default API only, and [api] says another",
        );
    }
}

/// Poll schedules that a service or a statistician would not like.
pub(super) fn polling(plan: &Plan, lines: &mut Lines) {
    let real = plan.target.base != Base::Simulator;
    if real && plan.poll.interval.seconds() < 1.0 {
        let text = format!(
            "every {} is faster than once a second: be sure that the service wants that",
            plan.poll.interval
        );
        lines.warn("polls", text);
    }
    if plan.poll.first != FirstPoll::Random {
        lines.warn(
            "polls",
            "poll.first is not \"random\": quantiles between polls cannot be known",
        );
    }
    if let PollPolicy::Optimal { longest } = plan.poll.policy {
        optimal(plan, longest, lines);
    }
    if plan.poll.policy == PollPolicy::Hinted {
        lines.warn(
            "polls",
            "hints that follow a work's own progress make poll times say something about its end: \
             estimates of the time in the service are then biased",
        );
    }
}

/// What the policy `optimal` will do, and where it has nothing to learn from.
fn optimal(plan: &Plan, longest: Span, lines: &mut Lines) {
    let until = match &plan.poll.like {
        None => format!("as fixed until {} works have ended", poll_ages::ENOUGH),
        Some(_) => format!(
            "by the earlier run of poll.like until {} works of this one have ended that are polled \
             as fixed",
            poll_ages::ENOUGH
        ),
    };
    lines.fact(
        "polls",
        format!(
            "optimal: {until}, then at the ages at which works end, for as many polls as every {} \
             would take; a tenth goes on as fixed. {} between two polls of a work at least, and {} \
             at most",
            plan.poll.interval,
            poll_ages::shortest_gap(plan.poll.interval),
            longest
        ),
    );
    let works = arrivals(plan);
    if works < 10.0 * f64::from(poll_ages::ENOUGH) && plan.poll.like.is_none() {
        lines.warn(
            "polls",
            format!(
                "optimal polls begin when {} works have ended, and {works:.0} are expected in all: \
                 poll.like gives it an earlier run to begin with",
                poll_ages::ENOUGH
            ),
        );
    }
    let shortest = poll_ages::shortest_gap(plan.poll.interval);
    if plan.target.base != Base::Simulator && shortest.seconds() < 1.0 {
        lines.warn(
            "polls",
            format!(
                "polls of one work may follow each other after {shortest}, which is faster than \
                 once a second: be sure that the service wants that"
            ),
        );
    }
}

/// What an attacker would like.
pub(super) fn security(plan: &Plan, lines: &mut Lines) {
    if plan.http.insecure {
        lines.warn("security", "any certificate is accepted (http.insecure)");
    }
    let Base::Url(base) = &plan.target.base else {
        return;
    };
    let Ok(url) = url::Url::parse(base) else {
        return;
    };
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "http" && !loopback && plan.target.api_key.is_some() {
        lines.warn(
            "security",
            "the key goes over plain http, where anybody on the way can read it",
        );
    }
}
