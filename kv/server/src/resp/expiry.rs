//! Commands on times to live.

use node::{Expiry, Read, When, Write};
use proto::resp::{Command, Writer};

use super::args::{bytes, is, text};
use super::render::Render;
use super::session::{Answer, Session};
use super::set::{TimeWord, moment_of};
use super::strings::{CF, read, write};
use super::table::Problem;

/// `EXPIRE key time [NX | XX | GT | LT]` and its kin.
fn set_expiry(session: &Session<'_>, command: &Command, name: &str, word: TimeWord) -> Answer {
    let when = when_of(command)?;
    let expiry = Expiry::At(moment_of(session, name, word, command, 2)?);
    write(Write::SetExpiry { cf: CF, key: bytes(command, 1), expiry, when }, Render::Plain)
}

/// The conditions from argument 3 on.
fn when_of(command: &Command) -> Result<When, Problem> {
    let mut when = When::default();
    for index in 3..command.len() {
        if is(command, index, "nx") {
            when.forever = true;
        } else if is(command, index, "xx") {
            when.expiring = true;
        } else if is(command, index, "gt") {
            when.later = true;
        } else if is(command, index, "lt") {
            when.earlier = true;
        } else {
            let option = text(command, index);
            return Err(Problem::Owned(format!("ERR Unsupported option {option}")));
        }
    }
    if when.forever && (when.expiring || when.later || when.earlier) {
        let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
        return Err(Problem::Text(text));
    }
    if when.later && when.earlier {
        return Err(Problem::Text("ERR GT and LT options at the same time are not compatible"));
    }
    Ok(when)
}

pub(super) fn expire(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    set_expiry(session, command, "expire", TimeWord::Ex)
}

pub(super) fn pexpire(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    set_expiry(session, command, "pexpire", TimeWord::Px)
}

pub(super) fn expireat(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    set_expiry(session, command, "expireat", TimeWord::ExAt)
}

pub(super) fn pexpireat(
    session: &mut Session<'_>,
    command: &Command,
    _: &mut Writer<'_>,
) -> Answer {
    set_expiry(session, command, "pexpireat", TimeWord::PxAt)
}

pub(super) fn persist(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let key = bytes(command, 1);
    let when = When::default();
    write(Write::SetExpiry { cf: CF, key, expiry: Expiry::Never, when }, Render::Plain)
}

/// What is asked for about a time to live.
fn ask(command: &Command, render: Render) -> Answer {
    read(Read::Ttl { cf: CF, key: bytes(command, 1) }, render)
}

pub(super) fn ttl(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    ask(command, Render::TtlSeconds)
}

pub(super) fn pttl(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    ask(command, Render::TtlMillis)
}

pub(super) fn expiretime(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    ask(command, Render::EndSeconds)
}

pub(super) fn pexpiretime(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    ask(command, Render::EndMillis)
}
