//! Parsers to compare with: each sees the whole stream at once, copies what it reads, recurses,
//! and is as plain as can be.

use bytes::Bytes;
use tinykv_proto::frame::{Frame, FrameError, Kind};
use tinykv_proto::resp::{Limits, ProtocolError, Value, parse_integer};

use super::Outcome;

/// Why a parser stops: there is no more, or it is wrong.
enum Stop {
    Incomplete,
    Wrong(ProtocolError),
}

/// What is left of the stream.
struct Input<'a> {
    rest: &'a [u8],
    limits: &'a Limits,
}

impl<'a> Input<'a> {
    /// Takes a line up to `end`, which is taken too.
    fn until(&mut self, end: u8, too_big: ProtocolError) -> Result<&'a [u8], Stop> {
        let limit = self.limits.line_bytes_max;
        match self.rest.iter().position(|&byte| byte == end) {
            Some(length) if length <= limit => {
                let line = &self.rest[..length];
                self.rest = &self.rest[length + 1..];
                Ok(line)
            }
            Some(_) => Err(Stop::Wrong(too_big)),
            None if self.rest.len() > limit => Err(Stop::Wrong(too_big)),
            None => Err(Stop::Incomplete),
        }
    }

    /// Takes a line that ends in CRLF.
    fn line(&mut self, too_big: ProtocolError) -> Result<&'a [u8], Stop> {
        let line = self.until(b'\r', too_big)?;
        self.expect(b"\n")?;
        Ok(line)
    }

    /// Takes `bytes`, of which at least the beginning must be there.
    fn expect(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        for &byte in bytes {
            match self.rest.split_first() {
                None => return Err(Stop::Incomplete),
                Some((&first, rest)) if first == byte => self.rest = rest,
                Some(_) => return Err(Stop::Wrong(ProtocolError::ExpectedCrlf)),
            }
        }
        Ok(())
    }

    /// Takes so many bytes and a CRLF.
    fn body(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        if length > self.rest.len() {
            return Err(Stop::Incomplete);
        }
        let (body, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.expect(b"\r\n")?;
        Ok(body)
    }
}

/// Parses one after the other until the stream ends or is wrong.
fn all<T>(
    stream: &[u8],
    limits: &Limits,
    mut one: impl FnMut(&mut Input<'_>) -> Result<Option<T>, Stop>,
) -> Outcome<T, ProtocolError> {
    let mut input = Input { rest: stream, limits };
    let mut given = Vec::new();
    loop {
        match one(&mut input) {
            Ok(item) => given.extend(item),
            Err(Stop::Incomplete) => return (given, None),
            Err(Stop::Wrong(error)) => return (given, Some(error)),
        }
    }
}

/// The commands in a stream.
pub(crate) fn requests(stream: &[u8], limits: &Limits) -> Outcome<Vec<Vec<u8>>, ProtocolError> {
    all(stream, limits, request)
}

/// One command; none if it is empty.
fn request(input: &mut Input<'_>) -> Result<Option<Vec<Vec<u8>>>, Stop> {
    let whole = input.rest.len();
    match input.rest.first() {
        None => Err(Stop::Incomplete),
        Some(b'*') => {
            let line = input.line(ProtocolError::MultibulkCountTooBig)?;
            let count = match parse_integer(&line[1..]) {
                Some(count) if count <= 0 => return Ok(None),
                Some(count) if count as u64 <= input.limits.elements_max as u64 => count,
                _ => return Err(Stop::Wrong(ProtocolError::MultibulkLength)),
            };
            let mut words = Vec::new();
            for _ in 0..count {
                let ahead = input.rest;
                let line = input.line(ProtocolError::BulkCountTooBig)?;
                if line.first() != Some(&b'$') {
                    return Err(Stop::Wrong(ProtocolError::ExpectedBulk(ahead[0])));
                }
                let length = match parse_integer(&line[1..]) {
                    Some(n) if n >= 0 && n as u64 <= input.limits.bulk_bytes_max as u64 => {
                        n as usize
                    }
                    _ => return Err(Stop::Wrong(ProtocolError::BulkLength)),
                };
                let end = (whole - input.rest.len()).saturating_add(length);
                if end > input.limits.total_bytes_max {
                    return Err(Stop::Wrong(ProtocolError::TooBig));
                }
                words.push(input.body(length)?.to_vec());
            }
            Ok(Some(words))
        }
        Some(_) => {
            let line = input.until(b'\n', ProtocolError::InlineTooBig)?;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match inline(line) {
                Some(words) => Ok(Some(words).filter(|words| !words.is_empty())),
                None => Err(Stop::Wrong(ProtocolError::UnbalancedQuotes)),
            }
        }
    }
}

/// The words of a line, as a machine that takes a byte at a time; none if quotes are unbalanced.
fn inline(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    #[derive(PartialEq)]
    enum In {
        Space,
        Word,
        Double,
        Single,
        AfterQuote,
    }
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut state = In::Space;
    let mut at = 0;
    while at < line.len() {
        let byte = line[at];
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12);
        at += 1;
        if state == In::Space && !space {
            words.push(Vec::new());
            state = In::Word;
        }
        let Some(word) = words.last_mut() else { continue };
        match state {
            In::Space => {}
            In::AfterQuote if space => state = In::Space,
            In::AfterQuote => return None,
            In::Word => match byte {
                b' ' | b'\t' | b'\n' | b'\r' => state = In::Space,
                b'"' => state = In::Double,
                b'\'' => state = In::Single,
                _ => word.push(byte),
            },
            In::Single => match (byte, line.get(at)) {
                (b'\'', _) => state = In::AfterQuote,
                (b'\\', Some(b'\'')) => {
                    word.push(b'\'');
                    at += 1;
                }
                _ => word.push(byte),
            },
            In::Double => match (byte, line.get(at)) {
                (b'"', _) => state = In::AfterQuote,
                (b'\\', Some(&escaped)) => {
                    let hex = line.get(at + 1..at + 3).and_then(|digits| {
                        let all_hex = digits.iter().all(u8::is_ascii_hexdigit);
                        let text = std::str::from_utf8(digits).ok().filter(|_| all_hex)?;
                        u8::from_str_radix(text, 16).ok()
                    });
                    at += 1;
                    match (escaped, hex) {
                        (b'x', Some(byte)) => {
                            word.push(byte);
                            at += 2;
                        }
                        (b'n', _) => word.push(b'\n'),
                        (b'r', _) => word.push(b'\r'),
                        (b't', _) => word.push(b'\t'),
                        (b'b', _) => word.push(8),
                        (b'a', _) => word.push(7),
                        (other, _) => word.push(other),
                    }
                }
                _ => word.push(byte),
            },
        }
    }
    matches!(state, In::Space | In::Word | In::AfterQuote).then_some(words)
}

/// The replies in a stream.
pub(crate) fn replies(stream: &[u8], limits: &Limits) -> Outcome<Value, ProtocolError> {
    all(stream, limits, |input| {
        let mut taken = 0;
        reply(input, 0, &mut taken).map(Some)
    })
}

/// One reply, by recursion. `taken` counts its bytes.
fn reply(input: &mut Input<'_>, depth: usize, taken: &mut usize) -> Result<Value, Stop> {
    let kind = *input.rest.first().ok_or(Stop::Incomplete)?;
    if !b"+-:$*_,#(!=%~>|".contains(&kind) {
        return Err(Stop::Wrong(ProtocolError::UnknownType(kind)));
    }
    let line = input.line(ProtocolError::LineTooBig)?;
    take(input, taken, line.len() + 2)?;
    let text = &line[1..];
    match kind {
        b'$' | b'!' | b'=' => bulk(input, kind, text, taken),
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let wrong = Stop::Wrong(ProtocolError::MultibulkLength);
            let count = match parse_integer(text) {
                Some(-1) if kind == b'*' => return Ok(Value::Null),
                Some(count) if count >= 0 => count as u64,
                _ => return Err(wrong),
            };
            let paired = matches!(kind, b'%' | b'|');
            match count.checked_mul(1 + u64::from(paired)) {
                Some(values) if values <= input.limits.elements_max as u64 => {}
                _ => return Err(wrong),
            }
            if depth >= input.limits.depth_max {
                return Err(Stop::Wrong(ProtocolError::TooDeep));
            }
            let mut values = Vec::new();
            let mut pairs = Vec::new();
            for _ in 0..count {
                let first = reply(input, depth + 1, taken)?;
                if paired {
                    pairs.push((first, reply(input, depth + 1, taken)?));
                } else {
                    values.push(first);
                }
            }
            Ok(match kind {
                b'*' => Value::Array(values),
                b'~' => Value::Set(values),
                b'>' => Value::Push(values),
                b'%' => Value::Map(pairs),
                _ => {
                    let value = Box::new(reply(input, depth + 1, taken)?);
                    Value::Attributed { attributes: pairs, value }
                }
            })
        }
        _ => scalar(kind, text).ok_or(Stop::Wrong(ProtocolError::Malformed(kind))),
    }
}

/// Counts bytes of a reply.
fn take(input: &Input<'_>, taken: &mut usize, bytes: usize) -> Result<(), Stop> {
    *taken = taken.saturating_add(bytes);
    if *taken > input.limits.total_bytes_max {
        return Err(Stop::Wrong(ProtocolError::TooBig));
    }
    Ok(())
}

/// A value with a length.
fn bulk(input: &mut Input<'_>, kind: u8, text: &[u8], taken: &mut usize) -> Result<Value, Stop> {
    let length = match parse_integer(text) {
        Some(-1) if kind == b'$' => return Ok(Value::Null),
        Some(n) if n >= 0 && n as u64 <= input.limits.bulk_bytes_max as u64 => n as usize,
        _ => return Err(Stop::Wrong(ProtocolError::BulkLength)),
    };
    take(input, taken, length.saturating_add(2))?;
    let body = Bytes::copy_from_slice(input.body(length)?);
    match kind {
        b'$' => Ok(Value::Bulk(body)),
        b'!' => Ok(Value::BulkError(body)),
        _ if body.len() >= 4 && body[3] == b':' => Ok(Value::Verbatim {
            format: [body[0], body[1], body[2]],
            text: Bytes::copy_from_slice(&body[4..]),
        }),
        _ => Err(Stop::Wrong(ProtocolError::Malformed(kind))),
    }
}

/// A value that is one line.
fn scalar(kind: u8, text: &[u8]) -> Option<Value> {
    let bytes = Bytes::copy_from_slice(text);
    let utf8 = std::str::from_utf8(text).ok();
    match kind {
        b'+' | b'-' if text.contains(&b'\n') => None,
        b'+' => Some(Value::Simple(bytes)),
        b'-' => Some(Value::Error(bytes)),
        b':' if text.first() == Some(&b'+') => parse_integer(&text[1..]).map(Value::Integer),
        b':' => parse_integer(text).map(Value::Integer),
        b'_' if text.is_empty() => Some(Value::Null),
        b',' => Some(Value::Double(utf8?.parse().ok()?)),
        b'#' if text == b"t" => Some(Value::Boolean(true)),
        b'#' if text == b"f" => Some(Value::Boolean(false)),
        b'(' => {
            let digits = utf8?;
            let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            let good = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            good.then_some(Value::BigNumber(bytes))
        }
        _ => None,
    }
}

/// The frames in a stream, and the text of the error that ends it.
pub(crate) fn frames(stream: &Bytes, limit: usize) -> Outcome<Frame, String> {
    let mut given = Vec::new();
    let mut at = 0;
    let error = loop {
        let rest = &stream[at..];
        let Some(head) = rest.get(..4) else { break None };
        let bytes = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]])) + 4;
        if bytes < 14 {
            break Some(FrameError::TooShort { bytes });
        }
        if bytes > limit as u64 {
            break Some(FrameError::TooLarge { bytes, limit: limit as u64 });
        }
        match rest.get(4) {
            None => break None,
            Some(1) => {}
            Some(&version) => break Some(FrameError::Version { version }),
        }
        let Some(frame) = rest.get(..bytes as usize) else { break None };
        let id = u64::from_be_bytes(frame[6..14].try_into().expect("eight bytes"));
        let kinds =
            [Kind::Hello, Kind::Request, Kind::Response, Kind::Error, Kind::Ping, Kind::Pong];
        let Some(kind) = usize::from(frame[5]).checked_sub(1).and_then(|n| kinds.get(n)) else {
            break Some(FrameError::UnknownKind { kind: frame[5], id });
        };
        given.push(Frame { kind: *kind, id, payload: stream.slice(at + 14..at + bytes as usize) });
        at += bytes as usize;
    };
    (given, error.map(|error| error.to_string()))
}
