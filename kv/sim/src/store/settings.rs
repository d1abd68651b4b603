//! What differs from run to run in a store: limits small enough to be reached, ways to read.

use engine::bitcask;
use proto::peer::StoreId;
use raft::ReadMode;
use raftstore::Config;
use rand::RngExt;
use rand::rngs::SmallRng;
use wal::TailPolicy;

use crate::fault::Fault;
use crate::process::{Features, Setup};
use crate::random::mix;
use crate::scenario::Scenario;

/// The options that are drawn, each with its choices; the first is that of a calm run.
const CHOICES: &[(&str, &[u64])] = &[
    // 0: by rounds of heartbeats, 1: by leases.
    ("lease", &[0, 0, 1]),
    ("heartbeat_ticks", &[2, 1]),
    // In how many regions the keys are.
    ("regions", &[1, 1, 2, 3]),
    // 1: members come and go.
    ("members", &[0, 0, 1]),
    // After how many ticks a change of members is given up.
    ("change_ticks", &[40, 400]),
    // 1: clients name the region, and now and then a wrong one.
    ("routes", &[0, 1]),
    ("log_entries_max", &[100_000, 5, 5, 20, 5, 100]),
    ("compact_ticks", &[10, 1, 1, 3]),
    ("chunk_bytes", &[1 << 20, 16, 16, 200]),
    ("chunk_window", &[4, 1]),
    ("snapshot_ticks", &[100, 20, 6]),
    ("resend_ticks", &[5, 2]),
    ("stale_ticks", &[100, 20]),
    ("message_bytes_max", &[1 << 20, 1, 300]),
    ("batch_bytes_max", &[4 << 10, 100]),
    ("proposals_max", &[1 << 16, 3]),
    ("reads_max", &[1 << 16, 2]),
    ("deadline_ticks", &[10, 3, 200]),
    ("wal_segment_bytes", &[64 << 10, 48 << 10]),
    ("wal_purge_segments", &[4, 1]),
    // 0: the terms of damaged entries are not known, as after `tinykv wal repair`.
    ("wal_knows_terms", &[1, 1, 0]),
    ("engine_segment_bytes", &[64 << 10, 4 << 10]),
];

/// A number that the scenario decides, or the usual one.
pub(super) fn feature<T: TryFrom<u64>>(features: &Features, name: &str, usual: T) -> T {
    features.get(name).and_then(|value| T::try_from(*value).ok()).unwrap_or(usual)
}

/// Draws all options.
pub(super) fn draw(rng: &mut SmallRng) -> Features {
    let mut pick = |choices: &[u64]| choices[rng.random_range(0..choices.len())];
    CHOICES.iter().map(|(name, choices)| ((*name).to_owned(), pick(choices))).collect()
}

/// Takes out of a scenario what a store does not claim to bear.
pub(super) fn adapt(scenario: &mut Scenario) {
    if feature(&scenario.features, "lease", 0u64) == 1 {
        // A lease is counted in ticks: it holds only where all clocks run alike.
        scenario.faults.retain(|planned| !matches!(planned.fault, Fault::Pause { .. }));
        scenario.clocks.1 = scenario.clocks.1.min(1_000);
    }
    if feature(&scenario.features, "members", 0u64) == 1 {
        // Who is for good away, or keeps silent about damage, could be of a majority by then.
        let for_good = |fault: &Fault| matches!(fault, Fault::Rot { .. } | Fault::Loss { .. });
        scenario.faults.retain(|planned| !for_good(&planned.fault));
        scenario.minority_stays_away = false;
    } else {
        scenario.faults.retain(|planned| !matches!(planned.fault, Fault::Member { .. }));
    }
}

/// Options of the store.
pub(super) fn store(setup: &Setup<'_>) -> Config {
    let features = setup.features;
    let usual = Config::new(StoreId(setup.store));
    let lease = feature(features, "lease", 0u64) == 1;
    Config {
        cluster_id: 1,
        seed: mix(mix(setup.seed, setup.store), u64::from(setup.life)),
        reads: if lease { ReadMode::Lease } else { ReadMode::Quorum },
        heartbeat_ticks: feature(features, "heartbeat_ticks", usual.heartbeat_ticks),
        entry_bytes_max: 2 << 10,
        proposals_max: feature(features, "proposals_max", usual.proposals_max),
        reads_max: feature(features, "reads_max", usual.reads_max),
        message_bytes_max: feature(features, "message_bytes_max", usual.message_bytes_max),
        batch_bytes_max: feature(features, "batch_bytes_max", 4 << 10),
        log_entries_max: feature(features, "log_entries_max", usual.log_entries_max),
        compact_ticks: feature(features, "compact_ticks", usual.compact_ticks),
        chunk_bytes: feature(features, "chunk_bytes", usual.chunk_bytes),
        chunk_window: feature(features, "chunk_window", usual.chunk_window),
        snapshot_ticks: feature(features, "snapshot_ticks", usual.snapshot_ticks),
        resend_ticks: feature(features, "resend_ticks", usual.resend_ticks),
        stale_ticks: feature(features, "stale_ticks", usual.stale_ticks),
        ..usual
    }
}

/// Options of the log.
pub(super) fn wal(setup: &Setup<'_>, seed: u64) -> wal::Options {
    let features = setup.features;
    let segment_bytes = feature(features, "wal_segment_bytes", 64 << 10);
    wal::Options {
        store_id: setup.store,
        seed,
        segment_bytes,
        group_bytes_max: segment_bytes / 8,
        block_align: 512,
        pool_segments: 1,
        cache_bytes: 64 << 10,
        recovery_threads: 1,
        // As in the server. Without it what rots in a full segment is found only when it is read; what
        // an earlier start found, the log remembers by itself.
        verify_all: feature(features, "wal_verify_all", 1u64) == 1,
        purge_bytes: feature(features, "wal_purge_segments", 4) * segment_bytes,
        // Alone, nobody can give back what is doubtful.
        tail: if setup.stores == 1 { TailPolicy::Single } else { TailPolicy::Replicated },
        ..wal::Options::default()
    }
}

/// Options of the engine.
pub(super) fn engine(features: &Features, uid: u64) -> bitcask::Options {
    let segment_bytes = feature(features, "engine_segment_bytes", 64 << 10);
    bitcask::Options {
        uid,
        segment_bytes,
        allocate_bytes: 4 << 10,
        reserve_bytes: 0,
        cache_bytes: 64 << 10,
        background: false,
        ..bitcask::Options::default()
    }
}
