use super::*;
use crate::random::{Purpose, Rng, stream};
use crate::scenario::{Bucket, Law, Rate, Window};
use crate::sim::quiet_plan;
use crate::sim::truth::Answered;

fn secs(seconds: u64) -> Tick {
    Tick::ZERO + Span::from_secs(seconds)
}

fn window(at: u64, length: u64) -> Window {
    Window {
        at: Span::from_secs(at),
        length: Span::from_secs(length),
    }
}

fn take(service: &mut Service, now: Tick) -> String {
    match service.submit(now).said {
        Said::Granted(taken) => taken.work_id,
        other => panic!("not taken: {other:?}"),
    }
}

fn word(service: &mut Service, now: Tick, id: &str) -> Option<Word> {
    match service.poll(now, id).said {
        Said::Granted(word) => Some(word),
        Said::Refused(Refusal::UnknownWork) => None,
        other => panic!("no word: {other:?}"),
    }
}

/// Submits a work at 0 s into a service of one worker that needs 10 s, after one that keeps the
/// worker busy until 10 s, and polls it at each instant.
fn check(plan: &SimPlan, polls: &[(u64, Option<Word>)]) {
    let service_time = Law::Fixed(Span::from_secs(10));
    let plan = SimPlan {
        workers: 1,
        service_time,
        ..plan.clone()
    };
    let mut service = Service::new(&plan, 5, None);
    take(&mut service, Tick::ZERO);
    let id = take(&mut service, Tick::ZERO);
    for (at, expected) in polls {
        assert_eq!(word(&mut service, secs(*at), &id), *expected, "at {at} s");
    }
}

#[test]
fn a_work_goes_through_its_states() {
    use Word::{Completed, Failed, Pending, Running};
    let quiet = quiet_plan();
    check(
        &quiet,
        &[
            (0, Some(Pending)),
            (9, Some(Pending)),
            (10, Some(Running)),
            (19, Some(Running)),
            (20, Some(Completed)),
            (99, Some(Completed)),
        ],
    );
    let fails = SimPlan {
        fail_ratio: 1.0,
        ..quiet.clone()
    };
    check(&fails, &[(19, Some(Running)), (20, Some(Failed))]);
    let endless = SimPlan {
        endless_ratio: 1.0,
        ..quiet.clone()
    };
    check(
        &endless,
        &[
            (5, Some(Pending)),
            (10, Some(Running)),
            (9_999, Some(Running)),
        ],
    );
    let lost = SimPlan {
        lose_ratio: 1.0,
        ..quiet.clone()
    };
    check(&lost, &[(9, Some(Pending)), (10, None), (20, None)]);
    let late = SimPlan {
        visible_after: Span::from_secs(3),
        ..quiet.clone()
    };
    check(&late, &[(0, None), (2, None), (3, Some(Pending))]);
    let reverts = SimPlan {
        revert_ratio: 1.0,
        ..quiet
    };
    check(
        &reverts,
        &[
            (20, Some(Completed)),
            (21, Some(Running)),
            (22, Some(Completed)),
            (23, Some(Completed)),
        ],
    );
}

#[test]
fn a_repeated_id_tells_of_the_first_work_that_has_it() {
    let plan = SimPlan {
        repeat_id_ratio: 1.0,
        ..quiet_plan()
    };
    let mut service = Service::new(&plan, 5, None);
    let first = take(&mut service, Tick::ZERO);
    assert_eq!(take(&mut service, secs(5)), first);
    assert_eq!(take(&mut service, secs(6)), first);
    assert_eq!(word(&mut service, secs(6), &first), Some(Word::Completed));
    let hidden = service.ids.name(1);
    assert_eq!(word(&mut service, secs(6), &hidden), None);
    let rows: Vec<_> = service.close(secs(6)).rows().collect();
    assert!(rows.iter().all(|row| row.work_id == first));
    assert_eq!(
        rows.iter().map(|row| row.polls).collect::<Vec<_>>(),
        [1, 0, 0]
    );
}

#[test]
fn a_stall_holds_requests_and_serves_them_at_its_end() {
    let plan = SimPlan {
        stalls: vec![window(10, 2)],
        accept_delay: Law::Fixed(Span::from_secs(1)),
        ..quiet_plan()
    };
    let mut service = Service::new(&plan, 5, None);
    assert_eq!(service.submit(secs(9)).at, secs(10));
    assert_eq!(service.submit(secs(10)).at, secs(13));
    assert_eq!(service.submit(secs(11)).at, secs(13));
    assert_eq!(service.poll(secs(11), "work_0").at, secs(12));
    let refused: Answer<Taken> = service.refuse(secs(11), Kind::Submit, Refusal::Unauthorized);
    assert_eq!(refused.at, secs(12));
    assert_eq!(service.submit(secs(12)).at, secs(13));
    // What waits for the end of a stall has not been taken yet.
    assert_eq!(service.close(secs(11)).rows().count(), 1);
}

#[test]
fn refusals_refuse_everything_and_take_no_token() {
    let rate = Rate {
        count: 1,
        per: Span::from_secs(1),
    };
    let plan = SimPlan {
        refusals: vec![window(10, 3)],
        rate_limit: Some(Bucket { rate, burst: 5 }),
        ..quiet_plan()
    };
    let mut service = Service::new(&plan, 5, None);
    for _ in 0..20 {
        let answer = service.submit(secs(10) + Span(1));
        assert_eq!(
            answer.said,
            Said::Refused(Refusal::Throttled { retry_after_s: 3 })
        );
        let limit = answer.limit.unwrap();
        assert_eq!((limit.remaining, limit.reset_s), (0, 3));
    }
    assert_eq!(service.submit(secs(13)).limit.unwrap().remaining, 4);
}

#[test]
fn the_scope_says_what_the_bucket_counts() {
    let rate = Rate {
        count: 1,
        per: Span::from_secs(60),
    };
    let check = |rate_scope, submits: u64, polls: u64| {
        let rate_limit = Some(Bucket { rate, burst: 3 });
        let plan = SimPlan {
            rate_limit,
            rate_scope,
            ..quiet_plan()
        };
        let mut service = Service::new(&plan, 5, None);
        for _ in 0..5 {
            service.submit(Tick::ZERO);
            service.poll(Tick::ZERO, "work_0");
        }
        let throttled = |kind| service.books().answered(kind, Answered::Throttled);
        assert_eq!(
            (throttled(Kind::Submit), throttled(Kind::Poll)),
            (submits, polls)
        );
    };
    check(RateScope::Submit, 2, 0);
    check(RateScope::Poll, 0, 2);
    check(RateScope::Both, 3, 4);
}

#[test]
fn lives_do_not_depend_on_what_is_asked_or_when() {
    let plan = SimPlan {
        service_time: Law::Exponential(Span::from_secs(1)),
        fail_ratio: 0.3,
        ..quiet_plan()
    };
    let lives = |gap: u64, polls: bool| -> Vec<_> {
        let mut service = Service::new(&plan, 5, None);
        for n in 0..200 {
            let id = take(&mut service, Tick(n * gap));
            if polls {
                service.poll(Tick(n * gap), &id);
            }
        }
        let rows = service.close(secs(10_000)).rows().collect::<Vec<_>>();
        let length = |row: &super::super::TruthRow| row.terminal.unwrap().since(row.accepted);
        rows.iter()
            .map(|row| (row.work_id.clone(), row.state, length(row)))
            .collect()
    };
    assert_eq!(lives(1, false), lives(1_000_000, true));
}

#[test]
fn a_forgetful_service_answers_alike_and_holds_only_what_lasts() {
    let plan = SimPlan {
        workers: 50,
        service_time: Law::Exponential(Span::from_secs(1)),
        fail_ratio: 0.3,
        endless_ratio: 0.2,
        lose_ratio: 0.2,
        repeat_id_ratio: 0.2,
        garbage_ratio: 0.2,
        visible_after: Span::from_millis(500),
        stalls: vec![window(5, 1)],
        ..quiet_plan()
    };
    let mut whole = Service::new(&plan, 5, None);
    let mut forgetful = Service::new(&plan, 5, None).forgetful();
    let mut rng = stream(6, Purpose::named("test"), 0);
    let mut ids = vec![whole.ids.name(4_000)];
    let mut most = 0;
    for step in 0..8_000_u64 {
        let now = Tick(step * 25_000_000);
        let answer = whole.submit(now);
        assert_eq!(forgetful.submit(now), answer);
        if let Said::Granted(taken) = answer.said {
            ids.push(taken.work_id);
        }
        let old = usize::try_from(rng.next_u64()).unwrap() % ids.len();
        for id in [&ids[old], &ids[ids.len() - 1]] {
            assert_eq!(
                forgetful.poll(now, id),
                whole.poll(now, id),
                "{id} at {now}"
            );
        }
        most = most.max(forgetful.works.held());
    }
    // The longest of 8,000 exponential times of a second in the mean is about ln(8000) = 9 s;
    // 40 works come in a second.
    assert!((40..1_000).contains(&most), "{most} works held");
    assert_eq!(forgetful.works.taken(), whole.works.taken());
    assert_eq!(forgetful.books(), whole.books());
}

#[test]
fn keys_are_checked_and_never_shown() {
    let check = |key: Option<&str>, bearer, opens| {
        let service = Service::new(&quiet_plan(), 1, key.map(str::to_owned));
        assert_eq!(service.authorize(bearer), opens, "{key:?} {bearer:?}");
        assert!(!format!("{service:?}").contains("s3cret"));
    };
    check(None, Some("user.x"), true);
    check(None, Some("team.x"), true);
    check(None, Some("admin.x"), false);
    check(None, None, false);
    check(Some("user.s3cret"), Some("user.s3cret"), true);
    check(Some("user.s3cret"), Some("user.s3cre"), false);
    check(Some("user.s3cret"), None, false);
}
