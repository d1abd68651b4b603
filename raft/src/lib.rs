//! A sans-IO Raft.

pub(crate) use mutant::mutant;

pub mod confchange;
mod config;
mod election;
mod entry;
mod error;
mod inflights;
mod leader;
mod membership;
mod message;
mod node;
mod progress;
mod proposal;
pub mod quorum;
mod raft;
mod raft_log;
mod read_index;
mod ready;
mod reconfigure;
mod replication;
mod role;
mod snapshot;
mod state;
mod status;
mod storage;
mod transfer;
mod types;

pub use config::{Config, ReadMode, SendPolicy};
pub use entry::{BATCH_ENTRIES_MAX, Entries, Entry, Payload};
pub use error::{
    CampaignError, ChangeError, ConfigError, ProposeError, ReadError, StepError, StorageError,
    TransferError,
};
pub use inflights::Inflights;
pub use membership::Membership;
pub use message::{Body, Message, Snapshot, Vote};
pub use node::Node;
pub use progress::{Progress, ProgressState};
pub use proposal::Proposed;
pub use read_index::ReadOutcome;
pub use ready::{Ready, WriteReport};
pub use status::Status;
pub use storage::{InitialState, MemStorage, Storage};
pub use types::{EntryId, HardState, Index, NodeId, RoleKind, SoftState, Term};
