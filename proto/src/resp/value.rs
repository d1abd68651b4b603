//! A reply as a tree of values.

use bytes::Bytes;

/// A value of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`: a short text on one line, like `OK`.
    Simple(Bytes),
    /// `-`: an error on one line; its first word is the kind.
    Error(Bytes),
    /// `:`: a number.
    Integer(i64),
    /// `$`: any bytes.
    Bulk(Bytes),
    /// `_`, and in RESP2 `$-1` and `*-1`: nothing.
    Null,
    /// `*`: values in order.
    Array(Vec<Value>),
    /// `%`: keys and their values, in the order sent.
    Map(Vec<(Value, Value)>),
    /// `~`: values whose order says nothing.
    Set(Vec<Value>),
    /// `,`: a floating-point number.
    Double(f64),
    /// `#`: yes or no.
    Boolean(bool),
    /// `(`: decimal digits with an optional minus, of any length.
    BigNumber(Bytes),
    /// `!`: an error that may have any bytes.
    BulkError(Bytes),
    /// `=`: a text and what it is, like `txt` or `mkd`.
    Verbatim {
        /// The three bytes that name the format.
        format: [u8; 3],
        /// The text.
        text: Bytes,
    },
    /// `>`: what the server says on its own, not in answer to a request.
    Push(Vec<Value>),
    /// `|`: facts about the value behind them, which a client may ignore.
    Attributed {
        /// The facts, in the order sent.
        attributes: Vec<(Value, Value)>,
        /// The value they belong to.
        value: Box<Value>,
    },
}
