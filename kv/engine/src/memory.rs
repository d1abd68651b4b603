//! The engine that keeps everything in memory, and nothing on disk.
//!
//! It is the index with values in it. Durability is not offered: every level means the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::index::{Change, Index, Pin};
use crate::plan::Plan;
use crate::usage::Usage;
use crate::{
    Batch, Cf, Direction, Durability, Engine, Entries, Lookup, Pairs, Range, Result, Stats, View,
};

/// An engine in memory.
#[derive(Debug)]
pub struct Memory {
    index: Arc<Index<Bytes>>,
    usage: Usage,
    batches: AtomicU64,
}

impl Memory {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Memory {
        Memory {
            index: Arc::new(Index::new()),
            usage: Usage::default(),
            batches: AtomicU64::new(0),
        }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

impl Engine for Memory {
    fn write(&self, batch: Batch, _durability: Durability) -> Result<()> {
        let plan = Plan::new(batch)?;
        if plan.is_empty() {
            return Ok(());
        }
        let mut writer = self.index.write();
        let seq = self.index.visible() + 1;
        for (cf, range) in &plan.ranges {
            writer.delete_range(*cf, range, seq, |key, before, _| {
                self.usage.change(*cf, key.len(), before.map(Bytes::len), None);
            });
        }
        for points in plan.points.chunk_by(|a, b| a.cf == b.cf) {
            let cf = points[0].cf;
            let changes: Vec<Change<'_, Bytes>> = points
                .iter()
                .map(|point| Change { key: &point.key, value: point.value.clone() })
                .collect();
            let mut after = points.iter().map(|point| point.value.as_ref().map(Bytes::len));
            writer.apply(cf, &changes, seq, |key, before, _| {
                let after = after.next().expect("one effect a change, in order");
                self.usage.change(cf, key.len(), before.map(Bytes::len), after);
            });
        }
        writer.publish(seq);
        self.batches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.index.get(cf, key).map(|(_, value)| value))
    }

    fn get_nowait(&self, cf: Cf, key: &[u8]) -> Result<Lookup> {
        self.get(cf, key).map(Lookup::Ready)
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        Ok(Arc::new(MemoryView { pin: self.index.view() }))
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn merge(&self) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats {
            cfs: self.usage.stats(),
            batches: self.batches.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }
}

/// A view of [`Memory`].
#[derive(Debug)]
struct MemoryView {
    pin: Pin<Bytes>,
}

impl View for MemoryView {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.pin.index.get_at(cf, key, self.pin.seq).map(|(_, value)| value))
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        let mut cursor = self.pin.index.cursor(cf, self.pin.seq, range, direction);
        Box::new(std::iter::from_fn(move || {
            cursor.next(|key, _, value| Ok((Bytes::copy_from_slice(key), value.clone())))
        }))
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        let mut cursor = self.pin.index.cursor(cf, self.pin.seq, range, direction);
        Box::new(std::iter::from_fn(move || {
            cursor.next(|key, _, _| Ok(Bytes::copy_from_slice(key)))
        }))
    }
}
