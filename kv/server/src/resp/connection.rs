//! Commands on the connection itself.

use proto::resp::{Command, Version, Writer, parse_integer};

use super::args::{NOT_INTEGER, is, text};
use super::client::{INVALID_NAME, is_name};
use super::session::{Answer, Session};
use super::table::{Problem, Step, wrong_arity};

/// The version of redis whose behaviour the commands follow; clients look at it.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// `PING [message]`
pub(super) fn ping(_: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    match command.len() {
        1 => out.simple("PONG"),
        2 => out.bulk(&command[1]),
        _ => return Err(wrong_arity("ping")),
    }
    Ok(Step::Replied)
}

pub(super) fn echo(_: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    out.bulk(&command[1]);
    Ok(Step::Replied)
}

pub(super) fn select(_: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    match parse_integer(&command[1]) {
        None => return Err(NOT_INTEGER),
        Some(0) => out.ok(),
        Some(_) => return Err(Problem::Text("ERR DB index is out of range")),
    }
    Ok(Step::Replied)
}

pub(super) fn quit(session: &mut Session<'_>, _: &Command, out: &mut Writer<'_>) -> Answer {
    session.is_over = true;
    out.ok();
    Ok(Step::Replied)
}

pub(super) fn reset(session: &mut Session<'_>, _: &Command, out: &mut Writer<'_>) -> Answer {
    session.set_version(Version::V2);
    session.transaction = None;
    session.connection.names.lock().name.clear();
    out.simple("RESET");
    Ok(Step::Replied)
}

/// `AUTH [user] password`. There are no passwords: the user `default` may do everything.
pub(super) fn auth(_: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    match command.len() {
        2 => Err(Problem::Text(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        )),
        3 => {
            check_user(&command[1])?;
            out.ok();
            Ok(Step::Replied)
        }
        _ => Err(super::args::SYNTAX),
    }
}

/// Checks the name of a user, whose password may be anything.
fn check_user(name: &[u8]) -> Result<(), Problem> {
    if name == b"default" {
        return Ok(());
    }
    Err(Problem::Text("WRONGPASS invalid username-password pair or user is disabled."))
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(super) fn hello(session: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    let mut version = session.version;
    if let Some(number) = command.get(1) {
        version = match parse_integer(number) {
            Some(2) => Version::V2,
            Some(3) => Version::V3,
            Some(_) => return Err(Problem::Text("NOPROTO unsupported protocol version")),
            None => {
                let text = "ERR Protocol version is not an integer or out of range";
                return Err(Problem::Text(text));
            }
        };
    }
    let mut name = None;
    let mut index = 2;
    while index < command.len() {
        if is(command, index, "auth") && index + 2 < command.len() {
            check_user(&command[index + 1])?;
            index += 3;
        } else if is(command, index, "setname") && index + 1 < command.len() {
            if !is_name(&command[index + 1]) {
                return Err(INVALID_NAME);
            }
            name = Some(text(command, index + 1));
            index += 2;
        } else {
            let option = text(command, index);
            return Err(Problem::Owned(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    session.set_version(version);
    if let Some(name) = name {
        session.connection.names.lock().name = name;
    }
    // In the version that was asked for.
    out.set_version(version);
    describe(session, out);
    Ok(Step::Replied)
}

/// Tells what `HELLO` tells.
fn describe(session: &Session<'_>, out: &mut Writer<'_>) {
    out.map(7);
    let facts = [("server", "redis"), ("version", REDIS_VERSION)];
    for (key, value) in facts {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"proto");
    out.integer(if session.version == Version::V3 { 3 } else { 2 });
    out.bulk(b"id");
    out.integer(i64::try_from(session.connection.id).unwrap_or(i64::MAX));
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
}
