//! Answers of the node in the words of redis.

use node::{Failure, Response, Time, Ttl};
use proto::resp::Writer;

use crate::store::StoreError;

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Render {
    /// `OK`, whatever is answered.
    Ok,
    /// The value, count or number as it is.
    Plain,
    /// Of a conditional put: `OK` or null.
    OkOrNull,
    /// Of a conditional put: 1 or 0.
    Stored,
    /// Of a conditional put: the value before.
    Previous,
    /// Of a value that is not wanted: null if it is absent, this error if it is there.
    NullOr(&'static str),
    /// The length of the value.
    Length,
    /// The part of the value from one byte to another, as redis counts them: from the end if
    /// negative.
    Range(i64, i64),
    /// A bit of the value.
    Bit(u64),
    /// The kind of the value: `string` or `none`.
    Type,
    /// The time to live: in seconds, in milliseconds, or as the moment of its end.
    TtlSeconds,
    TtlMillis,
    EndSeconds,
    EndMillis,
}

impl Render {
    /// Appends an answer. Gives whether it was no error.
    pub(crate) fn write(self, response: &Response, now: Time, out: &mut Writer<'_>) -> bool {
        match (self, response) {
            (_, Response::Failed(failure)) => {
                write_failure(failure, out);
                return false;
            }
            (Render::Ok, _) => out.ok(),
            (Render::OkOrNull, Response::Stored { stored: true, .. }) => out.ok(),
            (Render::OkOrNull, _) => out.null(),
            (Render::Stored, Response::Stored { stored, .. }) => out.integer(i64::from(*stored)),
            (Render::Previous, Response::Stored { previous, .. }) => {
                out.bulk_or_null(previous.as_deref());
            }
            (Render::NullOr(text), Response::Value(Some(_))) => {
                out.error(text);
                return false;
            }
            (Render::Length, Response::Value(value)) => {
                out.integer(length(value.as_ref().map_or(0, |value| value.len() as u64)));
            }
            (Render::Range(first, last), Response::Value(value)) => {
                out.bulk(part(value.as_deref().unwrap_or_default(), first, last));
            }
            (Render::Bit(offset), Response::Value(value)) => {
                let byte = usize::try_from(offset / 8).ok();
                let byte = byte.and_then(|at| value.as_ref()?.get(at).copied()).unwrap_or(0);
                out.integer(i64::from(byte >> (7 - offset % 8) & 1));
            }
            (Render::Type, Response::Count(count)) => {
                out.simple(if *count > 0 { "string" } else { "none" });
            }
            (render, Response::Ttl(ttl)) => out.integer(render.ttl(*ttl, now)),
            (_, Response::Value(value)) => out.bulk_or_null(value.as_deref()),
            (_, Response::Values(values)) => {
                out.array(values.len());
                values.iter().for_each(|value| out.bulk_or_null(value.as_deref()));
            }
            (_, Response::Count(count)) => out.integer(length(*count)),
            (_, Response::Integer(number)) => out.integer(*number),
            (_, Response::Changed(yes)) => out.integer(i64::from(*yes)),
            (_, Response::Pairs(pairs)) => {
                out.array(pairs.len());
                pairs.iter().for_each(|(key, _)| out.bulk(key));
            }
            (_, Response::Done | Response::Stored { .. }) => out.ok(),
        }
        true
    }

    /// A time to live as redis tells it: -2 without a key, -1 without an end.
    fn ttl(self, ttl: Ttl, now: Time) -> i64 {
        let until = match ttl {
            Ttl::Absent => return -2,
            Ttl::Forever => return -1,
            Ttl::Until(until) => until,
        };
        length(match self {
            Render::TtlSeconds => (until.since_ms(now) + 500) / 1000,
            Render::EndSeconds => (until.0 + 500) / 1000,
            Render::EndMillis => until.0,
            _ => until.since_ms(now),
        })
    }
}

/// The bytes from `first` to `last`, both included, as redis counts them.
fn part(value: &[u8], first: i64, last: i64) -> &[u8] {
    let len = length(value.len() as u64);
    let place = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let is_backward = first < 0 && last < 0 && first > last;
    let (first, last) = (place(first), place(last).min(len - 1));
    if is_backward || first > last {
        return &[];
    }
    &value[first as usize..=last as usize]
}

/// A count as an integer of the protocol.
fn length(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Appends why a command was not carried out.
pub(crate) fn write_failure(failure: &Failure, out: &mut Writer<'_>) {
    match failure {
        Failure::ValueTooLong { .. } => {
            out.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        }
        // As redis says where the keys of a command are in several parts of a cluster.
        Failure::SeveralRegions => out.error(&format!("CROSSSLOT {failure}")),
        Failure::Engine(error) => match error.as_ref() {
            engine::Error::DiskFull { .. } => out.error(&format!("MISCONF {error}")),
            error => out.error(&format!("ERR {error}")),
        },
        failure => out.error(&format!("ERR {failure}")),
    }
}

/// Appends why a chunk was not carried out.
pub(crate) fn write_store_error(error: &StoreError, out: &mut Writer<'_>) {
    match error {
        StoreError::Busy(reason) => out.error(&format!("BUSY {reason}")),
        StoreError::Lost | StoreError::Stopped | StoreError::Refused(_) => {
            out.error(&format!("ERR {error}"));
        }
        // As redis says where it cannot write to its disk.
        StoreError::DiskFull(reason) => out.error(&format!("MISCONF {reason}")),
        // As redis says where a part of the cluster has no master.
        StoreError::NoLeader | StoreError::NotLeader { .. } => {
            out.error(&format!("CLUSTERDOWN {error}"));
        }
        StoreError::Undetermined(_) | StoreError::Mixed(_) => {
            out.error(&format!("UNDETERMINED {error}"))
        }
        StoreError::Failed(failure) => write_failure(failure, out),
    }
}
