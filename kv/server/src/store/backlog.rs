//! Answers that wait for their clients, bounded over all connections.
//!
//! A connection that does not read stops being read, so one holds a bounded number of answers; but
//! answers can be large, and connections many. What is there for clients that do not take it is
//! counted here. Where there is no room, a read of the native protocol is answered with `ServerIsBusy`
//! instead of its value, and a connection that takes no answers is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mutant::mutant;
use node::Response;

use super::Outcome;

/// What one is told whose answer finds no room.
pub(crate) const NO_ROOM: &str = "too many answers wait for clients that do not take them";

/// How many bytes of answers wait.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// Room for some bytes, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Backlog {
    /// Room for so many bytes. Where nothing else waits, one answer may go beyond.
    pub(crate) fn new(bytes_max: usize) -> Arc<Backlog> {
        Arc::new(Backlog { bytes: AtomicUsize::new(0), bytes_max })
    }

    /// Takes room, if there is some.
    pub(crate) fn try_hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let held = self.hold(bytes);
        let all = self.bytes();
        (all <= self.bytes_max || all == bytes || mutant!("backlog-unbounded")).then_some(held)
    }

    /// Takes room that there may not be: for what was done and cannot be taken back.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        Held { backlog: Arc::clone(self), bytes }
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// How many bytes of values an outcome holds.
pub(super) fn bytes_of(outcome: &Outcome) -> usize {
    let Ok(responses) = outcome else { return 0 };
    responses.iter().map(response_bytes).sum()
}

fn response_bytes(response: &Response) -> usize {
    match response {
        Response::Value(Some(value)) | Response::Stored { previous: Some(value), .. } => {
            value.len()
        }
        Response::Values(values) => values.iter().flatten().map(|it| it.len()).sum(),
        Response::Pairs(pairs) => pairs.iter().map(|(key, value)| key.len() + value.len()).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Backlog;

    #[test]
    fn what_waits_is_bounded_and_given_back() {
        let backlog = Backlog::new(100);
        let large = backlog.try_hold(1000).expect("one may be larger");
        assert!(backlog.try_hold(1).is_none());
        drop(large);
        let first = backlog.try_hold(60).expect("there is room");
        assert!(backlog.try_hold(41).is_none());
        let done = backlog.hold(50);
        assert_eq!(backlog.bytes(), 110);
        drop((first, done));
        assert_eq!(backlog.bytes(), 0);
    }
}
