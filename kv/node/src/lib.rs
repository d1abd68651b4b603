//! A store without sockets, threads or clocks.
//!
//! Commands go in with the time, and what to write and what to answer come out. The caller makes
//! the batch durable and only then releases the responses:
//!
//! ```text
//!  chunks of commands, now ──> Node::execute ──> one Batch, one Response a command
//!                                  ^                  │
//!                      newest state│                  v
//!                               Engine  <── write(batch, durability), then answer
//! ```
//!
//! Invariants: the same commands at the same times on the same engine give the same batch and the
//! same responses, so that a replicated log can carry the commands; nothing here reads a clock;
//! a command that fails changes nothing; an expired key is never seen, whether or not
//! [`Node::tick`] removed it yet.
//!
//! That is a store that stands alone. [`Replicated`] is one of a cluster: commands go into the raft
//! log of a region, and [`RawMachine`] carries out what is committed.
//!
//! The raw API lives under a prefix of its own in each column family; see [`format`](mod@format).

mod codec;
mod command;
mod decimal;
mod edit;
mod error;
pub mod format;
mod integer;
mod machine;
mod node;
mod overlay;
mod read;
mod replicated;
mod response;
mod scan;
mod solo;
mod split;
mod sweep;
mod time;
mod write;

pub use codec::{decode_chunk, encode_chunk};
pub use command::{Chunk, Command, Condition, Expiry, Read, When, Write};
pub use decimal::is_float;
pub use error::{Failure, Result};
pub use machine::RawMachine;
pub use node::{Group, Node};
pub use read::{read, read_nowait};
pub use replicated::{Output, Replicated, Request, span_of_scan};
pub use response::{Response, Ttl};
pub use scan::{Page, Scan, scan};
pub use split::{Place, Split, Spot};
pub use sweep::SWEEP_KEYS_MAX;
pub use time::Time;
