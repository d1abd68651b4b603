//! Room on the disk of a store of a cluster.
//!
//! ```text
//!   free space    >= reserve    all is well
//!                  < reserve    short: what needs room is refused, removals and reads go on
//!                         none   full: nothing is written, reads go on
//! ```
//!
//! A store that is short of room hands leadership over, refuses what needs room, and goes on taking
//! what other leaders replicate to it. Once the disk is full, what was taken waits: the log keeps what
//! was handed in, in order, and the engine's writes are tried again ([`Patient`]). Nothing that waits
//! was promised or answered. When there is room again, all goes on by itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::{Batch, Cf, Durability, Engine, Error, Lookup, Result, Stats, View};
use mutant::mutant;
use parking_lot::{Condvar, Mutex};
use wal::{DiskRoom, RealFs};

/// How long a write waits before it tries a full disk again.
const RETRY: Duration = Duration::from_millis(500);

/// What shall be left if nothing was said: so many bytes, or that part of a small disk.
const RESERVE_BYTES: u64 = 128 << 20;
const RESERVED_PART: u64 = 20;

/// A store that is short again and again within an eighth of the reserve is short all the time.
const EASED_PART: u64 = 8;

/// What a disk lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// Less is left than the reserve: what needs more is refused.
    Low,
    /// Nothing is left.
    Full,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shortage::Low => "nearly full",
            Shortage::Full => "full",
        })
    }
}

/// What is known of the room on a disk.
#[derive(Debug)]
pub(super) struct Room {
    /// A folder on it.
    path: PathBuf,
    /// What shall be left, in bytes, if that was said.
    reserve_bytes: Option<u64>,
    is_low: AtomicBool,
    /// Whether a write of the engine waits.
    is_full: AtomicBool,
    is_closed: Mutex<bool>,
    closed: Condvar,
}

impl Room {
    pub(super) fn new(path: PathBuf, reserve_bytes: Option<u64>) -> Room {
        Room {
            path,
            reserve_bytes,
            is_low: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            is_closed: Mutex::new(false),
            closed: Condvar::new(),
        }
    }

    /// Whether a write of the engine waits for room.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// A folder on the disk.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks how much is left. It may wait for the disk.
    pub(super) fn look(&self) {
        // Where the system does not say, the writes find out.
        let Ok(DiskRoom { total, free }) = RealFs::room(&self.path) else { return };
        let reserve =
            self.reserve_bytes.unwrap_or_else(|| RESERVE_BYTES.min(total / RESERVED_PART));
        let was_low = self.is_low.load(Ordering::Relaxed);
        let wanted = match was_low {
            true => reserve.saturating_add(reserve / EASED_PART),
            false => reserve,
        };
        self.is_low.store(free < wanted, Ordering::Relaxed);
    }

    /// What it lacks, if the log says that it has room, or none.
    pub(super) fn shortage(&self, log_is_full: bool) -> Option<Shortage> {
        match log_is_full || self.is_full() {
            true => Some(Shortage::Full),
            false => self.is_low.load(Ordering::Relaxed).then_some(Shortage::Low),
        }
    }

    /// Has nobody wait any more.
    pub(super) fn close(&self) {
        *self.is_closed.lock() = true;
        self.closed.notify_all();
    }

    /// Waits a while; false if it is no use.
    fn wait(&self) -> bool {
        let mut is_closed = self.is_closed.lock();
        if !*is_closed {
            self.closed.wait_for(&mut is_closed, RETRY);
        }
        !*is_closed
    }
}

/// An engine whose writes wait for room while the disk is full.
#[derive(Debug)]
pub(super) struct Patient {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) room: Arc<Room>,
}

impl Engine for Patient {
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        loop {
            match self.engine.write(batch.clone(), durability) {
                Err(Error::DiskFull { .. }) if !mutant!("full-disk-ends-store") => {
                    if !self.room.is_full.swap(true, Ordering::Relaxed) {
                        log::warn!("the disk is full: what is committed waits to be applied");
                    }
                    if !self.room.wait() {
                        let reason = "the store stops while its disk is full".to_owned();
                        return Err(Error::Poisoned(reason));
                    }
                }
                result => {
                    self.room.is_full.store(false, Ordering::Relaxed);
                    return result;
                }
            }
        }
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        self.engine.get(cf, key)
    }

    fn get_nowait(&self, cf: Cf, key: &[u8]) -> Result<Lookup> {
        self.engine.get_nowait(cf, key)
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        self.engine.view()
    }

    fn flush(&self) -> Result<()> {
        self.engine.flush()
    }

    fn merge(&self) -> Result<()> {
        self.engine.merge()
    }

    fn stats(&self) -> Stats {
        self.engine.stats()
    }
}

#[cfg(test)]
mod tests;
