//! The simplest engine there is, and the bugs that the conformance suite must find in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tinykv_engine::{
    Batch, Cf, CfStats, Direction, Durability, Engine, Entries, Pairs, Range, Result, Stats, View,
    Write,
};

/// What a naive engine does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    ColumnFamiliesMixed,
    EarlierWriteWins,
    EndIncluded,
    StartExcluded,
    BackwardIgnoresEnd,
    DeleteRangeKeepsFirst,
    DeleteRangeTakesEnd,
    EmptyValueIsAbsent,
    EmptyKeyIsLost,
    ViewsAreLive,
    BatchIsTorn,
    KeysWithoutRange,
    MergeBringsBack,
    MergeDropsEmpty,
    GetIsStale,
    SignedOrder,
    KeyCutAt256,
}

impl Bug {
    pub(crate) const ALL: [Bug; 17] = [
        Bug::ColumnFamiliesMixed,
        Bug::EarlierWriteWins,
        Bug::EndIncluded,
        Bug::StartExcluded,
        Bug::BackwardIgnoresEnd,
        Bug::DeleteRangeKeepsFirst,
        Bug::DeleteRangeTakesEnd,
        Bug::EmptyValueIsAbsent,
        Bug::EmptyKeyIsLost,
        Bug::ViewsAreLive,
        Bug::BatchIsTorn,
        Bug::KeysWithoutRange,
        Bug::MergeBringsBack,
        Bug::MergeDropsEmpty,
        Bug::GetIsStale,
        Bug::SignedOrder,
        Bug::KeyCutAt256,
    ];
}

type Cfs = [BTreeMap<Bytes, Bytes>; Cf::ALL.len()];

/// Maps behind a lock, copied for every write.
#[derive(Debug)]
pub(crate) struct Naive {
    bug: Option<Bug>,
    now: Arc<RwLock<Arc<Cfs>>>,
    /// What was there before the last write, and what was deleted last.
    before: RwLock<Arc<Cfs>>,
    deleted: RwLock<Option<(Cf, Bytes)>>,
    batches: RwLock<u64>,
}

impl Naive {
    pub(crate) fn new(bug: Option<Bug>) -> Naive {
        Naive {
            bug,
            now: Arc::default(),
            before: RwLock::default(),
            deleted: RwLock::default(),
            batches: RwLock::default(),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn apply(&self, cfs: &mut Cfs, write: Write) {
        match write {
            Write::Put { cf, key, value } => {
                let cf = if self.has(Bug::ColumnFamiliesMixed) && cf == Cf::Lock {
                    Cf::Default
                } else {
                    cf
                };
                if self.has(Bug::EmptyKeyIsLost) && key.is_empty() {
                    return;
                }
                let cut = if self.has(Bug::KeyCutAt256) { key.len().min(256) } else { key.len() };
                cfs[cf.index()].insert(key.slice(..cut), value);
            }
            Write::Delete { cf, key } => {
                if cfs[cf.index()].remove(&key).is_some() {
                    *self.deleted.write() = Some((cf, key));
                }
            }
            Write::DeleteRange { cf, range } => {
                let takes_end = self.has(Bug::DeleteRangeTakesEnd);
                let keeps_first = self.has(Bug::DeleteRangeKeepsFirst);
                cfs[cf.index()].retain(|key, _| {
                    let inside =
                        range.contains(key) || takes_end && range.end.as_ref() == Some(key);
                    !inside || keeps_first && *key == range.start
                });
            }
        }
    }
}

impl Engine for Naive {
    fn write(&self, batch: Batch, _durability: Durability) -> Result<()> {
        let mut now = self.now.write();
        *self.before.write() = Arc::clone(&now);
        let mut cfs = Cfs::clone(&now);
        let mut writes: Vec<Write> = batch.into_iter().collect();
        if self.has(Bug::EarlierWriteWins) {
            writes.reverse();
        }
        for write in writes {
            self.apply(&mut cfs, write);
            if self.has(Bug::BatchIsTorn) {
                *now = Arc::new(cfs.clone());
                parking_lot::RwLockWriteGuard::bump(&mut now);
            }
        }
        *now = Arc::new(cfs);
        *self.batches.write() += 1;
        Ok(())
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        if self.has(Bug::GetIsStale) {
            return Ok(self.before.read()[cf.index()].get(key).cloned());
        }
        self.view()?.get(cf, key)
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        let live = self.has(Bug::ViewsAreLive).then(|| Arc::clone(&self.now));
        Ok(Arc::new(NaiveView { bug: self.bug, cfs: Arc::clone(&self.now.read()), live }))
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn merge(&self) -> Result<()> {
        let mut now = self.now.write();
        let mut cfs = Cfs::clone(&now);
        if self.has(Bug::MergeBringsBack)
            && let Some((cf, key)) = self.deleted.write().take()
        {
            cfs[cf.index()].insert(key, Bytes::from_static(b"back"));
        }
        if self.has(Bug::MergeDropsEmpty) {
            cfs.iter_mut().for_each(|cf| cf.retain(|_, value| !value.is_empty()));
        }
        *now = Arc::new(cfs);
        Ok(())
    }

    fn stats(&self) -> Stats {
        let cfs = self.now.read();
        let mut stats = Stats { batches: *self.batches.read(), ..Stats::default() };
        for cf in Cf::ALL {
            let bytes = cfs[cf.index()].iter().map(|(key, value)| key.len() + value.len());
            stats.cfs[cf.index()] =
                CfStats { keys: cfs[cf.index()].len() as u64, bytes: bytes.sum::<usize>() as u64 };
        }
        stats
    }
}

#[derive(Debug)]
struct NaiveView {
    bug: Option<Bug>,
    cfs: Arc<Cfs>,
    live: Option<Arc<RwLock<Arc<Cfs>>>>,
}

impl NaiveView {
    fn cfs(&self) -> Arc<Cfs> {
        match &self.live {
            Some(live) => Arc::clone(&live.read()),
            None => Arc::clone(&self.cfs),
        }
    }

    fn pairs(&self, cf: Cf, range: &Range, direction: Direction) -> Vec<(Bytes, Bytes)> {
        let mut range = range.clone();
        if self.bug == Some(Bug::BackwardIgnoresEnd) && direction == Direction::Backward {
            range.end = None;
        }
        let inside = |key: &Bytes| match self.bug {
            Some(Bug::EndIncluded) => range.contains(key) || range.end.as_ref() == Some(key),
            Some(Bug::StartExcluded) => range.contains(key) && *key != range.start,
            _ => range.contains(key),
        };
        let cfs = self.cfs();
        let all = cfs[cf.index()].iter().filter(|(key, _)| inside(key));
        let mut pairs: Vec<_> = all.map(|(key, value)| (key.clone(), value.clone())).collect();
        if self.bug == Some(Bug::SignedOrder) {
            pairs.sort_by_key(|(key, _)| key.iter().map(|byte| *byte as i8).collect::<Vec<_>>());
        }
        if direction == Direction::Backward {
            pairs.reverse();
        }
        pairs
    }
}

impl View for NaiveView {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.cfs()[cf.index()].get(key).cloned();
        let absent = self.bug == Some(Bug::EmptyValueIsAbsent);
        Ok(value.filter(|value| !(absent && value.is_empty())))
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        Box::new(self.pairs(cf, &range, direction).into_iter().map(Ok))
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        let range = if self.bug == Some(Bug::KeysWithoutRange) { Range::all() } else { range };
        Box::new(self.pairs(cf, &range, direction).into_iter().map(|(key, _)| Ok(key)))
    }
}
