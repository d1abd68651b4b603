//! Puts a snapshot in the place of a region's data, and removes regions.
//!
//! A snapshot may be larger than a batch, so its installation takes several. A crash in between
//! leaves a mark, and the chunks are durable before the mark is, so that the next start does it
//! again from the beginning:
//!
//! ```text
//!   chunks staged -> flush -> mark (synced) -> old data gone, chunks put -> state (synced)
//!                               |                                             | unmarks, unstages
//!                               `------- a crash here: done again ------------'
//! ```

use bytes::{Buf, Bytes};
use engine::{Batch, Cf, Direction, Durability};
use mark::mark;
use mutant::mutant;
use proto::peer::{Region, RegionId};

use super::{Applier, Loaded, load, put_applied, put_region};
use crate::error::{Error, Result};
use crate::format::{self, AppliedState, SnapshotMeta};
use crate::machine::StateMachine;

/// The most bytes of keys that one batch removes one by one.
const REMOVE_BYTES_MAX: usize = 1 << 20;

impl<M: StateMachine> Applier<M> {
    /// Installs a snapshot whose chunks are staged.
    pub(super) fn install(&mut self, meta: &SnapshotMeta) -> Result<()> {
        let region = meta.state.region.id;
        self.engine.flush()?;
        let mut mark = Batch::new();
        mark.put(Cf::Raft, format::region_key(region, b'i'), format::pack(meta));
        self.engine.write(mark, Durability::Always)?;
        self.install_marked(meta)
    }

    /// Does again what a crash interrupted.
    pub(super) fn finish_installs(&mut self) -> Result<()> {
        let view = self.engine.view()?;
        for pair in view.iter(Cf::Raft, format::all_region_keys(), Direction::Forward) {
            let (key, value) = pair?;
            let Some((region, b'i')) = format::decode_region_key(&key) else { continue };
            let meta: SnapshotMeta = format::unpack(&value).ok_or_else(|| {
                Error::inconsistent(region, "the mark of a snapshot cannot be read")
            })?;
            mark!("an installation is done again");
            self.install_marked(&meta)?;
        }
        Ok(())
    }

    /// Installs a snapshot after its mark is durable.
    fn install_marked(&mut self, meta: &SnapshotMeta) -> Result<()> {
        let state = &meta.state;
        let region = state.region.id;
        if let Some((_, old)) = load(self.engine.as_ref(), region)?
            && !mutant!("snapshot-keeps-old-data")
        {
            self.remove_data(&old.region)?;
        }
        if !mutant!("snapshot-keeps-old-data") {
            self.remove_data(&state.region)?;
        }
        let view = self.engine.view()?;
        let staged = format::staged_keys(region, meta.snapshot);
        for pair in view.iter(Cf::Raft, staged, Direction::Forward) {
            let (_, chunk) = pair?;
            let batch = put_chunk::<M>(&state.region, chunk)?;
            self.engine.write(batch, Durability::Never)?;
        }
        let applied = AppliedState { id: meta.last, time: meta.time };
        let mut batch = Batch::new();
        batch.delete(Cf::Raft, format::region_key(region, b'i'));
        batch.delete_range(Cf::Raft, format::all_staged_keys(region));
        put_region(&mut batch, state);
        put_applied(&mut batch, region, applied);
        self.engine.write(batch, Durability::Always)?;
        self.regions.insert(region, Loaded { applied, state: state.clone() });
        self.machine.reset(self.engine.as_ref())?;
        Ok(())
    }

    /// Removes a region with its data. A crash in between leaves the region's state, and it is done
    /// again.
    pub(super) fn destroy(&mut self, region: RegionId) -> Result<()> {
        if let Some((_, old)) = load(self.engine.as_ref(), region)? {
            self.remove_data(&old.region)?;
        }
        let mut batch = Batch::new();
        batch.delete_range(Cf::Raft, format::region_keys(region));
        batch.delete_range(Cf::Raft, format::all_staged_keys(region));
        self.engine.write(batch, Durability::Always)?;
        self.regions.remove(&region);
        self.machine.reset(self.engine.as_ref())?;
        Ok(())
    }

    /// Removes the data of a region.
    fn remove_data(&self, region: &Region) -> Result<()> {
        let view = self.engine.view()?;
        for (cf, range) in M::ranges(region) {
            let others = view.keys(cf, range.clone(), Direction::Forward);
            let mut mixed = false;
            for key in others {
                mixed |= !M::owns(region, cf, &key?);
                if mixed {
                    break;
                }
            }
            let mut batch = Batch::new();
            if !mixed {
                batch.delete_range(cf, range);
                self.engine.write(batch, Durability::Never)?;
                continue;
            }
            let mut bytes = 0;
            for key in view.keys(cf, range, Direction::Forward) {
                let key = key?;
                if M::owns(region, cf, &key) {
                    bytes += key.len();
                    batch.delete(cf, key);
                }
                if bytes > REMOVE_BYTES_MAX {
                    bytes = 0;
                    self.engine.write(std::mem::take(&mut batch), Durability::Never)?;
                }
            }
            self.engine.write(batch, Durability::Never)?;
        }
        Ok(())
    }
}

/// The writes of a chunk; its layout is drawn at `snapshot::put_pair`.
fn put_chunk<M: StateMachine>(region: &Region, mut chunk: Bytes) -> Result<Batch> {
    let mut batch = Batch::new();
    while !chunk.is_empty() {
        let (cf, key, value) = take_pair(&mut chunk).ok_or_else(|| damaged(region.id))?;
        if M::owns(region, cf, &key) {
            batch.put(cf, key, value);
        }
    }
    Ok(batch)
}

fn damaged(region: RegionId) -> Error {
    Error::inconsistent(region, "a chunk of a snapshot is no list of pairs")
}

/// Takes a pair off a chunk.
fn take_pair(chunk: &mut Bytes) -> Option<(Cf, Bytes, Bytes)> {
    let cf = Cf::from_number(chunk.try_get_u8().ok()?)?;
    let mut part = || {
        let length = chunk.try_get_u32().ok()? as usize;
        (length <= chunk.len()).then(|| chunk.split_to(length))
    };
    Some((cf, part()?, part()?))
}

/// Whether a chunk is a list of pairs of the region, outside of `Cf::Raft`. Checked before a chunk
/// of a peer is kept.
pub(crate) fn is_chunk(mut chunk: Bytes) -> bool {
    while !chunk.is_empty() {
        match take_pair(&mut chunk) {
            Some((cf, key, value))
                if cf != Cf::Raft
                    && key.len() <= engine::KEY_BYTES_MAX
                    && value.len() <= engine::VALUE_BYTES_MAX => {}
            _ => return false,
        }
    }
    true
}
