//! Why the store did not carry out a chunk or a read.

use std::sync::Arc;

use node::Failure;

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
    /// What the engine or the command said.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<engine::Error> for StoreError {
    fn from(error: engine::Error) -> StoreError {
        StoreError::Failed(Failure::Engine(Arc::new(error)))
    }
}
