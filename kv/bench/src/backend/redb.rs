//! redb: a copy-on-write B-tree in one file.
//!
//! A commit at `None` is on disk only after the next commit at `Immediate`, so at the level
//! `interval` a thread makes an empty commit at `Immediate` twice a second.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use engine::{
    Batch, Cf, CfStats, Direction, Durability, Engine, Entries, Pairs, Range, Stats, View, Write,
};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition};

use super::periodic::Periodic;
use super::{Backend, Caveat, HALF_A_SECOND, Matters, Settings, bounds, other};

pub(super) const BACKEND: Backend = Backend {
    name: "redb",
    family: "B-tree",
    caveats: &[
        Caveat::new(
            Matters::Writes,
            "one write transaction at a time: concurrent writers do not share a sync",
        ),
        Caveat::new(Matters::Interval, HALF_A_SECOND),
        Caveat::new(
            Matters::Never,
            "writes wait in the process until one is synced: a kill loses all since the last sync",
        ),
    ],
    persistent: true,
    open,
};

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

fn table(cf: Cf) -> Table {
    TableDefinition::new(cf.name())
}

fn open(path: &Path, settings: Settings) -> Result<Arc<dyn Engine>> {
    std::fs::create_dir_all(path)?;
    let db =
        Database::builder().set_cache_size(settings.cache_bytes).create(path.join("data.redb"))?;
    let write = db.begin_write()?;
    for cf in Cf::ALL {
        write.open_table(table(cf))?;
    }
    write.commit()?;
    let shared =
        Arc::new(Shared { db, unsynced: AtomicBool::new(false), batches: AtomicU64::new(0) });
    let periodic = Periodic::start({
        let shared = Arc::clone(&shared);
        move || {
            if shared.unsynced.swap(false, Ordering::AcqRel) {
                shared.sync().expect("redb cannot sync");
            }
        }
    });
    Ok(Arc::new(Redb { shared, _periodic: periodic }))
}

#[derive(Debug)]
struct Redb {
    _periodic: Periodic,
    shared: Arc<Shared>,
}

struct Shared {
    db: Database,
    unsynced: AtomicBool,
    batches: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("redb")
    }
}

impl Shared {
    fn sync(&self) -> engine::Result<()> {
        self.db.begin_write().map_err(other)?.commit().map_err(other)
    }

    fn read(&self) -> engine::Result<Snapshot> {
        let transaction = self.db.begin_read().map_err(other)?;
        let mut tables = Vec::with_capacity(Cf::ALL.len());
        for cf in Cf::ALL {
            tables.push(transaction.open_table(table(cf)).map_err(other)?);
        }
        Ok(Snapshot { tables })
    }
}

impl Engine for Redb {
    fn write(&self, batch: Batch, durability: Durability) -> engine::Result<()> {
        let mut transaction = self.shared.db.begin_write().map_err(other)?;
        transaction
            .set_durability(match durability {
                Durability::Always => redb::Durability::Immediate,
                Durability::Interval | Durability::Never => redb::Durability::None,
            })
            .map_err(other)?;
        for cf in Cf::ALL {
            // Opening a table costs: only those that the batch writes.
            let of_this = |write: &&Write| match write {
                Write::Put { cf: of, .. }
                | Write::Delete { cf: of, .. }
                | Write::DeleteRange { cf: of, .. } => *of == cf,
            };
            let mut writes = batch.writes().iter().filter(of_this).peekable();
            if writes.peek().is_none() {
                continue;
            }
            let mut table = transaction.open_table(table(cf)).map_err(other)?;
            for write in writes {
                match write {
                    Write::Put { key, value, .. } => {
                        table.insert(&key[..], &value[..]).map_err(other)?;
                    }
                    Write::Delete { key, .. } => {
                        table.remove(&key[..]).map_err(other)?;
                    }
                    Write::DeleteRange { range, .. } => {
                        if let Some(bounds) = bounds(range) {
                            table.retain_in::<&[u8], _>(bounds, |_, _| false).map_err(other)?;
                        }
                    }
                }
            }
        }
        transaction.commit().map_err(other)?;
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        if durability == Durability::Interval {
            self.shared.unsynced.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        let transaction = self.shared.db.begin_read().map_err(other)?;
        let table = transaction.open_table(table(cf)).map_err(other)?;
        let value = table.get(key).map_err(other)?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
    }

    fn view(&self) -> engine::Result<Arc<dyn View>> {
        Ok(Arc::new(self.shared.read()?))
    }

    fn flush(&self) -> engine::Result<()> {
        self.shared.sync()
    }

    fn merge(&self) -> engine::Result<()> {
        // `compact` needs the database for itself; a shared engine cannot give it.
        Ok(())
    }

    fn stats(&self) -> Stats {
        let batches = self.shared.batches.load(Ordering::Relaxed);
        let mut stats = Stats { batches, ..Stats::default() };
        if let Ok(snapshot) = self.shared.read() {
            for cf in Cf::ALL {
                let keys = snapshot.tables[cf.index()].len().unwrap_or(0);
                stats.cfs[cf.index()] = CfStats { keys, bytes: 0 };
            }
        }
        stats
    }
}

/// One read transaction, by its tables.
struct Snapshot {
    tables: Vec<ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("redb read transaction")
    }
}

impl Snapshot {
    fn range(
        &self,
        cf: Cf,
        range: &Range,
    ) -> engine::Result<redb::Range<'static, &'static [u8], &'static [u8]>> {
        let bounds = bounds(range).unwrap_or((Bound::Included(b""), Bound::Excluded(b"")));
        self.tables[cf.index()].range::<&[u8]>(bounds).map_err(other)
    }

    fn walk<T: Send + 'static>(
        &self,
        cf: Cf,
        range: &Range,
        direction: Direction,
        take: impl Fn(&[u8], &[u8]) -> T + Send + 'static,
    ) -> Box<dyn Iterator<Item = engine::Result<T>> + Send> {
        let mut range = match self.range(cf, range) {
            Ok(range) => range,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        Box::new(std::iter::from_fn(move || {
            let item = match direction {
                Direction::Forward => range.next(),
                Direction::Backward => range.next_back(),
            };
            item.map(|item| {
                item.map(|(key, value)| take(key.value(), value.value())).map_err(other)
            })
        }))
    }
}

impl View for Snapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        let value = self.tables[cf.index()].get(key).map_err(other)?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
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
