//! Keys and values that can be told from each other: what a read returns is checked.
//!
//! A key is 16 bytes: the number of the key, big-endian, after eight bytes that scatter it or do
//! not. A value starts with the number and the version of the write, and the rest follows from
//! both, half of it compressible, as data is.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 16;

/// The key of a number: numbers in order give keys in order.
pub fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = *b"user000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).expect("a digit is below ten");
        rest /= 10;
    }
    key
}

/// A key that no number has.
pub fn absent_key(number: u64) -> [u8; KEY_BYTES] {
    let mut absent = key(number);
    absent[0] = b'v';
    // Between the present ones, so that a bound of the whole data set does not give it away.
    absent[..4].copy_from_slice(b"user");
    absent[KEY_BYTES - 1] = b'x';
    absent
}

/// The value that the write `version` of a key sets.
pub fn value(number: u64, version: u64, bytes: usize) -> Bytes {
    let mut value = vec![b'.'; bytes];
    let mut rng = SmallRng::seed_from_u64(number.rotate_left(32) ^ version);
    let random = bytes / 2;
    rng.fill_bytes(&mut value[..random]);
    for (place, byte) in
        value.iter_mut().zip(number.to_be_bytes().into_iter().chain(version.to_be_bytes()))
    {
        *place = byte;
    }
    value.into()
}

/// Whether a value is one that was written to this key.
pub fn is_value_of(number: u64, value: &[u8], bytes: usize) -> bool {
    value.len() == bytes && value[..8] == number.to_be_bytes()
}

/// Which keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popularity {
    /// All alike.
    Uniform,
    /// A few very often (Zipf's law, exponent 0.99, as in YCSB).
    Zipfian,
}

/// Draws numbers of keys.
#[derive(Debug)]
pub struct Picker {
    rng: SmallRng,
    keys: u64,
    zipf: Option<Zipf<f64>>,
}

impl Picker {
    /// Draws from `0..keys`, the same for the same seed.
    pub fn new(keys: u64, popularity: Popularity, seed: u64) -> Picker {
        let zipf = match popularity {
            Popularity::Uniform => None,
            Popularity::Zipfian => {
                Some(Zipf::new(keys as f64, 0.99).expect("there is at least one key"))
            }
        };
        Picker { rng: SmallRng::seed_from_u64(seed), keys, zipf }
    }

    /// The next number.
    pub fn pick(&mut self) -> u64 {
        match &self.zipf {
            None => self.rng.random_range(0..self.keys),
            Some(zipf) => {
                let rank = zipf.sample(&mut self.rng) as u64 - 1;
                // Popular keys are not neighbours: a Fibonacci hash scatters the ranks.
                rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.keys
            }
        }
    }

    /// Whether something with this chance in a hundred happens.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }
}

/// The numbers `0..keys` in a random order that needs no memory: a walk with a step that shares no
/// divisor with `keys`.
pub fn shuffled(keys: u64, seed: u64) -> impl Iterator<Item = u64> {
    let mut step = (keys as f64 * 0.618_033_988_749) as u64 | 1;
    while greatest_common_divisor(step, keys) != 1 {
        step += 2;
    }
    let start = seed % keys;
    (0..keys).map(move |i| {
        ((u128::from(i) * u128::from(step) + u128::from(start)) % u128::from(keys)) as u64
    })
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
