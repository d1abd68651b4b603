//! The engine that keeps data: append-only segments, and an index of all keys in memory.
//!
//! After Sheehy and Smith, "Bitcask: A Log-Structured Hash Table for Fast Key/Value Data" (2010),
//! but with an ordered index, versions for views, and atomic batches.
//!
//! ```text
//!   write -> queue -> log -> segment file, sync -> index -> publish
//!   get   -> index -> cache, or segment file, CRC checked
//! ```
//!
//! - [`frame`] draws the bytes of a segment, [`manifest`] the files.
//! - [`mod@recover`] decides after a crash what is durable.
//! - Readers take no lock that a writer or a merge holds.
//!
//! Left out: keys that do not fit into memory; compression.

mod background;
mod cache;
mod check;
mod frame;
mod hint;
mod load;
mod location;
mod log;
mod manifest;
mod merge;
mod options;
mod queue;
mod recover;
mod run;
mod salvage;
mod scan;
mod segment;
mod survey;

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use wal::{DirLock, Fs};

pub use check::{Report, check};
pub use options::Options;
pub use salvage::{Salvaged, salvage};
pub use survey::{Damage, Severity};

use self::log::Log;
use crate::folder::{Folder, corrupt};
use crate::index::{Cursor, Index, Pin};
use crate::plan::Plan;
use crate::usage::Usage;
use crate::{
    Batch, Cf, Direction, Durability, Engine, Entries, Error, Lookup, Pairs, Range, Result, Stats,
    View,
};
use background::{Signal, Threads};
use cache::Cache;
use frame::{Draft, RECORD_HEAD, Record};
use location::Location;
use manifest::{Listed, Origin};
use merge::Merge;
use mutant::mutant;
use queue::Queue;
use recover::recover;
use segment::{SEGMENT_HEAD, Segment, SegmentHead, Segments};

/// The version of the format that this code reads and writes.
const VERSION: &str = "1";

/// Opens the bitcask in a folder, or makes one in a new or empty folder.
///
/// # Errors
/// `Locked` if it is in use, `WrongEngine` or `Format` if the folder was made by something else,
/// `Corrupt` if durable data is damaged, `Invalid` for options out of their limits.
pub fn open(fs: Arc<dyn Fs>, path: impl AsRef<Path>, options: Options) -> Result<Bitcask> {
    Bitcask::open(fs, path.as_ref(), options)
}

/// An open bitcask.
pub struct Bitcask {
    shared: Arc<Shared>,
    threads: Threads,
}

#[derive(Debug, Default)]
struct Counters {
    batches: AtomicU64,
    written_bytes: AtomicU64,
    syncs: AtomicU64,
    merges: AtomicU64,
}

/// What all threads of a bitcask share.
struct Shared {
    folder: Folder,
    options: Options,
    uid: u64,
    index: Arc<Index<Location>>,
    segments: ArcSwap<Segments>,
    usage: Usage,
    queue: Queue,
    log: Mutex<Log>,
    /// Held while the log is synced.
    syncing: Mutex<()>,
    /// The lines of the manifest on disk.
    listed: Mutex<Vec<Listed>>,
    /// The highest segment number that was given out.
    newest_id: Mutex<NonZeroU32>,
    merge: Mutex<Option<Merge>>,
    signal: Signal,
    cache: Cache,
    poison: OnceLock<String>,
    counters: Counters,
    _lock: Box<dyn DirLock>,
}

impl fmt::Debug for Bitcask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bitcask").field("path", &self.shared.folder.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("path", &self.folder.path).finish_non_exhaustive()
    }
}

impl Bitcask {
    fn open(fs: Arc<dyn Fs>, path: &Path, options: Options) -> Result<Bitcask> {
        options.validate()?;
        let folder = Folder { fs, path: path.to_path_buf() };
        folder.make()?;
        let lock = folder.lock()?;
        let uid = folder.check_format("bitcask", VERSION, options.uid)?;
        let mut recovered = recover(&folder, uid)?;
        let last_seq = recovered.last_seq;
        let ids = recovered.listed.iter().map(|listed| listed.id.get());
        let mut newest = ids.max().unwrap_or(0);
        let log = match recovered.open {
            Some(segment) => {
                let end = segment.end.load(Ordering::Relaxed);
                Log::open(segment, end, last_seq)?
            }
            None => {
                let id = newest.checked_add(1).and_then(NonZeroU32::new);
                let id = id.ok_or_else(no_numbers)?;
                newest = id.get();
                let listed = Listed { id, origin: Origin::Log };
                let (first_seq, durable) = (last_seq + 1, last_seq);
                let head = SegmentHead { uid, listed, first_seq, clean_seq: 0, durable };
                let allocated = options.allocate_bytes.max(SEGMENT_HEAD as u64);
                let segment = Arc::new(Segment::create(&folder, head, allocated)?);
                recovered.listed.push(head.listed);
                folder.write_manifest(&recovered.listed)?;
                recovered.segments.insert(Arc::clone(&segment));
                Log::new(segment, allocated, last_seq, last_seq)
            }
        };
        let shared = Shared {
            folder,
            cache: Cache::new(options.cache_bytes),
            options,
            uid,
            index: Arc::new(recovered.index),
            segments: ArcSwap::from_pointee(recovered.segments),
            usage: recovered.usage,
            queue: Queue::default(),
            log: Mutex::new(log),
            syncing: Mutex::new(()),
            listed: Mutex::new(recovered.listed),
            newest_id: Mutex::new(NonZeroU32::new(newest).ok_or_else(no_numbers)?),
            merge: Mutex::new(None),
            signal: Signal::default(),
            poison: OnceLock::new(),
            counters: Counters::default(),
            _lock: lock,
        };
        let shared = Arc::new(shared);
        let threads = Threads::start(&shared)?;
        Ok(Bitcask { shared, threads })
    }

    /// Does a bounded piece of the work that is due: writes a hint, or a slice of a merge. Returns
    /// whether there may be more. Threads do this in the background, unless they are turned off.
    ///
    /// # Errors
    /// `Corrupt` where a segment to merge is damaged: it stays as it is. `DiskFull`, `Io`: the work
    /// stays to be done.
    pub fn merge_step(&self) -> Result<bool> {
        self.shared.merge_step()
    }

    /// Syncs if a write at the level `interval` has waited for long enough at the moment `now`.
    /// Returns whether it did. A thread does this in the background, unless it is turned off.
    ///
    /// # Errors
    /// A failed sync poisons the engine.
    pub fn sync_due(&self, now: Instant) -> Result<bool> {
        self.shared.sync_due(now)
    }
}

impl Drop for Bitcask {
    fn drop(&mut self) {
        self.threads.stop(&self.shared);
        // A clean end is durable, and the next start can tell that it was.
        if let Err(error) = self.shared.close() {
            ::log::warn!("the bitcask was not closed cleanly"; "error" => error.to_string());
        }
    }
}

fn no_numbers() -> Error {
    Error::Invalid("all segment numbers are used up".to_owned())
}

impl Shared {
    /// Stops all writing because of an error, and returns the error: never `DiskFull`, after which
    /// a caller may try again.
    fn poison(&self, error: Error) -> Error {
        ::log::error!("writing stopped after a failure"; "error" => error.to_string());
        let _ = self.poison.set(error.to_string());
        match error {
            Error::DiskFull { file, source } => Error::Io { action: "write to", file, source },
            error => error,
        }
    }

    fn check_poison(&self) -> Result<()> {
        match self.poison.get() {
            Some(reason) if !mutant!("poison-ignored") => Err(Error::Poisoned(reason.clone())),
            _ => Ok(()),
        }
    }

    /// A number for a new segment.
    fn next_id(&self) -> Result<NonZeroU32> {
        let mut newest = self.newest_id.lock();
        *newest = newest.checked_add(1).ok_or_else(no_numbers)?;
        Ok(*newest)
    }

    /// Reads the value that `find` finds in the index. A merge may have moved it away between the
    /// look into the index and the look at the segment; then the index is asked again.
    fn read(
        &self,
        key: &[u8],
        find: impl Fn() -> Option<(u64, Location)>,
    ) -> Result<Option<Bytes>> {
        let mut gone = None;
        loop {
            let Some((seq, location)) = find() else { return Ok(None) };
            if let Some(value) = self.cache.get(location) {
                return Ok(Some(value));
            }
            let segments = self.segments.load();
            if let Some(segment) = segments.get(location.segment) {
                let value = read_value(segment, location, seq, key, false)?;
                self.cache.insert(location, &value);
                return Ok(Some(value));
            }
            if gone == Some(location) || mutant!("no-second-lookup") {
                let path = self.folder.segment(location.segment);
                return Err(corrupt(
                    &path,
                    location.offset.into(),
                    "the index names a segment that is gone",
                ));
            }
            gone = Some(location);
        }
    }
}

/// Records up to this size are read into a buffer of the thread, in bytes.
const SMALL_RECORD: usize = 8 << 10;

/// Reads and checks one record. If it must not wait, `Io` with `WouldBlock` means that it would.
fn read_value(
    segment: &Segment,
    location: Location,
    seq: u64,
    key: &[u8],
    nowait: bool,
) -> Result<Bytes> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let len = RECORD_HEAD + key.len() + location.value_len as usize;
    if len > SMALL_RECORD {
        let mut bytes = vec![0; len];
        read_record(segment, location, seq, key, &mut bytes, nowait)?;
        return Ok(Bytes::from(bytes).split_off(RECORD_HEAD + key.len()));
    }
    // A small value is copied: that costs less than to keep its record.
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(SMALL_RECORD, 0);
        let bytes = &mut buffer[..len];
        read_record(segment, location, seq, key, bytes, nowait)?;
        Ok(Bytes::copy_from_slice(&bytes[RECORD_HEAD + key.len()..]))
    })
}

/// Fills `bytes` with a record, and checks it.
fn read_record(
    segment: &Segment,
    location: Location,
    seq: u64,
    key: &[u8],
    bytes: &mut [u8],
    nowait: bool,
) -> Result<()> {
    let offset = u64::from(location.offset);
    let read = if nowait {
        segment.file.read_at_nowait(bytes, offset).and_then(|count| match count {
            // A part of it is in memory: the rest is not.
            _ if count < bytes.len() => Err(std::io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        })
    } else {
        segment.file.read_exact_at(bytes, offset)
    };
    read.map_err(|e| segment.failed("read the segment", e))?;
    let record = Record::parse(bytes, segment.salt, seq);
    let record = record.map_err(|reason| segment.corrupt(offset, reason))?;
    if record.key != key || record.len() != bytes.len() as u64 {
        return Err(segment.corrupt(offset, "the record is of another key or size"));
    }
    Ok(())
}

impl Engine for Bitcask {
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        let plan = Plan::new(batch)?;
        if plan.is_empty() {
            return self.shared.check_poison();
        }
        let shared = &self.shared;
        let draft = Draft::new(plan)?;
        if mutant!("merge-inline") && !shared.options.background {
            shared.merge_all()?;
        }
        shared.queue.write(Some(draft), durability, shared.options.group_bytes, |group| {
            shared.commit(group);
        })
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        self.shared.read(key, || self.shared.index.get(cf, key))
    }

    fn get_nowait(&self, cf: Cf, key: &[u8]) -> Result<Lookup> {
        let Some((seq, location)) = self.shared.index.get(cf, key) else {
            return Ok(Lookup::Ready(None));
        };
        if let Some(value) = self.shared.cache.get(location) {
            return Ok(Lookup::Ready(Some(value)));
        }
        let segments = self.shared.segments.load();
        let Some(segment) = segments.get(location.segment) else { return Ok(Lookup::MayBlock) };
        match read_value(segment, location, seq, key, true) {
            Ok(value) => {
                self.shared.cache.insert(location, &value);
                Ok(Lookup::Ready(Some(value)))
            }
            // Whatever it is, a read that may wait finds out.
            Err(Error::Io { .. }) => Ok(Lookup::MayBlock),
            Err(error) => Err(error),
        }
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        Ok(Arc::new(BitcaskView {
            pin: self.shared.index.view(),
            shared: Arc::clone(&self.shared),
        }))
    }

    fn flush(&self) -> Result<()> {
        let shared = &self.shared;
        shared.queue.write(None, Durability::Always, shared.options.group_bytes, |group| {
            shared.commit(group);
        })
    }

    fn merge(&self) -> Result<()> {
        self.shared.merge_all()
    }

    fn stats(&self) -> Stats {
        let shared = &self.shared;
        let segments = shared.segments.load();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            cfs: shared.usage.stats(),
            disk_bytes: segments.iter().map(|segment| segment.len()).sum(),
            dead_bytes: segments.iter().map(|segment| segment.dead()).sum(),
            syncs: load(&shared.counters.syncs),
            batches: load(&shared.counters.batches),
            written_bytes: load(&shared.counters.written_bytes),
            extra: vec![
                ("segments", segments.iter().count() as u64),
                ("merges", load(&shared.counters.merges)),
            ],
        }
    }
}

/// A view of a [`Bitcask`].
#[derive(Debug)]
struct BitcaskView {
    pin: Pin<Location>,
    shared: Arc<Shared>,
}

impl BitcaskView {
    fn cursor(&self, cf: Cf, range: Range, direction: Direction) -> Cursor<Location> {
        self.pin.index.cursor(cf, self.pin.seq, range, direction)
    }
}

impl View for BitcaskView {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        self.shared.read(key, || self.pin.index.get_at(cf, key, self.pin.seq))
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        let mut cursor = self.cursor(cf, range, direction);
        Box::new(std::iter::from_fn(move || {
            let (key, found) = cursor
                .next(|key, seq, location| (Bytes::copy_from_slice(key), (seq, *location)))?;
            let mut first = Some(found);
            let value = {
                let first = std::cell::Cell::new(first.take());
                self.shared.read(&key, || {
                    first.take().or_else(|| self.pin.index.get_at(cf, &key, self.pin.seq))
                })
            };
            match value {
                Ok(Some(value)) => Some(Ok((key, value))),
                Ok(None) => unreachable!("a version that a view needs does not go"),
                Err(error) => Some(Err(error)),
            }
        }))
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        let mut cursor = self.cursor(cf, range, direction);
        Box::new(std::iter::from_fn(move || {
            cursor.next(|key, _, _| Ok(Bytes::copy_from_slice(key)))
        }))
    }
}

#[cfg(test)]
mod tests;
