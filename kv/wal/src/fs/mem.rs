//! A file system in memory that can lose power: [`MemFs`].
//!
//! It does what real files do as long as the power is on. Beside what its users see, it keeps what
//! is durable: the synced bytes of each file, and the 512-byte sectors and sizes written since; the
//! synced names of each folder, and the creations, renames and removals since. [`MemFs::crash`]
//! makes of that one of the disks that the contract of [`Fs`] allows, and
//! [`MemFs::crash_states`] all of them:
//!
//! - of a file: any of the sizes it had, and in it each sector in any of its forms. So a write may
//!   be torn at each sector, come out of order, or leave zeros behind;
//! - of a folder: any of the changes, whichever came first. So a file may be lost because its
//!   folder was not synced, and a removed one may be back.
//!
//! A sector itself is never torn, as disks promise. Nothing but the answers of a [`Choose`] is
//! random, and no time passes.

mod content;
mod disk;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::choose::AllBut;
use super::{DirLock, File, Fs, OpenMode};
use crate::{Choose, Enumerate, Seeded};
use disk::{Disk, Inode};

/// A file system in memory. A clone is the same file system; [`MemFs::fork`] copies.
#[derive(Clone)]
pub struct MemFs {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    disk: Disk,
    /// How many handles each open file has.
    open: BTreeMap<Inode, usize>,
    locked: BTreeSet<Inode>,
    /// Changing operations so far.
    operations: u64,
    /// After how many changing operations the power fails.
    crash_after: Option<u64>,
    /// Bytes that fit on the disk.
    capacity: Option<u64>,
    /// The disk after each changing operation, while they are recorded.
    points: Option<Vec<CrashPoint>>,
}

/// The disk as an operation left it: a moment at which the power could fail.
#[derive(Clone, Debug)]
pub struct CrashPoint {
    /// How many changing operations came before, this one included.
    pub operations: u64,
    /// What the operation was, for people.
    pub what: String,
    disk: Disk,
}

impl CrashPoint {
    /// A file system with this disk, the power still on.
    #[must_use]
    pub fn fs(&self) -> MemFs {
        MemFs::with_disk(self.disk.clone())
    }
}

/// What [`MemFs::crash_states`] found.
#[derive(Clone, Debug)]
pub struct CrashStates {
    /// Disks that differ from each other.
    pub states: Vec<MemFs>,
    /// Whether these are all that there are.
    pub complete: bool,
}

impl MemFs {
    /// An empty file system.
    #[must_use]
    pub fn new() -> MemFs {
        MemFs::with_disk(Disk::new())
    }

    fn with_disk(disk: Disk) -> MemFs {
        let state = State {
            disk,
            open: BTreeMap::new(),
            locked: BTreeSet::new(),
            operations: 0,
            crash_after: None,
            capacity: None,
            points: None,
        };
        MemFs { state: Arc::new(Mutex::new(state)) }
    }

    /// Another file system with the same content, durable or not, and no open file.
    #[must_use]
    pub fn fork(&self) -> MemFs {
        let state = self.state.lock();
        let fs = MemFs::with_disk(state.disk.clone());
        fs.set_capacity(state.capacity);
        fs
    }

    /// What is found when the power comes back after failing now. This file system is left as it
    /// is, so that those who still use it cannot disturb the new one.
    #[must_use]
    pub fn crash(&self, choose: &mut dyn Choose) -> MemFs {
        let state = self.state.lock();
        let fs = MemFs::with_disk(state.disk.crash(choose));
        fs.set_capacity(state.capacity);
        fs
    }

    /// All that [`MemFs::crash`] may give, if that is at most `limit` series of answers. Otherwise
    /// at most `limit` of them: the extremes (all old, all new, all but one), then at random.
    #[must_use]
    pub fn crash_states(&self, limit: usize, seed: u64) -> CrashStates {
        let disk = self.state.lock().disk.clone();
        let mut found = Found::default();
        let mut every = Enumerate::new();
        for _ in 0..limit.max(1) {
            found.add(disk.crash(&mut every));
            if !every.advance() {
                return CrashStates { states: found.states, complete: true };
            }
        }
        let mut found = Found::default();
        // Past the last question is the answer without an exception: the first to look at.
        let mut questions = 0;
        for question in std::iter::once(usize::MAX).chain(0..limit) {
            for newest in [false, true] {
                let mut all_but = AllBut { newest, question, asked: 0 };
                found.add(disk.crash(&mut all_but));
                questions = questions.max(all_but.asked);
            }
            let last = question != usize::MAX && question + 1 >= questions;
            if last || found.states.len() >= limit {
                break;
            }
        }
        for round in 0..2 * limit as u64 {
            if found.states.len() >= limit {
                break;
            }
            found.add(disk.crash(&mut Seeded::new(seed.wrapping_add(round))));
        }
        found.states.truncate(limit);
        CrashStates { states: found.states, complete: false }
    }

    /// A number that is the same for file systems with the same names and bytes, as far as they are
    /// seen; what is durable of them does not count.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.state.lock().disk.fingerprint()
    }

    /// Whether a crash now would lose nothing.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.state.lock().disk.is_durable()
    }

    /// How many operations changed or synced something so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Lets the power fail once that many changing operations were done since the file system was
    /// made: every later operation fails. [`MemFs::crash`] tells what is left.
    pub fn set_crash_after(&self, operations: u64) {
        self.state.lock().crash_after = Some(operations);
    }

    /// Fails what would let the files grow over `bytes` in all, as a full disk does: a write does
    /// as much as fits, and the next one fails.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// The bytes of all files, open ones without a name included.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Starts to record a [`CrashPoint`] after every changing operation; the first one is now.
    pub fn record(&self) {
        let mut state = self.state.lock();
        state.points = Some(Vec::new());
        state.note(|| "the start".to_owned());
    }

    /// Ends the recording and gives the points in order.
    #[must_use]
    pub fn recorded(&self) -> Vec<CrashPoint> {
        mem::take(&mut self.state.lock().points).unwrap_or_default()
    }

    /// Opens a file as [`Fs::open`] does, with the type known.
    pub(super) fn open_mem(&self, path: &Path, mode: OpenMode) -> io::Result<MemFile> {
        let mut state = self.state.lock();
        let inode = match mode {
            OpenMode::Read | OpenMode::Write => {
                state.check_power()?;
                state.disk.find_file(path)?
            }
            OpenMode::CreateNew => {
                state.change(|disk| disk.create(path), || format!("create {}", path.display()))?
            }
        };
        *state.open.entry(inode).or_default() += 1;
        let writable = mode != OpenMode::Read;
        Ok(MemFile { fs: self.clone(), inode, path: path.to_owned(), writable })
    }
}

impl Default for MemFs {
    fn default() -> MemFs {
        MemFs::new()
    }
}

impl fmt::Debug for MemFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFs").finish_non_exhaustive()
    }
}

/// Different disks.
#[derive(Default)]
struct Found {
    states: Vec<MemFs>,
    fingerprints: BTreeSet<u64>,
}

impl Found {
    fn add(&mut self, disk: Disk) {
        if self.fingerprints.insert(disk.fingerprint()) {
            self.states.push(MemFs::with_disk(disk));
        }
    }
}

impl State {
    fn check_power(&self) -> io::Result<()> {
        match self.crash_after {
            Some(limit) if self.operations >= limit => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    /// Does and counts a changing operation.
    fn change<T>(
        &mut self,
        operation: impl FnOnce(&mut Disk) -> io::Result<T>,
        what: impl FnOnce() -> String,
    ) -> io::Result<T> {
        self.check_power()?;
        let done = operation(&mut self.disk)?;
        self.operations += 1;
        self.note(what);
        Ok(done)
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(points) = &mut self.points {
            let point =
                CrashPoint { operations: self.operations, what: what(), disk: self.disk.clone() };
            points.push(point);
        }
    }

    /// How many bytes more fit on the disk.
    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    fn used(&self) -> u64 {
        self.disk.used(&self.open)
    }

    fn collect(&mut self) {
        self.disk.collect(&self.open);
    }
}

impl Fs for MemFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_mem(path, mode)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state.lock();
        state.check_power()?;
        state.disk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check_power()?;
        if state.disk.create_dir_all(dir)? {
            state.change(|_| Ok(()), || format!("create folder {}", dir.display()))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = || format!("rename {} to {}", from.display(), to.display());
        self.state.lock().change(|disk| disk.rename(from, to), what)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let what = || format!("remove {}", path.display());
        self.state.lock().change(|disk| disk.remove(path), what)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.change(|disk| disk.sync_dir(dir), || format!("sync folder {}", dir.display()))?;
        state.collect();
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        state.check_power()?;
        state.disk.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        let file = match self.open_mem(path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.open_mem(path, OpenMode::Write)?
            }
            file => file?,
        };
        if !self.state.lock().locked.insert(file.inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemLock { file }))
    }
}

/// An open file of a [`MemFs`].
#[derive(Debug)]
pub(super) struct MemFile {
    fs: MemFs,
    inode: Inode,
    /// The name it was opened by, for people.
    path: PathBuf,
    writable: bool,
}

impl MemFile {
    /// Lets a sync fail as the kernel does: what was not durable never will be by a later sync.
    pub(super) fn fail_sync(&self) -> io::Result<()> {
        let what = || format!("failed sync {}", self.path.display());
        let fail = |disk: &mut Disk| {
            disk.file_mut(self.inode).fail_sync();
            Ok(())
        };
        self.fs.state.lock().change(fail, what)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// Grows the file to `len` bytes if it is shorter, where there is space.
    fn grow(&self, state: &mut State, len: u64, what: &str) -> io::Result<()> {
        let old_len = state.disk.file(self.inode).live.len();
        if len.saturating_sub(old_len) > state.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let grow = |disk: &mut Disk| {
            disk.file_mut(self.inode).set_len(len.max(old_len));
            Ok(())
        };
        state.change(grow, || format!("{what} {} to {len}", self.path.display()))
    }
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.fs.state.lock();
        state.check_power()?;
        Ok(state.disk.file(self.inode).live.read(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        if buf.is_empty() {
            return Ok(0);
        }
        let mut state = self.fs.state.lock();
        let end = state.disk.file(self.inode).live.len().saturating_add(state.room());
        let count =
            buf.len().min(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX));
        if count == 0 {
            state.check_power()?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let write = |disk: &mut Disk| {
            disk.file_mut(self.inode).write(&buf[..count], offset);
            Ok(count)
        };
        state.change(write, || format!("write {} at {offset}+{count}", self.path.display()))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.grow(&mut self.fs.state.lock(), len, "allocate")
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.fs.state.lock();
        if len >= state.disk.file(self.inode).live.len() {
            return self.grow(&mut state, len, "extend");
        }
        let cut = |disk: &mut Disk| {
            disk.file_mut(self.inode).set_len(len);
            Ok(())
        };
        state.change(cut, || format!("cut {} to {len}", self.path.display()))
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.fs.state.lock();
        state.check_power()?;
        Ok(state.disk.file(self.inode).live.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        let sync = |disk: &mut Disk| {
            disk.file_mut(self.inode).sync();
            Ok(())
        };
        self.fs.state.lock().change(sync, || format!("sync {}", self.path.display()))
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        let mut state = self.fs.state.lock();
        if let Some(handles) = state.open.get_mut(&self.inode) {
            *handles -= 1;
            if *handles == 0 {
                state.open.remove(&self.inode);
                state.collect();
            }
        }
    }
}

/// Holds the lock for as long as it lives.
#[derive(Debug)]
struct MemLock {
    file: MemFile,
}

impl DirLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.file.fs.state.lock().locked.remove(&self.file.inode);
    }
}

#[cfg(test)]
mod tests;
