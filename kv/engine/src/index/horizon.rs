//! Which moments readers still look at: the registry of views, and what follows from it for old
//! versions.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places in one block of the registry.
const BLOCK: usize = 64;

/// The place is not taken.
const FREE: u64 = u64::MAX;

/// The place is taken by a view that has not chosen its sequence number yet.
const PENDING: u64 = u64::MAX - 1;

/// The sequence numbers of all open views, in a list of blocks that only grows.
///
/// A view takes a place by writing `PENDING` into it, reads the visible sequence number after
/// that, and writes it into the place. A writer that collects the places either sees the view, or
/// collected before the view read the number, so that the view's number is not below the
/// writer's visible one. All of these operations are sequentially consistent, therefore "either
/// or" holds. Nobody waits for anybody.
#[derive(Debug)]
pub(super) struct Registry {
    places: [AtomicU64; BLOCK],
    more: OnceLock<Box<Registry>>,
}

impl Registry {
    pub(super) fn new() -> Registry {
        Registry { places: [const { AtomicU64::new(FREE) }; BLOCK], more: OnceLock::new() }
    }

    /// Takes a place for the sequence number that `visible` returns, and returns both.
    pub(super) fn register(&self, visible: &AtomicU64) -> (usize, u64) {
        let (number, place) = self.take(0);
        let seq = visible.load(Ordering::SeqCst);
        place.store(seq, Ordering::SeqCst);
        (number, seq)
    }

    fn take(&self, base: usize) -> (usize, &AtomicU64) {
        for (i, place) in self.places.iter().enumerate() {
            if place.load(Ordering::Relaxed) == FREE
                && place
                    .compare_exchange(FREE, PENDING, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
            {
                return (base + i, place);
            }
        }
        self.more.get_or_init(|| Box::new(Registry::new())).take(base + BLOCK)
    }

    /// Gives a place back.
    pub(super) fn release(&self, number: usize) {
        let mut block = self;
        for _ in 0..number / BLOCK {
            block = block.more.get().expect("a place was taken in this block");
        }
        block.places[number % BLOCK].store(FREE, Ordering::SeqCst);
    }

    /// What readers can see while `visible` is the newest published write.
    pub(super) fn horizon(&self, visible: u64) -> Horizon {
        let mut seqs = vec![visible];
        let mut pending = false;
        let mut block = Some(self);
        while let Some(registry) = block {
            for place in &registry.places {
                match place.load(Ordering::SeqCst) {
                    FREE => {}
                    PENDING => pending = true,
                    seq => seqs.push(seq),
                }
            }
            block = registry.more.get().map(|more| &**more);
        }
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        seqs.dedup();
        Horizon { seqs, pending }
    }
}

/// The sequence numbers at which somebody may read.
#[derive(Clone, Debug)]
pub(crate) struct Horizon {
    /// Descending. The first is the newest published write at least: no reader of the future is
    /// below it.
    seqs: Vec<u64>,
    /// Whether a view exists whose number is not known: everything is needed.
    pending: bool,
}

impl Horizon {
    /// A horizon of readers that all stand at one moment.
    #[cfg(test)]
    pub(super) fn at(seq: u64) -> Horizon {
        Horizon { seqs: vec![seq], pending: false }
    }

    /// The oldest moment at which somebody may read.
    pub(crate) fn oldest(&self) -> u64 {
        if self.pending { 0 } else { self.seqs.last().copied().unwrap_or(0) }
    }

    /// Decides about the versions of one key, asked about them from the newest to the oldest.
    pub(super) fn needed(&self) -> Needed<'_> {
        Needed { seqs: &self.seqs, newest: self.seqs.first().copied(), pending: self.pending }
    }
}

/// See [`Horizon::needed`].
#[derive(Debug)]
pub(super) struct Needed<'a> {
    /// Readers that have not found their version yet; descending.
    seqs: &'a [u64],
    newest: Option<u64>,
    pending: bool,
}

impl Needed<'_> {
    /// Whether somebody may see the version of this sequence number, which is below all that were
    /// asked about before.
    pub(super) fn is_needed(&mut self, seq: u64) -> bool {
        if self.pending || self.newest.is_some_and(|newest| seq > newest) {
            return true;
        }
        let served = self.seqs.partition_point(|&reader| reader >= seq);
        self.seqs = &self.seqs[served..];
        served > 0
    }
}
