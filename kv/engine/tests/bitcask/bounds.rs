//! What one call costs, counted in bytes and operations of the disk, whatever there is to merge.

use std::sync::Arc;

use tinykv_engine::{Durability, Engine};
use wal::MemFs;

use crate::store::{open, put, small};

/// Bytes and operations of each call of `each`, at most.
fn costs(fs: &MemFs, engine: &dyn Engine, mut each: impl FnMut() -> bool) -> (u64, u64) {
    let (mut bytes_max, mut operations_max) = (0, 0);
    loop {
        let (bytes, operations) = (engine.stats().written_bytes, fs.operations());
        let more = each();
        bytes_max = bytes_max.max(engine.stats().written_bytes - bytes);
        operations_max = operations_max.max(fs.operations() - operations);
        if !more {
            return (bytes_max, operations_max);
        }
    }
}

/// A write never pays for a merge; a merge goes in slices, of which none is large.
#[test]
fn no_call_does_the_work_of_many() {
    let fs = MemFs::new();
    let engine = open(Arc::new(fs.clone())).unwrap();
    let mut round = 0;
    let (bytes, operations) = costs(&fs, &engine, || {
        round += 1;
        let key = format!("key {}", round % 37);
        engine.write(put(key, vec![round as u8; 300]), Durability::Always).unwrap();
        round < 600
    });
    assert!(bytes < 1_000, "a write of 300 bytes wrote {bytes}");
    assert!(operations <= 24, "a write took {operations} operations");
    assert!(engine.stats().dead_bytes > 100_000, "there is something to merge");

    let slice = small().merge_slice_bytes as u64;
    let (bytes, operations) = costs(&fs, &engine, || engine.merge_step().unwrap());
    assert!(bytes < 2 * slice, "a slice of {slice} bytes wrote {bytes}");
    assert!(operations <= 40, "a slice of a merge took {operations} operations");
    assert!(engine.stats().dead_bytes < 20_000, "{:?}", engine.stats());
}
