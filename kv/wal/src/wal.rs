//! The log in its synchronous form: [`Wal`].
//!
//! One caller writes; readers may be elsewhere. Nothing happens but in calls: no thread, no
//! clock. Simulators and tools use this form, [`crate::SharedWal`] is for threads.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use crate::appender::{Appender, Durability};
use crate::batch::LogBatch;
use crate::dir::Dir;
use crate::entry::WalEntry;
use crate::error::{Error, Result};
use crate::fs::{DirLock, Fs};
use crate::id::Lsn;
use crate::index::Bounds;
use crate::options::Options;
use crate::pool::{Pool, Prepared};
use crate::purge::PurgeReport;
use crate::reader::WalReader;
use crate::recent::Recent;
use crate::recovery::{Recovered, RecoveryReport, recover};
use crate::segment::SegmentId;
use crate::store::{Segment, State, Store};
use crate::tail::Tail;

/// A log of many groups in one folder. It reads as a [`WalReader`] does.
#[derive(Debug)]
pub struct Wal<E> {
    appender: Appender,
    reader: WalReader<E>,
}

impl<E> Deref for Wal<E> {
    type Target = WalReader<E>;

    fn deref(&self) -> &WalReader<E> {
        &self.reader
    }
}

impl<E: WalEntry> Wal<E> {
    /// Opens the log in a folder, which is created if needed, and recovers it.
    ///
    /// # Errors
    /// [`Error::Locked`] if it is open; [`Error::InvalidOption`]; and where the log is damaged
    /// beyond naming what is lost: [`Error::Lost`], [`Error::Chain`], [`Error::MissingSegment`],
    /// [`Error::DuplicateSegment`], [`Error::WrongSegment`]. Nothing is changed in these cases.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<(Wal<E>, RecoveryReport)> {
        let (appender, report) = open(fs, dir, options, &[])?;
        let reader = WalReader::new(Arc::clone(&appender.store));
        Ok((Wal { appender, reader }, report))
    }

    /// Writes a batch whole or not at all.
    ///
    /// # Errors
    /// [`Error::Gap`], [`Error::TooLarge`]: nothing is written. [`Error::DiskFull`]: nothing is
    /// written; free space and try again. Any other: the log is closed for good.
    pub fn write(&mut self, batch: LogBatch<E>, durability: Durability) -> Result<Lsn> {
        let store = &self.appender.store;
        store.check_alive()?;
        let mut ops = batch.into_ops();
        store.state.read().index.check(&ops.items, &mut Bounds::default())?;
        if let Some(bytes_min) = store.options.compress_bytes_min {
            ops.compress(bytes_min);
        }
        if ops.items.is_empty() {
            return if durability == Durability::Synced {
                self.sync()
            } else {
                Ok(self.last_lsn())
            };
        }
        self.appender.commit(vec![ops], durability)
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Any error closes the log for good.
    pub fn sync(&mut self) -> Result<Lsn> {
        self.appender.sync()
    }

    /// Makes everything up to a block durable, and gives the last block that is. Costs nothing
    /// where it is durable already.
    ///
    /// # Errors
    /// [`Error::NotWritten`] if the log is not that long. Any other closes the log for good.
    pub fn sync_to(&mut self, lsn: Lsn) -> Result<Lsn> {
        self.appender.sync_to(lsn)
    }

    /// Protects the last block: writes, once, an empty block that says that all before it is
    /// durable. Until then, damage to the last block cannot be told from a torn write. To be
    /// called when nothing was written for some milliseconds.
    ///
    /// # Errors
    /// As [`Wal::write`].
    pub fn mark(&mut self) -> Result<()> {
        self.appender.sync()?;
        self.appender.mark()
    }

    /// Frees old segments; rewrites what little is left in them if the log is larger than
    /// [`Options::purge_bytes`].
    ///
    /// # Errors
    /// As [`Wal::write`].
    pub fn purge(&mut self) -> Result<PurgeReport> {
        let mut purge = self.appender.begin_purge();
        while self.appender.go_on_with(&mut purge)? {}
        Ok(purge.report)
    }

    /// A reader for other owners.
    #[must_use]
    pub fn reader(&self) -> WalReader<E> {
        self.reader.clone()
    }

    /// Prepares segments ahead, so that no write has to wait for it.
    pub fn prepare(&mut self) {
        let store = &self.appender.store;
        store.pool.fill(&store.dir, &store.options, &store.counters);
    }
}

/// Opens and recovers a log.
pub(crate) fn open(
    fs: Arc<dyn Fs>,
    path: &Path,
    options: Options,
    given_up: &[(Lsn, Lsn)],
) -> Result<(Appender, RecoveryReport)> {
    options.validate()?;
    create_dir(&*fs, path).map_err(Error::io(format!("create {}", path.display())))?;
    let lock = lock(&*fs, path)?;
    let dir = Dir { fs, path: path.to_owned() };
    let (ids, temporary) = dir.list()?;
    let recovered = recover(&dir, &options, &ids, given_up)?;
    let mut unneeded = temporary;
    unneeded.extend(recovered.leftovers.iter().map(|id| id.name()));
    dir.remove(&unneeded)?;
    assemble(dir, options, recovered, &ids, lock)
}

/// Creates a folder and its parents durably: the name of a new folder is in its parent.
fn create_dir(fs: &dyn Fs, path: &Path) -> std::io::Result<()> {
    let mut new = Vec::new();
    for folder in path.ancestors().skip(1) {
        if folder == Path::new("") || fs.exists(folder)? {
            break;
        }
        new.push(folder);
    }
    fs.create_dir_all(path)?;
    for folder in [path].iter().chain(&new) {
        // Also where it existed: the run that made it may have ended before this.
        fs.sync_dir(folder.parent().unwrap_or(Path::new("")))?;
    }
    Ok(())
}

/// Takes the folder's lock.
fn lock(fs: &dyn Fs, path: &Path) -> Result<Box<dyn DirLock>> {
    fs.lock(&path.join("LOCK")).map_err(|source| match source.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked(path.to_owned()),
        _ => Error::Io { what: format!("lock {}", path.display()), source },
    })
}

/// Takes the lock of a folder that must hold a log, and gives its segments.
pub(crate) fn lock_existing(dir: &Dir) -> Result<(Vec<SegmentId>, Box<dyn DirLock>)> {
    // First, so that no lock file is made where there is no log.
    dir.existing()?;
    let lock = lock(&*dir.fs, &dir.path)?;
    Ok((dir.existing()?, lock))
}

/// Makes a writable log of what was recovered.
fn assemble(
    dir: Dir,
    options: Options,
    recovered: Recovered,
    ids: &[SegmentId],
    lock: Box<dyn DirLock>,
) -> Result<(Appender, RecoveryReport)> {
    let last_lsn = recovered.last_lsn();
    let ready: Vec<Prepared> = recovered
        .pool
        .into_iter()
        .map(|(segment, header, bytes)| Prepared { segment, header, bytes })
        .collect();
    let used = recovered.segments.last().map(|(file, _)| file.id.seq);
    let pooled = ready.last().map(|prepared| prepared.segment.id.seq);
    let highest = used.max(pooled);
    debug_assert!(highest <= ids.last().map(|id| id.seq));
    let next_seq = highest.map_or(recovered.first_seq, |seq| seq + 1);
    let segments: BTreeMap<u32, Segment> = recovered
        .segments
        .into_iter()
        .map(|(file, bytes)| (file.id.seq, Segment { file, bytes }))
        .collect();
    let state = State {
        index: recovered.index,
        segments,
        recent: Recent::new(options.cache_bytes),
        written: last_lsn,
        synced: last_lsn,
        first_seq: recovered.first_seq,
    };
    let pool = Pool::new(ready, next_seq, &options);
    let store = Arc::new(Store::new(dir, options, state, pool, lock));
    let next = store.pool.take(&store.dir, &store.options, &store.counters, true)?;
    let tail = Tail::new(next.header, next.bytes, recovered.end);
    let mut appender = Appender::new(Arc::clone(&store), tail, next.segment, recovered.unsealed);
    appender.write_notes(recovered.horizon)?;
    Ok((appender, recovered.report))
}
