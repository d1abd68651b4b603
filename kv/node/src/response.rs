//! What a command answers.

use bytes::Bytes;

use crate::{Failure, Time};

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// It is done.
    Done,
    /// A value, none if the key is absent.
    Value(Option<Bytes>),
    /// A place for each key asked for, in that order.
    Values(Vec<Option<Bytes>>),
    /// How many: keys that existed, or bytes.
    Count(u64),
    /// The number that the key has now.
    Integer(i64),
    /// Of a conditional put.
    Stored {
        /// Whether the condition held, so that the key was set.
        stored: bool,
        /// The value before, none if the key was absent or was not asked for.
        previous: Option<Bytes>,
    },
    /// Whether anything was changed.
    Changed(bool),
    /// How long a key lives.
    Ttl(Ttl),
    /// Of a scan: keys with their values, in order.
    Pairs(Vec<(Bytes, Bytes)>),
    /// It was not carried out.
    Failed(Failure),
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    Absent,
    /// It never expires.
    Forever,
    /// It is gone at this moment.
    Until(Time),
}
