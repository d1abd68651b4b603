//! The raw API: single keys and ranges in named column families, without transactions.
//!
//! `cf` is the name of a column family: `default`, `lock` or `write`. A key has 1 byte to 64 KiB;
//! an empty value is a value. `ttl_ms` is a time to live in milliseconds, at least 1; none means
//! that the key never expires.
//!
//! In a cluster whose keys are split into regions, what concerns keys of several regions is done in
//! each region at one moment, and not in all of them at the same. A [`Request::BatchPut`] over
//! several is refused as [`SeveralRegions`](crate::ErrorCode::SeveralRegions).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A request of the raw API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Reads a key. Answered by [`Response::Value`].
    #[serde(rename = "get")]
    Get {
        /// The column family.
        cf: String,
        /// The key.
        #[serde(rename = "k")]
        key: Bytes,
    },
    /// Reads many keys at one moment. Answered by [`Response::Values`].
    #[serde(rename = "mget")]
    BatchGet {
        /// The column family.
        cf: String,
        /// The keys; one may be there twice.
        #[serde(rename = "k")]
        keys: Vec<Bytes>,
    },
    /// Sets a key. Answered by [`Response::Done`].
    #[serde(rename = "put")]
    Put {
        /// The column family.
        cf: String,
        /// The key.
        #[serde(rename = "k")]
        key: Bytes,
        /// Its new value.
        #[serde(rename = "v")]
        value: Bytes,
        /// Its time to live in milliseconds.
        #[serde(rename = "ttl", default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
    },
    /// Sets many keys atomically. Answered by [`Response::Done`].
    #[serde(rename = "mput")]
    BatchPut {
        /// The column family.
        cf: String,
        /// Keys and their new values; of a key that is there twice, the last one counts.
        #[serde(rename = "p")]
        pairs: Vec<(Bytes, Bytes)>,
        /// The time to live of all of them in milliseconds.
        #[serde(rename = "ttl", default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
    },
    /// Removes a key. Answered by [`Response::Deleted`].
    #[serde(rename = "del")]
    Delete {
        /// The column family.
        cf: String,
        /// The key.
        #[serde(rename = "k")]
        key: Bytes,
    },
    /// Removes many keys atomically. Answered by [`Response::Deleted`].
    #[serde(rename = "mdel")]
    BatchDelete {
        /// The column family.
        cf: String,
        /// The keys.
        #[serde(rename = "k")]
        keys: Vec<Bytes>,
    },
    /// Removes all keys of a range atomically. Answered by [`Response::Done`].
    #[serde(rename = "delr")]
    DeleteRange {
        /// The column family.
        cf: String,
        /// The first key; empty for the first one there is.
        #[serde(rename = "s", default)]
        start: Bytes,
        /// The key after the last one; none for the end of the column family.
        #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
        end: Option<Bytes>,
    },
    /// Reads the keys of a range in order. Answered by [`Response::Pairs`].
    #[serde(rename = "scan")]
    Scan {
        /// The column family.
        cf: String,
        /// The first key; empty for the first one there is.
        #[serde(rename = "s", default)]
        start: Bytes,
        /// The key after the last one; none for the end of the column family.
        #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
        end: Option<Bytes>,
        /// How many pairs at most.
        #[serde(rename = "n")]
        limit: u32,
        /// Begins at the large end.
        #[serde(rename = "rev", default)]
        reverse: bool,
        /// Leaves the values out.
        #[serde(rename = "ko", default)]
        keys_only: bool,
    },
    /// Sets a key if its value is the expected one, atomically. Answered by
    /// [`Response::Swapped`].
    #[serde(rename = "cas")]
    CompareAndSwap {
        /// The column family.
        cf: String,
        /// The key.
        #[serde(rename = "k")]
        key: Bytes,
        /// The value that it must have now; none if it must be absent.
        #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
        expected: Option<Bytes>,
        /// Its new value.
        #[serde(rename = "v")]
        value: Bytes,
        /// Its time to live in milliseconds.
        #[serde(rename = "ttl", default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
    },
    /// Asks for the time to live of a key. Answered by [`Response::Ttl`].
    #[serde(rename = "ttl")]
    GetTtl {
        /// The column family.
        cf: String,
        /// The key.
        #[serde(rename = "k")]
        key: Bytes,
    },
}

/// The answer to a [`Request`] that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Of `Get`: the value, none if the key is absent.
    #[serde(rename = "v")]
    Value(Option<Bytes>),
    /// Of `BatchGet`: a place for each key asked for, in that order.
    #[serde(rename = "vs")]
    Values(Vec<Option<Bytes>>),
    /// Of `Put`, `BatchPut`, `DeleteRange`: it is done.
    #[serde(rename = "ok")]
    Done,
    /// Of `Delete` and `BatchDelete`: how many of the keys existed.
    #[serde(rename = "del")]
    Deleted(u64),
    /// Of `Scan`: pairs in the order asked for; values are empty if only keys were asked for.
    #[serde(rename = "ps")]
    Pairs(Vec<(Bytes, Bytes)>),
    /// Of `CompareAndSwap`.
    #[serde(rename = "cas")]
    Swapped {
        /// Whether the key has the new value now.
        #[serde(rename = "ok")]
        swapped: bool,
        /// The value before; none if the key was absent.
        #[serde(rename = "pv", default, skip_serializing_if = "Option::is_none")]
        previous: Option<Bytes>,
    },
    /// Of `GetTtl`.
    #[serde(rename = "ttl")]
    Ttl(Ttl),
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ttl {
    /// There is no such key.
    #[serde(rename = "no")]
    Absent,
    /// It never expires.
    #[serde(rename = "ever")]
    Forever,
    /// So many milliseconds more, at least 1.
    #[serde(rename = "ms")]
    Left(u64),
}
