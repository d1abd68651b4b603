//! This workspace's log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use wal::{DecodeError, Durability, Fs, GroupId, LogBatch, Options, SharedWal, WalEntry};

use crate::load::{Log, Sizes};

/// An entry without bytes of its own to copy.
struct Entry {
    index: u64,
    data: Vec<u8>,
}

impl WalEntry for Entry {
    fn index(&self) -> u64 {
        self.index
    }

    fn term(&self) -> u64 {
        1
    }

    fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.index.to_le_bytes());
        buf.extend_from_slice(&self.data);
    }

    fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let (index, data) = bytes.split_first_chunk().ok_or("too short")?;
        Ok(Entry { index: u64::from_le_bytes(*index), data: data.to_vec() })
    }
}

pub(crate) fn open(fs: Arc<dyn Fs>, dir: &Path, sizes: Sizes) -> Result<Box<dyn Log>> {
    let options = Options {
        segment_bytes: sizes.segment_bytes,
        purge_bytes: sizes.purge_bytes,
        block_align: sizes.align,
        verify_all: sizes.verify_all,
        prefill_segments: sizes.prepared().map_or(0, |files| files as usize),
        ..Options::default()
    };
    let (wal, report) = SharedWal::<Entry>::open(fs, dir, options)?;
    anyhow::ensure!(report.is_clean(), "{report:?}");
    while sizes.prepared().is_some_and(|files| wal.metrics().pool_segments < files) {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(Box::new(wal))
}

impl Log for SharedWal<Entry> {
    fn append(&self, group: u64, index: u64, count: u64, data: &[u8], sync: bool) -> Result<()> {
        let mut batch = LogBatch::new();
        for index in index..index + count {
            batch.append(GroupId(group), &[Entry { index, data: data.to_vec() }])?;
        }
        let durability = if sync { Durability::Synced } else { Durability::Deferred };
        self.write(batch, durability)?;
        Ok(())
    }

    fn compact(&self, group: u64, to: u64) -> Result<()> {
        let mut batch = LogBatch::<Entry>::new();
        batch.compact_to(GroupId(group), to);
        self.write(batch, Durability::Deferred)?;
        Ok(())
    }

    fn purge(&self) -> Result<()> {
        let report = SharedWal::purge(self)?;
        for (group, _) in report.blocked_by {
            if let Some(last) = self.last_index(group) {
                self.compact(group.0, last)?;
            }
        }
        Ok(())
    }
}
