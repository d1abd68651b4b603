//! The one writer of a log: puts blocks on the disk, in order.
//!
//! A block is applied to the index only after it is written (and synced, where that was asked
//! for). A write that fails for lack of space leaves everything as it was; any other failed write
//! and every failed sync closes the log.

use std::io;
use std::sync::Arc;

use crate::batch::Ops;
use crate::dir::SegmentFile;
use crate::error::{Error, Result};
use crate::id::Lsn;
use crate::metrics::count;
use crate::record::{Item, NOTE_BYTES_MAX};
use crate::store::{Segment, Store};
use crate::tail::{Seal, Tail};
use mutant::mutant;

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it is durable.
    Synced,
    /// Once it is with the operating system; a later sync makes it durable.
    Deferred,
}

/// Writes blocks.
#[derive(Debug)]
pub(crate) struct Appender {
    pub(crate) store: Arc<Store>,
    tail: Tail,
    segment: SegmentFile,
    /// Whether the segment holds written bytes that are not synced.
    unsynced: bool,
    /// Whether the last block says that all before it is durable and holds nothing itself.
    marked: bool,
    /// Bytes that `purge` may rewrite: see [`crate::Options::rewrite_percent`]. What a purge takes
    /// beyond it, since it moves whole entries, is a debt to the next ones.
    pub(crate) rewrite_credit: i64,
    /// For the next block, so that small ones take no new memory each.
    buffer: Vec<u8>,
    /// Segments of earlier runs to seal once the cut is final.
    unsealed: Vec<(SegmentFile, Seal)>,
}

impl Appender {
    pub(crate) fn new(
        store: Arc<Store>,
        tail: Tail,
        segment: SegmentFile,
        unsealed: Vec<(SegmentFile, Seal)>,
    ) -> Appender {
        let rewrite_credit = store.options.rewrite_bytes_max.cast_signed();
        Appender {
            store,
            tail,
            segment,
            unsynced: false,
            marked: true,
            rewrite_credit,
            buffer: Vec::new(),
            unsealed,
        }
    }

    /// The segment that is written to.
    pub(crate) fn seq(&self) -> u32 {
        self.tail.header.id.seq
    }

    /// Writes batches as one block, with notes of what was found damaged. They were checked
    /// before.
    pub(crate) fn commit(&mut self, mut batches: Vec<Ops>, durability: Durability) -> Result<Lsn> {
        self.commit_or_keep(&mut batches, durability)
    }

    /// The same; where the disk is full, the batches are left as they were.
    pub(crate) fn commit_or_keep(
        &mut self,
        batches: &mut Vec<Ops>,
        durability: Durability,
    ) -> Result<Lsn> {
        let store = Arc::clone(&self.store);
        store.check_alive()?;
        let count_batches = batches.len() as u64;
        let mut bytes_max: u64 = batches.iter().map(Ops::bytes_max).sum();
        let limit = store.options.batch_bytes_max();
        if bytes_max > limit {
            return Err(Error::TooLarge { bytes: bytes_max, limit });
        }
        let (synced, first_seq, wants_notes) = {
            let state = store.state.read();
            (state.synced, state.first_seq, state.index.wants_notes())
        };
        if wants_notes {
            let items_max = (limit - bytes_max) as usize / NOTE_BYTES_MAX;
            let items = store.state.write().index.unwritten_notes(items_max);
            // First: they are about what stands there now.
            batches.insert(0, Ops { items, ..Ops::default() });
            bytes_max += batches[0].bytes_max();
        }
        if !self.tail.fits(bytes_max)
            && let Err(error) = self.roll(batches.iter().all(Ops::frees_space))
        {
            batches.drain(..usize::from(wants_notes));
            return Err(error);
        }
        let fresh = self.tail.is_fresh();
        let buffer = std::mem::take(&mut self.buffer);
        let lens: Vec<usize> = batches.iter().map(|batch| batch.items.len()).collect();
        let block = self.tail.form(batches.as_mut_slice(), (synced, first_seq), buffer);
        if let Err(error) = self.segment.file.write_all_at(&block.bytes, block.header.offset) {
            give_back(batches, lens, block.items.into_iter().skip(usize::from(fresh)));
            batches.drain(..usize::from(wants_notes));
            return Err(self.write_failed(error));
        }
        self.unsynced = true;
        if durability == Durability::Synced && !mutant!("wal-no-sync-before-ack") {
            self.sync_data()?;
        }
        self.tail.advance(&block);
        self.marked = block.header.items == 0;
        self.earn_rewrite_credit(u64::from(block.header.total_len));
        count(&store.counters.batches, count_batches);
        count(&store.counters.blocks, 1);
        count(&store.counters.block_bytes, block.bytes.len() as u64);
        count(&store.counters.payload_bytes, u64::from(block.header.payload_len));
        let lsn = block.header.lsn;
        let mut state = store.state.write();
        let seq = self.tail.header.id.seq;
        if fresh {
            let bytes = store.options.segment_bytes;
            state.segments.insert(seq, Segment { file: self.segment.clone(), bytes });
        }
        state.index.apply(&block.items, seq, block.header.payload_offset());
        let (mut bytes, offset) = (block.bytes, block.header.offset);
        if block.used <= bytes.len() / 2 {
            state.recent.push(seq, offset, bytes[..block.used].to_vec());
            self.buffer = bytes;
        } else {
            bytes.truncate(block.used);
            state.recent.push(seq, offset, bytes);
        }
        state.written = lsn;
        if durability == Durability::Synced {
            state.synced = lsn;
        }
        drop(state);
        if durability == Durability::Synced {
            self.seal_old();
        }
        Ok(lsn)
    }

    /// Writes the notes of all that a start found damaged.
    ///
    /// Until the last one is written, the blocks say that the log is durable as far as it said
    /// before, so that a recovery in between looks at the same entries, and finds the same.
    pub(crate) fn write_notes(&mut self, horizon: Lsn) -> Result<()> {
        let store = Arc::clone(&self.store);
        let wants_notes = || store.state.read().index.wants_notes();
        if !wants_notes() {
            return Ok(());
        }
        while wants_notes() {
            if !mutant!("wal-notes-behind-the-horizon") {
                store.state.write().synced = horizon;
            }
            self.commit(Vec::new(), Durability::Deferred)?;
        }
        self.sync()?;
        self.mark()
    }

    fn earn_rewrite_credit(&mut self, written: u64) {
        let options = &self.store.options;
        let earned = written * u64::from(options.rewrite_percent) / 100;
        let credit = self.rewrite_credit.saturating_add_unsigned(earned);
        self.rewrite_credit = credit.min(options.rewrite_bytes_max.cast_signed());
    }

    /// Makes everything up to a block durable, which it may be already.
    pub(crate) fn sync_to(&mut self, lsn: Lsn) -> Result<Lsn> {
        let (synced, last) = {
            let state = self.store.state.read();
            (state.synced, state.written)
        };
        if lsn <= synced {
            return Ok(synced);
        }
        if lsn > last {
            return Err(Error::NotWritten { lsn, last });
        }
        self.sync()
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self) -> Result<Lsn> {
        self.store.check_alive()?;
        if self.unsynced {
            self.sync_data()?;
        }
        let mut state = self.store.state.write();
        state.synced = state.written;
        let synced = state.synced;
        drop(state);
        self.seal_old();
        Ok(synced)
    }

    /// Whether a mark would protect the last block: see [`crate::Wal::mark`].
    pub(crate) fn wants_mark(&self) -> bool {
        !self.marked && !self.unsynced
    }

    /// Writes a block without items that says that all before it is durable.
    pub(crate) fn mark(&mut self) -> Result<()> {
        if self.wants_mark() {
            self.tail.next_page();
            self.commit(Vec::new(), Durability::Synced)?;
        }
        Ok(())
    }

    fn sync_data(&mut self) -> Result<()> {
        let fs = &self.store.dir.fs;
        let before = fs.now();
        let synced = self.segment.file.sync_data();
        self.store.counters.synced(fs.now().saturating_sub(before));
        if let Err(source) = synced {
            if mutant!("wal-sync-error-swallowed") {
                return Ok(());
            }
            self.store.poison();
            let what = format!("sync {}", self.segment.id.name().display());
            return Err(Error::Io { what, source });
        }
        self.unsynced = false;
        Ok(())
    }

    /// Goes on in the next segment. Everything in the full one is durable first: the first block
    /// of a segment is the evidence that the one before is complete.
    fn roll(&mut self, frees_space: bool) -> Result<()> {
        if self.unsynced && !mutant!("wal-roll-no-sync") {
            self.sync_data()?;
            let mut state = self.store.state.write();
            state.synced = state.written;
        }
        let store = &self.store;
        let next = store.pool.take(&store.dir, &store.options, &store.counters, frees_space)?;
        let tail = self.tail.roll(next.header, next.bytes);
        let full = std::mem::replace(&mut self.tail, tail);
        let segment = std::mem::replace(&mut self.segment, next.segment);
        self.unsynced = false;
        if let Some(seal) = full.seal() {
            store.pool.seal(&store.dir, &store.counters, segment, seal);
        }
        Ok(())
    }

    /// Seals what earlier runs left, now that a durable block in a new segment made the cut final.
    fn seal_old(&mut self) {
        for (segment, seal) in self.unsealed.drain(..) {
            self.store.pool.seal(&self.store.dir, &self.store.counters, segment, seal);
        }
    }

    fn write_failed(&self, source: io::Error) -> Error {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Error::DiskFull;
        }
        self.store.poison();
        let what = format!("write {}", self.segment.id.name().display());
        Error::Io { what, source }
    }
}

/// Gives batches the items back of which a block was formed.
fn give_back(batches: &mut [Ops], lens: Vec<usize>, mut items: impl Iterator<Item = Item>) {
    for (batch, len) in batches.iter_mut().zip(lens) {
        batch.items = items.by_ref().take(len).collect();
    }
}
