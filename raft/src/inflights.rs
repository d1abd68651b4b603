//! The window of append messages on their way to one follower.
//!
//! Invariant: the last indexes of the messages ascend, and `bytes` is the sum over the messages.

use std::collections::VecDeque;

use crate::types::Index;

/// Messages sent and not yet answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inflights {
    /// The last index and the size of each message.
    messages: VecDeque<(Index, u64)>,
    /// The size of all of them.
    bytes: u64,
}

impl Inflights {
    /// Returns how many messages are on their way.
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether no further message fits into a window of `(messages, bytes)`.
    pub fn is_full(&self, (messages_max, bytes_max): (usize, u64)) -> bool {
        self.messages.len() >= messages_max || self.bytes >= bytes_max
    }

    /// Adds a message whose last entry is at `last`.
    pub(crate) fn add(&mut self, last: Index, bytes: u64) {
        self.messages.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Removes the messages that an answer for `index` covers.
    pub(crate) fn free_to(&mut self, index: Index) {
        while let Some((last, bytes)) = self.messages.front()
            && *last <= index
        {
            self.bytes = self.bytes.saturating_sub(*bytes);
            self.messages.pop_front();
        }
    }

    /// Frees the memory if there are none.
    pub(crate) fn release_buffer(&mut self) {
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
    }

    /// Forgets all messages.
    pub(crate) fn reset(&mut self) {
        self.messages.clear();
        if !crate::mutant!("inflight_bytes_leak") {
            self.bytes = 0;
        }
    }
}
