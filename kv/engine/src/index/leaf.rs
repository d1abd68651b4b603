//! A leaf: an immutable page of keys with their versions.

use std::ops::Range;

use mutant::mutant;

use super::horizon::Horizon;
use super::keys::{Keys, KeysBuilder};

/// Most keys in a leaf. A write copies one leaf, so that a larger one costs writes and memory
/// traffic, and a smaller one costs memory for pointers. With this many keys of usual length the
/// arrays of a leaf stay below 1 KiB, up to where glibc's malloc keeps what is freed at hand.
pub(super) const LEAF_KEYS_MAX: usize = 40;

/// Most bytes of keys in a leaf that has more than one key.
const LEAF_BYTES_MAX: usize = 16 << 10;

/// What a key was set to by one write.
#[derive(Clone, Debug)]
pub(crate) struct Version<V> {
    /// The sequence number of the write.
    pub(crate) seq: u64,
    /// The value; `None` if the write removed the key.
    pub(crate) value: Option<V>,
}

/// A new version of a key.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a, V> {
    /// The key.
    pub(crate) key: &'a [u8],
    /// The value; `None` removes the key.
    pub(crate) value: Option<V>,
}

/// A replacement of the value of one version, which changes nothing that a reader may notice.
#[derive(Clone, Debug)]
pub(crate) struct Move<'a, V> {
    pub(crate) key: &'a [u8],
    pub(crate) seq: u64,
    pub(crate) from: V,
    pub(crate) to: V,
}

/// A version that is not the newest of its key.
#[derive(Clone, Debug)]
struct Older<V> {
    /// The position of the key.
    key: u32,
    version: Version<V>,
}

/// Keys in ascending order, each with its versions.
#[derive(Clone, Debug)]
pub(super) struct Leaf<V> {
    keys: Keys,
    /// The newest version of each key.
    newest: Vec<Version<V>>,
    /// The others: ascending by key, newest first. Most leaves have one or none.
    older: Vec<Older<V>>,
    /// How many of `newest` are removals.
    removed: u32,
}

impl<V: Clone> Leaf<V> {
    pub(super) fn new() -> Leaf<V> {
        LeafBuilder::with_capacity(0, 0).finish()
    }

    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    pub(super) fn key(&self, i: usize) -> &[u8] {
        self.keys.get(i)
    }

    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        self.keys.search(key)
    }

    fn older_range(&self, i: usize) -> Range<usize> {
        if self.older.is_empty() {
            return 0..0;
        }
        let start = self.older.partition_point(|older| (older.key as usize) < i);
        let more = self.older[start..].partition_point(|older| older.key as usize == i);
        start..start + more
    }

    /// The newest version of the key at `i`.
    pub(super) fn newest(&self, i: usize) -> &Version<V> {
        &self.newest[i]
    }

    /// The versions of the key at `i`, newest first.
    pub(super) fn versions(&self, i: usize) -> impl Iterator<Item = &Version<V>> {
        let older = self.older[self.older_range(i)].iter().map(|older| &older.version);
        std::iter::once(&self.newest[i]).chain(older)
    }

    /// The version of the key at `i` that a reader at `seq` sees, unless it is a removal.
    pub(super) fn visible(&self, i: usize, seq: u64) -> Option<(u64, &V)> {
        let version = match &self.newest[i] {
            newest if newest.seq <= seq => newest,
            _ => self.versions(i).find(|version| version.seq <= seq)?,
        };
        Some((version.seq, version.value.as_ref()?))
    }

    /// A copy of this leaf with changes, ascending by key, all of the write `seq`. Versions that
    /// nobody can see any more are left out. Calls `effect` with each key that was changed, its
    /// newest value before, and whether it has one now.
    pub(super) fn rewrite(
        &self,
        changes: &[Change<'_, V>],
        seq: u64,
        horizon: &Horizon,
        effect: &mut impl FnMut(&[u8], Option<&V>, bool),
    ) -> Leaf<V> {
        let bytes = changes.iter().map(|change| change.key.len()).sum::<usize>();
        let mut out =
            LeafBuilder::like(self, self.len() + changes.len(), self.keys.bytes() + bytes);
        let mut next = 0;
        for change in changes {
            let (at, found) = match self.search(change.key) {
                Ok(i) => (i, true),
                Err(i) => (i, false),
            };
            out.copy(self, next..at, horizon);
            next = at + usize::from(found);
            let before = if found { self.newest[at].value.as_ref() } else { None };
            effect(change.key, before, change.value.is_some());
            let version = Version { seq, value: change.value.clone() };
            if found {
                // An earlier change by the same write is never seen by anybody.
                let older = self.versions(at).skip_while(|older| older.seq == seq);
                out.push(change.key, Some(version), older, horizon);
            } else {
                out.push(change.key, Some(version), std::iter::empty(), horizon);
            }
        }
        out.copy(self, next..self.len(), horizon);
        out.finish()
    }

    /// The first key in a range of which a copy may leave something out; its end if there is none.
    fn shrinkable(&self, range: Range<usize>) -> usize {
        let older = self.older.partition_point(|older| (older.key as usize) < range.start);
        let older = self.older.get(older).map_or(range.end, |older| older.key as usize);
        let end = range.end.min(older);
        if self.removed == 0 {
            return end;
        }
        let removed = self.newest[range.start..end].iter().position(|v| v.value.is_none());
        removed.map_or(end, |i| range.start + i)
    }

    /// A copy without spare capacity.
    pub(super) fn packed(&self) -> Leaf<V> {
        self.part(0..self.len())
    }

    /// Some of the keys with all versions.
    fn part(&self, range: Range<usize>) -> Leaf<V> {
        let bytes = range.clone().map(|i| self.key(i).len()).sum();
        let mut out = LeafBuilder::like(self, range.len(), bytes);
        let older = self.older_range(range.start).start..self.older_range(range.end).start;
        out.older.extend(self.older[older].iter().map(|older| Older {
            key: older.key - range.start as u32,
            version: older.version.clone(),
        }));
        out.copy_newest(self, range);
        out.finish()
    }

    /// Whether the leaf should be split.
    pub(super) fn is_large(&self) -> bool {
        self.len() > LEAF_KEYS_MAX || (self.len() > 1 && self.keys.bytes() > LEAF_BYTES_MAX)
    }

    /// Cuts a large leaf into pieces: into full ones if keys arrive in ascending order (no room
    /// is needed in their middle), or else into ones with room to grow.
    pub(super) fn split(&self, ascending: bool) -> Vec<Leaf<V>> {
        let pieces = self.len().div_ceil(LEAF_KEYS_MAX).max(2);
        let keys = if ascending { LEAF_KEYS_MAX } else { self.len().div_ceil(pieces) };
        let bytes = if ascending { LEAF_BYTES_MAX } else { LEAF_BYTES_MAX / 2 };
        let mut leaves = Vec::with_capacity(pieces);
        let mut start = 0;
        while start < self.len() {
            let mut end = start;
            let mut size = 0;
            while end < self.len() && end - start < keys {
                size += self.key(end).len();
                if size > bytes && end > start {
                    break;
                }
                end += 1;
            }
            leaves.push(self.part(start..end));
            start = end;
        }
        leaves
    }
}

impl<V: Clone + PartialEq> Leaf<V> {
    /// A copy with values replaced where a version still has the one to be replaced. Calls
    /// `moved` for each move, with whether it changed the newest version of the key.
    pub(super) fn relocate(
        &self,
        moves: &[Move<'_, V>],
        moved: &mut impl FnMut(&Move<'_, V>, bool),
    ) -> Leaf<V> {
        let mut out = self.clone();
        for step in moves {
            let mut is_newest = false;
            if let Ok(i) = self.search(step.key) {
                let is = |version: &Version<V>| {
                    version.seq == step.seq && version.value.as_ref() == Some(&step.from)
                        || mutant!("merge-wins-over-later-write")
                };
                let older = out.older[self.older_range(i)].iter_mut();
                is_newest = is(&out.newest[i]);
                if is_newest {
                    out.newest[i].value = Some(step.to.clone());
                } else if let Some(older) = older.map(|o| &mut o.version).find(|v| is(v)) {
                    older.value = Some(step.to.clone());
                }
            }
            moved(step, is_newest);
        }
        out
    }
}

/// Puts a [`Leaf`] together.
#[derive(Debug)]
pub(super) struct LeafBuilder<V> {
    keys: KeysBuilder,
    newest: Vec<Version<V>>,
    older: Vec<Older<V>>,
    removed: u32,
}

impl<V: Clone> LeafBuilder<V> {
    pub(super) fn with_capacity(keys: usize, bytes: usize) -> LeafBuilder<V> {
        LeafBuilder::with(KeysBuilder::with_capacity(keys, bytes), keys)
    }

    /// A builder for a leaf whose keys mostly come from another.
    fn like(from: &Leaf<V>, keys: usize, bytes: usize) -> LeafBuilder<V> {
        LeafBuilder::with(KeysBuilder::like(&from.keys, keys, bytes), keys)
    }

    fn with(keys: KeysBuilder, len: usize) -> LeafBuilder<V> {
        LeafBuilder { keys, newest: Vec::with_capacity(len), older: Vec::new(), removed: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Whether no more keys should be appended, if a leaf is to have at most so many.
    pub(super) fn is_full(&self, keys: usize) -> bool {
        self.len() >= keys || self.keys.bytes() > LEAF_BYTES_MAX
    }

    pub(super) fn finish(self) -> Leaf<V> {
        let LeafBuilder { keys, newest, older, removed } = self;
        Leaf { keys: keys.finish(), newest, older, removed }
    }

    /// Appends a key with one version; the key must be above the last one.
    pub(super) fn append(&mut self, key: &[u8], seq: u64, value: V) {
        self.keys.push(key);
        self.newest.push(Version { seq, value: Some(value) });
    }

    /// Appends a key with its versions, as far as somebody may see them.
    fn push<'v>(
        &mut self,
        key: &[u8],
        change: Option<Version<V>>,
        versions: impl Iterator<Item = &'v Version<V>>,
        horizon: &Horizon,
    ) where
        V: 'v,
    {
        let at = self.newest.len();
        let first_older = self.older.len();
        self.newest.extend(change);
        let mut needed = horizon.needed();
        for version in versions.filter(|version| needed.is_needed(version.seq)).cloned() {
            if self.newest.len() == at {
                self.newest.push(version);
            } else {
                self.older.push(Older { key: at as u32, version });
            }
        }
        // A removal with nothing before it says the same as no version at all.
        while self.older.len() > first_older
            && self.older.last().is_some_and(|older| older.version.value.is_none())
        {
            self.older.pop();
        }
        let Some(newest) = self.newest.get(at) else { return };
        if newest.value.is_none() && self.older.len() == first_older {
            self.newest.pop();
            return;
        }
        self.removed += u32::from(newest.value.is_none());
        self.keys.push(key);
    }

    /// Appends keys of another leaf, as far as somebody may see them.
    fn copy(&mut self, from: &Leaf<V>, range: Range<usize>, horizon: &Horizon) {
        let mut start = range.start;
        while start < range.end {
            let end = from.shrinkable(start..range.end);
            self.copy_newest(from, start..end);
            if end < range.end {
                self.push(from.key(end), None, from.versions(end), horizon);
            }
            start = end + 1;
        }
    }

    /// Appends keys of another leaf with their newest versions.
    fn copy_newest(&mut self, from: &Leaf<V>, range: Range<usize>) {
        let newest = &from.newest[range.clone()];
        if from.removed > 0 {
            self.removed += newest.iter().filter(|v| v.value.is_none()).count() as u32;
        }
        self.keys.extend(&from.keys, range);
        self.newest.extend_from_slice(newest);
    }
}
