//! raft-engine, set up as TiKV does, with the same file and log sizes.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use protobuf::descriptor::UninterpretedOption;
use raft_engine::env::FileSystem;
use raft_engine::internals::FilePipeLog;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::load::{Log, Sizes};

/// Any message with a number and bytes serves as an entry; this one comes with the protobuf crate.
#[derive(Clone)]
struct Entry;

impl MessageExt for Entry {
    type Entry = UninterpretedOption;

    fn index(entry: &UninterpretedOption) -> u64 {
        entry.get_positive_int_value()
    }
}

struct RaftEngine<F: FileSystem>(Engine<F, FilePipeLog<F>>);

pub(crate) fn open<F: FileSystem + 'static>(
    fs: F,
    dir: &Path,
    sizes: Sizes,
) -> Result<Box<dyn Log>> {
    let config = Config {
        dir: dir.join("engine").to_string_lossy().into_owned(),
        target_file_size: ReadableSize(sizes.segment_bytes),
        purge_threshold: ReadableSize(sizes.purge_bytes),
        enable_log_recycle: true,
        // Ours prepares its files before it takes the first write; so may this one.
        prefill_for_recycle: sizes.prepared().is_some(),
        ..Config::default()
    };
    Ok(Box::new(RaftEngine(Engine::open_with_file_system(config, Arc::new(fs))?)))
}

impl<F: FileSystem> Log for RaftEngine<F> {
    fn append(&self, group: u64, index: u64, count: u64, data: &[u8], sync: bool) -> Result<()> {
        let entries: Vec<UninterpretedOption> = (index..index + count)
            .map(|index| {
                let mut entry = UninterpretedOption::new();
                entry.set_positive_int_value(index);
                entry.set_string_value(data.to_vec());
                entry
            })
            .collect();
        let mut batch = LogBatch::default();
        batch.add_entries::<Entry>(group, &entries)?;
        self.0.write(&mut batch, sync)?;
        Ok(())
    }

    fn compact(&self, group: u64, to: u64) -> Result<()> {
        self.0.compact_to(group, to);
        Ok(())
    }

    fn purge(&self) -> Result<()> {
        for group in self.0.purge_expired_files()? {
            if let Some(last) = self.0.last_index(group) {
                self.0.compact_to(group, last);
            }
        }
        Ok(())
    }
}
