//! How long works were in the service, whoever looked: the sojourn time, and its two parts.
//!
//! Polls only bound these times; [`crate::estimate`] makes a distribution of the bounds. Where the
//! answers carry stamps that tell more, it is made of those.

use super::binomial::float;
use super::text::number;
use super::{EndedBy, Facts};
use crate::estimate::by_clock::{ByClock, NotByClock};
use crate::estimate::{Estimate, Family, NoBands};
use crate::record::interval::Seen;
use crate::record::ledger::Count;
use crate::record::snapshot::Snapshot;
use crate::record::stints::Stints;
use crate::record::windows::{Happening, Windows};
use crate::scenario::{FirstPoll, Plan, PollPolicy};

/// What the bounds of an estimate were made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Polls: the nonparametric maximum likelihood estimate of interval-censored times.
    Npmle,
    /// The same of the narrower windows that the service's own stamps tell.
    Timestamps,
}

impl Method {
    /// The word in `summary.json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Npmle => "npmle",
            Self::Timestamps => "timestamps",
        }
    }
}

/// A time that was estimated.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From what.
    pub method: Method,
    /// What it came to.
    pub estimate: Estimate,
    /// What a reader must know of it, a sentence each.
    pub remarks: Vec<String>,
}

/// An estimate, or why there is none.
pub type Told = Result<Measured, String>;

/// The times of a run.
#[derive(Clone, Debug)]
pub struct Times {
    /// From the submit to the end.
    pub sojourn: Told,
    /// From the submit to the begin.
    pub queue_wait: Told,
    /// From the begin to the end.
    pub run_time: Told,
}

/// What the way of polling does to an estimate, a sentence each.
pub(super) fn cautions(plan: &Plan) -> Vec<String> {
    let mut cautions = Vec::new();
    if plan.poll.first != FirstPoll::Random {
        let text = "poll.first is not \"random\": works are looked at at the same ages, and between \
                    two of them nothing is known";
        cautions.push(text.to_owned());
    }
    if matches!(plan.poll.policy, PollPolicy::Optimal { .. }) {
        let text = "most polls came at the ages at which works end: between those ages only a tenth \
                    of the works was looked at";
        cautions.push(text.to_owned());
    }
    if plan.poll.policy == PollPolicy::Hinted {
        let text = "polls followed the hints of the service; where these follow the progress of a \
                    work, the estimate is off";
        cautions.push(text.to_owned());
    }
    cautions
}

impl Times {
    /// Of a run.
    pub fn of(facts: &Facts, snapshot: &Snapshot) -> Self {
        let Seen {
            windows, stints, ..
        } = snapshot.seen.sum();
        if let Err(why) = is_whole(facts, snapshot, &windows) {
            let none = || Err(why.clone());
            return Self {
                sojourn: none(),
                queue_wait: none(),
                run_time: none(),
            };
        }
        let mut remarks = facts.cautions.clone();
        let retries = snapshot.counts.get(Count::SubmitRetries);
        if retries > 0 {
            remarks.push(format!(
                "{} went out again: ages count from the first time",
                number::counted(retries, "submit")
            ));
        }
        let by_clock = ByClock::of(&snapshot.seen);
        let sojourn = match by_clock {
            Ok(by_clock) => {
                let remark = format!(
                    "the service's own stamps tell each end to {}",
                    number::time(float(by_clock.width) / 1e6)
                );
                let remarks = [remark].into_iter().chain(remarks.clone()).collect();
                let estimate = Estimate::of(&by_clock.blocks, Family::Sojourn, facts.seed);
                told(Method::Timestamps, estimate, remarks)
            }
            Err(why) => {
                let remarks = unused(why).into_iter().chain(remarks.clone()).collect();
                let estimate = Estimate::of(&snapshot.seen, Family::Sojourn, facts.seed);
                told(Method::Npmle, estimate, remarks)
            }
        };
        let begun = windows
            .iter()
            .any(|(window, _)| window.what == Happening::Begun);
        let part = |estimate: &dyn Fn() -> Option<Estimate>| {
            if !begun {
                return Err("no poll saw a work that had begun and not ended".to_owned());
            }
            told(Method::Npmle, estimate(), remarks.clone())
        };
        let queue_wait = || Estimate::of(&snapshot.seen, Family::QueueWait, facts.seed);
        Self {
            sojourn,
            queue_wait: part(&queue_wait),
            run_time: part(&|| Estimate::run_time(&snapshot.seen)).map(|mut run_time| {
                let rough = rough(&run_time.estimate, &stints);
                run_time.remarks.extend(rough);
                run_time
            }),
        }
    }
}

fn told(method: Method, estimate: Option<Estimate>, mut remarks: Vec<String>) -> Told {
    let estimate = estimate.ok_or_else(|| "no work was seen".to_owned())?;
    if estimate.censored == estimate.works {
        return Err("no work was seen to end".to_owned());
    }
    if let Err(why) = &estimate.bands {
        remarks.push(no_bands(why));
    }
    Ok(Measured {
        method,
        estimate,
        remarks,
    })
}

/// Whether every accepted work has its window: what is not seen to end is a window too, and without
/// those only the quick ones would be left.
fn is_whole(facts: &Facts, snapshot: &Snapshot, windows: &Windows) -> Result<(), String> {
    if !facts.mode.polls_to_the_end() {
        return Err(format!(
            "not identified: in mode {} a callback ends the asking, so which works are polled for \
             long depends on when they end",
            facts.mode.word()
        ));
    }
    let accepted = snapshot.counts.get(Count::Accepted);
    if accepted == 0 {
        return Err("no work was accepted".to_owned());
    }
    if facts.ended_by == EndedBy::Killed {
        return Err("the run was killed: of works that were open nothing is known".to_owned());
    }
    let ends = |what| matches!(what, Happening::Completed | Happening::Failed);
    let seen: u64 = (windows.iter().filter(|(window, _)| ends(window.what)))
        .map(|(_, works)| works)
        .sum();
    if seen != accepted {
        return Err(format!(
            "windows.csv has {} of {accepted}",
            number::counted(seen, "work")
        ));
    }
    Ok(())
}

/// Two windows blur a run time that is short against them.
fn rough(run_time: &Estimate, stints: &Stints) -> Option<String> {
    let ended = stints.iter().filter_map(|(stint, works)| {
        let micros = stint.ended.1?.micros() - stint.ended.0.micros();
        Some((works, float(works) * float(micros) / 1e6))
    });
    let (works, sum) = ended.fold((0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
    let apart = sum / float(works.max(1));
    let median = run_time.quantiles[0].value?;
    (median < apart).then(|| {
        format!(
            "rough: half of the works ran for less than the {} between their last two polls in the \
             mean",
            number::time(apart)
        )
    })
}

/// Why stamps were not used, where there are any.
fn unused(why: NotByClock) -> Option<String> {
    let time = |micros: u64| number::time(float(micros) / 1e6);
    match why {
        NotByClock::NoStamps => None,
        NotByClock::Missing { stamped, ended } => Some(format!(
            "the service's stamps are not used: {} of {ended} ends had one",
            number::count(stamped)
        )),
        NotByClock::Contradiction { by } => Some(format!(
            "the service's stamps are not used: they contradict the polls by {}, so its clock was \
             set, or drifts, or shows something else",
            time(by)
        )),
        NotByClock::Coarse { width, polls } => Some(format!(
            "the service's stamps are not used: they tell an end to {}, and polls to {} themselves",
            time(width),
            time(polls)
        )),
    }
}

fn no_bands(why: &NoBands) -> String {
    match why {
        NoBands::FewWorks { least } => {
            format!("no bounds: fewer than {}", number::counted(*least, "work"))
        }
        NoBands::FewBlocks { blocks, least } => format!(
            "no bounds: works ended in {} of the run, and {least} are needed",
            number::counted(*blocks as u64, "block")
        ),
        NoBands::OneAge => "no bounds: all works were asked at the same ages".to_owned(),
        NoBands::TwoTimes => "no bounds: polls bound its begin too, which is estimated".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::blocks::Blocks;
    use crate::record::stints::Stint;
    use crate::record::windows::{Edge, Window};
    use crate::report::fixture::facts;
    use crate::time::{Span, Tick};
    use crate::work::ServiceTime;

    /// Works that end evenly between 1 s and 3 s, polled each second, with stamps; the clock of the
    /// service jumps by so many microseconds half way.
    fn stamped(jump: i64) -> Times {
        let mut snapshot = Snapshot::default();
        for number in 0..4_000_u64 {
            let sent = Tick(number * 10_000_000);
            let end = 1_000_000 + number * 977 % 4_000 * 500;
            let phase = number * 618_034 % 1_000_000;
            let to = phase + end.saturating_sub(phase).div_ceil(1_000_000) * 1_000_000;
            let [open, to] = [to.saturating_sub(1_000_000), to].map(|it| Span(it * 1_000));
            let mut one = Seen::default();
            let jump = if number < 2_000 { 0 } else { jump };
            let shown = i64::try_from(sent.0 / 1_000 + end).unwrap() + jump;
            let stamp = ServiceTime(1_750_000_000_000_001 + shown);
            let at = [sent, sent + open, sent + to];
            one.stamps.count(Happening::Completed, stamp, at);
            one.windows = Windows::of(vec![(Window::seen(Happening::Completed, open, to), 1)]);
            snapshot.seen.add(sent + to, &one);
        }
        snapshot.counts.add(Count::Accepted, 4_000);
        Times::of(&facts(), &snapshot)
    }

    #[test]
    fn stamps_that_contradict_the_polls_are_left_and_it_is_said() {
        for (jump, method) in [(0, Method::Timestamps), (700_000, Method::Npmle)] {
            let sojourn = stamped(jump).sojourn.unwrap();
            assert_eq!(sojourn.method, method);
            let says = |remark: &String| remark.contains("contradict the polls by");
            assert_eq!(sojourn.remarks.iter().any(says), jump > 0, "{sojourn:?}");
            for (place, truth) in [(0, 2.0), (1, 2.8)] {
                let value = sojourn.estimate.quantiles[place].value.unwrap();
                assert!((value - truth).abs() < 0.06 * truth, "{value}, not {truth}");
            }
        }
    }

    #[test]
    fn a_run_time_shorter_than_the_gaps_of_polls_is_rough() {
        // Begun at once; polls are a second apart, and see the end by so many milliseconds.
        let check = |ended: [u64; 2], expected: bool| {
            let [from, to] = ended.map(Span::from_millis);
            let begun = Window::seen(Happening::Begun, Span::ZERO, Span(1_000));
            let ended = Window::seen(Happening::Completed, from, to);
            let stint = Stint::of((begun.from, begun.to.unwrap_or(Edge::LAST)), ended);
            let seen = Seen {
                windows: Windows::of(vec![(begun, 9)]),
                stints: Stints::of(vec![(stint, 9)]),
                ..Seen::default()
            };
            let mut blocks = Blocks::default();
            blocks.add(Tick(1), &seen);
            let estimate = Estimate::run_time(&blocks).unwrap();
            let rough = rough(&estimate, &seen.stints);
            assert_eq!(rough.is_some(), expected, "{rough:?}");
        };
        check([0, 1_000], true);
        check([4_000, 5_000], false);
    }
}
