//! Two engines side by side: [`Mirror`].

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::{
    Batch, Cf, Direction, Durability, Engine, Entries, Error, Lookup, Pairs, Range, Result, Stats,
    View,
};

/// An engine that asks two others and panics with both answers where these differ.
///
/// Both see the writes in the same order, one at a time. The answers, `stats` and errors are those
/// of the first one. Errors are equal if they are of one kind: their texts name files.
#[derive(Debug)]
pub struct Mirror {
    first: Arc<dyn Engine>,
    second: Arc<dyn Engine>,
    /// Held to write while the two differ.
    between: RwLock<()>,
}

impl Mirror {
    /// A mirror of two engines with equal content.
    #[must_use]
    pub fn new(first: Arc<dyn Engine>, second: Arc<dyn Engine>) -> Mirror {
        Mirror { first, second, between: RwLock::new(()) }
    }
}

impl Engine for Mirror {
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        let _between = self.between.write();
        let what = || format!("write {batch:?}");
        let first = self.first.write(batch.clone(), durability);
        let second = self.second.write(batch.clone(), durability);
        same(what, first, second)
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let _between = self.between.read();
        let what = || format!("get {cf} {key:?}");
        same(what, self.first.get(cf, key), self.second.get(cf, key))
    }

    fn get_nowait(&self, cf: Cf, key: &[u8]) -> Result<Lookup> {
        let _between = self.between.read();
        let first = self.first.get_nowait(cf, key)?;
        let second = self.second.get_nowait(cf, key)?;
        if let (Lookup::Ready(first), Lookup::Ready(second)) = (&first, &second) {
            assert_eq!(first, second, "get_nowait {cf} {key:?}");
        }
        Ok(first)
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        let _between = self.between.read();
        Ok(Arc::new(MirrorView { first: self.first.view()?, second: self.second.view()? }))
    }

    fn flush(&self) -> Result<()> {
        same(|| "flush".to_owned(), self.first.flush(), self.second.flush())
    }

    fn merge(&self) -> Result<()> {
        same(|| "merge".to_owned(), self.first.merge(), self.second.merge())
    }

    fn stats(&self) -> Stats {
        self.first.stats()
    }
}

/// A view of both engines at the same moment.
#[derive(Debug)]
struct MirrorView {
    first: Arc<dyn View>,
    second: Arc<dyn View>,
}

impl View for MirrorView {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let what = || format!("get {cf} {key:?} of a view");
        same(what, self.first.get(cf, key), self.second.get(cf, key))
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        let what = format!("iteration of {cf} {range:?} {direction:?}");
        let first = self.first.iter(cf, range.clone(), direction);
        Box::new(Both { what, first, second: self.second.iter(cf, range, direction) })
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        let what = format!("keys of {cf} {range:?} {direction:?}");
        let first = self.first.keys(cf, range.clone(), direction);
        Box::new(Both { what, first, second: self.second.keys(cf, range, direction) })
    }
}

/// Two iterations step by step.
struct Both<I> {
    what: String,
    first: I,
    second: I,
}

impl<T: PartialEq + Debug, I: Iterator<Item = Result<T>>> Iterator for Both<I> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let what = || self.what.clone();
        match (self.first.next(), self.second.next()) {
            (None, None) => None,
            (Some(first), Some(second)) => Some(same(what, first, second)),
            (first, second) => panic!("{}: {first:?} and {second:?}", self.what),
        }
    }
}

/// Panics if two answers differ.
fn same<T: PartialEq + Debug>(
    what: impl FnOnce() -> String,
    first: Result<T>,
    second: Result<T>,
) -> Result<T> {
    let equal = match (&first, &second) {
        (Ok(first), Ok(second)) => first == second,
        (Err(first), Err(second)) => kind(first) == kind(second),
        _ => false,
    };
    assert!(equal, "{}: {first:?} and {second:?}", what());
    first
}

fn kind(error: &Error) -> std::mem::Discriminant<Error> {
    std::mem::discriminant(error)
}
