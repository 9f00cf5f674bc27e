//! A checked tree made into a [`Plan`]: what the catalogue cannot say by itself is checked here.

use super::cursor::Cursor;
use super::mistake::{Mistake, Mistakes};
use super::tree::{self, Node};
use super::{
    Base, Judge, Limits, Observe, Plan, Pointer, RateScope, ReportPlan, SimCallback, SimPlan, Slo,
    Target, ValidityLimits, Window,
};
use super::{file, http, observe, profile, requests, size, stages};

/// Gives the bytes of a file whose name stands in a scenario, relative to the scenario's folder, or
/// says why it cannot be read.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// Reads a scenario: its text, `--set` overrides in order, and the files that it names.
pub fn read(text: &str, sets: &[String], read_file: ReadFile<'_>) -> Result<Plan, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(text, sets);
    let root = file::tree(text, sets, &mut mistakes);
    let plan = plan(&root, read_file, &mut mistakes);
    if mistakes.is_empty() {
        Ok(plan)
    } else {
        Err(mistakes.into_sorted())
    }
}

/// The effective scenario as TOML: overrides applied and defaults filled in; secrets stay
/// references and files stay names. It reads back to the same plan.
pub fn resolved_toml(text: &str, sets: &[String]) -> Result<String, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(text, sets);
    let root = file::tree(text, sets, &mut mistakes);
    if mistakes.is_empty() {
        let body = root.table().map(tree::to_toml).unwrap_or_default();
        Ok(format!(
            "# The effective scenario: overrides applied, defaults filled in.\n{body}"
        ))
    } else {
        Err(mistakes.into_sorted())
    }
}

/// The plan of a run that was, from the scenario of its directory: enough to judge and name the
/// run. It was checked when the run began, and the files that it names need not be there any more,
/// so they are not read; a plan without them cannot be run.
pub fn recall(text: &str) -> Result<Plan, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(text, &[]);
    let root = file::tree(text, &[], &mut mistakes);
    if !mistakes.is_empty() {
        return Err(mistakes.into_sorted());
    }
    let unread = |_: &str| Err("not read".to_owned());
    Ok(plan(&root, &unread, &mut mistakes))
}

fn plan(root: &Node, read: ReadFile<'_>, mistakes: &mut Mistakes<'_>) -> Plan {
    let top = Cursor::top(root);
    name(&top.at("name"), mistakes);
    let seed = top.integer("seed");
    let api = profile::profile(&top.at("api"), mistakes);
    let load = stages::stages(&top, read, mistakes);
    let submit = requests::submit(&top, seed, &api, &load, read, mistakes);
    let poll = requests::poll(&top.at("poll"), &api, read, mistakes);
    let limits = top.maybe("limits").map(|at| limits(&at, mistakes));
    let observe = observe::observe(&top.at("observe"), (&api, &poll), read, mistakes);
    let simulator = simulator(&top.at("simulator"), &observe, mistakes);
    let limit = limits.and_then(|limits| limits.bucket);
    let limit = limit.or(simulator.rate_limit);
    Plan {
        name: top.text("name").to_owned(),
        seed,
        target: target(&top.at("target")),
        http: http::http(&top.at("http"), read, mistakes),
        size: (top.maybe("size")).map(|at| size::size(&at, poll.interval, limit)),
        simulator,
        observe,
        load,
        submit,
        poll,
        limits,
        drain_limit: top.span("drain.limit"),
        slo: top.items("slo").iter().filter_map(promise).collect(),
        validity: ValidityLimits {
            schedule_lag_p99: top.span("validity.schedule_lag_p99"),
            cpu_share: top.number("validity.cpu_share"),
        },
        report: ReportPlan {
            works: top.text("report.works") == "all",
            body_bytes: top.size("report.body_bytes"),
            open_body_bytes: top.size("report.open_body_bytes"),
            failures: top.integer("report.failures"),
        },
        api,
    }
}

/// The name becomes part of a directory's name.
fn name(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) {
    let Some(text) = at.own_text() else {
        return;
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    if text.starts_with('.') || text.len() > 100 || !text.chars().all(plain) {
        let expected = "letters, digits, `-`, `_`, `.` and spaces, at most 100 bytes";
        let hint = Some("it becomes part of a directory's name".to_owned());
        mistakes.add(at.path(), at.place(), format!("\"{text}\""), expected, hint);
    }
}

fn target(at: &Cursor<'_>) -> Target {
    Target {
        base: match at.text("base_url") {
            "simulator" => Base::Simulator,
            url => Base::Url(url.trim_end_matches('/').to_owned()),
        },
        intake_id: at.text("intake_id").to_owned(),
        api_key: at.secret("api_key"),
        trusted_origins: at
            .texts("trusted_origins")
            .iter()
            .map(|origin| origin.trim_end_matches('/').to_owned())
            .collect(),
        max_rate: at.rate("max_rate"),
    }
}

fn simulator(at: &Cursor<'_>, observe: &Observe, mistakes: &mut Mistakes<'_>) -> SimPlan {
    let windows = |key: &str| -> Vec<Window> {
        let window = |item: &Cursor<'_>| Window {
            at: item.span("at"),
            length: item.span("for"),
        };
        at.items(key).iter().map(window).collect()
    };
    SimPlan {
        workers: at.count("workers"),
        service_time: at.law("service_time"),
        failed_service_time: at
            .maybe("failed_service_time")
            .map(|_| at.law("failed_service_time")),
        fail_ratio: at.number("fail_ratio"),
        accept_delay: at.law("accept_delay"),
        poll_delay: at.law("poll_delay"),
        network_delay: at.law("network_delay"),
        finished_at: at.maybe("finished_at").map(|_| at.span("finished_at")),
        rate_limit: at.bucket("rate_limit", "rate_burst"),
        rate_scope: match at.text("rate_scope") {
            "submit" => RateScope::Submit,
            "poll" => RateScope::Poll,
            _ => RateScope::Both,
        },
        api_key: at.secret("api_key"),
        intake_id: at.text("intake_id").to_owned(),
        visible_after: at.span("visible_after"),
        retry_after_s: at.count("retry_after"),
        stalls: windows("stalls"),
        refusals: windows("refusals"),
        error_ratio: at.number("error_ratio"),
        reset_before_ratio: at.number("reset_before_ratio"),
        reset_after_ratio: at.number("reset_after_ratio"),
        lose_ratio: at.number("lose_ratio"),
        endless_ratio: at.number("endless_ratio"),
        repeat_id_ratio: at.number("repeat_id_ratio"),
        revert_ratio: at.number("revert_ratio"),
        garbage_ratio: at.number("garbage_ratio"),
        callback: sim_callback(&at.at("callback"), observe, mistakes),
    }
}

fn sim_callback(at: &Cursor<'_>, observe: &Observe, mistakes: &mut Mistakes<'_>) -> SimCallback {
    SimCallback {
        url: at.at("url").own_text().map(str::to_owned),
        field: at.pointer("field").unwrap_or(Pointer(String::new())),
        header: at.text("header").to_owned(),
        delay: at.law("delay"),
        duplicate_ratio: at.number("duplicate_ratio"),
        drop_ratio: at.number("drop_ratio"),
        reorder_ratio: at.number("reorder_ratio"),
        reorder_delay: at.law("reorder_delay"),
        retries: at.spans("retries"),
        timeout: at.span("timeout"),
        concurrency: at.count("concurrency"),
        signature: observe::signature(at, mistakes),
        calls: observe.mode.hears_callbacks(),
        find: observe.callback.find.clone(),
    }
}

fn limits(at: &Cursor<'_>, mistakes: &mut Mistakes<'_>) -> Limits {
    let limits = Limits {
        bucket: at.bucket("rate", "burst"),
        learn: at.truth("learn"),
    };
    if limits.bucket.is_none() && !limits.learn {
        let expected = "a rate, or learn = true";
        mistakes.add(
            at.path(),
            at.place(),
            "limits that limit nothing",
            expected,
            None,
        );
    }
    limits
}

fn promise(at: &Cursor<'_>) -> Option<Slo> {
    let judge = match at.text("judge") {
        "point" => Judge::Point,
        _ => Judge::Bounds,
    };
    Slo::parse(at.text("that"), judge).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::mistake::picture;
    use crate::scenario::{
        Arrivals, IdSource, PollPolicy, PollShape, Shape, SyncAnswer, TerminalRule, UrlSource,
    };
    use crate::time::Span;

    const GOOD: &str = "name = 'x'\n[target]\nbase_url = 'https://host/api/'\n[[load]]\n\
                        rate = '1/s'\nduration = '10s'\n";

    fn files(name: &str) -> Result<Vec<u8>, String> {
        match name {
            "log.csv" => Ok(b"at\n10\n11\n13\n".to_vec()),
            "rows.csv" => Ok(b"name,n\na,1\nb,2\n".to_vec()),
            "run/sojourn_time.csv" => Ok(b"t_s,completed,failed\n1,0,0\n9,0.8,0.1\n".to_vec()),
            "empty/sojourn_time.csv" => Ok(b"t_s,completed,failed\n".to_vec()),
            "ca.pem" => Ok(b"-----BEGIN CERTIFICATE-----\n".to_vec()),
            _ => Err("no such file".to_owned()),
        }
    }

    fn plan(text: &str) -> Plan {
        read(text, &[], &files)
            .unwrap_or_else(|mistakes| panic!("{}", picture("x", text, &mistakes, false)))
    }

    #[test]
    fn a_short_scenario_has_every_default() {
        let plan = plan(GOOD);
        assert_eq!(plan.target.base, Base::Url("https://host/api".to_owned()));
        assert_eq!((plan.seed, plan.submit.retries), (1, 0));
        assert_eq!(plan.poll.interval, Span::from_secs(1));
        assert_eq!(plan.poll.give_up_after, Span::from_secs(120));
        assert_eq!(plan.api.submit.accept, [202]);
        assert_eq!(plan.api.submit.sync, SyncAnswer::Never);
        let path = "/v1/intake/{intake_id}/work/{work_id}".to_owned();
        assert_eq!(plan.api.poll, PollShape::Path(path));
        assert!(matches!(plan.api.terminal, TerminalRule::Word { .. }));
        assert_eq!(plan.report.body_bytes, 16_384);
        assert!(plan.limits.is_none() && plan.poll.budget.is_none());
    }

    /// Every alternative that the defaults leave out.
    const RICH: &str = r#"
name = "rich"
seed = 9
[target]
base_url = "simulator"
api_key = "file:key.txt"
trusted_origins = ["https://other.example.com"]
max_rate = "100/s"
[http]
ca = "ca.pem"
max_body = 4096
[simulator]
service_time = "mix(0.9 exp(2s), 0.1 exp(60s))"
rate_limit = "50/s"
stalls = [{ at = "5s", for = "2s" }]
[[load]]
rate = { from = "1/s", to = "0/s" }
duration = "10s"
[[load]]
arrivals = "replay"
file = "log.csv"
column = "at"
time_scale = 0.5
[submit]
body = '{"id": "{{work_id}}", "n": {{corpus.n}}, "name": "{{corpus.name}}"}'
headers = { X-Trace = "{{uuid}}" }
corpus = { file = "rows.csv" }
on_429 = "retry"
[poll]
policy = "exponential"
budget = "20/s"
headers = { Accept = "application/json" }
[limits]
learn = true
[[slo]]
that = "time_to_terminal.p99.9 < 1m"
judge = "point"
[api.submit]
id = "client"
sync = [200, 201]
accept_if = { pointer = "/ok", equals = true }
poll_url = { header = "Location" }
[api.poll]
by = "url"
[api.terminal]
failed_if = "/error"
status = { completed = [200], open = [202], overrule = { header = "X-State", completed = ["done"] } }
"#;

    #[test]
    fn every_alternative_is_read() {
        let plan = plan(RICH);
        let Arrivals::Replay(offsets) = &plan.load[1].arrivals else {
            panic!("no replay");
        };
        let expected = [0, 500, 1_500].map(Span::from_millis);
        assert_eq!(**offsets, expected);
        assert_eq!(plan.load[1].duration, Span(1_510_000_000));
        assert!(matches!(
            plan.load[0].arrivals,
            Arrivals::Poisson(Shape::Ramp(..))
        ));
        assert_eq!(plan.api.poll, PollShape::Url);
        assert_eq!(
            plan.api.submit.poll_url,
            Some(UrlSource::Header("Location".to_owned()))
        );
        assert_eq!(plan.api.submit.sync, SyncAnswer::Status(vec![200, 201]));
        assert_eq!(plan.api.submit.id, IdSource::Client);
        assert_eq!(plan.submit.retries, 3);
        assert_eq!(plan.poll.budget.unwrap().burst, 2);
        assert_eq!(plan.simulator.rate_limit.unwrap().burst, 5);
        assert_eq!(plan.simulator.stalls.len(), 1);
        assert!(plan.http.ca.is_some());
        assert_eq!(plan.slo[0].judge, Judge::Point);
        assert!(matches!(
            plan.api.terminal,
            TerminalRule::Status {
                overrule: Some(_),
                ..
            }
        ));
    }

    #[test]
    fn optimal_polls_begin_with_what_an_earlier_run_saw() {
        let more = "[poll]\npolicy = 'optimal'\nlike = 'run'\n";
        let poll = plan(&format!("{GOOD}{more}")).poll;
        let longest = Span::from_secs(60);
        assert_eq!(poll.policy, PollPolicy::Optimal { longest });
        let like = poll.like.unwrap();
        assert_eq!((like.len(), like[1].seconds), (2, 9.0));
    }

    #[test]
    fn the_effective_scenario_reads_back_to_the_same_plan() {
        for text in [GOOD, RICH] {
            let sets = ["load.0.rate=3/s".to_owned(), "poll.first=now".to_owned()];
            let first = read(text, &sets, &files).unwrap();
            let toml = resolved_toml(text, &sets).unwrap();
            let again = plan(&toml);
            assert_eq!(format!("{first:?}"), format!("{again:?}"));
            assert_eq!(resolved_toml(&toml, &[]).unwrap(), toml);
        }
    }

    /// What is added to a good scenario, the key that is blamed, and a word of the picture.
    const MISFITS: &[(&str, &str, &str)] = &[
        (
            "[[load]]\nrate = '1/s'",
            "load[1].duration",
            "found nothing",
        ),
        (
            "[[load]]\narrivals = 'replay'",
            "load[1].file",
            "found nothing",
        ),
        (
            "[[load]]\narrivals = 'replay'\nfile = 'no.csv'",
            "load[1].file",
            "no such file",
        ),
        ("file = 'log.csv'", "load[0].file", "without effect"),
        (
            "[submit]\nbody = '[{{seq}}]'",
            "submit.body",
            "a JSON object",
        ),
        (
            "[submit]\nbody = '{\"a\": {{uuid}}}'",
            "submit.body",
            "quote placeholders",
        ),
        (
            "[submit]\nbody = '{\"a\": \"{{work_id}}\"}'",
            "submit",
            "id = \"client\"",
        ),
        (
            "[submit]\nbody = '{\"a\": {{corpus.n}}}'",
            "submit.body",
            "without a corpus",
        ),
        (
            "[submit]\ncorpus = { file = 'rows.csv', order = 'once' }",
            "submit.corpus.order",
            "29 rows",
        ),
        (
            "[submit]\nheaders = { authorization = 'Bearer xyz' }",
            "submit.headers",
            "target.api_key",
        ),
        ("[api.submit]\nid = 'client'", "submit.body", "never told"),
        (
            "[api.submit]\nid = { body = '/a', header = 'b' }",
            "api.submit.id",
            "body and header",
        ),
        (
            "[api.submit]\npath = '/x/{work_id}'",
            "api.submit.path",
            "does not choose",
        ),
        ("[api.poll]\nby = 'url'", "api.poll.by", "poll_url"),
        (
            "[api.poll]\npath = '/x'",
            "api.poll.path",
            "holds {work_id}",
        ),
        (
            "[api.terminal]\nkey_gone = '/x'\npointer = '/y'",
            "api.terminal",
            "pointer and key_gone",
        ),
        (
            "[api.terminal]\nopen = ['failed']",
            "api.terminal.open[0]",
            "failed too",
        ),
        ("[api.key]\nform = 'Bearer'", "api.key.form", "{key}"),
        (
            "[poll]\npolicy = 'exponential'\ncap = '10ms'",
            "poll.cap",
            "at least the interval",
        ),
        (
            "[poll]\npolicy = 'optimal'\nlongest = '10ms'",
            "poll.longest",
            "at least the interval",
        ),
        (
            "[poll]\npolicy = 'optimal'\nfirst = 'now'",
            "poll.first",
            "no effect",
        ),
        (
            "[poll]\npolicy = 'optimal'\nfrom = 'answer'",
            "poll.from",
            "no effect",
        ),
        ("[poll]\nlike = 'run'", "poll.like", "not optimal"),
        (
            "[poll]\npolicy = 'optimal'\nlike = 'gone'",
            "poll.like",
            "gone/sojourn_time.csv`: no such file",
        ),
        (
            "[poll]\npolicy = 'optimal'\nlike = 'empty'",
            "poll.like",
            "expected a curve",
        ),
        (
            "[submit]\nheaders = { Content-Length = '5' }",
            "submit.headers",
            "the client writes itself",
        ),
        ("[limits]\nlearn = false", "limits", "limit nothing"),
        ("[http]\nca = 'log.csv'", "http.ca", "no certificate in it"),
        (
            "[http]\nlane = 'direct'\nversion = 'auto'",
            "http.lane",
            "without a proxy",
        ),
    ];

    #[test]
    fn parts_that_do_not_go_together_are_told() {
        for (more, path, word) in MISFITS {
            let text = format!("{GOOD}{more}\n");
            let list = read(&text, &[], &files).expect_err(more);
            let drawn = picture("x", &text, &list, false);
            assert_eq!(list.len(), 1, "{drawn}");
            assert_eq!(list[0].path, *path, "{drawn}");
            assert!(drawn.contains(word), "{drawn}");
        }
    }

    #[test]
    fn a_load_without_arrivals_is_refused() {
        let text = GOOD.replace("1/s", "0/s");
        let list = read(&text, &[], &files).unwrap_err();
        assert_eq!((list.len(), list[0].path.as_str()), (1, "load"), "{list:?}");
        let pause = format!("{text}[[load]]\nrate = '1/s'\nduration = '1s'\n");
        assert_eq!(plan(&pause).load.len(), 2);
    }

    #[test]
    fn a_load_of_centuries_is_refused() {
        let stage = "[[load]]\nrate = '1/h'\nduration = '3000d'\n";
        let list = read(&format!("{GOOD}{stage}{stage}"), &[], &files).unwrap_err();
        assert_eq!((list.len(), list[0].path.as_str()), (1, "load"), "{list:?}");
    }

    proptest::proptest! {
        /// Whatever is typed, there is a plan or a list of mistakes that can be drawn.
        #[test]
        fn any_edit_of_a_scenario_is_a_plan_or_mistakes(
            from in 0_usize..2_000,
            length in 0_usize..40,
            typed in "[a-z0-9\"'=.\\[\\]{}\n é/#,-]{0,12}",
            set in "[a-z]{2,6}(\\.[a-z0-9]{1,6}){0,2}=[a-z0-9\"{}\\[\\] /]{0,8}",
        ) {
            let chars: Vec<char> = RICH.chars().collect();
            let from = from.min(chars.len());
            let to = (from + length).min(chars.len());
            let mut text: String = chars[..from].iter().collect();
            text.push_str(&typed);
            text.extend(&chars[to..]);
            if let Err(mistakes) = read(&text, &[set], &files) {
                proptest::prop_assert!(!mistakes.is_empty());
                for coloured in [false, true] {
                    let drawn = picture("x.toml", &text, &mistakes, coloured);
                    proptest::prop_assert!(drawn.contains("expected"));
                }
            }
        }

        /// A key that was written into the file is in no picture, whatever else is wrong.
        #[test]
        fn a_literal_key_is_never_shown(from in 0_usize..400, typed in "[a-z\"'=\\[\n ]{0,6}") {
            let head = "target = { api_key = 'user.S3CRETKEY', base_url = 'https://me:S3CRETKEY@h' }\n";
            let tail = "name = 'x'\n[submit]\nheaders = { Authorization = 'Bearer S3CRETKEY' }\n";
            let mut text = format!("{head}{tail}");
            text.insert_str((head.len() + from % 20).min(text.len()), &typed);
            let set = "simulator.api_key=S3CRETKEY".to_owned();
            let mistakes = read(&text, &[set], &files).unwrap_err();
            let said = format!("{}{mistakes:?}", picture("x.toml", &text, &mistakes, false));
            proptest::prop_assert!(!said.contains("S3CRETKEY"), "{}", said);
        }
    }
}
