//! What can be wrong with a byte stream that should be RESP.

/// The stream is not RESP, or breaks a limit. Either way it is lost: a server sends the error
/// (its text is the reply's, in the words of redis 7.0 where redis has the error) and closes the
/// connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The number of elements is no number, or above the limit.
    #[error("ERR Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// The number of bytes of a bulk string is no number, or above the limit.
    #[error("ERR Protocol error: invalid bulk length")]
    BulkLength,
    /// An argument of a command does not start as a bulk string does.
    #[error("ERR Protocol error: expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    /// An inline command is longer than a line may be.
    #[error("ERR Protocol error: too big inline request")]
    InlineTooBig,
    /// The line with the number of elements is longer than a line may be.
    #[error("ERR Protocol error: too big mbulk count string")]
    MultibulkCountTooBig,
    /// The line with the number of bytes is longer than a line may be.
    #[error("ERR Protocol error: too big bulk count string")]
    BulkCountTooBig,
    /// A quote in an inline command is not closed, or not followed by a space.
    #[error("ERR Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A line or a bulk string does not end in CRLF where it must. Redis does not look.
    #[error("ERR Protocol error: expected CRLF")]
    ExpectedCrlf,
    /// A request or a reply is larger than the limit as a whole. Redis closes the connection
    /// without a word.
    #[error("ERR Protocol error: too big request")]
    TooBig,
    /// A reply starts with a byte that no type has.
    #[error("Protocol error, got '{}' as reply type byte", printable(*.0))]
    UnknownType(u8),
    /// A reply's line is longer than a line may be.
    #[error("Protocol error: too big line in reply")]
    LineTooBig,
    /// A reply's number, boolean, null or verbatim string is not written as its type demands.
    #[error("Protocol error: malformed value of type '{}'", printable(*.0))]
    Malformed(u8),
    /// A reply is nested too deeply.
    #[error("Protocol error: reply is nested deeper than the limit")]
    TooDeep,
}

/// A byte as one character of an error line: a line's end becomes a space, as redis has it, and
/// what is not ASCII a question mark.
fn printable(byte: u8) -> char {
    match byte {
        b'\r' | b'\n' => ' ',
        b if b.is_ascii() => char::from(b),
        _ => '?',
    }
}
