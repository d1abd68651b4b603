//! The three levels of the index: root, chunks, leaves.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::horizon::Horizon;
use super::keys::{Keys, KeysBuilder};
use super::leaf::{Change, LEAF_KEYS_MAX, Leaf, LeafBuilder, Move};

/// Most leaves in a chunk.
const CHUNK_LEAVES_MAX: usize = 256;

/// An inner page: children, and the lowest key that each may hold (that of the first does not
/// count: it also holds everything below).
#[derive(Debug)]
pub(super) struct Fan<T> {
    lows: Keys,
    children: Vec<Arc<T>>,
}

/// Puts a [`Fan`] together.
struct FanBuilder<T> {
    lows: KeysBuilder,
    children: Vec<Arc<T>>,
}

impl<T> FanBuilder<T> {
    fn with_capacity(children: usize) -> FanBuilder<T> {
        let lows = KeysBuilder::with_capacity(children, 0);
        FanBuilder { lows, children: Vec::with_capacity(children) }
    }

    /// A builder for a page whose children mostly come from another.
    fn like(from: &Fan<T>, children: usize) -> FanBuilder<T> {
        let lows = KeysBuilder::like(&from.lows, children, from.lows.bytes());
        FanBuilder { lows, children: Vec::with_capacity(children) }
    }

    fn push(&mut self, low: &[u8], child: Arc<T>) {
        self.lows.push(low);
        self.children.push(child);
    }

    fn extend(&mut self, from: &Fan<T>, range: std::ops::Range<usize>) {
        self.lows.extend(&from.lows, range.clone());
        self.children.extend_from_slice(&from.children[range]);
    }

    fn finish(self) -> Fan<T> {
        Fan { lows: self.lows.finish(), children: self.children }
    }
}

impl<T> Fan<T> {
    /// A copy in which `with` stands instead of the child at `i`.
    fn replace(&self, i: usize, with: impl IntoIterator<Item = (Vec<u8>, Arc<T>)>) -> Fan<T> {
        let mut out = FanBuilder::like(self, self.children.len() + 1);
        out.extend(self, 0..i);
        for (low, child) in with {
            out.push(&low, child);
        }
        out.extend(self, i + 1..self.children.len());
        out.finish()
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    pub(super) fn child(&self, i: usize) -> &T {
        &self.children[i]
    }

    /// The child that holds a key if any does.
    pub(super) fn find(&self, key: &[u8]) -> usize {
        self.lows.floor(key)
    }

    /// The first key that the child at `i` cannot hold, as far as this page knows.
    fn high(&self, i: usize) -> Option<&[u8]> {
        (i + 1 < self.len()).then(|| self.lows.get(i + 1))
    }
}

/// The place of a leaf. A place whose leaf was split is never written again.
pub(super) type Place<V> = ArcSwap<Leaf<V>>;

/// Some hundred leaves. A chunk that was split is never written again.
pub(super) struct Chunk<V> {
    pub(super) page: ArcSwap<Fan<Place<V>>>,
}

impl<V> fmt::Debug for Chunk<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("leaves", &self.page.load().len()).finish()
    }
}

/// The root page.
pub(super) type Root<V> = Fan<Chunk<V>>;

/// An ordered map from keys to versions, written by one and read by many.
pub(super) struct Tree<V> {
    root: ArcSwap<Root<V>>,
}

impl<V> fmt::Debug for Tree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("chunks", &self.root.load().len()).finish()
    }
}

impl<V: Clone> Tree<V> {
    pub(super) fn new() -> Tree<V> {
        Tree::from_leaves(vec![Leaf::new()])
    }

    /// A tree of leaves that are in order.
    pub(super) fn from_leaves(mut leaves: Vec<Leaf<V>>) -> Tree<V> {
        if leaves.is_empty() {
            leaves.push(Leaf::new());
        }
        let mut root = FanBuilder::with_capacity(leaves.len() / CHUNK_LEAVES_MAX + 1);
        let mut leaves = leaves.into_iter().peekable();
        let mut first = true;
        while leaves.peek().is_some() {
            let mut page = FanBuilder::with_capacity(CHUNK_LEAVES_MAX);
            let mut chunk_low = Vec::new();
            for leaf in leaves.by_ref().take(CHUNK_LEAVES_MAX * 3 / 4) {
                let low = if first { Vec::new() } else { leaf.key(0).to_vec() };
                first = false;
                page.push(&low, Arc::new(ArcSwap::from_pointee(leaf)));
                if page.children.len() == 1 {
                    chunk_low = low;
                }
            }
            let page = ArcSwap::from_pointee(page.finish());
            root.push(&chunk_low, Arc::new(Chunk { page }));
        }
        Tree { root: ArcSwap::from_pointee(root.finish()) }
    }

    /// The root page as it is now.
    pub(super) fn root(&self) -> Arc<Root<V>> {
        self.root.load_full()
    }

    /// Calls `read` with the leaf that holds a key if any does.
    pub(super) fn with_leaf<R>(&self, key: &[u8], read: impl FnOnce(&Leaf<V>) -> R) -> R {
        let root = self.root.load();
        let page = root.child(root.find(key)).page.load();
        let leaf = page.child(page.find(key)).load();
        read(&leaf)
    }

    /// Applies changes, ascending by key, all of the write `seq`. Only one thread may write.
    pub(super) fn apply(
        &self,
        mut changes: &[Change<'_, V>],
        seq: u64,
        horizon: &Horizon,
        effect: &mut impl FnMut(&[u8], Option<&V>, bool),
    ) {
        while let Some(first) = changes.first() {
            let path = self.path(first.key);
            let count = path.count(changes, |change| change.key);
            let (now, later) = changes.split_at(count);
            let old = path.place().load();
            let new = old.rewrite(now, seq, horizon, effect);
            let ascending = old.len() > 0 && now[0].key > old.key(old.len() - 1);
            self.store(&path, new, ascending);
            changes = later;
        }
    }

    /// Removes the live keys of a range, as part of the write `seq`.
    pub(super) fn delete_range(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        seq: u64,
        horizon: &Horizon,
        effect: &mut impl FnMut(&[u8], Option<&V>, bool),
    ) {
        let mut next = Some(start.to_vec());
        while let Some(from) = next {
            if end.is_some_and(|end| &from[..] >= end) {
                break;
            }
            let path = self.path(&from);
            let leaf = path.place().load_full();
            let first = leaf.search(&from).unwrap_or_else(|i| i);
            let changes: Vec<Change<'_, V>> = (first..leaf.len())
                .take_while(|&i| end.is_none_or(|end| leaf.key(i) < end))
                .filter(|&i| leaf.newest(i).value.is_some())
                .map(|i| Change { key: leaf.key(i), value: None })
                .collect();
            next = path.high();
            if !changes.is_empty() {
                let new = leaf.rewrite(&changes, seq, horizon, effect);
                self.store(&path, new, false);
            }
        }
    }

    fn path(&self, key: &[u8]) -> Path<V> {
        let root = self.root.load_full();
        let chunk = root.find(key);
        let page = root.child(chunk).page.load_full();
        let leaf = page.find(key);
        Path { root, chunk, page, leaf }
    }

    /// Puts a new leaf in the place of an old one.
    fn store(&self, path: &Path<V>, new: Leaf<V>, ascending: bool) {
        if new.len() == 0 && path.page.len() > 1 {
            self.store_page(path, path.page.without(path.leaf));
        } else if new.is_large() {
            let leaves = new.split(ascending);
            let with = leaves.into_iter().enumerate().map(|(i, leaf)| {
                let low = if i == 0 { path.page.lows.get(path.leaf) } else { leaf.key(0) };
                (low.to_vec(), Arc::new(ArcSwap::from_pointee(leaf)))
            });
            self.store_page(path, path.page.replace(path.leaf, with));
        } else {
            path.place().store(Arc::new(new));
        }
    }

    /// Puts a new page in the place of a chunk's old one.
    fn store_page(&self, path: &Path<V>, page: Fan<Place<V>>) {
        if page.len() <= CHUNK_LEAVES_MAX {
            path.root.child(path.chunk).page.store(Arc::new(page));
            return;
        }
        // The new chunks share the places of the leaves with the old one: a reader that is still
        // in the old chunk sees what is written through the new ones.
        let ascending = path.leaf + 1 == path.page.len();
        let most = if ascending { CHUNK_LEAVES_MAX * 7 / 8 } else { page.len().div_ceil(2) };
        let with = (0..page.len()).step_by(most.max(1)).map(|start| {
            let end = (start + most).min(page.len());
            let mut part = FanBuilder::like(&page, end - start);
            part.extend(&page, start..end);
            let low =
                if start == 0 { path.root.lows.get(path.chunk) } else { page.lows.get(start) };
            (low.to_vec(), Arc::new(Chunk { page: ArcSwap::from_pointee(part.finish()) }))
        });
        self.root.store(Arc::new(path.root.replace(path.chunk, with)));
    }
}

impl<V: Clone + PartialEq> Tree<V> {
    /// Replaces values, in moves ascending by key; see [`Leaf::relocate`].
    pub(super) fn relocate(
        &self,
        mut moves: &[Move<'_, V>],
        moved: &mut impl FnMut(&Move<'_, V>, bool),
    ) {
        while let Some(first) = moves.first() {
            let path = self.path(first.key);
            let (now, later) = moves.split_at(path.count(moves, |step| step.key));
            let new = path.place().load().relocate(now, moved);
            path.place().store(Arc::new(new));
            moves = later;
        }
    }
}

impl<T> Fan<T> {
    /// A copy without the child at `i`, whose keys go to a neighbour.
    fn without(&self, i: usize) -> Fan<T> {
        let mut out = FanBuilder::with_capacity(self.len() - 1);
        for (at, child) in self.children.iter().enumerate().filter(|&(at, _)| at != i) {
            // The first child stands for everything below the second, whatever its low is.
            let low = if out.children.is_empty() { self.lows.get(0) } else { self.lows.get(at) };
            out.push(low, Arc::clone(child));
        }
        out.finish()
    }
}

/// The way from the root to a leaf, as the writer found it.
struct Path<V> {
    root: Arc<Root<V>>,
    chunk: usize,
    page: Arc<Fan<Place<V>>>,
    leaf: usize,
}

impl<V> Path<V> {
    fn place(&self) -> &Place<V> {
        self.page.child(self.leaf)
    }

    fn high_ref(&self) -> Option<&[u8]> {
        self.page.high(self.leaf).or_else(|| self.root.high(self.chunk))
    }

    /// The first key after this leaf's range; `None` if it goes to the last key.
    fn high(&self) -> Option<Vec<u8>> {
        self.high_ref().map(<[u8]>::to_vec)
    }

    /// How many of the items, ascending by key, belong into this leaf.
    fn count<I>(&self, items: &[I], key: impl Fn(&I) -> &[u8]) -> usize {
        match self.high_ref() {
            _ if items.len() == 1 => 1,
            Some(high) => items.partition_point(|item| key(item) < high),
            None => items.len(),
        }
    }
}

/// Builds a tree from keys in ascending order.
#[derive(Debug)]
pub(super) struct Builder<V> {
    full: Vec<Leaf<V>>,
    leaf: LeafBuilder<V>,
}

impl<V: Clone> Builder<V> {
    pub(super) fn new() -> Builder<V> {
        Builder { full: Vec::new(), leaf: LeafBuilder::with_capacity(0, 0) }
    }

    pub(super) fn push(&mut self, key: &[u8], seq: u64, value: V) {
        // A little room is left, so that the first writes do not split every leaf.
        if self.leaf.is_full(LEAF_KEYS_MAX * 7 / 8) {
            self.cut();
        }
        self.leaf.append(key, seq, value);
    }

    fn cut(&mut self) {
        let next = LeafBuilder::with_capacity(LEAF_KEYS_MAX, 0);
        let leaf = std::mem::replace(&mut self.leaf, next);
        self.full.push(leaf.finish().packed());
    }

    pub(super) fn finish(mut self) -> Tree<V> {
        if self.leaf.len() > 0 {
            self.cut();
        }
        Tree::from_leaves(self.full)
    }
}
