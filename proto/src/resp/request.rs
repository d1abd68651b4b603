//! Cutting commands out of what a client sends.
//!
//! Invariants: every byte of a line is examined once, bytes of a bulk string are skipped unseen;
//! a command leaves the buffer whole or not at all; all positions count from the front of the
//! buffer, which therefore must not be touched between calls but at its end.

use bytes::BytesMut;
use mutant::mutant;

use super::command::{Command, Span, Spans};
use super::line::LineScan;
use super::number::parse_integer;
use super::{Limits, ProtocolError, inline};

/// What comes next in the stream.
#[derive(Clone, Debug)]
enum State {
    /// The first byte of a request.
    Start,
    /// A line of words.
    Inline,
    /// The line with the number of arguments.
    Count,
    /// The line with the length of an argument.
    Length,
    /// An argument's bytes and their CRLF: where it starts and ends.
    Body(Span),
}

/// Cuts commands out of a byte stream, for a server.
///
/// ```
/// use bytes::BytesMut;
/// use tinykv_proto::resp::{Limits, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new(Limits::default());
/// let mut buffer = BytesMut::from("*2\r\n$3\r\nGET\r\n$3\r\nk");
/// assert!(decoder.decode(&mut buffer).unwrap().is_none());
/// buffer.extend_from_slice(b"ey\r\nPING\r\n");
/// assert_eq!(&decoder.decode(&mut buffer).unwrap().unwrap()[1], b"key");
/// assert_eq!(decoder.decode(&mut buffer).unwrap().unwrap().name(), b"PING");
/// assert!(buffer.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct RequestDecoder {
    limits: Limits,
    state: State,
    /// The line that is read now.
    line: LineScan,
    /// Arguments that are still to come.
    missing: usize,
    /// Arguments that are there.
    spans: Spans,
}

impl RequestDecoder {
    /// Makes a decoder for a new connection.
    #[must_use]
    pub fn new(mut limits: Limits) -> RequestDecoder {
        // Positions are 32 bits.
        limits.total_bytes_max = limits.total_bytes_max.min(u32::MAX as usize);
        limits.line_bytes_max = limits.line_bytes_max.min(limits.total_bytes_max);
        RequestDecoder {
            limits,
            state: State::Start,
            line: LineScan::default(),
            missing: 0,
            spans: Spans::new(),
        }
    }

    /// How many bytes of lines were examined so far. Bytes of bulk strings do not count: they are
    /// skipped. Never more than the bytes fed.
    #[must_use]
    pub fn bytes_examined(&self) -> u64 {
        self.line.examined
    }

    /// Takes the next command from the front of `buffer`; none if it is not there whole. Empty
    /// lines and arrays without elements are skipped, as redis does.
    ///
    /// Append what was read to the same buffer and call again until it gives none.
    ///
    /// # Errors
    /// The stream is lost: send the error's text and close the connection.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Command>, ProtocolError> {
        if mutant!("resp-state-lost") {
            self.restart();
        }
        loop {
            let step = match self.state {
                State::Start => self.start(buffer),
                State::Inline => self.read_inline(buffer)?,
                State::Count => self.read_count(buffer)?,
                State::Length => self.read_length(buffer)?,
                State::Body(span) => self.read_body(buffer, span)?,
            };
            match step {
                Step::Next => {}
                Step::Wait => return Ok(None),
                Step::Done(command) => return Ok(Some(command)),
            }
        }
    }

    /// Looks at the first byte of a request.
    fn start(&mut self, buffer: &BytesMut) -> Step {
        let Some(&first) = buffer.first() else { return Step::Wait };
        self.line.begin(0);
        self.state = if first == b'*' { State::Count } else { State::Inline };
        Step::Next
    }

    /// Reads a line of words.
    fn read_inline(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        let limit = self.limits.line_bytes_max;
        let Some(end) = self.line.find(buffer, b'\n', limit, ProtocolError::InlineTooBig)? else {
            return Ok(Step::Wait);
        };
        let line = buffer.split_to(end + 1);
        self.restart();
        let words = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
        Ok(inline::split(words)?.map_or(Step::Next, Step::Done))
    }

    /// Reads the number of arguments.
    fn read_count(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        let limit = self.limits.line_bytes_max;
        let too_big = ProtocolError::MultibulkCountTooBig;
        let Some((line, next)) = self.line.find_crlf(buffer, limit, too_big)? else {
            return Ok(Step::Wait);
        };
        let count = parse_integer(&line[1..]).ok_or(ProtocolError::MultibulkLength)?;
        let Ok(count) = usize::try_from(count) else {
            // A negative count is an empty request.
            drop(buffer.split_to(next));
            self.restart();
            return Ok(Step::Next);
        };
        if count > self.limits.elements_max && !mutant!("resp-count-limit") {
            return Err(ProtocolError::MultibulkLength);
        }
        if count == 0 {
            drop(buffer.split_to(next));
            self.restart();
            return Ok(Step::Next);
        }
        self.missing = count;
        self.line.begin(next);
        self.state = State::Length;
        Ok(Step::Next)
    }

    /// Reads the length of an argument.
    fn read_length(&mut self, buffer: &BytesMut) -> Result<Step, ProtocolError> {
        let limit = self.limits.line_bytes_max;
        let too_big = ProtocolError::BulkCountTooBig;
        let Some((line, next)) = self.line.find_crlf(buffer, limit, too_big)? else {
            return Ok(Step::Wait);
        };
        let digits = match line {
            [b'$', digits @ ..] => digits,
            // The line may be empty: then its end is what came.
            _ => return Err(ProtocolError::ExpectedBulk(buffer[self.line.start])),
        };
        let length = parse_integer(digits)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|&length| length <= self.limits.bulk_bytes_max || mutant!("resp-bulk-limit"))
            .ok_or(ProtocolError::BulkLength)?;
        let end = if mutant!("resp-length-overflow") {
            next.wrapping_add(length)
        } else {
            next.checked_add(length).ok_or(ProtocolError::TooBig)?
        };
        if end > self.limits.total_bytes_max && !mutant!("resp-length-overflow") {
            return Err(ProtocolError::TooBig);
        }
        // Fits: the limit of the whole is below 4 GiB.
        self.state = State::Body(Span { start: next as u32, end: end as u32 });
        Ok(Step::Next)
    }

    /// Waits for an argument's bytes and their CRLF; the last argument completes the command.
    fn read_body(&mut self, buffer: &mut BytesMut, span: Span) -> Result<Step, ProtocolError> {
        let end = span.end as usize;
        let crlf = if mutant!("resp-crlf-off-by-one") { 1 } else { 2 };
        match buffer.get(end..) {
            Some([b'\r', b'\n', ..]) => {}
            Some([] | [b'\r']) | None => return Ok(Step::Wait),
            Some(_) => return Err(ProtocolError::ExpectedCrlf),
        }
        self.spans.push(span);
        self.missing -= 1;
        if self.missing > 0 {
            self.line.begin(end + crlf);
            self.state = State::Length;
            return Ok(Step::Next);
        }
        let data = buffer.split_to(end + crlf).freeze();
        let spans = std::mem::take(&mut self.spans);
        self.restart();
        Ok(Step::Done(Command::new(data, spans)))
    }

    /// Expects a new request at the front of the buffer.
    fn restart(&mut self) {
        self.state = State::Start;
        self.line.begin(0);
        self.spans.clear();
        self.missing = 0;
    }
}

/// What a state came to.
enum Step {
    /// Go on with the next state.
    Next,
    /// More bytes are needed.
    Wait,
    /// A command is whole.
    Done(Command),
}
