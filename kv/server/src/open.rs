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
        EngineKind::RocksDb => open_rocksdb(config),
    }
}

/// Makes the engine in memory. A folder in which another engine keeps data is refused: who starts
/// the wrong engine on it would not see that data.
fn open_memory(path: &Path) -> engine::Result<Arc<dyn Engine>> {
    let format = path.join("FORMAT");
    if format.exists() {
        let text = std::fs::read_to_string(&format).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix("engine "));
        return Err(engine::Error::WrongEngine {
            folder: path.to_owned(),
            found: found.unwrap_or("unknown").to_owned(),
            wanted: "memory".into(),
        });
    }
    Ok(Arc::new(Memory::new()))
}

#[cfg(feature = "rocksdb")]
fn open_rocksdb(config: &Config) -> engine::Result<Arc<dyn Engine>> {
    use engine::rocksdb::{Options, RocksDb};

    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let defaults = Options::default();
    let options = Options {
        block_cache_bytes: bytes(config.cache_size.0),
        // What a segment is to bitcask, a memtable is to RocksDB: what becomes one file.
        write_buffer_bytes: bytes(config.segment_size.0)
            .clamp(1 << 20, defaults.write_buffer_bytes),
        ..defaults
    };
    Ok(Arc::new(RocksDb::open(&config.path, &options)?))
}

#[cfg(not(feature = "rocksdb"))]
fn open_rocksdb(_: &Config) -> engine::Result<Arc<dyn Engine>> {
    Err(engine::Error::Invalid(
        "this program was built without RocksDB: `make run ENGINE=rocksdb`, or \
         `cargo build --release --package tinykv-server --features rocksdb`, builds one with it"
            .to_owned(),
    ))
}

/// The durability of the configuration. Memory has none, and nobody needs to wait for it.
pub(crate) fn durability(config: &Config) -> Durability {
    match config.sync {
        _ if config.engine == EngineKind::Memory => Durability::Never,
        Sync::Always => Durability::Always,
        Sync::Interval => Durability::Interval,
        Sync::Never => Durability::Never,
    }
}
