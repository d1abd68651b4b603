//! The wall clock, made monotone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use node::Time;

/// The wall clock, but it never goes back: where the system's clock is set back, it stands still.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The latest time that was told, in milliseconds since the epoch.
    latest_ms: AtomicU64,
}

impl Clock {
    /// The time now.
    pub(crate) fn now(&self) -> Time {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        // Most calls within a millisecond change nothing, and write nothing.
        let latest = self.latest_ms.load(Ordering::Relaxed);
        if ms > latest {
            Time(self.latest_ms.fetch_max(ms, Ordering::Relaxed).max(ms))
        } else {
            Time(latest)
        }
    }
}
