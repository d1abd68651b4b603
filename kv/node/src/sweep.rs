//! Removing keys that have expired, a bounded slice at a time.

use engine::{Batch, Cf, Direction, Engine, View};

use crate::format::{RAW_CFS, decode_expiry, decode_value, expiry_range, expiry_range_all};
use crate::{Result, Time};

/// The most entries that one [`Node::tick`](crate::Node::tick) looks at.
pub const SWEEP_KEYS_MAX: usize = 1024;

/// What a slice of the sweep came to.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// What to write.
    pub(crate) batch: Batch,
    /// Whether more was due than one slice takes.
    pub(crate) has_more: bool,
}

/// Finds keys that are due at `now`, and writes their removal.
pub(crate) fn sweep(engine: &dyn Engine, now: Time) -> Result<Sweep> {
    let view = engine.view()?;
    let mut sweep = Sweep::default();
    let mut left = SWEEP_KEYS_MAX;
    for cf in RAW_CFS {
        for entry in view.keys(Cf::Expiry, expiry_range(cf, now), Direction::Forward) {
            if left == 0 {
                sweep.has_more = true;
                return Ok(sweep);
            }
            left -= 1;
            let entry = entry?;
            if let Some((_, key)) = decode_expiry(&entry) {
                // The entry may be stale: the key's own value decides.
                let stored = view.get(cf, &key)?;
                let value = stored.and_then(|stored| decode_value(&stored).ok());
                if value.is_some_and(|value| !value.is_alive(now)) {
                    sweep.batch.delete(cf, key);
                }
            }
            sweep.batch.delete(Cf::Expiry, entry);
        }
    }
    Ok(sweep)
}

/// Which column families hold a key that may expire, by [`Cf::index`].
pub(crate) fn expiring(view: &dyn View) -> engine::Result<[bool; Cf::ALL.len()]> {
    let mut expiring = [false; Cf::ALL.len()];
    for cf in RAW_CFS {
        let first = view.keys(Cf::Expiry, expiry_range_all(cf), Direction::Forward).next();
        expiring[cf.index()] = first.transpose()?.is_some();
    }
    Ok(expiring)
}
