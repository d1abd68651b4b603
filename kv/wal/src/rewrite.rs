//! Carries out a purge: rewrites what is left in old segments, then frees these.
//!
//! Order, each step durable before the next: the rewritten entries; the record that the segments
//! are not needed; their removal.

use std::path::PathBuf;
use std::sync::Arc;

use crate::appender::{Appender, Durability};
use crate::batch::Ops;
use crate::error::{Error, Result};
use crate::group::{Group, Slot};
use crate::id::GroupId;
use crate::metrics::count;
use crate::purge::{PurgePlan, PurgeReport, plan};
use crate::record::{Item, Note, RunKind, Stored, entry_crc};
use mutant::mutant;

/// What is rewritten in one block at most.
const CHUNK: u64 = 256 << 10;

/// A purge that is under way; other writes may come between its steps.
#[derive(Debug)]
pub(crate) struct Purge {
    plan: PurgePlan,
    pub(crate) report: PurgeReport,
}

impl Appender {
    /// Plans a purge of all segments but the current one.
    pub(crate) fn begin_purge(&self) -> Purge {
        let credit = u64::try_from(self.rewrite_credit).unwrap_or(0);
        let mut plan = plan(&self.store.state.read(), self.seq(), &self.store.options, credit);
        let blocked_by = std::mem::take(&mut plan.blocked_by);
        Purge { plan, report: PurgeReport { blocked_by, ..PurgeReport::default() } }
    }

    /// Does one step of a purge; false once it is done.
    pub(crate) fn go_on_with(&mut self, purge: &mut Purge) -> Result<bool> {
        let Purge { plan, report } = purge;
        let group = plan.rewrite.last().filter(|_| report.rewritten_bytes < plan.budget);
        let Some(group) = group else {
            report.freed = self.free_segments()?;
            return Ok(false);
        };
        match self.rewrite_some(*group, plan.limit)? {
            0 => drop(plan.rewrite.pop()),
            bytes => report.rewritten_bytes += bytes,
        }
        Ok(true)
    }

    /// Rewrites a part of what a group has below `limit`; 0 if nothing is left.
    fn rewrite_some(&mut self, id: GroupId, limit: u32) -> Result<u64> {
        let (entries, keys) = {
            let state = self.store.state.read();
            let Some(group) = state.index.group(id) else { return Ok(0) };
            (old_entries(group, limit, self.chunk()), old_keys(group, limit, self.chunk()))
        };
        if entries.is_empty() && keys.is_empty() {
            return Ok(0);
        }
        let mut ops = Ops::default();
        let mut notes = Vec::new();
        let mut bytes = 0;
        for (index, term, slot) in entries {
            bytes += slot.bytes();
            let stored = self.read_stored(id, index, slot)?;
            let lost = Stored { len: 0, crc: 0, lz4: false };
            if let Some(data) = &stored {
                let kind = RunKind::Rewrite;
                ops.place_stored(kind, id, (index, term), (slot.stored(), data));
                continue;
            }
            ops.place_stored(RunKind::Faulty, id, (index, term), (lost, &[]));
            let known = self.store.state.read().index.damage_of(id, index, slot);
            if known.is_some_and(|known| !known.durable) {
                // What moves keeps its doubt.
                let note = Note { group: id, first: index, count: 1, term, durable: false };
                notes.push(Item::Note(note));
            }
        }
        ops.items.append(&mut notes);
        for (key, value) in keys {
            bytes += (key.len() + value.len()) as u64;
            ops.items.push(Item::Put { group: id, key, value });
        }
        self.commit(vec![ops], Durability::Deferred)?;
        count(&self.store.counters.rewritten_bytes, bytes);
        self.rewrite_credit = self.rewrite_credit.saturating_sub_unsigned(bytes);
        Ok(bytes)
    }

    fn chunk(&self) -> u64 {
        CHUNK.min(self.store.options.batch_bytes_max() / 4)
    }

    /// An entry's stored bytes, or `None` if they are damaged. A disk that refuses to read stops
    /// the purge: it may answer again later.
    fn read_stored(&self, group: GroupId, index: u64, slot: Slot) -> Result<Option<Vec<u8>>> {
        if slot.is_faulty() {
            return Ok(None);
        }
        let file = self.store.state.read().segments[&slot.seq].file.clone();
        let mut bytes = vec![0; slot.len() as usize];
        let what = format!("read {}", file.id.name().display());
        file.file.read_exact_at(&mut bytes, u64::from(slot.offset)).map_err(Error::io(what))?;
        let good = entry_crc(file.id.uid, group, index, &bytes) == slot.crc;
        Ok((good || mutant!("wal-rewrite-unchecked")).then_some(bytes))
    }

    /// Frees the segments that nothing needs; gives their number.
    fn free_segments(&mut self) -> Result<usize> {
        let (first, limit) = {
            let state = self.store.state.read();
            let oldest = state.index.usage().oldest().unwrap_or(self.seq());
            (state.first_seq, oldest.min(self.seq()))
        };
        if limit <= first {
            return Ok(0);
        }
        if mutant!("wal-purge-before-record") {
            self.release(limit)?;
        }
        let mut ops = Ops::default();
        ops.items.push(Item::PurgedTo { seq: limit });
        self.commit(vec![ops], Durability::Synced)?;
        self.release(limit)
    }

    /// Removes or recycles the segments below `limit`.
    fn release(&mut self, limit: u32) -> Result<usize> {
        let store = Arc::clone(&self.store);
        let freed: Vec<_> = {
            let mut state = store.state.write();
            state.first_seq = limit;
            let kept = state.segments.split_off(&limit);
            std::mem::replace(&mut state.segments, kept).into_values().collect()
        };
        let count = freed.len();
        let (mut reuse, mut remove): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
        for segment in freed {
            // A file that somebody still reads, or that was cut short, is not for writing again.
            let alone = Arc::strong_count(&segment.file.file) == 1;
            let whole = segment.file.file.len().ok() == Some(store.options.segment_bytes);
            let names =
                if store.options.recycle && alone && whole { &mut reuse } else { &mut remove };
            names.push(segment.file.id.name());
        }
        remove.extend(store.pool.recycle(reuse, &store.options));
        store.dir.remove(&remove)?;
        Ok(count)
    }
}

/// The first entries of a group that are below `limit`, up to about `chunk` bytes.
fn old_entries(group: &Group, limit: u32, chunk: u64) -> Vec<(u64, u64, Slot)> {
    let mut bytes = 0;
    let old = group.entries().filter(|(_, _, slot)| slot.seq < limit);
    old.take_while(|(_, _, slot)| {
        let fits = bytes == 0 || bytes + slot.bytes() <= chunk;
        bytes += slot.bytes();
        fits
    })
    .collect()
}

fn old_keys(group: &Group, limit: u32, chunk: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut bytes = 0;
    let old = group.keys().iter().filter(|kv| kv.seq < limit);
    old.take_while(|kv| {
        let fits = bytes == 0 || bytes + kv.bytes() <= chunk;
        bytes += kv.bytes();
        fits
    })
    .map(|kv| (kv.key().to_vec(), kv.value().to_vec()))
    .collect()
}
