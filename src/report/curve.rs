//! `sojourn_time.csv`: the curve of the sojourn time, as it was estimated.
//!
//! By the age `t_s` the share `cdf` had ended: `completed` or `failed`. Between two rows the curve
//! is straight. `low` and `high` are 95 % bounds at this age alone; empty where there are none. A
//! file with its header alone: there is no estimate, and `summary.json` says why.

use super::Report;
use crate::estimate::{Bands, Estimate, Point};

/// The bytes of the file.
pub fn write(report: &Report) -> Vec<u8> {
    let mut file = b"t_s,cdf,low,high,completed,failed\n".to_vec();
    if let Ok(sojourn) = &report.times.sojourn {
        for (point, bounds) in points(&sojourn.estimate) {
            let [low, high] = bounds.map_or_else(
                || [const { String::new() }; 2],
                |bounds| bounds.map(|bound| format!("{bound:.9}")),
            );
            let Point {
                seconds,
                cdf,
                completed,
                failed,
            } = point;
            let line = format!("{seconds:.6},{cdf:.9},{low},{high},{completed:.9},{failed:.9}\n");
            file.extend_from_slice(line.as_bytes());
        }
    }
    file
}

/// The points of the curve and those of the bounds, in ascending order.
fn points(estimate: &Estimate) -> Vec<(Point, Option<[f64; 2]>)> {
    let bands = estimate.bands.as_ref().ok();
    let bounds = bands.into_iter().flat_map(|Bands { points, .. }| points);
    let bounds = bounds.map(|bound| {
        let point = at(&estimate.curve, bound.seconds);
        (point, Some([bound.low, bound.high]))
    });
    let mut points: Vec<_> = estimate.curve.iter().map(|point| (*point, None)).collect();
    points.extend(bounds);
    points.sort_by(|(one, bound), (two, other)| {
        (one.seconds.total_cmp(&two.seconds))
            .then(one.cdf.total_cmp(&two.cdf))
            .then(bound.is_some().cmp(&other.is_some()))
    });
    points
}

/// The curve at an age.
fn at(curve: &[Point], seconds: f64) -> Point {
    let after = curve.partition_point(|point| point.seconds <= seconds);
    let before = after.checked_sub(1).map(|place| curve[place]);
    match (before, curve.get(after)) {
        (Some(one), Some(two)) => {
            let part = (seconds - one.seconds) / (two.seconds - one.seconds);
            let mix = |from: f64, to: f64| from + part * (to - from);
            Point {
                seconds,
                cdf: mix(one.cdf, two.cdf),
                completed: mix(one.completed, two.completed),
                failed: mix(one.failed, two.failed),
            }
        }
        (Some(one), None) => Point { seconds, ..one },
        (None, _) => Point {
            seconds,
            cdf: 0.0,
            completed: 0.0,
            failed: 0.0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{facts, limits, run};
    use super::*;
    use crate::sim::Like;

    #[test]
    fn a_virtual_run_can_be_like_it() {
        let snapshot = run().snapshot;
        let report = Report::judge(&[], limits(), facts(), snapshot, Vec::new());
        let file = write(&report);
        let like = Like::read(&file).unwrap();
        let sojourn = report.times.sojourn.unwrap();
        let last = sojourn.estimate.curve.last().unwrap();
        assert!((like.completed - last.completed).abs() < 1e-8);
        assert!((like.failed - last.failed).abs() < 1e-8);
    }

    #[test]
    fn between_its_points_a_curve_is_straight() {
        let point = |seconds, cdf| Point {
            seconds,
            cdf,
            completed: cdf,
            failed: 0.0,
        };
        let curve = [point(1.0, 0.0), point(3.0, 0.5)];
        for (seconds, cdf) in [(0.5, 0.0), (1.0, 0.0), (2.0, 0.25), (3.0, 0.5), (9.0, 0.5)] {
            assert!((at(&curve, seconds).cdf - cdf).abs() < 1e-12, "{seconds}");
        }
    }
}
