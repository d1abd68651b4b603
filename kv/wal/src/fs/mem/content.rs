//! One file of a [`MemFs`](super::MemFs): [`Content`], what is durable of it and what is not yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pages::{PAGE, Pages, SECTOR, Sector};
use crate::Choose;

/// A file as its users see it, and all that a crash may make of it.
///
/// Invariants: the sectors in which `live` and `synced` differ are in `dirty`; the sizes that the
/// file had since `synced.len()` are in `sizes`, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What readers see.
    pub(super) live: Pages,
    /// What is on the disk for sure.
    synced: Pages,
    /// The sectors written since the last sync, by number.
    dirty: BTreeMap<u64, Dirty>,
    /// The sizes since the last sync.
    sizes: Vec<u64>,
    /// Whether a sync of `sizes` failed: no later one makes them durable.
    sizes_lost: bool,
}

/// A sector that may be on the disk in several forms.
#[derive(Clone, Debug, Default)]
struct Dirty {
    /// What was written, the oldest first.
    versions: Vec<Arc<Sector>>,
    /// Whether a sync of it failed: the system takes it for clean, and no later sync writes it.
    lost: bool,
}

impl Content {
    /// A file of which all is durable.
    fn durable(content: Pages) -> Content {
        Content { live: content.clone(), synced: content, ..Content::default() }
    }

    pub(super) fn write(&mut self, buf: &[u8], offset: u64) {
        let old_len = self.live.len();
        let end = offset + buf.len() as u64;
        self.live.write(buf, offset);
        if end > old_len {
            // The size follows the pages as they are written.
            let pages = old_len / PAGE as u64 + 1..end.div_ceil(PAGE as u64);
            self.sizes.extend(pages.map(|page| page * PAGE as u64));
            self.sizes.push(end);
            self.sizes_lost = false;
        }
        for sector in offset / SECTOR as u64..end.div_ceil(SECTOR as u64) {
            self.wrote(sector);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len == self.live.len() {
            return;
        }
        let cut = self.live.sectors_from(len);
        self.live.set_len(len);
        for sector in cut {
            self.wrote(sector);
        }
        self.sizes.push(len);
        self.sizes_lost = false;
    }

    /// Notes that a sector may be on the disk as it is now.
    fn wrote(&mut self, sector: u64) {
        let now = self.live.sector(sector);
        let dirty = self.dirty.entry(sector).or_default();
        dirty.lost = false;
        if dirty.versions.last().is_none_or(|last| **last != now) {
            dirty.versions.push(Arc::new(now));
        }
    }

    /// Makes all durable, but what a failed sync has lost.
    pub(super) fn sync(&mut self) {
        if !self.sizes_lost {
            let smallest = self.sizes.iter().min().map_or(self.synced.len(), |len| *len);
            if smallest < self.synced.len() {
                self.synced.set_len(smallest);
            }
            self.synced.set_len(self.live.len());
            self.sizes.clear();
        }
        let (live, synced) = (&self.live, &mut self.synced);
        self.dirty.retain(|sector, dirty| {
            if dirty.lost || (sector + 1) * SECTOR as u64 > synced.len() && !self.sizes.is_empty() {
                return true;
            }
            synced.put_sector(*sector, &live.sector(*sector));
            false
        });
    }

    /// Fails a sync: what was not durable stays in any state that it may have, for good.
    pub(super) fn fail_sync(&mut self) {
        self.dirty.values_mut().for_each(|dirty| dirty.lost = true);
        self.sizes_lost = !self.sizes.is_empty();
    }

    /// Whether a crash may change the file.
    pub(super) fn is_durable(&self) -> bool {
        self.dirty.is_empty() && self.sizes.is_empty()
    }

    /// The file after a crash: one of its sizes, and of each sector inside it one of its forms.
    pub(super) fn crash(&self, choose: &mut dyn Choose) -> Content {
        if self.is_durable() {
            return self.clone();
        }
        let mut content = self.synced.clone();
        let mut sizes = vec![content.len()];
        for size in &self.sizes {
            // The same size again is the same state; its newest place counts.
            sizes.retain(|earlier| earlier != size);
            sizes.push(*size);
        }
        content.set_len(pick(&sizes, choose));
        for (sector, dirty) in &self.dirty {
            if sector * SECTOR as u64 >= content.len() {
                break;
            }
            let answer = choose.choose(dirty.versions.len() + 1);
            if let Some(version) = answer.checked_sub(1) {
                content.put_sector(*sector, &dirty.versions[version]);
            }
        }
        Content::durable(content)
    }
}

/// Asks for one of the sizes, if there is a choice.
fn pick(sizes: &[u64], choose: &mut dyn Choose) -> u64 {
    if sizes.len() == 1 { sizes[0] } else { sizes[choose.choose(sizes.len())] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Enumerate;

    /// Every state that a crash may leave.
    fn states(content: &Content) -> BTreeSet<Vec<u8>> {
        let mut every = Enumerate::new();
        let mut states = BTreeSet::new();
        loop {
            let after = content.crash(&mut every);
            assert!(after.is_durable());
            let mut bytes = vec![0; after.live.len() as usize];
            after.live.read(&mut bytes, 0);
            states.insert(bytes);
            if !every.advance() {
                return states;
            }
        }
    }

    /// A byte for each sector, as the tests below write them.
    fn sectors(state: &[u8]) -> String {
        state.chunks(SECTOR).map(|sector| char::from(sector[0].max(b'0'))).collect()
    }

    fn shapes(content: &Content) -> Vec<String> {
        states(content).iter().map(|state| sectors(state)).collect()
    }

    fn filled(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().flat_map(|byte| [*byte; SECTOR]).collect()
    }

    #[test]
    fn each_sector_is_old_or_new() {
        let mut content = Content::default();
        content.write(&filled(b"aaa"), 0);
        content.sync();
        assert_eq!(shapes(&content), ["aaa"]);
        content.write(&filled(b"bb"), SECTOR as u64);
        assert_eq!(shapes(&content), ["aaa", "aab", "aba", "abb"]);
        content.sync();
        assert_eq!(shapes(&content), ["abb"]);
    }

    #[test]
    fn every_version_of_a_sector_may_be_the_one() {
        let mut content = Content::default();
        content.write(&filled(b"a"), 0);
        content.sync();
        for byte in [b"b", b"c", b"c"] {
            content.write(&filled(byte), 0);
        }
        assert_eq!(shapes(&content), ["a", "b", "c"]);
    }

    #[test]
    fn growth_may_be_lost_or_come_without_the_bytes() {
        let mut content = Content::default();
        content.write(&filled(b"a"), 0);
        content.sync();
        content.write(&filled(b"bc"), SECTOR as u64);
        assert_eq!(shapes(&content), ["a", "a00", "a0c", "ab0", "abc"]);
    }

    #[test]
    fn a_large_write_grows_the_file_page_by_page() {
        let mut content = Content::default();
        content.write(&vec![b'x'; 2 * PAGE + 10], 0);
        let sizes: BTreeSet<_> = [0, PAGE, 2 * PAGE, 2 * PAGE + 10].into();
        let mut found = BTreeSet::new();
        for seed in 0..200 {
            found.insert(content.crash(&mut crate::Seeded::new(seed)).live.len() as usize);
        }
        assert_eq!(found, sizes);
    }

    #[test]
    fn a_cut_may_be_lost() {
        let mut content = Content::default();
        content.write(&filled(b"ab"), 0);
        content.sync();
        content.set_len(SECTOR as u64);
        let states = shapes(&content);
        assert!(states.contains(&"ab".to_owned()) && states.contains(&"a".to_owned()));
        content.sync();
        content.set_len(2 * SECTOR as u64);
        assert_eq!(shapes(&content), ["a", "a0"]);
        content.sync();
        assert_eq!(shapes(&content), ["a0"], "cut and durable: the old bytes are gone");
    }

    #[test]
    fn cut_and_extended_between_two_syncs() {
        let mut content = Content::default();
        content.write(&filled(b"ab"), 0);
        content.sync();
        content.set_len(0);
        content.write(&filled(b"c"), 0);
        content.set_len(2 * SECTOR as u64);
        content.sync();
        assert_eq!(shapes(&content), ["c0"]);
    }

    #[test]
    fn after_a_failed_sync_no_later_one_helps() {
        let mut content = Content::default();
        content.write(&filled(b"aa"), 0);
        content.sync();
        content.write(&filled(b"b"), 0);
        content.fail_sync();
        content.write(&filled(b"c"), SECTOR as u64);
        content.sync();
        assert_eq!(shapes(&content), ["ac", "bc"], "the failed sector is undefined, the other not");
        content.write(&filled(b"d"), 0);
        content.sync();
        assert_eq!(shapes(&content), ["dc"], "written again, it is synced again");
    }

    #[test]
    fn a_failed_sync_loses_growth_too() {
        let mut content = Content::default();
        content.write(&filled(b"a"), 0);
        content.fail_sync();
        content.sync();
        assert_eq!(shapes(&content), ["", "0", "a"]);
        content.write(&filled(b"b"), SECTOR as u64);
        content.sync();
        assert_eq!(shapes(&content), ["0b", "ab"]);
    }
}
