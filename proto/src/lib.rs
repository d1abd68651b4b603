//! Every type that travels between processes, and the codecs that carry it, without any IO.
//!
//! Two front doors and the door between stores, one module each:
//!
//! - [`frame`]: the native protocol. A [`Frame`](frame::Frame) carries a [`Message`] with a
//!   request id, so that a connection can be pipelined and answered out of order.
//! - [`resp`]: the protocol of Redis, versions 2 and 3.
//! - [`peer_frame`]: what stores say to each other, with a checksum; [`peer`] is what a message
//!   of a region is.
//!
//! The codecs are sans-IO: bytes go in through a `BytesMut`, values come out, and nothing here
//! knows a socket. Invariants of all of them: feeding a byte at a time yields what feeding all
//! at once yields; no byte is examined twice because of a split; no input panics; nothing is
//! allocated for a length that was announced but not sent.
//!
//! What is compatible with what: see [`message`].

pub mod admin;
pub mod error;
pub mod frame;
pub mod message;
pub mod peer;
pub mod peer_frame;
pub mod raw;
pub mod resp;

pub use error::{Action, Error, ErrorCode};
pub use message::{Hello, Message, Request, Response};
