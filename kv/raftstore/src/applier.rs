//! Carries out what is committed: [`Applier`].
//!
//! It may live on another thread than the [`crate::Store`]; tasks go to it in order and its results
//! go back in order. Each batch that it writes holds the data and the applied index of a region
//! together, so that after a crash both are old or both are new. The batches are not synced: the
//! log has the entries until a [`Task::Flush`] has made them durable.

pub(crate) mod install;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use engine::{Batch, Cf, Direction, Durability, Engine};
use mutant::mutant;
use proto::peer::{Region, RegionError, RegionId};
use raft::confchange::{Change, Step};
use raft::{Entries, Entry, EntryId, Index, Payload};

use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::format::{self, AppliedState, RegionState, SnapshotMeta};
use crate::machine::{StateMachine, Timed};
use crate::snapshot::Source;
use crate::store::PeerChange;

/// What the applier shall do. Tasks are done in the order in which the store gave them.
#[derive(Clone, Debug)]
pub enum Task {
    /// Takes in a region that is new on this store.
    Create {
        /// What it is.
        state: RegionState,
        /// Where it begins.
        applied: AppliedState,
    },
    /// Carries out committed entries.
    Apply {
        /// Their region.
        region: RegionId,
        /// The entries, in order.
        entries: Vec<Entries>,
    },
    /// Keeps a chunk of a snapshot that is being received.
    Stage {
        /// The region.
        region: RegionId,
        /// The snapshot.
        snapshot: u64,
        /// The number of the chunk.
        number: u32,
        /// What is in it.
        data: Bytes,
    },
    /// Forgets the chunks of a snapshot.
    Unstage {
        /// The region.
        region: RegionId,
        /// The snapshot.
        snapshot: u64,
    },
    /// Puts a snapshot, all of whose chunks are staged, in the place of the region's data.
    Install {
        /// What it is.
        meta: SnapshotMeta,
    },
    /// Removes a region with its data.
    Destroy {
        /// The region.
        region: RegionId,
    },
    /// Takes a view of a region, to be sent as a snapshot.
    Snapshot {
        /// The region.
        region: RegionId,
        /// What it will be called.
        snapshot: u64,
    },
    /// Makes durable all that was written so far.
    Flush,
}

/// What became of a task. It is given to [`crate::Store::applied`].
#[derive(Debug)]
pub enum Done<R> {
    /// Entries were carried out.
    Applied(Applied<R>),
    /// A snapshot is installed, durably.
    Installed(SnapshotMeta),
    /// A region and its data are gone.
    Destroyed(RegionId),
    /// A view was taken; none if there is nothing of the region.
    Snapshot(RegionId, Option<Arc<Source>>),
    /// All that was written before is durable; of these regions up to these entries.
    Flushed(Vec<(RegionId, Index)>),
}

/// Entries that were carried out.
#[derive(Debug)]
pub struct Applied<R> {
    /// Their region.
    pub region: RegionId,
    /// The last one.
    pub last: EntryId,
    /// What the commands of each entry came to; entries without commands are not here.
    pub(crate) outcomes: Vec<(EntryId, Vec<Result2<R>>)>,
    /// Membership changes, whether they took effect, and the region afterwards.
    pub(crate) changes: Vec<Changed>,
}

/// A membership change that was carried out.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) id: EntryId,
    pub(crate) change: Arc<Change>,
    /// Why it did not take effect.
    pub(crate) refused: Option<RegionError>,
    /// The region from then on.
    pub(crate) region: Region,
}

/// What a command came to.
type Result2<R> = std::result::Result<R, RegionError>;

/// Executes committed entries of all regions of a store on its engine.
#[derive(Debug)]
pub struct Applier<M> {
    engine: Arc<dyn Engine>,
    machine: M,
    regions: BTreeMap<RegionId, Loaded>,
}

/// A region as the engine has it.
#[derive(Clone, Debug, Default)]
struct Loaded {
    applied: AppliedState,
    state: RegionState,
}

/// Writes of several regions that go to the engine together.
#[derive(Debug)]
struct Group<R> {
    batch: Batch,
    done: Vec<Done<R>>,
    /// Whose writes are in it: they must be in the engine before the region is executed again.
    regions: Vec<RegionId>,
}

impl<M: StateMachine> Applier<M> {
    /// Takes up what the engine holds, and finishes the installation of snapshots that a crash
    /// interrupted. To be called before [`crate::Store::open`].
    ///
    /// # Errors
    /// Those of the engine; [`Error::Inconsistent`] if a region's state cannot be read.
    pub fn open(engine: Arc<dyn Engine>, machine: M) -> Result<Applier<M>> {
        let mut applier = Applier { engine, machine, regions: BTreeMap::new() };
        applier.finish_installs()?;
        let view = applier.engine.view()?;
        for key in view.keys(Cf::Raft, format::all_region_keys(), Direction::Forward) {
            let Some((region, b'r')) = format::decode_region_key(&key?) else { continue };
            if let Some((applied, state)) = load(applier.engine.as_ref(), region)? {
                applier.regions.insert(region, Loaded { applied, state });
            }
        }
        applier.machine.reset(applier.engine.as_ref())?;
        Ok(applier)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// A region as the engine has it; none if there is nothing of it.
    #[must_use]
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.regions.get(&id).map(|loaded| &loaded.state.region)
    }

    /// Does tasks, in order. What it gives back is true once this returns.
    ///
    /// # Errors
    /// The store cannot go on: those of the engine, [`Error::Inconsistent`].
    pub fn run(&mut self, tasks: Vec<Task>) -> Result<Vec<Done<M::Response>>> {
        let mut group = Group { batch: Batch::new(), done: Vec::new(), regions: Vec::new() };
        let tasks = coalesce(tasks);
        for task in tasks {
            match task {
                Task::Apply { region, entries } => {
                    if group.regions.contains(&region) {
                        self.write(&mut group)?;
                    }
                    self.apply(region, &entries, &mut group)?;
                }
                other => {
                    self.write(&mut group)?;
                    let done = self.other(other)?;
                    group.done.extend(done);
                }
            }
        }
        self.write(&mut group)?;
        Ok(group.done)
    }

    /// Writes what has gathered.
    fn write(&self, group: &mut Group<M::Response>) -> Result<()> {
        group.regions.clear();
        let batch = std::mem::take(&mut group.batch);
        if !batch.is_empty() {
            self.engine.write(batch, Durability::Never)?;
        }
        Ok(())
    }

    /// Does a task that is no application.
    fn other(&mut self, task: Task) -> Result<Option<Done<M::Response>>> {
        match task {
            Task::Apply { .. } => unreachable!("the caller applies"),
            Task::Create { state, applied } => {
                let region = state.region.id;
                let mut batch = Batch::new();
                put_region(&mut batch, &state);
                put_applied(&mut batch, region, applied);
                self.engine.write(batch, Durability::Never)?;
                self.regions.insert(region, Loaded { applied, state });
                Ok(None)
            }
            Task::Stage { region, snapshot, number, data } => {
                let mut batch = Batch::new();
                batch.put(Cf::Raft, format::staged_key(region, snapshot, number), data);
                self.engine.write(batch, Durability::Never)?;
                Ok(None)
            }
            Task::Unstage { region, snapshot } => {
                let mut batch = Batch::new();
                batch.delete_range(Cf::Raft, format::staged_keys(region, snapshot));
                self.engine.write(batch, Durability::Never)?;
                Ok(None)
            }
            Task::Install { meta } => {
                self.install(&meta)?;
                Ok(Some(Done::Installed(meta)))
            }
            Task::Destroy { region } => {
                self.destroy(region)?;
                Ok(Some(Done::Destroyed(region)))
            }
            Task::Snapshot { region, snapshot } => {
                let source = self.take_snapshot(region, snapshot)?;
                Ok(Some(Done::Snapshot(region, source.map(Arc::new))))
            }
            Task::Flush => {
                if !mutant!("compact-unflushed") {
                    self.engine.flush()?;
                }
                let applied = |(id, it): (&RegionId, &Loaded)| (*id, it.applied.id.index);
                Ok(Some(Done::Flushed(self.regions.iter().map(applied).collect())))
            }
        }
    }

    /// Carries out entries of a region.
    fn apply(
        &mut self,
        region: RegionId,
        entries: &[Entries],
        group: &mut Group<M::Response>,
    ) -> Result<()> {
        // A region that was removed meanwhile: its entries mean nothing any more.
        let Some(mut loaded) = self.regions.get(&region).cloned() else { return Ok(()) };
        let mut done =
            Applied { region, last: loaded.applied.id, outcomes: Vec::new(), changes: Vec::new() };
        let mut segment = Segment::default();
        for entry in entries.iter().flatten() {
            if entry.index <= loaded.applied.id.index && !mutant!("apply-twice-after-restart") {
                continue;
            }
            loaded.applied.id = entry.id();
            match &entry.payload {
                Payload::Normal(data) => segment.add(entry, data, &mut loaded),
                Payload::Change(change) => {
                    self.execute(&mut segment, &loaded, &mut done, group)?;
                    done.changes.push(change_members(entry, change, &mut loaded.state));
                    put_region(&mut group.batch, &loaded.state);
                    put_applied(&mut group.batch, region, loaded.applied);
                    self.write(group)?;
                }
            }
        }
        self.execute(&mut segment, &loaded, &mut done, group)?;
        if done.last != loaded.applied.id {
            done.last = loaded.applied.id;
            if mutant!("applied-index-apart") {
                self.write(group)?;
            }
            put_applied(&mut group.batch, region, loaded.applied);
            group.regions.push(region);
            self.regions.insert(region, loaded);
        }
        group.done.push(Done::Applied(done));
        Ok(())
    }

    /// Executes the commands that have gathered.
    fn execute(
        &mut self,
        segment: &mut Segment,
        loaded: &Loaded,
        done: &mut Applied<M::Response>,
        group: &mut Group<M::Response>,
    ) -> Result<()> {
        let Segment { commands, entries } = std::mem::take(segment);
        let mut responses = Vec::new();
        if !commands.is_empty() {
            let executed =
                self.machine.execute(self.engine.as_ref(), &loaded.state.region, &commands)?;
            assert_eq!(executed.responses.len(), commands.len(), "one response a command");
            group.batch.append(executed.batch);
            responses = executed.responses;
        }
        let mut responses = responses.into_iter();
        for (id, kind) in entries {
            let outcome: Vec<Result2<M::Response>> = match kind {
                Kind::Run(count) => responses.by_ref().take(count).collect(),
                Kind::Refused(count) => {
                    let current = vec![loaded.state.region.clone()];
                    let error = RegionError::EpochNotMatch { current };
                    (0..count).map(|_| Err(error.clone())).collect()
                }
            };
            done.outcomes.push((id, outcome));
        }
        Ok(())
    }

    /// Takes a view of a region.
    fn take_snapshot(&self, region: RegionId, snapshot: u64) -> Result<Option<Source>> {
        let view = self.engine.view()?;
        let Some((applied, mut state)) = load(view.as_ref(), region)? else { return Ok(None) };
        if mutant!("snapshot-without-members") {
            state.membership = raft::Membership::default();
        }
        let ranges = M::ranges(&state.region);
        let meta = SnapshotMeta { snapshot, last: applied.id, time: applied.time, state };
        Ok(Some(Source { meta, view, ranges, owns: M::owns }))
    }
}

/// Commands of several entries that are executed at once.
#[derive(Debug, Default)]
struct Segment {
    commands: Vec<Timed>,
    entries: Vec<(EntryId, Kind)>,
}

/// What is done with the commands of an entry.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// So many are executed.
    Run(usize),
    /// So many are refused, since the region has changed.
    Refused(usize),
}

impl Segment {
    /// Adds the commands of an entry.
    fn add(&mut self, entry: &Entry, data: &Bytes, loaded: &mut Loaded) {
        // The entry that opens a term is empty. What is no envelope is nobody's.
        let Some(envelope) = Envelope::decode(data) else { return };
        let count = envelope.commands.len();
        let fits = envelope.epoch.version == loaded.state.region.epoch.version;
        if !fits && !mutant!("epoch-unchecked-at-apply") {
            self.entries.push((entry.id(), Kind::Refused(count)));
            return;
        }
        let time = loaded.applied.time.max(envelope.time);
        loaded.applied.time = time;
        let timed = |command| Timed { time, command };
        self.commands.extend(envelope.commands.into_iter().map(timed));
        self.entries.push((entry.id(), Kind::Run(count)));
    }
}

/// Carries out a membership change.
fn change_members(entry: &Entry, change: &Arc<Change>, state: &mut RegionState) -> Changed {
    let refused = match try_change(change, state) {
        Ok(new) => {
            *state = new;
            None
        }
        Err(error) => Some(error),
    };
    let region = state.region.clone();
    Changed { id: entry.id(), change: Arc::clone(change), refused, region }
}

/// The region after a membership change.
fn try_change(change: &Change, state: &RegionState) -> Result2<RegionState> {
    let refuse = |reason: String| RegionError::ServerIsBusy { reason };
    let wanted: PeerChange = format::unpack(&change.context)
        .ok_or_else(|| refuse("the membership change cannot be read".to_owned()))?;
    if wanted.epoch.conf_ver != state.region.epoch.conf_ver {
        return Err(RegionError::EpochNotMatch { current: vec![state.region.clone()] });
    }
    let (membership, _) =
        change.apply(&state.membership).map_err(|error| refuse(error.to_string()))?;
    let mut region = state.region.clone();
    region.peers.retain(|peer| peer.id != wanted.peer.id);
    if !matches!(wanted.step(), Step::Remove(_)) {
        region.peers.push(wanted.peer);
        region.peers.sort_unstable_by_key(|peer| peer.id);
    }
    region.epoch.conf_ver += 1;
    Ok(RegionState { region, membership })
}

/// Puts entries of a region that follow each other into one task.
fn coalesce(tasks: Vec<Task>) -> Vec<Task> {
    let mut out: Vec<Task> = Vec::with_capacity(tasks.len());
    // Where the task of each region stands, since the last task that is no application.
    let mut open: BTreeMap<RegionId, usize> = BTreeMap::new();
    for task in tasks {
        match task {
            Task::Apply { region, mut entries } => match open.get(&region) {
                Some(&place) => {
                    if let Task::Apply { entries: earlier, .. } = &mut out[place] {
                        earlier.append(&mut entries);
                    }
                }
                None => {
                    open.insert(region, out.len());
                    out.push(Task::Apply { region, entries });
                }
            },
            other => {
                open.clear();
                out.push(other);
            }
        }
    }
    out
}

/// Adds what a region is to a batch.
fn put_region(batch: &mut Batch, state: &RegionState) {
    batch.put(Cf::Raft, format::region_key(state.region.id, b'r'), format::pack(state));
}

/// Adds how far a region is applied to a batch.
fn put_applied(batch: &mut Batch, region: RegionId, applied: AppliedState) {
    batch.put(Cf::Raft, format::region_key(region, b'a'), applied.encode());
}

/// Where a region's state is read.
pub(crate) trait Get {
    fn get(&self, key: &[u8]) -> engine::Result<Option<Bytes>>;
}

impl Get for dyn Engine {
    fn get(&self, key: &[u8]) -> engine::Result<Option<Bytes>> {
        Engine::get(self, Cf::Raft, key)
    }
}

impl Get for dyn engine::View {
    fn get(&self, key: &[u8]) -> engine::Result<Option<Bytes>> {
        engine::View::get(self, Cf::Raft, key)
    }
}

/// Reads what the engine holds of a region.
pub(crate) fn load<G: Get + ?Sized>(
    from: &G,
    region: RegionId,
) -> Result<Option<(AppliedState, RegionState)>> {
    let state = from.get(&format::region_key(region, b'r'))?;
    let applied = from.get(&format::region_key(region, b'a'))?;
    let damaged = || Error::inconsistent(region, "its state in the engine cannot be read");
    match (state, applied) {
        (None, None) => Ok(None),
        (Some(state), Some(applied)) => {
            let applied = AppliedState::decode(&applied).ok_or_else(damaged)?;
            Ok(Some((applied, format::unpack(&state).ok_or_else(damaged)?)))
        }
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests;
