//! What must hold of the order of operations: [`Rules`].

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::trace::{Event, FileId};

/// A count of changes, and how many of them are durable.
#[derive(Debug, Default)]
struct Durable {
    changes: u64,
    durable: u64,
    /// The changes before each sync that has begun and not ended.
    syncing: VecDeque<u64>,
}

impl Durable {
    fn change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    fn sync_begins(&mut self) {
        self.syncing.push_back(self.changes);
    }

    fn sync_ends(&mut self) {
        // Of several at once nobody knows which one it is: it covers what the first one does.
        let covered = self.syncing.pop_front().unwrap_or(0);
        self.durable = self.durable.max(covered);
    }
}

#[derive(Debug, Default)]
struct FileState {
    path: PathBuf,
    /// Which change of its folder gave it this name.
    named: u64,
    content: Durable,
    /// Whether it had a segment's name before this one.
    was_segment: bool,
    has_blocks: bool,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) events: usize,
    pub(crate) blocks: u64,
    pub(crate) answers: u64,
    pub(crate) rolls: u64,
    pub(crate) recycled: u64,
    pub(crate) removed: u64,
}

/// Goes through events; see `order.rs` for the rules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    files: BTreeMap<FileId, FileState>,
    folders: BTreeMap<PathBuf, Durable>,
    /// For each block its file, and which change of it wrote it.
    blocks: BTreeMap<u64, (FileId, u64)>,
    /// Blocks up to this one were found durable.
    durable_to: u64,
    /// The last block when a purge was last asked for.
    purge_after: Option<u64>,
    seen: Seen,
}

type Checked = Result<(), String>;

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "wal")
}

impl Rules {
    /// Gives the first rule that is broken, and by which event.
    pub(crate) fn check(events: &[Event]) -> Result<Seen, String> {
        let mut rules = Rules::default();
        for (number, event) in events.iter().enumerate() {
            rules.one(event).map_err(|why| format!("{why}: event {number}, {event:?}"))?;
        }
        Ok(Seen { events: events.len(), ..rules.seen })
    }

    fn one(&mut self, event: &Event) -> Checked {
        match event {
            Event::Create { file, path } => {
                let named = self.folder(path).change();
                let state = FileState { path: path.clone(), named, ..FileState::default() };
                self.files.insert(*file, state);
            }
            Event::Block { file, lsn } => return self.block(*file, *lsn),
            Event::Write { file } => {
                self.written(*file)?;
            }
            Event::Grows { file } => {
                if is_segment(&self.file(*file)?.path) {
                    return Err("a segment grows".to_owned());
                }
            }
            Event::SyncBegins { file } => self.file(*file)?.content.sync_begins(),
            Event::SyncEnds { file } => self.file(*file)?.content.sync_ends(),
            Event::Rename { from, to } => self.rename(from, to),
            Event::Remove { path } => return self.remove(path),
            Event::DirSyncBegins { path } => {
                self.folders.entry(path.clone()).or_default().sync_begins();
            }
            Event::DirSyncEnds { path } => {
                self.folders.entry(path.clone()).or_default().sync_ends();
            }
            Event::Purge => self.purge_after = self.blocks.keys().next_back().copied(),
            Event::Answer { lsn } => {
                self.seen.answers += 1;
                return self.demand_durable(*lsn, "a writer is answered");
            }
        }
        Ok(())
    }

    fn file(&mut self, file: FileId) -> Result<&mut FileState, String> {
        self.files.get_mut(&file).ok_or_else(|| "a file that nobody opened".to_owned())
    }

    fn folder(&mut self, path: &Path) -> &mut Durable {
        let folder = path.parent().unwrap_or(Path::new(""));
        self.folders.entry(folder.to_owned()).or_default()
    }

    fn is_named(&mut self, file: FileId) -> Result<bool, String> {
        let FileState { path, named, .. } = self.file(file)?;
        let (path, named) = (path.clone(), *named);
        Ok(self.folder(&path).durable >= named)
    }

    /// Any write: gives which change of the file it is.
    fn written(&mut self, file: FileId) -> Result<u64, String> {
        let named = self.is_named(file)?;
        let state = self.file(file)?;
        if state.was_segment && !named {
            return Err("a recycled file may still have its old name".to_owned());
        }
        Ok(state.content.change())
    }

    fn block(&mut self, file: FileId, lsn: u64) -> Checked {
        if !self.is_named(file)? {
            return Err("the segment's name is not durable".to_owned());
        }
        if !self.file(file)?.has_blocks {
            self.file(file)?.has_blocks = true;
            self.seen.rolls += u64::from(lsn > 1);
            self.demand_durable(lsn - 1, "the next segment is begun")?;
        }
        let change = self.written(file)?;
        self.seen.blocks += 1;
        self.blocks.insert(lsn, (file, change));
        Ok(())
    }

    /// Every block up to this one must be durable.
    fn demand_durable(&mut self, lsn: u64, when: &str) -> Checked {
        for lsn in self.durable_to + 1..=lsn {
            let (file, change) = *self
                .blocks
                .get(&lsn)
                .ok_or_else(|| format!("{when}, and block {lsn} is not written"))?;
            if self.file(file)?.content.durable < change || !self.is_named(file)? {
                return Err(format!("{when}, and block {lsn} is not durable"));
            }
            self.durable_to = lsn;
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let named = self.folder(to).change();
        for state in self.files.values_mut().filter(|state| state.path == from) {
            let recycled = is_segment(from);
            self.seen.recycled += u64::from(recycled);
            state.path = to.to_owned();
            state.named = named;
            state.was_segment = recycled;
            state.has_blocks &= !recycled;
        }
    }

    fn remove(&mut self, path: &Path) -> Checked {
        self.folder(path).change();
        if is_segment(path) {
            self.seen.removed += 1;
            if let Some(before) = self.purge_after {
                self.demand_durable(before + 1, "a segment is removed by a purge")?;
            }
        }
        // Whoever has it open may still write to it: a purge can overtake the seal of a segment.
        let removed = self.files.values_mut().filter(|state| state.path == path);
        removed.for_each(|state| state.path = PathBuf::new());
        Ok(())
    }
}
