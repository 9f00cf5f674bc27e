//! The bridge that keeps the virtual world honest: one scenario, run in virtual time and over real
//! HTTP.

use crate::support::binary::{Folder, head, said};
use crate::support::run::Run;

/// The built-in service, with the faults that do not depend on when a request comes.
const SCENARIO: &str = "[simulator]\nservice_time = \"lognormal(600ms, 0.6)\"\n\
    fail_ratio = 0.2\nendless_ratio = 0.05\n\
    [[load]]\narrivals = \"poisson\"\nrate = \"60/s\"\nduration = \"1s\"\n\
    [[load]]\narrivals = \"constant\"\nrate = { from = \"60/s\", to = \"20/s\" }\nduration = \"1s\"\n\
    [poll]\ninterval = \"1s\"\ngive_up_after = \"6s\"\n[drain]\nlimit = \"7s\"\n";

#[test]
fn the_virtual_world_and_real_http_agree() {
    let folder = Folder::new(&format!("{}{SCENARIO}", head("simulator")));
    said(&mut folder.run()).check(0, &[]);
    let mut command = folder.command(&["run", "scenario.toml", "--virtual", "--out", "virtual"]);
    said(&mut command).check(0, &[]);
    let (real, simulated) = (Run::read(&folder.out()), Run::read(&folder.path("virtual")));
    for run in [&real, &simulated] {
        run.check_rows();
    }
    assert_eq!(real.summary["simulated"], false);
    assert_eq!(simulated.summary["simulated"], true);
    // Each life is a function of the seed and the number of the work, so the books are determined.
    assert_eq!(real.summary["ledger"], simulated.summary["ledger"]);
    assert_eq!(real.summary["ratios"], simulated.summary["ratios"]);
    assert!(real.ledger("failed") > 0 && real.ledger("expired") > 0);
    // Most of it is the wait for the next poll, the same in both; the machine adds milliseconds.
    for metric in ["time_to_terminal", "time_to_completed"] {
        for quantile in ["p50", "p90"] {
            let of = |run: &Run| run.summary["metrics"][metric][quantile].as_f64().unwrap();
            let (found, expected) = (of(&real), of(&simulated));
            assert!(
                (found / expected - 1.0).abs() < 0.1,
                "{metric} {quantile}: {found} s, and {expected} s in virtual time"
            );
        }
    }
    // A poll that is milliseconds late may see an end that it would have missed.
    let polls = |run: &Run| run.request("polls").cast_signed();
    let apart = polls(&real) - polls(&simulated);
    assert!(apart.abs() * 20 < polls(&simulated), "{apart} polls apart");
}
