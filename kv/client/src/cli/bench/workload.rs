//! What the requests of a benchmark are.
//!
//! Invariant: request number n of a seed is the same whatever the concurrency, but for the keys
//! of the distributions that count: `sequential` and `latest`.

use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::keys::{Distribution, Keys, spread};

/// Random text that values are cut out of, in bytes, beyond the longest value.
const POOL_BYTES: usize = 1 << 20;

/// Bytes at the start of a value that tell which request set it, if it has room for them.
const STAMP_BYTES: usize = 16;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get,
    Set,
    Del,
    Scan,
}

impl Kind {
    /// All kinds, in the order of the report.
    pub(crate) const ALL: [Kind; 4] = [Kind::Get, Kind::Set, Kind::Del, Kind::Scan];

    /// The name in arguments and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Set => "set",
            Kind::Del => "del",
            Kind::Scan => "scan",
        }
    }
}

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Get { number: u64, key: Bytes },
    Set { key: Bytes, value: Bytes },
    Del { key: Bytes },
    Scan { start: Bytes, limit: u32 },
}

/// How often each kind of request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    /// Kinds and their weights, of which at least one is more than 0.
    weights: Vec<(Kind, u32)>,
}

impl Mix {
    /// Reads `get:95,set:5`.
    pub(crate) fn parse(text: &str) -> Result<Mix, String> {
        let mut weights: Vec<(Kind, u32)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once(':').unwrap_or((part, "1"));
            let kind = Kind::ALL
                .into_iter()
                .find(|kind| kind.name() == name)
                .ok_or_else(|| format!("`{name}` is none of get, set, del, scan"))?;
            let weight = weight.parse().map_err(|_| format!("`{weight}` is no weight"))?;
            if weights.iter().any(|(known, _)| *known == kind) {
                return Err(format!("`{name}` is there twice"));
            }
            weights.push((kind, weight));
        }
        let sum = weights.iter().try_fold(0_u32, |sum, (_, weight)| sum.checked_add(*weight));
        match sum {
            Some(1..) => Ok(Mix { weights }),
            Some(0) => Err("one weight must be more than 0".to_owned()),
            None => Err("the weights are too large".to_owned()),
        }
    }

    /// Whether the mix has requests of this kind.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.weights.iter().any(|(known, weight)| *known == kind && *weight > 0)
    }

    fn sum(&self) -> u32 {
        self.weights.iter().map(|(_, weight)| weight).sum()
    }

    fn choose(&self, rng: &mut SmallRng) -> Kind {
        let mut place = rng.random_range(0..self.sum());
        for (kind, weight) in &self.weights {
            match place.checked_sub(*weight) {
                Some(rest) => place = rest,
                None => return *kind,
            }
        }
        unreachable!("the place is below the sum of the weights")
    }
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, (kind, weight)) in self.weights.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{}:{weight}", kind.name())?;
        }
        Ok(())
    }
}

/// The shape of a workload.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) mix: Mix,
    pub(crate) distribution: Distribution,
    /// Keys that exist from the beginning, at least 1.
    pub(crate) keys: u64,
    pub(crate) key_prefix: String,
    /// Bytes of a key, with its prefix; more if its number needs them.
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: RangeInclusive<usize>,
    /// Pairs of a scan.
    pub(crate) scan_limit: u32,
    pub(crate) seed: u64,
}

/// Makes requests, and knows the values that they set.
pub(crate) struct Workload {
    shape: Shape,
    keys: Keys,
    pool: Bytes,
}

impl Workload {
    /// Makes a workload.
    pub(crate) fn new(shape: Shape) -> Workload {
        let mut rng = SmallRng::seed_from_u64(shape.seed);
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        let bytes = POOL_BYTES + shape.value_bytes.end();
        let pool = (0..bytes).map(|_| letters[rng.random_range(0..letters.len())]).collect();
        Workload { keys: Keys::new(shape.distribution, shape.keys), pool, shape }
    }

    /// The request of this number.
    pub(crate) fn request(&self, number: u64) -> Request {
        let mut rng = SmallRng::seed_from_u64(self.shape.seed ^ spread(number));
        match self.shape.mix.choose(&mut rng) {
            Kind::Get => {
                let number = self.keys.existing(&mut rng);
                Request::Get { number, key: self.key(number) }
            }
            Kind::Set => self.set(self.keys.to_set(&mut rng), number),
            Kind::Del => Request::Del { key: self.key(self.keys.existing(&mut rng)) },
            Kind::Scan => Request::Scan {
                start: self.key(self.keys.existing(&mut rng)),
                limit: self.shape.scan_limit,
            },
        }
    }

    /// Sets key number `key`, as request number `stamp`.
    pub(crate) fn set(&self, key: u64, stamp: u64) -> Request {
        Request::Set { key: self.key(key), value: self.value(key, stamp) }
    }

    /// Whether some request of this workload set key number `key` to `value`.
    pub(crate) fn is_right(&self, key: u64, value: &[u8]) -> bool {
        let stamp = value
            .first_chunk::<STAMP_BYTES>()
            .and_then(|stamp| std::str::from_utf8(stamp).ok())
            .and_then(|stamp| u64::from_str_radix(stamp, 16).ok());
        // A value that is too short for a stamp is the same whatever request set it.
        self.value(key, stamp.unwrap_or(0)) == value
    }

    fn key(&self, number: u64) -> Bytes {
        let Shape { key_prefix, key_bytes, .. } = &self.shape;
        let digits = key_bytes.saturating_sub(key_prefix.len());
        format!("{key_prefix}{number:0digits$}").into()
    }

    /// The value that request `stamp` sets key `key` to.
    fn value(&self, key: u64, stamp: u64) -> Bytes {
        let sizes = &self.shape.value_bytes;
        let room = (sizes.end() - sizes.start()) as u64 + 1;
        // The size depends on the key alone if it may leave no room for a stamp.
        let stamp = if *sizes.start() < STAMP_BYTES { 0 } else { stamp };
        let random = spread(spread(key) ^ stamp);
        let bytes = sizes.start() + (random % room) as usize;
        let offset = (random >> 32) as usize % POOL_BYTES;
        if *sizes.start() < STAMP_BYTES {
            return self.pool.slice(offset..offset + bytes);
        }
        let mut value = BytesMut::with_capacity(bytes);
        value.put_slice(format!("{stamp:016x}").as_bytes());
        value.put_slice(&self.pool[offset..offset + bytes - STAMP_BYTES]);
        value.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(value_bytes: RangeInclusive<usize>) -> Shape {
        Shape {
            mix: Mix::parse("get:1,set:1").unwrap(),
            distribution: Distribution::Uniform,
            keys: 100,
            key_prefix: "key:".to_owned(),
            key_bytes: 16,
            value_bytes,
            scan_limit: 10,
            seed: 7,
        }
    }

    #[test]
    fn a_mix_is_read_and_written() {
        for good in ["get:95,set:5", "scan:1", "set:1,get:0"] {
            assert_eq!(Mix::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(Mix::parse("get").unwrap().to_string(), "get:1");
        let many = "set:4294967295,get:4294967295";
        for bad in ["", "get:0", "put:1", "get:x", "get:1,get:2", "get:-1", "get:1,", many] {
            assert!(Mix::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_have_the_weights_of_the_mix() {
        let mix = Mix::parse("get:90,set:10").unwrap();
        let workload = Workload::new(Shape { mix, ..shape(256..=256) });
        let sets =
            (0..10_000).filter(|n| matches!(workload.request(*n), Request::Set { .. })).count();
        assert!((900..1100).contains(&sets), "{sets} of 10000");
    }

    #[test]
    fn a_request_depends_on_its_number_and_the_seed_alone() {
        let (a, b) = (Workload::new(shape(1..=300)), Workload::new(shape(1..=300)));
        let other = Workload::new(Shape { seed: 8, ..shape(1..=300) });
        let forwards: Vec<_> = (0..100).map(|n| a.request(n)).collect();
        let mut backwards: Vec<_> = (0..100).rev().map(|n| b.request(n)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        assert_ne!(forwards, (0..100).map(|n| other.request(n)).collect::<Vec<_>>());
    }

    #[test]
    fn keys_and_values_have_their_sizes() {
        for sizes in [0..=0, 1..=1, 15..=15, 16..=16, 256..=256, 0..=40, 20..=40] {
            let workload = Workload::new(shape(sizes.clone()));
            for n in 0..200 {
                let Request::Set { key, value } = workload.set(n, n + 1000) else { panic!() };
                assert_eq!(key, format!("key:{n:012}"));
                assert!(sizes.contains(&value.len()), "{} not in {sizes:?}", value.len());
                assert!(workload.is_right(n, &value), "{sizes:?}");
            }
        }
    }

    #[test]
    fn a_wrong_value_is_noticed() {
        let workload = Workload::new(shape(256..=256));
        let Request::Set { value, .. } = workload.set(5, 1) else { panic!() };
        assert!(!workload.is_right(6, &value), "that of another key");
        assert!(!workload.is_right(5, &value[..255]), "a short one");
        assert!(!workload.is_right(5, b""), "none");
        for position in [0, 15, 16, 255] {
            let mut torn = value.to_vec();
            torn[position] ^= 1;
            assert!(!workload.is_right(5, &torn), "byte {position}");
        }
    }
}
