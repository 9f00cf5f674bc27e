//! Resident memory of a work that waits for its poll, as the slope from 100,000 to 1,000,000 works
//! in the backlog: `cargo bench --bench memory`. Ids have 40 characters.

use std::io::{Write, stdout};
use std::sync::Arc;

use plimsoll::arrival::Segment;
use plimsoll::engine::{Effect, Engine, Input};
use plimsoll::scenario::resolve::read;
use plimsoll::time::{Span, Tick};
use plimsoll::work::{IntakeReply, PollUrl, RateHint, WorkId};

const SCENARIO: &str = r#"
name = "memory"
[target]
base_url = "simulator"
[[load]]
arrivals = "constant"
rate = "10000/s"
duration = "200s"
[poll]
interval = "1h"
give_up_after = "2h"
"#;

fn main() {
    let plan = read(SCENARIO, &[], &|_| Err("no files".to_owned())).expect("a good scenario");
    let mut engine = Engine::new(Arc::new(plan), Segment::WHOLE);
    let mut works = 0_u64;
    let mut at = Tick::ZERO;
    let mut resident = Vec::new();
    for until in [100_000, 1_000_000] {
        while works < until {
            while let Some(effect) = engine.next_effect(at) {
                if let Effect::Submit { slot, seq, .. } = effect {
                    engine.handle(Input::Intake {
                        slot,
                        sent: at,
                        at,
                        reply: accepted(seq),
                    });
                    works += 1;
                }
            }
            drop((engine.take_intervals(), engine.take_settled()));
            at = at + Span::from_millis(10);
        }
        resident.push(resident_bytes());
    }
    let slope = (resident[1] - resident[0]) / 900_000;
    assert!(slope <= 128, "{slope} bytes a work");
    writeln!(stdout(), "{slope} bytes a work that waits for its poll").expect("a terminal");
}

fn accepted(seq: u64) -> IntakeReply {
    IntakeReply::Accepted {
        status: 202,
        id: WorkId(format!("work_{seq:035}").into()),
        poll_url: PollUrl::FromProfile,
        at_once: None,
        hint: RateHint::default(),
    }
}

/// The resident set of this process, from the second field of `statm`, in pages of 4 KiB.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number of pages") * 4_096
}
