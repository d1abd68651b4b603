//! sled: a log-structured B-link tree. It has no snapshots, so that a view reads the tree as it is
//! at that moment, and a transaction over several trees is optimistic.
//!
//! `Db::flush` of sled 0.34 calls `sync_file_range` on Linux, which neither waits for the disk's own
//! cache nor writes the file's metadata: a power loss can take what it returned for. So a write at
//! `Always` has a sync of sled's file after it. Its own thread, at `interval`, does sync the file.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use engine::{
    Batch, Cf, CfStats, Direction, Durability, Engine, Entries, Pairs, Range, Stats, View, Write,
};
use sled::transaction::{ConflictableTransactionError, Transactional};
use sled::{Db, Tree};

use super::{
    Backend, Caveat, HALF_A_SECOND, Matters, Settings, bounds, other, without_range_deletes,
};
use crate::level::Level;

pub(super) const BACKEND: Backend = Backend {
    name: "sled",
    family: "B-link tree on a log",
    caveats: &[
        Caveat::new(
            Matters::Synced,
            "its flush does not reach the disk; here a sync of its file follows",
        ),
        Caveat::new(Matters::Always, "no snapshots: a scan sees writes that come while it runs"),
        Caveat::new(Matters::Interval, HALF_A_SECOND),
        Caveat::new(Matters::Never, HALF_A_SECOND),
    ],
    persistent: true,
    open,
};

/// Half of the second that the level `interval` promises.
const FLUSH_MS: u64 = 500;

fn open(path: &Path, settings: Settings) -> Result<Arc<dyn Engine>> {
    let flush = match settings.level {
        Level::Interval | Level::None => Some(FLUSH_MS),
        // Every write flushes by itself.
        Level::PerWrite | Level::PerBatch => None,
    };
    // What sled calls the file of its log.
    let log = path.join("db");
    // A store that was just closed may still hold its lock, until a thread of sled's has ended
    // (spacejam/sled#1289); `open` would not wait.
    if let Ok(last) = File::open(&log) {
        last.lock()?;
    }
    let db = sled::Config::new()
        .path(path)
        .cache_capacity(settings.cache_bytes as u64)
        .flush_every_ms(flush)
        .open()?;
    let mut trees = Vec::with_capacity(Cf::ALL.len());
    for cf in Cf::ALL {
        trees.push(db.open_tree(cf.name())?);
    }
    let file = File::open(log)?;
    Ok(Arc::new(Sled { trees: trees.into(), db, file, batches: AtomicU64::new(0) }))
}

struct Sled {
    trees: Arc<[Tree]>,
    db: Db,
    file: File,
    batches: AtomicU64,
}

impl std::fmt::Debug for Sled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sled")
    }
}

fn stored(tree: &Tree, range: &Range) -> engine::Result<Vec<Bytes>> {
    let Some(bounds) = bounds(range) else { return Ok(Vec::new()) };
    let items = tree.range::<&[u8], _>(bounds);
    items.map(|item| Ok(Bytes::copy_from_slice(&item.map_err(other)?.0))).collect()
}

/// The batch as one list of changes a tree; a removed range key by key.
fn per_tree(trees: &[Tree], batch: Batch) -> engine::Result<Vec<sled::Batch>> {
    let mut out = vec![sled::Batch::default(); trees.len()];
    for write in without_range_deletes(batch, |cf, range| stored(&trees[cf.index()], range))? {
        match write {
            Write::Put { cf, key, value } => out[cf.index()].insert(&key[..], &value[..]),
            Write::Delete { cf, key } => out[cf.index()].remove(&key[..]),
            Write::DeleteRange { .. } => unreachable!("range deletes were taken out"),
        }
    }
    Ok(out)
}

impl Engine for Sled {
    fn write(&self, batch: Batch, durability: Durability) -> engine::Result<()> {
        let first = batch.writes().first().map(family);
        let single = batch.writes().iter().all(|write| Some(family(write)) == first);
        let mut changes = per_tree(&self.trees, batch)?;
        match first {
            None => {}
            Some(cf) if single => {
                let changes = std::mem::take(&mut changes[cf.index()]);
                self.trees[cf.index()].apply_batch(changes).map_err(other)?;
            }
            Some(_) => self
                .trees
                .transaction(|trees| {
                    for (tree, changes) in trees.iter().zip(&changes) {
                        tree.apply_batch(changes)?;
                    }
                    Ok::<(), ConflictableTransactionError<()>>(())
                })
                .map_err(|error| engine::Error::Invalid(format!("sled: {error:?}")))?,
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        if durability == Durability::Always {
            self.flush()?;
        }
        Ok(())
    }

    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        let value = self.trees[cf.index()].get(key).map_err(other)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn view(&self) -> engine::Result<Arc<dyn View>> {
        Ok(Arc::new(Live { trees: Arc::clone(&self.trees) }))
    }

    fn flush(&self) -> engine::Result<()> {
        self.db.flush().map_err(other)?;
        self.file.sync_data().map_err(other)
    }

    fn merge(&self) -> engine::Result<()> {
        // sled cleans its log by itself, and offers no call for it.
        Ok(())
    }

    fn stats(&self) -> Stats {
        let mut stats = Stats {
            disk_bytes: self.db.size_on_disk().unwrap_or(0),
            batches: self.batches.load(Ordering::Relaxed),
            ..Stats::default()
        };
        for cf in Cf::ALL {
            let keys = self.trees[cf.index()].len() as u64;
            stats.cfs[cf.index()] = CfStats { keys, bytes: 0 };
        }
        stats
    }
}

fn family(write: &Write) -> Cf {
    match write {
        Write::Put { cf, .. } | Write::Delete { cf, .. } | Write::DeleteRange { cf, .. } => *cf,
    }
}

/// The trees as they are at each read.
#[derive(Debug)]
struct Live {
    trees: Arc<[Tree]>,
}

impl Live {
    fn walk<T: Send + 'static>(
        &self,
        cf: Cf,
        range: &Range,
        direction: Direction,
        take: impl Fn(&[u8], &[u8]) -> T + Send + 'static,
    ) -> Box<dyn Iterator<Item = engine::Result<T>> + Send> {
        let Some(bounds) = bounds(range) else { return Box::new(std::iter::empty()) };
        let mut iter = self.trees[cf.index()].range::<&[u8], _>(bounds);
        Box::new(std::iter::from_fn(move || {
            let item = match direction {
                Direction::Forward => iter.next(),
                Direction::Backward => iter.next_back(),
            };
            item.map(|item| item.map(|(key, value)| take(&key, &value)).map_err(other))
        }))
    }
}

impl View for Live {
    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        let value = self.trees[cf.index()].get(key).map_err(other)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        self.walk(cf, &range, direction, |key, value| {
            (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))
        })
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        self.walk(cf, &range, direction, |key, _| Bytes::copy_from_slice(key))
    }
}
