//! Opening what a store of a cluster keeps: the engine in `engine/`, the log in `wal/`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::Engine;
use mutant::mutant;
use node::Replicated;
use node::format::encode_key;
use parking_lot::Mutex;
use proto::peer::{Epoch, Peer, Region, RegionId, StoreId};
use raft::ReadMode;
use raftstore::{Applier, LogEntry, Store};
use wal::{Durability, SharedWal, TailPolicy};

use super::Machine;
use super::room::{Patient, Room};
use crate::HOW_TO_REPLACE;
use crate::config::{Config, EngineKind};
use crate::peer::Disks;
use crate::server::StartError;

/// How often a long start says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What a store that has met others and has no log is told.
const LOST_LOG: &str = "it has met other stores (DISKS) and its log (wal) is empty: it has forgotten \
     what it promised them. Restore the folder, or replace the store";

/// How many damaged entries of the log are named.
const DAMAGED_NAMED_MAX: usize = 10;

/// What a store of a cluster keeps.
pub(crate) struct Opened {
    pub(super) node: Replicated,
    pub(super) wal: SharedWal<LogEntry>,
    pub(super) applier: Applier<Machine>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(super) disks: Disks,
    pub(super) room: Arc<Room>,
}

/// Opens the folder of a store. A new one gets the first regions, which all members share, unless it
/// joins a cluster that has them already.
pub(crate) fn open(config: &Config) -> Result<Opened, StartError> {
    if config.engine == EngineKind::Memory {
        let reason = "the engine `memory` forgets what the log takes for applied";
        return Err(StartError::Cluster { reason: format!("{reason}: use another --engine") });
    }
    if config.path.join("FORMAT").exists() {
        let reason = "the folder belongs to a store that stands alone: choose another --path";
        return Err(StartError::Cluster { reason: reason.to_owned() });
    }
    std::fs::create_dir_all(&config.path)
        .map_err(|source| StartError::Folder { folder: config.path.clone(), source })?;
    let disks = Disks::open(config.store_id, &config.path)
        .map_err(|source| StartError::Disks { folder: config.path.clone(), source })?;
    let folder = |name: &str| -> PathBuf { config.path.join(name) };
    let engine = crate::open::open(&Config { path: folder("engine"), ..config.clone() })?;
    let options = wal::Options {
        store_id: config.store_id,
        seed: rand::random(),
        // A store alone has nobody from whom to fetch a torn entry again.
        tail: match config.cluster.0.len() {
            1 => TailPolicy::Single,
            _ => TailPolicy::Replicated,
        },
        // Every entry is looked at: what rotted in a full segment is fetched again before this store
        // could lead with it. What an earlier start found, the log says by itself. Reading a GiB takes
        // 2.3 times as long so, in memory (`make bench-wal`).
        verify_all: true,
        progress: Some(progress()),
        ..wal::Options::default()
    };
    let (wal, report) =
        SharedWal::open(wal::RealFs::shared(), &folder("wal"), options).map_err(from_wal)?;
    log::info!("the log is read"; "segments" => report.segments, "blocks" => report.blocks,
        "damaged" => report.faulty.len(), "ms" => report.took.as_millis() as u64);
    let room = Arc::new(Room::new(config.path.clone(), config.disk_reserve.map(|size| size.0)));
    let patient = Patient { engine: Arc::clone(&engine), room: Arc::clone(&room) };
    // Others are met only after the log says whose it is.
    if disks.has_met() && !raftstore::is_begun(&wal.reader()) && !mutant!("lost-log-unnoticed") {
        let reason = format!("{LOST_LOG}. {HOW_TO_REPLACE}");
        return Err(StartError::Cluster { reason });
    }
    for entry in report.faulty.iter().take(DAMAGED_NAMED_MAX) {
        log::warn!("an entry of the log is damaged, and is fetched again from another store";
            "region" => entry.group.0, "index" => entry.index);
    }
    let applier = Applier::open(Arc::new(patient), Machine::default())?;
    let write = |batch| wal.write(batch, Durability::Synced).map(drop);
    let options = options_of(config);
    let mut store = Store::open(options, wal.reader(), &report, engine.as_ref(), write)?;
    if store.is_new() && !config.join {
        for region in first_regions(config) {
            store.bootstrap(region)?;
        }
    }
    Ok(Opened { node: Replicated::new(store), wal, applier, engine, disks, room })
}

/// Logs now and then how far the log is read.
fn progress() -> wal::Watch {
    let logged = Mutex::new(Instant::now());
    wal::Watch::new(move |progress| {
        let mut logged = logged.lock();
        if logged.elapsed() >= PROGRESS_EVERY {
            *logged = Instant::now();
            log::info!("reading the log"; "segments" => progress.segments, "of" => progress.of);
        }
    })
}

fn from_wal(error: wal::Error) -> StartError {
    StartError::Raft(raftstore::Error::Wal(error))
}

/// The regions with which a cluster begins: one of all keys, or those that the configuration's keys
/// split it into. Each has a voter on each member.
fn first_regions(config: &Config) -> Vec<Region> {
    let mut starts = vec![Bytes::new()];
    starts.extend(config.split_keys.0.iter().map(|key| encode_key(key.as_bytes())));
    let ends = starts.iter().skip(1).cloned().chain([Bytes::new()]);
    let region = |(id, (start, end)): (u64, (Bytes, Bytes))| Region {
        id: RegionId(id),
        start,
        end,
        epoch: Epoch::FIRST,
        peers: config.cluster.0.keys().map(|id| Peer::voter(*id, *id)).collect(),
    };
    (1..).zip(starts.iter().cloned().zip(ends)).map(region).collect()
}

/// A number that tells whether stores began with the same regions; 0: it cannot be told any more.
pub(super) fn layout_of<R>(store: &Store<R>) -> u64 {
    // FNV-1a: the number only has to differ, and to be the same in each build.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        let len = (bytes.len() as u64).to_be_bytes();
        for byte in len.iter().chain(bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    if !store.is_as_founded() {
        return 0;
    }
    for region in store.regions().filter_map(|id| store.region(id)) {
        add(&region.id.0.to_be_bytes());
        add(&region.start);
        add(&region.end);
        // Whose votes count: stores that each founded a region of their own would serve different
        // data under one name.
        for peer in region.peers.iter().filter(|_| !mutant!("founders-uncompared")) {
            add(&peer.store.0.to_be_bytes());
        }
    }
    hash
}

fn options_of(config: &Config) -> raftstore::Config {
    let ticks = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    raftstore::Config {
        cluster_id: config.cluster_id,
        seed: rand::random(),
        election_ticks: ticks(config.raft_election_ticks),
        heartbeat_ticks: ticks(config.raft_heartbeat_ticks),
        reads: ReadMode::Lease,
        log_entries_max: config.raft_log_entries as u64,
        ..raftstore::Config::new(StoreId(config.store_id))
    }
}
