//! The apply thread: it carries committed entries out on the engine, apart from the raft thread.
//!
//! What it erases it announces before, so that readers take nothing from it; see [`Erasures`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crossbeam_channel::Receiver;
use engine::Range;
use mutant::mutant;
use node::Response;
use raftstore::{Applier, Done, Task, range_of};

use super::Machine;
use super::erasures::Erasures;
use super::inbox::{Event, Inbox};
use super::metrics::ClusterMetrics;

/// Does tasks until there will be no more. What waits together is done together.
pub(super) fn run(
    mut applier: Applier<Machine>,
    tasks: &Receiver<(u64, Vec<Task>)>,
    (inbox, erasures): (&Inbox, &Erasures),
    metrics: &ClusterMetrics,
) {
    while let Ok((mut bytes, mut group)) = tasks.recv() {
        for (more_bytes, more) in tasks.try_iter() {
            bytes += more_bytes;
            group.extend(more);
        }
        let started = Instant::now();
        let reason =
            match catch_unwind(AssertUnwindSafe(|| carry_out(&mut applier, group, erasures))) {
                Ok(Ok(done)) => {
                    let took = started.elapsed().as_micros();
                    metrics.apply_us.observe(u64::try_from(took).unwrap_or(u64::MAX));
                    inbox.push(Event::Applied { done, bytes });
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

/// Carries a group of tasks out.
pub(super) fn carry_out(
    applier: &mut Applier<Machine>,
    group: Vec<Task>,
    erasures: &Erasures,
) -> raftstore::Result<Vec<Done<Vec<Response>>>> {
    let erased = erased(applier, &group);
    if erased.is_empty() || mutant!("erasures-unannounced") {
        return applier.run(group);
    }
    let _erasing = erasures.begin(erased);
    applier.run(group)
}

/// The engine's keys that a group of tasks erases.
fn erased(applier: &Applier<Machine>, group: &[Task]) -> Vec<Range> {
    let mut erased = Vec::new();
    for task in group {
        let region = match task {
            Task::Destroy { region } => *region,
            Task::Install { meta } => {
                erased.push(range_of(&meta.state.region));
                meta.state.region.id
            }
            _ => continue,
        };
        // One that comes with this group has no reader yet.
        erased.extend(applier.region(region).map(range_of));
    }
    erased
}
