//! Reading the arguments of a command.

use bytes::Bytes;
use proto::resp::{Command, parse_integer};

use super::table::Problem;
use crate::store::keep;

/// What redis says about arguments that make no sense.
pub(super) const SYNTAX: Problem = Problem::Text("ERR syntax error");

/// What redis says about a number that is none.
pub(super) const NOT_INTEGER: Problem =
    Problem::Text("ERR value is not an integer or out of range");

/// Argument `index`, which the table checked to be there, as a slice of the read buffer.
pub(super) fn bytes(command: &Command, index: usize) -> Bytes {
    command.bytes(index).expect("the table checked the number of arguments")
}

/// The arguments from `index` on.
pub(super) fn rest(command: &Command, index: usize) -> Vec<Bytes> {
    (index..command.len()).map(|index| bytes(command, index)).collect()
}

/// Argument `index` as a number.
pub(super) fn integer(command: &Command, index: usize) -> Result<i64, Problem> {
    parse_integer(&command[index]).ok_or(NOT_INTEGER)
}

/// Whether argument `index` is this word, in any case.
pub(super) fn is(command: &Command, index: usize, word: &str) -> bool {
    command.get(index).is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
}

/// The arguments from `index` on as pairs; none if one is left over.
pub(super) fn pairs(command: &Command, index: usize) -> Option<Vec<(Bytes, Bytes)>> {
    if !(command.len() - index).is_multiple_of(2) {
        return None;
    }
    let pair = |index| (bytes(command, index), bytes(command, index + 1));
    Some((index..command.len()).step_by(2).map(pair).collect())
}

/// Argument `index` as a text, with what is no text replaced.
pub(super) fn text(command: &Command, index: usize) -> String {
    String::from_utf8_lossy(&command[index]).into_owned()
}

/// A copy of argument `index`, to be kept.
pub(super) fn kept(command: &Command, index: usize) -> Bytes {
    keep(&command[index])
}
