//! The storage backends under comparison: the one list that a new backend joins.
//!
//! A backend is a file in `backend/` with a type that implements [`engine::Engine`], and one line
//! in [`all`].

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use engine::{Batch, Cf, Engine, Range, Write};

use crate::level::Level;

mod bitcask;
mod fjall;
mod memory;
mod periodic;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sled;

/// What a backend is told when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The durability of the writes to come, for engines that must know it beforehand.
    pub level: Level,
    /// Bytes that the engine may use to cache data.
    pub cache_bytes: usize,
}

/// Opens a backend's store in a folder.
type Open = fn(&Path, Settings) -> anyhow::Result<Arc<dyn Engine>>;

/// In which comparisons a caveat matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matters {
    /// In all.
    Always,
    /// In those of writes that are synced: at `per-write` and `per-batch`.
    Synced,
    /// In those of writes at the level `interval`.
    Interval,
    /// In those of writes at the level `none`.
    Never,
    /// In those of writes, at any level.
    Writes,
    /// In those of space.
    Space,
}

impl Matters {
    /// Whether it does where this is asked, at this level if writes are.
    fn here(self, question: &str, level: Option<Level>) -> bool {
        match self {
            Matters::Always => true,
            Matters::Synced => matches!(level, Some(Level::PerWrite | Level::PerBatch)),
            Matters::Interval => level == Some(Level::Interval),
            Matters::Never => level == Some(Level::None),
            Matters::Writes => level.is_some(),
            Matters::Space => question == SPACE,
        }
    }
}

/// The question about space.
pub const SPACE: &str = "space amplification";

/// Something that a backend cannot promise of what the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caveat {
    /// Where it matters.
    pub matters: Matters,
    /// What it is.
    pub text: &'static str,
}

impl Caveat {
    const fn new(matters: Matters, text: &'static str) -> Caveat {
        Caveat { matters, text }
    }
}

/// What those cannot promise whose thread syncs twice a second what waits in the process.
const HALF_A_SECOND: &str =
    "writes wait in the process: a kill loses those of the last half second";

/// One storage backend.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Its name in tables and charts.
    pub name: &'static str,
    /// The structure that it keeps data in.
    pub family: &'static str,
    /// What it cannot promise of what the others do; it stands beside its bars.
    pub caveats: &'static [Caveat],
    /// Whether its data survives the process.
    pub persistent: bool,
    /// Opens it.
    pub open: Open,
}

impl Backend {
    /// What it cannot promise that matters where a question is asked at a level; none is one of
    /// reads.
    pub fn caveats_at(
        &self,
        question: &str,
        level: Option<Level>,
    ) -> impl Iterator<Item = &'static str> + use<> {
        let here = self.caveats.iter().filter(|caveat| caveat.matters.here(question, level));
        here.map(|caveat| caveat.text).collect::<Vec<_>>().into_iter()
    }
}

/// Every backend, in the order of the tables.
pub fn all() -> Vec<Backend> {
    vec![
        bitcask::BACKEND,
        #[cfg(feature = "rocksdb")]
        rocksdb::BACKEND,
        fjall::BACKEND,
        sled::BACKEND,
        redb::BACKEND,
        memory::BACKEND,
    ]
}

/// The backend of this name.
pub fn named(name: &str) -> Option<Backend> {
    all().into_iter().find(|backend| backend.name == name)
}

/// The backend of this name, or a message that names all.
///
/// # Errors
/// If there is none.
pub fn parse(name: &str) -> Result<Backend, String> {
    named(name).ok_or_else(|| {
        let names: Vec<_> = all().iter().map(|backend| backend.name).collect();
        format!("no backend of this name; there are {}", names.join(", "))
    })
}

/// An error of a rival engine as one of ours.
fn other(error: impl std::error::Error + Send + Sync + 'static) -> engine::Error {
    engine::Error::Io {
        action: "carry out the call",
        file: std::path::PathBuf::new(),
        source: std::io::Error::other(error),
    }
}

/// The bounds of a range as the standard library has them.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A range as the standard library's bounds; none if it is empty whatever the keys.
fn bounds(range: &Range) -> Option<Bounds<'_>> {
    let end = match &range.end {
        Some(end) if *end <= range.start => return None,
        Some(end) => Bound::Excluded(&end[..]),
        None => Bound::Unbounded,
    };
    Some((Bound::Included(&range.start[..]), end))
}

/// A batch without range deletes: those become deletes of the keys that `stored` lists for the
/// range, and of those that the batch set before.
fn without_range_deletes(
    batch: Batch,
    stored: impl Fn(Cf, &Range) -> engine::Result<Vec<Bytes>>,
) -> engine::Result<Vec<Write>> {
    let mut out: Vec<Write> = Vec::with_capacity(batch.len());
    for write in batch {
        let Write::DeleteRange { cf, range } = write else {
            out.push(write);
            continue;
        };
        let mut keys = stored(cf, &range)?;
        keys.extend(out.iter().filter_map(|earlier| match earlier {
            Write::Put { cf: of, key, .. } if *of == cf && range.contains(key) => Some(key.clone()),
            _ => None,
        }));
        out.extend(keys.into_iter().map(|key| Write::Delete { cf, key }));
    }
    Ok(out)
}
