//! The scenario of a run that was: read for its report, where the files that it names may be gone.

use super::mistake::{Mistake, Mistakes};
use super::{Arrivals, Plan, file, resolve};
use crate::time::Span;

/// The length of a replay whose log is not at hand.
pub const UNKNOWN: Span = Span(u64::MAX);

/// Reads the `scenario.toml` of a run directory. Authorities, corpora and arrival logs are left out:
/// a report needs none of them, and they lie beside the scenario as it was written.
pub fn recall(text: &str) -> Result<Plan, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(text, &[]);
    let root = file::tree(text, &[], &mut mistakes);
    if !mistakes.is_empty() {
        return Err(mistakes.into_sorted());
    }
    let absent = |_: &str| Err("not at hand".to_owned());
    let mut plan = resolve::plan(&root, &absent, &mut mistakes);
    let mut list = mistakes.into_sorted();
    list.retain(|mistake| !comes_of_a_file(&mistake.path));
    if !list.is_empty() {
        return Err(list);
    }
    for stage in &mut plan.load {
        let is_empty = matches!(&stage.arrivals, Arrivals::Replay(log) if log.is_empty());
        if is_empty && stage.duration <= Span(1) {
            stage.duration = UNKNOWN;
        }
    }
    Ok(plan)
}

/// Whether a mistake at this key is that a file is not there, or follows from it: a load of nothing
/// but a replay has no arrivals then.
fn comes_of_a_file(path: &str) -> bool {
    let is_log = path.starts_with("load[") && path.ends_with("].file");
    is_log || matches!(path, "load" | "http.ca" | "submit.corpus.file")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = 'x'\n[target]\nbase_url = 'https://a.example'\n[http]\nca = 'ca.pem'\n\
        [[load]]\narrivals = 'replay'\nfile = 'log.csv'\n[submit]\nbody = '{\"n\": {{corpus.n}}}'\n\
        [submit.corpus]\nfile = 'rows.csv'\n";

    #[test]
    fn a_plan_is_recalled_without_its_files() {
        let plan = recall(TEXT).unwrap();
        assert_eq!(plan.load[0].duration, UNKNOWN);
        assert_eq!(plan.http.ca, None);
        let timed = TEXT.replace("[submit]", "duration = '3s'\n[submit]");
        assert_eq!(recall(&timed).unwrap().load[0].duration, Span::from_secs(3));
    }

    #[test]
    fn other_mistakes_stay_mistakes() {
        for wrong in [
            "[poll]\nintervall = '1s'",
            "[http]",
            "[poll]\ninterval = '0s'",
        ] {
            assert!(recall(&format!("{TEXT}{wrong}\n")).is_err(), "{wrong}");
        }
        assert!(recall("name = 'x'").is_err());
    }
}
