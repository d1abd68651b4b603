//! Carrying out one group: through the node, into the engine, and only then the answers.

use std::sync::Arc;

use engine::{Batch, Durability, Engine};
use mutant::mutant;
use node::{Chunk, Failure, Node};

use super::{Answer, Outcome, Store, StoreError};
use crate::store::mailbox::Submission;

/// The node, and what it is to be called with.
#[derive(Debug)]
pub(super) struct Committer {
    node: Node,
}

impl Committer {
    pub(super) fn new(engine: &dyn Engine) -> node::Result<Committer> {
        Ok(Committer { node: Node::solo(engine)? })
    }
}

impl Store {
    /// Carries out submissions as one group.
    pub(super) fn commit(&self, submissions: Vec<Submission>) -> Vec<Answer> {
        let (chunks, replies): (Vec<_>, Vec<_>) =
            submissions.into_iter().map(|it| (it.chunk, it.reply)).unzip();
        let mut committer = self.committer.lock();
        let outcomes = self.execute(&mut committer.node, &chunks);
        drop(committer);
        self.metrics.groups.inc();
        self.metrics.group_chunks.observe(chunks.len() as u64);
        replies
            .into_iter()
            .zip(outcomes)
            .map(|(reply, outcome)| Answer { reply, outcome })
            .collect()
    }

    /// Executes chunks as one group. Where the disk is full each chunk is tried by itself, since
    /// the engine still takes those that free space.
    fn execute(&self, node: &mut Node, chunks: &[Chunk]) -> Vec<Outcome> {
        let now = self.clock.now();
        let group = node.execute(self.engine.as_ref(), chunks, now);
        match self.write(group.batch) {
            Ok(()) => group.responses.into_iter().map(Ok).collect(),
            Err(engine::Error::DiskFull { .. }) if chunks.len() > 1 => chunks
                .iter()
                .flat_map(|chunk| self.execute(node, std::slice::from_ref(chunk)))
                .collect(),
            Err(error) => {
                log::error!("a write failed"; "error" => error.to_string());
                let failure = Failure::Engine(Arc::new(error));
                chunks.iter().map(|_| Err(StoreError::Failed(failure.clone()))).collect()
            }
        }
    }

    /// Makes a batch as durable as configured.
    fn write(&self, batch: Batch) -> engine::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if mutant!("ack-before-durable") {
            let engine = Arc::clone(&self.engine);
            let durability = self.durability;
            std::thread::spawn(move || engine.write(batch, durability));
            return Ok(());
        }
        let result = self.engine.write(batch, self.durability);
        let failure = result.as_ref().err().map(ToString::to_string);
        *self.failure.lock() = failure;
        result
    }

    /// Removes some of the keys that have expired. Gives whether more are due.
    pub(super) fn tick(&self) -> bool {
        let mut committer = self.committer.lock();
        let result = committer.node.tick(self.engine.as_ref(), self.clock.now());
        let group = match result {
            Ok(group) => group,
            Err(failure) => {
                log::warn!("expired keys cannot be removed"; "error" => failure.to_string());
                return false;
            }
        };
        self.metrics.swept.inc_by(group.batch.len() as u64);
        // Nobody waits for it, and it is done again if it is lost.
        let durability = match self.durability {
            Durability::Always | Durability::Interval => Durability::Interval,
            Durability::Never => Durability::Never,
        };
        if group.batch.is_empty() {
            return false;
        }
        match self.engine.write(group.batch, durability) {
            Ok(()) => group.has_more,
            Err(error) => {
                log::warn!("expired keys cannot be removed"; "error" => error.to_string());
                false
            }
        }
    }
}
