//! Looks for damage in the background: [`WalReader::scrub`].
//!
//! Recovery leaves the entries of full segments to be checked when they are read, and some are not
//! read for long. The scrubber reads every entry from the disk, a bounded piece a call, so that
//! damage is found while another replica still has the entry.

use crate::id::GroupId;
use crate::reader::WalReader;
use crate::record::entry_crc;
use crate::recovery::FaultyEntry;

/// How far a scrub has come: the next entry to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrubPosition {
    group: GroupId,
    index: u64,
}

/// What a piece of a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrub {
    /// Entries that were checked.
    pub entries: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Those that are damaged. The log notes them, and each later start names them.
    pub faulty: Vec<FaultyEntry>,
    /// Those that the disk refuses to read, which are not known to be lost.
    pub unreadable: Vec<FaultyEntry>,
    /// Where to go on; `None` once all groups are through.
    pub next: Option<ScrubPosition>,
}

/// Entries that are looked up at once, so that the index is not locked for long.
const LOOKUP: usize = 1024;

impl<E> WalReader<E> {
    /// Checks entries from `position` on (the default is the start) until about `bytes_max` bytes
    /// are read.
    #[must_use]
    pub fn scrub(&self, position: ScrubPosition, bytes_max: u64) -> Scrub {
        let mut scrub = Scrub { next: Some(position), ..Scrub::default() };
        while let Some(position) = scrub.next.filter(|_| scrub.bytes < bytes_max) {
            self.scrub_some(position, bytes_max, &mut scrub);
        }
        scrub
    }

    fn scrub_some(&self, from: ScrubPosition, bytes_max: u64, scrub: &mut Scrub) {
        let places = {
            let state = self.store.state.read();
            let entries =
                state.index.groups().filter(|(id, _)| *id >= from.group).flat_map(|(id, group)| {
                    let first = if id == from.group { from.index } else { 0 };
                    let places = group.places(first..u64::MAX);
                    places.map(move |(index, term, slot)| (id, index, term, slot))
                });
            entries
                .take(LOOKUP)
                .map(|place| (place, state.segments[&place.3.seq].file.clone()))
                .collect::<Vec<_>>()
        };
        scrub.next = None;
        for ((group, index, term, slot), file) in places {
            if scrub.bytes >= bytes_max {
                scrub.next = Some(ScrubPosition { group, index });
                return;
            }
            let mut bytes = vec![0; slot.len() as usize];
            let read = file.file.read_exact_at(&mut bytes, u64::from(slot.offset));
            scrub.entries += 1;
            scrub.bytes += bytes.len() as u64 + 1;
            let good = read.is_ok() && entry_crc(file.id.uid, group, index, &bytes) == slot.crc;
            let moved = || {
                let state = self.store.state.read();
                state.index.group(group).and_then(|group| group.slot(index)) != Some(slot)
            };
            let damaged = FaultyEntry { group, index, term, durable: true };
            if slot.is_faulty() || !good && read.is_ok() && !moved() {
                self.store.found_damaged(group, index, slot);
                scrub.faulty.push(damaged);
            } else if read.is_err() && !moved() {
                scrub.unreadable.push(damaged);
            }
            scrub.next = Some(ScrubPosition { group, index: index + 1 });
        }
    }
}
