//! The simulator of `examples/sim`, for a few seeds: `make sim-raft SEEDS=100000` runs more.
//!
//! `SEED=n cargo test -p tinykv-raft --test simulation` runs one seed.

#[path = "../examples/sim"]
mod sim {
    mod disk;
    mod faults;
    mod invariants;
    mod liveness;
    mod member;
    mod options;
    pub(crate) mod world;
}

use sim::world::{self, Report};

fn run(seed: u64) -> Report {
    world::run(seed, None).unwrap_or_else(|violation| {
        panic!("{violation}\nreplay: SEED={seed} cargo test -p tinykv-raft --test simulation")
    })
}

#[test]
fn no_seed_violates_a_guarantee() {
    if let Ok(seed) = std::env::var("SEED") {
        run(seed.parse().expect("SEED is a number"));
        return;
    }
    let mut reads = 0;
    for seed in 0..60 {
        let report = run(seed);
        assert!(report.committed > 1, "seed {seed} committed nothing");
        reads += report.reads;
    }
    assert!(reads > 0, "no read was ever confirmed");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 1000..1010 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
