//! A leaf: an immutable page of keys with their versions.

use std::ops::Range;

use super::horizon::Horizon;
use super::keys::Keys;

/// Most keys in a leaf. A write copies one leaf, so that a larger one costs writes and memory
/// traffic, and a smaller one costs memory for pointers.
pub(super) const LEAF_KEYS_MAX: usize = 64;

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

/// Keys in ascending order, each with its versions, newest first.
#[derive(Clone, Debug)]
pub(super) struct Leaf<V> {
    keys: Keys,
    /// Where the versions of each key start; ascending, one place a key.
    firsts: Vec<u32>,
    versions: Vec<Version<V>>,
    /// Whether some key has more than one version, or was removed: a copy may leave things out.
    shrinkable: bool,
}

impl<V: Clone> Leaf<V> {
    pub(super) fn new() -> Leaf<V> {
        Leaf::with_capacity(0, 0, 0)
    }

    fn with_capacity(keys: usize, bytes: usize, versions: usize) -> Leaf<V> {
        Leaf {
            keys: Keys::with_capacity(keys, bytes),
            firsts: Vec::with_capacity(keys),
            versions: Vec::with_capacity(versions),
            shrinkable: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn key(&self, i: usize) -> &[u8] {
        self.keys.get(i)
    }

    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        self.keys.search(key)
    }

    fn versions_range(&self, i: usize) -> Range<usize> {
        let end = self.firsts.get(i + 1).map_or(self.versions.len(), |&end| end as usize);
        self.firsts[i] as usize..end
    }

    /// The versions of the key at `i`, newest first.
    pub(super) fn versions(&self, i: usize) -> &[Version<V>] {
        &self.versions[self.versions_range(i)]
    }

    /// The version of the key at `i` that a reader at `seq` sees, unless it is a removal.
    pub(super) fn visible(&self, i: usize, seq: u64) -> Option<(u64, &V)> {
        let version = self.versions(i).iter().find(|version| version.seq <= seq)?;
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
        let mut out = Leaf::with_capacity(
            self.len() + changes.len(),
            self.keys.bytes() + bytes,
            self.versions.len() + changes.len(),
        );
        let mut next = 0;
        for change in changes {
            let (at, found) = match self.search(change.key) {
                Ok(i) => (i, true),
                Err(i) => (i, false),
            };
            out.copy(self, next..at, horizon);
            next = at + usize::from(found);
            let older = if found { self.versions(at) } else { &[] };
            let before = older.first().and_then(|version| version.value.as_ref());
            effect(change.key, before, change.value.is_some());
            if change.value.is_some() || !older.is_empty() {
                // An earlier change by the same write is never seen by anybody.
                let same = older.iter().take_while(|version| version.seq == seq).count();
                let older = &older[same..];
                let version = Version { seq, value: change.value.clone() };
                out.push(change.key, Some(version), older, horizon);
            }
        }
        out.copy(self, next..self.len(), horizon);
        out
    }

    /// Appends a key with its versions, as far as somebody may see them.
    fn push(
        &mut self,
        key: &[u8],
        newest: Option<Version<V>>,
        older: &[Version<V>],
        horizon: &Horizon,
    ) {
        let first = self.versions.len();
        self.versions.extend(newest);
        let mut needed = horizon.needed();
        let kept = older.iter().filter(|version| needed.is_needed(version.seq));
        self.versions.extend(kept.cloned());
        // A removal with nothing before it says the same as no version at all.
        while self.versions.len() > first
            && self.versions.last().is_some_and(|version| version.value.is_none())
        {
            self.versions.pop();
        }
        if self.versions.len() > first {
            self.keys.push(key);
            self.firsts.push(first as u32);
            self.shrinkable |=
                self.versions.len() > first + 1 || self.versions[first].value.is_none();
        }
    }

    /// Appends keys of another leaf, as far as somebody may see them.
    fn copy(&mut self, from: &Leaf<V>, range: Range<usize>, horizon: &Horizon) {
        if from.shrinkable {
            for i in range {
                self.push(from.key(i), None, from.versions(i), horizon);
            }
        } else {
            self.copy_all(from, range);
        }
    }

    /// Appends keys of another leaf with all versions.
    fn copy_all(&mut self, from: &Leaf<V>, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let start = from.firsts[range.start] as usize;
        let end = from.versions_range(range.end - 1).end;
        let shift = self.versions.len();
        self.keys.extend(&from.keys, range.clone());
        self.firsts.extend(from.firsts[range].iter().map(|&f| (f as usize - start + shift) as u32));
        self.versions.extend_from_slice(&from.versions[start..end]);
        self.shrinkable |= from.shrinkable;
    }

    /// Appends a key with one version; the key must be above the last one.
    pub(super) fn append(&mut self, key: &[u8], seq: u64, value: V) {
        self.firsts.push(self.versions.len() as u32);
        self.versions.push(Version { seq, value: Some(value) });
        self.keys.push(key);
    }

    /// A copy without spare capacity.
    pub(super) fn packed(&self) -> Leaf<V> {
        let mut out = Leaf::with_capacity(self.len(), self.keys.bytes(), self.versions.len());
        out.copy_all(self, 0..self.len());
        out
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
            let versions = self.versions_range(end - 1).end - self.firsts[start] as usize;
            let mut leaf = Leaf::with_capacity(end - start, size, versions);
            leaf.copy_all(self, start..end);
            leaf.shrinkable = self.shrinkable;
            leaves.push(leaf);
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
            let range = self.search(step.key).map_or(0..0, |i| self.versions_range(i));
            let mut versions = out.versions[range].iter_mut().enumerate();
            let version = versions.find(|(_, version)| {
                version.seq == step.seq && version.value.as_ref() == Some(&step.from)
            });
            let mut is_newest = false;
            if let Some((i, version)) = version {
                version.value = Some(step.to.clone());
                is_newest = i == 0;
            }
            moved(step, is_newest);
        }
        out
    }
}
