//! The life of a work as the seed has it, and the names of works.

use super::answer::Word;
use super::law::{draw, happens};
use crate::random::{Purpose, Rng, stream};
use crate::scenario::SimPlan;
use crate::time::Span;

/// Lives: an index a work.
const LIVES: Purpose = Purpose::named("sim lives");
/// Names of works: one index.
const NAMES: Purpose = Purpose::named("sim names");

/// What the seed holds for the n-th work that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent ratios of the plan, each drawn on its own"
)]
pub(super) struct Life {
    /// How long it keeps a worker busy.
    pub(super) service_time: Span,
    /// It ends as failed.
    pub(super) fails: bool,
    /// Its worker goes on to the next, but it never ends: it waits for somebody.
    pub(super) endless: bool,
    /// It is not found from half of its life on.
    pub(super) lost: bool,
    /// It is given the id of the work before.
    pub(super) repeats_id: bool,
    /// Its end is taken back once.
    pub(super) reverts: bool,
}

impl Life {
    /// The life of the `n`-th work (from 0): a function of the plan, the seed and `n` alone.
    pub(super) fn of(plan: &SimPlan, seed: u64, n: u64) -> Self {
        let mut rng = stream(seed, LIVES, n);
        let fails = happens(&mut rng, plan.fail_ratio);
        let law = plan.failed_service_time.as_ref().filter(|_| fails);
        // Struct fields are evaluated in the order written: the time comes last, because laws take
        // different numbers of draws.
        Self {
            fails,
            endless: happens(&mut rng, plan.endless_ratio),
            lost: happens(&mut rng, plan.lose_ratio),
            repeats_id: n > 0 && happens(&mut rng, plan.repeat_id_ratio),
            reverts: happens(&mut rng, plan.revert_ratio),
            service_time: draw(law.unwrap_or(&plan.service_time), &mut rng),
        }
    }
}

impl Life {
    /// What a poll hears of it for ever, once its time is over and its end is not taken back; none
    /// if it does not find it.
    pub(super) fn last_word(&self) -> Option<Word> {
        if self.lost || self.repeats_id {
            None
        } else if self.endless {
            Some(Word::Running)
        } else if self.fails {
            Some(Word::Failed)
        } else {
            Some(Word::Completed)
        }
    }
}

/// The names of works: a permutation of 64 bits keyed by the seed, so that an id leads back to its
/// number without a table, and a guessed one leads nowhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    before: u64,
    after: u64,
}

/// The multipliers of the finalizer of `SplitMix64` (Steele, Lea, Flood 2014, with the constants of
/// Stafford's variant 13).
const MULTIPLIERS: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];
const INVERSES: [u64; 2] = [inverse(MULTIPLIERS[0]), inverse(MULTIPLIERS[1])];

impl Ids {
    const PREFIX: &str = "work_";
    const DIGITS: usize = 16;

    /// The names of one service.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = stream(seed, NAMES, 0);
        Self {
            before: rng.next_u64(),
            after: rng.next_u64(),
        }
    }

    /// The id of the `n`-th work.
    pub(super) fn name(self, n: u64) -> String {
        let mut z = n ^ self.before;
        z = (z ^ (z >> 30)).wrapping_mul(MULTIPLIERS[0]);
        z = (z ^ (z >> 27)).wrapping_mul(MULTIPLIERS[1]);
        z ^= z >> 31;
        format!("{}{:016x}", Self::PREFIX, z ^ self.after)
    }

    /// Which work has this id; an id that was never given leads to a number beyond all works.
    pub(super) fn number(self, id: &str) -> Option<u64> {
        let digits = id.strip_prefix(Self::PREFIX)?;
        let plain = digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != Self::DIGITS || !plain {
            return None;
        }
        let mut z = u64::from_str_radix(digits, 16).ok()? ^ self.after;
        z ^= (z >> 31) ^ (z >> 62);
        z = z.wrapping_mul(INVERSES[1]);
        z ^= (z >> 27) ^ (z >> 54);
        z = z.wrapping_mul(INVERSES[0]);
        z ^= (z >> 30) ^ (z >> 60);
        Some(z ^ self.before)
    }
}

/// The inverse of an odd number modulo 2^64: Newton's iteration doubles the right bits, from 3.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut rounds = 0;
    while rounds < 5 {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        rounds += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Law;
    use crate::sim::quiet_plan;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_leads_back_to_its_number(seed in any::<u64>(), n in any::<u64>()) {
            let ids = Ids::new(seed);
            prop_assert_eq!(ids.number(&ids.name(n)), Some(n));
        }

        #[test]
        fn what_is_no_id_leads_nowhere(text in "(work_)?[0-9a-fA-F+_]{0,20}") {
            let ids = Ids::new(1);
            if let Some(n) = ids.number(&text) {
                prop_assert_eq!(ids.name(n), text);
            }
        }
    }

    #[test]
    fn ids_of_neighbours_and_of_other_seeds_look_unrelated() {
        let ids = Ids::new(1);
        let mut leading: Vec<String> = (0..1_000).map(|n| ids.name(n)[..10].to_owned()).collect();
        leading.sort_unstable();
        leading.dedup();
        assert!(leading.len() > 990, "{}", leading.len());
        assert_ne!(ids.name(0), Ids::new(2).name(0));
        let stranger = Ids::new(2).number(&ids.name(0)).unwrap();
        assert!(stranger > 1 << 40, "{stranger}");
    }

    #[test]
    fn each_ratio_is_kept_and_moves_nothing_else() {
        let plan = SimPlan {
            service_time: Law::Exponential(Span::from_secs(1)),
            fail_ratio: 0.1,
            endless_ratio: 0.2,
            lose_ratio: 0.3,
            repeat_id_ratio: 0.4,
            revert_ratio: 0.5,
            ..quiet_plan()
        };
        let lives: Vec<Life> = (0..20_000).map(|n| Life::of(&plan, 3, n)).collect();
        let check = |name: &str, ratio: f64, has: fn(&Life) -> bool| {
            let count = u32::try_from(lives.iter().filter(|life| has(life)).count()).unwrap();
            // Five standard deviations of the binomial: once in two million seeds.
            let error = (f64::from(count) / 20_000.0 - ratio).abs();
            let bound = 5.0 * (ratio * (1.0 - ratio) / 20_000.0).sqrt();
            assert!(error < bound, "{name}: {count} of 20000");
        };
        check("fails", 0.1, |life| life.fails);
        check("endless", 0.2, |life| life.endless);
        check("lost", 0.3, |life| life.lost);
        check("repeats", 0.4, |life| life.repeats_id);
        check("reverts", 0.5, |life| life.reverts);

        let without = SimPlan {
            fail_ratio: 0.0,
            ..plan
        };
        for (n, life) in (0..).zip(&lives).skip(1).take(100) {
            assert_eq!(
                Life {
                    fails: false,
                    ..*life
                },
                Life::of(&without, 3, n)
            );
        }
    }
}
