//! Takes up what the wal and the engine hold, after whatever happened.
//!
//! A crash can leave the two apart, always in one of these ways:
//!
//! - The engine is behind the log: the entries in between are applied again. It is never behind
//!   what was cut off, since it is flushed before.
//! - A snapshot is installed and the log still is the old one: the log is begun anew after it.
//! - A peer is a tombstone and its data is still there: it is removed now.
//! - A peer has applied its own removal and is no tombstone yet: it becomes one.
//! - A region was bootstrapped and the engine does not know of it: it is told.

use engine::{Cf, Direction, Engine};
use mark::mark;
use mutant::mutant;
use proto::peer::{Region, RegionId};
use raft::{EntryId, HardState, Index, Membership, Node, Term};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wal::{GroupId, LogBatch, RecoveryReport, WalReader};

use crate::applier::{Task, load};
use crate::config::Config;
use crate::entry::LogEntry;
use crate::error::{Error, Result};
use crate::format::{self, AppliedState, Ident, LocalState, RegionState};
use crate::peer::Peer;
use crate::storage::{PeerStorage, Start};
use crate::store::Store;

/// The entry that stands for a region's beginning. It is not 0, so that a peer that is added later
/// and knows nothing lacks something that only a snapshot has.
const FIRST: EntryId = EntryId::new(5, 5);

impl<R> Store<R> {
    /// Opens a store on what its wal and its engine hold. The applier must have been opened on the
    /// engine before. `write` writes a batch to the wal and syncs it.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::WrongStore`], [`Error::Inconsistent`], and those of `write` and
    /// of the engine.
    pub fn open(
        config: Config,
        reader: WalReader<LogEntry>,
        report: &RecoveryReport,
        engine: &dyn Engine,
        mut write: impl FnMut(LogBatch<LogEntry>) -> wal::Result<()>,
    ) -> Result<Store<R>> {
        config.validate()?;
        check_ident(&config, &reader, &mut write)?;
        let rng = SmallRng::seed_from_u64(config.seed);
        let groups = reader.groups();
        let mut store = Store::new(config, reader, rng);
        for group in groups.into_iter().filter(|group| *group != format::STORE_GROUP) {
            store.open_region(group, report, engine, &mut write)?;
        }
        store.find_leftovers(engine)?;
        Ok(store)
    }

    /// Whether the store has no region and never had one.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.peers.is_empty() && self.tombstones.is_empty()
    }

    /// Whether it has the regions with which its cluster began, none of which has changed.
    #[must_use]
    pub fn is_as_founded(&self) -> bool {
        let is_first = |peer: &Peer| peer.region.epoch == proto::peer::Epoch::FIRST;
        !self.is_new() && self.tombstones.is_empty() && self.peers.values().all(|it| is_first(it))
    }

    /// Makes the peer of a region that begins to exist, on this store and in the same way on all
    /// that [`Region::peers`] names. Only for the first regions of a cluster, and only when all its
    /// stores are new: one that has lost its disk would break what it promised.
    ///
    /// # Errors
    /// [`Error::Inconsistent`] if this store has no peer in it, or has the region or a part of its
    /// keys already.
    pub fn bootstrap(&mut self, region: Region) -> Result<()> {
        let id = region.id;
        let refuse = |reason: &str| Err(Error::inconsistent(id, reason));
        let Some(me) = region.peer_on(self.config.store) else {
            return refuse("it has no peer on this store");
        };
        if id == RegionId(0) || self.peers.contains_key(&id) || self.tombstones.contains_key(&id) {
            return refuse("it exists already");
        }
        let is_taken =
            self.peers.values().any(|it| it.is_initialised() && it.region.overlaps(&region));
        if is_taken {
            return refuse("another region on this store has some of its keys");
        }
        let local = LocalState { peer: me, tombstone: false, region: region.clone() };
        let hard_state = HardState { term: FIRST.term, vote: None, commit: FIRST.index };
        let group = format::group(id);
        self.batch.put(group, format::LOCAL_KEY, format::pack(&local));
        self.batch.put(group, format::TRUNCATED_KEY, format::encode_id(FIRST));
        self.batch.put(group, format::HARD_STATE_KEY, format::encode_hard_state(hard_state));
        self.out.must_sync = true;
        let membership = membership_of(&region);
        let start = Start { truncated: FIRST, hard_state, membership, ..Start::default() };
        let peer = peer(self, local, start, FIRST)?;
        self.insert(peer);
        // The engine follows once the log is durable: without the log it would be a leftover, with
        // which the store does not start.
        let task = create_task(region);
        self.after_write.push(task);
        Ok(())
    }

    fn insert(&mut self, peer: Peer) {
        let region = peer.region.clone();
        self.dirty.insert(region.id);
        self.peers.insert(region.id, Box::new(peer));
        self.set_region(region);
    }

    fn create_in_engine(&mut self, region: Region) {
        self.out.tasks.push(create_task(region));
    }

    /// Opens what a group of the wal holds.
    fn open_region(
        &mut self,
        group: GroupId,
        report: &RecoveryReport,
        engine: &dyn Engine,
        write: &mut impl FnMut(LogBatch<LogEntry>) -> wal::Result<()>,
    ) -> Result<()> {
        let id = RegionId(group.0);
        let broken = |reason: &str| Error::inconsistent(id, reason);
        let local = self.reader.get(group, format::LOCAL_KEY);
        let local = local.ok_or_else(|| broken("the log does not say who its peer is"))?;
        let local: LocalState =
            format::unpack(&local).ok_or_else(|| broken("its local state cannot be read"))?;
        if local.tombstone {
            if load(engine, id)?.is_some() {
                mark!("a removed region's data goes at the start");
                self.destroying.insert(id);
                self.out.tasks.push(Task::Destroy { region: id });
            }
            self.tombstones.insert(id, local);
            return Ok(());
        }
        let state = |key: &[u8]| self.reader.get(group, key);
        let hard_state = match state(format::HARD_STATE_KEY) {
            None => HardState::default(),
            Some(bytes) => format::decode_hard_state(&bytes)
                .ok_or_else(|| broken("its hard state cannot be read"))?,
        };
        let truncated = match state(format::TRUNCATED_KEY) {
            None => EntryId::default(),
            Some(bytes) => format::decode_id(&bytes)
                .ok_or_else(|| broken("the beginning of its log cannot be read"))?,
        };
        let loaded = load(engine, id)?;
        if loaded.is_none() && truncated == FIRST && !local.region.peers.is_empty() {
            mark!("the engine is told of a first region");
            self.create_in_engine(local.region.clone());
        }
        let initial = || (truncated.min(FIRST), membership_of(&local.region), local.region.clone());
        let (applied, membership, region) = loaded
            .map_or_else(initial, |(applied, state)| (applied.id, state.membership, state.region));
        if applied.index < truncated.index {
            return Err(broken("the engine lacks entries that are cut off the log"));
        }
        let named = report.faulty.iter().filter(|it| it.group == group).map(|it| Index(it.index));
        let faulty =
            named.filter(|it| *it > truncated.index && self.is_damaged(group, *it)).collect();
        let knows_terms = report.given_up.is_empty();
        let mut start = Start { truncated, hard_state, membership, faulty, knows_terms };
        let me = region.peer(local.peer.id).unwrap_or(local.peer);
        let local = LocalState { peer: me, tombstone: false, region };
        if !self.log_reaches(group, truncated, applied) && !mutant!("log-not-begun-anew") {
            mark!("a log is begun anew after its snapshot");
            write(begin_anew(group, &mut start, &local, applied))?;
        }
        let applied = match mutant!("apply-twice-after-restart") {
            true => start.truncated,
            false => applied,
        };
        let peer = peer(self, local, start, applied)?;
        let was_removed = peer.was_removed() && !mutant!("removal-not-finished");
        self.insert(peer);
        if was_removed {
            mark!("a removal is finished at the start");
            self.destroy(id);
        }
        Ok(())
    }

    /// Whether an entry that recovery names cannot be read: something sound may have taken its place
    /// since.
    fn is_damaged(&self, group: GroupId, index: Index) -> bool {
        let read = self.reader.fetch(group, index.0..index.next().0, u64::MAX);
        matches!(read, Err(wal::Error::Faulty { .. } | wal::Error::Entry { .. }))
    }

    /// Whether a region's log has what the engine has applied, so that it can go on from there.
    fn log_reaches(&self, group: GroupId, truncated: EntryId, applied: EntryId) -> bool {
        applied == truncated
            || self.reader.term(group, applied.index.0).map(Term) == Some(applied.term)
    }

    /// Finds regions in the engine that the log knows nothing of.
    fn find_leftovers(&mut self, engine: &dyn Engine) -> Result<()> {
        let view = engine.view()?;
        for key in view.keys(Cf::Raft, format::all_region_keys(), Direction::Forward) {
            let Some((region, _)) = format::decode_region_key(&key?) else { continue };
            if !self.peers.contains_key(&region) && !self.tombstones.contains_key(&region) {
                return Err(Error::inconsistent(region, "the engine has it and the log has not"));
            }
        }
        Ok(())
    }
}

/// Lets a region's log begin after the snapshot that is in the engine. Gives what is to be written.
fn begin_anew(
    group: GroupId,
    start: &mut Start,
    local: &LocalState,
    applied: EntryId,
) -> LogBatch<LogEntry> {
    start.truncated = applied;
    start.faulty.clear();
    // The snapshot came from a leader of that term or a later one.
    start.hard_state = match start.hard_state {
        HardState { term, .. } if term < applied.term => {
            HardState { term: applied.term, vote: None, commit: applied.index }
        }
        state => HardState { commit: applied.index, ..state },
    };
    let mut batch = LogBatch::new();
    batch.clean(group);
    batch.put(group, format::LOCAL_KEY, format::pack(local));
    batch.put(group, format::TRUNCATED_KEY, format::encode_id(applied));
    batch.put(group, format::HARD_STATE_KEY, format::encode_hard_state(start.hard_state));
    batch
}

/// Whether a log has been a store's before: whether it says whose it is.
#[must_use]
pub fn is_begun(reader: &WalReader<LogEntry>) -> bool {
    reader.get(format::STORE_GROUP, format::IDENT_KEY).is_some()
}

/// Makes a peer.
pub(crate) fn peer<R>(
    store: &mut Store<R>,
    local: LocalState,
    start: Start,
    applied: EntryId,
) -> Result<Peer> {
    let region = local.region.id;
    let rng = SmallRng::seed_from_u64(store.rng.next_u64());
    let storage = PeerStorage::new(store.reader.clone(), region, start);
    let config = store.config.raft(local.peer.id, applied.index);
    let node = Node::new(config, storage, rng).map_err(|source| Error::Raft { region, source })?;
    Ok(Peer::new(local.region, local.peer, node, applied))
}

/// What makes a region that begins to exist in the engine.
fn create_task(region: Region) -> Task {
    let membership = membership_of(&region);
    let applied = AppliedState { id: FIRST, time: 0 };
    Task::Create { state: RegionState { region, membership }, applied }
}

/// The raft group of a region that has not changed.
fn membership_of(region: &Region) -> Membership {
    let ids = |learner: bool| {
        region.peers.iter().filter(move |peer| peer.learner == learner).map(|peer| peer.id.0)
    };
    Membership::of_voters(ids(false)).with_learners(ids(true))
}

/// Checks whose log this is, or makes it ours if it is new.
fn check_ident(
    config: &Config,
    reader: &WalReader<LogEntry>,
    write: &mut impl FnMut(LogBatch<LogEntry>) -> wal::Result<()>,
) -> Result<()> {
    let wanted = Ident { cluster_id: config.cluster_id, store: config.store };
    let name = |it: Ident| format!("store {} of cluster {}", it.store, it.cluster_id);
    match reader.get(format::STORE_GROUP, format::IDENT_KEY) {
        Some(bytes) => match format::unpack(&bytes) {
            Some(found) if found == wanted => Ok(()),
            Some(found) => Err(Error::WrongStore { found: name(found), wanted: name(wanted) }),
            None => Err(Error::WrongStore {
                found: "a store that cannot be told".to_owned(),
                wanted: name(wanted),
            }),
        },
        None => {
            let mut batch = LogBatch::new();
            batch.put(format::STORE_GROUP, format::IDENT_KEY, format::pack(&wanted));
            Ok(write(batch)?)
        }
    }
}
