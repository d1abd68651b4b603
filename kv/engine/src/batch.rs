//! A list of writes that happen together or not at all.

use bytes::Bytes;

use crate::{Cf, Range};

/// One change inside a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key to a value.
    Put {
        /// Where the key lives.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// The value; an empty one is a value.
        value: Bytes,
    },
    /// Removes a key. It is no error if it is absent.
    Delete {
        /// Where the key lives.
        cf: Cf,
        /// The key.
        key: Bytes,
    },
    /// Removes all keys of a range.
    DeleteRange {
        /// Where the keys live.
        cf: Cf,
        /// The keys to remove.
        range: Range,
    },
}

/// An ordered list of writes, applied atomically by [`Engine::write`](crate::Engine::write): a
/// later write of a key wins over an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds a put.
    pub fn put(&mut self, cf: Cf, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Batch {
        self.writes.push(Write::Put { cf, key: key.into(), value: value.into() });
        self
    }

    /// Adds a delete.
    pub fn delete(&mut self, cf: Cf, key: impl Into<Bytes>) -> &mut Batch {
        self.writes.push(Write::Delete { cf, key: key.into() });
        self
    }

    /// Adds the removal of a range.
    pub fn delete_range(&mut self, cf: Cf, range: Range) -> &mut Batch {
        self.writes.push(Write::DeleteRange { cf, range });
        self
    }

    /// Adds all writes of another batch after those of this one.
    pub fn append(&mut self, mut other: Batch) -> &mut Batch {
        self.writes.append(&mut other.writes);
        self
    }

    /// The writes in order.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The number of writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

impl IntoIterator for Batch {
    type Item = Write;
    type IntoIter = std::vec::IntoIter<Write>;

    fn into_iter(self) -> Self::IntoIter {
        self.writes.into_iter()
    }
}
