//! The stall: what coordinated omission hides.
//!
//! R submits/s come evenly for D seconds; the service stalls for L seconds. An arrival that is due
//! x seconds after the stall began waits until its end: L - x, for x in [0, L); all others wait for
//! the accept delay a alone. So the latencies above the quantile q are those of the first (1 - q) D
//! seconds of the stall, and the quantile itself is a + L - (1 - q) D.
//!
//! With at most C submits on the wire, a queue has formed at the end of the stall, which leaves C
//! at a time every a seconds, at the rate C/a, while R/s still come. The arrival x seconds after
//! the stall began is number R x of the queue, so it is answered at L + a + R x a / C: it waits a +
//! L - x (1 - R a / C), and the quantile is a + L - (1 - q) D (1 - R a / C). The staircase of the
//! batches is exact below, in whole milliseconds.
//!
//! A caller who waits for each answer before it sends again has one submit in the stall. It has n
//! answers in all, each after a, that one after L more: n a + L = D, so n = (D - L) / a, and every
//! quantile up to 1 - 1/n is a. With a = 0 it is the arrivals that it waits for: n = R (D - L) + 1.

use plimsoll::record::Metric;
use plimsoll::record::ledger::Count;
use plimsoll::report::quantiles::{Quantiles, Sample, rank};
use plimsoll::sim::world::{Network, VirtualRun};
use plimsoll::work::Outcome;

use super::{Tape, close, float, run};

/// Works per second, which is also works per 1000 ms.
const RATE: f64 = 1_000.0;
const LENGTH_S: f64 = 20.0;
const STALL_S: f64 = 2.0;
const CAP: u64 = 64;
const ACCEPT_DELAY_MS: u64 = 20;
/// The stall begins at the arrival of this number.
const FIRST: u64 = 8_000;

fn stalled(accept_delay_ms: u64, submit: &str) -> (Tape, VirtualRun) {
    let (_, tape, run) = run(
        &format!(
            "[simulator]\naccept_delay = \"fixed({accept_delay_ms}ms)\"\nservice_time = \"fixed(0s)\"\n\
             stalls = [{{ at = \"8s\", for = \"2s\" }}]\n\
             [[load]]\narrivals = \"constant\"\nrate = \"1000/s\"\nduration = \"20s\"\n\
             [submit]\n{submit}\n[poll]\nfirst = \"now\"\n"
        ),
        &Network::IDEAL,
    );
    (tape, run)
}

fn figures(run: &VirtualRun, metric: Metric) -> Quantiles {
    Sample::of(&run.snapshot, metric).figures()
}

fn counted(samples: u64) -> f64 {
    float(usize::try_from(samples).unwrap())
}

/// Within the precision of a histogram.
fn exact(what: &str, found: Option<f64>, expected: f64) {
    close(what, found.unwrap(), expected, expected * 1e-3 + 1e-6);
}

#[test]
fn without_a_cap_the_quantiles_are_those_of_the_stall() {
    let (_, run) = stalled(0, "");
    let latency = figures(&run, Metric::AcceptLatency);
    assert_eq!(latency.count, 20_000);
    exact("p99", latency.p99, STALL_S - 0.01 * LENGTH_S);
    exact("p95", latency.p95, STALL_S - 0.05 * LENGTH_S);
    exact("max", latency.max, STALL_S);
    assert_eq!(latency.p90, Some(0.0));
    assert_eq!(figures(&run, Metric::ScheduleLag).max, Some(0.0));
    // Nothing was held back, so the service time tells the same.
    assert_eq!(figures(&run, Metric::AcceptServiceTime), latency);
    let waiting = figures(&run, Metric::ClosedLoopLatency);
    assert_eq!((waiting.count, waiting.beyond), (18_001, 0));
    assert_eq!((waiting.p99, waiting.p999), (Some(0.0), Some(0.0)));
    exact("the one sample", waiting.max, STALL_S);
}

/// The three columns of `docs/coordinated-omission.md`.
#[test]
fn who_waits_for_each_answer_sees_a_stall_once_whatever_the_cap() {
    for submit in ["", "max_in_flight = 64\noverload = \"queue\""] {
        let (_, run) = stalled(ACCEPT_DELAY_MS, submit);
        let a = 0.02;
        let waiting = figures(&run, Metric::ClosedLoopLatency);
        let n = (LENGTH_S - STALL_S) / a;
        close("samples", counted(waiting.count), n, 0.0);
        for found in [waiting.min, waiting.p50, waiting.p95, waiting.p99] {
            exact("every other answer", found, a);
        }
        exact("the one in the stall", waiting.max, STALL_S + a);
        exact("the mean", waiting.mean, a + STALL_S / n);
        let latency = figures(&run, Metric::AcceptLatency);
        assert!(latency.p99.unwrap() > 1.8, "{latency:?}");
    }
}

#[test]
fn a_submit_without_an_answer_holds_the_caller_who_waits_for_its_timeout() {
    let (_, _, run) = run(
        "[simulator]\nservice_time = \"fixed(0s)\"\nrefusals = [{ at = \"2s\", for = \"1s\" }]\n\
         stalls = [{ at = \"5s\", for = \"4s\" }]\n\
         [[load]]\narrivals = \"constant\"\nrate = \"100/s\"\nduration = \"10s\"\n\
         [submit]\ntimeout = \"1500ms\"\n[poll]\nfirst = \"now\"\n",
        &Network::IDEAL,
    );
    // Refused at once for a second: no samples, and idle again. In the stall it gives its submit up
    // at 6.5 s, the next one at 8 s, and the third is answered at 9 s.
    let waiting = figures(&run, Metric::ClosedLoopLatency);
    assert_eq!((waiting.count, waiting.beyond), (200 + 200 + 1 + 100, 0));
    exact("the last of the stall", waiting.max, 1.0);
}

#[test]
fn with_a_cap_and_a_queue_the_queue_is_in_the_latency_and_not_in_the_service_time() {
    let (_, run) = stalled(ACCEPT_DELAY_MS, "max_in_flight = 64\noverload = \"queue\"");
    let latency = figures(&run, Metric::AcceptLatency);
    assert_eq!((latency.count, latency.beyond), (20_000, 0));
    // Batch k leaves at 10 s + k a as long as all its arrivals are due by then; the last few wait
    // for the last whole batch.
    let stall_end = FIRST + 2_000;
    let is_whole = |k: &u64| FIRST + CAP * k + CAP - 1 <= stall_end + ACCEPT_DELAY_MS * k;
    let batches = (0..1_000).take_while(is_whole).count() as u64;
    let drained = FIRST + CAP * batches;
    let caught_up = stall_end + ACCEPT_DELAY_MS * batches;
    let mut expected: Vec<u64> = (0..20_000)
        .map(|seq| {
            let sent = match seq {
                _ if (FIRST..drained).contains(&seq) => {
                    stall_end + ACCEPT_DELAY_MS * ((seq - FIRST) / CAP)
                }
                _ if seq >= drained => seq.max(caught_up),
                _ => seq,
            };
            sent + ACCEPT_DELAY_MS - seq
        })
        .collect();
    expected.sort_unstable();
    let staircase = |q| {
        let index = usize::try_from(rank(q, 20_000) - 1).unwrap();
        std::time::Duration::from_millis(expected[index]).as_secs_f64()
    };
    for (q, found) in [(0.9, latency.p90), (0.95, latency.p95), (0.99, latency.p99)] {
        exact("the staircase", found, staircase(q));
        // The formula has no steps: a batch comes at most its delay later.
        let a = 0.02;
        let formula = a + STALL_S - (1.0 - q) * LENGTH_S * (1.0 - RATE * a / 64.0);
        close("the formula", found.unwrap(), formula, a + 0.002);
    }
    // Of the wait of those that were held back it knows nothing.
    let service = figures(&run, Metric::AcceptServiceTime);
    exact("service time", service.p99, 0.02);
    assert_eq!(figures(&run, Metric::GeneratorLag).max, Some(0.0));
    assert!(figures(&run, Metric::ScheduleLag).p99.unwrap() > 1.5);
}

#[test]
fn with_a_cap_and_drops_exactly_those_behind_the_cap_are_not_sent() {
    let (tape, run) = stalled(ACCEPT_DELAY_MS, "max_in_flight = 64\noverload = \"drop\"");
    // The first 64 arrivals of the stall fill the wire until they are answered together, a after
    // its end: R (L + a) - C arrivals find it full.
    let expected = 1_000 * 2 + ACCEPT_DELAY_MS - CAP;
    assert_eq!(run.snapshot.counts.get(Count::Dropped), expected);
    let mut dropped: Vec<u64> = tape
        .rows
        .iter()
        .filter(|row| row.outcome == Outcome::Dropped)
        .map(|row| row.seq)
        .collect();
    dropped.sort_unstable();
    let first = FIRST + CAP;
    assert_eq!(dropped, (first..first + expected).collect::<Vec<_>>());
    assert_eq!(figures(&run, Metric::ScheduleLag).max, Some(0.0));
}
