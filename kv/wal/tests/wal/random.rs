//! T1: random operations on the log and on the model, with reopens, crashes and purges.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tinykv_wal::{Durability, MemFs, Seeded};

use crate::model::{self, Model};

/// Runs one series; gives the number of changes.
fn series(seed: u64, operations: usize) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut options = model::options();
    options.recycle = rng.random_range(0..2) == 0;
    options.block_align = [512, 4096][rng.random_range(0..2)];
    options.segment_bytes = [32 << 10, 64 << 10][rng.random_range(0..2)];
    options.purge_bytes = 3 * options.segment_bytes;
    let mut fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    let mut model = Model::default();
    let mut done = 0;
    let context = format!("replay with SEED={seed}");
    while done < operations {
        match rng.random_range(0..100) {
            0..90 => {
                let count = rng.random_range(1..5);
                let changes = model::changes(&mut model, &mut rng, count, 6, 300);
                let durability = [Durability::Synced, Durability::Deferred][rng.random_range(0..2)];
                model::write(&mut wal, &changes, durability).expect(&context);
                done += count;
            }
            90..93 => {
                wal.purge().expect(&context);
            }
            93..95 => wal.mark().expect(&context),
            95..98 => {
                drop(wal);
                let report;
                (wal, report) = model::open(&fs, &options).expect(&context);
                assert!(report.is_clean(), "{report:?}, {context}");
            }
            _ => {
                wal.sync().expect(&context);
                fs = fs.crash(&mut Seeded::new(rng.random_range(0..u64::MAX)));
                let report;
                (wal, report) = model::open(&fs, &options).expect(&context);
                assert!(report.is_clean(), "{report:?}, {context}");
            }
        }
        {
            model.compare(&wal).unwrap_or_else(|why| panic!("{why}, {context}"));
        }
    }
    model.compare(&wal).unwrap_or_else(|why| panic!("{why}, {context}"));
    let metrics = wal.metrics();
    assert!(metrics.segments < 40, "purge keeps the log small: {metrics:?}, {context}");
    done
}

#[test]
fn a_hundred_thousand_operations_match_the_model() {
    let first = model::seed(1);
    let rounds = if std::env::var_os("SEED").is_some() { 1 } else { 50 };
    let done: usize = (first..first + rounds).map(|seed| series(seed, 2000)).sum();
    println!("T1: {done} changes in {rounds} series");
    assert!(done >= 2000);
}
