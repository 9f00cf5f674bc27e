//! `Like`: the service times of an earlier run, as its `sojourn_time.csv` has them, in the place of
//! the scenario's laws.

use std::fmt;

use csv::StringRecord;

use crate::scenario::{Empirical, Law, SimPlan};

/// Points of a file at most. An estimate has some thousands.
const MOST_POINTS: usize = 65_536;

/// Shares are written with nine decimals, and more of them are summed: where they should ascend, or
/// stay below 1, they may miss it by so much.
const ROUNDING: f64 = 1e-6;

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

/// Why a file cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlike {
    /// It holds no estimate: the header alone.
    Nothing,
    /// No work was seen to end.
    NoEnd,
    /// It is damaged; where, what was found, and what was expected.
    Unreadable(String),
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("found no point, expected a curve"),
            Self::NoEnd => f.write_str("found no work that ended, expected a share above 0"),
            Self::Unreadable(what) => f.write_str(what),
        }
    }
}

impl Like {
    /// Reads the columns `t_s`, `completed` and `failed`, by their names.
    ///
    /// # Errors
    /// Says why the file cannot be played.
    pub fn read(file: &[u8]) -> Result<Self, Unlike> {
        let mut reader = csv::Reader::from_reader(file);
        let damaged = |error: csv::Error| Unlike::Unreadable(error.to_string());
        let headers = reader.headers().map_err(damaged)?.clone();
        let place = |name: &'static str| {
            let at = headers.iter().position(|header| header == name);
            let missing = || Unlike::Unreadable(format!("line 1: found no column `{name}`"));
            at.map(|at| (name, at)).ok_or_else(missing)
        };
        let columns = [place("t_s")?, place("completed")?, place("failed")?];
        let mut before = [0.0; 3];
        let (mut completed, mut failed) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(damaged)?;
            if completed.len() == MOST_POINTS {
                let what = format!("found more than {MOST_POINTS} points, expected some thousands");
                return Err(Unlike::Unreadable(what));
            }
            before = point(&columns, &record, before)?;
            let [seconds, has_completed, has_failed] = before;
            completed.push((seconds, has_completed));
            failed.push((seconds, has_failed));
        }
        let [until, has_completed, has_failed] = before;
        if completed.is_empty() {
            return Err(Unlike::Nothing);
        }
        if has_completed + has_failed <= 0.0 {
            return Err(Unlike::NoEnd);
        }
        Ok(Self {
            points: completed.len(),
            until,
            completed: has_completed,
            failed: has_failed,
            times_of_completed: Empirical::through(&completed).map(Law::Empirical),
            times_of_failed: Empirical::through(&failed).map(Law::Empirical),
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

/// One point, which comes after `before` in each of the columns.
fn point(
    columns: &[(&'static str, usize); 3],
    record: &StringRecord,
    before: [f64; 3],
) -> Result<[f64; 3], Unlike> {
    let line = record.position().map_or(0, csv::Position::line);
    let wrong = |what: String| Unlike::Unreadable(format!("line {line}: {what}"));
    let mut point = before;
    for ((name, at), value) in columns.iter().zip(&mut point) {
        let cell = record.get(*at).unwrap_or_default();
        let read = cell.parse().ok().filter(|read: &f64| read.is_finite());
        let least = *value - if *name == "t_s" { 0.0 } else { ROUNDING };
        let expected = if *name == "t_s" { "a time" } else { "a share" };
        *value = read.filter(|read| *read >= least).map_or_else(
            || {
                let found = cell.escape_debug();
                Err(wrong(format!(
                    "found `{found}` in `{name}`, expected {expected} of {value} or more"
                )))
            },
            // Of what falls by rounding the larger share counts.
            |read| Ok(read.max(*value)),
        )?;
    }
    let [_, completed, failed] = point;
    if completed + failed > 1.0 + ROUNDING {
        return Err(wrong(format!(
            "found {completed} completed and {failed} failed, expected 1 or less together"
        )));
    }
    Ok(point)
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

    #[test]
    fn what_cannot_be_played_says_why() {
        assert_eq!(read(""), Err(Unlike::Nothing));
        assert_eq!(read("0,0,0,0,0,0\n9,0,0,0,0,0\n"), Err(Unlike::NoEnd));
        let check = |rows: &str, part: &str| {
            let error = read(rows).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("1,0,0,0,0.5\n", "line: 2");
        check(
            "1,0,0,0,0.5,0\n0.5,0,0,0,0.6,0\n",
            "line 3: found `0.5` in `t_s`",
        );
        check("1,0,0,0,0.5,0\n2,0,0,0,0.4,0\n", "expected a share of 0.5");
        check("1,0,0,0,NaN,0\n", "line 2: found `NaN` in `completed`");
        check("-1,0,0,0,0.5,0\n", "expected a time of 0 or more");
        check("1,0,0,0,0.8,0.3\n", "expected 1 or less together");
        check(
            &"1,0,0,0,0.5,0\n".repeat(MOST_POINTS + 1),
            "more than 65536",
        );
        let error = Like::read(b"t_s,cdf\n1,1\n").unwrap_err().to_string();
        assert_eq!(error, "line 1: found no column `completed`");
    }
}
