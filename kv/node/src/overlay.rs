//! The engine as it will be once the group's writes so far are applied.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use engine::{Batch, Cf, Engine, Range, Write};
use mutant::mutant;

use crate::read::Source;

/// The group's batch, and reads that see it.
///
/// Most groups only set keys and read nothing, so the batch is indexed when something is read,
/// not when it is written.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    engine: &'a dyn Engine,
    pub(crate) batch: Batch,
    index: RefCell<Index>,
}

/// The writes of the batch, by key.
#[derive(Debug, Default)]
struct Index {
    /// How many writes of the batch are in here.
    len: usize,
    /// The last write of each key, and how many ranges came before it; none removes it. Never
    /// iterated, so its order does not show.
    keys: HashMap<(Cf, Bytes), (Option<Bytes>, usize)>,
    /// The ranges that were removed, in order.
    ranges: Vec<(Cf, Range)>,
}

impl<'a> Overlay<'a> {
    /// The engine as it is.
    pub(crate) fn new(engine: &'a dyn Engine) -> Overlay<'a> {
        Overlay { engine, batch: Batch::new(), index: RefCell::default() }
    }
}

impl Source for Overlay<'_> {
    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        if self.batch.is_empty() || mutant!("group-unseen") {
            return self.engine.get(cf, key);
        }
        let mut index = self.index.borrow_mut();
        index.catch_up(&self.batch);
        match index.get(cf, key) {
            Some(written) => Ok(written),
            None => self.engine.get(cf, key),
        }
    }
}

impl Index {
    /// Takes in the writes that came since.
    fn catch_up(&mut self, batch: &Batch) {
        for write in &batch.writes()[self.len..] {
            match write {
                Write::Put { cf, key, value } => {
                    let entry = (Some(value.clone()), self.ranges.len());
                    self.keys.insert((*cf, key.clone()), entry);
                }
                Write::Delete { cf, key } => {
                    self.keys.insert((*cf, key.clone()), (None, self.ranges.len()));
                }
                Write::DeleteRange { cf, range } => self.ranges.push((*cf, range.clone())),
            }
        }
        self.len = batch.len();
    }

    /// What the batch says about a key: nothing, that it is removed, or its value.
    fn get(&self, cf: Cf, key: &[u8]) -> Option<Option<Bytes>> {
        let written = self.keys.get(&(cf, Bytes::copy_from_slice(key)));
        let ranges_before = written.map_or(0, |(_, ranges)| *ranges);
        if self.ranges[ranges_before..].iter().any(|(at, range)| *at == cf && range.contains(key)) {
            return Some(None);
        }
        written.map(|(value, _)| value.clone())
    }
}
