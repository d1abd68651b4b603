//! What a batch comes to: its writes in the order in which an index takes them.

use bytes::Bytes;

use crate::{Batch, Cf, Error, Range, Result, Write};
use mutant::mutant;

/// Most bytes in a key.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// Most bytes in a value.
pub const VALUE_BYTES_MAX: usize = 512 << 20;

/// Most bytes of keys and values in a batch.
pub const BATCH_BYTES_MAX: usize = 1 << 30;

/// The last write of a key in a batch.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) cf: Cf,
    pub(crate) key: Bytes,
    /// The value; `None` removes the key.
    pub(crate) value: Option<Bytes>,
}

/// The same as a batch: first all ranges are removed, then each key is written at most once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) ranges: Vec<(Cf, Range)>,
    /// Ascending by column family and key, each once.
    pub(crate) points: Vec<Point>,
}

impl Plan {
    /// Orders the writes of a batch.
    pub(crate) fn new(batch: Batch) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut bytes = 0;
        let writes = batch.into_iter();
        plan.points.reserve_exact(writes.len());
        for write in writes {
            bytes += check(&write)?;
            match write {
                Write::Put { cf, key, value } => {
                    let cf = if mutant!("column-families-mixed") { Cf::Default } else { cf };
                    plan.points.push(Point { cf, key, value: Some(value) });
                }
                Write::Delete { cf, key } => plan.points.push(Point { cf, key, value: None }),
                Write::DeleteRange { cf, range } => {
                    plan.points.retain(|point| point.cf != cf || !range.contains(&point.key));
                    if range.end.as_ref().is_none_or(|end| range.start < *end) {
                        plan.ranges.push((cf, range));
                    }
                }
            }
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "the batch has {bytes} bytes, more than {BATCH_BYTES_MAX}: split it"
            )));
        }
        plan.sort();
        Ok(plan)
    }

    fn sort(&mut self) {
        let ascending = |a: &Point, b: &Point| (a.cf, &a.key) < (b.cf, &b.key);
        if self.points.is_sorted_by(ascending) {
            return;
        }
        self.points.sort_by(|a, b| (a.cf, &a.key).cmp(&(b.cf, &b.key)));
        // Of several writes of a key the last one stays.
        let mut kept: Vec<Point> = Vec::with_capacity(self.points.len());
        for point in self.points.drain(..) {
            match kept.last_mut() {
                Some(last) if last.cf == point.cf && last.key == point.key => *last = point,
                _ => kept.push(point),
            }
        }
        self.points = kept;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.points.is_empty()
    }
}

/// Checks the limits of a write, and returns its size in bytes.
fn check(write: &Write) -> Result<usize> {
    let (keys, value) = match write {
        Write::Put { key, value, .. } => ([key.len(), 0], value.len()),
        Write::Delete { key, .. } => ([key.len(), 0], 0),
        Write::DeleteRange { range, .. } => {
            ([range.start.len(), range.end.as_ref().map_or(0, Bytes::len)], 0)
        }
    };
    if let Some(bytes) = keys.iter().find(|&&bytes| bytes > KEY_BYTES_MAX) {
        return Err(Error::Invalid(format!("a key has {bytes} bytes, more than {KEY_BYTES_MAX}")));
    }
    if value > VALUE_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "a value has {value} bytes, more than {VALUE_BYTES_MAX}"
        )));
    }
    Ok(keys[0] + keys[1] + value)
}
