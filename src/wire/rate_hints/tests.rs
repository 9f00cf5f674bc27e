use super::*;
use crate::work::Family as F;
use proptest::prelude::*;

/// The example of RFC 9110, section 5.6.7: second 784111777 of the epoch.
const DATE: (&str, &str) = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT");

const LONGEST: Span = Span::from_secs(3_600);

fn read(form: ResetForm, headers: &[(&str, &str)]) -> RateHint {
    Reader::new(form, LONGEST).read(headers)
}

#[test]
fn retry_after_in_all_forms() {
    let check = |headers: &[(&str, &str)], millis: Option<u64>, clamps: u32| {
        let hint = read(ResetForm::Guess, headers);
        assert_eq!(
            hint.retry_after,
            millis.map(Span::from_millis),
            "{headers:?}"
        );
        assert_eq!((hint.clamps, hint.family), (clamps, None), "{headers:?}");
    };
    check(&[], None, 0);
    check(&[DATE], None, 0);
    check(&[("Retry-After", "120")], Some(120_000), 0);
    check(&[("retry-after", " 0 ")], Some(0), 0);
    check(&[("Retry-After", "99999")], Some(3_600_000), 1);
    check(
        &[("Retry-After", "99999999999999999999999999")],
        Some(3_600_000),
        1,
    );
    for malformed in [
        "-1", "1.5", "1e3", "", "soon", "1, 2", "+5", "5s", "\u{661}",
    ] {
        check(&[("Retry-After", malformed)], None, 0);
    }
    check(&[("Retry-After", "5"), ("Retry-After", "5")], None, 0);
    for date in [
        "Sun, 06 Nov 1994 08:50:07 GMT",
        "Sunday, 06-Nov-94 08:50:07 GMT",
        "Sun Nov  6 08:50:07 1994",
    ] {
        check(&[DATE, ("Retry-After", date)], Some(30_000), 0);
        check(&[("Retry-After", date)], None, 0);
        check(&[("Date", "now"), ("Retry-After", date)], None, 0);
    }
    check(
        &[DATE, ("Retry-After", "Sun, 06 Nov 1994 08:00:00 GMT")],
        Some(0),
        0,
    );
    check(
        &[DATE, ("Retry-After", "Mon, 07 Nov 1994 08:00:00 GMT")],
        Some(3_600_000),
        1,
    );
    check(
        &[("retry-after-ms", "250"), ("Retry-After", "1")],
        Some(250),
        0,
    );
    check(
        &[("retry-after-ms", "250"), ("x-ms-retry-after-ms", "250")],
        Some(250),
        0,
    );
    check(&[("x-ms-retry-after-ms", "12.0")], Some(12), 0);
    check(
        &[("retry-after-ms", "?"), ("Retry-After", "1")],
        Some(1_000),
        0,
    );
}

/// Second 1700000000 of the epoch.
const TODAY: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// A row: family, remaining with its reset in milliseconds, quota with its window in seconds, and
/// the header lines.
type Row = (
    Option<F>,
    Option<(u64, u64)>,
    Option<(u64, u64)>,
    &'static str,
);

fn check(form: ResetForm, (family, remaining, policy, headers): Row) {
    let lines = headers
        .split(" | ")
        .map(|line| line.split_once(": ").unwrap());
    let headers: Vec<_> = lines.chain([("Date", TODAY)]).collect();
    let hint = read(form, &headers);
    let remaining = remaining.map(|(requests, millis)| Remaining {
        requests,
        reset: Span::from_millis(millis),
    });
    let policy = policy.map(|(quota, window)| Policy {
        quota,
        window: Span::from_secs(window),
    });
    assert_eq!(hint.family, family, "{headers:?}");
    assert_eq!(hint.remaining, remaining, "{headers:?}");
    assert_eq!(hint.policy, policy, "{headers:?}");
}

const L: Option<F> = Some(F::IetfList);
const LISTS: &[Row] = &[
    (
        L,
        Some((50, 30_000)),
        None,
        r#"RateLimit: "default";r=50;t=30"#,
    ),
    (
        L,
        None,
        Some((100, 60)),
        r#"RateLimit-Policy: "burst";q=100;w=60"#,
    ),
    (
        L,
        Some((1, 30_000)),
        Some((1_000, 86_400)),
        r#"RateLimit-Policy: "burst";q=100;w=60,"daily";q=1000;w=86400 | RateLimit: "burst";r=1;t=30"#,
    ),
    (
        L,
        Some((7, 60_000)),
        Some((100, 60)),
        r#"RateLimit: "burst";r=7 | RateLimit-Policy: "burst";q=100;w=60"#,
    ),
    (L, None, None, r#"RateLimit: "burst";r=7"#),
    (
        L,
        Some((0, 9_000)),
        None,
        r#"RateLimit: "a";r=0;t=5, "b";r=0;t=9, "c";r=9;t=0"#,
    ),
    (
        L,
        Some((2, 10_000)),
        None,
        r#"RateLimit: "a";r=2;t=10 | RateLimit: "b";r=100;t=60"#,
    ),
    (
        L,
        Some((5, 1_000)),
        None,
        r#"ratelimit: "a";r=5;t=1;pk=:cHVibGlj:;new=?1"#,
    ),
    (
        L,
        Some((9, 9_000)),
        Some((10, 10)),
        r#"RateLimit-Policy: "n";q=10;w=10;qu="requests", "b";q=1;w=9;qu="content-bytes" | RateLimit: "n";r=9;t=9, "b";r=0;t=900"#,
    ),
    (
        L,
        None,
        None,
        r#"RateLimit-Policy: "c";q=4;qu="concurrent-requests""#,
    ),
    (L, None, None, r#"RateLimit-Policy: "c";q=4"#),
    (
        L,
        Some((3, 1_000)),
        None,
        r#"RateLimit-Policy: broken;; | RateLimit: "a";r=3;t=1"#,
    ),
    (
        L,
        None,
        Some((5, 1)),
        r#"RateLimit-Policy: "a";q=5;w=1 | RateLimit: "a";r=x"#,
    ),
    (None, None, None, r#"RateLimit: "a";r=-1;t=1"#),
    (None, None, None, r#"RateLimit: "a";r=1.5;t=1"#),
    (None, None, None, r#"RateLimit: "a";t=1"#),
    (None, None, None, r#"RateLimit: "a";r=1;t=1, b;r=2;t=1"#),
    (None, None, None, r#"RateLimit: ("a" "b");r=1;t=1"#),
    (None, None, None, r#"RateLimit: "a;r=1"#),
    (None, None, None, "RateLimit: "),
    (None, None, None, r#"RateLimit-Policy: "a";q=1;w=0"#),
    (
        None,
        None,
        None,
        r#"RateLimit-Policy: "a";q=1;w=9;qu=requests"#,
    ),
];

#[test]
fn ietf_lists() {
    for row in LISTS {
        check(ResetForm::Guess, *row);
    }
}

const D: Option<F> = Some(F::IetfDictionary);
const T: Option<F> = Some(F::IetfFields);
const OLDER: &[Row] = &[
    (
        D,
        Some((50, 30_000)),
        None,
        "RateLimit: limit=100, remaining=50, reset=30",
    ),
    (
        D,
        Some((50, 30_000)),
        Some((100, 60)),
        "RateLimit: limit=100, remaining=50, reset=30 | RateLimit-Policy: 100;w=60",
    ),
    (
        D,
        Some((0, 7_000)),
        Some((5_000, 86_400)),
        r#"RateLimit: limit=10,remaining=0 | RateLimit: reset=7 | RateLimit-Policy: 10;w=1, 5000;w=86400;comment="day""#,
    ),
    (
        None,
        None,
        None,
        "RateLimit: limit=100, remaining=50.5, reset=30",
    ),
    (
        None,
        None,
        None,
        "RateLimit: limit=x, remaining=50, reset=30",
    ),
    (None, None, None, "RateLimit: remaining=50"),
    (
        T,
        Some((50, 30_000)),
        Some((100, 60)),
        "RateLimit-Limit: 100, 100;w=60 | RateLimit-Remaining: 50 | RateLimit-Reset: 30",
    ),
    (
        T,
        Some((50, 30_000)),
        None,
        "RateLimit-Limit: 100 | RateLimit-Remaining: 50 | RateLimit-Reset: 30",
    ),
    (
        T,
        Some((9, 1_000)),
        Some((50, 60)),
        "RateLimit-Limit: 10, 10;window=1, 50;window=60 | RateLimit-Remaining: 9 | RateLimit-Reset: 1",
    ),
    (
        T,
        Some((9, 60_000)),
        Some((10, 60)),
        "RateLimit-Policy: 10;w=60 | RateLimit-Remaining: 9",
    ),
    (T, None, None, "RateLimit-Remaining: 9"),
    (
        T,
        Some((9, 1_000)),
        None,
        "RateLimit-Limit: ten | RateLimit-Remaining: 9 | RateLimit-Reset: 1",
    ),
    (
        None,
        None,
        None,
        "RateLimit-Remaining: 9 | RateLimit-Remaining: 8 | RateLimit-Reset: 1",
    ),
];

#[test]
fn older_ietf_forms() {
    for row in OLDER {
        check(ResetForm::Guess, *row);
    }
}

const VENDOR_ROWS: &[Row] = &[
    // GitHub
    (
        Some(F::VendorEpoch),
        Some((1, 0)),
        None,
        "X-RateLimit-Remaining: 1 | X-RateLimit-Reset: 1699999999",
    ),
    (
        Some(F::VendorEpochMillis),
        Some((1, 250)),
        None,
        "X-RateLimit-Remaining: 1 | X-RateLimit-Reset: 1700000000250",
    ),
    // Reddit
    (
        Some(F::VendorDelta),
        Some((599, 180_000)),
        None,
        "x-ratelimit-used: 1 | x-ratelimit-remaining: 599.0 | x-ratelimit-reset: 180",
    ),
    // Envoy
    (
        Some(F::VendorDelta),
        Some((9, 1_000)),
        Some((1_000, 3_600)),
        r#"x-ratelimit-limit: 10, 10;w=1;name="per-ip", 1000;w=3600 | x-ratelimit-remaining: 9 | x-ratelimit-reset: 1"#,
    ),
    // Discord
    (
        Some(F::VendorDelta),
        Some((0, 1_250)),
        None,
        "X-RateLimit-Limit: 5 | X-RateLimit-Remaining: 0 | X-RateLimit-Reset: 1470173023.123 | X-RateLimit-Reset-After: 1.25 | X-RateLimit-Bucket: abcd",
    ),
    (
        Some(F::VendorDelta),
        Some((0, 2_000)),
        None,
        "X-RateLimit-Remaining: 0 | X-RateLimit-Reset: 2 | X-RateLimit-Reset-After: ?",
    ),
    // OpenAI
    (
        Some(F::VendorDuration),
        Some((59, 1_000)),
        None,
        "x-ratelimit-limit-requests: 60 | x-ratelimit-remaining-requests: 59 | x-ratelimit-reset-requests: 1s | x-ratelimit-limit-tokens: 150000 | x-ratelimit-remaining-tokens: 0 | x-ratelimit-reset-tokens: 6m0s",
    ),
    (
        Some(F::VendorDuration),
        Some((0, 360_000)),
        None,
        "x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 6m0s",
    ),
    (
        Some(F::VendorDuration),
        Some((0, 20)),
        None,
        "x-ratelimit-remaining-requests: 0 | x-ratelimit-reset-requests: 20ms",
    ),
    // X
    (
        Some(F::VendorEpoch),
        Some((14, 0)),
        None,
        "x-rate-limit-limit: 15 | x-rate-limit-remaining: 14 | x-rate-limit-reset: 1699999999",
    ),
    // Dates
    (
        Some(F::VendorDate),
        Some((3, 23_000)),
        None,
        "X-RateLimit-Remaining: 3 | X-RateLimit-Reset: 2023-11-14T22:13:43Z",
    ),
    (
        Some(F::VendorDate),
        Some((3, 0)),
        None,
        "X-RateLimit-Remaining: 3 | X-RateLimit-Reset: Mon, 13 Nov 2023 08:50:00 GMT",
    ),
    (
        Some(F::Vendor),
        None,
        None,
        "X-RateLimit-Limit: 60 | X-RateLimit-Remaining: 59",
    ),
    (
        Some(F::Vendor),
        None,
        None,
        "X-RateLimit-Remaining: 59 | X-RateLimit-Reset: never",
    ),
    (
        None,
        None,
        None,
        "X-RateLimit-Remaining: -1 | X-RateLimit-Reset: 1",
    ),
    (None, None, None, "X-RateLimit-Reset: 1"),
];

#[test]
fn vendors() {
    for row in VENDOR_ROWS {
        check(ResetForm::Guess, *row);
    }
    // The newest family that is there decides.
    check(
        ResetForm::Guess,
        (
            Some(F::IetfList),
            Some((1, 1_000)),
            None,
            r#"X-RateLimit-Remaining: 9 | X-RateLimit-Reset: 9 | RateLimit: "a";r=1;t=1"#,
        ),
    );
    check(
        ResetForm::Delta,
        (
            Some(F::VendorDelta),
            Some((1, 3_600_000)),
            None,
            "X-RateLimit-Remaining: 1 | X-RateLimit-Reset: 1699999999",
        ),
    );
    check(
        ResetForm::Epoch,
        (
            Some(F::VendorEpoch),
            Some((1, 0)),
            None,
            "X-RateLimit-Remaining: 1 | X-RateLimit-Reset: 30",
        ),
    );
    check(
        ResetForm::Epoch,
        (
            Some(F::VendorEpoch),
            Some((1, 30_000)),
            None,
            "X-RateLimit-Remaining: 1 | X-RateLimit-Reset: 1700000030",
        ),
    );
}

#[test]
fn instants_need_the_date_of_the_answer() {
    let github = |reset: &str, date: Option<&str>| {
        let mut headers = vec![("X-RateLimit-Remaining", "7"), ("X-RateLimit-Reset", reset)];
        headers.extend(date.map(|date| ("Date", date)));
        let hint = read(ResetForm::Guess, &headers);
        (
            hint.family,
            hint.remaining.map(|remaining| remaining.reset),
            hint.clamps,
        )
    };
    assert_eq!(
        github("1700000060", Some(TODAY)),
        (Some(F::VendorEpoch), Some(Span::from_secs(60)), 0)
    );
    assert_eq!(
        github("1700000000250", Some(TODAY)),
        (Some(F::VendorEpochMillis), Some(Span::from_millis(250)), 0)
    );
    assert_eq!(
        github("1700009999", Some(TODAY)),
        (Some(F::VendorEpoch), Some(LONGEST), 1)
    );
    assert_eq!(github("1700000060", None), (Some(F::Vendor), None, 0));
    assert_eq!(
        github("2023-11-14T22:13:21Z", None),
        (Some(F::Vendor), None, 0)
    );
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_believed(
        lines in prop::collection::vec((0..NAMES.len(), "[0-9a-z\";=,. -]{0,12}|[0-9]{0,25}|\"a\";[rqtw]=[0-9]{1,15};[rqtw]=[0-9]{1,15}"), 0..6),
    ) {
        let headers: Vec<_> = (lines.iter())
            .map(|(name, value)| (NAMES[*name].0, value.as_str()))
            .collect();
        for form in [ResetForm::Guess, ResetForm::Delta, ResetForm::Epoch] {
            let hint = read(form, &headers);
            prop_assert!(hint.retry_after.is_none_or(|wait| wait <= LONGEST));
            prop_assert!(hint.remaining.is_none_or(|remaining| remaining.reset <= LONGEST));
            prop_assert!(hint.policy.is_none_or(|policy| policy.window > Span::ZERO));
            let is_silent = hint.remaining.is_none() && hint.policy.is_none();
            prop_assert!(hint.family.is_some() || is_silent);
        }
    }
}
