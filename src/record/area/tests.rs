use super::*;
use crate::record::Histograms;
use crate::record::ledger::{Counts, Gauges};
use crate::work::Outcome;
use proptest::prelude::*;

fn interval(start: u64, end: u64, area: u64) -> Interval {
    Interval {
        start: Tick(start),
        length: Span(end - start),
        stage: None,
        counts: Counts::default(),
        gauges: Gauges::default(),
        backlog_area: Span(area),
        histograms: Histograms::default(),
        ..Interval::default()
    }
}

fn row(entered: u64, left: Option<u64>) -> WorkRow {
    WorkRow {
        seq: 0,
        stage: 0,
        intended: Tick::ZERO,
        sent: None,
        accepted: Some(Tick(entered)),
        http_status: None,
        work_id: None,
        last_open: None,
        detected: None,
        source: None,
        outcome: Outcome::Completed,
        polls: 0,
        rate_limited: 0,
        fault: None,
        maybe_accepted: false,
        last_status: None,
        finished: None,
        settled: left.map(Tick),
    }
}

/// The time of a stay between two instants, without any of the above.
fn clipped((entered, left): (u64, Option<u64>), start: u64, end: u64) -> u64 {
    left.unwrap_or(u64::MAX).clamp(start, end) - entered.clamp(start, end)
}

/// The intervals of `ends`, with the areas of these stays.
fn intervals(ends: &[u64], stays: &[(u64, Option<u64>)]) -> Vec<Interval> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts
        .zip(ends)
        .map(|(start, end)| {
            let area = stays.iter().map(|stay| clipped(*stay, start, *end)).sum();
            interval(start, *end, area)
        })
        .collect()
}

fn tell(books: &mut AreaBooks, intervals: &[Interval]) {
    for one in intervals {
        books.interval(one);
    }
}

fn books(intervals: &[Interval], stays: &[(u64, Option<u64>)]) -> AreaBooks {
    let mut books = AreaBooks::default();
    tell(&mut books, intervals);
    for (entered, left) in stays {
        books.row(&row(*entered, *left));
    }
    books
}

fn stays(most: u64) -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    let stay = (0..most, prop::option::weighted(0.9, 0..most));
    let stay = stay.prop_map(|(entered, length)| (entered, length.map(|length| entered + length)));
    prop::collection::vec(stay, 1..40)
}

fn ends() -> impl Strategy<Value = Vec<u64>> {
    let lengths = prop::collection::vec(1_u64..5_000, 1..12);
    lengths.prop_map(|lengths| {
        let mut end = 0;
        let add = |length: u64| {
            end += length;
            end
        };
        lengths.into_iter().map(add).collect()
    })
}

proptest! {
    #[test]
    fn both_accounts_agree_in_whatever_order_they_are_told(
        stays in stays(20_000), ends in ends(), turn in prop::collection::vec(0_usize..3, 40)
    ) {
        let mut books = AreaBooks::default();
        let told = intervals(&ends, &stays);
        let mut told = told.iter();
        for (stay, turn) in stays.iter().zip(turn) {
            let some: Vec<Interval> = told.by_ref().take(turn).cloned().collect();
            tell(&mut books, &some);
            books.row(&row(stay.0, stay.1));
        }
        let rest: Vec<Interval> = told.cloned().collect();
        tell(&mut books, &rest);
        prop_assert_eq!(books.compare(Span::ZERO), Ok(()));
    }

    #[test]
    fn a_nanosecond_is_found_and_dated(
        stays in stays(20_000), ends in ends(), at in any::<prop::sample::Index>()
    ) {
        let mut told = intervals(&ends, &stays);
        let at = at.index(told.len());
        told[at].backlog_area.0 += 1;
        let difference = books(&told, &stays).compare(Span::ZERO).unwrap_err();
        prop_assert_eq!((difference.start, difference.end), (told[at].start, told[at].end()));
        prop_assert_eq!(difference.gauge - difference.rows, 1);
    }

    #[test]
    fn what_is_cut_to_the_microsecond_agrees_within_what_the_cuts_can_do(
        stays in stays(200_000_000), ends in ends()
    ) {
        let ends: Vec<u64> = ends.iter().map(|end| end * 20_000 + end % 999).collect();
        let cut = |nanos: u64| nanos - nanos % 1_000;
        let told: Vec<Interval> = intervals(&ends, &stays)
            .iter()
            .map(|one| interval(cut(one.start.0), cut(one.end().0), cut(one.backlog_area.0)))
            .collect();
        let stays: Vec<_> =
            stays.iter().map(|(entered, left)| (cut(*entered), left.map(cut))).collect();
        prop_assert_eq!(books(&told, &stays).compare(Span(1_000)), Ok(()));
    }
}

/// Two works of two seconds each, in seconds of a thousand nanoseconds.
const STAYS: [(u64, Option<u64>); 2] = [(500, Some(2_500)), (1_000, Some(3_000))];

fn difference(told: &[Interval], stays: &[(u64, Option<u64>)]) -> Option<(u64, u64, i128, i128)> {
    let found = books(told, stays).compare(Span::ZERO).err()?;
    Some((found.start.0, found.end.0, found.gauge, found.rows))
}

#[test]
fn planted_faults_are_found_in_their_window() {
    let told = intervals(&[1_000, 2_000, 3_000, 4_000], &STAYS);
    assert_eq!(difference(&told, &STAYS), None);
    // The gauge was one too high for a second.
    let mut high = told.clone();
    high[3].backlog_area = Span(1_000);
    let found = difference(&high, &STAYS);
    assert_eq!(found, Some((3_000, 4_000, 1_000, 0)));
    // A row was shifted: as long a stay, a little later.
    let shifted = [STAYS[0], (1_010, Some(3_010))];
    let found = difference(&told, &shifted);
    assert_eq!(found, Some((1_000, 2_000, 2_000, 1_990)));
    // A row was lost, and told twice.
    let found = difference(&told, &STAYS[1..]);
    assert_eq!(found, Some((0, 1_000, 500, 0)));
    let twice = [STAYS[0], STAYS[1], STAYS[1]];
    let found = difference(&told, &twice);
    assert_eq!(found, Some((1_000, 2_000, 2_000, 3_000)));
    // A second that nobody told of.
    let gap = [told[0].clone(), told[1].clone(), told[3].clone()];
    assert_eq!(difference(&gap, &STAYS), Some((2_000, 4_000, 0, 1_500)));
}

#[test]
fn intervals_of_a_late_shard_make_one_window_with_those_that_they_overlap() {
    // Of two shards one ended an interval at 1,400 and is out of step from then on.
    let one = intervals(&[1_000, 2_000, 3_000], &STAYS[..1]);
    let other = intervals(&[1_000, 1_400, 2_400, 3_400], &STAYS[1..]);
    let mut told: Vec<Interval> = one[1..].iter().chain(&other[1..]).cloned().collect();
    told.sort_by_key(|interval| (interval.start, interval.end()));
    let first = interval(0, 1_000, 500);
    told.insert(0, first);
    assert_eq!(difference(&told, &STAYS), None);
    let late = books(&told, &STAYS);
    assert_eq!(late.windows.len(), 2);
    told[2].backlog_area.0 += 7;
    let found = difference(&told, &STAYS);
    assert_eq!(found, Some((1_000, 3_400, 3_507, 3_500)));
}

#[test]
fn a_long_run_has_coarser_windows_and_finds_as_much() {
    let seconds = 3 * MOST_WINDOWS as u64 + 5;
    let ends: Vec<u64> = (1..=seconds).map(|second| second * 1_000).collect();
    let stays = [
        (700, Some(ends.len() as u64 * 999)),
        (1_234, Some(7_654_321)),
        (5_000_001, None),
    ];
    let mut told = intervals(&ends, &stays);
    let fine = books(&told, &stays);
    assert!(fine.windows.len() <= MOST_WINDOWS);
    assert_eq!(fine.compare(Span::ZERO), Ok(()));
    // Rows of all of it that come in the middle find their windows, too.
    let (before, after) = told.split_at(told.len() / 2);
    let mut late = books(before, &stays);
    tell(&mut late, after);
    assert_eq!(late.compare(Span::ZERO), Ok(()));
    told[100].backlog_area.0 -= 1;
    let found = books(&told, &stays).compare(Span::ZERO).unwrap_err();
    assert!((found.start.0..found.end.0).contains(&100_500), "{found:?}");
}
