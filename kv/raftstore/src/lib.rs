//! The regions of a store: many raft groups that share one log and one engine, without IO.
//!
//! A [`Store`] is a state machine with one owner. What happens goes in as calls, what is to be
//! done comes out as a [`Ready`]; nothing here knows a socket, a clock, a thread or a logger.
//!
//! ```text
//!   tick, step(PeerMessage), propose, read, ...            inputs
//!        |
//!   Store::ready() -> Ready { messages, logs, tasks, answers, reads, .. }
//!        |-- messages   send now, in any order
//!        |-- logs       write to the wal, in order; sync if must_sync; then persisted(number)
//!        |-- reads      take a view of the engine, now, and read from it
//!        |-- tasks      give to the Applier, in order; its results back to applied(..)
//!        |-- chunks     run anywhere; the results back to chunk_read(..)
//!        `-- answers    tell the client: each tag once
//! ```
//!
//! What depends on a write is kept back by the store until `persisted` says that the write is
//! durable: votes and acknowledgements leave with a later `Ready`. So the driver can send whatever
//! it is given.
//!
//! The [`Applier`] is an object of its own, which may live on another thread: it executes committed
//! entries on the engine, through the one trait [`StateMachine`].
//!
//! # What is durable where
//!
//! | what | where |
//! |---|---|
//! | entries, hard state, what is cut off, whether the peer is a tombstone | the wal, one group a region |
//! | applied index, region, membership | the engine, `Cf::Raft`, in the batch of the data |
//!
//! The engine's writes are not synced one by one: the log has them. Before the log is cut off, the
//! engine is flushed ([`Task::Flush`]). See [`mod@format`] for the layouts.
//!
//! # Invariants
//!
//! - Each tag that goes in comes out once, as an answer or as a read.
//! - Data and applied index change in one batch, so an entry is applied once.
//! - The log is never cut off beyond what is durable in the engine.
//! - A peer's id is never used again; a removed peer leaves a tombstone, and what comes for it or
//!   for older ids is not taken.

mod applier;
mod config;
mod entry;
mod envelope;
mod error;
pub mod format;
mod machine;
mod open;
mod peer;
mod proposals;
mod reads;
mod ready;
mod snapshot;
mod status;
mod storage;
mod store;

pub use applier::{Applied, Applier, Done, Task};
pub use config::Config;
pub use entry::LogEntry;
pub use error::{Error, Result};
pub use machine::{Executed, StateMachine, Timed, range_of};
pub use open::is_begun;
pub use ready::{Alarm, Answer, Ready};
pub use snapshot::{ChunkRead, ChunkTask};
pub use status::{Metrics, RegionStatus};
pub use store::{Command, KeySpan, PeerChange, Store};
