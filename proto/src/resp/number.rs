//! Integers as redis reads them.

/// Reads a signed integer the way redis does (`string2ll`): an optional minus, no plus, no
/// leading zeros, nothing before or behind, and it fits 64 bits.
#[must_use]
pub fn parse_integer(digits: &[u8]) -> Option<i64> {
    let (negative, magnitude) = match digits {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match magnitude {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if magnitude.len() <= 19 => {}
        _ => return None,
    }
    // At most 19 digits: below 10^19, which fits.
    let mut value = 0_u64;
    for &byte in magnitude {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}
