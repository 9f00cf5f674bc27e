use super::*;
use crate::scenario::{Arrivals, Rate, Shape};
use crate::time::NANOS_PER_SECOND;
use proptest::prelude::*;

fn rate(count: u64, seconds: u64) -> Rate {
    Rate {
        count,
        per: Span::from_secs(seconds),
    }
}

fn constant(shape: Shape, duration: Span) -> Stage {
    Stage {
        arrivals: Arrivals::Constant(shape),
        duration,
    }
}

fn poisson(shape: Shape, duration: Span) -> Stage {
    Stage {
        arrivals: Arrivals::Poisson(shape),
        duration,
    }
}

fn all(stages: &[Stage], seed: u64) -> Vec<Arrival> {
    ArrivalSchedule::new(stages, seed, Segment::WHOLE).collect()
}

#[test]
fn constant_arrivals_never_drift() {
    // 7 a second for an hour: the i-th is due at floor(i / 7) seconds, to the nanosecond.
    let arrivals = all(
        &[constant(Shape::Flat(rate(7, 1)), Span::from_secs(3_600))],
        1,
    );
    assert_eq!(arrivals.len(), 7 * 3_600);
    for arrival in &arrivals {
        let due = u128::from(arrival.seq) * u128::from(NANOS_PER_SECOND) / 7;
        assert_eq!(u128::from(arrival.intended.0), due);
    }
}

#[test]
fn a_ramp_follows_the_integral_of_its_rate() {
    // From 10/s to 50/s in 20 s: 600 arrivals, the i-th where 10 t + t^2 = i.
    let arrivals = all(
        &[constant(
            Shape::Ramp(rate(10, 1), rate(50, 1)),
            Span::from_secs(20),
        )],
        1,
    );
    assert_eq!(arrivals.len(), 600);
    for arrival in &arrivals {
        let t = arrival.intended.seconds();
        let expected = 10.0 * t + t * t;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let number = arrival.seq as f64;
        assert!((expected - number).abs() < 1e-6, "{number} at {t}");
    }
    let down = all(
        &[constant(
            Shape::Ramp(rate(60, 1), rate(0, 1)),
            Span::from_secs(10),
        )],
        1,
    );
    assert_eq!(down.len(), 300);
    assert!(
        down.windows(2)
            .all(|pair| pair[0].intended < pair[1].intended)
    );
}

#[test]
fn stages_follow_one_another_and_a_pause_is_a_stage() {
    let second = Span::from_secs(1);
    let stages = [
        constant(Shape::Flat(rate(2, 1)), second),
        constant(Shape::Flat(rate(0, 1)), second),
        constant(Shape::Flat(rate(120, 60)), second),
    ];
    let due: Vec<_> = all(&stages, 1)
        .iter()
        .map(|a| (a.stage, a.intended.0 / 1_000_000))
        .collect();
    assert_eq!(due, [(0, 0), (0, 500), (2, 2_000), (2, 2_500)]);
    let schedule = ArrivalSchedule::new(&stages, 1, Segment::WHOLE);
    assert_eq!(schedule.end(), Tick(3 * NANOS_PER_SECOND));
    assert_eq!(schedule.stage_at(Tick(1_500_000_000)), Some(1));
    assert_eq!(schedule.stage_at(schedule.end()), None);
}

#[test]
fn a_replayed_log_is_due_as_it_was_recorded() {
    let offsets: Vec<_> = [0, 3, 3, 900].map(Span::from_millis).into();
    let stage = Stage {
        arrivals: Arrivals::Replay(offsets.clone().into()),
        duration: Span::from_secs(1),
    };
    let due: Vec<_> = all(&[stage], 1)
        .iter()
        .map(|a| Span(a.intended.0))
        .collect();
    assert_eq!(due, offsets);
}

/// The Kolmogorov-Smirnov distance of a sample to the uniform law on `[0, 1]`.
fn ks_to_uniform(sample: &mut [f64]) -> f64 {
    sample.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let share = |index: usize| index as f64 / sample.len() as f64;
    sample
        .iter()
        .enumerate()
        .map(|(index, value)| {
            (value - share(index))
                .abs()
                .max((share(index + 1) - value).abs())
        })
        .fold(0.0, f64::max)
}

#[test]
fn poisson_gaps_are_exponential() {
    // Gaps of a Poisson process at rate r: 1 - exp(-r gap) is uniform. The 0.1 % critical value of
    // the Kolmogorov-Smirnov statistic is 1.95 / sqrt(n).
    let arrivals = all(
        &[poisson(Shape::Flat(rate(50, 1)), Span::from_secs(200))],
        11,
    );
    let mut gaps: Vec<f64> = arrivals
        .windows(2)
        .map(|pair| 1.0 - (-50.0 * pair[1].intended.since(pair[0].intended).seconds()).exp())
        .collect();
    let n = f64::from(u32::try_from(gaps.len()).unwrap());
    assert!((n - 10_000.0).abs() < 5.0 * 100.0, "{n}");
    assert!(ks_to_uniform(&mut gaps) < 1.95 / n.sqrt());
}

#[test]
fn poisson_counts_have_the_variance_of_their_mean() {
    // Counts of 0.25 s, so that four windows share a block; index of dispersion 1 within 5 errors.
    let arrivals = all(
        &[poisson(Shape::Flat(rate(40, 1)), Span::from_secs(1_000))],
        5,
    );
    let mut counts = vec![0.0_f64; 4_000];
    for arrival in &arrivals {
        counts[usize::try_from(arrival.intended.0 / 250_000_000).unwrap()] += 1.0;
    }
    let n = 4_000.0_f64;
    let mean = counts.iter().sum::<f64>() / n;
    let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (n - 1.0);
    assert!(
        (variance / mean - 1.0).abs() < 5.0 * (2.0 / n).sqrt(),
        "{}",
        variance / mean
    );
}

#[test]
fn a_poisson_ramp_has_the_shape_of_its_rate() {
    // Time-changed by its own integral, a Poisson process is uniform on [0, mean].
    let arrivals = all(
        &[poisson(
            Shape::Ramp(rate(10, 1), rate(90, 1)),
            Span::from_millis(100_500),
        )],
        3,
    );
    let length = 100.5;
    let whole = 10.0 * length + 80.0 * length / 2.0;
    let mut shares: Vec<f64> = arrivals
        .iter()
        .map(|a| a.intended.seconds())
        .map(|t| (10.0 * t + 40.0 * t * t / length) / whole)
        .collect();
    let n = f64::from(u32::try_from(shares.len()).unwrap());
    assert!(ks_to_uniform(&mut shares) < 1.95 / n.sqrt());
}

fn any_stage() -> impl Strategy<Value = Stage> {
    let rates = (0_u64..200, 1_u64..3);
    (0..4, rates.clone(), rates, 1_u64..4_000).prop_map(|(kind, from, to, millis)| {
        let (from, to) = (rate(from.0, from.1), rate(to.0, to.1));
        let shape = if kind % 2 == 0 {
            Shape::Flat(from)
        } else {
            Shape::Ramp(from, to)
        };
        let duration = Span::from_millis(millis);
        if kind < 2 {
            constant(shape, duration)
        } else {
            poisson(shape, duration)
        }
    })
}

proptest! {
    #[test]
    fn segments_sum_exactly_to_the_whole(
        stages in prop::collection::vec(any_stage(), 1..4), seed in any::<u64>(), of in 1_u64..8,
    ) {
        let mut parts: Vec<Arrival> = (0..of)
            .flat_map(|index| ArrivalSchedule::new(&stages, seed, Segment { index, of }))
            .collect();
        parts.sort_by_key(|arrival| arrival.seq);
        prop_assert_eq!(parts, all(&stages, seed));
    }

    #[test]
    fn the_schedule_can_be_entered_anywhere(
        stages in prop::collection::vec(any_stage(), 1..4), seed in any::<u64>(), share in 0.0..1.2,
    ) {
        let whole = all(&stages, seed);
        let mut schedule = ArrivalSchedule::new(&stages, seed, Segment::WHOLE);
        prop_assert_eq!(schedule.total(), whole.len() as u64);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation,
            clippy::cast_sign_loss, reason = "any place will do")]
        let place = (whole.len() as f64 * share) as usize;
        schedule.enter(place as u64);
        let rest: Vec<Arrival> = schedule.collect();
        prop_assert_eq!(&rest[..], whole.get(place..).unwrap_or_default());
    }

    #[test]
    fn arrivals_are_in_order_and_within_their_stage(
        stages in prop::collection::vec(any_stage(), 1..4), seed in any::<u64>(),
    ) {
        let arrivals = all(&stages, seed);
        for (index, arrival) in arrivals.iter().enumerate() {
            prop_assert_eq!(arrival.seq, index as u64);
        }
        prop_assert!(arrivals.windows(2).all(|pair| pair[0].intended <= pair[1].intended));
        let schedule = ArrivalSchedule::new(&stages, seed, Segment::WHOLE);
        prop_assert!(arrivals.iter().all(|a| schedule.stage_at(a.intended) == Some(a.stage)));
    }
}
