//! Values by their digest, so that a long value costs no more than a short one.
//!
//! A digest is two polynomials in the bytes, modulo the prime 2^61 - 1, and the length. The digest
//! of two values joined follows from theirs, which makes an append as cheap as a put.

const PRIME: u64 = (1 << 61) - 1;
/// Any two large numbers below the prime.
const BASES: [u64; 2] = [0x0b5c_e4d1_a27f_9c35, 0x1d3a_86f0_44e9_7b21];

/// No sums of a value: these are below the prime.
const UNOBSERVED: [u64; 2] = [u64::MAX; 2];

/// The value of a key, or its absence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Digest {
    pub(super) present: bool,
    pub(super) len: u64,
    sums: [u64; 2],
}

/// What must be known of a value to add it at the end of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    digest: Digest,
    powers: [u64; 2],
}

impl Digest {
    pub(super) const ABSENT: Digest = Digest { present: false, len: 0, sums: [0, 0] };

    pub(super) fn of(value: Option<&str>) -> Digest {
        let Some(value) = value else { return Digest::ABSENT };
        let sum = |base| {
            value.bytes().fold(0, |sum, byte| (times(sum, base) + u64::from(byte) + 1) % PRIME)
        };
        Digest { present: true, len: value.len() as u64, sums: BASES.map(sum) }
    }

    /// What stands for every value of a length that nobody observed.
    pub(super) fn unobserved(len: u64) -> Digest {
        Digest { present: true, len, sums: UNOBSERVED }
    }

    /// The value with a byte at its end.
    pub(super) fn push(self, byte: u8) -> Digest {
        let sum = |at: usize| (times(self.sums[at], BASES[at]) + u64::from(byte) + 1) % PRIME;
        Digest { present: true, len: self.len + 1, sums: [sum(0), sum(1)] }
    }

    /// The digests of the beginnings of a value, by their length.
    pub(super) fn beginnings(value: &str) -> Vec<Digest> {
        let mut all = vec![Digest::of(Some(""))];
        for byte in value.bytes() {
            all.push(all[all.len() - 1].push(byte));
        }
        all
    }

    /// The value with another at its end.
    pub(super) fn append(self, tail: &Tail) -> Digest {
        if self.sums == UNOBSERVED || tail.digest.sums == UNOBSERVED {
            return Digest::unobserved(self.len + tail.digest.len);
        }
        let join =
            |at: usize| (times(self.sums[at], tail.powers[at]) + tail.digest.sums[at]) % PRIME;
        Digest { present: true, len: self.len + tail.digest.len, sums: [join(0), join(1)] }
    }

    /// Words to hash.
    pub(super) fn words(&self) -> [u64; 2] {
        let tag = self.len << 1 | u64::from(self.present);
        [self.sums[0] ^ tag.rotate_left(40), self.sums[1] ^ tag]
    }
}

impl Tail {
    pub(super) fn of(value: &str) -> Tail {
        let power = |base| value.bytes().fold(1, |power, _| times(power, base));
        Tail { digest: Digest::of(Some(value)), powers: BASES.map(power) }
    }

    /// What stands for every value of a length that is a part of no observed one.
    pub(super) fn unobserved(len: u64) -> Tail {
        Tail { digest: Digest::unobserved(len), powers: [1, 1] }
    }
}

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // Both halves are below 2^61, as the factors are.
    let folded = (product >> 61) as u64 + (product as u64 & PRIME);
    folded % PRIME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_digests_is_joining_values() {
        for (head, tail) in [("", ""), ("a", ""), ("", "b"), ("hello ", "world"), ("\0", "\0\0")] {
            let joined = format!("{head}{tail}");
            let digest = Digest::of(Some(head)).append(&Tail::of(tail));
            assert_eq!(digest, Digest::of(Some(&joined)));
            assert_eq!(Digest::beginnings(&joined)[head.len()], Digest::of(Some(head)));
        }
        assert_eq!(Digest::ABSENT.append(&Tail::of("x")), Digest::of(Some("x")));
    }

    #[test]
    fn different_values_differ() {
        let values = [None, Some(""), Some("\0"), Some("\0\0"), Some("ab"), Some("ba")];
        for (at, one) in values.iter().enumerate() {
            for other in &values[at + 1..] {
                assert_ne!(Digest::of(*one), Digest::of(*other), "{one:?} {other:?}");
                assert_ne!(Digest::of(*one).words(), Digest::of(*other).words());
            }
        }
    }
}
