//! RocksDB, as the server has it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use engine::Engine;
use engine::rocksdb::{Options, RocksDb};

use super::{Backend, Settings};

pub(super) const BACKEND: Backend =
    Backend { name: "rocksdb", family: "LSM tree", caveats: &[], persistent: true, open };

fn open(path: &Path, settings: Settings) -> Result<Arc<dyn Engine>> {
    let options = Options { block_cache_bytes: settings.cache_bytes, ..Options::default() };
    Ok(Arc::new(RocksDb::open(path, &options)?))
}
