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
//! - [`frame`] draws the bytes of a segment, [`folder`] the files.
//! - [`recover`] decides after a crash what is durable.
//! - Readers take no lock that a writer or a merge holds.
//!
//! Left out: keys that do not fit into memory; compression.

mod folder;
mod frame;
mod load;
mod location;
mod log;
mod options;
mod queue;
mod recover;
mod run;
mod scan;
mod segment;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use wal::{DirLock, Fs};

pub use options::Options;

use self::log::Log;
use crate::index::{Cursor, Index, Pin};
use crate::plan::Plan;
use crate::usage::Usage;
use crate::{
    Batch, Cf, Direction, Durability, Engine, Entries, Error, Lookup, Pairs, Range, Result, Stats,
    View,
};
use folder::{Folder, Listed, failed};
use frame::{Draft, RECORD_HEAD, Record};
use location::Location;
use mutant::mutant;
use queue::Queue;
use recover::{next_head, recover};
use segment::{SEGMENT_HEAD, Segment, Segments};

/// Opens the bitcask in a folder, or makes one in a new or empty folder.
///
/// # Errors
/// `Locked` if it is in use, `WrongEngine` or `Format` if the folder was made by something else,
/// `Corrupt` if durable data is damaged, `Invalid` for options out of their limits.
pub fn open(fs: Arc<dyn Fs>, path: impl AsRef<Path>, options: Options) -> Result<Bitcask> {
    Bitcask::open(fs, path.as_ref(), options)
}

/// An open bitcask.
#[derive(Debug)]
pub struct Bitcask {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Counters {
    batches: AtomicU64,
    written_bytes: AtomicU64,
    syncs: AtomicU64,
}

/// What all threads of a bitcask share.
#[derive(Debug)]
struct Shared {
    folder: Folder,
    options: Options,
    uid: u64,
    index: Arc<Index<Location>>,
    segments: ArcSwap<Segments>,
    usage: Usage,
    queue: Queue,
    log: Mutex<Log>,
    /// The lines of the manifest on disk.
    listed: Mutex<Vec<Listed>>,
    poison: OnceLock<String>,
    counters: Counters,
    _lock: Box<dyn DirLock>,
}

impl Bitcask {
    fn open(fs: Arc<dyn Fs>, path: &Path, options: Options) -> Result<Bitcask> {
        options.validate()?;
        let folder = Folder { fs, path: path.to_path_buf() };
        folder.fs.create_dir_all(path).map_err(|e| failed("create the folder", path, e))?;
        let lock_path = path.join("LOCK");
        let lock = folder.fs.lock(&lock_path).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked { folder: path.to_path_buf() },
            _ => failed("lock the folder with", &lock_path, error),
        })?;
        let uid = folder.check_format(options.uid)?;
        let mut recovered = recover(&folder, uid)?;
        let last_seq = recovered.last_seq;
        let log = match recovered.open {
            Some(segment) => {
                let end = segment.end.load(Ordering::Relaxed);
                Log::open(segment, end, last_seq)?
            }
            None => {
                let head = next_head(&recovered.listed, uid, last_seq + 1, last_seq)?;
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
            options,
            uid,
            index: Arc::new(recovered.index),
            segments: ArcSwap::from_pointee(recovered.segments),
            usage: recovered.usage,
            queue: Queue::default(),
            log: Mutex::new(log),
            listed: Mutex::new(recovered.listed),
            poison: OnceLock::new(),
            counters: Counters::default(),
            _lock: lock,
        };
        Ok(Bitcask { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// Stops all writing because of an error, and returns the error.
    fn poison(&self, error: Error) -> Error {
        ::log::error!("writing stopped after a failure"; "error" => error.to_string());
        let _ = self.poison.set(error.to_string());
        error
    }

    fn check_poison(&self) -> Result<()> {
        match self.poison.get() {
            Some(reason) if !mutant!("poison-ignored") => Err(Error::Poisoned(reason.clone())),
            _ => Ok(()),
        }
    }

    fn wake_background(&self) {}

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
            let segments = self.segments.load();
            if let Some(segment) = segments.get(location.segment) {
                return read_value(segment, location, seq, key).map(Some);
            }
            if gone == Some(location) {
                let path = self.folder.segment(location.segment);
                return Err(folder::corrupt(
                    &path,
                    location.offset.into(),
                    "the index names a segment that is gone",
                ));
            }
            gone = Some(location);
        }
    }
}

/// Reads and checks one record.
fn read_value(segment: &Segment, location: Location, seq: u64, key: &[u8]) -> Result<Bytes> {
    let offset = u64::from(location.offset);
    let mut bytes = vec![0; RECORD_HEAD + key.len() + location.value_len as usize];
    segment
        .file
        .read_exact_at(&mut bytes, offset)
        .map_err(|e| segment.failed("read the segment", e))?;
    check_record(segment, location, seq, key, bytes)
}

fn check_record(
    segment: &Segment,
    location: Location,
    seq: u64,
    key: &[u8],
    bytes: Vec<u8>,
) -> Result<Bytes> {
    let offset = u64::from(location.offset);
    let record = Record::parse(&bytes, segment.salt, seq);
    let record = record.map_err(|reason| segment.corrupt(offset, reason))?;
    if record.key != key || record.len() != bytes.len() as u64 {
        return Err(segment.corrupt(offset, "the record is of another key or size"));
    }
    Ok(Bytes::from(bytes).split_off(RECORD_HEAD + key.len()))
}

impl Engine for Bitcask {
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        let plan = Plan::new(batch)?;
        if plan.is_empty() {
            return self.shared.check_poison();
        }
        let shared = &self.shared;
        let draft = Draft::new(plan)?;
        shared.queue.write(Some(draft), durability, shared.options.group_bytes, |group| {
            shared.commit(group);
        })
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        self.shared.read(key, || self.shared.index.get(cf, key))
    }

    fn get_nowait(&self, cf: Cf, key: &[u8]) -> Result<Lookup> {
        Ok(match self.shared.index.get(cf, key) {
            Some(_) => Lookup::MayBlock,
            None => Lookup::Ready(None),
        })
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
        Ok(())
    }

    fn stats(&self) -> Stats {
        let shared = &self.shared;
        let segments = shared.segments.load();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            cfs: shared.usage.stats(),
            disk_bytes: segments.iter().map(|segment| load(&segment.end)).sum(),
            dead_bytes: segments.iter().map(|segment| segment.dead()).sum(),
            syncs: load(&shared.counters.syncs),
            batches: load(&shared.counters.batches),
            written_bytes: load(&shared.counters.written_bytes),
            extra: Vec::new(),
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
