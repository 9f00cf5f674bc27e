//! The counted windows against the rows, and against what the service knows.

use std::collections::BTreeMap;

use plimsoll::record::interval::Seen;
use plimsoll::record::row::WorkRow;
use plimsoll::record::stints::{Stint, Stints};
use plimsoll::record::windows::{Edge, Happening, Window, Windows};
use plimsoll::sim::TruthRow;
use plimsoll::sim::world::VirtualRun;
use plimsoll::time::{Span, Tick};
use plimsoll::work::{Outcome, Source};

use crate::watch::Checks;

/// Every accepted work has one window for its end, and it is the one of its row.
pub(crate) fn check_rows(checks: &Checks<'_>, run: &VirtualRun) {
    let accepted = checks.rows.iter().filter(|row| row.accepted.is_some());
    let window = |row| (of_row(row, checks.last_poll(row)), 1);
    let expected = Windows::of(accepted.map(window).collect());
    let ends = |(window, _): &(Window, u64)| {
        matches!(window.what, Happening::Completed | Happening::Failed)
    };
    let counted = run.snapshot.seen.sum().windows;
    let counted = Windows::of(counted.iter().filter(ends).collect());
    let differs = (counted.iter().zip(expected.iter())).find(|(counted, row)| counted != row);
    assert!(counted == expected, "first {differs:?}");
}

fn of_row(row: &WorkRow, last_poll: Tick) -> Window {
    let sent = row.sent.unwrap();
    let open = row.last_open.map_or(Span::ZERO, |at| at.since(sent));
    let what = match row.outcome {
        Outcome::Failed => Happening::Failed,
        _ => Happening::Completed,
    };
    match row.detected {
        None => Window::censored(Happening::Completed, open),
        Some(at) if row.source == Some(Source::Sync) => Window::point(what, at.since(sent)),
        Some(_) => Window::seen(what, open, last_poll.since(sent)),
    }
}

/// Two kinds of windows of the same happening, and what it is by the service's books.
type Kind = ([Happening; 2], fn(&TruthRow) -> Option<Span>);

/// Each window holds the truth, but for a cell of the grid to which it is rounded, and for the
/// `slack` by which its poll took longer to the service than its submit, or the other way round: so
/// at each age as many had happened at least as have windows that end a cell before, and as many at
/// most as have windows that begin less than a cell later.
pub(crate) fn check_truth(rows: &[WorkRow], run: &VirtualRun, slack: Span) {
    let truth: BTreeMap<String, TruthRow> =
        (run.truth.rows().map(|row| (row.work_id.clone(), row))).collect();
    let followed = |row: &&WorkRow| row.accepted.is_some() && row.source != Some(Source::Sync);
    let pairs = (rows.iter().filter(followed))
        .filter_map(|row| Some((row, truth.get(&*row.work_id.as_ref()?.0)?)));
    let pairs: Vec<(&WorkRow, &TruthRow)> = pairs.collect();
    if pairs.len() < rows.iter().filter(|row| row.accepted.is_some()).count() {
        return;
    }
    let kinds: [Kind; 2] = [
        ([Happening::Completed, Happening::Failed], |truth| {
            Some(truth.terminal?.since(truth.accepted))
        }),
        ([Happening::Begun, Happening::BegunUnseen], |truth| {
            Some(truth.started?.since(truth.accepted))
        }),
    ];
    let Seen {
        windows: all,
        stints,
        ..
    } = run.snapshot.seen.sum();
    check_stints(&pairs, &stints, slack);
    for (what, truly) in kinds {
        let mut times: Vec<Span> = (pairs.iter().filter_map(|(_, truth)| truly(truth))).collect();
        times.sort_unstable();
        let windows: Vec<(Window, u64)> =
            (all.iter().filter(|(window, _)| what.contains(&window.what))).collect();
        for (window, _) in &windows {
            let Some(edge) = window.to else { continue };
            let by = |is_by: &dyn Fn(&Window) -> bool| -> u64 {
                (windows.iter().filter(|(window, _)| is_by(window)))
                    .map(|(_, works)| works)
                    .sum()
            };
            let cell = |steps: usize| Edge::numbered(steps).unwrap_or(Edge::LAST).age();
            let (before, after) = (cell(edge.number() - 1), cell(edge.number() + 1));
            let by_then = |age: Span| times.partition_point(|time| *time <= age) as u64;
            let early = Span(before.0.saturating_sub(slack.0));
            let (by_before, by_after) = (by_then(early), by_then(Span(after.0 + slack.0)));
            let (least, most) = (
                by(&|window| window.to.is_some_and(|to| to <= edge)),
                by(&|window| window.from < edge),
            );
            assert!(
                least <= by_after && by_before <= most,
                "{what:?} by {:?}: {by_before} to {by_after} of {least} to {most}",
                edge.age()
            );
        }
    }
}

/// Corners of the plane of begins and ends at which stints are compared with the truth.
const CORNERS: usize = 64;

/// The same of begin and end together. Every work whose end was seen has a stint.
fn check_stints(pairs: &[(&WorkRow, &TruthRow)], stints: &Stints, slack: Span) {
    let ends = |stint: &Stint| stint.ended.1.is_some();
    let ended: u64 = (stints.iter().filter(|(stint, _)| ends(stint)))
        .map(|(_, works)| works)
        .sum();
    let detected = pairs.iter().filter(|(row, _)| row.detected.is_some());
    assert_eq!(ended, detected.count() as u64);
    let times = pairs.iter().filter_map(|(row, truth)| {
        let begun = truth.started?.since(truth.accepted);
        let ended = truth.terminal?.since(truth.accepted);
        Some((begun, ended, row.detected.is_some()))
    });
    let times: Vec<(Span, Span, bool)> = times.collect();
    // A cell by the rounding to the grid of stints, and one by that of windows before.
    let cells = stints.step() + 1;
    let age = |number: usize| Edge::numbered(number).unwrap_or(Edge::LAST).age();
    let less = |edge: Edge| {
        Span(
            age(edge.number().saturating_sub(cells))
                .0
                .saturating_sub(slack.0),
        )
    };
    let more = |edge: Edge| Span(age(edge.number() + cells).0 + slack.0);
    let of_stints = (stints.iter()).filter_map(|(stint, _)| Some((stint.begun.1, stint.ended.1?)));
    // Nothing happens before the first microsecond is over, as far as windows tell.
    let above = |time: Span| Edge::above(time.max(Span(1))).unwrap_or(Edge::LAST);
    let of_truth = times.iter().map(|time| (above(time.0), above(time.1)));
    let corners = (of_stints.step_by(stints.different() / CORNERS + 1))
        .chain(of_truth.step_by(times.len() / CORNERS + 1));
    for (begun, end) in corners {
        let by = |is_by: &dyn Fn(&Stint) -> bool| -> u64 {
            (stints.iter().filter(|(stint, _)| is_by(stint)))
                .map(|(_, works)| works)
                .sum()
        };
        let truly = |begun: Span, end: Span, is_seen: bool| {
            let by_then = times.iter().filter(|time| time.0 <= begun && time.1 <= end);
            by_then.filter(|time| time.2 || !is_seen).count() as u64
        };
        let least = by(&|it| it.begun.1 <= begun && it.ended.1.is_some_and(|to| to <= end));
        let most = by(&|it| it.begun.0 < begun && it.ended.0 < end);
        let (by_before, by_after) = (
            truly(less(begun), less(end), true),
            truly(more(begun), more(end), false),
        );
        assert!(
            least <= by_after && by_before <= most,
            "begun by {:?} and ended by {:?}: {by_before} to {by_after} of {least} to {most}",
            begun.age(),
            end.age()
        );
    }
}
