//! What can go wrong, sorted by what the caller can do about it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request has no result.
///
/// | variant | was it carried out? | what the caller can do |
/// |---|---|---|
/// | `Invalid` | no | change the request |
/// | `Rejected` | no | give up: the same request fails again |
/// | `Retry` | no | send it again after the pause |
/// | `Redirect` | no | ask the other server |
/// | `Unreachable` | no | start the server, or try later |
/// | `Unfinished` | no, or it has no effect | send it again |
/// | `Undetermined` | nobody knows | read before repeating the write |
/// | `Protocol` | no, or it has no effect | check the address and the versions |
///
/// [`Options::retries`](crate::Options::retries) repeats `Retry`, `Unreachable` and `Unfinished`
/// before they get here. A `Redirect` that names a server is followed; one that names none is
/// repeated where there are several servers to ask.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request or an option breaks a rule; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The server refused the request for good.
    #[error(transparent)]
    Rejected(proto::Error),
    /// The server did not carry the request out, but may do so later.
    #[error("the server cannot do it now")]
    Retry {
        /// How long the server asks to wait; zero leaves it to the caller.
        after: Duration,
        /// The server's words.
        source: proto::Error,
    },
    /// Another server is in charge.
    #[error("another server is in charge")]
    Redirect {
        /// The `HOST:PORT` to ask, if the server knows it.
        address: Option<String>,
        /// The server's words.
        source: proto::Error,
    },
    /// There is no connection to the server.
    #[error("cannot reach a tinykv server at {address}")]
    Unreachable {
        /// The server's address.
        address: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The request has no answer, but also no effect: it was a read, or was never sent.
    #[error("the request was not finished")]
    Unfinished {
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// A write was sent and has no answer: it may or may not have been carried out.
    #[error("the write may or may not have been carried out")]
    Undetermined {
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// What answers is not a tinykv server that this build understands.
    #[error("the answer from {address} is not understood: {reason}")]
    Protocol {
        /// The server's address.
        address: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// Why a request that was begun has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The answer did not come in time.
    #[error("no answer within {}", humantime::format_duration(*timeout))]
    Deadline {
        /// The time that the request had.
        timeout: Duration,
    },
    /// The connection broke.
    #[error("the connection was lost")]
    Disconnected {
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The server sent what no server may send, and the connection was closed.
    #[error("the answer is not understood: {reason}")]
    Protocol {
        /// What is wrong with the answer.
        reason: String,
    },
    /// The server said so.
    #[error(transparent)]
    Server(proto::Error),
}

impl Cause {
    /// A lost connection.
    pub(crate) fn disconnected(source: io::Error) -> Cause {
        Cause::Disconnected { source: Arc::new(source) }
    }

    /// An answer that makes no sense.
    pub(crate) fn protocol(reason: impl ToString) -> Cause {
        Cause::Protocol { reason: reason.to_string() }
    }
}

impl Error {
    /// Sorts a refusal of the server by the action it names.
    pub(crate) fn from_server(error: proto::Error) -> Error {
        match &error.action {
            proto::Action::Reject => Error::Rejected(error),
            proto::Action::Retry { after_ms } => {
                Error::Retry { after: Duration::from_millis(*after_ms), source: error }
            }
            proto::Action::Redirect { address } => {
                Error::Redirect { address: address.clone(), source: error }
            }
            proto::Action::Undetermined => Error::Undetermined { cause: Cause::Server(error) },
        }
    }

    /// Whether the request was surely not carried out, so that sending it again is safe and may
    /// succeed.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        matches!(self, Error::Retry { .. } | Error::Unreachable { .. } | Error::Unfinished { .. })
    }

    /// The name of the variant in lower case, for programs and for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Invalid(_) => "invalid",
            Error::Rejected(_) => "rejected",
            Error::Retry { .. } => "retry",
            Error::Redirect { .. } => "redirect",
            Error::Unreachable { .. } => "unreachable",
            Error::Unfinished { .. } => "unfinished",
            Error::Undetermined { .. } => "undetermined",
            Error::Protocol { .. } => "protocol",
        }
    }
}
