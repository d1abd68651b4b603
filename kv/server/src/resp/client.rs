//! `CLIENT`: what connections are there, and what they call themselves.

use std::fmt::Write as _;

use node::Time;
use proto::resp::{Command, Version, Writer, parse_integer};

use super::args::{SYNTAX, is, text};
use super::session::{Answer, Session};
use super::table::{Problem, Step, no_such_form};
use crate::connection::{Connection, Door};

/// What redis says about a name that it does not take.
pub(super) const INVALID_NAME: Problem =
    Problem::Text("ERR Client names cannot contain spaces, newlines or special characters.");

/// Whether a client may call itself so: printable and without spaces.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// `CLIENT subcommand ...`
pub(super) fn client(session: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    let now = session.now;
    let len = command.len();
    if is(command, 1, "id") && len == 2 {
        out.integer(i64::try_from(session.connection.id).unwrap_or(i64::MAX));
    } else if is(command, 1, "getname") && len == 2 {
        let name = session.connection.names.lock().name.clone();
        out.bulk_or_null(Some(name.as_bytes()).filter(|name| !name.is_empty()));
    } else if is(command, 1, "setname") && len == 3 {
        if !is_name(&command[2]) {
            return Err(INVALID_NAME);
        }
        session.connection.names.lock().name = text(command, 2);
        out.ok();
    } else if is(command, 1, "setinfo") && len == 4 {
        return set_info(session, command, out);
    } else if is(command, 1, "info") && len == 2 {
        out.verbatim(*b"txt", line(&session.connection, now).as_bytes());
    } else if is(command, 1, "list") {
        let all_normal = len == 4 && is(command, 2, "type") && is(command, 3, "normal");
        if len != 2 && !all_normal {
            return Err(SYNTAX);
        }
        let clients = session.context.connections.list();
        let lines = clients.iter().filter(|it| it.door == Door::Resp).map(|it| line(it, now));
        out.verbatim(*b"txt", lines.collect::<String>().as_bytes());
    } else if (is(command, 1, "no-evict") || is(command, 1, "no-touch")) && len == 3 {
        if !is(command, 2, "on") && !is(command, 2, "off") {
            return Err(SYNTAX);
        }
        out.ok();
    } else if is(command, 1, "reply") && len == 3 {
        if is(command, 2, "off") || is(command, 2, "skip") {
            return Err(Problem::Text("ERR CLIENT REPLY OFF and SKIP are not supported"));
        } else if !is(command, 2, "on") {
            return Err(SYNTAX);
        }
        out.ok();
    } else if is(command, 1, "kill") && len >= 3 {
        return kill(session, command, out);
    } else {
        return Err(no_such_form(command, &SUBCOMMANDS));
    }
    Ok(Step::Replied)
}

/// What `CLIENT` can do.
const SUBCOMMANDS: [&str; 10] = [
    "id", "getname", "setname", "setinfo", "info", "list", "no-evict", "no-touch", "reply", "kill",
];

/// `CLIENT SETINFO LIB-NAME | LIB-VER value`
fn set_info(session: &Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    let option = text(command, 2);
    if !is_name(&command[3]) {
        let text = format!("ERR {option} cannot contain spaces, newlines or special characters.");
        return Err(Problem::Owned(text));
    }
    let mut names = session.connection.names.lock();
    if is(command, 2, "lib-name") {
        names.library = text(command, 3);
    } else if is(command, 2, "lib-ver") {
        names.library_version = text(command, 3);
    } else {
        return Err(Problem::Owned(format!("ERR Unrecognized option '{option}'")));
    }
    out.ok();
    Ok(Step::Replied)
}

/// `CLIENT KILL ADDRESS`, which answers `OK`, and `CLIENT KILL ID number | ADDR address`, which
/// counts.
fn kill(session: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    let by_id = |connection: &Connection, id: Option<i64>| {
        id.and_then(|id| u64::try_from(id).ok()) == Some(connection.id)
    };
    let clients = session.context.connections.list();
    let matching = clients.iter().filter(|it| match command.len() {
        3 => it.peer.to_string().as_bytes() == &command[2],
        4 if is(command, 2, "id") => by_id(it, parse_integer(&command[3])),
        4 if is(command, 2, "addr") => it.peer.to_string().as_bytes() == &command[3],
        _ => false,
    });
    let mut killed = 0;
    for connection in matching {
        killed += 1;
        if connection.id == session.connection.id {
            session.is_over = true;
        } else {
            connection.close();
        }
    }
    match command.len() {
        3 if killed == 0 => return Err(Problem::Text("ERR No such client")),
        3 => out.ok(),
        4 if is(command, 2, "id") || is(command, 2, "addr") => out.integer(killed),
        _ => return Err(SYNTAX),
    }
    Ok(Step::Replied)
}

/// A connection as a line of `CLIENT LIST`.
fn line(connection: &Connection, now: Time) -> String {
    let names = connection.names.lock().clone();
    let mut line = String::new();
    let age = now.since_ms(connection.since) / 1000;
    let idle = connection.idle_ms(now) / 1000;
    writeln!(
        line,
        "id={} addr={} laddr={} fd=-1 name={} age={age} idle={idle} flags=N db=0 sub=0 psub=0 \
         multi=-1 cmd=NULL user=default redir=-1 resp={} lib-name={} lib-ver={}",
        connection.id,
        connection.peer,
        connection.local,
        names.name,
        names.resp,
        names.library,
        names.library_version,
    )
    .expect("writing to memory does not fail");
    line
}

impl Session<'_> {
    /// Chooses the version of RESP.
    pub(super) fn set_version(&mut self, version: Version) {
        self.version = version;
        self.connection.names.lock().resp = if version == Version::V3 { 3 } else { 2 };
    }
}
