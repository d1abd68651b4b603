//! The error that travels back to a client: a code for programs, a message for people, and what
//! the client may do now.

use serde::{Deserialize, Serialize};

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What happened, for programs.
    #[serde(rename = "c")]
    pub code: ErrorCode,
    /// What happened and what to do, for people.
    #[serde(rename = "m", default)]
    pub message: String,
    /// What the client may do.
    #[serde(rename = "a", default)]
    pub action: Action,
}

/// What a client may do after an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Give up: the same request fails again. This is also what an old client takes an error for
    /// that does not say.
    #[default]
    #[serde(rename = "reject")]
    Reject,
    /// The request was not carried out; it may be sent again.
    #[serde(rename = "retry")]
    Retry {
        /// How long to wait before, in milliseconds; 0 leaves it to the client.
        #[serde(rename = "ms", default)]
        after_ms: u64,
    },
    /// The request was not carried out; another server may do it.
    #[serde(rename = "redirect")]
    Redirect {
        /// The `HOST:PORT` to ask, none if it is not known.
        #[serde(rename = "to", default)]
        address: Option<String>,
    },
    /// A write may or may not have been carried out: read before repeating it.
    #[serde(rename = "unknown")]
    Undetermined,
}

/// What happened. A number on the wire, so that a code made later reaches an old client as
/// [`ErrorCode::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u16", into = "u16")]
#[non_exhaustive]
pub enum ErrorCode {
    /// 1: the request breaks a rule or a limit: an empty key, a key too long, a TTL of 0.
    InvalidRequest,
    /// 2: the server does not know this request, frame kind or option; it may be older.
    Unsupported,
    /// 3: there is no column family of that name.
    UnknownColumnFamily,
    /// 4: a queue or a limit of the server is full.
    ServerIsBusy,
    /// 5: the server drains its connections to stop.
    ShuttingDown,
    /// 6: the request was not done within its time.
    DeadlineExceeded,
    /// 7: the disk is full; reads and deletes still work.
    DiskFull,
    /// 8: stored bytes are damaged.
    Corrupt,
    /// 9: the engine stopped after a failed write or sync; the server must be restarted.
    Stopped,
    /// 10: this server does not lead the region of the key.
    NotLeader,
    /// 11: a defect of the server; its log says more.
    Internal,
    /// 12: the keys of an atomic write are in several regions: write them one by one.
    SeveralRegions,
    /// A code that this build does not know.
    Other(u16),
}

impl From<u16> for ErrorCode {
    fn from(number: u16) -> ErrorCode {
        match number {
            1 => ErrorCode::InvalidRequest,
            2 => ErrorCode::Unsupported,
            3 => ErrorCode::UnknownColumnFamily,
            4 => ErrorCode::ServerIsBusy,
            5 => ErrorCode::ShuttingDown,
            6 => ErrorCode::DeadlineExceeded,
            7 => ErrorCode::DiskFull,
            8 => ErrorCode::Corrupt,
            9 => ErrorCode::Stopped,
            10 => ErrorCode::NotLeader,
            11 => ErrorCode::Internal,
            12 => ErrorCode::SeveralRegions,
            other => ErrorCode::Other(other),
        }
    }
}

impl From<ErrorCode> for u16 {
    fn from(code: ErrorCode) -> u16 {
        match code {
            ErrorCode::InvalidRequest => 1,
            ErrorCode::Unsupported => 2,
            ErrorCode::UnknownColumnFamily => 3,
            ErrorCode::ServerIsBusy => 4,
            ErrorCode::ShuttingDown => 5,
            ErrorCode::DeadlineExceeded => 6,
            ErrorCode::DiskFull => 7,
            ErrorCode::Corrupt => 8,
            ErrorCode::Stopped => 9,
            ErrorCode::NotLeader => 10,
            ErrorCode::Internal => 11,
            ErrorCode::SeveralRegions => 12,
            ErrorCode::Other(other) => other,
        }
    }
}

impl Error {
    /// Makes an error after which the client gives up.
    #[must_use]
    pub fn reject(code: ErrorCode, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), action: Action::Reject }
    }

    /// Makes an error after which the client may send the request again, `after_ms` milliseconds
    /// later (0: when it likes).
    #[must_use]
    pub fn retry(code: ErrorCode, after_ms: u64, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), action: Action::Retry { after_ms } }
    }

    /// Makes an error that sends the client to another server.
    #[must_use]
    pub fn redirect(code: ErrorCode, address: Option<String>, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), action: Action::Redirect { address } }
    }

    /// Makes an error after which the client does not know whether its write happened.
    #[must_use]
    pub fn undetermined(code: ErrorCode, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), action: Action::Undetermined }
    }
}
