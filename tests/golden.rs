//! The same scenario and seed give the same load, byte for byte: a fingerprint for each scenario
//! that comes with the program, over its first arrivals. `UPDATE=1` rewrites
//! `tests/golden/load.txt`; a change in it means that runs of the two versions cannot be compared.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its files fails"
)]

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use plimsoll::arrival::{ArrivalSchedule, Segment};
use plimsoll::engine::poll_policy;
use plimsoll::scenario::payload::{Item, client_work_id, idempotency_key};
use plimsoll::scenario::{Plan, mistake, resolve};

/// How many arrivals of a scenario are hashed.
const ARRIVALS: usize = 10_000;

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// With its length before it, so that the end of one text is not the beginning of the next.
    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.bytes(text);
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> Plan {
    let text = fs::read_to_string(root().join("scenarios").join(name)).unwrap();
    let file =
        |file: &str| fs::read(root().join("scenarios").join(file)).map_err(|why| why.to_string());
    resolve::read(&text, &[], &file).unwrap_or_else(|mistakes| {
        panic!("{}", mistake::picture(name, &text, &mistakes, false));
    })
}

/// When it is due, when it is asked first, and what it sends.
fn fingerprint(plan: &Plan) -> (usize, u64) {
    let mut hash = Fnv::new();
    let mut arrivals = 0;
    let schedule = ArrivalSchedule::new(&plan.load, plan.seed, Segment::WHOLE);
    let mut rendered = Vec::new();
    for arrival in schedule.take(ARRIVALS) {
        let seq = arrival.seq;
        arrivals += 1;
        hash.number(seq);
        hash.number(arrival.stage.into());
        hash.number(arrival.intended.0);
        hash.number(poll_policy::first(&plan.poll, plan.seed, seq).0);
        let item = Item {
            seed: plan.seed,
            seq,
            corpus: plan.submit.corpus.as_ref(),
        };
        rendered.clear();
        plan.submit.body.render(&item, &mut rendered);
        hash.text(&rendered);
        for (name, template) in &plan.submit.headers {
            rendered.clear();
            template.render(&item, &mut rendered);
            hash.text(name.as_bytes());
            hash.text(&rendered);
        }
        hash.bytes(client_work_id(plan.seed, seq).as_bytes());
        hash.bytes(idempotency_key(plan.seed, seq).as_bytes());
    }
    (arrivals, hash.0)
}

#[test]
fn the_hash_is_the_published_one() {
    // The test vectors of the authors' page.
    let check = |text: &str, expected| {
        let mut hash = Fnv::new();
        hash.bytes(text.as_bytes());
        assert_eq!(hash.0, expected, "{text}");
    };
    check("", 0xcbf2_9ce4_8422_2325);
    check("a", 0xaf63_dc4c_8601_ec8c);
    check("foobar", 0x8594_4171_f739_67e8);
}

#[test]
fn every_scenario_offers_the_load_that_it_always_did() {
    let mut names: Vec<String> = fs::read_dir(root().join("scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut text = String::new();
    for name in &names {
        let (arrivals, hash) = fingerprint(&read(name));
        writeln!(text, "{hash:016x} {arrivals:5} {name}").unwrap();
    }
    let path = root().join("tests/golden/load.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, text,
        "the load has changed: on purpose? then run with UPDATE=1"
    );
}
