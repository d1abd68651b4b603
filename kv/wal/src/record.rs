//! The items of a block: what a batch does, without the entries' bytes.
//!
//! Items are small and hold everything that recovery needs: which entries of which group, their
//! terms, lengths and checksums, and key-values whole. They stand in the block's index, and once
//! more in the mirror of a later block (see [`crate::mirror`]), so that one bad sector never takes
//! both what was written and the knowledge of what it was.

use crate::codec::{Reader, put_bytes, put_varint};
use crate::id::{GroupId, Lsn};

/// One entry's bytes in the payload of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Bytes in the payload, below 1 GiB.
    pub(crate) len: u32,
    /// CRC-32C of those bytes after [`salt`]; 0 until the block is formed.
    pub(crate) crc: u32,
    /// Whether they are LZ4.
    pub(crate) lz4: bool,
}

/// So many entries in a row have this term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TermCount {
    pub(crate) term: u64,
    /// At least 1.
    pub(crate) count: u64,
}

/// What a run of entries is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// New entries; what the group had from the first index on is gone.
    Append,
    /// Entries that the group has, in a new place. Nothing else changes.
    Rewrite,
    /// Entries that the group has and whose bytes are lost. There is no payload.
    Faulty,
}

/// Entries of a group that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) kind: RunKind,
    pub(crate) group: GroupId,
    /// The index of the first one.
    pub(crate) first: u64,
    /// Together as many as `entries`.
    pub(crate) terms: Vec<TermCount>,
    /// At least one, in the order of the payload.
    pub(crate) entries: Vec<Stored>,
}

/// The first item of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The segment of the block before; 0 if there is none.
    pub(crate) prev_seq: u32,
    /// Its uid.
    pub(crate) prev_uid: u64,
    /// The lowest segment that was not purged.
    pub(crate) first_seq: u32,
}

/// Says of entries that were found damaged, so that every later start looks at them again. It is
/// about the entries that stand there when it is read: what replaces or removes them ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) group: GroupId,
    /// The index of the first one.
    pub(crate) first: u64,
    /// How many follow each other; at least 1.
    pub(crate) count: u64,
    /// The term of all of them.
    pub(crate) term: u64,
    /// Whether they were durable before; otherwise they may never have been acknowledged.
    pub(crate) durable: bool,
}

/// One thing that a block does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Entries.
    Run(Run),
    /// Sets a key of a group.
    Put { group: GroupId, key: Vec<u8>, value: Vec<u8> },
    /// Removes a key of a group.
    Delete { group: GroupId, key: Vec<u8> },
    /// Removes the entries below an index.
    Compact { group: GroupId, to: u64 },
    /// Removes all of a group.
    Clean { group: GroupId },
    /// Starts a segment.
    Start(Start),
    /// Segments below this one are not needed.
    PurgedTo { seq: u32 },
    /// The user gave these blocks up: they were durable and are lost.
    GaveUp { first: Lsn, last: Lsn },
    /// Entries were found damaged.
    Note(Note),
}

const APPEND: u8 = 1;
const REWRITE: u8 = 2;
const FAULTY: u8 = 3;
const PUT: u8 = 4;
const DELETE: u8 = 5;
const COMPACT: u8 = 6;
const CLEAN: u8 = 7;
const START: u8 = 8;
const PURGED_TO: u8 = 9;
const GAVE_UP: u8 = 10;
const NOTE: u8 = 11;

/// An upper bound of an encoded [`Note`]: its kind and four varints.
pub(crate) const NOTE_BYTES_MAX: usize = 41;

/// What an entry's checksum starts from: where it belongs. Bytes of another segment, group or
/// index, however intact, then never verify.
pub(crate) fn salt(uid: u64, group: GroupId, index: u64) -> u32 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&uid.to_le_bytes());
    bytes[8..16].copy_from_slice(&group.0.to_le_bytes());
    bytes[16..].copy_from_slice(&index.to_le_bytes());
    crc32c::crc32c(&bytes)
}

/// The checksum of an entry's stored bytes.
pub(crate) fn entry_crc(uid: u64, group: GroupId, index: u64, stored: &[u8]) -> u32 {
    crc32c::crc32c_append(salt(uid, group, index), stored)
}

impl Run {
    /// Appends one entry.
    pub(crate) fn push(&mut self, term: u64, stored: Stored) {
        match self.terms.last_mut() {
            Some(last) if last.term == term => last.count += 1,
            _ => self.terms.push(TermCount { term, count: 1 }),
        }
        self.entries.push(stored);
    }

    /// The index after the last one.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Each entry's index, term and place in the payload, which the run starts at `offset` in.
    pub(crate) fn placed(&self, offset: u64) -> impl Iterator<Item = (u64, u64, u64, Stored)> + '_ {
        let terms =
            self.terms.iter().flat_map(|run| std::iter::repeat_n(run.term, run.count as usize));
        let mut at = offset;
        self.entries.iter().zip(terms).zip(self.first..).map(move |((stored, term), index)| {
            let start = at;
            at += u64::from(stored.len);
            (index, term, start, *stored)
        })
    }

    /// The bytes of all entries.
    pub(crate) fn payload_len(&self) -> u64 {
        self.entries.iter().map(|stored| u64::from(stored.len)).sum()
    }
}

impl Item {
    /// An upper bound of the encoded length.
    pub(crate) fn encoded_len_max(&self) -> usize {
        match self {
            Item::Run(run) => 40 + 20 * run.terms.len() + 9 * run.entries.len(),
            Item::Put { key, value, .. } => 32 + key.len() + value.len(),
            Item::Delete { key, .. } => 24 + key.len(),
            Item::Note(_) => NOTE_BYTES_MAX,
            _ => 40,
        }
    }

    // An item, integers are varints unless a width is given:
    //
    //   kind u8, then
    //   1 append, 2 rewrite, 3 faulty:
    //       group | first index | number of term runs | (term | count)* | (len << 1 | lz4 | crc u32)*
    //       as many of the last as the counts add up to; their bytes follow each other in the
    //       payload, in the order of the items
    //       where lz4 is 1, these are the plain length (u32) and an LZ4 block
    //   4 put:      group | key length | key | value length | value
    //   5 delete:   group | key length | key
    //   6 compact:  group | index
    //   7 clean:    group
    //   8 start:    previous segment | its uid u64 | lowest segment not purged
    //   9 purged:   segment
    //  10 gave up:  first lsn | last lsn
    //  11 note:     group | first index | count << 1 | durable | term
    //       these entries were found damaged; it changes nothing else
    pub(crate) fn encode(&self, buf: &mut Vec<u8>) {
        match self {
            Item::Run(run) => encode_run(run, buf),
            Item::Put { group, key, value } => {
                buf.push(PUT);
                put_varint(buf, group.0);
                put_bytes(buf, key);
                put_bytes(buf, value);
            }
            Item::Delete { group, key } => {
                buf.push(DELETE);
                put_varint(buf, group.0);
                put_bytes(buf, key);
            }
            Item::Compact { group, to } => {
                buf.push(COMPACT);
                put_varint(buf, group.0);
                put_varint(buf, *to);
            }
            Item::Clean { group } => {
                buf.push(CLEAN);
                put_varint(buf, group.0);
            }
            Item::Start(start) => {
                buf.push(START);
                put_varint(buf, u64::from(start.prev_seq));
                buf.extend_from_slice(&start.prev_uid.to_le_bytes());
                put_varint(buf, u64::from(start.first_seq));
            }
            Item::PurgedTo { seq } => {
                buf.push(PURGED_TO);
                put_varint(buf, u64::from(*seq));
            }
            Item::GaveUp { first, last } => {
                buf.push(GAVE_UP);
                put_varint(buf, first.0);
                put_varint(buf, last.0);
            }
            Item::Note(note) => {
                buf.push(NOTE);
                put_varint(buf, note.group.0);
                put_varint(buf, note.first);
                put_varint(buf, note.count << 1 | u64::from(note.durable));
                put_varint(buf, note.term);
            }
        }
    }

    /// Reads one item; `None` where the bytes are none.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Item> {
        let kind = reader.u8()?;
        if let Some(kind) = run_kind(kind) {
            return decode_run(kind, reader).map(Item::Run);
        }
        Some(match kind {
            PUT => Item::Put {
                group: GroupId(reader.varint()?),
                key: reader.bytes()?.to_vec(),
                value: reader.bytes()?.to_vec(),
            },
            DELETE => {
                Item::Delete { group: GroupId(reader.varint()?), key: reader.bytes()?.to_vec() }
            }
            COMPACT => Item::Compact { group: GroupId(reader.varint()?), to: reader.varint()? },
            CLEAN => Item::Clean { group: GroupId(reader.varint()?) },
            START => Item::Start(Start {
                prev_seq: u32::try_from(reader.varint()?).ok()?,
                prev_uid: reader.u64()?,
                first_seq: u32::try_from(reader.varint()?).ok()?,
            }),
            PURGED_TO => Item::PurgedTo { seq: u32::try_from(reader.varint()?).ok()? },
            GAVE_UP => Item::GaveUp { first: Lsn(reader.varint()?), last: Lsn(reader.varint()?) },
            NOTE => Item::Note(decode_note(reader)?),
            _ => return None,
        })
    }
}

fn run_kind(kind: u8) -> Option<RunKind> {
    match kind {
        APPEND => Some(RunKind::Append),
        REWRITE => Some(RunKind::Rewrite),
        FAULTY => Some(RunKind::Faulty),
        _ => None,
    }
}

fn decode_note(reader: &mut Reader<'_>) -> Option<Note> {
    let (group, first) = (GroupId(reader.varint()?), reader.varint()?);
    let (count, term) = (reader.varint()?, reader.varint()?);
    let note = Note { group, first, count: count >> 1, term, durable: count & 1 == 1 };
    (note.count > 0 && first.checked_add(note.count).is_some()).then_some(note)
}

fn encode_run(run: &Run, buf: &mut Vec<u8>) {
    buf.push(match run.kind {
        RunKind::Append => APPEND,
        RunKind::Rewrite => REWRITE,
        RunKind::Faulty => FAULTY,
    });
    put_varint(buf, run.group.0);
    put_varint(buf, run.first);
    put_varint(buf, run.terms.len() as u64);
    for terms in &run.terms {
        put_varint(buf, terms.term);
        put_varint(buf, terms.count);
    }
    for stored in &run.entries {
        put_varint(buf, u64::from(stored.len) << 1 | u64::from(stored.lz4));
        buf.extend_from_slice(&stored.crc.to_le_bytes());
    }
}

fn decode_run(kind: RunKind, reader: &mut Reader<'_>) -> Option<Run> {
    let group = GroupId(reader.varint()?);
    let first = reader.varint()?;
    let mut total = 0_u64;
    let mut terms = Vec::new();
    for _ in 0..reader.count(2)? {
        let run = TermCount { term: reader.varint()?, count: reader.varint()? };
        total = total.checked_add(run.count)?;
        if run.count == 0 {
            return None;
        }
        terms.push(run);
    }
    first.checked_add(total)?;
    // Each takes at least five bytes, so that this is no more than the bytes justify.
    let entries_max = (reader.len() / 5).min(usize::try_from(total).ok()?);
    let mut entries = Vec::with_capacity(entries_max);
    for _ in 0..total {
        // Ends at the first entry that is not there, whatever the counts claim.
        let len = reader.varint()?;
        let stored =
            Stored { len: u32::try_from(len >> 1).ok()?, lz4: len & 1 == 1, crc: reader.u32()? };
        entries.push(stored);
    }
    (!entries.is_empty()).then_some(Run { kind, group, first, terms, entries })
}
