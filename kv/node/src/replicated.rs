//! A store of a cluster: [`Replicated`].
//!
//! It is the commands' side of a [`raftstore::Store`]: it finds the region of a client's commands,
//! decides what needs the log and what is only read, and has the leader remove what has expired.

use std::collections::BTreeMap;

use engine::Engine;
use proto::peer::{Epoch, Region, RegionError, RegionId};
use raftstore::{Answer, Command as Proposal, KeySpan, Ready, Store};

use crate::codec::{encode_chunk, encode_sweep};
use crate::format::encode_range;
use crate::machine::{due, span_of};
use crate::split::{self, Place, Spot};
use crate::{Chunk, Response, Scan, Time};

/// Tags from here on are this module's own.
const OWN_TAGS: u64 = 1 << 63;

/// What a store of a cluster wants done. `answers` holds the responses of a chunk, one a command;
/// the reads of `reads` are to be carried out by the caller with [`crate::read()`] or
/// [`crate::scan()`], on a view that is taken before `tasks` go to the applier.
pub type Output = Ready<Vec<Response>>;

/// What a client asks, of which region.
#[derive(Clone, Debug)]
pub struct Request {
    /// The caller's name for it, below 2^63, not used for another one that is not answered.
    pub tag: u64,
    /// The region and its epoch as the client knows them; none: the store finds the region.
    pub region: Option<(RegionId, Epoch)>,
    /// The present time.
    pub now: Time,
    /// After how many ticks it is given up. At least 1.
    pub deadline_ticks: u32,
}

/// A store of a cluster. All that is not about commands is done with the [`Store`] in it.
#[derive(Debug)]
pub struct Replicated {
    /// The regions.
    pub store: Store<Vec<Response>>,
    /// Requests that failed before they reached a region.
    failed: Vec<Answer<Vec<Response>>>,
    /// The sweeps that are on their way, by tag, and their regions.
    sweeping: BTreeMap<u64, RegionId>,
    sweeps: u64,
}

impl Replicated {
    /// Makes it of a store that was opened.
    #[must_use]
    pub fn new(store: Store<Vec<Response>>) -> Replicated {
        Replicated { store, failed: Vec::new(), sweeping: BTreeMap::new(), sweeps: 0 }
    }

    /// Takes a chunk of commands. If all of them are reads, its tag comes in [`Ready::reads`] when
    /// the caller may carry them out; otherwise its responses come in [`Ready::answers`]. In either
    /// case a refusal comes in [`Ready::answers`].
    pub fn execute(&mut self, request: &Request, chunk: &Chunk) {
        debug_assert!(request.tag < OWN_TAGS, "the tag is one of this module's own");
        let anywhere = |region: &Region| span_of(chunk, region);
        let (region, epoch, keys) = match self.find(request, anywhere) {
            Ok(found) => found,
            Err(error) => return self.fail(request.tag, error),
        };
        if chunk.commands.iter().all(crate::Command::is_read) {
            let Request { tag, deadline_ticks, .. } = *request;
            return self.store.read(tag, region, epoch, &keys, deadline_ticks);
        }
        self.propose_at(request, Spot { region, epoch, keys }, chunk);
    }

    /// Finds where the keys of a chunk lie, among the regions on this store.
    ///
    /// # Errors
    /// `RegionNotFound` if one of them is not here.
    pub fn place(&self, chunk: &Chunk) -> Result<Place, RegionError> {
        split::place(chunk, |key| self.store.region_of(key))
    }

    /// Takes a chunk of commands whose place is known, reads too: its responses come in
    /// [`Ready::answers`]. [`Request::region`] does not matter.
    pub fn propose_at(&mut self, request: &Request, spot: Spot, chunk: &Chunk) {
        let Spot { region, epoch, keys } = spot;
        let (tag, deadline_ticks) = (request.tag, request.deadline_ticks);
        let (command, time) = (encode_chunk(chunk), request.now.0);
        self.store.propose(Proposal { tag, region, epoch, keys, command, time, deadline_ticks });
    }

    /// Takes a scan. Its tag comes in [`Ready::reads`] when the caller may carry it out.
    pub fn scan(&mut self, request: &Request, scan: &Scan) {
        let found = self.find(request, |_| span_of_scan(scan));
        match found {
            Err(error) => self.fail(request.tag, error),
            Ok((region, epoch, keys)) => {
                self.store.read(request.tag, region, epoch, &keys, request.deadline_ticks);
            }
        }
    }

    /// Proposes the removal of keys that have expired, in the regions that this store leads.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn sweep(&mut self, engine: &dyn Engine, now: Time) -> engine::Result<()> {
        let store = &self.store;
        let is_swept = |region: RegionId| self.sweeping.values().any(|it| *it == region);
        if !store.regions().any(|region| store.is_leader(region)) {
            return Ok(());
        }
        let due = due(engine, now, |key| {
            let region = store.region_of(key)?.id;
            (store.is_leader(region) && !is_swept(region)).then_some(region)
        })?;
        for (id, entries) in due {
            let Some(region) = self.store.region(id) else { continue };
            let (epoch, keys) = (region.epoch, KeySpan::none_in(region));
            self.sweeps += 1;
            let tag = OWN_TAGS + self.sweeps;
            self.sweeping.insert(tag, id);
            self.store.propose(Proposal {
                tag,
                region: id,
                epoch,
                keys,
                command: encode_sweep(&entries),
                time: now.0,
                deadline_ticks: 100,
            });
        }
        Ok(())
    }

    /// Whether [`Replicated::ready`] would have anything to do.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.failed.is_empty() || self.store.has_ready()
    }

    /// Returns the work that has gathered.
    pub fn ready(&mut self) -> Output {
        let mut output = self.store.ready();
        output.answers.append(&mut self.failed);
        if !self.sweeping.is_empty() {
            output.answers.retain(|answer| self.sweeping.remove(&answer.tag).is_none());
        }
        output
    }

    /// Finds the region of a request.
    fn find(
        &self,
        request: &Request,
        keys: impl Fn(&Region) -> KeySpan,
    ) -> Result<(RegionId, Epoch, KeySpan), RegionError> {
        if let Some((id, epoch)) = request.region {
            let not_found = RegionError::RegionNotFound { region: id };
            let region = self.store.region(id).ok_or(not_found)?;
            return Ok((id, epoch, keys(region)));
        }
        // What touches no key can go anywhere.
        let span = keys(&Region::default());
        let region = self.store.region_of(&span.first);
        let region = region.ok_or(RegionError::RegionNotFound { region: RegionId(0) })?;
        Ok((region.id, region.epoch, keys(region)))
    }

    fn fail(&mut self, tag: u64, error: RegionError) {
        self.failed.push(Answer { tag, result: Err(error) });
    }
}

/// The engine's keys that a scan may read.
#[must_use]
pub fn span_of_scan(scan: &Scan) -> KeySpan {
    let range = encode_range(&scan.start, scan.end.as_deref());
    let last = range.end.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    KeySpan { first: range.start, last }
}
