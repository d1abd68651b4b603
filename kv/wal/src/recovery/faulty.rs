//! Replays the blocks, and names the entries that are damaged.
//!
//! | an entry of the log as it is now | is named | is noted again |
//! |---|---|---|
//! | was found bad in this recovery | yes | unless a note says it |
//! | its bytes are gone: purged as damaged, or a hole | yes | no: its record says it |
//! | a note says it was bad, and it is | yes | no |
//! | a note says it was bad, and it is sound | no | no |
//! | was bad, and is replaced, compacted or removed since | no | no |

use super::assemble::Kept;
use super::report::FaultyEntry;
use super::scan::{BadEntry, Scan};
use crate::group::Slot;
use crate::id::GroupId;
use crate::index::Index;
use crate::record::entry_crc;
use mutant::mutant;

/// Builds the index of what is kept, and puts the damaged entries into the report.
pub(crate) fn index_of(scans: &[Scan], kept: &mut Kept) -> Index {
    let mut index = Index::default();
    for block in kept.blocks.values() {
        index.apply(&block.items, block.seq, block.header.payload_offset());
        for bad in &block.bad {
            let slot = Slot::new(block.seq, bad.at, bad.stored, false);
            index.found(bad.group, bad.index, slot, block.durable);
        }
    }
    index.settle();
    index.drop_void_notes();
    let needed = |bad: &&BadEntry, seq: u32| {
        let slot = index.group(bad.group).and_then(|group| group.slot(bad.index));
        slot.is_some_and(|slot| (slot.seq, u64::from(slot.offset)) == (seq, bad.at))
    };
    kept.report.damaged_before = kept
        .blocks
        .values()
        .map(|block| block.bad.iter().filter(|bad| !needed(bad, block.seq)).count() as u64)
        .sum();
    for (group, at, damaged) in index.damaged().collect::<Vec<_>>() {
        let found_now = index.is_unwritten(group, at);
        if found_now || damaged.slot.is_faulty() || still_bad(scans, group, at, damaged.slot) {
            let (term, durable) = (damaged.term, damaged.durable);
            kept.report.faulty.push(FaultyEntry { group, index: at, term, durable });
        } else {
            index.sound(group, at);
        }
    }
    kept.report.faulty.sort();
    index
}

/// Reads an entry that was noted as damaged.
fn still_bad(scans: &[Scan], group: GroupId, index: u64, slot: Slot) -> bool {
    if mutant!("wal-note-ignored") {
        return false;
    }
    let Some(scan) = scans.iter().find(|scan| scan.segment.id.seq == slot.seq) else { return true };
    let mut bytes = vec![0; slot.len() as usize];
    let read = scan.segment.file.read_exact_at(&mut bytes, u64::from(slot.offset));
    read.is_err() || entry_crc(scan.segment.id.uid, group, index, &bytes) != slot.crc
}
