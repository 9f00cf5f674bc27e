//! The families that tell the end by a word, an item or a missing key.

use super::{check_intake, check_poll, ready};
use crate::wire::shapes;

#[test]
fn google_aip_151() {
    let profile = shapes::aip_151();
    let done = r#"{"name":"operations/7","done":true,"response":{},"metadata":{"endTime":"2023-11-14T22:13:20.5Z"}}"#;
    let failed = r#"{"name":"operations/7","done":true,"error":{"code":3}}"#;
    check_intake(
        &profile,
        &[
            (
                200,
                "",
                r#"{"name":"operations/7","done":false}"#,
                "accepted operations/7",
            ),
            (
                200,
                "",
                r#"{"name":"operations/7"}"#,
                "accepted operations/7",
            ),
            (
                200,
                "",
                done,
                "accepted operations/7 at once completed true at 1700000000500000",
            ),
            (200, "", failed, "accepted operations/7 at once failed true"),
            (200, "", r#"{"done":false}"#, "fault body"),
        ],
    );
    check_poll(
        &profile,
        "operations/7",
        &[
            (200, "", r#"{"name":"operations/7"}"#, "open "),
            (200, "", r#"{"done":false}"#, "open false"),
            (200, "", r#"{"done":"true"}"#, "open? true"),
            (200, "", done, "completed true at 1700000000500000"),
            (200, "", failed, "failed true"),
            (200, "", r#"{"done":true,"error":null}"#, "completed true"),
            (200, "", r#"{"done":true,"error":false}"#, "completed true"),
            (200, "", r#"{"done":true,"error":""}"#, "failed true"),
        ],
    );
    let url = ready(&profile).poll_url("operations/7", None);
    assert_eq!(
        url.as_deref(),
        Some("https://api.example.com/base/v1/operations/7")
    );
}

#[test]
fn ogc_processes() {
    let created = "Location: https://api.example.com/jobs/81574318";
    check_intake(
        &shapes::ogc(),
        &[
            (
                201,
                created,
                r#"{"jobID":"81574318","status":"accepted","type":"process"}"#,
                "accepted 81574318 given https://api.example.com/jobs/81574318",
            ),
            (
                200,
                "",
                r#"{"stringOutput":"x"}"#,
                "accepted  at once completed 200",
            ),
            (201, "", r#"{"jobID":"81574318"}"#, "fault body"),
        ],
    );
    check_poll(
        &shapes::ogc(),
        "81574318",
        &[
            (
                200,
                "",
                r#"{"jobID":"81574318","status":"running","progress":40}"#,
                "open running",
            ),
            (
                200,
                "",
                r#"{"status":"successful","finished":"2023-11-14T22:13:20"}"#,
                "completed successful at 1700000000000000",
            ),
            (200, "", r#"{"status":"dismissed"}"#, "failed dismissed"),
            (
                404,
                "",
                r#"{"type":"http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-job"}"#,
                "denied",
            ),
        ],
    );
}

#[test]
fn replicate() {
    let starting = r#"{"id":"gm3q","status":"starting","urls":{"cancel":"x","get":"https://eu.example.com/v1/predictions/gm3q"}}"#;
    check_intake(
        &shapes::replicate(),
        &[
            (
                201,
                "",
                starting,
                "accepted gm3q given https://eu.example.com/v1/predictions/gm3q",
            ),
            (
                200,
                "",
                r#"{"id":"gm3q","status":"succeeded","completed_at":"2023-11-14T22:13:20Z"}"#,
                "accepted gm3q at once completed succeeded at 1700000000000000",
            ),
            (
                201,
                "",
                r#"{"id":"gm3q","status":"starting","urls":{"get":7}}"#,
                "fault body",
            ),
        ],
    );
    check_poll(
        &shapes::replicate(),
        "gm3q",
        &[
            (
                200,
                "",
                r#"{"status":"processing","completed_at":null}"#,
                "open processing",
            ),
            (
                200,
                "",
                r#"{"status":"canceled","completed_at":null}"#,
                "failed canceled",
            ),
        ],
    );
}

#[test]
fn meilisearch_alone_and_in_a_list() {
    let enqueued =
        r#"{"taskUid":1,"indexUid":"movies","status":"enqueued","type":"indexCreation"}"#;
    check_intake(&shapes::meilisearch(), &[(202, "", enqueued, "accepted 1")]);
    let task = r#"{"uid":1,"status":"succeeded","finishedAt":"2023-11-14T22:13:20.000001Z"}"#;
    let end = "completed succeeded at 1700000000000001";
    check_poll(
        &shapes::meilisearch(),
        "1",
        &[
            (
                200,
                "",
                r#"{"uid":1,"status":"enqueued","finishedAt":null}"#,
                "open enqueued",
            ),
            (
                200,
                "",
                r#"{"uid":1,"status":"processing"}"#,
                "open processing",
            ),
            (200, "", task, end),
        ],
    );
    let list = format!(r#"{{"results":[{{"uid":10,"status":"failed"}},{task}],"total":2}}"#);
    check_poll(
        &shapes::collection(),
        "1",
        &[
            (200, "", &list, end),
            (
                200,
                "",
                r#"{"results":[{"uid":"1","status":"failed"}]}"#,
                "failed failed",
            ),
            (
                200,
                "",
                r#"{"results":[{"uid":1.0,"status":"failed"}]}"#,
                "denied",
            ),
            (
                200,
                "",
                r#"{"results":[7,null,{"uid":1,"status":"processing"}]}"#,
                "open processing",
            ),
            (200, "", r#"{"results":[]}"#, "denied"),
            (200, "", r#"{"results":{"uid":1}}"#, "fault body"),
            (200, "", "{}", "fault body"),
            (200, "", "", "fault body"),
            (404, "", "", "denied"),
            (429, "Retry-After: 1", "", "throttled 429 retry 1s"),
        ],
    );
}

#[test]
fn salesforce_bulk() {
    let profile = shapes::salesforce();
    check_intake(
        &profile,
        &[
            (
                200,
                "",
                r#"{"id":"7505f","state":"UploadComplete"}"#,
                "accepted 7505f",
            ),
            (
                200,
                "",
                r#"{"id":"7505f","state":"Aborted"}"#,
                "rejected 200",
            ),
            (200, "", r#"{"id":"7505f"}"#, "rejected 200"),
            (200, "", "", "fault body"),
        ],
    );
    check_poll(
        &profile,
        "7505f",
        &[
            (200, "", r#"{"state":"InProgress"}"#, "open InProgress"),
            (
                200,
                "",
                r#"{"state":"JobComplete"}"#,
                "completed JobComplete",
            ),
            (200, "", r#"{"state":"Aborted"}"#, "failed Aborted"),
        ],
    );
}

#[test]
fn a_key_that_disappears_and_an_id_of_the_client() {
    check_intake(
        &shapes::key_gone(),
        &[(202, "", r#"{"job":{"id":"j1"}}"#, "accepted j1")],
    );
    check_poll(
        &shapes::key_gone(),
        "j1",
        &[
            (200, "", r#"{"progress":40}"#, "open 40"),
            (200, "", r#"{"progress":null}"#, "open null"),
            (200, "", r#"{"result":1}"#, "completed 200"),
            (200, "", r#"{"error":"x"}"#, "failed 200"),
            (200, "", r#""progress""#, "fault body"),
            (200, "", "null", "fault body"),
            (200, "", "", "fault body"),
            (500, "", "{}", "error 500"),
        ],
    );
    let profile = shapes::client_id();
    assert_eq!(
        ready(&profile).submit_url(Some("u-1")),
        "https://api.example.com/base/v1/jobs/u-1"
    );
    check_intake(
        &profile,
        &[
            (201, "", "", "accepted u-1"),
            (204, "", "", "accepted u-1"),
            (409, "", "", "rejected 409"),
        ],
    );
    check_poll(
        &profile,
        "u-1",
        &[
            (200, "", r#"{"state":0}"#, "open 0"),
            (200, "", "{}", "open "),
            (200, "", r#"{"state":2}"#, "completed 2"),
            (200, "", r#"{"state":2.0}"#, "completed 2.0"),
            (200, "", r#"{"state":"2"}"#, "open? 2"),
            (200, "", r#"{"state":3}"#, "failed 3"),
        ],
    );
}
