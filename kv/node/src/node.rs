//! The store as its driver sees it, in whichever mode it runs.

use engine::{Batch, Engine};

use crate::solo::Solo;
use crate::{Chunk, Response, Result, Time};

/// What a call of a [`Node`] came to. The responses may be released once the batch is durable.
#[derive(Debug, Default)]
pub struct Group {
    /// What to write, atomically.
    pub batch: Batch,
    /// The answers: one list for each chunk, one answer for each command, in order.
    pub responses: Vec<Vec<Response>>,
    /// Of a tick: whether more is due, so that the next tick should come soon.
    pub has_more: bool,
}

/// A store, by how it replicates. It has one driver, which calls it again only after the engine
/// has the batch of the call before.
#[derive(Debug)]
pub enum Node {
    /// It does not: it stands alone.
    Solo(Solo),
}

impl Node {
    /// Makes a store that stands alone of what the engine holds.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn solo(engine: &dyn Engine) -> Result<Node> {
        Ok(Node::Solo(Solo::open(engine)?))
    }

    /// Executes chunks one after the other as one group: one batch, to be made durable before any
    /// of the responses is released. Every read sees the writes before it.
    pub fn execute(&mut self, engine: &dyn Engine, chunks: &[Chunk], now: Time) -> Group {
        match self {
            Node::Solo(solo) => solo.execute(engine, chunks, now),
        }
    }

    /// Removes some of the keys that have expired: at most
    /// [`SWEEP_KEYS_MAX`](crate::SWEEP_KEYS_MAX), so that nobody waits long.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn tick(&mut self, engine: &dyn Engine, now: Time) -> Result<Group> {
        match self {
            Node::Solo(solo) => solo.tick(engine, now),
        }
    }
}
