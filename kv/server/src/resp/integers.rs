//! Commands on numbers, whole ones and fractions.

use node::Write;
use proto::resp::{Command, Writer};

use super::args::{bytes, integer};
use super::render::Render;
use super::session::{Answer, Session};
use super::strings::{CF, write};
use super::table::Problem;

/// `INCRBYFLOAT key fraction`
pub(super) fn incrbyfloat(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let delta = bytes(command, 2);
    if !node::is_float(&delta) {
        return Err(Problem::Text("ERR value is not a valid float"));
    }
    write(Write::AddFloat { cf: CF, key: bytes(command, 1), delta }, Render::Plain)
}

/// Adds to a number.
fn add(command: &Command, delta: i64) -> Answer {
    write(Write::Add { cf: CF, key: bytes(command, 1), delta }, Render::Plain)
}

pub(super) fn incr(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    add(command, 1)
}

pub(super) fn decr(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    add(command, -1)
}

pub(super) fn incrby(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    add(command, integer(command, 2)?)
}

pub(super) fn decrby(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let delta = integer(command, 2)?.checked_neg();
    add(command, delta.ok_or(Problem::Text("ERR decrement would overflow"))?)
}
