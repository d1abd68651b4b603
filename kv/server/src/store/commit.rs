//! Carrying out one group: through the node, into the engine, and only then the answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::{Batch, Durability, Engine};
use mutant::mutant;
use node::{Chunk, Failure, Node};
use parking_lot::MutexGuard;

use super::{Answer, Outcome, Store, StoreError};
use crate::store::mailbox::Submission;

/// The node, and what it is to be called with.
#[derive(Debug)]
pub(super) struct Committer {
    node: Node,
    /// Whether it panicked, and must not be called again.
    is_stopped: bool,
}

impl Committer {
    pub(super) fn new(engine: &dyn Engine) -> node::Result<Committer> {
        Ok(Committer { node: Node::solo(engine)?, is_stopped: false })
    }
}

/// A group that takes less is quick: to wait for it costs a worker no more than to hand it over.
const QUICK: Duration = Duration::from_millis(1);

impl Store {
    /// Carries out submissions on the worker's own thread, or gives them back for the write
    /// thread: where they wait for the disk, unless that delays nobody, is quick, and no other
    /// group is under way with which they could share a sync.
    pub(super) fn commit_here(
        &self,
        submissions: Vec<Submission>,
        delays_nobody: bool,
    ) -> Result<Vec<Answer>, Vec<Submission>> {
        if self.durability != Durability::Always {
            return Ok(self.commit(submissions));
        }
        if !delays_nobody || self.commit_time() > QUICK {
            return Err(submissions);
        }
        match self.committer.try_lock() {
            Some(committer) => Ok(self.commit_with(committer, submissions)),
            None => Err(submissions),
        }
    }

    /// What a group took lately.
    pub(super) fn commit_time(&self) -> Duration {
        Duration::from_nanos(self.commit_nanos.load(Ordering::Relaxed))
    }

    /// Carries out submissions as one group.
    pub(super) fn commit(&self, submissions: Vec<Submission>) -> Vec<Answer> {
        self.commit_with(self.committer.lock(), submissions)
    }

    fn commit_with(
        &self,
        mut committer: MutexGuard<'_, Committer>,
        submissions: Vec<Submission>,
    ) -> Vec<Answer> {
        let started = Instant::now();
        let (chunks, replies): (Vec<_>, Vec<_>) =
            submissions.into_iter().map(|it| (it.chunk, it.reply)).unzip();
        let outcomes = self.execute_or_stop(&mut committer, &chunks);
        let took = (self.commit_time() * 7 + started.elapsed()) / 8;
        // Under the lock, so no other thread writes it.
        self.commit_nanos.store(took.as_nanos().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        drop(committer);
        self.metrics.groups.inc();
        self.metrics.group_chunks.observe(chunks.len() as u64);
        replies
            .into_iter()
            .zip(outcomes)
            .map(|(reply, outcome)| Answer { reply, outcome })
            .collect()
    }

    /// Executes chunks as one group. After a panic nobody knows what the node and the engine hold,
    /// so nothing is written any more; clients hear so instead of waiting for ever.
    fn execute_or_stop(&self, committer: &mut Committer, chunks: &[Chunk]) -> Vec<Outcome> {
        if committer.is_stopped {
            return chunks.iter().map(|_| Err(StoreError::Stopped)).collect();
        }
        let node = &mut committer.node;
        match catch_unwind(AssertUnwindSafe(|| self.execute(node, chunks))) {
            Ok(outcomes) => outcomes,
            Err(_) => {
                committer.is_stopped = true;
                self.halt.halt("carrying out a group of writes panicked".to_owned());
                chunks.iter().map(|_| Err(StoreError::Lost)).collect()
            }
        }
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
        result.inspect_err(|error| self.halt_after(error))
    }

    /// Has the process end after an error that leaves open what is on the disk.
    fn halt_after(&self, error: &engine::Error) {
        if matches!(error, engine::Error::Io { .. } | engine::Error::Poisoned(_)) {
            let source = std::error::Error::source(error);
            let source = source.map(|it| format!(": {it}")).unwrap_or_default();
            self.halt.halt(format!("a write failed: {error}{source}"));
        }
    }

    /// Removes some of the keys that have expired. Gives whether more are due.
    pub(super) fn tick(&self) -> bool {
        let mut committer = self.committer.lock();
        if committer.is_stopped {
            return false;
        }
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
                self.halt_after(&error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
