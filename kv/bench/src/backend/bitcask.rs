//! bitcask: our own log-structured engine, as the server has it.

use std::path::Path;
use std::sync::Arc;

use engine::Engine;
use engine::bitcask::{self, Options};
use wal::RealFs;

use super::{Backend, Caveat, Matters, Settings};

pub(super) const BACKEND: Backend = Backend {
    name: "bitcask",
    family: "hash log",
    caveats: &[
        Caveat::new(Matters::Always, "all keys are kept in memory"),
        Caveat::new(
            Matters::Space,
            "up to 16 MiB of it are reserved for the next writes, and empty",
        ),
    ],
    persistent: true,
    open,
};

fn open(path: &Path, settings: Settings) -> anyhow::Result<Arc<dyn Engine>> {
    let options = Options { cache_bytes: settings.cache_bytes as u64, ..Options::default() };
    Ok(Arc::new(bitcask::open(Arc::new(RealFs), path, options)?))
}
