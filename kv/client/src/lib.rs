//! The client library of tinykv.
//!
//! ```no_run
//! # async fn example() -> tinykv_client::Result<()> {
//! use tinykv_client::{Client, Options};
//!
//! let client = Client::connect("127.0.0.1:20160", Options::default()).await?;
//! let raw = client.raw();
//! raw.put("key", "value").await?;
//! assert_eq!(raw.get("key").await?.as_deref(), Some(&b"value"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! A request takes this way, one file a step:
//!
//! ```text
//!  raw         makes a typed request, checks the type of the answer
//!  client      deadline, retries
//!  servers     which server is in charge, which of its connections
//!  channel     (re)connects, with growing pauses that are spread by chance
//!  connection  ids, requests in flight, many frames in one write, answers in any order
//!  connect     TCP, or a pipe in tests
//! ```
//!
//! Invariants: an error tells whether the request may have been carried out
//! ([`Error::Undetermined`]); only what surely was not, or has no effect, is sent again by
//! itself; nothing that a server sends panics, or is taken beyond
//! [`Options::frame_bytes_max`].
//!
//! Left out: routing by key. A [`Client`] asks the one server of a cluster that is in charge.

mod backoff;
mod channel;
mod client;
mod connect;
mod connection;
mod error;
mod options;
mod raw;
mod servers;

pub use client::Client;
pub use connect::{Connect, Connecting, Stream, Tcp};
pub use error::{Cause, Error, Result};
pub use options::Options;
pub use proto::admin::Request as AdminRequest;
pub use proto::raw::Ttl;
pub use raw::{Pages, Pair, Raw, Scan, Swapped};
