//! The protocol of Redis, versions 2 (RESP2) and 3 (RESP3), for servers and for clients.
//!
//! - [`RequestDecoder`] cuts commands out of what a client sends: arrays of bulk strings, and
//!   lines that a person typed (inline commands).
//! - [`Writer`] appends replies straight to a buffer, in the version that the connection speaks.
//! - [`ReplyDecoder`] reads replies back into a [`Value`]; for clients and tests.
//!
//! Both decoders keep their state between calls and never look at a byte twice, so that the work
//! is linear in the input however it is split. They do not recurse, and they allocate for what
//! has arrived, never for what a length announces. Errors of requests have the words that redis
//! 7.0 has for them.
//!
//! Left out: streamed strings and aggregates of RESP3 (`$?`, `*?`), which redis never sends.
//! Specification: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
//!
//! ```text
//!  request     *<count>\r\n ( $<bytes>\r\n <bytes> \r\n ) x count
//!  inline      <word> <word> ...\r\n                 "a \x00 word" 'another'
//!
//!  both        +<text>\r\n             simple        -<text>\r\n              error
//!              :<integer>\r\n          integer       $<bytes>\r\n<bytes>\r\n  bulk
//!              *<count>\r\n<values>    array
//!  RESP2 only  $-1\r\n                 null          *-1\r\n                  null array
//!  RESP3 only  _\r\n                   null          #t\r\n  #f\r\n           boolean
//!              ,<double>\r\n           double        (<digits>\r\n            big number
//!              !<bytes>\r\n<..>\r\n    bulk error    =<bytes>\r\ntxt:<..>\r\n verbatim
//!              %<pairs>\r\n<values>    map           ~<count>\r\n<values>     set
//!              ><count>\r\n<values>    push          |<pairs>\r\n<values>     attribute of the
//!                                                                             next value
//! ```

mod command;
mod error;
mod inline;
mod line;
mod number;
mod reply;
mod request;
mod value;
mod writer;

pub use command::Command;
pub use error::ProtocolError;
pub use number::parse_integer;
pub use reply::ReplyDecoder;
pub use request::RequestDecoder;
pub use value::Value;
pub use writer::Writer;

/// The version that a connection speaks. It starts with 2; `HELLO 3` changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RESP2.
    #[default]
    V2,
    /// RESP3.
    V3,
}

/// What a decoder refuses to take. Every limit is checked before anything is allocated for it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest bulk string, in bytes. Redis: `proto-max-bulk-len`.
    pub bulk_bytes_max: usize,
    /// The largest number of elements of one aggregate: arguments of a command, values of an
    /// array, keys and values together of a map.
    pub elements_max: usize,
    /// The deepest nesting of a reply; a reply that is no aggregate has depth 0.
    pub depth_max: usize,
    /// The longest line, in bytes without its end: an inline command, a length, a simple string.
    pub line_bytes_max: usize,
    /// The largest request or reply as a whole, in bytes. Redis: `client-query-buffer-limit`.
    pub total_bytes_max: usize,
}

impl Default for Limits {
    /// 512 MiB a bulk string, 1 Mi elements, depth 32, 64 KiB a line, 1 GiB in all.
    fn default() -> Limits {
        Limits {
            bulk_bytes_max: 512 << 20,
            elements_max: 1 << 20,
            depth_max: 32,
            line_bytes_max: 64 << 10,
            total_bytes_max: 1 << 30,
        }
    }
}
