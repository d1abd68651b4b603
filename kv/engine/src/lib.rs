//! The storage engines of tinykv behind one trait.
//!
//! An engine keeps sorted key-value pairs in named column families. A [`Batch`] changes any number
//! of them atomically, a [`View`] reads all of them as they were at one moment.

mod batch;
mod cf;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod error;
#[cfg(feature = "conformance")]
mod mirror;

pub use batch::{Batch, Write};
pub use cf::Cf;
pub use engine::{
    CfStats, Direction, Durability, Engine, Entries, Lookup, Pairs, Range, Stats, View,
};
pub use error::{Error, Result};
#[cfg(feature = "conformance")]
pub use mirror::Mirror;
