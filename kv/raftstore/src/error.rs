//! What ends a store. Why a command was refused is a `proto::peer::RegionError` instead.

use proto::peer::RegionId;

/// The result of what can end a store.
pub type Result<T> = std::result::Result<T, Error>;

/// The store cannot go on, or not start. Stop it; what to do next is in the message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option has no sense.
    #[error("option {option} must be {rule}")]
    Option {
        /// The field of [`crate::Config`].
        option: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The folder belongs to another store or cluster.
    #[error("the data belongs to {found}, not to {wanted}; check the store's id and its path")]
    WrongStore {
        /// What the folder says.
        found: String,
        /// What the configuration says.
        wanted: String,
    },
    /// What is stored for a region contradicts itself: files were lost or mixed.
    #[error("region {region}: {reason}; restore the folder, or remove the store from the cluster")]
    Inconsistent {
        /// The region.
        region: RegionId,
        /// What does not fit.
        reason: String,
    },
    /// The engine failed.
    #[error("the engine failed")]
    Engine(#[from] engine::Error),
    /// The wal refused a batch.
    #[error("the log refused a batch")]
    Wal(#[from] wal::Error),
    /// A raft group cannot be started from what is stored.
    #[error("region {region}: its raft group cannot start")]
    Raft {
        /// The region.
        region: RegionId,
        /// Why not.
        source: raft::ConfigError,
    },
}

impl Error {
    pub(crate) fn inconsistent(region: RegionId, reason: impl Into<String>) -> Error {
        Error::Inconsistent { region, reason: reason.into() }
    }
}
