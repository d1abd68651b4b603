//! Numbers as values: decimal, as redis reads and writes them.

use bytes::Bytes;

/// The number that a value is: decimal digits with an optional minus, without leading zeros, a
/// plus or spaces.
pub(crate) fn parse(value: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    // What is written differently from how it would be written back is a text, not a number.
    (itoa::Buffer::new().format(number).as_bytes() == value).then_some(number)
}

/// The value that a number is.
pub(crate) fn format(number: i64) -> Bytes {
    Bytes::copy_from_slice(itoa::Buffer::new().format(number).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn numbers_are_canonical() {
        for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(parse(&format(number)), Some(number));
        }
        let texts = ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "x"];
        for text in texts {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
