//! A small bitcask, opened and looked into.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tinykv_engine::bitcask::{self, Bitcask, Options};
use tinykv_engine::{Batch, Cf, Direction, Durability, Engine, Error, Range, Result, View, Write};
use wal::Fs;

/// The data folder.
pub(crate) const FOLDER: &str = "data";

/// Segments of few sectors, no threads of its own, no cache that would hide what is on disk.
pub(crate) fn small() -> Options {
    Options {
        uid: 7,
        segment_bytes: 4096,
        allocate_bytes: 1024,
        reserve_bytes: 512,
        cache_bytes: 0,
        merge_slice_bytes: 1024,
        background: false,
        ..Options::default()
    }
}

/// Opens the small bitcask of a file system.
pub(crate) fn open(fs: Arc<dyn Fs>) -> Result<Bitcask> {
    bitcask::open(fs, FOLDER, small())
}

/// Does the work of the background now.
pub(crate) fn maintain(engine: &Bitcask) -> Result<()> {
    for _ in 0..10_000 {
        if !engine.merge_step()? {
            return Ok(());
        }
    }
    panic!("merging does not come to an end");
}

/// A number from the environment, or the usual one.
pub(crate) fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// All that an engine holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content(BTreeMap<(Cf, Vec<u8>), Vec<u8>>);

impl Content {
    /// Reads everything, three ways.
    ///
    /// # Panics
    /// If the ways do not agree.
    pub(crate) fn read(engine: &dyn Engine) -> Result<Content> {
        let view = engine.view()?;
        let content = Content::read_view(&*view)?;
        for ((cf, key), value) in &content.0 {
            assert_eq!(engine.get(*cf, key)?.as_deref(), Some(&value[..]), "{cf} {key:?}");
        }
        Ok(content)
    }

    pub(crate) fn read_view(view: &dyn View) -> Result<Content> {
        let mut content = BTreeMap::new();
        for cf in Cf::ALL {
            let mut keys = Vec::new();
            for pair in view.iter(cf, Range::all(), Direction::Forward) {
                let (key, value) = pair?;
                assert_eq!(view.get(cf, &key)?.as_ref(), Some(&value), "{cf} {key:?}");
                keys.push(key.clone());
                content.insert((cf, key.to_vec()), value.to_vec());
            }
            keys.reverse();
            let backward: Result<Vec<_>> =
                view.keys(cf, Range::all(), Direction::Backward).collect();
            assert_eq!(backward?, keys, "{cf} backward");
        }
        Ok(Content(content))
    }

    pub(crate) fn apply(&mut self, batch: &Batch) {
        for write in batch.writes() {
            match write {
                Write::Put { cf, key, value } => {
                    self.0.insert((*cf, key.to_vec()), value.to_vec());
                }
                Write::Delete { cf, key } => {
                    self.0.remove(&(*cf, key.to_vec()));
                }
                Write::DeleteRange { cf, range } => {
                    self.0.retain(|(other, key), _| other != cf || !range.contains(key));
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Cf, &[u8], &[u8])> {
        self.0.iter().map(|((cf, key), value)| (*cf, &key[..], &value[..]))
    }

    pub(crate) fn get(&self, cf: Cf, key: &[u8]) -> Option<&[u8]> {
        self.0.get(&(cf, key.to_vec())).map(|value| &value[..])
    }
}

/// One put into the default column family.
pub(crate) fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Batch {
    let mut batch = Batch::new();
    batch.put(Cf::Default, key.into(), value.into());
    batch
}

/// One delete from the default column family.
pub(crate) fn delete(key: impl Into<String>) -> Batch {
    let mut batch = Batch::new();
    batch.delete(Cf::Default, key.into());
    batch
}

/// Writes, durably.
pub(crate) fn write(engine: &dyn Engine, batch: &Batch) {
    engine.write(batch.clone(), Durability::Always).unwrap();
}

/// The file that an error is about; none for errors that are not about a file.
pub(crate) fn file_of(error: &Error) -> Option<PathBuf> {
    match error {
        Error::Corrupt { file, .. } | Error::Io { file, .. } | Error::DiskFull { file, .. } => {
            Some(file.clone())
        }
        _ => None,
    }
}
