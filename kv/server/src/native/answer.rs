//! Answers of the store as messages, and messages as frames.

use std::sync::Arc;

use bytes::BytesMut;
use node::{Failure, Response as NodeResponse, Time};
use proto::frame::FrameError;
use proto::raw::{Response as RawResponse, Ttl};
use proto::{Error, ErrorCode, Message, Response};

use crate::store::StoreError;

/// Appends a message. One that is too large for a frame becomes an error that says so.
pub(super) fn write(message: &Message, id: u64, frame_bytes_max: usize, out: &mut BytesMut) {
    let Err(error) = message.encode(id, frame_bytes_max, out) else { return };
    let (code, text) = match error {
        FrameError::TooLarge { bytes, limit } => (
            ErrorCode::InvalidRequest,
            format!(
                "the answer has {bytes} bytes, a frame at most {limit}: ask for less at a time, \
                 or raise max-frame-size"
            ),
        ),
        error => (ErrorCode::Internal, error.to_string()),
    };
    let message = Message::Error(Error::reject(code, text));
    if let Err(error) = message.encode(id, frame_bytes_max, out) {
        log::error!("an answer could not be written"; "error" => error.to_string());
    }
}

/// An answer of the node.
pub(super) fn of_node(response: NodeResponse, now: Time) -> Message {
    let response = match response {
        NodeResponse::Done => RawResponse::Done,
        NodeResponse::Value(value) => RawResponse::Value(value),
        NodeResponse::Values(values) => RawResponse::Values(values),
        NodeResponse::Count(count) => RawResponse::Deleted(count),
        NodeResponse::Stored { stored, previous } => {
            RawResponse::Swapped { swapped: stored, previous }
        }
        NodeResponse::Ttl(ttl) => RawResponse::Ttl(match ttl {
            node::Ttl::Absent => Ttl::Absent,
            node::Ttl::Forever => Ttl::Forever,
            node::Ttl::Until(until) => Ttl::Left(until.since_ms(now).max(1)),
        }),
        NodeResponse::Pairs(pairs) => RawResponse::Pairs(pairs),
        NodeResponse::Failed(failure) => return Message::Error(of_failure(&failure)),
        NodeResponse::Integer(_) | NodeResponse::Changed(_) => {
            let text = "the store answered what was not asked";
            return Message::Error(Error::reject(ErrorCode::Internal, text));
        }
    };
    Message::Response(Response::Raw(response))
}

/// Why nothing was done.
pub(super) fn of_store_error(error: &StoreError) -> Error {
    let text = error.to_string();
    match error {
        StoreError::Busy(_) => Error::retry(ErrorCode::ServerIsBusy, 10, text),
        StoreError::Lost => Error::undetermined(ErrorCode::Internal, text),
        StoreError::Stopped => Error::reject(ErrorCode::Stopped, text),
        StoreError::NoLeader => Error::redirect(ErrorCode::NotLeader, None, text),
        StoreError::NotLeader { address } => {
            Error::redirect(ErrorCode::NotLeader, Some(address.clone()), text)
        }
        StoreError::DiskFull(_) => Error::reject(ErrorCode::DiskFull, text),
        StoreError::Refused(_) => Error::reject(ErrorCode::InvalidRequest, text),
        StoreError::Undetermined(_) | StoreError::Mixed(_) => {
            Error::undetermined(ErrorCode::DeadlineExceeded, text)
        }
        StoreError::Failed(failure) => of_failure(failure),
    }
}

/// Why a command was not carried out.
pub(super) fn of_failure(failure: &Failure) -> Error {
    let text = failure.to_string();
    match failure {
        Failure::SeveralRegions => Error::reject(ErrorCode::SeveralRegions, text),
        Failure::Engine(error) => of_engine_error(error, text),
        _ => Error::reject(ErrorCode::InvalidRequest, text),
    }
}

/// What the engine said.
fn of_engine_error(error: &Arc<engine::Error>, text: String) -> Error {
    match error.as_ref() {
        engine::Error::DiskFull { .. } => Error::reject(ErrorCode::DiskFull, text),
        engine::Error::Corrupt { .. } | engine::Error::Format { .. } => {
            Error::reject(ErrorCode::Corrupt, text)
        }
        engine::Error::Invalid(_) => Error::reject(ErrorCode::InvalidRequest, text),
        engine::Error::Poisoned(_) => Error::reject(ErrorCode::Stopped, text),
        // What a failed write left on the disk is not known.
        _ => Error::undetermined(ErrorCode::Stopped, text),
    }
}
