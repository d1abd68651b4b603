//! Chance: one seed, and a stream of its own for each who needs chance.
//!
//! Were there one stream for all, leaving out a single fault would change every delay after it, and
//! a failure could hardly be shrunk.

use rand::SeedableRng;
use rand::rngs::SmallRng;

/// The stream of a name (and a number, where there are several) under a seed.
#[must_use]
pub fn stream(seed: u64, name: &str, number: u64) -> SmallRng {
    let named = name.bytes().fold(seed, |hash, byte| mix(hash, u64::from(byte)));
    SmallRng::seed_from_u64(mix(named, number))
}

/// Mixes a number into a hash; the same everywhere (the finalizer of splitmix64; Steele et al. 2014).
#[must_use]
pub fn mix(hash: u64, number: u64) -> u64 {
    let mut word = hash.rotate_left(23).wrapping_add(number).wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Mixes bytes into a hash.
#[must_use]
pub fn mix_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(hash, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn streams_differ_and_repeat_themselves() {
        let first = |seed, name, number| stream(seed, name, number).random::<u64>();
        assert_eq!(first(1, "network", 0), first(1, "network", 0));
        let others = [first(1, "network", 1), first(1, "clients", 0), first(2, "network", 0)];
        assert!(others.iter().all(|other| *other != first(1, "network", 0)), "{others:?}");
    }
}
