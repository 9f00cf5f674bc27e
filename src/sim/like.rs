//! `Like`: the service times of an earlier run, as its `sojourn_time.csv` has them, in the place of
//! the scenario's laws.

use crate::scenario::earlier::{self, Ended, ROUNDING, Unlike};
use crate::scenario::{Empirical, Law, SimPlan};

/// How works of an earlier run ended: by each instant a share had completed and a share had failed.
/// What is missing to 1 at the last point was never seen to end, and never ends here.
#[derive(Clone, Debug, PartialEq)]
pub struct Like {
    /// Points of the curves.
    pub points: usize,
    /// The last one, in seconds.
    pub until: f64,
    /// The share that had completed by then.
    pub completed: f64,
    /// The share that had failed by then.
    pub failed: f64,
    times_of_completed: Option<Law>,
    times_of_failed: Option<Law>,
}

impl Like {
    /// Reads the columns `t_s`, `completed` and `failed`, by their names.
    ///
    /// # Errors
    /// Says why the file cannot be played.
    pub fn read(file: &[u8]) -> Result<Self, Unlike> {
        let curve = earlier::read(file)?;
        let last = curve.last().copied().unwrap_or_default();
        let times = |share: fn(&Ended) -> f64| {
            let points: Vec<_> = (curve.iter())
                .map(|point| (point.seconds, share(point)))
                .collect();
            Empirical::through(&points).map(Law::Empirical)
        };
        Ok(Self {
            points: curve.len(),
            until: last.seconds,
            completed: last.completed,
            failed: last.failed,
            times_of_completed: times(|point| point.completed),
            times_of_failed: times(|point| point.failed),
        })
    }

    /// The share that was not seen to end; 0 where it is no more than rounding left over.
    pub fn endless(&self) -> f64 {
        let rest = 1.0 - self.completed - self.failed;
        if rest > ROUNDING { rest } else { 0.0 }
    }

    /// A service whose works end like these, without a queue: waits were in the times already.
    /// Everything else is as it was.
    #[must_use]
    pub fn in_place_of(&self, simulator: &SimPlan) -> SimPlan {
        let of_both = [&self.times_of_completed, &self.times_of_failed];
        let any = of_both.into_iter().flatten().next();
        SimPlan {
            workers: 0,
            service_time: any.unwrap_or(&simulator.service_time).clone(),
            failed_service_time: self.times_of_failed.clone(),
            fail_ratio: self.failed / (self.completed + self.failed),
            endless_ratio: self.endless(),
            ..simulator.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{mean, quiet_plan};

    const HEADER: &str = "t_s,cdf,low,high,completed,failed\n";

    fn read(rows: &str) -> Result<Like, Unlike> {
        Like::read(format!("{HEADER}{rows}").as_bytes())
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn each_outcome_has_its_times_and_the_rest_never_ends() {
        // 0.6 complete between 1 s and 3 s, 0.3 fail at exactly 3 s.
        let rows = "0.0,0,0,0,0,0\n1.0,0,0,0,0,0\n3.0,0.6,0,1,0.6,0.0\n3.0,0.9,0,1,0.6,0.3\n";
        let like = read(rows).unwrap();
        assert_eq!(like.points, 4);
        close(like.until, 3.0);
        close(like.endless(), 0.1);
        let simulator = SimPlan {
            workers: 7,
            lose_ratio: 0.5,
            ..quiet_plan()
        };
        let plan = like.in_place_of(&simulator);
        assert_eq!(plan.workers, 0);
        close(plan.fail_ratio, 1.0 / 3.0);
        close(plan.endless_ratio, 0.1);
        close(plan.lose_ratio, 0.5);
        close(mean(&plan.service_time), 2.0);
        close(mean(&plan.failed_service_time.clone().unwrap()), 3.0);
        close(mean(&plan.any_service_time()), 7.0 / 3.0);
    }

    #[test]
    fn where_all_end_alike_there_is_one_law() {
        let all_complete = read("2.0,1,1,1,1.0,0.0\n").unwrap();
        let plan = all_complete.in_place_of(&quiet_plan());
        assert_eq!(plan.failed_service_time, None);
        close(plan.fail_ratio, 0.0);
        let all_fail = read("2.0,1,1,1,0.0,1.0\n").unwrap();
        let plan = all_fail.in_place_of(&quiet_plan());
        assert_eq!(plan.failed_service_time, Some(plan.service_time.clone()));
        close(plan.fail_ratio, 1.0);
        close(all_fail.endless(), 0.0);
    }

    #[test]
    fn columns_have_names_and_rounding_is_forgiven() {
        let file = "failed,new,completed,t_s\n0.2,x,0.5,1\n0.199999999,x,0.800000002,2\n";
        let like = Like::read(file.as_bytes()).unwrap();
        close(like.failed, 0.2);
        close(like.endless(), 0.0);
    }
}
