//! One seed, many streams: every random choice is a function of (seed, purpose, index).
//!
//! `ChaCha8` is a counter-mode generator, so any index of any stream is reached at once and in any
//! order; its output is fixed by its definition and does not change between versions of the crate.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of choices is for. Streams never overlap; the numbers are part of every golden
/// fingerprint and must not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Poisson arrivals: an index a block.
    Arrivals = 1,
    /// The phase of the first poll: an index a work.
    FirstPoll = 2,
    /// Jitter of poll intervals: an index a poll.
    Jitter = 3,
    /// Which settled works are asked again: an index a work.
    Recheck = 4,
    /// Ids and placeholders of submits: an index a work.
    Payload = 5,
    /// Lives of works in the simulated service: an index a work.
    Lives = 6,
    /// Faults of the simulated service: an index a request.
    Faults = 7,
    /// Delays of the virtual network: an index a message.
    Network = 8,
}

/// The generator of one index of a stream, at its beginning.
///
/// Each index owns 2^24 words of the stream, far more than any of them draws.
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(((purpose as u64) << 48) | (index >> 32));
    rng.set_word_pos(u128::from(index & 0xffff_ffff) << 24);
    rng
}

/// A number that is uniform in `[0, 1)`, with 53 random bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
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
        let one = draw(1, Purpose::Payload, 7);
        assert_eq!(one, draw(1, Purpose::Payload, 7));
        for other in [
            draw(2, Purpose::Payload, 7),
            draw(1, Purpose::Lives, 7),
            draw(1, Purpose::Payload, 8),
            draw(1, Purpose::Payload, 7 + (1 << 32)),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn an_index_is_reached_without_walking_to_it() {
        // RFC 8439's counter mode: word 2^24 of the stream is the first of index 1.
        let mut walked = stream(9, Purpose::Faults, 0);
        walked.set_word_pos(1 << 24);
        assert_eq!(walked.next_u64(), stream(9, Purpose::Faults, 1).next_u64());
    }

    #[test]
    fn unit_numbers_fill_the_unit_interval_evenly() {
        let draws = 20_000_u32;
        let mut sum = 0.0;
        for index in 0..draws {
            let value = unit_at(3, Purpose::Jitter, u64::from(index));
            assert!((0.0..1.0).contains(&value));
            sum += value;
        }
        // Mean 1/2, standard error sqrt(1/12/n) = 0.002: five of them.
        assert!((sum / f64::from(draws) - 0.5).abs() < 0.01);
    }
}
