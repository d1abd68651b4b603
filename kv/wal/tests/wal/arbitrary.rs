//! T7: what the fuzz target does, with random bytes, in every test run.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::body;
use crate::model;

#[test]
fn recovery_over_arbitrary_bytes() {
    let first = model::seed(1);
    let rounds = if std::env::var_os("SEED").is_some() { 1 } else { 300 };
    for seed in first..first + rounds {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut data = vec![0; rng.random_range(0..60)];
        if rng.random_range(0..20) == 0 {
            data.resize(9000, 0);
        }
        rng.fill_bytes(&mut data);
        // Most edits go to the first blocks, most of these to headers and indexes.
        if data.first().is_some_and(|mode| mode % 3 > 0) {
            for edit in data[1..].chunks_exact_mut(3) {
                let block = 4096 + 512 * rng.random_range(0..12_u16);
                let at = block + rng.random_range(0..140_u16);
                edit[..2].copy_from_slice(&at.to_le_bytes());
            }
        }
        let run = std::panic::catch_unwind(|| body::recover_from(&data));
        if let Err(panic) = run {
            println!("replay with SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("T7: {rounds} inputs");
}

/// What the fuzzer found interesting, of all lengths.
#[test]
fn recovery_over_the_seeds_of_the_fuzzer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/recovery");
    let mut count = 0;
    for seed in std::fs::read_dir(folder).unwrap() {
        let path = seed.unwrap().path();
        println!("{}", path.display());
        body::recover_from(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count >= 40, "{count}");
}
