//! A log as it should be: maps in memory, and operations at random on both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use tinykv_wal::{
    Durability, Error, Fs, GroupId, LogBatch, Options, RawEntry, RecoveryReport, Result, Wal,
};

/// The folder of every test's log.
pub(crate) const DIR: &str = "wal";

/// Small segments, so that few operations fill several.
pub(crate) fn options() -> Options {
    Options {
        store_id: 7,
        segment_bytes: 32 << 10,
        block_align: 512,
        pool_segments: 1,
        recovery_threads: 1,
        cache_bytes: 2 << 10,
        compress_bytes_min: Some(256),
        purge_bytes: 80 << 10,
        straggler_bytes_max: 2 << 10,
        rewrite_bytes_max: 16 << 10,
        ..Options::default()
    }
}

pub(crate) fn open(
    fs: &(impl Fs + Clone),
    options: &Options,
) -> Result<(Wal<RawEntry>, RecoveryReport)> {
    Wal::open(Arc::new(fs.clone()), Path::new(DIR), options.clone())
}

pub(crate) fn entry(index: u64, term: u64, data: impl Into<Vec<u8>>) -> RawEntry {
    RawEntry { index, term, data: data.into() }
}

/// One group of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelGroup {
    pub(crate) entries: BTreeMap<u64, RawEntry>,
    pub(crate) keys: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a log should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) groups: BTreeMap<u64, ModelGroup>,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Append(u64, Vec<RawEntry>),
    Put(u64, Vec<u8>, Vec<u8>),
    Delete(u64, Vec<u8>),
    Compact(u64, u64),
    Clean(u64),
}

impl Model {
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Append(id, entries) => {
                let group = self.groups.entry(*id).or_default();
                group.entries.split_off(&entries[0].index);
                group.entries.extend(entries.iter().map(|entry| (entry.index, entry.clone())));
            }
            Change::Put(id, key, value) => {
                self.groups.entry(*id).or_default().keys.insert(key.clone(), value.clone());
            }
            Change::Delete(id, key) => {
                self.groups.entry(*id).or_default().keys.remove(key);
            }
            Change::Compact(id, to) => {
                let group = self.groups.entry(*id).or_default();
                group.entries = group.entries.split_off(to);
            }
            Change::Clean(id) => {
                self.groups.remove(id);
            }
        }
        self.groups.retain(|_, group| !group.entries.is_empty() || !group.keys.is_empty());
    }

    /// A change that the log must accept.
    pub(crate) fn random(&self, rng: &mut StdRng, groups: u64, data_max: usize) -> Change {
        let id = rng.random_range(1..=groups);
        let empty = ModelGroup::default();
        let group = self.groups.get(&id).unwrap_or(&empty);
        let first = group.entries.keys().next().copied();
        let last = group.entries.keys().next_back().copied();
        match rng.random_range(0..100) {
            0..60 => {
                let start = match (first, last) {
                    (Some(first), Some(last)) if rng.random_range(0..5) == 0 => {
                        rng.random_range(first..=last + 1)
                    }
                    (_, Some(last)) => last + 1,
                    _ => rng.random_range(1..20),
                };
                let term = group.entries.values().map(|entry| entry.term).max().unwrap_or(1)
                    + u64::from(rng.random_range(0..4) == 0);
                let count = rng.random_range(1..4);
                let entries = (start..start + count).map(|index| {
                    let mut data = vec![0; rng.random_range(0..=data_max)];
                    if rng.random_range(0..2) == 0 {
                        rng.fill_bytes(&mut data);
                    }
                    entry(index, term, data)
                });
                Change::Append(id, entries.collect())
            }
            60..75 => {
                let key = vec![rng.random_range(0..4)];
                let mut value = vec![0; rng.random_range(0..60)];
                rng.fill_bytes(&mut value);
                Change::Put(id, key, value)
            }
            75..80 => Change::Delete(id, vec![rng.random_range(0..4)]),
            80..96 => {
                let low = first.unwrap_or(1);
                let high = last.unwrap_or(low);
                let to = if rng.random_range(0..3) == 0 {
                    high + rng.random_range(0..4)
                } else {
                    rng.random_range(low..=high)
                };
                Change::Compact(id, to)
            }
            _ => Change::Clean(id),
        }
    }

    /// Demands that the log holds this and nothing else.
    pub(crate) fn compare(&self, wal: &Wal<RawEntry>) -> std::result::Result<(), String> {
        let ids: Vec<u64> = self.groups.keys().copied().collect();
        let found: Vec<u64> = wal.groups().into_iter().map(|group| group.0).collect();
        if ids != found {
            return Err(format!("groups are {found:?}, not {ids:?}"));
        }
        for (id, group) in &self.groups {
            let id = GroupId(*id);
            let first = group.entries.keys().next().copied();
            let last = group.entries.keys().next_back().copied();
            if (first, last) != (wal.first_index(id), wal.last_index(id)) {
                let found = (wal.first_index(id), wal.last_index(id));
                return Err(format!("{id} spans {found:?}, not {:?}", (first, last)));
            }
            if let (Some(first), Some(last)) = (first, last) {
                let wanted: Vec<RawEntry> = group.entries.values().cloned().collect();
                let found = wal.fetch(id, first..last + 1, u64::MAX).map_err(|e| e.to_string())?;
                if wanted != found {
                    return Err(format!("{id} has other entries"));
                }
                let terms = wanted.iter().map(|entry| (entry.index, entry.term));
                for (index, term) in terms {
                    if wal.term(id, index) != Some(term) {
                        return Err(format!("{id}, index {index}: another term"));
                    }
                }
            }
            let keys: Vec<(Vec<u8>, Vec<u8>)> = group.keys.clone().into_iter().collect();
            if wal.keys(id) != keys {
                return Err(format!("{id} has other keys"));
            }
        }
        Ok(())
    }
}

/// Makes a batch of changes.
pub(crate) fn batch(changes: &[Change]) -> LogBatch<RawEntry> {
    let mut batch = LogBatch::new();
    for change in changes {
        match change {
            Change::Append(id, entries) => batch.append(GroupId(*id), entries).unwrap(),
            Change::Put(id, key, value) => batch.put(GroupId(*id), key.clone(), value.clone()),
            Change::Delete(id, key) => batch.delete(GroupId(*id), key.clone()),
            Change::Compact(id, to) => batch.compact_to(GroupId(*id), *to),
            Change::Clean(id) => batch.clean(GroupId(*id)),
        }
    }
    batch
}

/// Changes that fit after each other; the model has them afterwards.
pub(crate) fn changes(
    model: &mut Model,
    rng: &mut StdRng,
    count: usize,
    groups: u64,
    data_max: usize,
) -> Vec<Change> {
    let mut made: Vec<Change> = Vec::new();
    while made.len() < count {
        let change = model.random(rng, groups, data_max);
        // Two appends in a row to one group have to follow each other.
        if let (Some(Change::Append(a, _)), Change::Append(b, _)) = (made.last(), &change)
            && a == b
        {
            continue;
        }
        model.apply(&change);
        made.push(change);
    }
    made
}

/// Writes and, where the log refuses for lack of space, says so.
pub(crate) fn write(
    wal: &mut Wal<RawEntry>,
    changes: &[Change],
    durability: Durability,
) -> std::result::Result<(), Error> {
    wal.write(batch(changes), durability).map(|_| ())
}

/// The seed of a random test: from the environment, or this one.
pub(crate) fn seed(usual: u64) -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual)
}
