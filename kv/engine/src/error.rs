//! What can go wrong in an engine.

use std::io;
use std::path::PathBuf;

/// The result of an engine's operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An engine's error. What a caller can do: give up on `Corrupt`, `Poisoned` and `Format`, ask the
/// user on `Locked` and `WrongEngine`, retry after space was freed on `DiskFull`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Stored bytes are damaged. Nothing was changed.
    #[error("{}: damaged at byte {offset}: {reason}", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file the damaged record starts, in bytes.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system failed.
    #[error("{}: cannot {action}", file.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or folder.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full. Reads and deletes go on; writes work again once there is space.
    #[error("{}: the disk is full", file.display())]
    DiskFull {
        /// The file that could not grow.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or sync failed, so that what is on disk is not known. Restart the store.
    #[error("the engine stopped after an earlier failure: {0}")]
    Poisoned(String),
    /// Another process, or another engine of this one, holds the data folder.
    #[error("{}: the data folder is in use by another process", folder.display())]
    Locked {
        /// The data folder.
        folder: PathBuf,
    },
    /// Another engine made the data folder.
    #[error("{}: the data folder was made by the engine `{found}`, not `{wanted}`", folder.display())]
    WrongEngine {
        /// The data folder.
        folder: PathBuf,
        /// The engine that made it.
        found: String,
        /// The engine asked for.
        wanted: String,
    },
    /// The data folder has a format that this version cannot read.
    #[error("{}: {reason}", folder.display())]
    Format {
        /// The data folder.
        folder: PathBuf,
        /// What is not understood, and what to do.
        reason: String,
    },
    /// The caller asked for something out of the limits.
    #[error("{0}")]
    Invalid(String),
}
