//! Commands as bytes, for the replicated log.
//!
//! What is proposed is either a client's chunk or a sweep, which names what has expired: every
//! replica then looks at the same keys, whatever it has written in one batch with them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::Cf;

use crate::{Chunk, Command, Condition, Expiry, Read, Time, When, Write};

/// What stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logged {
    /// Commands of a client.
    Chunk(Chunk),
    /// Entries of `Cf::Expiry` that were due when it was proposed.
    Sweep(Vec<Bytes>),
}

const CHUNK: u8 = 0;
const SWEEP: u8 = 1;
const ATOMIC_CHUNK: u8 = 2;

/// Writes a chunk.
///
/// ```text
/// +------+-------------------------------------------------------------------+
/// | kind | kind 0, a chunk: for each command op u8, cf u8, then its fields   |
/// | u8   | kind 1, a sweep: for each entry of the expiry family a byte string |
/// |      | kind 2, an atomic chunk: as kind 0                                |
/// +------+-------------------------------------------------------------------+
///  a byte string: length u32 BE, bytes        many: count u32 BE, each
///  an expiry: 0 never | 1 time u64 BE | 2 keep
///  a condition: 0 always | 1 absent | 2 present | 3 byte string
///  ops and fields: see `put_command`, in the order of the fields of the types
/// ```
#[must_use]
pub fn encode_chunk(chunk: &Chunk) -> Bytes {
    let bytes: usize = chunk.commands.iter().map(|it| it.bytes() + 32).sum();
    let mut out = BytesMut::with_capacity(1 + bytes);
    out.put_u8(if chunk.is_atomic { ATOMIC_CHUNK } else { CHUNK });
    for command in &chunk.commands {
        put_command(&mut out, command);
    }
    out.freeze()
}

/// Reads a chunk that [`encode_chunk`] wrote, as slices of it; none if it is none.
#[must_use]
pub fn decode_chunk(bytes: &Bytes) -> Option<Chunk> {
    match decode(bytes)? {
        Logged::Chunk(chunk) => Some(chunk),
        Logged::Sweep(_) => None,
    }
}

/// Writes a sweep.
pub(crate) fn encode_sweep(entries: &[Bytes]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(SWEEP);
    for entry in entries {
        put_bytes(&mut out, entry);
    }
    out.freeze()
}

/// Reads what was written; slices of it, no copies. None if it is nothing of this module's.
pub(crate) fn decode(logged: &Bytes) -> Option<Logged> {
    let mut rest = logged.clone();
    match rest.try_get_u8().ok()? {
        kind @ (CHUNK | ATOMIC_CHUNK) => {
            let mut commands = Vec::new();
            while !rest.is_empty() {
                commands.push(take_command(&mut rest)?);
            }
            Some(Logged::Chunk(Chunk { commands, is_atomic: kind == ATOMIC_CHUNK }))
        }
        SWEEP => {
            let mut entries = Vec::new();
            while !rest.is_empty() {
                entries.push(take_bytes(&mut rest)?);
            }
            Some(Logged::Sweep(entries))
        }
        _ => None,
    }
}

fn put_command(out: &mut BytesMut, command: &Command) {
    let mut head = |op: u8, cf: Cf| {
        out.put_u8(op);
        out.put_u8(cf as u8);
    };
    match command {
        Command::Read(Read::Get { cf, key }) => {
            head(0, *cf);
            put_bytes(out, key);
        }
        Command::Read(Read::GetMany { cf, keys }) => {
            head(1, *cf);
            put_many(out, keys);
        }
        Command::Read(Read::Exists { cf, keys }) => {
            head(2, *cf);
            put_many(out, keys);
        }
        Command::Read(Read::Ttl { cf, key }) => {
            head(3, *cf);
            put_bytes(out, key);
        }
        Command::Write(write) => put_write(out, write),
    }
}

fn put_write(out: &mut BytesMut, write: &Write) {
    let mut head = |op: u8, cf: Cf| {
        out.put_u8(op);
        out.put_u8(cf as u8);
    };
    match write {
        Write::Put { cf, key, value, expiry } => {
            head(16, *cf);
            put_bytes(out, key);
            put_bytes(out, value);
            put_expiry(out, *expiry);
        }
        Write::PutMany { cf, pairs, expiry } => {
            head(17, *cf);
            put_pairs(out, pairs);
            put_expiry(out, *expiry);
        }
        Write::PutManyIfAbsent { cf, pairs } => {
            head(18, *cf);
            put_pairs(out, pairs);
        }
        Write::PutIf { cf, key, value, expiry, condition } => {
            head(19, *cf);
            put_bytes(out, key);
            put_bytes(out, value);
            put_expiry(out, *expiry);
            put_condition(out, condition);
        }
        Write::Delete { cf, keys } => {
            head(20, *cf);
            put_many(out, keys);
        }
        Write::GetDelete { cf, key } => {
            head(21, *cf);
            put_bytes(out, key);
        }
        Write::DeleteRange { cf, start, end } => {
            head(22, *cf);
            put_bytes(out, start);
            out.put_u8(u8::from(end.is_some()));
            put_bytes(out, end.as_deref().unwrap_or_default());
        }
        change => put_change(out, change),
    }
}

/// Writes what changes a value or what is known of it; [`put_write`] writes the rest.
fn put_change(out: &mut BytesMut, write: &Write) {
    let mut head = |op: u8, cf: Cf| {
        out.put_u8(op);
        out.put_u8(cf as u8);
    };
    match write {
        Write::Put { .. }
        | Write::PutMany { .. }
        | Write::PutManyIfAbsent { .. }
        | Write::PutIf { .. }
        | Write::Delete { .. }
        | Write::GetDelete { .. }
        | Write::DeleteRange { .. } => unreachable!("put_write writes it"),
        Write::Add { cf, key, delta } => {
            head(23, *cf);
            put_bytes(out, key);
            out.put_i64(*delta);
        }
        Write::Append { cf, key, tail } => {
            head(24, *cf);
            put_bytes(out, key);
            put_bytes(out, tail);
        }
        Write::SetExpiry { cf, key, expiry, when } => {
            head(25, *cf);
            put_bytes(out, key);
            put_expiry(out, *expiry);
            let flags = [when.forever, when.expiring, when.later, when.earlier];
            out.put_u8(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
        }
        Write::GetSetExpiry { cf, key, expiry } => {
            head(26, *cf);
            put_bytes(out, key);
            put_expiry(out, *expiry);
        }
        Write::AddFloat { cf, key, delta } => {
            head(27, *cf);
            put_bytes(out, key);
            put_bytes(out, delta);
        }
        Write::SetRange { cf, key, offset, part } => {
            head(28, *cf);
            put_bytes(out, key);
            out.put_u64(*offset);
            put_bytes(out, part);
        }
        Write::SetBit { cf, key, offset, bit } => {
            head(29, *cf);
            put_bytes(out, key);
            out.put_u64(*offset);
            out.put_u8(u8::from(*bit));
        }
        Write::CopyKey { cf, from, to, replaces, moves } => {
            head(30, *cf);
            put_bytes(out, from);
            put_bytes(out, to);
            out.put_u8(u8::from(*replaces) | u8::from(*moves) << 1);
        }
    }
}

fn take_command(rest: &mut Bytes) -> Option<Command> {
    let op = rest.try_get_u8().ok()?;
    let cf = Cf::from_number(rest.try_get_u8().ok()?)?;
    let command = match op {
        0 => Read::Get { cf, key: take_bytes(rest)? }.into(),
        1 => Read::GetMany { cf, keys: take_many(rest)? }.into(),
        2 => Read::Exists { cf, keys: take_many(rest)? }.into(),
        3 => Read::Ttl { cf, key: take_bytes(rest)? }.into(),
        _ => take_write(op, cf, rest)?.into(),
    };
    Some(command)
}

fn take_write(op: u8, cf: Cf, rest: &mut Bytes) -> Option<Write> {
    Some(match op {
        16 => {
            let (key, value) = (take_bytes(rest)?, take_bytes(rest)?);
            Write::Put { cf, key, value, expiry: take_expiry(rest)? }
        }
        17 => Write::PutMany { cf, pairs: take_pairs(rest)?, expiry: take_expiry(rest)? },
        18 => Write::PutManyIfAbsent { cf, pairs: take_pairs(rest)? },
        19 => {
            let (key, value) = (take_bytes(rest)?, take_bytes(rest)?);
            let (expiry, condition) = (take_expiry(rest)?, take_condition(rest)?);
            Write::PutIf { cf, key, value, expiry, condition }
        }
        20 => Write::Delete { cf, keys: take_many(rest)? },
        21 => Write::GetDelete { cf, key: take_bytes(rest)? },
        22 => {
            let start = take_bytes(rest)?;
            let is_bound = rest.try_get_u8().ok()? == 1;
            let end = take_bytes(rest)?;
            Write::DeleteRange { cf, start, end: is_bound.then_some(end) }
        }
        23 => Write::Add { cf, key: take_bytes(rest)?, delta: rest.try_get_i64().ok()? },
        24 => Write::Append { cf, key: take_bytes(rest)?, tail: take_bytes(rest)? },
        25 => {
            let (key, expiry) = (take_bytes(rest)?, take_expiry(rest)?);
            let bits = rest.try_get_u8().ok()?;
            let flag = |at: u8| bits & 1 << at != 0;
            let (forever, expiring, later, earlier) = (flag(0), flag(1), flag(2), flag(3));
            Write::SetExpiry { cf, key, expiry, when: When { forever, expiring, later, earlier } }
        }
        26 => Write::GetSetExpiry { cf, key: take_bytes(rest)?, expiry: take_expiry(rest)? },
        27 => Write::AddFloat { cf, key: take_bytes(rest)?, delta: take_bytes(rest)? },
        28 => {
            let (key, offset) = (take_bytes(rest)?, rest.try_get_u64().ok()?);
            Write::SetRange { cf, key, offset, part: take_bytes(rest)? }
        }
        29 => {
            let (key, offset) = (take_bytes(rest)?, rest.try_get_u64().ok()?);
            Write::SetBit { cf, key, offset, bit: rest.try_get_u8().ok()? == 1 }
        }
        30 => {
            let (from, to, bits) = (take_bytes(rest)?, take_bytes(rest)?, rest.try_get_u8().ok()?);
            Write::CopyKey { cf, from, to, replaces: bits & 1 != 0, moves: bits & 2 != 0 }
        }
        _ => return None,
    })
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).expect("keys and values are below 4 GiB"));
    out.put_slice(bytes);
}

fn take_bytes(rest: &mut Bytes) -> Option<Bytes> {
    let length = rest.try_get_u32().ok()? as usize;
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u32(u32::try_from(count).expect("there are below 2^32 keys in memory"));
}

fn put_many(out: &mut BytesMut, keys: &[Bytes]) {
    put_count(out, keys.len());
    for key in keys {
        put_bytes(out, key);
    }
}

fn take_many(rest: &mut Bytes) -> Option<Vec<Bytes>> {
    let count = rest.try_get_u32().ok()?;
    (0..count).map(|_| take_bytes(rest)).collect()
}

fn put_pairs(out: &mut BytesMut, pairs: &[(Bytes, Bytes)]) {
    put_count(out, pairs.len());
    for (key, value) in pairs {
        put_bytes(out, key);
        put_bytes(out, value);
    }
}

fn take_pairs(rest: &mut Bytes) -> Option<Vec<(Bytes, Bytes)>> {
    let count = rest.try_get_u32().ok()?;
    (0..count).map(|_| Some((take_bytes(rest)?, take_bytes(rest)?))).collect()
}

fn put_expiry(out: &mut BytesMut, expiry: Expiry) {
    match expiry {
        Expiry::Never => out.put_u8(0),
        Expiry::At(Time(ms)) => {
            out.put_u8(1);
            out.put_u64(ms);
        }
        Expiry::Keep => out.put_u8(2),
    }
}

fn take_expiry(rest: &mut Bytes) -> Option<Expiry> {
    Some(match rest.try_get_u8().ok()? {
        0 => Expiry::Never,
        1 => Expiry::At(Time(rest.try_get_u64().ok()?)),
        2 => Expiry::Keep,
        _ => return None,
    })
}

fn put_condition(out: &mut BytesMut, condition: &Condition) {
    match condition {
        Condition::Always => out.put_u8(0),
        Condition::Absent => out.put_u8(1),
        Condition::Present => out.put_u8(2),
        Condition::Equals(value) => {
            out.put_u8(3);
            put_bytes(out, value);
        }
    }
}

fn take_condition(rest: &mut Bytes) -> Option<Condition> {
    Some(match rest.try_get_u8().ok()? {
        0 => Condition::Always,
        1 => Condition::Absent,
        2 => Condition::Present,
        3 => Condition::Equals(take_bytes(rest)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Vec<Command> {
        let cf = Cf::Write;
        let key = || Bytes::from_static(b"key");
        let value = || Bytes::from_static(b"value");
        let expiry = Expiry::At(Time(77));
        let pairs = || vec![(key(), value()), (Bytes::new(), Bytes::new())];
        let when = When { forever: true, expiring: false, later: true, earlier: false };
        vec![
            Read::Get { cf, key: key() }.into(),
            Read::GetMany { cf, keys: vec![key(), Bytes::new()] }.into(),
            Read::Exists { cf, keys: vec![] }.into(),
            Read::Ttl { cf, key: key() }.into(),
            Write::Put { cf, key: key(), value: value(), expiry }.into(),
            Write::PutMany { cf, pairs: pairs(), expiry: Expiry::Keep }.into(),
            Write::PutManyIfAbsent { cf, pairs: pairs() }.into(),
            Write::PutIf {
                cf,
                key: key(),
                value: value(),
                expiry: Expiry::Never,
                condition: Condition::Equals(value()),
            }
            .into(),
            Write::Delete { cf, keys: vec![key()] }.into(),
            Write::GetDelete { cf, key: key() }.into(),
            Write::DeleteRange { cf, start: key(), end: Some(value()) }.into(),
            Write::DeleteRange { cf, start: key(), end: None }.into(),
            Write::Add { cf, key: key(), delta: -9 }.into(),
            Write::Append { cf, key: key(), tail: value() }.into(),
            Write::SetExpiry { cf, key: key(), expiry, when }.into(),
            Write::GetSetExpiry { cf, key: key(), expiry }.into(),
            Write::AddFloat { cf, key: key(), delta: value() }.into(),
            Write::SetRange { cf, key: key(), offset: 5, part: value() }.into(),
            Write::SetBit { cf, key: key(), offset: 1 << 40, bit: true }.into(),
            Write::CopyKey { cf, from: key(), to: value(), replaces: false, moves: true }.into(),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for is_atomic in [false, true] {
            let chunk = Chunk { commands: commands(), is_atomic };
            assert_eq!(decode(&encode_chunk(&chunk)), Some(Logged::Chunk(chunk)));
        }
        let sweep = vec![Bytes::from_static(b"an entry"), Bytes::new()];
        assert_eq!(decode(&encode_sweep(&sweep)), Some(Logged::Sweep(sweep)));
    }

    #[test]
    fn no_cut_or_changed_bytes_panic() {
        let bytes = encode_chunk(&Chunk::from(commands()));
        for len in 0..bytes.len() {
            let _ = decode(&bytes.slice(..len));
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << bit;
                let _ = decode(&changed.into());
            }
        }
    }
}
