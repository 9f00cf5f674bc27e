//! `Curve`: which share of the works has ended by an age, as it was measured.

use super::npmle::Npmle;

/// A distribution function that is linear between its points. It begins at no age and no share, and
/// ascends in both; where the age stays and the share jumps, that share has exactly that age.
///
/// What is missing to 1 at the last point ends later or never: nothing more is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    seconds: f64,
    share: f64,
    /// The area under the curve up to here.
    area: f64,
}

impl Curve {
    /// The curve through ages in seconds and shares. None if no share has ended at the last one.
    ///
    /// # Panics
    /// If the points do not ascend in both, begin below 0, or pass 1 by more than rounding.
    pub fn through(points: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut last = Point {
            seconds: 0.0,
            share: 0.0,
            area: 0.0,
        };
        let mut curve = vec![last];
        for (seconds, share) in points {
            assert!(
                seconds >= last.seconds && share >= last.share,
                "points ascend"
            );
            assert!(share <= 1.0 + 1e-6, "a share is at most 1");
            let share = share.min(1.0);
            let area = last.area + (seconds - last.seconds) * f64::midpoint(last.share, share);
            last = Point {
                seconds,
                share,
                area,
            };
            curve.push(last);
        }
        (last.share > 0.0).then_some(Self { points: curve })
    }

    /// The curve of an estimate, without what is later than everything seen.
    pub fn most_likely(estimate: &Npmle) -> Option<Self> {
        let mut points = Vec::new();
        let mut share = 0.0;
        for (region, mass) in estimate.regions() {
            let Some(to) = region.to else { break };
            points.push((region.from.age().seconds(), share));
            share = (share + mass).min(1.0);
            points.push((to.age().seconds(), share));
        }
        Self::through(points)
    }

    /// The last age of which it knows, in seconds.
    pub fn until(&self) -> f64 {
        self.last().seconds
    }

    /// The share that has ended by then.
    pub fn known(&self) -> f64 {
        self.last().share
    }

    /// The mean age in seconds at which works end, those counted as ended at the last point that
    /// end later or never.
    pub fn mean(&self) -> f64 {
        self.until() - self.last().area
    }

    /// The same on so few cells that so many works can tell them apart: an estimate rises in steps
    /// that are partly chance, and whoever asks just behind each of them believes to see more than
    /// there is. Twice the cube root of the works (the estimate converges as the cube root), evenly
    /// in the logarithm of the age, from where works begin to end, or a thousandth of the last age,
    /// to that. Within a cell all is straight.
    pub fn told_by(&self, works: f64) -> Option<Self> {
        self.in_cells((2.0 * libm::cbrt(works)).ceil())
    }

    fn in_cells(&self, cells: f64) -> Option<Self> {
        let after = self.points.partition_point(|point| point.share <= 0.0);
        let until = self.until();
        let begin = self.points[after.max(1) - 1].seconds.max(until * 1e-3);
        let step = libm::log(until / begin) / cells;
        let edges = (0..).map(f64::from).take_while(|edge| *edge < cells);
        let ages = edges.map(|edge| begin * libm::exp(step * edge));
        let ages = ages.take_while(|age| *age < until).chain([until]);
        Self::through(ages.map(|age| (age, self.share(age))))
    }

    /// The first point by which a share has ended, in seconds; the last one if it never has.
    pub fn reaches(&self, share: f64) -> f64 {
        let at = self.points.partition_point(|point| point.share < share);
        self.points
            .get(at)
            .map_or(self.until(), |point| point.seconds)
    }

    /// The share that has ended by an age.
    pub fn share(&self, seconds: f64) -> f64 {
        self.at(seconds).share
    }

    /// The time that works which ended between two ages had been over in the mean at the second of
    /// them, times their share: `integral of F(u) - F(a) du from a to b`.
    pub fn undetected(&self, from: f64, to: f64) -> f64 {
        let (from, to) = (self.at(from), self.at(to));
        (to.area - from.area - from.share * (to.seconds - from.seconds)).max(0.0)
    }

    /// The age at which [`Curve::undetected`] from an age on reaches an amount, if it does before
    /// the last point. From one point to the next it is a square: the piece is found by halving,
    /// and the root by the quadratic formula in the form that loses no digits.
    pub fn undetected_reaches(&self, from: f64, amount: f64) -> Option<f64> {
        let start = self.at(from);
        let so_far = |to: &Point| to.area - start.area - start.share * (to.seconds - start.seconds);
        let after = self
            .points
            .partition_point(|point| point.seconds <= from || so_far(point) < amount);
        let end = self.points.get(after)?;
        let begin = match self.points[after - 1] {
            point if point.seconds > from => point,
            _ => start,
        };
        let missing = (amount - so_far(&begin)).max(0.0);
        let ended = (begin.share - start.share).max(0.0);
        let slope = (end.share - begin.share) / (end.seconds - begin.seconds);
        let root = ended + (ended * ended + 2.0 * slope * missing).sqrt();
        if root <= 0.0 {
            return Some(end.seconds);
        }
        Some((begin.seconds + 2.0 * missing / root).min(end.seconds))
    }

    fn last(&self) -> Point {
        *self.points.last().expect("a curve has its begin")
    }

    /// The point at an age; beyond the last one the share stays.
    fn at(&self, seconds: f64) -> Point {
        let after = (self.points).partition_point(|point| point.seconds <= seconds);
        let Some(before) = after.checked_sub(1).map(|place| self.points[place]) else {
            return self.points[0];
        };
        let length = seconds - before.seconds;
        let slope = self.points.get(after).map_or(0.0, |end| {
            (end.share - before.share) / (end.seconds - before.seconds)
        });
        Point {
            seconds,
            share: before.share + slope * length,
            area: before.area + length * (before.share + slope * length / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    /// A quarter evenly between 1 s and 3 s, a quarter at exactly 3 s, a fifth between 4 s and 6 s,
    /// and the rest is never seen to end.
    fn curve() -> Curve {
        let points = [(1.0, 0.0), (3.0, 0.25), (3.0, 0.5), (4.0, 0.5), (6.0, 0.7)];
        Curve::through(points).unwrap()
    }

    #[test]
    fn shares_and_areas_are_those_of_the_pieces() {
        let curve = curve();
        for (age, share) in [(0.5, 0.0), (2.0, 0.125), (3.0, 0.5), (5.0, 0.6), (9.0, 0.7)] {
            close(curve.share(age), share);
        }
        close(curve.mean(), 1.0 * 6.0 - (0.25 + 0.5 + 1.2));
        close(curve.undetected(0.0, 2.0), 0.0625);
        // Those of 1 s to 3 s are 1.5 s over in the mean by 3.5 s, those of 3 s half a second.
        close(curve.undetected(0.0, 3.5), 0.25 * 1.5 + 0.25 * 0.5);
        close(curve.undetected(3.0, 5.0), 0.05);
        close(curve.undetected(6.0, 90.0), 0.0);
        assert_eq!(Curve::through([(1.0, 0.0)]), None);
        close(curve.reaches(0.4), 3.0);
        let coarse = curve.in_cells(2.0).unwrap();
        let middle = 6.0_f64.sqrt();
        close(coarse.share(middle), curve.share(middle));
        close(coarse.share(1.0), 0.0);
        let at_middle = curve.share(middle);
        let straight = at_middle + (0.7 - at_middle) * (4.0 - middle) / (6.0 - middle);
        close(coarse.share(4.0), straight);
        close(curve.reaches(0.9), 6.0);
    }

    proptest! {
        #[test]
        fn what_is_undetected_reaches_its_amount_where_it_says(
            from in 0.0..5.9_f64,
            more in 0.0..1.0_f64,
        ) {
            let curve = curve();
            let most = curve.undetected(from, curve.until());
            let amount = most * more;
            let to = curve.undetected_reaches(from, amount).unwrap();
            prop_assert!(to >= from);
            prop_assert!((curve.undetected(from, to) - amount).abs() < 1e-9);
            prop_assert!(curve.undetected_reaches(from, most + 1e-6).is_none());
        }
    }
}
