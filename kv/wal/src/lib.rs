//! The write-ahead log that many raft groups share, and the only door to files.
//!
//! ```text
//!   Wal (one caller, no threads)      SharedWal (many threads, group commit)
//!              \                        /
//!               appender: writes, syncs, rolls, rewrites, frees        reader: fetch, term, keys
//!               tail: forms blocks          \                         /
//!               pool: prepared segments       index: groups -> entries' places, keys
//!                                             recovery: blocks -> index
//!   fs: real files | memory with crashes | errors
//! ```
//!
//! `tail`, `index`, `purge` and the judgement in `recovery` do no I/O. [`Fs`] is what the storage
//! crates see of a disk. Everything above it runs unchanged on real files, on a memory file system
//! that loses what was not synced when it crashes, and on one that injects errors.
//!
//! What is durable stays, or is named: see `recovery`. The formats are drawn above their encoders
//! in `segment`, `block` and `record`.

mod fs;

mod entry;
mod error;
mod id;
mod options;
mod sync;

mod batch;
mod block;
mod codec;
mod mirror;
mod record;
mod segment;
mod tail;

mod group;
mod index;
mod notes;
mod usage;

mod appender;
mod dir;
mod entries;
mod group_commit;
mod metrics;
mod pool;
mod purge;
mod reader;
mod recent;
mod recovery;
mod replay;
mod rewrite;
mod scrub;
mod store;
mod tools;
mod wal;

pub use fs::{
    Choose, CrashPoint, CrashStates, Damage, DirLock, DiskRoom, Enumerate, ErrFs, Failure, Fault,
    File, Fs, FsOp, MemFs, OpenMode, RealFs, Seeded,
};

pub use appender::Durability;
pub use batch::LogBatch;
pub use entries::Entries;
pub use entry::{DecodeError, RawEntry, WalEntry};
pub use error::{Error, Result};
pub use group_commit::SharedWal;
pub use id::{GroupId, Lsn};
pub use metrics::{Durations, Metrics};
pub use options::{Options, TailPolicy};
pub use purge::PurgeReport;
pub use reader::WalReader;
pub use recovery::{FaultyEntry, Progress, RecoveryReport, Watch};
pub use replay::{Replayed, replay};
pub use scrub::{Scrub, ScrubPosition};
pub use tools::{dump, options_of, repair, verify};
pub use wal::Wal;
