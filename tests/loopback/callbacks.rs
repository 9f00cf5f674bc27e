//! Callbacks over real sockets: every count of ours against the log of who called.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::binary::{Folder, head, said};
use crate::support::caller::{Caller, Kind, Made, SECRET};
use crate::support::host::Host;
use crate::support::run::Run;

/// Where the secret of signatures is.
const SECRET_NAME: &str = "PLIMSOLL_TEST_WEBHOOKS";

/// 50 works a second for two seconds, each of which lasts 0.2 s.
fn scenario(url: &str, observe: &str) -> String {
    let head = head(url);
    format!(
        "{head}\
         [[load]]\narrivals = \"constant\"\nrate = \"50/s\"\nduration = \"2s\"\n\
         [poll]\ninterval = \"100ms\"\n\
         [drain]\nlimit = \"30s\"\n\
         {observe}"
    )
}

/// Runs against the caller, and hands back what it says it did.
fn run_against(caller: Caller, observe: &str) -> (Run, Vec<Made>, u64, Folder) {
    let host = Host::start(caller);
    let folder = Folder::new(&scenario(&host.url(), observe));
    let mut command = folder.run();
    command.env(SECRET_NAME, SECRET);
    let said = said(&mut command);
    said.check(0, &[]);
    let (caller, _) = host.stop();
    let taken = caller.taken();
    (Run::read(&folder.out()), caller.made(), taken, folder)
}

fn callbacks(run: &Run, name: &str) -> u64 {
    run.summary["callbacks"][name].as_u64().unwrap()
}

fn is_terminal(made: &Made) -> bool {
    use Kind::{Completed, Failed, Forged};
    matches!(made.kind, Completed | Failed | Forged)
}

/// Every counter that does not depend on who was faster, from the log of the other side alone.
fn check_counts(run: &Run, made: &[Made], is_signed: bool) {
    let heard: Vec<&Made> = made.iter().filter(|made| made.status.is_some()).collect();
    let unheard = made.len() - heard.len();
    assert_eq!(unheard, 0, "the run ended before its service did");
    let of = |kind: Kind| heard.iter().filter(|made| made.kind == kind).count() as u64;
    let count = |name: &str, expected: u64| {
        assert_eq!(callbacks(run, name), expected, "{name}");
    };
    let strays = of(Kind::BadToken) + of(Kind::TooLong) + of(Kind::Get);
    count("callbacks", heard.len() as u64 - strays);
    count("receiver_bad_token", of(Kind::BadToken));
    count("receiver_malformed", of(Kind::TooLong) + of(Kind::Get));
    count("callbacks_not_terminal", of(Kind::Running));
    count("callbacks_unreadable", of(Kind::Gibberish));
    assert_eq!(run.anomaly("unknown_work"), of(Kind::Stranger));
    let unverified = if is_signed { of(Kind::Forged) } else { 0 };
    count("callbacks_unverified", unverified);

    let terminal: Vec<&&Made> = heard.iter().filter(|made| is_terminal(made)).collect();
    let works: BTreeSet<u64> = terminal.iter().map(|made| made.seq).collect();
    count("callbacks_first", works.len() as u64);
    count("works_without", run.ledger("accepted") - works.len() as u64);
    let duplicates = (terminal.len() - works.len()) as u64;
    assert_eq!(run.anomaly("duplicate_callback"), duplicates);
    // Of calls about one work, in their order: a duplicate with the delivery id of the one before.
    let mut last: BTreeMap<u64, &str> = BTreeMap::new();
    let mut same = 0;
    for made in &heard {
        if is_terminal(made) && last.insert(made.seq, &made.delivery) == Some(&made.delivery) {
            same += 1;
        }
    }
    count("callbacks_same_delivery", same);
    let early = heard.iter().filter(|made| made.is_early).count() as u64;
    assert_eq!(run.anomaly("callback_before_accept"), early);
    for (kind, status) in [
        (Kind::BadToken, 404),
        (Kind::TooLong, 413),
        (Kind::Get, 405),
        (Kind::Gibberish, 200),
        (Kind::Completed, 200),
        (Kind::Forged, 200),
    ] {
        let answers: BTreeSet<Option<u16>> = (heard.iter())
            .filter(|made| made.kind == kind)
            .map(|made| made.status)
            .collect();
        assert_eq!(answers, BTreeSet::from([Some(status)]), "{kind:?}");
    }
}

/// The rows of `callbacks.csv` and `pairs.csv`.
fn rows(folder: &Folder, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows = csv::Reader::from_path(folder.out().join(name)).unwrap();
    rows.deserialize().map(Result::unwrap).collect()
}

#[test]
fn in_mode_both_every_count_is_what_the_service_delivered() {
    let observe = format!(
        "[observe]\nmode = \"both\"\n\
         [observe.callback]\nmax_body = \"4KiB\"\nlinger = \"5s\"\npark_for = \"2s\"\n\
         signature = {{ scheme = \"standard\", secrets = [\"env:{SECRET_NAME}\"] }}\n"
    );
    let (run, made, taken, folder) = run_against(Caller::new(true), &observe);
    run.check_books();
    check_counts(&run, &made, true);
    // Each work was polled to its own end, and told by its callback, but for those that had none.
    let terminal = made.iter().filter(|made| is_terminal(made));
    let told: BTreeSet<u64> = terminal.map(|made| made.seq).collect();
    let pairs = rows(&folder, "pairs.csv");
    let paired: BTreeSet<u64> = pairs
        .iter()
        .map(|row| row["seq"].parse().unwrap())
        .collect();
    assert_eq!(paired, told);
    let first = |name| callbacks(&run, name);
    let both = first("pairs_callback_first") + first("pairs_poll_first");
    assert_eq!(both, told.len() as u64);
    assert_eq!(run.ledger("accepted"), taken);
    assert_eq!(run.ledger("failed"), taken / 20);
    assert_eq!(run.ledger("completed"), taken - taken / 20);
    let calls = rows(&folder, "callbacks.csv").len() as u64;
    assert_eq!(calls, first("callbacks"));
    let receiver = &run.summary["callbacks"]["receiver"];
    assert!(
        receiver["most_at_once"].as_u64().unwrap() >= 1,
        "{receiver}"
    );
}
