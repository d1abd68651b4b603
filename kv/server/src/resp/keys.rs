//! Commands on keys, whatever their values, and on all of them.

use bytes::{BufMut, Bytes, BytesMut};
use engine::Direction;
use node::{Page, Read, Scan, Write};
use proto::resp::{Command, Writer, parse_integer};

use super::args::{NOT_INTEGER, SYNTAX, bytes, is, kept, rest};
use super::glob;
use super::render::{Render, write_store_error};
use super::session::{Answer, Session};
use super::strings::{CF, read, write};
use super::table::{Problem, Step};
use crate::store::StoreError;

/// The most keys that one `SCAN` looks at.
const SCAN_KEYS_MAX: usize = 100_000;

/// The most bytes of keys that one `SCAN` looks at.
const SCAN_BYTES_MAX: usize = 16 << 20;

pub(super) fn del(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    write(Write::Delete { cf: CF, keys: rest(command, 1) }, Render::Plain)
}

pub(super) fn exists(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    read(Read::Exists { cf: CF, keys: rest(command, 1) }, Render::Plain)
}

pub(super) fn rename(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    copy_key(command, (true, true), Render::Ok)
}

pub(super) fn renamenx(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    copy_key(command, (false, true), Render::Plain)
}

/// `COPY source destination [DB 0] [REPLACE]`
pub(super) fn copy(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let (mut index, mut replaces) = (3, false);
    while index < command.len() {
        if is(command, index, "replace") {
            replaces = true;
        } else if is(command, index, "db") && index + 1 < command.len() {
            index += 1;
            match parse_integer(&command[index]) {
                Some(0) => {}
                Some(_) => return Err(Problem::Text("ERR DB index is out of range")),
                None => return Err(NOT_INTEGER),
            }
        } else {
            return Err(SYNTAX);
        }
        index += 1;
    }
    if command[1] == command[2] {
        return Err(Problem::Text("ERR source and destination objects are the same"));
    }
    copy_key(command, (replaces, false), Render::Plain)
}

fn copy_key(command: &Command, (replaces, moves): (bool, bool), render: Render) -> Answer {
    let (from, to) = (bytes(command, 1), bytes(command, 2));
    write(Write::CopyKey { cf: CF, from, to, replaces, moves }, render)
}

pub(super) fn type_(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    read(Read::Exists { cf: CF, keys: rest(command, 1) }, Render::Type)
}

pub(super) fn dbsize(_: &mut Session<'_>, _: &Command, _: &mut Writer<'_>) -> Answer {
    Ok(Step::Size)
}

/// Counts all keys, and appends the answer. Gives whether it was no error.
pub(super) async fn run_size(session: &Session<'_>, output: &mut BytesMut) -> bool {
    let keys = session.keys().await;
    let mut writer = Writer::new(output, session.version);
    match &keys {
        Ok(keys) => writer.integer(i64::try_from(*keys).unwrap_or(i64::MAX)),
        Err(error) => write_store_error(error, &mut writer),
    }
    keys.is_ok()
}

/// `FLUSHALL [ASYNC | SYNC]` and `FLUSHDB`
pub(super) fn flush(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    match command.len() {
        1 => {}
        2 if is(command, 1, "async") || is(command, 1, "sync") => {}
        _ => return Err(SYNTAX),
    }
    write(Write::DeleteRange { cf: CF, start: Bytes::new(), end: None }, Render::Ok)
}

/// A list of keys that is asked for.
#[derive(Debug)]
pub(crate) struct KeyScan {
    /// Where to begin.
    start: Bytes,
    /// Which keys.
    pattern: Option<Bytes>,
    /// How many to look at; none: all, and the answer has no cursor.
    count: Option<usize>,
    /// Whether keys with strings are asked for; there are no others.
    strings: bool,
}

/// `KEYS pattern`
pub(super) fn keys(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let pattern = Some(kept(command, 1));
    Ok(Step::Scan(KeyScan { start: Bytes::new(), pattern, count: None, strings: true }))
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    const INVALID: Problem = Problem::Text("ERR invalid cursor");
    let cursor = std::str::from_utf8(&command[1]).ok().and_then(|text| text.parse().ok());
    let start = match cursor {
        None => return Err(INVALID),
        Some(0) => Bytes::new(),
        Some(cursor) => session.context.cursors.key(cursor).ok_or(INVALID)?,
    };
    let mut scan = KeyScan { start, pattern: None, count: Some(10), strings: true };
    let mut index = 2;
    while index < command.len() {
        if index + 1 == command.len() {
            return Err(SYNTAX);
        } else if is(command, index, "match") {
            scan.pattern = Some(kept(command, index + 1));
        } else if is(command, index, "count") {
            let count = parse_integer(&command[index + 1]).ok_or(NOT_INTEGER)?;
            let count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
            scan.count = Some(count.min(SCAN_KEYS_MAX));
        } else if is(command, index, "type") {
            scan.strings = is(command, index + 1, "string");
        } else {
            return Err(SYNTAX);
        }
        index += 2;
    }
    Ok(Step::Scan(scan))
}

/// Lists keys, and appends the answer. Gives whether it was no error.
pub(super) async fn run_scan(session: &Session<'_>, scan: KeyScan, output: &mut BytesMut) -> bool {
    let page = match find(session, &scan).await {
        Ok(page) => page,
        Err(error) => {
            write_store_error(&error, &mut Writer::new(output, session.version));
            return false;
        }
    };
    let cursor = match page.pairs.last() {
        Some((last, _)) if page.has_more => session.context.cursors.make(key_behind(last)),
        _ => 0,
    };
    let is_asked_for = |key: &Bytes| {
        scan.strings && scan.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, key))
    };
    let keys: Vec<&Bytes> =
        page.pairs.iter().map(|(key, _)| key).filter(|key| is_asked_for(key)).collect();
    let mut writer = Writer::new(output, session.version);
    if scan.count.is_some() {
        writer.array(2);
        writer.bulk(cursor.to_string().as_bytes());
    }
    writer.array(keys.len());
    keys.into_iter().for_each(|key| writer.bulk(key));
    true
}

/// The keys to look at.
async fn find(session: &Session<'_>, scan: &KeyScan) -> Result<Page, StoreError> {
    // Where the pattern begins with plain text, only keys that begin with it can match.
    let prefix = scan.pattern.as_ref().map(|pattern| glob::prefix(pattern)).unwrap_or_default();
    let start = scan.start.clone().max(Bytes::from(prefix.clone()));
    let range = Scan {
        cf: CF,
        start,
        end: end_of_prefix(prefix),
        direction: Direction::Forward,
        keys_only: true,
        pairs_max: scan.count.unwrap_or(usize::MAX),
        bytes_max: scan.count.map_or(usize::MAX, |_| SCAN_BYTES_MAX),
    };
    if range.start.len() > node::format::KEY_BYTES_MAX {
        return Ok(Page::default());
    }
    session.scan(range).await
}

/// The key after all keys with a prefix; none if there is no such key.
fn end_of_prefix(mut prefix: Vec<u8>) -> Option<Bytes> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix.into());
        }
    }
    None
}

/// The smallest key that is larger.
fn key_behind(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
