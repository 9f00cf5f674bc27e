//! The parts that every request passes, one by one: `cargo bench --bench engine`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run fails")]

use divan::Bencher;
use divan::counter::ItemsCount;

use plimsoll::arrival::{ArrivalSchedule, Segment};
use plimsoll::engine::timers::TimerQueue;
use plimsoll::record::{Metric, Recorder};
use plimsoll::scenario::{Plan, resolve};
use plimsoll::time::{Span, Tick};
use plimsoll::wire::Wire;
use plimsoll::work::WorkId;

fn main() {
    divan::main();
}

fn plan(load: &str) -> Plan {
    let text = format!("name = \"bench\"\n[target]\nbase_url = \"simulator\"\n[[load]]\n{load}\n");
    resolve::read(&text, &[], &|_| Err(String::new())).unwrap()
}

/// 60,000 arrivals.
#[divan::bench(args = ["constant", "ramp", "poisson"])]
fn schedule(bencher: Bencher<'_, '_>, law: &str) {
    let load = match law {
        "ramp" => {
            "arrivals = \"constant\"\nrate = { from = \"500/s\", to = \"1500/s\" }".to_owned()
        }
        law => format!("arrivals = \"{law}\"\nrate = \"1000/s\""),
    };
    let plan = plan(&format!("{load}\nduration = \"60s\""));
    bencher
        .counter(ItemsCount::new(60_000_u32))
        .bench(|| ArrivalSchedule::new(&plan.load, plan.seed, Segment::WHOLE).count());
}

/// One work asked again, among so many.
#[divan::bench(args = [1_000, 100_000, 1_000_000])]
fn timer_queue(bencher: Bencher<'_, '_>, works: u32) {
    let mut timers = TimerQueue::default();
    for index in 0..works {
        // A prime step spreads the instants evenly over a second.
        let at = u64::from(index) * 998_244_353 % 1_000_000_000;
        timers.set(Tick(at), index);
    }
    let mut now = Tick::ZERO;
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(move || {
            loop {
                if let Some((at, place)) = timers.take(now) {
                    timers.set(at + Span::from_secs(1), place);
                    return;
                }
                now = timers.next().unwrap();
            }
        });
}

/// Samples of one metric, spread over twenty seconds.
#[divan::bench]
fn recorder(bencher: Bencher<'_, '_>) {
    let mut recorder = Recorder::new(Tick::ZERO);
    let mut value = 1_u64;
    bencher
        .counter(ItemsCount::new(1_000_u32))
        .bench_local(move || {
            for _ in 0..1_000 {
                value = value * 48_271 % 2_147_483_647;
                recorder.record(Metric::PollRoundTrip, Span(value * 10));
            }
        });
}

/// The answer to one submit.
#[divan::bench]
fn wire_intake(bencher: Bencher<'_, '_>) {
    let plan = plan("rate = \"1/s\"\nduration = \"1s\"");
    let wire = Wire::new(&plan.api, "https://api.example.com", &[], "demo").unwrap();
    let headers = [
        ("content-type", "application/json"),
        ("content-length", "71"),
    ];
    let body = br#"{"work_id":"work_0123456789abcdef0123456789abcdef012","status":"queued"}"#;
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| wire.intake(202, &headers[..], body, None));
}

/// The answer to one poll, with the headers of a service that announces its limits.
#[divan::bench(args = ["running", "completed"])]
fn wire_poll(bencher: Bencher<'_, '_>, word: &str) {
    let plan = plan("rate = \"1/s\"\nduration = \"1s\"");
    let wire = Wire::new(&plan.api, "https://api.example.com", &[], "demo").unwrap();
    let id = WorkId("work_0123456789abcdef".into());
    let headers = [
        ("content-type", "application/json"),
        ("content-length", "46"),
        ("date", "Tue, 03 Nov 2026 09:00:00 GMT"),
        ("ratelimit-policy", "\"default\";q=110;w=1"),
        ("ratelimit", "\"default\";r=50;t=1"),
    ];
    let body = format!(r#"{{"status":"{word}","result":{{"simulated":true}}}}"#);
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| wire.poll(&id, 200, &headers[..], body.as_bytes()));
}
