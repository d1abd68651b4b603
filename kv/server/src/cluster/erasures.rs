//! Which keys are being erased on this store, so that no read answers from data that is going.
//!
//! A reader that has passed the barrier of its region comes to the engine a little later. Meanwhile
//! the apply thread may destroy the region here, or put a snapshot in the place of its data, and the
//! engine has nothing of it, or half. So each erasure is announced before it begins, and a reader
//! asks afterwards:
//!
//! ```text
//!  reader    moment ──── barrier is passed ──── reads the engine ──── is_intact?
//!  applier             begin ──── writes to the engine ──── end
//! ```
//!
//! Why that is enough: [`Erasures::is_intact`] finds no erasure of these keys that has begun and had
//! not ended at the reader's moment. So each one begins after that question, and what was read had
//! nothing of it: a reader that sees a write of the engine sees what the writer did before it. Or it
//! ended before the moment. Then the barrier was asked for after it, and is passed only by readers of
//! a region that is here: one that was destroyed is not, one that got a snapshot is whole, and one
//! that came back has its data from a later snapshot.
//!
//! Only the newest erasures are remembered; a reader from before them is told to ask again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::Range;
use mutant::mutant;
use parking_lot::Mutex;

use crate::store::Reach;

/// How many erasures are remembered.
const REMEMBERED_MAX: usize = 64;

/// How many erasures had ended at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

/// The erasures of a store. One thread at a time erases.
#[derive(Debug, Default)]
pub(crate) struct Erasures {
    /// How many have begun; in [ended, ended + 1].
    begun: AtomicU64,
    ended: AtomicU64,
    /// The newest, the last one at the end: what each erases.
    newest: Mutex<VecDeque<Vec<Range>>>,
}

/// An erasure that goes on until this is dropped.
#[derive(Debug)]
pub(crate) struct Erasing<'a>(&'a Erasures);

impl Drop for Erasing<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

impl Erasures {
    /// Announces that these of the engine's keys will be erased.
    pub(crate) fn begin(&self, ranges: Vec<Range>) -> Erasing<'_> {
        let mut newest = self.newest.lock();
        newest.push_back(ranges);
        if newest.len() > REMEMBERED_MAX {
            newest.pop_front();
        }
        self.begun.fetch_add(1, Ordering::Release);
        Erasing(self)
    }

    /// Now, for one who is about to wait at a barrier.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.ended.load(Ordering::Acquire))
    }

    /// Whether nothing of these keys was being erased at that moment or has been since.
    pub(crate) fn is_intact(&self, reach: impl FnOnce() -> Reach, since: Moment) -> bool {
        let Moment(since) = since;
        if self.begun.load(Ordering::Acquire) == since || mutant!("erased-keys-read") {
            return true;
        }
        let newest = self.newest.lock();
        let forgotten = self.begun.load(Ordering::Acquire) - newest.len() as u64;
        let Some(known) = since.checked_sub(forgotten) else { return false };
        let reach = reach();
        let mut later = newest.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)).flatten();
        !later.any(|range| touches(range, &reach))
    }
}

/// Whether some of these keys are in a range.
fn touches(range: &Range, reach: &Reach) -> bool {
    match reach {
        Reach::Key(key) => range.contains(key),
        Reach::Keys(keys) => keys.iter().any(|key| range.contains(key)),
        Reach::Range { range: read, .. } => {
            let ends_before = |one: &Range, other: &Range| {
                one.end.as_ref().is_some_and(|end| *end <= other.start)
            };
            !ends_before(range, read) && !ends_before(read, range)
        }
    }
}

#[cfg(test)]
mod tests;
