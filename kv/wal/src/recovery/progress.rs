//! How far a recovery has come: [`Progress`].

use std::fmt;
use std::sync::Arc;

/// How far a recovery has come. What follows the last segment, putting the index together, takes a
/// small part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segments that are read.
    pub segments: usize,
    /// Segments that there are.
    pub of: usize,
}

/// Who is told of the [`Progress`] of a recovery: after each segment, by the thread that read it.
/// One after another, so that the numbers only grow.
#[derive(Clone)]
pub struct Watch(Arc<dyn Fn(Progress) + Send + Sync>);

impl Watch {
    /// Has a function called, which must be quick.
    pub fn new(told: impl Fn(Progress) + Send + Sync + 'static) -> Watch {
        Watch(Arc::new(told))
    }

    pub(crate) fn tell(&self, progress: Progress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
