//! Decimal fractions as values, as redis reads and writes them.
//!
//! redis computes with 80-bit floats and writes 17 digits behind the point. Here a number is counted
//! in units of 10^-17, which gives the same digits without the error of a binary fraction; beyond
//! 10^21 a 64-bit float takes over. Both give the same result on every machine, as a replicated log
//! demands.

use bytes::Bytes;

use crate::{Failure, Result};

/// Digits behind the point.
const DIGITS: usize = 17;

/// Units in 1.
const ONE: i128 = 10_i128.pow(DIGITS as u32);

/// The most digits before the point that are counted exactly.
const WHOLE_DIGITS_MAX: usize = 20;

/// The sum of two numbers, as a value.
///
/// # Errors
/// `NotFloat` if the first is none, `NotFinite` if there is no finite sum.
pub(crate) fn add(value: &[u8], delta: &[u8]) -> Result<Bytes> {
    let number = float(value).ok_or(Failure::NotFloat)?;
    let more = float(delta).ok_or(Failure::NotFloat)?;
    if !(number + more).is_finite() {
        return Err(Failure::NotFinite);
    }
    let text = match (units(value), units(delta)) {
        (Some(number), Some(more)) => format(number + more),
        _ => std::format!("{}", number + more),
    };
    Ok(text.into())
}

/// Whether a text is a number that can be added; infinite ones are, and have no sum.
#[must_use]
pub fn is_float(text: &[u8]) -> bool {
    float(text).is_some()
}

/// The float nearest to a text, without spaces around it; none if it is no number.
fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

/// A text that is a number, in units of 10^-17, what is behind them rounded; none if it is too
/// large for that, or written with an exponent that is.
fn units(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all: Vec<u8> = whole.bytes().chain(part.bytes()).collect();
    if !all.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Where the point stands once the exponent has moved it.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let leading = all.iter().take_while(|&&digit| digit == b'0').count();
    if point - i64::try_from(leading).ok()? > WHOLE_DIGITS_MAX as i64 {
        return (leading == all.len()).then_some(0);
    }
    let last = point + DIGITS as i64;
    let digit = |at: i64| {
        let digit = usize::try_from(at).ok().and_then(|at| all.get(at));
        i128::from(digit.map_or(0, |digit| digit - b'0'))
    };
    // No digit that counts stands before the first of those that have units of 10^20 and less.
    let first = point - WHOLE_DIGITS_MAX as i64;
    let sum = (first..last).fold(0, |sum, at| sum * 10 + digit(at));
    let rounded = sum + i128::from(digit(last) >= 5);
    Some(if is_negative { -rounded } else { rounded })
}

/// The shortest way to write a number of units.
fn format(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    let (whole, part) = (units / ONE as u128, units % ONE as u128);
    let text = std::format!("{sign}{whole}.{part:0DIGITS$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::add;
    use crate::Failure;

    #[test]
    fn sums_are_those_of_redis() {
        let cases = [
            ("0", "1", "1"),
            ("1.5", "0", "1.5"),
            ("1", "-1.1", "-0.1"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("17179869184", "1.5", "17179869185.5"),
            ("-3", "3", "0"),
            ("0.1", "0.2", "0.3"),
            ("1e-17", "1e-17", "0.00000000000000002"),
            ("1e-18", "0", "0"),
            ("6e-18", "0", "0.00000000000000001"),
            ("99999999999999999999", "1", "100000000000000000000"),
            ("+7", ".5", "7.5"),
            ("3.", "-0", "3"),
            ("1e30", "1", "1000000000000000000000000000000"),
            ("0e99", "2", "2"),
        ];
        for (number, more, sum) in cases {
            assert_eq!(add(number.as_bytes(), more.as_bytes()).as_deref(), Ok(sum.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_number_or_has_no_sum_is_refused() {
        for text in ["", " 1", "1 ", "x", "nan", "1.2.3", "1e", "--1", "1\0"] {
            assert_eq!(add(text.as_bytes(), b"1"), Err(Failure::NotFloat), "{text:?}");
        }
        for text in ["inf", "-inf", "1e999"] {
            assert_eq!(add(b"1", text.as_bytes()), Err(Failure::NotFinite), "{text:?}");
        }
    }
}
