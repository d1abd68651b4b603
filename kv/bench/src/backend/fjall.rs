//! fjall: a log-structured merge tree. It does not sync by itself, so at the level `interval` a
//! thread persists its journal twice a second.
//!
//! A write that nobody waits for is handed to the operating system before the call returns, as
//! fjall does by itself for single writes, and as bitcask and RocksDB do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use engine::{
    Batch, Cf, CfStats, Direction, Durability, Engine, Entries, Pairs, Range, Stats, View, Write,
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::periodic::Periodic;
use super::{Backend, Caveat, Matters, Settings, bounds, other, without_range_deletes};

pub(super) const BACKEND: Backend = Backend {
    name: "fjall",
    family: "LSM tree",
    caveats: &[Caveat::new(
        Matters::Always,
        "while batches commit, a later snapshot may be older than an earlier one",
    )],
    persistent: true,
    open,
};

fn open(path: &Path, settings: Settings) -> Result<Arc<dyn Engine>> {
    let db = Database::builder(path).cache_size(settings.cache_bytes as u64).open()?;
    let mut keyspaces = Vec::with_capacity(Cf::ALL.len());
    for cf in Cf::ALL {
        keyspaces.push(db.keyspace(cf.name(), KeyspaceCreateOptions::default)?);
    }
    let unsynced = Arc::new(AtomicBool::new(false));
    let periodic = Periodic::start({
        let (db, unsynced) = (db.clone(), Arc::clone(&unsynced));
        move || {
            if unsynced.swap(false, Ordering::AcqRel) {
                db.persist(PersistMode::SyncData).expect("fjall cannot sync");
            }
        }
    });
    Ok(Arc::new(Fjall {
        _periodic: periodic,
        keyspaces: keyspaces.into(),
        db,
        unsynced,
        batches: AtomicU64::new(0),
    }))
}

struct Fjall {
    _periodic: Periodic,
    keyspaces: Arc<[Keyspace]>,
    db: Database,
    unsynced: Arc<AtomicBool>,
    batches: AtomicU64,
}

impl std::fmt::Debug for Fjall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("fjall")
    }
}

impl Fjall {
    fn stored(&self, cf: Cf, range: &Range) -> engine::Result<Vec<Bytes>> {
        let Some(bounds) = bounds(range) else { return Ok(Vec::new()) };
        let guards = self.keyspaces[cf.index()].range::<&[u8], _>(bounds);
        guards.map(|guard| Ok(Bytes::copy_from_slice(&guard.key().map_err(other)?))).collect()
    }

    fn write_one(&self, write: &Write) -> engine::Result<()> {
        match write {
            Write::Put { cf, key, value } => {
                self.keyspaces[cf.index()].insert(&key[..], &value[..]).map_err(other)
            }
            Write::Delete { cf, key } => self.keyspaces[cf.index()].remove(&key[..]).map_err(other),
            Write::DeleteRange { .. } => unreachable!("range deletes were taken out"),
        }
    }

    fn write_all(&self, writes: &[Write], durability: Durability) -> engine::Result<()> {
        let mut out = self.db.batch().durability(Some(match durability {
            Durability::Always => PersistMode::SyncData,
            Durability::Interval | Durability::Never => PersistMode::Buffer,
        }));
        for write in writes {
            match write {
                Write::Put { cf, key, value } => {
                    out.insert(&self.keyspaces[cf.index()], &key[..], &value[..]);
                }
                Write::Delete { cf, key } => out.remove(&self.keyspaces[cf.index()], &key[..]),
                Write::DeleteRange { .. } => unreachable!("range deletes were taken out"),
            }
        }
        out.commit().map_err(other)
    }
}

impl Engine for Fjall {
    fn write(&self, batch: Batch, durability: Durability) -> engine::Result<()> {
        let writes = without_range_deletes(batch, |cf, range| self.stored(cf, range))?;
        match (&writes[..], durability) {
            // What fjall has for single writes is faster than a batch of one.
            ([write], Durability::Interval | Durability::Never) => self.write_one(write)?,
            (writes, _) => self.write_all(writes, durability)?,
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        if durability == Durability::Interval {
            self.unsynced.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        let value = self.keyspaces[cf.index()].get(key).map_err(other)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn view(&self) -> engine::Result<Arc<dyn View>> {
        Ok(Arc::new(Snapshot {
            snapshot: self.db.snapshot(),
            keyspaces: Arc::clone(&self.keyspaces),
        }))
    }

    fn flush(&self) -> engine::Result<()> {
        self.db.persist(PersistMode::SyncData).map_err(other)
    }

    fn merge(&self) -> engine::Result<()> {
        for keyspace in self.keyspaces.iter() {
            keyspace.rotate_memtable_and_wait().map_err(other)?;
            keyspace.major_compact().map_err(other)?;
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        let batches = self.batches.load(Ordering::Relaxed);
        let disk_bytes = self.db.disk_space().unwrap_or(0);
        let mut stats = Stats { disk_bytes, batches, ..Stats::default() };
        for cf in Cf::ALL {
            let keyspace = &self.keyspaces[cf.index()];
            stats.cfs[cf.index()] =
                CfStats { keys: keyspace.approximate_len() as u64, bytes: keyspace.disk_space() };
        }
        stats
    }
}

/// One snapshot over all keyspaces.
struct Snapshot {
    snapshot: fjall::Snapshot,
    keyspaces: Arc<[Keyspace]>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Snapshot").field(&self.snapshot.seqno()).finish()
    }
}

impl Snapshot {
    fn walk<T: Send + 'static>(
        &self,
        cf: Cf,
        range: &Range,
        direction: Direction,
        take: impl Fn(fjall::Guard) -> fjall::Result<T> + Send + 'static,
    ) -> Box<dyn Iterator<Item = engine::Result<T>> + Send> {
        let Some(bounds) = bounds(range) else { return Box::new(std::iter::empty()) };
        let mut iter = self.snapshot.range::<&[u8], _>(&self.keyspaces[cf.index()], bounds);
        Box::new(std::iter::from_fn(move || {
            let guard = match direction {
                Direction::Forward => iter.next(),
                Direction::Backward => iter.next_back(),
            };
            guard.map(|guard| take(guard).map_err(other))
        }))
    }
}

impl View for Snapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        let value = self.snapshot.get(&self.keyspaces[cf.index()], key).map_err(other)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        self.walk(cf, &range, direction, |guard| {
            let (key, value) = guard.into_inner()?;
            Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
        })
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        self.walk(cf, &range, direction, |guard| Ok(Bytes::copy_from_slice(&guard.key()?)))
    }
}
