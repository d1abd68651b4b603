//! The ordered, multi-version index in memory that both engines stand on.
//!
//! ```text
//!   root            one page per column family: low keys -> chunks
//!     chunk         some hundred low keys -> places of leaves
//!       leaf        up to 40 keys with their versions, in three flat arrays; never changed
//! ```
//!
//! Each arrow is an atomic pointer. A write copies one leaf and swaps the pointer to it; where a
//! leaf grows too large, new places for its parts go into a copy of the chunk's page, and where a
//! chunk does, new chunks go into a copy of the root. Readers follow the pointers and wait for
//! nobody. One thread at a time writes, under [`Index::write`].
//!
//! Every version carries the sequence number of its write. `visible` is the newest one that
//! readers may see. It is raised after all leaves of a write are in place: this is what makes a
//! batch appear at once in all column families.
//!
//! # Why a point read is linearizable
//!
//! [`Index::get`] loads root, chunk, leaf, and *then* `visible`, and takes the newest version that
//! is not above it. Say the leaf was current at the moment `t`, which lies within the read.
//!
//! - The leaf holds, for its keys, the newest version that was visible at `t`: versions leave a
//!   leaf only when a later version was visible before (see below).
//! - If the version found was visible at `t`, nothing newer in the leaf was, and the read takes
//!   effect at `t`. If it was not, it became visible between `t` and the load of `visible`, by the
//!   same store as any newer one of that group of writes, which did not answer their callers at
//!   `t`. The read takes effect between the two.
//! - A reader may hold an old page of a chunk, or an old chunk of an old root. All places in it
//!   that were not split are shared with the new pages, so that writes arrive there. The place of
//!   a split leaf stays as it was, and is out of date; but the reader loaded the page that names
//!   it before the split, within the read. The moment of the split takes the part of `t`.
//!   For this reason a split never reuses the place, for it would lack one half of the keys.
//!
//! # Why a view is stable
//!
//! A view registers before it reads `visible`, as [`horizon`] explains, and loads pages after
//! that. All pages that it may meet, split ones included, were current after the registration,
//! and hold the versions that it needs. A cursor may therefore keep pages for any time.
//!
//! # When versions go
//!
//! Only when a leaf is copied anyway. A version stays if it is above `visible`, or if it is the
//! newest one for some registered view or for `visible`. A removal with nothing older goes too.

mod cursor;
mod horizon;
mod keys;
mod leaf;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

pub(crate) use cursor::Cursor;
pub(crate) use horizon::Horizon;
pub(crate) use leaf::{Change, Move};

use crate::{Cf, Direction, Range};
use tree::{Builder, Tree};

/// An index; see the module.
#[derive(Debug)]
pub(crate) struct Index<V> {
    trees: [Tree<V>; Cf::ALL.len()],
    visible: AtomicU64,
    registry: horizon::Registry,
    writer: Mutex<()>,
}

impl<V: Clone> Index<V> {
    pub(crate) fn new() -> Index<V> {
        Index::with_trees(std::array::from_fn(|_| Tree::new()), 0)
    }

    fn with_trees(trees: [Tree<V>; Cf::ALL.len()], visible: u64) -> Index<V> {
        Index {
            trees,
            visible: AtomicU64::new(visible),
            registry: horizon::Registry::new(),
            writer: Mutex::new(()),
        }
    }

    fn tree(&self, cf: Cf) -> &Tree<V> {
        &self.trees[cf.index()]
    }

    /// The newest write that readers see.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::SeqCst)
    }

    /// The newest value of a key, with the sequence number of its write.
    pub(crate) fn get(&self, cf: Cf, key: &[u8]) -> Option<(u64, V)> {
        self.tree(cf).with_leaf(key, |leaf| {
            let i = leaf.search(key).ok()?;
            let visible = self.visible.load(Ordering::Acquire);
            leaf.visible(i, visible).map(|(seq, value)| (seq, value.clone()))
        })
    }

    /// The value of a key at `seq`, at which a view must be registered.
    pub(crate) fn get_at(&self, cf: Cf, key: &[u8], seq: u64) -> Option<(u64, V)> {
        self.tree(cf).with_leaf(key, |leaf| {
            let i = leaf.search(key).ok()?;
            leaf.visible(i, seq).map(|(seq, value)| (seq, value.clone()))
        })
    }

    /// Whether somebody at the horizon or later may see the version of a key that the write `seq`
    /// made, and that has a value that `is` accepts.
    pub(crate) fn is_needed(
        &self,
        cf: Cf,
        key: &[u8],
        seq: u64,
        horizon: &Horizon,
        is: impl Fn(&V) -> bool,
    ) -> bool {
        self.tree(cf).with_leaf(key, |leaf| {
            let Ok(i) = leaf.search(key) else { return false };
            let mut needed = horizon.needed();
            leaf.versions(i).any(|version| {
                needed.is_needed(version.seq)
                    && version.seq == seq
                    && version.value.as_ref().is_some_and(&is)
            })
        })
    }

    /// Walks over a range as it was at `seq`, at which a view must be registered.
    pub(crate) fn cursor(&self, cf: Cf, seq: u64, range: Range, way: Direction) -> Cursor<V> {
        Cursor::new(self.tree(cf), seq, range, way)
    }

    /// Registers a view of what is visible now.
    pub(crate) fn view(self: &Arc<Self>) -> Pin<V> {
        let (place, seq) = self.registry.register(&self.visible);
        Pin { index: Arc::clone(self), place, seq }
    }

    /// What readers can see now.
    pub(crate) fn horizon(&self) -> Horizon {
        self.registry.horizon(self.visible())
    }

    /// Waits for other writers, and starts to write.
    pub(crate) fn write(&self) -> Writer<'_, V> {
        let guard = self.writer.lock();
        Writer { index: self, horizon: self.horizon(), _guard: guard }
    }
}

/// A registered view: until it is dropped, versions that it sees stay.
#[derive(Debug)]
pub(crate) struct Pin<V> {
    pub(crate) index: Arc<Index<V>>,
    place: usize,
    /// The newest write that the view sees.
    pub(crate) seq: u64,
}

impl<V> Drop for Pin<V> {
    fn drop(&mut self) {
        self.index.registry.release(self.place);
    }
}

/// The right to write to an index.
#[derive(Debug)]
pub(crate) struct Writer<'a, V> {
    index: &'a Index<V>,
    horizon: Horizon,
    _guard: MutexGuard<'a, ()>,
}

impl<V: Clone> Writer<'_, V> {
    /// Applies changes, ascending by key, all of the write `seq`, which must be above `visible`.
    /// Calls `effect` with each key that was changed, its newest value before, and whether it has
    /// one now.
    pub(crate) fn apply(
        &mut self,
        cf: Cf,
        changes: &[Change<'_, V>],
        seq: u64,
        mut effect: impl FnMut(&[u8], Option<&V>, bool),
    ) {
        self.index.tree(cf).apply(changes, seq, &self.horizon, &mut effect);
    }

    /// Removes the live keys of a range as part of the write `seq`.
    pub(crate) fn delete_range(
        &mut self,
        cf: Cf,
        range: &Range,
        seq: u64,
        mut effect: impl FnMut(&[u8], Option<&V>, bool),
    ) {
        let (start, end) = (&range.start[..], range.end.as_deref());
        self.index.tree(cf).delete_range(start, end, seq, &self.horizon, &mut effect);
    }

    /// Lets readers see all writes up to `seq`.
    pub(crate) fn publish(self, seq: u64) {
        debug_assert!(seq >= self.index.visible(), "the visible sequence number never falls");
        self.index.visible.store(seq, Ordering::SeqCst);
    }
}

impl<V: Clone + PartialEq> Writer<'_, V> {
    /// Replaces the values of versions, in moves ascending by key, where they are still there.
    pub(crate) fn relocate(
        &mut self,
        cf: Cf,
        moves: &[Move<'_, V>],
        mut moved: impl FnMut(&Move<'_, V>, bool),
    ) {
        self.index.tree(cf).relocate(moves, &mut moved);
    }
}

/// Builds an index from keys in ascending order.
#[derive(Debug)]
pub(crate) struct Loader<V> {
    builders: [Builder<V>; Cf::ALL.len()],
}

impl<V: Clone> Loader<V> {
    pub(crate) fn new() -> Loader<V> {
        Loader { builders: std::array::from_fn(|_| Builder::new()) }
    }

    /// Adds a key, above all others of its column family.
    pub(crate) fn push(&mut self, cf: Cf, key: &[u8], seq: u64, value: V) {
        self.builders[cf.index()].push(key, seq, value);
    }

    /// The index, in which all writes up to `visible` can be seen.
    pub(crate) fn finish(self, visible: u64) -> Index<V> {
        Index::with_trees(self.builders.map(Builder::finish), visible)
    }
}

#[cfg(test)]
mod tests;
