//! The sojourn times of an earlier run, as its `sojourn_time.csv` has them.

use std::fmt;

use csv::StringRecord;

/// The file that a run leaves behind.
pub const CURVE: &str = "sojourn_time.csv";

/// Points of a file at most. An estimate has some thousands.
const MOST_POINTS: usize = 65_536;

/// Shares are written with nine decimals, and more of them are summed: where they should ascend, or
/// stay below 1, they may miss it by so much.
pub const ROUNDING: f64 = 1e-6;

/// What had ended by an age.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ended {
    /// The age, from the submit on.
    pub seconds: f64,
    /// The share of the works that had completed.
    pub completed: f64,
    /// The share that had failed.
    pub failed: f64,
}

/// Why a file says nothing.
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

/// Reads the columns `t_s`, `completed` and `failed`, by their names: ages and shares ascend, some
/// work has ended at the last one, and what is missing to 1 there was never seen to end.
///
/// # Errors
/// Says why the file says nothing.
pub fn read(file: &[u8]) -> Result<Vec<Ended>, Unlike> {
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
    let mut curve = Vec::new();
    for record in reader.records() {
        let record = record.map_err(damaged)?;
        if curve.len() == MOST_POINTS {
            let what = format!("found more than {MOST_POINTS} points, expected some thousands");
            return Err(Unlike::Unreadable(what));
        }
        before = point(&columns, &record, before)?;
        let [seconds, completed, failed] = before;
        curve.push(Ended {
            seconds,
            completed,
            failed,
        });
    }
    match curve.last() {
        None => Err(Unlike::Nothing),
        Some(last) if last.completed + last.failed <= 0.0 => Err(Unlike::NoEnd),
        Some(_) => Ok(curve),
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

    const HEADER: &str = "t_s,cdf,low,high,completed,failed\n";

    fn read(rows: &str) -> Result<Vec<Ended>, Unlike> {
        super::read(format!("{HEADER}{rows}").as_bytes())
    }

    #[test]
    fn what_says_nothing_says_why() {
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
        let error = super::read(b"t_s,cdf\n1,1\n").unwrap_err().to_string();
        assert_eq!(error, "line 1: found no column `completed`");
    }
}
