//! `Ages`: at which ages to ask for a work, where it is known how long works take.
//!
//! To ask costs a poll, not to ask lets an end go unseen. What goes unseen between the last poll at
//! the age a and a later age b is, in the mean over the works that are still open at a,
//! `W(a, b) = integral of F(u) - F(a) du from a to b / (1 - F(a))`, in seconds. A poll is due when
//! W reaches a price: the lag that a poll is worth. All ages are later at a higher price (W falls
//! in a and ascends in b), so that polls are fewer, and one price makes any number of polls.
//!
//! This is the rule of the one-step look-ahead for the inspection problem of Barlow, Hunter and
//! Proschan (Optimum checking procedures, 1963). It needs no density, unlike Keller's (Optimum
//! checking schedules for systems subject to random failure, 1974), to which it tends where gaps
//! are short: `gap = sqrt(2 price / hazard)`. At a constant hazard all gaps are the same.

use super::curve::Curve;

/// Ages that are looked at to say what a price costs; those of later ones are as in a schedule that
/// ends there. A service that needs more has works a thousand times as long as its interval.
const MOST_AGES: usize = 10_000;

/// Halvings of the price: from its highest to a billionth of it, to a millionth of itself.
const HALVINGS: u32 = 25;

/// Lengths of time between two polls of a work, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaps {
    /// The shortest; above 0.
    pub shortest: f64,
    /// The longest; not below the shortest.
    pub longest: f64,
    /// The one where nothing is known: behind the last age of the curve.
    pub unknown: f64,
}

/// What a schedule of polls costs and gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Polls a work in the mean; those of works that are open at the last age of the curve are
    /// counted up to there.
    pub polls: f64,
    /// From the end of a work to the poll that sees it, in seconds, in the mean over the works that
    /// end on the curve.
    pub lag: f64,
}

/// When to ask for works whose ends have this curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Ages {
    curve: Curve,
    gaps: Gaps,
}

impl Ages {
    /// For this curve, with these gaps.
    ///
    /// # Panics
    /// If the shortest gap is not above 0, or the longest below it.
    pub fn new(curve: Curve, gaps: Gaps) -> Self {
        assert!(
            gaps.shortest > 0.0 && gaps.longest >= gaps.shortest,
            "gaps have a length"
        );
        Self { curve, gaps }
    }

    /// The curve.
    pub const fn curve(&self) -> &Curve {
        &self.curve
    }

    /// The age of the poll that follows one at `age`, which found the work open; both in seconds.
    pub fn next(&self, age: f64, price: f64) -> f64 {
        let Gaps {
            shortest,
            longest,
            unknown,
        } = self.gaps;
        let until = self.curve.until();
        let open = 1.0 - self.curve.share(age);
        let next = if age >= until || open <= 0.0 {
            age + unknown
        } else {
            let amount = price * open;
            let reached = self.curve.undetected_reaches(age, amount);
            reached.unwrap_or_else(|| self.beyond(age, amount))
        };
        next.clamp(age + shortest, age + longest)
    }

    /// The age behind the curve at which what is undetected reaches an amount, or one gap behind
    /// it: what may end there is not known.
    fn beyond(&self, age: f64, amount: f64) -> f64 {
        let until = self.curve.until();
        let ended = self.curve.known() - self.curve.share(age);
        let missing = amount - self.curve.undetected(age, until);
        until + (missing / ended).min(self.gaps.unknown)
    }

    /// The ages at which a work is asked until it has ended, without an end.
    pub fn schedule(&self, price: f64) -> impl Iterator<Item = f64> + '_ {
        let next = move |age: &f64| Some(self.next(*age, price));
        std::iter::successors(next(&0.0), next)
    }

    /// What a price costs and gives.
    pub fn cost(&self, price: f64) -> Cost {
        self.curve.cost_of(self.schedule(price))
    }

    /// The price at which works are asked for so often in the mean, or as nearly as the gaps allow:
    /// the higher one of two.
    pub fn price_of(&self, polls: f64) -> f64 {
        // What is undetected grows by a second a second at most: no price above the longest gap
        // differs from it.
        let mut high = self.gaps.longest;
        let mut low = high * 1e-9;
        for _ in 0..HALVINGS {
            // Of their logarithms.
            let middle = (high * low).sqrt();
            if self.cost(middle).polls > polls {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// What the same interval all the time costs and gives, the first poll at random within one:
    /// `m / T + 1` polls and a lag of `T / 2`, whatever the law of the works.
    pub fn cost_of_fixed(&self, interval: f64) -> Cost {
        Cost {
            polls: self.curve.mean() / interval + 1.0,
            lag: interval / 2.0,
        }
    }
}

impl Curve {
    /// What polls at these ages cost and give, which ascend.
    pub fn cost_of(&self, ages: impl Iterator<Item = f64>) -> Cost {
        let (mut polls, mut lag, mut before) = (0.0, 0.0, 0.0);
        for age in ages.take(MOST_AGES) {
            polls += 1.0 - self.share(before);
            lag += self.undetected(before, age);
            before = age;
            if age >= self.until() {
                break;
            }
        }
        Cost {
            polls,
            lag: lag / self.known(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FREE: Gaps = Gaps {
        shortest: 1e-6,
        longest: 1e6,
        unknown: 5.0,
    };

    /// A law as a curve of so many points, evenly in age.
    fn law(until: f64, points: u32, share: impl Fn(f64) -> f64) -> Curve {
        let age = |k: u32| until * f64::from(k) / f64::from(points);
        Curve::through((1..=points).map(|k| (age(k), share(age(k))))).unwrap()
    }

    fn exponential(mean: f64) -> Curve {
        law(40.0 * mean, 40_000, |age| 1.0 - libm::exp(-age / mean))
    }

    fn near(found: f64, expected: f64, by: f64) {
        assert!(
            (found / expected - 1.0).abs() < by,
            "{found}, not {expected}"
        );
    }

    #[test]
    fn a_constant_hazard_is_asked_at_a_constant_interval() {
        // W(a, a + T) = T - m (1 - e^(-T/m)) for every a; polls 1 / (1 - e^(-T/m)), and the lag is
        // what they take less the mean: T / (1 - e^(-T/m)) - m.
        let (m, t): (f64, f64) = (8.0, 5.0);
        let ended = 1.0 - libm::exp(-t / m);
        let price = t - m * ended;
        let ages = Ages::new(exponential(m), FREE);
        for (k, age) in (1..=20).zip(ages.schedule(price)) {
            near(age, t * f64::from(k), 1e-4);
        }
        let cost = ages.cost(price);
        near(cost.polls, 1.0 / ended, 1e-4);
        near(cost.lag, t / ended - m, 1e-4);
        near(ages.price_of(1.0 / ended), price, 1e-3);
    }

    #[test]
    fn short_gaps_are_those_of_keller() {
        // A hazard that grows with age, h = 2 t / s^2: Weibull of shape 2.
        let s = 100.0;
        let weibull = law(600.0, 60_000, |age| 1.0 - libm::exp(-(age / s) * (age / s)));
        let ages = Ages::new(weibull, FREE);
        for age in [50.0, 100.0, 150.0] {
            let hazard = 2.0 * age / (s * s);
            let gap = ages.next(age, 1e-3) - age;
            near(gap, (2.0 * 1e-3 / hazard).sqrt(), 0.01);
        }
    }

    #[test]
    fn nobody_asks_where_nothing_ends() {
        // Half end at 10 s, half at 60 s: asked just behind both, at any price below what separates
        // them.
        let two = Curve::through([(10.0, 0.0), (10.0, 0.5), (60.0, 0.5), (60.0, 1.0)]).unwrap();
        let ages = Ages::new(two, FREE);
        let first: Vec<f64> = ages.schedule(0.1).take(3).collect();
        // 0.5 x 0.2 s, then 1 x 0.1 s.
        near(first[0], 10.2, 1e-12);
        near(first[1], 60.1, 1e-12);
        near(first[2], 65.1, 1e-12);
        let cost = ages.cost(0.1);
        near(cost.polls, 1.5, 1e-12);
        near(cost.lag, 0.5 * 0.2 + 0.5 * 0.1, 1e-12);
    }

    #[test]
    fn behind_what_is_known_the_interval_holds() {
        // A third was never seen to end.
        let cut = Curve::through([(3.0, 0.0), (9.0, 0.666)]).unwrap();
        let ages = Ages::new(cut, FREE);
        near(ages.next(9.0, 1e-3), 14.0, 1e-12);
        near(ages.next(100.0, 1e-3), 105.0, 1e-12);
        near(ages.next(8.9, 1e3), 14.0, 1e-12);
        near(
            ages.cost_of_fixed(2.0).polls,
            (9.0 - 0.333 * 6.0) / 2.0 + 1.0,
            1e-9,
        );
    }

    proptest! {
        #[test]
        fn gaps_keep_their_bounds_and_a_higher_price_asks_later(
            masses in prop::collection::vec((0.0..20.0_f64, 0.0..1.0_f64), 1..30),
            missing in 0.0..0.5_f64,
            price in 1e-4..20.0_f64,
            more in 1.0..10.0_f64,
        ) {
            let total = masses.iter().map(|(_, mass)| mass).sum::<f64>() + 1e-3;
            let (mut age, mut share) = (0.0, 0.0);
            let curve = Curve::through(masses.iter().map(|(gap, mass)| {
                age += gap;
                share += mass / total * (1.0 - missing);
                (age, share)
            }));
            let gaps = Gaps { shortest: 0.5, longest: 12.0, unknown: 4.0 };
            if let Some(curve) = curve {
                let ages = Ages::new(curve, gaps);
                let mut before = 0.0;
                let dearer = ages.schedule(price * more);
                for (age, later) in ages.schedule(price).zip(dearer).take(50) {
                    let gap = age - before;
                    prop_assert!((0.5 - 1e-9..=12.0 + 1e-9).contains(&gap), "{}", gap);
                    prop_assert!(later >= age - 1e-9, "{} {}", age, later);
                    before = age;
                }
                let (cheap, dear) = (ages.cost(price), ages.cost(price * more));
                prop_assert!(dear.polls <= cheap.polls + 1e-9);
                let wanted = f64::midpoint(ages.cost(12.0).polls, ages.cost(1e-8).polls);
                prop_assert!(ages.cost(ages.price_of(wanted)).polls <= wanted);
            }
        }
    }
}
