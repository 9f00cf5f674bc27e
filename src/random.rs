//! One seed, many streams: every random choice is a function of (seed, purpose, index).
//!
//! `ChaCha8` (Bernstein, 2008) is keyed by seed and purpose and numbered by the index, so any index
//! of any stream is reached at once and in any order. Its output is fixed by its definition: the
//! same on every machine and with every version of the crate.

pub use rand_chacha::ChaCha8Rng;
pub use rand_chacha::rand_core::Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a stream of choices is for. Streams of different names share nothing; the names are part of
/// every golden fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(u64);

impl Purpose {
    /// Poisson arrivals: an index a block.
    pub const ARRIVALS: Self = Self::named("arrivals");
    /// The phase of the first poll: an index a work.
    pub const FIRST_POLL: Self = Self::named("first poll");
    /// Jitter of poll intervals: an index a poll.
    pub const JITTER: Self = Self::named("jitter");
    /// Which works are polled as by `fixed` so that something is learned: an index a work.
    pub const EXPLORERS: Self = Self::named("explorers");
    /// Which settled works are asked again: an index a work.
    pub const RECHECK: Self = Self::named("recheck");
    /// Instants at which the watchdog sends its probes: one index.
    pub const PROBES: Self = Self::named("probes");
    /// Which callbacks the receiver treats badly: an index a callback and fault.
    pub const RECEIVER_FAULTS: Self = Self::named("receiver faults");
    /// Delays of the virtual network: one index.
    pub const NETWORK: Self = Self::named("network");

    /// The purpose of a name: its FNV-1a hash of 64 bits (Fowler, Noll, Vo).
    pub const fn named(name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        Self(hash)
    }
}

/// The generator of one index of a stream, at its beginning.
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&purpose.0.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(index);
    random
}

/// A number that is uniform in `[0, 1)`, in steps of 2^-53.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
pub fn unit(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The first uniform number of one index of a stream.
pub fn unit_at(seed: u64, purpose: Purpose, index: u64) -> f64 {
    unit(&mut stream(seed, purpose, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_index_and_repeat_themselves() {
        let draw = |seed, purpose, index| stream(seed, purpose, index).next_u64();
        let one = draw(1, Purpose::ARRIVALS, 7);
        assert_eq!(one, draw(1, Purpose::ARRIVALS, 7));
        for other in [
            draw(2, Purpose::ARRIVALS, 7),
            draw(1, Purpose::JITTER, 7),
            draw(1, Purpose::ARRIVALS, 8),
            draw(1, Purpose::ARRIVALS, 7 + (1 << 32)),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_hash_of_a_name_is_the_published_one() {
        // Test vectors of FNV-1a, 64 bits.
        assert_eq!(Purpose::named(""), Purpose(0xcbf2_9ce4_8422_2325));
        assert_eq!(Purpose::named("a"), Purpose(0xaf63_dc4c_8601_ec8c));
        assert_eq!(Purpose::named("foobar"), Purpose(0x8594_4171_f739_67e8));
    }

    #[test]
    fn unit_numbers_fill_the_unit_interval_evenly() {
        let draws = 20_000_u32;
        let mut sum = 0.0;
        for index in 0..draws {
            let value = unit_at(3, Purpose::JITTER, u64::from(index));
            assert!((0.0..1.0).contains(&value));
            sum += value;
        }
        // Mean 1/2, standard error sqrt(1/12/n) = 0.002: five of them.
        assert!((sum / f64::from(draws) - 0.5).abs() < 0.01);
    }
}
