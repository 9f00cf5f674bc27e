//! What callbacks say, and what they cannot do.

use super::*;
use crate::scenario::resolve;
use crate::work::{Ending, ServiceTime, WorkId};
use proptest::prelude::*;

/// `[observe.callback]` with these keys, made ready.
fn ready(keys: &str) -> Callbacks {
    let text = format!(
        "name = 'x'\n[target]\nbase_url = 'https://example.com'\n[[load]]\nrate = '1/s'\n\
         duration = '1s'\n[observe]\nmode = 'callback'\n[observe.callback]\n{keys}\n"
    );
    let plan = resolve::read(&text, &[], &|_| Err(String::new())).unwrap();
    Callbacks::new(&plan.observe.callback, None)
}

fn call(rest: &str, query: Option<&str>, body: &[u8], callbacks: &Callbacks) -> CallbackNotice {
    let called = Called { rest, own: None };
    let headers: [(&str, &str); 0] = [];
    let call = Call {
        called: &called,
        query,
        headers: &headers[..],
        body,
    };
    callbacks.read(&call, 0)
}

fn id(text: &str) -> About {
    About::Id(WorkId(text.into()))
}

#[test]
fn a_callback_of_the_contract_says_what_a_poll_would() {
    let callbacks = ready("");
    let check = |body: &str, about: About, said: CallbackSaid| {
        let notice = call("", None, body.as_bytes(), &callbacks);
        assert_eq!(notice.about, about, "{body}");
        assert_eq!(notice.said, said, "{body}");
    };
    let end = |ending, status: &str, body: &str| {
        CallbackSaid::Terminal(Terminal {
            ending,
            status: status.into(),
            finished: None,
            body: body.into(),
        })
    };
    let body = r#"{"work_id":"w1","status":"completed","result":[1]}"#;
    check(body, id("w1"), end(Ending::Completed, "completed", body));
    let body = r#"{"status":"failed","work_id":7}"#;
    check(body, id("7"), end(Ending::Failed, "failed", body));
    let open = |status: &str, known| CallbackSaid::Open {
        status: status.into(),
        known,
    };
    check(
        r#"{"work_id":"w1","status":"running"}"#,
        id("w1"),
        open("running", true),
    );
    check(
        r#"{"work_id":"w1","status":"odd"}"#,
        id("w1"),
        open("odd", false),
    );
    check(r#"{"work_id":"w1"}"#, id("w1"), CallbackSaid::Nothing);
    let nobody = About::Nobody;
    let body = r#"{"status":"completed"}"#;
    check(
        body,
        nobody.clone(),
        end(Ending::Completed, "completed", body),
    );
    for (id, status) in [
        ("\"\"", "1"),
        ("null", "\"\""),
        ("[1]", "\"\""),
        ("\"a\\n\"", "\"\""),
    ] {
        let body = format!(r#"{{"work_id":{id},"status":{status}}}"#);
        let about = call("", None, body.as_bytes(), &callbacks).about;
        assert_eq!(about, nobody, "{body}");
    }
    for other in [
        "",
        "{",
        "<html>",
        "completed",
        "\u{0}",
        r#"{"work_id":"w1","status":"#,
    ] {
        check(other, nobody.clone(), CallbackSaid::Nothing);
    }
}

#[test]
fn a_work_is_found_by_path_and_by_query() {
    let body = br#"{"work_id":"not this","status":"completed"}"#;
    let by_path = ready("find = 'path'");
    let check = |rest: &str, about| assert_eq!(call(rest, None, body, &by_path).about, about);
    check("w1", id("w1"));
    check("w1/", id("w1"));
    check("jobs/a%2Fb", id("a/b"));
    check("", About::Nobody);
    check("..", About::Nobody);
    check("a%00b", About::Nobody);
    let by_query = ready("find = 'query'\nparameter = 'job'");
    let check = |query, about| assert_eq!(call("", query, body, &by_query).about, about);
    check(Some("x=1&job=w+1%2F&job=w2"), id("w 1/"));
    check(Some("work_id=w1"), About::Nobody);
    check(Some("job"), About::Nobody);
    check(None, About::Nobody);
    let own = ready("find = 'url'");
    let called = Called {
        rest: "42-x",
        own: Some(42),
    };
    let headers = [("Webhook-Id", "msg_1")];
    let call = Call {
        called: &called,
        query: None,
        headers: &headers[..],
        body,
    };
    let notice = own.read(&call, 0);
    assert_eq!(notice.about, About::Own { seq: 42 });
    // printf msg_1 | sha256sum
    assert_eq!(notice.delivery, Some(0x116b_88f1_7300_7be5));
    assert!(notice.taken && notice.verified.is_none());
}

#[test]
fn a_form_is_read_like_an_object() {
    let callbacks = ready(
        "form = 'form'\nid = '/job[id]'\n[observe.callback.terminal]\npointer = '/state'\n\
         completed = ['all done']\nfailed = ['no']\nfailed_if = '/error'\nfinished_at = '/at'",
    );
    let check = |body: &str, ending, finished: Option<i64>| {
        let notice = call("", None, body.as_bytes(), &callbacks);
        assert_eq!(notice.about, id("w/1"), "{body}");
        let CallbackSaid::Terminal(terminal) = notice.said else {
            panic!("{notice:?}");
        };
        assert_eq!(terminal.ending, ending, "{body}");
        assert_eq!(&*terminal.body, body);
        assert_eq!(terminal.finished, finished.map(ServiceTime));
    };
    check("job%5Bid%5D=w%2F1&state=all+done", Ending::Completed, None);
    check(
        "job[id]=w/1&state=no&at=1.5",
        Ending::Failed,
        Some(1_500_000),
    );
    check(
        "job[id]=w/1&state=no&state=all+done&error=e",
        Ending::Failed,
        None,
    );
    let nothing = call("", None, br#"{"state":"no"}"#, &callbacks);
    assert_eq!(
        (nothing.about, nothing.said),
        (About::Nobody, CallbackSaid::Nothing)
    );
}

#[test]
fn a_signature_that_does_not_fit_is_told_and_what_is_said_is_kept() {
    let keyring = || {
        let scheme = crate::scenario::SignatureScheme::Github;
        Keyring::new(&scheme, &["secret"], crate::time::Span::ZERO).unwrap()
    };
    let callbacks = Callbacks {
        keyring: Some(keyring()),
        ..ready("")
    };
    let body = br#"{"work_id":"w1","status":"completed"}"#;
    let signed = keyring().sign("", 0, body);
    let check = |headers: &[(String, String)], verified| {
        let called = Called {
            rest: "",
            own: None,
        };
        let call = Call {
            called: &called,
            query: None,
            headers,
            body,
        };
        let notice = callbacks.read(&call, 0);
        assert_eq!(notice.verified, Some(verified));
        assert_eq!(notice.about, id("w1"));
        assert!(matches!(notice.said, CallbackSaid::Terminal(_)));
    };
    check(&signed, true);
    check(&[], false);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "[\\[\\]{}\",:a0 \\\\u]{0,40}".prop_map(String::into_bytes),
            "\\{\"work_id\":.{0,20},\"status\":.{0,20}\\}".prop_map(String::into_bytes),
            "([a-z%+&=\\[\\]0-9]{0,9}&){0,4}".prop_map(String::into_bytes),
        ],
        rest in "\\PC{0,30}|[/%.2eE?#]{0,10}",
        query in prop::option::of("\\PC{0,30}|([a-z_%+&=]{0,9}&){0,3}"),
    ) {
        for keys in ["", "form = 'form'", "find = 'path'", "find = 'query'", "find = 'url'",
            "terminal = { key_gone = '/error' }"] {
            let notice = call(&rest, query.as_deref(), &body, &ready(keys));
            if let About::Id(WorkId(id)) = notice.about {
                prop_assert!(!id.is_empty() && id.len() <= WorkId::MAX_BYTES);
            }
        }
    }
}
