//! The apply thread: it carries committed entries out on the engine, apart from the raft thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;
use raftstore::{Applier, Task};

use super::Machine;
use super::inbox::{Event, Inbox};
use super::metrics::ClusterMetrics;

/// Does tasks until there will be no more. What waits together is done together.
pub(super) fn run(
    mut applier: Applier<Machine>,
    tasks: &Receiver<Vec<Task>>,
    inbox: &Arc<Inbox>,
    metrics: &Arc<ClusterMetrics>,
) {
    while let Ok(mut group) = tasks.recv() {
        tasks.try_iter().for_each(|more| group.extend(more));
        let started = Instant::now();
        let reason = match catch_unwind(AssertUnwindSafe(|| applier.run(group))) {
            Ok(Ok(done)) => {
                let took = started.elapsed().as_micros();
                metrics.apply_us.observe(u64::try_from(took).unwrap_or(u64::MAX));
                inbox.push(Event::Applied(done));
                continue;
            }
            Ok(Err(error)) => {
                let source = std::error::Error::source(&error);
                let source = source.map(|it| format!(": {it}")).unwrap_or_default();
                format!("entries cannot be applied: {error}{source}")
            }
            Err(_) => "applying entries panicked; the log of this program says more".to_owned(),
        };
        return inbox.push(Event::Failed(reason));
    }
}
