//! A Raft group member without I/O: inputs are method calls, output is work to be done.
//!
//! The paper is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014);
//! "thesis" is Ongaro's, "Consensus: Bridging Theory and Practice" (2014). Each rule stands in the
//! module that is named after its part of the paper:
//!
//! | module | what | where |
//! |---|---|---|
//! | `raft` | the rules for all members: terms, roles | figure 2, 5.1 |
//! | `state`, `role`, `leader` | what every member, each role, a leader has | figure 2 |
//! | `election` | votes, pre-vote | 5.2, 5.4.1, thesis 9.6 |
//! | `replication` | entries, acknowledgements, commit | 5.3, 5.4.2 |
//! | `progress`, `inflights` | what a leader knows of a follower; flow control | 5.3 |
//! | `raft_log` | the log: memory, storage, what is durable and what is applied | 5.3 |
//! | `snapshot` | snapshots for followers that are far behind | 7 |
//! | [`confchange`], `reconfigure`, [`quorum`] | membership changes, joint majorities | 6, thesis 4 |
//! | `transfer` | handing leadership over | thesis 3.10 |
//! | `read_index` | linearizable reads without a log entry | thesis 6.4 |
//! | `node`, `ready` | the interface | |
//!
//! Nothing in here knows a clock, a disk, a network, a thread, a logger or the system's randomness:
//! time comes in as [`Node::tick`], chance as a seeded generator, and everything else goes out as a
//! [`Ready`]. So a run can be repeated exactly, which the simulator in `examples/sim` lives from.
//!
//! # Example
//!
//! Three members in one thread elect a leader and commit a command.
//!
//! ```
//! use bytes::Bytes;
//! use rand::{SeedableRng, rngs::SmallRng};
//! use tinykv_raft::{Config, MemStorage, Membership, Message, Node, NodeId, Payload};
//!
//! let members = Membership::of_voters([1, 2, 3]);
//! let mut nodes: Vec<Node<MemStorage>> = (1..=3)
//!     .map(|id| {
//!         let storage = MemStorage::with_membership(members.clone());
//!         Node::new(Config::new(NodeId(id)), storage, SmallRng::seed_from_u64(id))
//!     })
//!     .collect::<Result<_, _>>()?;
//! let mut applied: Vec<(NodeId, Bytes)> = Vec::new();
//! let mut network: Vec<Message> = Vec::new();
//! nodes[0].campaign()?;
//!
//! let mut proposed = false;
//! while applied.len() < 3 {
//!     for node in &mut nodes {
//!         if node.is_leader() && !proposed {
//!             node.propose(Bytes::from_static(b"hello"))?;
//!             proposed = true;
//!         }
//!         let ready = node.ready();
//!         // What need not wait for the disk.
//!         network.extend(ready.messages.iter().cloned());
//!         // A real log would sync here, if `ready.must_sync`.
//!         for entries in &ready.entries {
//!             node.storage_mut().append(entries);
//!         }
//!         if let Some(state) = ready.hard_state {
//!             node.storage_mut().set_hard_state(state);
//!         }
//!         // Votes and acknowledgements leave only now.
//!         network.extend(ready.messages_after_persist(node.id()).cloned());
//!         for entry in ready.committed() {
//!             match &entry.payload {
//!                 Payload::Normal(command) if command.is_empty() => {}
//!                 Payload::Normal(command) => applied.push((node.id(), command.clone())),
//!                 Payload::Change(change) => drop(node.apply_change(change)?),
//!             }
//!         }
//!         node.advance(&ready);
//!     }
//!     for message in network.drain(..) {
//!         nodes[message.to.0 as usize - 1].step(message)?;
//!     }
//! }
//! assert!(applied.iter().all(|(_, command)| command == "hello"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is left out
//!
//! - Membership changes take effect when applied; what that costs is told in [`confchange`].
//! - A forwarded proposal is not answered; a client that must know asks the leader itself.
//! - Snapshots travel whole in one message; a transport that streams them replaces
//!   [`Snapshot::data`] by a name of what it streams.

pub(crate) use mark::mark;
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
