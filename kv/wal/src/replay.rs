//! What a log did, in the order in which it did it: [`replay`].

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::dir::Dir;
use crate::entry::WalEntry;
use crate::error::{Error, Result};
use crate::fs::{File, Fs};
use crate::id::{GroupId, Lsn};
use crate::options::Options;
use crate::reader::unpack;
use crate::record::{Item, Run, RunKind, entry_crc};
use crate::recovery::{RecoveryReport, index_of, judge_all};
use crate::wal::lock_existing;

/// One thing that a log did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed<E> {
    /// Wrote an entry.
    Entry {
        /// Its group.
        group: GroupId,
        /// Its index.
        index: u64,
        /// Its term.
        term: u64,
        /// `None` if it is damaged.
        entry: Option<E>,
        /// Whether it only moved, or was put back by its owner. Otherwise what the group had from
        /// this index on is gone.
        again: bool,
    },
    /// Set a key.
    Put {
        /// The key's group.
        group: GroupId,
        /// The key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Removed a key.
    Delete {
        /// The key's group.
        group: GroupId,
        /// The key.
        key: Vec<u8>,
    },
    /// Removed the entries below `to`.
    Compact {
        /// The group.
        group: GroupId,
        /// The first index that is left.
        to: u64,
    },
    /// Removed a group.
    Clean {
        /// The group.
        group: GroupId,
    },
}

/// Tells everything that is still in the segments of a log that nobody has open, block by block,
/// until `visit` breaks off. Changes nothing. What was purged is not there any more, so that the
/// first things told may be about groups that were there before.
///
/// # Errors
/// As [`crate::Wal::open`]; [`Error::NoLog`]; [`Error::Entry`] if the entry's type refuses bytes.
pub fn replay<E: WalEntry>(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: &Options,
    mut visit: impl FnMut(Lsn, Replayed<E>) -> ControlFlow<()>,
) -> Result<RecoveryReport> {
    options.validate()?;
    let dir = Dir { fs, path: dir.to_owned() };
    let (ids, _lock) = lock_existing(&dir)?;
    let (scans, mut kept, _) = judge_all(&dir, options, &ids, &[])?;
    index_of(&scans, &mut kept);
    'blocks: for (lsn, block) in &kept.blocks {
        let scan = scans.iter().find(|scan| scan.segment.id.seq == block.seq);
        let file = &scan.expect("each block is of a segment").segment.file;
        let mut payload = block.header.payload_offset();
        for item in block.items.iter() {
            if let Item::Run(run) = item {
                for told in read_run(&**file, block.header.uid, run, payload)? {
                    if visit(*lsn, told).is_break() {
                        break 'blocks;
                    }
                }
                payload += run.payload_len();
            } else if let Some(told) = small(item)
                && visit(*lsn, told).is_break()
            {
                break 'blocks;
            }
        }
    }
    Ok(kept.report)
}

/// What an item without entries does; `None` for those that are the log's own.
fn small<E>(item: &Item) -> Option<Replayed<E>> {
    Some(match item {
        Item::Put { group, key, value } => {
            Replayed::Put { group: *group, key: key.clone(), value: value.clone() }
        }
        Item::Delete { group, key } => Replayed::Delete { group: *group, key: key.clone() },
        Item::Compact { group, to } => Replayed::Compact { group: *group, to: *to },
        Item::Clean { group } => Replayed::Clean { group: *group },
        Item::Run(_)
        | Item::Start(_)
        | Item::PurgedTo { .. }
        | Item::GaveUp { .. }
        | Item::Note(_) => return None,
    })
}

/// The entries of a run whose payload starts at an offset of the file.
fn read_run<E: WalEntry>(
    file: &dyn File,
    uid: u64,
    run: &Run,
    payload: u64,
) -> Result<Vec<Replayed<E>>> {
    let group = run.group;
    let mut told = Vec::with_capacity(run.entries.len());
    for (index, term, at, stored) in run.placed(payload) {
        let mut bytes = vec![0; stored.len as usize];
        let good = run.kind != RunKind::Faulty
            && file.read_exact_at(&mut bytes, at).is_ok()
            && entry_crc(uid, group, index, &bytes) == stored.crc;
        let plain = if stored.lz4 { unpack(&bytes) } else { Some(bytes) };
        let entry = plain.filter(|_| good).map(|bytes| E::decode(&bytes)).transpose();
        let entry = entry.map_err(|source| Error::Entry { group, index, source })?;
        let again = run.kind != RunKind::Append;
        told.push(Replayed::Entry { group, index, term, entry, again });
    }
    Ok(told)
}
