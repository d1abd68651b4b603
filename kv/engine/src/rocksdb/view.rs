//! A view on a RocksDB: one of its snapshots, together with the database that it belongs to.

use std::fmt;
use std::sync::Arc;

use ::rocksdb::{DB, DBRawIterator, ReadOptions};
use bytes::Bytes;
use mutant::mutant;
use self_cell::self_cell;

use super::Shared;
use crate::{Cf, Direction, Entries, Pairs, Range, Result, View};

type RawSnapshot<'a> = ::rocksdb::SnapshotWithThreadMode<'a, DB>;

self_cell!(
    struct Owned {
        owner: Arc<Shared>,

        #[covariant]
        dependent: RawSnapshot,
    }
);

/// A snapshot that keeps its database open.
pub(super) struct Snapshot {
    owned: Owned,
}

impl Snapshot {
    /// The database as it is now.
    pub(super) fn take(shared: Arc<Shared>) -> Snapshot {
        Snapshot { owned: Owned::new(shared, |shared| shared.db.snapshot()) }
    }

    fn walk(&self, cf: Cf, range: Range, direction: Direction) -> Walk<'_> {
        let shared = self.owned.borrow_owner();
        // An upside-down range is empty; RocksDB would not say so in both directions.
        let empty = range.end.as_ref().is_some_and(|end| *end <= range.start);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(&range.start[..]);
        if let Some(end) = &range.end
            && !mutant!("rocksdb-scan-runs-on")
        {
            options.set_iterate_upper_bound(&end[..]);
        }
        let mut iter =
            self.owned.borrow_dependent().raw_iterator_cf_opt(shared.family(cf), options);
        if !empty {
            match direction {
                Direction::Forward => iter.seek_to_first(),
                Direction::Backward => iter.seek_to_last(),
            }
        }
        Walk { shared, iter, direction, done: empty }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot").field(&self.owned.borrow_dependent().sequence_number()).finish()
    }
}

impl View for Snapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let shared = self.owned.borrow_owner();
        self.owned
            .borrow_dependent()
            .get_pinned_cf(shared.family(cf), key)
            .map(|value| value.map(|value| Bytes::copy_from_slice(&value)))
            .map_err(|error| shared.error("read", error))
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        let mut walk = self.walk(cf, range, direction);
        Box::new(std::iter::from_fn(move || {
            walk.next(|iter| {
                let (key, value) = iter.item()?;
                Some((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)))
            })
        }))
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        let mut walk = self.walk(cf, range, direction);
        Box::new(std::iter::from_fn(move || {
            walk.next(|iter| iter.key().map(Bytes::copy_from_slice))
        }))
    }
}

/// An iteration under way. RocksDB's iterator stands on the item that comes next.
struct Walk<'a> {
    shared: &'a Shared,
    iter: DBRawIterator<'a>,
    direction: Direction,
    done: bool,
}

impl Walk<'_> {
    /// Takes the item under the iterator, and moves it on.
    fn next<T>(&mut self, take: impl Fn(&DBRawIterator<'_>) -> Option<T>) -> Option<Result<T>> {
        if self.done {
            return None;
        }
        let Some(item) = take(&self.iter) else {
            self.done = true;
            // An iterator that failed looks like one at its end.
            return self.iter.status().err().map(|error| Err(self.shared.error("read", error)));
        };
        match self.direction {
            Direction::Forward => self.iter.next(),
            Direction::Backward => self.iter.prev(),
        }
        Some(Ok(item))
    }
}
