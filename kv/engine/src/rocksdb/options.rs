//! The options of RocksDB that a server's owner may want to turn, and the settings for the rest.

use ::rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode,
};

use crate::{Cf, Error, Result};

/// How a RocksDB is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of uncompressed blocks kept in memory, shared by all column families; at least 1 MiB.
    pub block_cache_bytes: usize,
    /// Bytes of one memtable; at least 1 MiB. A column family has at most three.
    pub write_buffer_bytes: usize,
    /// Threads for flushes and compactions together, 1 to 64.
    pub background_jobs: u8,
    /// Whether blocks are compressed (LZ4).
    pub compression: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            block_cache_bytes: 256 << 20,
            write_buffer_bytes: 64 << 20,
            background_jobs: 2,
            compression: true,
        }
    }
}

impl Options {
    /// Checks the ranges.
    ///
    /// # Errors
    /// `Invalid`, naming the option.
    pub fn validate(&self) -> Result<()> {
        for (name, bytes) in
            [("block cache", self.block_cache_bytes), ("write buffer", self.write_buffer_bytes)]
        {
            if bytes < 1 << 20 {
                return Err(Error::Invalid(format!("the {name} needs at least 1 MiB")));
            }
        }
        if !(1..=64).contains(&self.background_jobs) {
            return Err(Error::Invalid("background jobs must be 1 to 64".to_owned()));
        }
        Ok(())
    }

    /// RocksDB's own options, of the whole and of each column family.
    pub(super) fn to_rocksdb(&self) -> (::rocksdb::Options, Vec<ColumnFamilyDescriptor>) {
        let mut db = ::rocksdb::Options::default();
        db.create_if_missing(true);
        db.create_missing_column_families(true);
        db.set_max_background_jobs(i32::from(self.background_jobs));
        // Spreads the writing of large files over time: a sync at their end would stall the disk.
        db.set_bytes_per_sync(1 << 20);
        // A damaged record before the end of the log is an error, a torn one at its end is cut.
        db.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        // All memtables hang on the oldest log file: without a bound a quiet family keeps it.
        db.set_max_total_wal_size(8 * self.write_buffer_bytes as u64);
        db.set_keep_log_file_num(4);
        db.enable_statistics();
        let cache = Cache::new_lru_cache(self.block_cache_bytes);
        let families = Cf::ALL
            .into_iter()
            .map(|cf| ColumnFamilyDescriptor::new(cf.name(), self.family(&cache)))
            .collect();
        (db, families)
    }

    fn family(&self, cache: &Cache) -> ::rocksdb::Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(cache);
        // Ten bits a key: one lookup of an absent key in a hundred reads a block in vain.
        blocks.set_bloom_filter(10.0, false);
        blocks.set_block_size(16 << 10);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        blocks.set_format_version(5);
        let mut family = ::rocksdb::Options::default();
        family.set_block_based_table_factory(&blocks);
        family.set_write_buffer_size(self.write_buffer_bytes);
        family.set_max_write_buffer_number(3);
        family.set_level_compaction_dynamic_level_bytes(true);
        family.set_compression_type(if self.compression {
            DBCompressionType::Lz4
        } else {
            DBCompressionType::None
        });
        family
    }
}
