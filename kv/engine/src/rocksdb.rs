//! RocksDB as an engine: for data whose keys do not fit in memory.
//!
//! Our column families are RocksDB's, a batch is one RocksDB write batch, a view is a RocksDB
//! snapshot. The levels of durability:
//!
//! - `always`: the write ahead log is synced before the write returns; RocksDB shows the write to
//!   readers after that, and lets concurrent writers share a sync.
//! - `interval`: the write reaches the operating system at once, and a thread syncs the log twice a
//!   second.
//! - `never`: the write reaches the operating system at once.
//!
//! What RocksDB does better than this wrapper knows stays RocksDB's: it locks its folder itself,
//! stops by itself after a failed write or sync, and keeps its own format version.

mod options;
mod view;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ::rocksdb::statistics::{Histogram, Ticker};
use ::rocksdb::{
    ColumnFamily, CompactOptions, DB, ErrorKind, FlushOptions, ReadOptions, ReadTier, WriteBatch,
    WriteOptions,
};
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use mutant::mutant;
use wal::RealFs;

use crate::folder::Folder;
use crate::{Batch, Cf, CfStats, Durability, Engine, Error, Lookup, Result, Stats, View, Write};

pub use options::Options;
use view::Snapshot;

/// The version of the way in which column families and options are laid out.
const VERSION: &str = "1";

/// How often the log is synced at [`Durability::Interval`]: half of the second that it promises.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);

/// An open RocksDB.
#[derive(Debug)]
pub struct RocksDb {
    shared: Arc<Shared>,
    /// Dropping it ends the thread that syncs.
    stop: Option<Sender<()>>,
    syncer: Option<JoinHandle<()>>,
}

/// What the engine, its views and its syncing thread hold together.
pub(crate) struct Shared {
    db: DB,
    statistics: ::rocksdb::Options,
    path: PathBuf,
    batches: AtomicU64,
    /// Whether there are writes at `interval` that no sync has covered.
    unsynced: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksDb").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RocksDb {
    /// Opens the RocksDB in a folder, or makes one.
    ///
    /// # Errors
    /// `Locked` if another process has it, `WrongEngine` if another engine made the folder,
    /// `Corrupt` and `Io` as RocksDB says, `Invalid` for options out of range.
    pub fn open(path: &Path, options: &Options) -> Result<RocksDb> {
        options.validate()?;
        let folder = Folder { fs: RealFs::shared(), path: path.to_owned() };
        folder.make()?;
        folder.check_format("rocksdb", VERSION, 0)?;
        let (db_options, families) = options.to_rocksdb();
        let db = DB::open_cf_descriptors(&db_options, path, families)
            .map_err(|error| from_rocksdb(path, "open", error))?;
        let shared = Arc::new(Shared {
            db,
            statistics: db_options,
            path: path.to_owned(),
            batches: AtomicU64::new(0),
            unsynced: AtomicBool::new(false),
        });
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let syncer = std::thread::Builder::new()
            .name("rocksdb-sync".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || sync_until_stopped(&shared, &stopped)
            })
            .map_err(|source| Error::Io {
                action: "start the syncing thread",
                file: path.to_owned(),
                source,
            })?;
        Ok(RocksDb { shared, stop: Some(stop), syncer: Some(syncer) })
    }
}

impl Drop for RocksDb {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(syncer) = self.syncer.take() {
            // A panic of the thread was already reported by the panic hook.
            let _ = syncer.join();
        }
        if let Err(error) = self.shared.sync() {
            log::error!("cannot sync at the end"; "error" => %error);
        }
    }
}

/// The syncing thread: syncs the log while there is something to sync, until `stopped` closes.
fn sync_until_stopped(shared: &Shared, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SYNC_INTERVAL) {
        if shared.unsynced.swap(false, Ordering::AcqRel)
            && let Err(error) = shared.sync()
        {
            // RocksDB remembers the failure and refuses the next write.
            log::error!("cannot sync the write ahead log"; "error" => %error);
        }
    }
}

impl Shared {
    fn family(&self, cf: Cf) -> &ColumnFamily {
        self.db.cf_handle(family_name(cf)).expect("every column family was opened with the engine")
    }

    fn error(&self, action: &'static str, error: ::rocksdb::Error) -> Error {
        from_rocksdb(&self.path, action, error)
    }

    fn sync(&self) -> Result<()> {
        self.db.flush_wal(true).map_err(|error| self.error("sync the log", error))
    }

    fn to_write_batch(&self, batch: &Batch) -> Result<WriteBatch> {
        let mut out = WriteBatch::default();
        for (position, write) in batch.writes().iter().enumerate() {
            match write {
                Write::Put { key, value, .. } if mutant!("rocksdb-families-mixed") => {
                    out.put_cf(self.family(Cf::Default), key, value);
                }
                Write::Put { cf, key, value } => out.put_cf(self.family(*cf), key, value),
                Write::Delete { cf, key } => out.delete_cf(self.family(*cf), key),
                Write::DeleteRange { cf, range } => {
                    let end = match &range.end {
                        Some(end) => Some(end.clone()),
                        None => self.after_last_key(*cf, &batch.writes()[..position])?,
                    };
                    // RocksDB refuses a range whose end is before its start.
                    if let Some(end) = end.filter(|end| *end > range.start) {
                        out.delete_range_cf(self.family(*cf), &range.start[..], &end[..]);
                    }
                }
            }
        }
        Ok(out)
    }

    /// The smallest key behind all keys of a column family, with `earlier` writes applied; none if
    /// it is empty. RocksDB's range delete needs an end.
    fn after_last_key(&self, cf: Cf, earlier: &[Write]) -> Result<Option<Bytes>> {
        let stored = {
            let mut iter = self.db.raw_iterator_cf(self.family(cf));
            iter.seek_to_last();
            iter.status().map_err(|error| self.error("read", error))?;
            iter.key().map(Bytes::copy_from_slice)
        };
        let put = earlier.iter().filter_map(|write| match write {
            Write::Put { cf: of, key, .. }
                if *of == cf && !mutant!("rocksdb-range-ignores-batch") =>
            {
                Some(key.clone())
            }
            _ => None,
        });
        Ok(stored.into_iter().chain(put).max().map(|last| {
            let mut after = last.to_vec();
            after.push(0);
            Bytes::from(after)
        }))
    }

    fn property(&self, cf: Cf, name: &str) -> u64 {
        // A property that this RocksDB does not have reads as nothing to count.
        self.db.property_int_value_cf(self.family(cf), name).ok().flatten().unwrap_or(0)
    }
}

impl Engine for RocksDb {
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        let shared = &self.shared;
        let writes = shared.to_write_batch(&batch)?;
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Always && !mutant!("rocksdb-never-syncs"));
        shared.db.write_opt(writes, &options).map_err(|error| shared.error("write", error))?;
        shared.batches.fetch_add(1, Ordering::Relaxed);
        if durability == Durability::Interval {
            shared.unsynced.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let shared = &self.shared;
        shared
            .db
            .get_pinned_cf(shared.family(cf), key)
            .map(|value| value.map(|value| Bytes::copy_from_slice(&value)))
            .map_err(|error| shared.error("read", error))
    }

    fn get_nowait(&self, cf: Cf, key: &[u8]) -> Result<Lookup> {
        let shared = &self.shared;
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        match shared.db.get_pinned_cf_opt(shared.family(cf), key, &options) {
            Ok(value) => Ok(Lookup::Ready(value.map(|value| Bytes::copy_from_slice(&value)))),
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(Lookup::MayBlock),
            Err(error) => Err(shared.error("read", error)),
        }
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        Ok(Arc::new(Snapshot::take(Arc::clone(&self.shared))))
    }

    fn flush(&self) -> Result<()> {
        self.shared.sync()
    }

    fn merge(&self) -> Result<()> {
        let shared = &self.shared;
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        for cf in Cf::ALL {
            let family = shared.family(cf);
            shared
                .db
                .flush_cf_opt(family, &wait)
                .map_err(|error| shared.error("flush the memtable", error))?;
            let mut options = CompactOptions::default();
            options.set_bottommost_level_compaction(::rocksdb::BottommostLevelCompaction::Force);
            shared.db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        let shared = &self.shared;
        let ticker = |ticker| shared.statistics.get_ticker_count(ticker);
        let count = |histogram| shared.statistics.get_histogram_data(histogram).count();
        let sum = |name: &str| Cf::ALL.iter().map(|cf| shared.property(*cf, name)).sum::<u64>();
        let live = sum("rocksdb.estimate-live-data-size");
        let files = sum("rocksdb.total-sst-files-size");
        let mut stats = Stats {
            disk_bytes: files,
            dead_bytes: files.saturating_sub(live),
            syncs: ticker(Ticker::WalFileSynced),
            batches: shared.batches.load(Ordering::Relaxed),
            written_bytes: ticker(Ticker::WalFileBytes)
                + ticker(Ticker::FlushWriteBytes)
                + ticker(Ticker::CompactWriteBytes),
            ..Stats::default()
        };
        for cf in Cf::ALL {
            stats.cfs[cf.index()] = CfStats {
                keys: shared.property(cf, "rocksdb.estimate-num-keys"),
                bytes: shared.property(cf, "rocksdb.estimate-live-data-size"),
            };
        }
        stats.extra = vec![
            ("block_cache_hits", ticker(Ticker::BlockCacheHit)),
            ("block_cache_misses", ticker(Ticker::BlockCacheMiss)),
            ("bloom_filter_useful", ticker(Ticker::BloomFilterUseful)),
            ("memtable_hits", ticker(Ticker::MemtableHit)),
            ("flushes", count(Histogram::FlushTime)),
            ("compactions", count(Histogram::CompactionTime)),
            ("compaction_read_bytes", ticker(Ticker::CompactReadBytes)),
            ("compaction_write_bytes", ticker(Ticker::CompactWriteBytes)),
            ("stall_micros", ticker(Ticker::StallMicros)),
            ("memtable_bytes", sum("rocksdb.cur-size-all-mem-tables")),
            ("block_cache_bytes", shared.property(Cf::Default, "rocksdb.block-cache-usage")),
        ];
        stats
    }
}

/// RocksDB's name of a column family: it insists on one called `default`.
fn family_name(cf: Cf) -> &'static str {
    cf.name()
}

/// The words of RocksDB's status, as an error that tells the caller what to do.
fn from_rocksdb(path: &Path, action: &'static str, error: ::rocksdb::Error) -> Error {
    let text = error.to_string();
    let file = path.to_owned();
    match error.kind() {
        ErrorKind::Corruption => Error::Corrupt { file, offset: 0, reason: text },
        ErrorKind::IOError if text.contains("No space left") => {
            Error::DiskFull { file, source: io::Error::other(error) }
        }
        ErrorKind::IOError if text.contains("lock") => Error::Locked { folder: file },
        ErrorKind::InvalidArgument => Error::Invalid(text),
        _ => Error::Io { action, file, source: io::Error::other(error) },
    }
}
