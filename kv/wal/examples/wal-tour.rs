//! Writes a small log to look at and to damage: see chapter 1d of the book.
//!
//! `cargo run -p tinykv-wal --example wal-tour -- FOLDER`

use std::path::Path;

use tinykv_wal::{Durability, GroupId, LogBatch, Options, RawEntry, RealFs, Wal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: wal-tour FOLDER")?;
    let options = Options {
        store_id: 1,
        segment_bytes: 64 << 10,
        block_align: 512,
        compress_bytes_min: None,
        ..Options::default()
    };
    let (mut wal, _) = Wal::<RawEntry>::open(RealFs::shared(), Path::new(&folder), options)?;
    for index in 1..=3 {
        let mut batch = LogBatch::new();
        for group in 1..=2 {
            let data = format!("entry {index} of group {group} ").repeat(30).into_bytes();
            batch.append(GroupId(group), &[RawEntry { index, term: 1, data }])?;
        }
        batch.put(GroupId(1), "vote", "store 1");
        wal.write(batch, Durability::Synced)?;
    }
    // A new leader replaces the last entry.
    let mut batch = LogBatch::new();
    batch.append(GroupId(2), &[RawEntry { index: 3, term: 2, data: b"another".to_vec() }])?;
    wal.write(batch, Durability::Synced)?;
    wal.mark()?;
    Ok(())
}
