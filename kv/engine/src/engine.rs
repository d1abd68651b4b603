//! The traits [`Engine`] and [`View`], and the small types they speak in.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Batch, Cf, Result};

/// When a write is safe from a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Before the call returns.
    Always,
    /// At most one second after the call returned.
    Interval,
    /// When the operating system likes, or at the next [`Engine::flush`].
    Never,
}

/// Keys from `start` (inclusive) to `end` (exclusive); no `end` means to the last key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first key.
    pub start: Bytes,
    /// The key after the last one, if there is a bound.
    pub end: Option<Bytes>,
}

impl Range {
    /// Every key.
    #[must_use]
    pub fn all() -> Range {
        Range::default()
    }

    /// Keys from `start` to before `end`.
    #[must_use]
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Range {
        Range { start: start.into(), end: Some(end.into()) }
    }

    /// Whether the range holds a key.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.end.as_ref().is_none_or(|end| key < &end[..])
    }
}

/// The order of an iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From small keys to large ones.
    #[default]
    Forward,
    /// From large keys to small ones.
    Backward,
}

/// What [`Engine::get_nowait`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The answer, found in memory.
    Ready(Option<Bytes>),
    /// The disk has to be asked: call [`Engine::get`] where waiting is allowed.
    MayBlock,
}

/// Keys with their values, in order.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + Send + 'a>;

/// Keys without their values, in order.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Bytes>> + Send + 'a>;

/// Sizes of one column family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CfStats {
    /// Live keys; an estimate where the engine keeps no exact count.
    pub keys: u64,
    /// Bytes of live keys and values, as far as the engine knows.
    pub bytes: u64,
}

/// Sizes and counters of an engine, since it was opened where they count events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One place a column family, by [`Cf::index`].
    pub cfs: [CfStats; Cf::ALL.len()],
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes on disk that a merge would free.
    pub dead_bytes: u64,
    /// Syncs of data files.
    pub syncs: u64,
    /// Batches written.
    pub batches: u64,
    /// Bytes written to disk, merges included.
    pub written_bytes: u64,
    /// Further counters, by name, as the engine likes.
    pub extra: Vec<(&'static str, u64)>,
}

/// A storage engine: sorted keys in column families, atomic batches, views.
///
/// It is shared as `Arc<dyn Engine>`. All methods may be called from many threads.
pub trait Engine: Debug + Send + Sync + 'static {
    /// Applies a batch atomically, and returns once it is as durable as asked for. Readers see
    /// none of it before it is.
    ///
    /// # Errors
    /// A failed write or sync poisons the engine: this and every later write fails.
    fn write(&self, batch: Batch, durability: Durability) -> Result<()>;

    /// Reads the newest value of a key.
    ///
    /// # Errors
    /// `Corrupt` where the stored bytes are damaged, `Io` where they cannot be read.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>>;

    /// Reads the newest value of a key if that needs no disk.
    ///
    /// # Errors
    /// As [`Engine::get`].
    fn get_nowait(&self, cf: Cf, key: &[u8]) -> Result<Lookup> {
        let _ = (cf, key);
        Ok(Lookup::MayBlock)
    }

    /// All keys as they are now. It stays valid, whatever is written or merged meanwhile.
    ///
    /// # Errors
    /// `Io` where the engine needs the disk for it.
    fn view(&self) -> Result<Arc<dyn View>>;

    /// Makes every write that returned before the call durable.
    ///
    /// # Errors
    /// A failed sync poisons the engine.
    fn flush(&self) -> Result<()>;

    /// Frees the space of overwritten and removed data, now and completely; engines also do that
    /// by themselves.
    ///
    /// # Errors
    /// `Io` or `Corrupt`; the data is as before.
    fn merge(&self) -> Result<()>;

    /// Sizes and counters.
    fn stats(&self) -> Stats;
}

/// All keys of an engine as they were at one moment.
pub trait View: Debug + Send + Sync + 'static {
    /// Reads a key.
    ///
    /// # Errors
    /// As [`Engine::get`].
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>>;

    /// The keys of a range with their values, in order. After an error it may go on.
    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_>;

    /// The keys of a range without their values, in order: cheaper where values are on disk.
    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_>;
}
