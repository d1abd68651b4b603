//! What can go wrong, sorted by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::entry::DecodeError;
use crate::id::{GroupId, Lsn};

/// The result of most functions of the log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the log refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // Stop: the log is of no use any more in this process.
    /// A write or sync failed before; what is on the disk is not known. Restart and recover.
    #[error("the log failed before and is closed; restart to recover what is on the disk")]
    Poisoned,
    /// Reading, writing or syncing failed.
    #[error("cannot {what}")]
    Io {
        /// What was tried, with the file's name.
        what: String,
        /// What the file system said.
        source: io::Error,
    },

    // Retry later.
    /// No room for another segment. Nothing was written; free space, or compact and purge.
    #[error("the disk is full; free space, or compact groups and purge the log, and try again")]
    DiskFull,
    /// Too many batches wait to be written. Nothing was written; try again.
    #[error("too much waits to be written; try again")]
    Busy,
    /// Another process, or another part of this one, has the log open.
    #[error("the log in {} is in use", .0.display())]
    Locked(PathBuf),

    // Reject: the caller asked for something impossible.
    /// The folder holds no log, or does not exist.
    #[error("there is no write-ahead log in {}", .0.display())]
    NoLog(PathBuf),
    /// A position that nothing was written to yet.
    #[error("nothing is written at {lsn} yet; the log ends at {last}")]
    NotWritten {
        /// What was asked for.
        lsn: Lsn,
        /// The last block.
        last: Lsn,
    },
    /// An option has no sense.
    #[error("option {name}: {why}")]
    InvalidOption {
        /// The field of `Options`.
        name: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A batch that is larger than a block may be.
    #[error("a batch of {bytes} bytes is over the limit of {limit}; split it")]
    TooLarge {
        /// What the batch needs.
        bytes: u64,
        /// What there may be.
        limit: u64,
    },
    /// An append that would leave a hole, or that starts below what was compacted.
    #[error(
        "{group}: an append at index {index} does not fit the log, which allows {low} to {high}"
    )]
    Gap {
        /// The group.
        group: GroupId,
        /// Where the append starts.
        index: u64,
        /// The lowest index it could start at.
        low: u64,
        /// The highest one.
        high: u64,
    },
    /// The index was compacted away, or the group has no entries.
    #[error("{group}: index {index} is compacted; the first one is {first}")]
    Compacted {
        /// The group.
        group: GroupId,
        /// What was asked for.
        index: u64,
        /// The lowest index that is there.
        first: u64,
    },
    /// The index is past the end of the group.
    #[error("{group}: index {index} is not written; the last one is {last}")]
    Unavailable {
        /// The group.
        group: GroupId,
        /// What was asked for.
        index: u64,
        /// The highest index that is there; 0 for none.
        last: u64,
    },

    // Repair: data is damaged, and this says which.
    /// The entry was written and is damaged. It must be fetched from another replica.
    #[error("{group}: the entry at index {index}, term {term}, is damaged; fetch it from a peer")]
    Faulty {
        /// The group.
        group: GroupId,
        /// The entry's index.
        index: u64,
        /// The entry's term.
        term: u64,
    },
    /// The entry's bytes are as written, but its type does not accept them.
    #[error("{group}: the entry at index {index} cannot be decoded")]
    Entry {
        /// The group.
        group: GroupId,
        /// The entry's index.
        index: u64,
        /// What the type said.
        source: DecodeError,
    },
    /// Durable blocks are damaged so badly that nothing says what was in them.
    #[error(
        "blocks {first} to {last} were durable and are lost beyond naming; restore the folder \
         from a copy, or give up what was in them with `tinykv wal repair --accept-loss`"
    )]
    Lost {
        /// The first lost block.
        first: Lsn,
        /// The last lost block.
        last: Lsn,
    },
    /// Durable blocks do not follow each other: files of different logs, or a bug.
    #[error("the block at {lsn} does not follow the one before it; the folder mixes logs")]
    Chain {
        /// The block that does not fit.
        lsn: Lsn,
    },
    /// A segment is not there, and it was not purged.
    #[error("segment {seq} is missing, with blocks after {after}; restore the file")]
    MissingSegment {
        /// The segment's number.
        seq: u32,
        /// The last block before it.
        after: Lsn,
    },
    /// Two files claim to be the same segment.
    #[error(
        "two files are segment {seq}: {} and {}; remove the wrong one",
        first.display(), second.display()
    )]
    DuplicateSegment {
        /// The segment's number.
        seq: u32,
        /// One file.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// A file's content is that of another segment or of another store.
    #[error("{} is not what its name says: {why}", path.display())]
    WrongSegment {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
}

impl Error {
    /// Makes a function that wraps an I/O error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        |source| Error::Io { what: what.into(), source }
    }
}
