//! Commands on single bits of values.

use node::{Read, Write};
use proto::resp::{Command, Writer, parse_integer};

use super::args::bytes;
use super::render::Render;
use super::session::{Answer, Session};
use super::strings::{CF, read, write};
use super::table::Problem;

/// The bit that argument 2 names: redis allows values up to 512 MiB.
fn offset(command: &Command) -> Result<u64, Problem> {
    let offset = parse_integer(&command[2]).and_then(|offset| u32::try_from(offset).ok());
    offset.map(u64::from).ok_or(Problem::Text("ERR bit offset is not an integer or out of range"))
}

pub(super) fn getbit(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    read(Read::Get { cf: CF, key: bytes(command, 1) }, Render::Bit(offset(command)?))
}

pub(super) fn setbit(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let offset = offset(command)?;
    let bit = match parse_integer(&command[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Problem::Text("ERR bit is not an integer or out of range")),
    };
    write(Write::SetBit { cf: CF, key: bytes(command, 1), offset, bit }, Render::Plain)
}
