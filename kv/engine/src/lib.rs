//! The storage engines of tinykv behind one trait.
//!
//! An engine keeps sorted key-value pairs in named column families. A [`Batch`] changes any number
//! of them atomically, a [`View`] reads all of them as they were at one moment.
//!
//! There are two engines: [`Memory`], and [`bitcask`], which is the one that keeps data. Both
//! stand on one ordered, multi-version index in memory. The feature `rocksdb` adds a third, for
//! data whose keys do not fit in memory.

mod batch;
pub mod bitcask;
mod cf;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod error;
mod folder;
mod index;
mod memory;
#[cfg(feature = "conformance")]
mod mirror;
mod plan;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
mod usage;

pub use batch::{Batch, Write};
pub use cf::Cf;
pub use engine::{
    CfStats, Direction, Durability, Engine, Entries, Lookup, Pairs, Range, Stats, View,
};
pub use error::{Error, Result};
pub use memory::Memory;
#[cfg(feature = "conformance")]
pub use mirror::Mirror;
pub use plan::{BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
