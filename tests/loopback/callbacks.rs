//! Callbacks over real sockets: every count of ours against the log of who called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;

use plimsoll::shell::limits::raise_descriptors;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::support::binary::{Folder, KEY, KEY_NAME, Said, head, said};
use crate::support::caller::{Caller, Calls, Habits, Kind, Made, ROUND, SECRET};
use crate::support::host::{Host, Request, answer};
use crate::support::run::Run;

/// Where the secret of signatures is.
const SECRET_NAME: &str = "PLIMSOLL_TEST_WEBHOOKS";
/// What stands in the path of every callback, where it is not drawn.
const TOKEN: &str = "canary-Zk3v9QxW7Lr0";
const TOKEN_NAME: &str = "PLIMSOLL_TEST_TOKEN";

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

/// What a run against the caller left behind.
struct Done {
    said: Said,
    run: Run,
    made: Vec<Made>,
    taken: u64,
    folder: Folder,
}

fn run_in(folder: Folder, host: Host<Caller>) -> Done {
    let mut command = folder.run();
    command.env(SECRET_NAME, SECRET).env(TOKEN_NAME, TOKEN);
    let said = said(&mut command);
    assert!(folder.out().join("summary.json").exists(), "{said:#?}");
    let (caller, _) = host.stop();
    Done {
        said,
        run: Run::read(&folder.out()),
        taken: caller.taken(),
        made: caller.made(),
        folder,
    }
}

/// Runs against a caller of such habits, and hands back what it says it did.
fn run_against(habits: Habits, observe: &str) -> Done {
    let host = Host::start(Caller::new(habits));
    let folder = Folder::new(&scenario(&host.url(), observe));
    run_in(folder, host)
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
    let too_long = of(Kind::TooLong) + of(Kind::FarTooLong);
    let strays = of(Kind::BadToken) + too_long + of(Kind::Get);
    count("callbacks", heard.len() as u64 - strays);
    count("receiver_bad_token", of(Kind::BadToken));
    // One that was cut off is one, too, however much of it came after that.
    count("receiver_malformed", too_long + of(Kind::Get));
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
        (Kind::FarTooLong, 413),
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
    let habits = Habits {
        signs: true,
        ..Habits::default()
    };
    let Done {
        said,
        run,
        made,
        taken,
        folder,
    } = run_against(habits, &observe);
    said.check(0, &[]);
    run.check_books();
    check_counts(&run, &made, true);
    // Each work was polled to its own end, and told by its callback, but for those that had none.
    let told = told(&made);
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
    assert_eq!(run.ledger("failed"), taken / ROUND);
    assert_eq!(run.ledger("completed"), taken - taken / ROUND);
    let calls = rows(&folder, "callbacks.csv").len() as u64;
    assert_eq!(calls, first("callbacks"));
    let receiver = &run.summary["callbacks"]["receiver"];
    assert!(
        receiver["most_at_once"].as_u64().unwrap() >= 1,
        "{receiver}"
    );
}

/// The first terminal calls of works, as far as there are any.
fn told(made: &[Made]) -> BTreeSet<u64> {
    let terminal = made.iter().filter(|made| is_terminal(made));
    terminal.map(|made| made.seq).collect()
}

#[test]
fn a_url_of_its_own_in_a_header_leads_to_each_work_and_a_sweep_finds_the_rest() {
    let observe = "[observe]\nmode = \"hybrid\"\ndeadline = \"3s\"\n\
                   [observe.callback]\nurl = \"header\"\nfind = \"url\"\nmax_body = \"4KiB\"\n";
    let done = run_against(Habits::default(), observe);
    done.said.check(0, &[]);
    let run = &done.run;
    run.check_books();
    let works = told(&done.made);
    let count = |name| callbacks(run, name);
    assert_eq!(count("callbacks_first"), works.len() as u64);
    // Those without a call were asked for, each once it was overdue.
    let without = done.taken - works.len() as u64;
    assert!(without > 0);
    assert_eq!(count("callbacks_overdue"), without);
    assert_eq!(count("callbacks_swept"), without);
    assert_eq!(run.request("polls"), without);
    assert_eq!(run.ledger("completed") + run.ledger("failed"), done.taken);
    // Whose it is the URL says: whatever id stands in the body.
    assert_eq!(run.anomaly("unknown_work"), 0);
    let strangers = done.made.iter().filter(|made| made.kind == Kind::Stranger);
    let strangers = strangers.count() as u64;
    let terminal = done.made.iter().filter(|made| is_terminal(made)).count() as u64;
    let duplicates = terminal + strangers - works.len() as u64;
    assert_eq!(run.anomaly("duplicate_callback"), duplicates);
    // A path that is one character longer fits no work.
    let bad = done.made.iter().filter(|made| made.kind == Kind::BadToken);
    assert_eq!(count("receiver_bad_token"), bad.count() as u64);
}

#[test]
fn what_the_receiver_refuses_on_purpose_is_told_again_until_it_is_taken() {
    let observe = "[observe]\nmode = \"callback\"\n\
                   [observe.callback]\nmax_body = \"4KiB\"\nlinger = \"5s\"\n\
                   [[observe.callback.faults]]\nkind = \"status\"\nratio = 0.3\n\
                   [[observe.callback.faults]]\nkind = \"reset\"\nratio = 0.1\n\
                   [[observe.callback.faults]]\nkind = \"slow\"\ndelay = \"50ms\"\nratio = 0.2\n";
    let habits = Habits {
        retries: 30,
        ..Habits::default()
    };
    let host = Host::start(Caller::new(habits));
    let text = scenario(&host.url(), observe).replace("limit = \"30s\"", "limit = \"6s\"");
    let done = run_in(Folder::new(&text), host);
    done.said.check(0, &[]);
    let run = &done.run;
    run.check_books();
    let (refused, taken): (Vec<&Made>, Vec<&Made>) = (done.made.iter())
        .filter(|made| {
            !matches!(
                made.kind,
                Kind::BadToken | Kind::TooLong | Kind::FarTooLong | Kind::Get
            )
        })
        .partition(|made| made.status != Some(200));
    let resets = refused.iter().filter(|made| made.status.is_none()).count();
    let busy = refused
        .iter()
        .filter(|made| made.status == Some(503))
        .count();
    assert!(resets > 0 && busy > 0, "{resets} {busy}");
    assert_eq!(resets + busy, refused.len());
    let count = |name| callbacks(run, name);
    assert_eq!(count("callbacks"), (refused.len() + taken.len()) as u64);
    assert_eq!(count("callbacks_refused"), refused.len() as u64);
    let strangers = taken.iter().filter(|made| made.kind == Kind::Stranger);
    assert_eq!(run.anomaly("unknown_work"), strangers.count() as u64);
    // Every work that was told of was told in the end.
    assert_eq!(count("callbacks_first"), told(&done.made).len() as u64);
    assert_eq!(run.request("polls"), 0);
    let again = run.summary["callbacks"]["attempts"].as_array().unwrap();
    assert!(again.len() > 1, "{again:?}");
}

#[test]
fn a_thousand_slow_connections_leave_the_receiver_answering() {
    // The slow ones are ours.
    raise_descriptors();
    let observe = "[observe]\nmode = \"both\"\n\
                   [observe.callback]\nmax_body = \"4KiB\"\nconnections = 200\nlinger = \"5s\"\n\
                   park_for = \"2s\"\n";
    let habits = Habits {
        slow_connections: 1_000,
        ..Habits::default()
    };
    let done = run_against(habits, observe);
    done.said.check(0, &[]);
    check_counts(&done.run, &done.made, false);
    let calls = done.made.len() as u64;
    let evicted = callbacks(&done.run, "receiver_evicted");
    assert!((800..=1_000 + calls).contains(&evicted), "{evicted}");
    let most = &done.run.summary["callbacks"]["receiver"]["most_connections"];
    assert_eq!(most, 200);
}

/// New connections were taken faster than those that were there were read, so a caller had to make
/// room before it was heard.
#[test]
fn a_flood_of_connections_drives_no_caller_away() {
    let observe = "[observe]\nmode = \"both\"\n\
                   [observe.callback]\nmax_body = \"4KiB\"\nconnections = 64\nlinger = \"5s\"\npark_for = \"2s\"\n";
    let habits = Habits {
        floods: true,
        ..Habits::default()
    };
    let done = run_against(habits, observe);
    done.said.check(0, &[]);
    check_counts(&done.run, &done.made, false);
}

/// Callbacks that came while the books were closed were answered 200 and in no count; those that
/// one shard passed on to another which had closed were counted, and of no kind.
#[test]
fn what_is_answered_while_shards_close_their_books_is_in_them() {
    let observe = "[observe]\nmode = \"both\"\n\
                   [observe.callback]\nmax_body = \"4KiB\"\nlinger = \"2s\"\npark_for = \"1s\"\n";
    let habits = Habits {
        insists: 8,
        ..Habits::default()
    };
    let host = Host::start(Caller::new(habits));
    let folder = Folder::new(&scenario(&host.url(), observe));
    let mut command = folder.run();
    command.args(["--shards", "3"]);
    let said = said(&mut command);
    said.check(0, &[]);
    let (caller, _) = host.stop();
    let made = caller.made();
    let answered = |status| made.iter().filter(|it| it.status == Some(status)).count() as u64;
    let run = Run::read(&folder.out());
    run.check_books();
    assert_eq!(callbacks(&run, "callbacks"), answered(200));
    let rows = rows(&folder, "callbacks.csv").len() as u64;
    assert_eq!(rows, answered(200));
    let notes = run.summary["notes"].to_string();
    let late = answered(503);
    assert_eq!(
        notes.contains(&format!("\"{late} callbacks came when")),
        late > 0,
        "{notes}"
    );
}

/// Whose fault it is that no callback told of any end nobody can say: it was a pass.
#[test]
fn a_run_that_heard_no_callback_is_invalid() {
    let check = |calls: Calls, keys: &str, text: &str| {
        let observe = format!("[observe]\nmode = \"both\"\n[observe.callback]\n{keys}\n");
        let habits = Habits {
            calls,
            ..Habits::default()
        };
        let done = run_against(habits, &observe);
        done.said.check(3, &[]);
        let reason = &done.run.summary["validity"]["reasons"][0];
        assert_eq!(reason["code"], "receiver", "{reason}");
        assert!(reason["text"].as_str().unwrap().contains(text), "{reason}");
        let again = said(&mut done.folder.command(&["report", "out"]));
        again.check(3, &[]);
    };
    check(
        Calls::Never,
        "",
        "does the service read /callback_url of the body",
    );
    check(Calls::ByScript, "id = \"/ticket\"", "none was understood");
}

#[test]
fn a_receiver_without_room_makes_the_run_invalid() {
    let observe = "[observe]\nmode = \"both\"\n\
                   [observe.callback]\nconnections = 2\nlinger = \"5s\"\n\
                   [[observe.callback.faults]]\nkind = \"slow\"\ndelay = \"1s\"\n";
    let done = run_against(Habits::default(), observe);
    done.said.check(3, &[]);
    let reasons = &done.run.summary["validity"]["reasons"];
    assert_eq!(reasons[0]["code"], "receiver", "{reasons}");
    let turned_away = done
        .made
        .iter()
        .filter(|made| made.status.is_none())
        .count();
    assert!(turned_away > 0);
}

#[test]
fn the_token_is_shown_nowhere_whatever_a_service_says_again() {
    let observe = format!(
        "[observe]\nmode = \"both\"\n\
         [observe.callback]\ntoken = \"env:{TOKEN_NAME}\"\nmax_body = \"4KiB\"\n"
    );
    let habits = Habits {
        echoes: true,
        ..Habits::default()
    };
    let done = run_against(habits, &observe);
    done.said.check(0, &[]);
    done.folder.check_shows_nowhere(TOKEN, &done.said);
    let failures = fs::read_to_string(done.folder.out().join("failures.jsonl")).unwrap();
    assert!(failures.contains("says"), "{failures}");
}

#[test]
fn callbacks_come_over_tls_where_there_is_a_certificate() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.pem();
    let mut roots = RootCertStore::empty();
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    roots.add(der).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let habits = Habits {
        trusts: Some(Arc::new(trusting)),
        ..Habits::default()
    };
    let host = Host::start(Caller::new(habits));
    let observe = "[observe]\nmode = \"both\"\n\
                   [observe.callback]\nmax_body = \"4KiB\"\nlinger = \"5s\"\npark_for = \"2s\"\n\
                   tls_cert = \"cert.pem\"\ntls_key = \"file:key.pem\"\n";
    let folder = Folder::new(&scenario(&host.url(), observe));
    fs::write(folder.path("cert.pem"), certificate).unwrap();
    fs::write(
        folder.path("key.pem"),
        certified.signing_key.serialize_pem(),
    )
    .unwrap();
    let done = run_in(folder, host);
    done.said.check(0, &[]);
    check_counts(&done.run, &done.made, false);
}

#[test]
fn what_cannot_be_is_said_before_the_load() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let check = |callback: &str, more: &str, texts: &[&str]| {
        let text = format!(
            "{}{more}\n[[load]]\nrate = \"1/s\"\nduration = \"1s\"\n\
             [observe]\nmode = \"both\"\n[observe.callback]\n{callback}\n",
            head("simulator")
        );
        let folder = Folder::new(&text);
        fs::write(folder.path("token"), "c2l4dGVlbiBieXRlcw+/==").unwrap();
        let mut command = folder.run();
        command.env(TOKEN_NAME, "short");
        let said = said(&mut command);
        said.check(2, texts);
        said.check(2, &["hint: "]);
        assert!(!folder.out().exists());
    };
    check(
        &format!("listen = \"{taken}\""),
        "",
        &["observe.callback.listen", &taken.to_string(), "port taken"],
    );
    check(
        "listen = \"here\"",
        "",
        &["\"here\"", "an address and a port"],
    );
    check(
        "listen = \"0.0.0.0:0\"",
        "",
        &["nobody can call", "public_url"],
    );
    let token = format!("token = \"env:{TOKEN_NAME}\"");
    check(&token, "", &["could be guessed", "16"]);
    check(
        "token = \"file:token\"",
        "",
        &["look different in a URL", "letters, digits"],
    );
    check("token = \"env:NOT_THERE\"", "", &["NOT_THERE", "not set"]);
    check(
        "signature = { scheme = \"standard\", secrets = [\"env:NOT_THERE\"] }",
        "",
        &["observe.callback.signature.secrets"],
    );
    check(
        "field = \"/a/b\"",
        "[simulator]\ncallback = { field = \"/c\" }",
        &["observe.callback.field", "simulator.callback.field"],
    );
    check(
        "field = \"/seq/url\"",
        "",
        &["no place for the URL", "/seq/url"],
    );
    check(
        "public_url = \"https://hooks.example\"",
        "",
        &["plain HTTP", "public_url"],
    );
    // Somebody answers there, and not as we do.
    let stranger = Host::start(|_: &Request| answer(404, &[], ""));
    check(
        &format!("public_url = \"{}\"", stranger.url()),
        "",
        &["cannot be reached", "somebody else answers there, 404"],
    );
}

/// The built-in service calls back, with stamps; some attempts are refused.
const BUILT_IN: &str = "[api.terminal]\nfinished_at = \"/finished_at\"\n\
    [simulator]\nservice_time = \"exp(200ms)\"\nfinished_at = \"1us\"\n\
    callback = { delay = \"exp(20ms)\", duplicate_ratio = 0.1, drop_ratio = 0.05, \
    retries = [\"100ms\"] }\n\
    [[load]]\nrate = \"50/s\"\nduration = \"2s\"\n[poll]\ninterval = \"200ms\"\n\
    [[observe.callback.faults]]\nkind = \"status\"\nratio = 0.2\n";

#[test]
fn attempts_are_made_again_from_the_files_or_left_out_where_there_are_none() {
    let folder = Folder::new(&format!("{}{BUILT_IN}", head("simulator")));
    for (way, works) in [("", "all"), ("--virtual", "all"), ("--virtual", "none")] {
        let out = format!("out{way}-{works}");
        let mut command = folder.command(&["run", "scenario.toml", "--out", &out]);
        command.env(KEY_NAME, KEY).args(way.split_whitespace());
        command.args(["--set", "observe.mode=both"]);
        command.args(["--set", &format!("report.works={works}")]);
        said(&mut command).check(0, &[]);
        let summary = fs::read_to_string(folder.path(&out).join("summary.json")).unwrap();
        let again = said(&mut folder.command(&["report", "--json", &out]));
        assert!(again.stdout == summary, "{way} {works}");
        let callbacks = &Run::read(&folder.path(&out)).summary["callbacks"];
        let has_rows = works == "all";
        assert_eq!(callbacks["lag"].is_object(), has_rows, "{callbacks}");
        let lag = &Run::read(&folder.path(&out)).summary["metrics"]["callback_lag"];
        assert_eq!(lag["p99"].is_f64(), has_rows, "{lag}");
        // A work whose end both told is one end that was stamped.
        let sojourn = &Run::read(&folder.path(&out)).summary["sojourn_time"];
        assert_eq!(sojourn["method"], "timestamps", "{sojourn}");
        let attempts = callbacks["attempts"].as_array().unwrap();
        assert_eq!(!attempts.is_empty(), has_rows, "{callbacks}");
        assert_eq!(callbacks["receiver"].is_object(), way.is_empty());
    }
}

#[test]
fn the_built_in_service_calls_nobody_in_mode_poll_whatever_a_submit_says() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", elsewhere.local_addr().unwrap());
    let body = format!("[submit]\nbody = '{{\"callback_url\": \"{url}\"}}'\n");
    let folder = Folder::new(&format!("{}{BUILT_IN}{body}", head("simulator")));
    let mut command = folder.command(&["run", "scenario.toml", "--out", "out"]);
    command.env(KEY_NAME, KEY).args(["--truth", "truth.csv"]);
    said(&mut command).check(0, &[]);
    let truth = fs::read_to_string(folder.path("truth.csv")).unwrap();
    assert!(truth.lines().count() > 50, "{truth}");
    assert!(
        truth.lines().skip(1).all(|line| line.ends_with(',')),
        "{truth}"
    );
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "the service called");
}
