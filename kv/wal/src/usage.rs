//! How many bytes of each segment are still needed.

use std::collections::BTreeMap;

/// Live bytes by segment. A segment that is not listed has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    live: BTreeMap<u32, u64>,
}

impl Usage {
    pub(crate) fn add(&mut self, seq: u32, bytes: u64) {
        *self.live.entry(seq).or_default() += bytes;
    }

    pub(crate) fn sub(&mut self, seq: u32, bytes: u64) {
        if let Some(live) = self.live.get_mut(&seq) {
            *live = live.checked_sub(bytes).expect("no more leaves a segment than came in");
            if *live == 0 {
                self.live.remove(&seq);
            }
        }
    }

    /// The live bytes of a segment.
    pub(crate) fn of(&self, seq: u32) -> u64 {
        self.live.get(&seq).copied().unwrap_or(0)
    }

    /// The oldest segment with live bytes.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.live.keys().next().copied()
    }
}
