//! Inline commands: a line of words that a person typed, with quotes and escapes.
//!
//! The rules are those of redis (`sdssplitargs`): `"..."` knows `\n \r \t \b \a \xHH` and takes
//! any other escaped byte as it is; `'...'` knows `\'` only; a closing quote must be followed by
//! a space or the line's end. One rule differs: a NUL byte is a byte, it does not end the line.

use super::ProtocolError;
use super::command::{Command, Span, Spans};

/// Splits a line without its end into words; none if there is no word.
pub(super) fn split(line: &[u8]) -> Result<Option<Command>, ProtocolError> {
    let mut words = Vec::with_capacity(line.len());
    let mut spans = Spans::new();
    let mut rest = line;
    loop {
        let word = rest.iter().position(|&byte| !is_space(byte)).unwrap_or(rest.len());
        rest = &rest[word..];
        if rest.is_empty() {
            break;
        }
        let start = words.len();
        rest = read_word(rest, &mut words)?;
        spans.push(Span { start: position(start), end: position(words.len()) });
    }
    Ok((!spans.is_empty()).then(|| Command::new(words.into(), spans)))
}

/// Appends the word at the front of `rest` to `words`; gives what is behind it.
fn read_word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] => return Ok(rest),
            [b' ' | b'\t' | b'\n' | b'\r', ..] => return Ok(rest),
            [b'"', tail @ ..] => return read_double_quoted(tail, words),
            [b'\'', tail @ ..] => return read_single_quoted(tail, words),
            [byte, tail @ ..] => {
                words.push(*byte);
                tail
            }
        }
    }
}

/// Appends a word up to its closing `"`, which ends it.
fn read_double_quoted<'a>(
    mut rest: &'a [u8],
    words: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', tail @ ..] => return after_quote(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                words.push(hex_digit(*high) << 4 | hex_digit(*low));
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                words.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                tail
            }
            [byte, tail @ ..] => {
                words.push(*byte);
                tail
            }
        }
    }
}

/// Appends a word up to its closing `'`, which ends it.
fn read_single_quoted<'a>(
    mut rest: &'a [u8],
    words: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\'', tail @ ..] => return after_quote(tail),
            [b'\\', b'\'', tail @ ..] => {
                words.push(b'\'');
                tail
            }
            [byte, tail @ ..] => {
                words.push(*byte);
                tail
            }
        }
    }
}

/// Checks that a space or nothing follows a closing quote.
fn after_quote(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest {
        [] => Ok(rest),
        [byte, ..] if is_space(*byte) => Ok(rest),
        _ => Err(ProtocolError::UnbalancedQuotes),
    }
}

/// What C's `isspace` takes for a space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The value of a hexadecimal digit that was checked.
fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// A position in the words of a line; lines are at most 4 GiB because requests are.
fn position(at: usize) -> u32 {
    u32::try_from(at).expect("the decoder bounds a request below 4 GiB")
}
