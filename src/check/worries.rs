//! What should worry the reader of a plan before it runs.

use super::{Lines, expect, rate};
use crate::scenario::{Base, FirstPoll, Plan, PollPolicy, PollShape};

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
    if plan.poll.policy == PollPolicy::Hinted {
        lines.warn(
            "polls",
            "hints that follow a work's own progress make poll times say something about its end: \
             estimates of the time in the service are then biased",
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
