//! From the operations of a history to the commands of a node, and back.

use std::error::Error;

use bytes::Bytes;
use engine::Cf;
use node::{Chunk, Command, Condition, Expiry, Read, Response, Write};
use proto::peer::RegionError;

use crate::history::{Answer, Op};
use crate::process::Reply;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(value: Option<Bytes>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// The read that an operation is, if it is one.
pub(super) fn read(op: &Op) -> Option<Read> {
    match op {
        Op::Get { key } => Some(Read::Get { cf: Cf::Default, key: bytes(key) }),
        Op::GetMany { keys } => {
            let keys = keys.iter().map(|key| bytes(key)).collect();
            Some(Read::GetMany { cf: Cf::Default, keys })
        }
        _ => None,
    }
}

/// The commands of an operation.
pub(super) fn chunk(op: &Op) -> Chunk {
    let (cf, expiry) = (Cf::Default, Expiry::Never);
    let command = match op {
        Op::Get { .. } | Op::GetMany { .. } => read(op).map(Command::Read),
        Op::Put { key, value } => {
            Some(Write::Put { cf, key: bytes(key), value: bytes(value), expiry }.into())
        }
        Op::PutMany { pairs } => {
            let pairs = pairs.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
            Some(Write::PutMany { cf, pairs, expiry }.into())
        }
        Op::Append { key, value } => {
            Some(Write::Append { cf, key: bytes(key), tail: bytes(value) }.into())
        }
        Op::Delete { key } => Some(Write::Delete { cf, keys: vec![bytes(key)] }.into()),
        Op::Cas { key, expected, value } => {
            let condition = match expected {
                None => Condition::Absent,
                Some(expected) => Condition::Equals(bytes(expected)),
            };
            let (key, value) = (bytes(key), bytes(value));
            Some(Write::PutIf { cf, key, value, expiry, condition }.into())
        }
    };
    command.into_iter().collect::<Vec<_>>().into()
}

/// What a client is told that asked for `op`.
pub(super) fn reply(op: &Op, responses: Vec<Response>) -> Reply {
    let mut responses = responses.into_iter();
    let answer = match (responses.next(), responses.next()) {
        (Some(Response::Done), None) => Answer::Done,
        (Some(Response::Value(value)), None) => Answer::Value(text(value)),
        (Some(Response::Values(values)), None) => {
            Answer::Values(values.into_iter().map(text).collect())
        }
        (Some(Response::Count(count)), None) => Answer::Count(count),
        (Some(Response::Stored { stored, .. }), None) => Answer::Stored(stored),
        (Some(Response::Failed(failure)), None) => {
            return Reply::Refused { why: failure.to_string(), leader: None };
        }
        other => return Reply::Unknown { why: format!("a response of another kind: {other:?}") },
    };
    match op.fits(&answer) {
        true => Reply::Done(answer),
        false => Reply::Unknown { why: format!("an answer of another kind: {answer:?}") },
    }
}

/// What a client is told whose command was not carried out, or perhaps not.
pub(super) fn refusal(error: &RegionError) -> Reply {
    let why = error.to_string();
    match error {
        RegionError::Undetermined { .. } => Reply::Unknown { why },
        RegionError::NotLeader { leader, .. } => {
            Reply::Refused { why, leader: leader.as_ref().map(|hint| hint.peer.store.0) }
        }
        _ => Reply::Refused { why, leader: None },
    }
}

/// An error with what is behind it.
pub(super) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
