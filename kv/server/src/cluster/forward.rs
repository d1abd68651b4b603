//! What stores ask each other on behalf of clients: to carry out writes, and from when on reads see
//! all that was answered. MessagePack, in the bodies of asks and answers of `proto::peer_frame`.

use std::sync::Arc;

use bytes::Bytes;
use node::{Failure, Response, Time, Ttl};
use proto::peer::RegionId;
use serde::{Deserialize, Serialize};

use crate::store::{Outcome, StoreError};

/// What a store asks the leader.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    /// From which applied index on may be read what is there now, in these regions with these
    /// versions?
    Readable(Vec<(RegionId, u64)>),
    /// Carry these chunks out.
    Writes(Vec<Bytes>),
}

/// What the leader answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// From these applied indexes on, one a region; none: this store does not lead it, or not as
    /// the asking one knows it.
    Readable(Vec<Option<u64>>),
    /// Nothing was done: too much is in flight.
    Busy,
    /// What each write came to.
    Writes(Vec<Verdict>),
}

/// What a write came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// It was carried out.
    Done(Vec<Said>),
    /// It was not, since this store does not lead; ask again.
    NotLeader,
    /// It was not: something is full.
    Busy(String),
    /// It was not, and never will be.
    Refused(String),
    /// Nobody knows.
    Undetermined(String),
    /// It was not: the leader's disk lacks room.
    DiskFull(String),
}

/// A response of the node on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    Done,
    Value(Option<Bytes>),
    Values(Vec<Option<Bytes>>),
    Count(u64),
    Integer(i64),
    Stored { stored: bool, previous: Option<Bytes> },
    Changed(bool),
    Absent,
    Forever,
    Until(u64),
    Pairs(Vec<(Bytes, Bytes)>),
    NotInteger,
    NotFloat,
    NotFinite,
    NoSuchKey,
    Overflow,
    KeyTooLong { bytes: usize, limit: usize },
    ValueTooLong { bytes: usize, limit: usize },
    SeveralRegions,
    Failed(String),
}

impl From<Response> for Said {
    fn from(response: Response) -> Said {
        match response {
            Response::Done => Said::Done,
            Response::Value(value) => Said::Value(value),
            Response::Values(values) => Said::Values(values),
            Response::Count(count) => Said::Count(count),
            Response::Integer(number) => Said::Integer(number),
            Response::Stored { stored, previous } => Said::Stored { stored, previous },
            Response::Changed(changed) => Said::Changed(changed),
            Response::Ttl(Ttl::Absent) => Said::Absent,
            Response::Ttl(Ttl::Forever) => Said::Forever,
            Response::Ttl(Ttl::Until(time)) => Said::Until(time.0),
            Response::Pairs(pairs) => Said::Pairs(pairs),
            Response::Failed(Failure::NotInteger) => Said::NotInteger,
            Response::Failed(Failure::NotFloat) => Said::NotFloat,
            Response::Failed(Failure::NotFinite) => Said::NotFinite,
            Response::Failed(Failure::NoSuchKey) => Said::NoSuchKey,
            Response::Failed(Failure::Overflow) => Said::Overflow,
            Response::Failed(Failure::KeyTooLong { bytes, limit }) => {
                Said::KeyTooLong { bytes, limit }
            }
            Response::Failed(Failure::ValueTooLong { bytes, limit }) => {
                Said::ValueTooLong { bytes, limit }
            }
            Response::Failed(Failure::SeveralRegions) => Said::SeveralRegions,
            Response::Failed(failure) => Said::Failed(failure.to_string()),
        }
    }
}

impl From<Said> for Response {
    fn from(said: Said) -> Response {
        match said {
            Said::Done => Response::Done,
            Said::Value(value) => Response::Value(value),
            Said::Values(values) => Response::Values(values),
            Said::Count(count) => Response::Count(count),
            Said::Integer(number) => Response::Integer(number),
            Said::Stored { stored, previous } => Response::Stored { stored, previous },
            Said::Changed(changed) => Response::Changed(changed),
            Said::Absent => Response::Ttl(Ttl::Absent),
            Said::Forever => Response::Ttl(Ttl::Forever),
            Said::Until(time) => Response::Ttl(Ttl::Until(Time(time))),
            Said::Pairs(pairs) => Response::Pairs(pairs),
            Said::NotInteger => Response::Failed(Failure::NotInteger),
            Said::NotFloat => Response::Failed(Failure::NotFloat),
            Said::NotFinite => Response::Failed(Failure::NotFinite),
            Said::NoSuchKey => Response::Failed(Failure::NoSuchKey),
            Said::Overflow => Response::Failed(Failure::Overflow),
            Said::KeyTooLong { bytes, limit } => {
                Response::Failed(Failure::KeyTooLong { bytes, limit })
            }
            Said::ValueTooLong { bytes, limit } => {
                Response::Failed(Failure::ValueTooLong { bytes, limit })
            }
            Said::SeveralRegions => Response::Failed(Failure::SeveralRegions),
            Said::Failed(text) => {
                Response::Failed(Failure::Engine(Arc::new(engine::Error::Invalid(text))))
            }
        }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Verdict {
        match outcome {
            Ok(responses) => Verdict::Done(responses.into_iter().map(Said::from).collect()),
            Err(StoreError::NoLeader | StoreError::NotLeader { .. }) => Verdict::NotLeader,
            Err(StoreError::Busy(reason)) => Verdict::Busy(reason),
            Err(StoreError::Refused(reason)) => Verdict::Refused(reason),
            Err(StoreError::DiskFull(reason)) => Verdict::DiskFull(reason),
            Err(error) => Verdict::Undetermined(error.to_string()),
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Outcome {
        match verdict {
            Verdict::Done(said) => Ok(said.into_iter().map(Response::from).collect()),
            Verdict::NotLeader => Err(StoreError::NoLeader),
            Verdict::Busy(reason) => Err(StoreError::Busy(reason)),
            Verdict::Refused(reason) => Err(StoreError::Refused(reason)),
            Verdict::Undetermined(reason) => Err(StoreError::Undetermined(reason)),
            Verdict::DiskFull(reason) => Err(StoreError::DiskFull(reason)),
        }
    }
}

/// A question as bytes.
pub(super) fn encode_question(question: &Question) -> Bytes {
    rmp_serde::to_vec(question).expect("writing to memory does not fail").into()
}

/// A question from bytes; none if they are none.
pub(super) fn decode_question(bytes: &[u8]) -> Option<Question> {
    rmp_serde::from_slice(bytes).ok()
}

/// An answer as bytes.
pub(super) fn encode_reply(reply: &Reply) -> Bytes {
    rmp_serde::to_vec(reply).expect("writing to memory does not fail").into()
}

/// An answer from bytes; none if they are none.
pub(super) fn decode_reply(bytes: &[u8]) -> Option<Reply> {
    rmp_serde::from_slice(bytes).ok()
}
