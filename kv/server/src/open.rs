//! Opening the engine that the configuration names.

use std::path::Path;
use std::sync::Arc;

use engine::{Durability, Engine, Memory, bitcask};

use crate::config::{Config, EngineKind, Sync};

/// Opens the engine.
pub(crate) fn open(config: &Config) -> engine::Result<Arc<dyn Engine>> {
    match config.engine {
        EngineKind::Memory => open_memory(&config.path),
        EngineKind::Bitcask => {
            let defaults = bitcask::Options::default();
            let options = bitcask::Options {
                uid: rand::random(),
                segment_bytes: config.segment_size.0,
                allocate_bytes: defaults.allocate_bytes.min(config.segment_size.0),
                reserve_bytes: defaults.reserve_bytes.min(config.segment_size.0 / 4),
                cache_bytes: config.cache_size.0,
                ..defaults
            };
            let fs = wal::RealFs::shared();
            Ok(Arc::new(bitcask::open(fs, &config.path, options)?))
        }
    }
}

/// Makes the engine in memory. A folder in which another engine keeps data is refused: who starts
/// the wrong engine on it would not see that data.
fn open_memory(path: &Path) -> engine::Result<Arc<dyn Engine>> {
    let format = path.join("FORMAT");
    if format.exists() {
        return Err(engine::Error::WrongEngine {
            folder: path.to_owned(),
            found: "bitcask".into(),
            wanted: "memory".into(),
        });
    }
    Ok(Arc::new(Memory::new()))
}

/// The durability of the configuration.
pub(crate) fn durability(sync: Sync) -> Durability {
    match sync {
        Sync::Always => Durability::Always,
        Sync::Interval => Durability::Interval,
        Sync::Never => Durability::Never,
    }
}
