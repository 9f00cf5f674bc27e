//! What a run says agrees with what the service itself says.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::binary::head;
use crate::support::host::Host;
use crate::support::intake::{Faults, Intake};
use crate::support::run::{Run, run};

/// 50 works a second for two seconds, asked for ten times a second.
pub(crate) fn scenario(url: &str, more: &str) -> String {
    let head = head(url);
    format!(
        "{head}\
         [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"2s\"\n\
         [poll]\ninterval = \"100ms\"\ntimeout = \"300ms\"\ngive_up_after = \"2500ms\"\nlost_after = \"1s\"\n\
         [drain]\nlimit = \"4s\"\n\
         {more}"
    )
}

pub(crate) fn check_outcomes(run: &Run, service: &Intake) {
    for work in run.works.iter().filter(|work| work.accepted_s.is_some()) {
        assert_eq!(service.ids.get(&work.seq), Some(&work.id), "{work:?}");
        let told = &*service.works[&work.id].told;
        match &*work.outcome {
            word @ ("completed" | "failed") => assert_eq!(told, word, "{work:?}"),
            "lost" => assert_eq!(told, "404", "{work:?}"),
            "expired" | "unresolved" => {
                assert!(
                    ["", "pending", "running"].contains(&told),
                    "{told} {work:?}"
                );
            }
            other => panic!("{other}: {work:?}"),
        }
        let last = if work.http_status == Some(202) {
            "poll"
        } else {
            ""
        };
        let settled = matches!(&*work.outcome, "completed" | "failed");
        assert_eq!(work.source, if settled { last } else { "" }, "{work:?}");
    }
}

/// The works that the service took, and that the run has no id of, are those that the run says it
/// may have taken.
pub(crate) fn check_maybe_accepted(run: &Run, service: &Intake) {
    let seqs = |chosen: fn(&crate::support::run::Work) -> bool| -> BTreeSet<u64> {
        run.works
            .iter()
            .filter(|work| chosen(work))
            .map(|work| work.seq)
            .collect()
    };
    let accepted = seqs(|work| work.accepted_s.is_some());
    let maybe = seqs(|work| work.maybe_accepted == 1);
    let taken: BTreeSet<u64> = service.ids.keys().copied().collect();
    let not_ours: BTreeSet<u64> = taken.difference(&accepted).copied().collect();
    let owned_up: BTreeSet<u64> = maybe.intersection(&taken).copied().collect();
    assert!(accepted.is_subset(&taken));
    assert!(accepted.is_disjoint(&maybe));
    assert_eq!(not_ours, owned_up);
}

#[test]
fn ids_and_outcomes_are_what_a_faulty_service_last_said() {
    let host = Host::start(Intake::new(Faults {
        error: 0.05,
        reset_before: 0.05,
        reset_after: 0.05,
        garbage: 0.05,
        late: 0.03,
        fails: 0.2,
        endless: 0.05,
        lost: 0.1,
        repeats: 0.05,
        invisible: 0.15,
        bucket: None,
    }));
    let run = run(&scenario(&host.url(), "[submit]\ntimeout = \"400ms\"\n"));
    let (service, _) = host.stop();
    run.check_rows();
    check_outcomes(&run, &service);
    check_maybe_accepted(&run, &service);
    for name in [
        "completed",
        "failed",
        "expired",
        "lost",
        "intake_failed",
        "rejected",
    ] {
        assert!(run.ledger(name) > 0, "the test meets no {name}");
    }
    let faults: BTreeSet<&str> = run.works.iter().map(|work| &*work.fault).collect();
    assert_eq!(faults, BTreeSet::from(["", "body", "reset", "timeout"]));
    let mut ids = BTreeMap::new();
    let accepted = run.works.iter().filter(|work| work.accepted_s.is_some());
    accepted.for_each(|work| *ids.entry(&work.id).or_insert(0_u64) += 1);
    let repeated = ids.values().map(|times| times - 1).sum::<u64>();
    assert!(repeated > 0);
    assert_eq!(run.anomaly("duplicate_id"), repeated);
    assert!(run.request("not_visible") > 0);
    assert!(run.request("poll_errors") > 0);
}
