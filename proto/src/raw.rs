//! The raw API: single keys and ranges in named column families, without transactions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A request of the raw API.
///
/// `cf` is the name of a column family: `default`, `lock` or `write`. Keys have at most 64 KiB
/// and at least one byte. `ttl_ms` is a time to live in milliseconds, at least 1; none means that
/// the key never expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Reads a key.
    Get { cf: String, key: Bytes },
    /// Reads many keys, at one moment.
    BatchGet { cf: String, keys: Vec<Bytes> },
    /// Sets a key.
    Put { cf: String, key: Bytes, value: Bytes, ttl_ms: Option<u64> },
    /// Sets many keys, atomically.
    BatchPut { cf: String, pairs: Vec<(Bytes, Bytes)>, ttl_ms: Option<u64> },
    /// Removes a key.
    Delete { cf: String, key: Bytes },
    /// Removes many keys, atomically.
    BatchDelete { cf: String, keys: Vec<Bytes> },
    /// Removes all keys from `start` to before `end`; no `end` means to the last key.
    DeleteRange { cf: String, start: Bytes, end: Option<Bytes> },
    /// Reads keys in order from `start` to before `end`, at most `limit`; `reverse` begins at the
    /// large end.
    Scan {
        cf: String,
        start: Bytes,
        end: Option<Bytes>,
        limit: u32,
        reverse: bool,
        keys_only: bool,
    },
    /// Sets a key to `value` if it has the value `expected` now (none: if it is absent).
    CompareAndSwap {
        cf: String,
        key: Bytes,
        expected: Option<Bytes>,
        value: Bytes,
        ttl_ms: Option<u64>,
    },
    /// Asks for the time to live of a key.
    GetTtl { cf: String, key: Bytes },
}

/// The answer to a [`Request`] that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Of `Get`: the value, none if the key is absent.
    Value(Option<Bytes>),
    /// Of `BatchGet`: a place a key asked for, in that order.
    Values(Vec<Option<Bytes>>),
    /// Of `Put`, `BatchPut`, `DeleteRange`: it is done.
    Done,
    /// Of `Delete` and `BatchDelete`: how many of the keys existed.
    Deleted(u64),
    /// Of `Scan`: pairs in the order asked for; values are empty if only keys were asked for.
    Pairs(Vec<(Bytes, Bytes)>),
    /// Of `CompareAndSwap`: whether it swapped, and the value before.
    Swapped { swapped: bool, previous: Option<Bytes> },
    /// Of `GetTtl`: the outer none if the key is absent, the inner one if it never expires;
    /// milliseconds left.
    Ttl(Option<Option<u64>>),
}
