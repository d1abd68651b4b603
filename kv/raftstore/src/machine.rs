//! The state machine of a region: [`StateMachine`], and the keys that are its: [`range_of`].

use std::fmt::Debug;

use bytes::Bytes;
use engine::{Batch, Cf, Engine, Range};
use proto::peer::{Region, RegionError};

/// A command with the moment at which it is carried out: the same on every replica, and not before
/// that of the command before it in the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The moment, in the state machine's unit.
    pub time: u64,
    /// The command as it was proposed.
    pub command: Bytes,
}

/// What commands came to.
#[derive(Clone, Debug)]
pub struct Executed<R> {
    /// What to write, atomically.
    pub batch: Batch,
    /// One for each command, in order. An error means that the command changed nothing.
    pub responses: Vec<Result<R, RegionError>>,
}

/// The keys of a region as a range of the engine's.
#[must_use]
pub fn range_of(region: &Region) -> Range {
    let end = (!region.end.is_empty()).then(|| region.end.clone());
    Range { start: region.start.clone(), end }
}

/// What carries out the commands of regions on an engine. It must be deterministic: the same
/// commands at the same times on the same state of the region give the same batch and responses.
pub trait StateMachine: Debug + Send + 'static {
    /// What a command answers.
    type Response: Debug + Send + 'static;

    /// Carries out commands of a region, one after the other; each sees the writes before it. A
    /// command with a key outside of the region changes nothing.
    ///
    /// # Errors
    /// If the engine cannot be read. The replica stops then: it must not answer, or go on, as if
    /// that were the command's outcome.
    fn execute(
        &mut self,
        engine: &dyn Engine,
        region: &Region,
        commands: &[Timed],
    ) -> engine::Result<Executed<Self::Response>>;

    /// Learns anew what it remembers of the engine: a region's data was replaced or removed.
    ///
    /// # Errors
    /// Those of the engine.
    fn reset(&mut self, engine: &dyn Engine) -> engine::Result<()>;

    /// Where in the engine the keys of a region are. There may be keys of others between them, if
    /// [`StateMachine::owns`] tells them apart.
    fn ranges(region: &Region) -> Vec<(Cf, Range)>;

    /// Whether a key found in one of the region's ranges belongs to the region.
    fn owns(region: &Region, cf: Cf, key: &[u8]) -> bool;
}
