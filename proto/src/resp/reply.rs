//! Reading replies back, for clients and tests.
//!
//! Aggregates that are not whole yet wait on a stack of our own, so that nesting costs no call
//! depth. What is decoded leaves the buffer at once: positions are always those of the front.
//!
//! Memory: a reply takes at most about 16 times its bytes (`*0\r\n` is a value of 48 bytes),
//! and never more than has arrived asks for.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::line::LineScan;
use super::number::parse_integer;
use super::{Limits, ProtocolError, Value};
use mutant::mutant;

/// What an unfinished aggregate becomes.
#[derive(Clone, Debug)]
enum Kind {
    Array,
    Set,
    Push,
    Map,
    /// The facts themselves.
    Attributes,
    /// The value that the facts belong to.
    Attributed(Vec<(Value, Value)>),
}

/// An aggregate whose values are still coming.
#[derive(Clone, Debug)]
struct Open {
    kind: Kind,
    /// Values still to come, at least 1.
    missing: usize,
    values: Vec<Value>,
}

/// Bytes with a length that are still coming.
#[derive(Clone, Copy, Debug)]
struct Body {
    /// `$`, `!` or `=`.
    kind: u8,
    /// How many, without the CRLF.
    bytes: usize,
}

/// Cuts replies out of a byte stream, for a client. Takes both versions of the protocol.
#[derive(Clone, Debug)]
pub struct ReplyDecoder {
    limits: Limits,
    line: LineScan,
    body: Option<Body>,
    /// Unfinished aggregates, the outermost first; at most `depth_max`.
    open: Vec<Open>,
    /// Bytes of the current reply that left the buffer.
    taken: usize,
}

/// What one step came to.
enum Step {
    Wait,
    Next,
    Value(Value),
}

impl ReplyDecoder {
    /// Makes a decoder for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> ReplyDecoder {
        ReplyDecoder { limits, line: LineScan::default(), body: None, open: Vec::new(), taken: 0 }
    }

    /// How many bytes of lines were examined so far. Bytes of bulk strings do not count: they are
    /// skipped. Never more than the bytes fed.
    #[must_use]
    pub fn bytes_examined(&self) -> u64 {
        self.line.examined
    }

    /// Takes the next reply from the front of `buffer`; none if it is not there whole.
    ///
    /// # Errors
    /// The stream is lost: close the connection.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, ProtocolError> {
        loop {
            let step = match self.body {
                Some(body) => self.read_body(buffer, body)?,
                None => self.read_line(buffer)?,
            };
            match step {
                Step::Wait => return Ok(None),
                Step::Next => {}
                Step::Value(value) => {
                    if let Some(whole) = self.close(value) {
                        self.taken = 0;
                        return Ok(Some(whole));
                    }
                }
            }
        }
    }

    /// Reads a line: a whole scalar, or the head of something longer.
    fn read_line(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        let Some(&kind) = buffer.first() else { return Ok(Step::Wait) };
        if !b"+-:$*_,#(!=%~>|".contains(&kind) {
            return Err(ProtocolError::UnknownType(kind));
        }
        let limit = self.limits.line_bytes_max;
        let Some((line, next)) = self.line.find_crlf(buffer, limit, ProtocolError::LineTooBig)?
        else {
            return Ok(Step::Wait);
        };
        let content = 1..line.len();
        self.take(next)?;
        let line = buffer.split_to(next).freeze().slice(content);
        self.line.begin(0);
        match kind {
            b'$' | b'!' | b'=' => self.begin_body(kind, &line),
            b'*' | b'~' | b'>' | b'%' | b'|' => self.begin_aggregate(kind, &line),
            _ => scalar(kind, line).map(Step::Value),
        }
    }

    /// Begins bytes with a length.
    fn begin_body(&mut self, kind: u8, digits: &[u8]) -> Result<Step, ProtocolError> {
        let length = parse_integer(digits).ok_or(ProtocolError::BulkLength)?;
        if length == -1 && kind == b'$' {
            return Ok(Step::Value(Value::Null));
        }
        let bytes = usize::try_from(length).map_err(|_| ProtocolError::BulkLength)?;
        if bytes > self.limits.bulk_bytes_max && !mutant!("resp-bulk-limit") {
            return Err(ProtocolError::BulkLength);
        }
        self.take(bytes.saturating_add(2))?;
        self.body = Some(Body { kind, bytes });
        Ok(Step::Next)
    }

    /// Waits for bytes with a length, and their CRLF.
    fn read_body(&mut self, buffer: &mut BytesMut, body: Body) -> Result<Step, ProtocolError> {
        match buffer.get(body.bytes..) {
            Some([b'\r', b'\n', ..]) => {}
            Some([] | [b'\r']) | None => return Ok(Step::Wait),
            Some(_) => return Err(ProtocolError::ExpectedCrlf),
        }
        let mut bytes = buffer.split_to(body.bytes + 2).freeze();
        bytes.truncate(body.bytes);
        self.body = None;
        Ok(Step::Value(match body.kind {
            b'$' => Value::Bulk(bytes),
            b'!' => Value::BulkError(bytes),
            kind => match bytes.first_chunk::<4>() {
                Some(&[a, b, c, b':']) => {
                    Value::Verbatim { format: [a, b, c], text: bytes.slice(4..) }
                }
                _ => return Err(ProtocolError::Malformed(kind)),
            },
        }))
    }

    /// Begins an aggregate; it is whole at once if it is empty.
    fn begin_aggregate(&mut self, kind: u8, digits: &[u8]) -> Result<Step, ProtocolError> {
        let count = parse_integer(digits).ok_or(ProtocolError::MultibulkLength)?;
        if count == -1 && kind == b'*' {
            return Ok(Step::Value(Value::Null));
        }
        let (kind, each) = match kind {
            b'*' => (Kind::Array, 1),
            b'~' => (Kind::Set, 1),
            b'>' => (Kind::Push, 1),
            b'%' => (Kind::Map, 2),
            _ => (Kind::Attributes, 2),
        };
        let missing = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(each))
            .filter(|&values| values <= self.limits.elements_max || mutant!("resp-count-limit"))
            .ok_or(ProtocolError::MultibulkLength)?;
        if self.open.len() >= self.limits.depth_max && !mutant!("resp-depth-limit") {
            return Err(ProtocolError::TooDeep);
        }
        let open = Open { kind, missing, values: Vec::new() };
        if missing > 0 {
            self.open.push(open);
            return Ok(Step::Next);
        }
        Ok(self.finish(open).map_or(Step::Next, Step::Value))
    }

    /// Puts a value where it belongs; gives the reply if that makes it whole.
    fn close(&mut self, mut value: Value) -> Option<Value> {
        while let Some(mut open) = self.open.pop() {
            open.values.push(value);
            open.missing -= 1;
            if open.missing > 0 {
                self.open.push(open);
                return None;
            }
            value = self.finish(open)?;
        }
        Some(value)
    }

    /// Makes a value of an aggregate that has all its values. Facts are none: they are put back
    /// to wait for the value they belong to.
    fn finish(&mut self, open: Open) -> Option<Value> {
        let Open { kind, mut values, .. } = open;
        Some(match kind {
            Kind::Array => Value::Array(values),
            Kind::Set => Value::Set(values),
            Kind::Push => Value::Push(values),
            Kind::Map => Value::Map(pairs(values)),
            Kind::Attributes => {
                let kind = Kind::Attributed(pairs(values));
                self.open.push(Open { kind, missing: 1, values: Vec::new() });
                return None;
            }
            Kind::Attributed(attributes) => {
                let value = values.pop().expect("it waited for one value");
                Value::Attributed { attributes, value: Box::new(value) }
            }
        })
    }

    /// Counts bytes of the current reply against the limit of the whole.
    fn take(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > self.limits.total_bytes_max && !mutant!("resp-total-limit") {
            return Err(ProtocolError::TooBig);
        }
        Ok(())
    }
}

/// Reads a value that is one line.
fn scalar(kind: u8, line: Bytes) -> Result<Value, ProtocolError> {
    let value = match kind {
        b'+' | b'-' if memchr(b'\n', &line).is_some() => None,
        b'+' => Some(Value::Simple(line)),
        b'-' => Some(Value::Error(line)),
        b':' => parse_integer(line.strip_prefix(b"+").unwrap_or(&line)).map(Value::Integer),
        b'_' => line.is_empty().then_some(Value::Null),
        b',' => {
            std::str::from_utf8(&line).ok().and_then(|text| text.parse().ok()).map(Value::Double)
        }
        b'#' => match &line[..] {
            b"t" => Some(Value::Boolean(true)),
            b"f" => Some(Value::Boolean(false)),
            _ => None,
        },
        _ => is_big_number(&line).then_some(Value::BigNumber(line)),
    };
    value.ok_or(ProtocolError::Malformed(kind))
}

/// Whether a text is decimal digits with an optional sign.
fn is_big_number(text: &[u8]) -> bool {
    let digits = match text {
        [b'-' | b'+', digits @ ..] => digits,
        digits => digits,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Pairs up values; their number is even.
fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}
