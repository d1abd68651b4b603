//! Why the store did not carry out a chunk or a read.

use std::sync::Arc;

use node::{Failure, Response};

/// Why nothing, or nothing that is known, was done.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A queue is full; nothing was done.
    #[error("{0}")]
    Busy(String),
    /// The job or the write thread ended without an answer: whether a write happened is unknown.
    #[error("the request was lost in the server; its log says more")]
    Lost,
    /// The store met a defect of its own before; nothing was done.
    #[error("the store stopped after a defect: its log says more, restart the server")]
    Stopped,
    /// Nobody leads, or nobody who leads can be reached; nothing was done.
    #[error("there is no leader that can be reached now, try again")]
    NoLeader,
    /// Another store leads; nothing was done.
    #[error("another store leads: {address}")]
    NotLeader {
        /// Where its clients reach it.
        address: String,
    },
    /// The request cannot be carried out, now or later; nothing was done.
    #[error("{0}")]
    Refused(String),
    /// The disk of the leader lacks room; nothing was done.
    #[error("{0}")]
    DiskFull(String),
    /// Whether the write was or will be carried out is unknown.
    #[error("the write may or may not have been carried out: {0}")]
    Undetermined(String),
    /// The commands came to different things: this, each by itself.
    #[error("only some of the commands were carried out")]
    Mixed(Vec<Result<Response, StoreError>>),
    /// What the engine or the command said.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<engine::Error> for StoreError {
    fn from(error: engine::Error) -> StoreError {
        StoreError::Failed(Failure::Engine(Arc::new(error)))
    }
}
