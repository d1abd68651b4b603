//! Virtual time: what is going to happen, in order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Virtual time in microseconds since the start of a run.
pub type Micros = u64;

/// A thousand microseconds.
pub const MILLI: Micros = 1_000;
/// A million microseconds.
pub const SECOND: Micros = 1_000_000;

/// Events by time, and of those at one time by the order in which they were added.
#[derive(Debug)]
pub struct Queue<E> {
    now: Micros,
    added: u64,
    events: BinaryHeap<Reverse<Scheduled<E>>>,
}

impl<E> Queue<E> {
    /// Nothing, at time 0.
    #[must_use]
    pub fn new() -> Queue<E> {
        Queue { now: 0, added: 0, events: BinaryHeap::new() }
    }

    /// The time of the last event that was taken.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Adds an event that happens after a while.
    pub fn add(&mut self, delay: Micros, event: E) {
        self.added += 1;
        let at = self.now.saturating_add(delay);
        self.events.push(Reverse(Scheduled { at, order: self.added, event }));
    }

    /// Takes the next event, if it is due by `end`; otherwise lets the time pass until then.
    pub fn next_until(&mut self, end: Micros) -> Option<E> {
        match self.events.peek() {
            Some(Reverse(next)) if next.at <= end => {
                let Reverse(next) = self.events.pop()?;
                self.now = next.at;
                Some(next.event)
            }
            _ => {
                self.now = self.now.max(end);
                None
            }
        }
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue::new()
    }
}

#[derive(Debug)]
struct Scheduled<E> {
    at: Micros,
    order: u64,
    event: E,
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Scheduled<E>) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<E> Eq for Scheduled<E> {}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Scheduled<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Scheduled<E> {
    fn cmp(&self, other: &Scheduled<E>) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_order() {
        let mut queue = Queue::new();
        for (delay, name) in [(5, "c"), (3, "a"), (5, "d"), (3, "b"), (9, "e")] {
            queue.add(delay, name);
        }
        let seen: Vec<_> = std::iter::from_fn(|| queue.next_until(8)).collect();
        assert_eq!((seen, queue.now()), (vec!["a", "b", "c", "d"], 8));
        assert_eq!((queue.next_until(9), queue.now()), (Some("e"), 9));
    }
}
