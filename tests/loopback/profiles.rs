//! API families: each works by configuration alone.

use std::collections::BTreeMap;
use std::thread;

use crate::support::binary::{KEY, head};
use crate::support::host::{Host, Reply, Request, Speech, answer};
use crate::support::run::{Run, run};

/// The works of a service that has a work done at its third poll.
#[derive(Default)]
struct Jobs {
    polls: BTreeMap<String, u32>,
}

impl Jobs {
    fn take(&mut self) -> String {
        let id = (100 + self.polls.len()).to_string();
        self.polls.insert(id.clone(), 0);
        id
    }

    fn is_done(&mut self, id: &str) -> bool {
        let polls = self.polls.get_mut(id).expect("a work that was taken");
        *polls += 1;
        *polls > 2
    }

    fn word<'a>(&mut self, id: &str, open: &'a str, done: &'a str) -> &'a str {
        if self.is_done(id) { done } else { open }
    }
}

/// A family: the scenario's part, and how the service speaks.
#[derive(Clone, Copy)]
struct Family {
    name: &'static str,
    scenario: &'static str,
    /// The header in which the key is, and what stands around it.
    key: (&'static str, &'static str),
    speak: fn(&mut Jobs, &str, &Request) -> Reply,
}

const BEARER: (&str, &str) = ("authorization", "Bearer ");

fn last_segment(target: &str) -> &str {
    let path = target.split('?').next().unwrap();
    path.rsplit('/').next().unwrap()
}

fn check(family: Family) -> (Run, Vec<Request>) {
    let Family {
        name,
        scenario,
        key,
        speak,
    } = family;
    let host = Host::speaking(Speech::default(), |url| {
        let (mut jobs, url) = (Jobs::default(), url.to_owned());
        move |request: &Request| speak(&mut jobs, &url, request)
    });
    let head = head(&host.url());
    let run = run(&format!(
        "{head}{scenario}\n\
         [[load]]\narrivals = \"constant\"\nrate = \"20/s\"\nduration = \"1s\"\n\
         [drain]\nlimit = \"8s\"\n"
    ));
    let (_, log) = host.stop();
    run.check_rows();
    assert_eq!(run.ledger("accepted"), 20, "{name}");
    assert_eq!(run.ledger("completed"), 20, "{name}");
    assert_eq!(run.anomaly("unknown_status"), 0, "{name}");
    let (header, before) = key;
    for request in &log {
        assert_eq!(request.header(header), format!("{before}{KEY}"), "{name}");
        if header != "authorization" {
            assert_eq!(request.header("authorization"), "", "{name}");
        }
    }
    (run, log)
}

const POLL: &str = "[poll]\ninterval = \"100ms\"\n";

/// Families that need nothing more than that every work completes.
const PLAIN: [Family; 8] = [
    Family {
        name: "Location, 202 until 303",
        scenario: "[api.submit]\npath = \"/jobs\"\nid = { header = \"Location\" }\npoll_url = { header = \"Location\" }\n\
                       [api.poll]\nby = \"url\"\n\
                       [api.terminal.status]\ncompleted = [303]\nfailed = [500]\nopen = [202]\n",
        key: BEARER,
        speak: |jobs, _, request| match &*request.target {
            "/jobs" => answer(202, &[("Location", &format!("status/{}", jobs.take()))], ""),
            path if jobs.is_done(last_segment(path)) => {
                answer(303, &[("Location", "/results")], "")
            }
            _ => answer(202, &[], ""),
        },
    },
    Family {
        name: "Location, 202 until 200",
        scenario: "[api.submit]\npath = \"/jobs\"\nid = { header = \"Location\" }\npoll_url = { header = \"Location\" }\n\
                       [api.poll]\nby = \"url\"\n\
                       [api.terminal.status]\ncompleted = [200]\nopen = [202]\n",
        key: BEARER,
        speak: |jobs, _, request| match &*request.target {
            "/jobs" => answer(
                202,
                &[("Location", &format!("/status/{}", jobs.take()))],
                "",
            ),
            path if jobs.is_done(last_segment(path)) => answer(200, &[], "a result, not JSON"),
            _ => answer(202, &[], ""),
        },
    },
    Family {
        name: "AIP-151",
        scenario: "[api.submit]\npath = \"/v1/things:make\"\naccept = [200]\nid = { body = \"/name\" }\n\
                       [api.poll]\npath = \"/v1/{+work_id}\"\n\
                       [api.terminal]\npointer = \"/done\"\ncompleted = [true]\nfailed = []\nopen = [false]\nfailed_if = \"/error\"\n",
        key: BEARER,
        speak: |jobs, _, request| match request.target.strip_prefix("/v1/operations/") {
            None => answer(
                200,
                &[],
                format!(r#"{{"name": "operations/{}"}}"#, jobs.take()),
            ),
            Some(id) if jobs.is_done(id) => {
                answer(200, &[], r#"{"name": "x", "done": true, "response": {}}"#)
            }
            Some(_) => answer(200, &[], r#"{"name": "x", "metadata": {}}"#),
        },
    },
    Family {
        name: "Replicate",
        scenario: "[api.submit]\npath = \"/v1/predictions\"\naccept = [201]\nid = { body = \"/id\" }\npoll_url = { body = \"/urls/get\" }\n\
                       [api.poll]\nby = \"url\"\n\
                       [api.terminal]\ncompleted = [\"succeeded\"]\nfailed = [\"failed\", \"canceled\"]\nopen = [\"starting\", \"processing\"]\n",
        key: BEARER,
        speak: |jobs, url, request| {
            if request.method == "POST" {
                let id = jobs.take();
                let body = format!(
                    r#"{{"id": "{id}", "status": "starting", "urls": {{"get": "{url}/p/{id}"}}}}"#
                );
                return answer(201, &[], body);
            }
            let word = jobs.word(last_segment(&request.target), "processing", "succeeded");
            answer(200, &[], format!(r#"{{"status": "{word}"}}"#))
        },
    },
    Family {
        name: "Meilisearch",
        scenario: "[api.submit]\npath = \"/indexes/films/documents\"\nid = { body = \"/taskUid\" }\n\
                       [api.poll]\npath = \"/tasks/{work_id}\"\n\
                       [api.terminal]\ncompleted = [\"succeeded\"]\nfailed = [\"failed\", \"canceled\"]\nopen = [\"enqueued\", \"processing\"]\nfinished_at = \"/finishedAt\"\n",
        key: BEARER,
        speak: |jobs, _, request| match request.target.strip_prefix("/tasks/") {
            None => answer(
                202,
                &[],
                format!(r#"{{"taskUid": {}, "status": "enqueued"}}"#, jobs.take()),
            ),
            Some(id) => {
                let word = jobs.word(id, "processing", "succeeded");
                answer(
                    200,
                    &[],
                    format!(r#"{{"uid": {id}, "status": "{word}", "finishedAt": null}}"#),
                )
            }
        },
    },
    Family {
        name: "Salesforce",
        scenario: "[api.submit]\npath = \"/services/data/v60.0/jobs/query\"\naccept = [200]\nid = { body = \"/id\" }\n\
                       [api.poll]\npath = \"/services/data/v60.0/jobs/query/{work_id}\"\n\
                       [api.terminal]\npointer = \"/state\"\ncompleted = [\"JobComplete\"]\nfailed = [\"Failed\", \"Aborted\"]\nopen = [\"UploadComplete\", \"InProgress\"]\n",
        key: BEARER,
        speak: |jobs, _, request| {
            let id = match &*request.method.to_string() {
                "POST" => jobs.take(),
                _ => last_segment(&request.target).to_owned(),
            };
            let word = jobs.word(&id, "InProgress", "JobComplete");
            answer(200, &[], format!(r#"{{"id": "{id}", "state": "{word}"}}"#))
        },
    },
    Family {
        name: "a key that disappears",
        scenario: "[api.terminal]\nkey_gone = \"/pending\"\n",
        key: BEARER,
        speak: |jobs, _, request| {
            if request.method == "POST" {
                return answer(202, &[], format!(r#"{{"work_id": "{}"}}"#, jobs.take()));
            }
            if jobs.is_done(last_segment(&request.target)) {
                answer(200, &[], r#"{"result": 7}"#)
            } else {
                answer(200, &[], r#"{"pending": {"position": 3}}"#)
            }
        },
    },
    Family {
        name: "a header of its own for the key",
        scenario: "[api.key]\nheader = \"X-Api-Key\"\nform = \"v1:{key}\"\n",
        key: ("x-api-key", "v1:"),
        speak: intake,
    },
];

/// The default profile.
fn intake(jobs: &mut Jobs, _: &str, request: &Request) -> Reply {
    if request.method == "POST" {
        return answer(202, &[], format!(r#"{{"work_id": "{}"}}"#, jobs.take()));
    }
    let word = jobs.word(last_segment(&request.target), "running", "completed");
    answer(200, &[], format!(r#"{{"status": "{word}"}}"#))
}

#[test]
fn families_work_by_configuration_alone() {
    thread::scope(|scope| {
        for mut family in PLAIN {
            let text = format!("{POLL}{}", family.scenario);
            family.scenario = text.leak();
            scope.spawn(move || {
                let (run, log) = check(family);
                let polls = log.iter().filter(|request| request.method == "GET");
                assert_eq!(run.request("polls"), polls.count() as u64);
                assert!(run.works.iter().all(|work| work.source == "poll"));
            });
        }
    });
}

#[test]
fn azure_says_where_and_when_to_ask() {
    let (run, log) = check(Family {
        name: "Azure",
        scenario: "[api.submit]\npath = \"/analyze?api-version=3\"\nid = { header = \"Operation-Location\" }\npoll_url = { header = \"Operation-Location\" }\n\
                   [api.poll]\nby = \"url\"\n\
                   [api.terminal]\ncompleted = [\"Succeeded\"]\nfailed = [\"Failed\", \"Canceled\"]\nopen = [\"NotStarted\", \"Running\"]\n\
                   [api.key]\nheader = \"Ocp-Apim-Subscription-Key\"\nform = \"{key}\"\n\
                   [poll]\npolicy = \"hinted\"\ninterval = \"100ms\"\n",
        key: ("ocp-apim-subscription-key", ""),
        speak: |jobs, url, request| {
            if request.method == "POST" {
                assert_eq!(request.target, "/analyze?api-version=3");
                let at = format!("{url}/operations/{}?api-version=3", jobs.take());
                return answer(202, &[("Operation-Location", &at)], "");
            }
            assert!(request.target.ends_with("?api-version=3"));
            let word = jobs.word(last_segment(&request.target), "Running", "Succeeded");
            let body = format!(r#"{{"status": "{word}"}}"#);
            answer(200, &[("Retry-After", "1")], body)
        },
    });
    assert!(run.works.iter().all(|work| work.polls == 3));
    let mut asked: BTreeMap<&str, f64> = BTreeMap::new();
    for poll in log.iter().filter(|request| request.method == "GET") {
        if let Some(before) = asked.insert(&poll.target, poll.at) {
            assert!(
                poll.at - before > 0.995,
                "asked again after {} s",
                poll.at - before
            );
        }
    }
}

#[test]
fn ogc_processes_are_asked_to_be_asynchronous() {
    let (_, log) = check(Family {
        name: "OGC Processes",
        scenario: "[api.submit]\npath = \"/processes/buffer/execution\"\naccept = [201]\nid = { body = \"/jobID\" }\n\
                   [api.poll]\npath = \"/jobs/{work_id}\"\n\
                   [api.terminal]\ncompleted = [\"successful\"]\nfailed = [\"failed\", \"dismissed\"]\nopen = [\"accepted\", \"running\"]\n\
                   [submit]\nheaders = { Prefer = \"respond-async\" }\n[poll]\ninterval = \"100ms\"\n",
        key: BEARER,
        speak: |jobs, url, request| {
            if request.method == "POST" {
                let id = jobs.take();
                let at = format!("{url}/jobs/{id}");
                let body =
                    format!(r#"{{"jobID": "{id}", "status": "accepted", "type": "process"}}"#);
                return answer(201, &[("Location", &at)], body);
            }
            let word = jobs.word(last_segment(&request.target), "running", "successful");
            answer(200, &[], format!(r#"{{"status": "{word}"}}"#))
        },
    });
    let mut submits = log.iter().filter(|request| request.method == "POST");
    assert!(submits.all(|submit| submit.header("prefer") == "respond-async"));
}

#[test]
fn a_result_may_come_at_once() {
    let (run, log) = check(Family {
        name: "sync answers",
        scenario: "[api.submit]\nsync = [200]\n[submit]\nheaders = { Prefer = \"respond-async\" }\n[poll]\ninterval = \"100ms\"\n",
        key: BEARER,
        speak: |jobs, url, request| {
            if request.method == "POST" && request.seq().is_multiple_of(2) {
                return answer(200, &[], r#"{"result": "here already"}"#);
            }
            intake(jobs, url, request)
        },
    });
    for work in &run.works {
        let found = (&*work.source, work.http_status, work.polls > 0);
        match work.seq % 2 {
            0 => assert_eq!(found, ("sync", Some(200), false)),
            _ => assert_eq!(found, ("poll", Some(202), true)),
        }
    }
    let polls = log.iter().filter(|request| request.method == "GET");
    assert_eq!(run.request("polls"), polls.count() as u64);
}

#[test]
fn the_client_may_choose_the_id() {
    let (run, log) = check(Family {
        name: "ids that the client chooses",
        scenario: "[api.submit]\nmethod = \"PUT\"\npath = \"/jobs/{work_id}\"\naccept = [201]\nid = \"client\"\n\
                   [api.poll]\npath = \"/jobs/{work_id}\"\n\
                   [submit]\nbody = '{\"seq\": {{seq}}, \"id\": \"{{work_id}}\"}'\n[poll]\ninterval = \"100ms\"\n",
        key: BEARER,
        speak: |jobs, _, request| {
            let id = last_segment(&request.target);
            if request.method == "PUT" {
                assert!(
                    jobs.polls.insert(id.to_owned(), 0).is_none(),
                    "{id} came twice"
                );
                return answer(201, &[], "");
            }
            let word = jobs.word(id, "running", "completed");
            answer(200, &[], format!(r#"{{"status": "{word}"}}"#))
        },
    });
    for put in log.iter().filter(|request| request.method == "PUT") {
        let body: serde_json::Value = serde_json::from_slice(&put.body).unwrap();
        let work = run.works.iter().find(|work| work.seq == put.seq()).unwrap();
        assert_eq!(last_segment(&put.target), work.id);
        assert_eq!(body["id"], *work.id);
    }
}

#[test]
fn works_may_be_found_in_a_collection() {
    let (_, log) = check(Family {
        name: "a collection",
        scenario: "[api.poll.collection]\npath = \"/queue?state=any\"\nitems = \"/items\"\nid = \"/uid\"\n[poll]\ninterval = \"100ms\"\n",
        key: BEARER,
        speak: |jobs, _, request| {
            if request.method == "POST" {
                return answer(202, &[], format!(r#"{{"work_id": "{}"}}"#, jobs.take()));
            }
            assert_eq!(request.target, "/queue?state=any");
            let ids: Vec<String> = jobs.polls.keys().cloned().collect();
            let item = |id: &String| {
                let word = jobs.word(id, "pending", "completed");
                format!(r#"{{"uid": {id}, "status": "{word}"}}"#)
            };
            let items: Vec<String> = ids.iter().map(item).collect();
            answer(200, &[], format!(r#"{{"items": [{}]}}"#, items.join(",")))
        },
    });
    assert!(log.iter().any(|request| request.method == "GET"));
}

#[test]
fn bodies_may_be_forms() {
    let (_, log) = check(Family {
        name: "forms",
        scenario: "[api.submit]\nform = \"form\"\n[submit]\nbody = 'seq={{seq}}&name={{pick a b|c&d=e}}'\n[poll]\ninterval = \"100ms\"\n",
        key: BEARER,
        speak: intake,
    });
    let mut names = std::collections::BTreeSet::new();
    for submit in log.iter().filter(|request| request.method == "POST") {
        assert_eq!(
            submit.header("content-type"),
            "application/x-www-form-urlencoded"
        );
        let fields: Vec<_> = url::form_urlencoded::parse(&submit.body)
            .into_owned()
            .collect();
        assert_eq!(fields.len(), 2);
        names.insert(fields[1].1.clone());
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a b", "c&d=e"]);
}
