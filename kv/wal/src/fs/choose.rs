//! Who decides what a crash leaves behind: [`Choose`].
//!
//! A crash is a series of small questions ("is this sector old or new?"). [`Enumerate`] gives
//! every series of answers once; [`Seeded`] gives one that depends on its seed alone.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Answers questions with a number.
pub trait Choose {
    /// Picks one of `count` answers, 0 to `count - 1`; where they have an age, 0 is the oldest.
    ///
    /// # Panics
    /// May panic if `count` is 0.
    fn choose(&mut self, count: usize) -> usize;
}

/// Goes through every series of answers, one series a round, in depth-first order.
///
/// The first round answers 0 to everything. The number of questions, and of answers to one, may
/// depend on earlier answers, but on nothing else.
///
/// ```
/// use tinykv_wal::{Choose, Enumerate};
/// let mut seen = Vec::new();
/// let mut every = Enumerate::new();
/// loop {
///     seen.push((every.choose(2), every.choose(3)));
///     if !every.advance() {
///         break;
///     }
/// }
/// assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Enumerate {
    /// The answers of this round and out of how many, in order.
    path: Vec<(usize, usize)>,
    /// The next question.
    at: usize,
}

impl Enumerate {
    /// At the first round.
    #[must_use]
    pub fn new() -> Enumerate {
        Enumerate::default()
    }

    /// Starts the next round; false if this one was the last.
    pub fn advance(&mut self) -> bool {
        self.path.truncate(self.at);
        self.at = 0;
        while let Some((answer, count)) = self.path.pop() {
            if answer + 1 < count {
                self.path.push((answer + 1, count));
                return true;
            }
        }
        false
    }
}

impl Choose for Enumerate {
    fn choose(&mut self, count: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, count));
        }
        let (answer, asked) = self.path[self.at];
        assert_eq!(asked, count, "question {} is not the one of the last round", self.at);
        self.at += 1;
        answer
    }
}

/// Answers at random, the same for the same seed.
///
/// Each seed leans its own way, from "mostly the oldest answer" to "mostly the newest": evenly
/// mixed answers alone would hardly ever lose one sector of a hundred.
#[derive(Debug)]
pub struct Seeded {
    rng: StdRng,
    /// How often the answer is the oldest, and how often oldest or newest, in percent.
    oldest: u32,
    extreme: u32,
}

impl Seeded {
    /// The answers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Seeded {
        let mut rng = StdRng::seed_from_u64(seed);
        let extreme = [0, 60, 90, 100][rng.random_range(0..4)];
        let oldest = extreme * [0, 5, 50, 95, 100][rng.random_range(0..5)] / 100;
        Seeded { rng, oldest, extreme }
    }
}

impl Choose for Seeded {
    fn choose(&mut self, count: usize) -> usize {
        let percent = self.rng.random_range(0..100);
        if percent < self.oldest {
            0
        } else if percent < self.extreme {
            count - 1
        } else {
            self.rng.random_range(0..count)
        }
    }
}

/// Gives `usual` (the oldest or the newest answer) to every question but one.
#[derive(Clone, Debug)]
pub(super) struct AllBut {
    /// Whether the usual answer is the newest.
    pub(super) newest: bool,
    /// The question that gets the other extreme, counted from 0; past the last one: none.
    pub(super) question: usize,
    /// The questions so far.
    pub(super) asked: usize,
}

impl Choose for AllBut {
    fn choose(&mut self, count: usize) -> usize {
        let newest = self.newest != (self.asked == self.question);
        self.asked += 1;
        if newest { count - 1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_questions_may_depend_on_earlier_answers() {
        let mut every = Enumerate::new();
        let mut seen = Vec::new();
        loop {
            let first = every.choose(3);
            seen.push((first, if first == 1 { every.choose(2) } else { 9 }));
            if !every.advance() {
                break;
            }
        }
        assert_eq!(seen, [(0, 9), (1, 0), (1, 1), (2, 9)]);
    }

    #[test]
    fn a_seed_repeats_itself() {
        let series = |seed| {
            let mut seeded = Seeded::new(seed);
            (0..100).map(|n| seeded.choose(n + 1)).collect::<Vec<_>>()
        };
        assert_eq!(series(7), series(7));
        let distinct: std::collections::BTreeSet<_> = (0..50).map(series).collect();
        assert!(distinct.len() > 30, "seeds differ: {}", distinct.len());
        assert!((0..50).any(|seed| series(seed).iter().all(|answer| *answer == 0)));
    }
}
