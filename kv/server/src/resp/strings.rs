//! Commands that read and change single values, but `SET` and its kin.

use engine::Cf;
use node::{Condition, Expiry, Read, Write};
use proto::resp::{Command, Writer};

use super::args::{bytes, integer, pairs, rest};
use super::render::Render;
use super::session::{Answer, Session};
use super::set::{Options, OptionsOf, expiry_of};
use super::table::{Problem, Step, wrong_arity};

/// The column family that the Redis protocol lives in.
pub(super) const CF: Cf = Cf::Default;

/// What the node has to read.
pub(super) fn read(read: Read, render: Render) -> Answer {
    Ok(Step::Node(read.into(), render))
}

/// What the node has to write.
pub(super) fn write(write: Write, render: Render) -> Answer {
    Ok(Step::Node(write.into(), render))
}

pub(super) fn get(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    read(Read::Get { cf: CF, key: bytes(command, 1) }, Render::Plain)
}

pub(super) fn strlen(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    read(Read::Get { cf: CF, key: bytes(command, 1) }, Render::Length)
}

pub(super) fn getrange(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let (first, last) = (integer(command, 2)?, integer(command, 3)?);
    read(Read::Get { cf: CF, key: bytes(command, 1) }, Render::Range(first, last))
}

pub(super) fn setrange(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let offset = u64::try_from(integer(command, 2)?);
    let offset = offset.map_err(|_| Problem::Text("ERR offset is out of range"))?;
    let (key, part) = (bytes(command, 1), bytes(command, 3));
    write(Write::SetRange { cf: CF, key, offset, part }, Render::Plain)
}

pub(super) fn mget(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    read(Read::GetMany { cf: CF, keys: rest(command, 1) }, Render::Plain)
}

pub(super) fn mset(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let pairs = pairs(command, 1).ok_or_else(|| wrong_arity("mset"))?;
    write(Write::PutMany { cf: CF, pairs, expiry: Expiry::Never }, Render::Ok)
}

pub(super) fn msetnx(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let pairs = pairs(command, 1).ok_or_else(|| wrong_arity("msetnx"))?;
    write(Write::PutManyIfAbsent { cf: CF, pairs }, Render::Plain)
}

pub(super) fn append(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let (key, tail) = (bytes(command, 1), bytes(command, 2));
    write(Write::Append { cf: CF, key, tail }, Render::Plain)
}

pub(super) fn getset(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let put = Write::PutIf {
        cf: CF,
        key: bytes(command, 1),
        value: bytes(command, 2),
        expiry: Expiry::Never,
        condition: Condition::Always,
    };
    write(put, Render::Previous)
}

pub(super) fn getdel(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    write(Write::GetDelete { cf: CF, key: bytes(command, 1) }, Render::Plain)
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(super) fn getex(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let key = bytes(command, 1);
    let options = Options::read(command, 2, OptionsOf::GetEx)?;
    let expiry = match options.time {
        None if options.persist => Expiry::Never,
        None => return read(Read::Get { cf: CF, key }, Render::Plain),
        Some((word, index)) => match expiry_of(session, "getex", word, command, index) {
            Ok(expiry) => expiry,
            // An absent key has no time to be wrong.
            Err(problem) => {
                let text = match problem {
                    Problem::Text(text) => text,
                    _ => "ERR invalid expire time in 'getex' command",
                };
                return read(Read::Get { cf: CF, key }, Render::NullOr(text));
            }
        },
    };
    write(Write::GetSetExpiry { cf: CF, key, expiry }, Render::Plain)
}
