//! A file system that fails when told to: [`ErrFs`].
//!
//! It wraps another one and lets chosen operations fail as real ones do: an error without an
//! effect, a write that does only half of its bytes (with or without saying so), a sync after which
//! nobody knows what is on the disk.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::mem::MemFile;
use super::{DirLock, File, Fs, OpenMode};
use crate::MemFs;

/// The operations that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsOp {
    /// [`Fs::open`] of an existing file.
    Open,
    /// [`Fs::open`] of a new file.
    Create,
    /// [`Fs::list`] and [`Fs::exists`].
    List,
    /// [`Fs::create_dir_all`].
    CreateDir,
    /// [`Fs::rename`]; the path is the old name.
    Rename,
    /// [`Fs::remove`].
    Remove,
    /// [`Fs::sync_dir`].
    SyncDir,
    /// [`Fs::lock`].
    Lock,
    /// [`File::read_at`] and [`File::read_at_nowait`].
    Read,
    /// [`File::read_at_nowait`] alone.
    ReadNowait,
    /// [`File::write_at`].
    Write,
    /// [`File::allocate`] and [`File::set_len`].
    Resize,
    /// [`File::len`].
    Len,
    /// [`File::sync_data`].
    SyncData,
    /// Every operation that changes or syncs something.
    AnyChange,
}

impl FsOp {
    /// Whether an operation of this kind is meant by `self`.
    fn matches(self, done: FsOp) -> bool {
        match self {
            FsOp::Read => matches!(done, FsOp::Read | FsOp::ReadNowait),
            FsOp::AnyChange => !matches!(
                done,
                FsOp::Open | FsOp::List | FsOp::Lock | FsOp::Read | FsOp::ReadNowait | FsOp::Len
            ),
            _ => self == done,
        }
    }
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `EIO`. A sync leaves the bytes undefined, anything else has no effect.
    Io,
    /// `ENOSPC`. A sync leaves the bytes undefined, anything else has no effect.
    NoSpace,
    /// `EINTR`, without an effect. Trying again is right.
    Interrupted,
    /// `WouldBlock`, without an effect.
    WouldBlock,
    /// A write of half of the bytes that says so; other operations succeed.
    Short,
    /// A write of half of the bytes that fails with `EIO`; as [`Failure::Io`] elsewhere.
    Torn,
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Failure::Io | Failure::Torn => io::Error::from_raw_os_error(EIO),
            Failure::NoSpace => io::ErrorKind::StorageFull.into(),
            Failure::Interrupted => io::ErrorKind::Interrupted.into(),
            Failure::WouldBlock => io::ErrorKind::WouldBlock.into(),
            Failure::Short => io::ErrorKind::WriteZero.into(),
        }
    }
}

/// The number of `EIO`, the same on every Unix.
const EIO: i32 = 5;

/// Which operations fail, and how.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kind of operation.
    pub op: FsOp,
    /// What the path has to contain; empty for every path.
    pub path: String,
    /// For reads and writes: the bytes of the file that have to be touched; none for all.
    pub bytes: Option<Range<u64>>,
    /// How many matching operations succeed before.
    pub skip: u64,
    /// How many matching operations fail then; none for all.
    pub times: Option<u64>,
    /// How they fail.
    pub failure: Failure,
}

impl Fault {
    /// One failure, at the `nth` operation of this kind from now on, counted from 0.
    #[must_use]
    pub fn nth(op: FsOp, nth: u64, failure: Failure) -> Fault {
        Fault { op, path: String::new(), bytes: None, skip: nth, times: Some(1), failure }
    }

    /// A failure of every operation of this kind.
    #[must_use]
    pub fn sticky(op: FsOp, failure: Failure) -> Fault {
        Fault { times: None, ..Fault::nth(op, 0, failure) }
    }

    /// The same fault, but only where the path contains `part`.
    #[must_use]
    pub fn at(mut self, part: impl Into<String>) -> Fault {
        self.path = part.into();
        self
    }

    /// The same fault, but only where these bytes are touched.
    #[must_use]
    pub fn touching(mut self, bytes: Range<u64>) -> Fault {
        self.bytes = Some(bytes);
        self
    }

    fn matches(&self, op: FsOp, path: &Path, touched: Option<Range<u64>>) -> bool {
        let in_range = match (&self.bytes, touched) {
            (Some(bytes), Some(touched)) => bytes.start < touched.end && touched.start < bytes.end,
            (Some(_), None) => false,
            (None, _) => true,
        };
        self.op.matches(op) && in_range && path.to_string_lossy().contains(&self.path)
    }
}

/// The faults to come, shared by a file system and its files.
#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Fault>,
    /// How many operations have failed.
    fired: u64,
}

/// A file system that fails where a [`Fault`] says so. A clone shares the faults.
#[derive(Clone, Debug)]
pub struct ErrFs {
    inner: Inner,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Clone, Debug)]
enum Inner {
    /// A failed sync is not seen by the inner files: their bytes may become durable later.
    Any(Arc<dyn Fs>),
    /// A failed sync makes the bytes undefined, as the contract says.
    Memory(MemFs),
}

impl ErrFs {
    /// Wraps any file system. Where failing syncs matter, use [`ErrFs::over_memory`].
    #[must_use]
    pub fn new(inner: Arc<dyn Fs>) -> ErrFs {
        ErrFs { inner: Inner::Any(inner), plan: Arc::default() }
    }

    /// Wraps a file system in memory, which knows what a failed sync does.
    #[must_use]
    pub fn over_memory(inner: MemFs) -> ErrFs {
        ErrFs { inner: Inner::Memory(inner), plan: Arc::default() }
    }

    /// Adds a fault. Where several match an operation, the first added decides.
    pub fn inject(&self, fault: Fault) {
        self.plan.lock().faults.push(fault);
    }

    /// Forgets all faults; from now on everything succeeds.
    pub fn heal(&self) {
        self.plan.lock().faults.clear();
    }

    /// How many operations have failed so far.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.plan.lock().fired
    }

    fn inner(&self) -> &dyn Fs {
        match &self.inner {
            Inner::Any(fs) => &**fs,
            Inner::Memory(fs) => fs,
        }
    }

    fn check(&self, op: FsOp, path: &Path) -> io::Result<()> {
        match self.plan.lock().failure(op, path, None) {
            Some(Failure::Short) | None => Ok(()),
            Some(failure) => Err(failure.error()),
        }
    }
}

impl Plan {
    /// Counts an operation; the answer is how it has to fail, if it has to.
    fn failure(&mut self, op: FsOp, path: &Path, touched: Option<Range<u64>>) -> Option<Failure> {
        for fault in &mut self.faults {
            if !fault.matches(op, path, touched.clone()) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            match &mut fault.times {
                Some(0) => continue,
                Some(times) => *times -= 1,
                None => {}
            }
            self.fired += 1;
            return Some(fault.failure);
        }
        None
    }
}

impl Fs for ErrFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let op = if mode == OpenMode::CreateNew { FsOp::Create } else { FsOp::Open };
        self.check(op, path)?;
        let inner = match &self.inner {
            Inner::Any(fs) => InnerFile::Any(fs.open(path, mode)?),
            Inner::Memory(fs) => InnerFile::Memory(fs.open_mem(path, mode)?),
        };
        Ok(Arc::new(ErrFile { inner, path: path.to_owned(), plan: Arc::clone(&self.plan) }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.check(FsOp::List, dir)?;
        self.inner().list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.check(FsOp::CreateDir, dir)?;
        self.inner().create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(FsOp::Rename, from)?;
        self.inner().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(FsOp::Remove, path)?;
        self.inner().remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(FsOp::SyncDir, dir)?;
        self.inner().sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.check(FsOp::List, path)?;
        self.inner().exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        self.check(FsOp::Lock, path)?;
        self.inner().lock(path)
    }
}

/// An open file of an [`ErrFs`].
#[derive(Debug)]
struct ErrFile {
    inner: InnerFile,
    /// The name it was opened by: faults go by it, also after a rename.
    path: PathBuf,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug)]
enum InnerFile {
    Any(Arc<dyn File>),
    Memory(MemFile),
}

impl ErrFile {
    fn inner(&self) -> &dyn File {
        match &self.inner {
            InnerFile::Any(file) => &**file,
            InnerFile::Memory(file) => file,
        }
    }

    fn failure(&self, op: FsOp, offset: u64, count: usize) -> Option<Failure> {
        let touched = offset..offset.saturating_add(count as u64);
        self.plan.lock().failure(op, &self.path, Some(touched))
    }

    /// An operation that touches no bytes.
    fn check(&self, op: FsOp) -> io::Result<()> {
        match self.plan.lock().failure(op, &self.path, None) {
            Some(Failure::Short) | None => Ok(()),
            Some(failure) => Err(failure.error()),
        }
    }
}

impl File for ErrFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.failure(FsOp::Read, offset, buf.len()) {
            Some(Failure::Short) if buf.len() > 1 => {
                let half = buf.len() / 2;
                self.inner().read_at(&mut buf[..half], offset)
            }
            Some(Failure::Short) | None => self.inner().read_at(buf, offset),
            Some(failure) => Err(failure.error()),
        }
    }

    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.failure(FsOp::ReadNowait, offset, buf.len()) {
            Some(Failure::Short) | None => self.inner().read_at_nowait(buf, offset),
            Some(failure) => Err(failure.error()),
        }
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let half = buf.len() / 2;
        match self.failure(FsOp::Write, offset, buf.len()) {
            Some(Failure::Short) if half > 0 => self.inner().write_at(&buf[..half], offset),
            Some(Failure::Short) | None => self.inner().write_at(buf, offset),
            Some(Failure::Torn) => {
                self.inner().write_at(&buf[..half], offset)?;
                Err(Failure::Torn.error())
            }
            Some(failure) => Err(failure.error()),
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.check(FsOp::Resize)?;
        self.inner().allocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check(FsOp::Resize)?;
        self.inner().set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.check(FsOp::Len)?;
        self.inner().len()
    }

    fn sync_data(&self) -> io::Result<()> {
        if let Err(error) = self.check(FsOp::SyncData) {
            if let InnerFile::Memory(file) = &self.inner {
                file.fail_sync()?;
            }
            return Err(error);
        }
        self.inner().sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Choose;

    fn file(fs: &ErrFs, path: &str) -> Arc<dyn File> {
        fs.open(Path::new(path), OpenMode::CreateNew).unwrap()
    }

    /// Loses all that may be lost.
    struct Oldest;

    impl Choose for Oldest {
        fn choose(&mut self, _count: usize) -> usize {
            0
        }
    }

    #[test]
    fn the_nth_operation_of_a_kind_fails_once() {
        let fs = ErrFs::new(Arc::new(MemFs::new()));
        let a = file(&fs, "a.seg");
        fs.inject(Fault::nth(FsOp::Write, 1, Failure::NoSpace).at(".seg"));
        file(&fs, "other").write_all_at(b"x", 0).unwrap();
        a.write_all_at(b"1", 0).unwrap();
        assert_eq!(a.write_all_at(b"2", 1).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(a.len().unwrap(), 1);
        a.write_all_at(b"2", 1).unwrap();
        assert_eq!(fs.fired(), 1);
    }

    #[test]
    fn a_sticky_fault_lasts_until_healed() {
        let fs = ErrFs::new(Arc::new(MemFs::new()));
        fs.inject(Fault::sticky(FsOp::AnyChange, Failure::Io));
        for _ in 0..3 {
            let error = fs.create_dir_all(Path::new("d")).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(EIO));
        }
        assert!(!fs.exists(Path::new("d")).unwrap());
        fs.heal();
        fs.create_dir_all(Path::new("d")).unwrap();
    }

    #[test]
    fn short_and_interrupted_operations_are_finished_by_the_exact_forms() {
        let fs = ErrFs::new(Arc::new(MemFs::new()));
        let a = file(&fs, "a");
        fs.inject(Fault::nth(FsOp::Write, 0, Failure::Short));
        fs.inject(Fault::nth(FsOp::Write, 0, Failure::Interrupted));
        a.write_all_at(b"12345678", 0).unwrap();
        fs.inject(Fault::nth(FsOp::Read, 0, Failure::Short));
        fs.inject(Fault::nth(FsOp::Read, 0, Failure::Interrupted));
        let mut buf = [0; 8];
        a.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!((&buf, fs.fired()), (b"12345678", 4));
    }

    #[test]
    fn a_torn_write_leaves_half() {
        let fs = ErrFs::new(Arc::new(MemFs::new()));
        let a = file(&fs, "a");
        fs.inject(Fault::nth(FsOp::Write, 0, Failure::Torn));
        assert!(a.write_all_at(b"12345678", 0).is_err());
        assert_eq!(a.len().unwrap(), 4);
    }

    #[test]
    fn reads_fail_where_the_disk_is_bad() {
        let fs = ErrFs::new(Arc::new(MemFs::new()));
        let a = file(&fs, "a");
        a.write_all_at(&[1; 2000], 0).unwrap();
        fs.inject(Fault::sticky(FsOp::Read, Failure::Io).touching(512..1024));
        let mut buf = [0; 100];
        assert!(a.read_at(&mut buf, 412).is_ok());
        assert!(a.read_at(&mut buf, 413).is_err());
        assert!(a.read_at_nowait(&mut buf, 1023).is_err());
        assert!(a.read_at(&mut buf, 1024).is_ok());
        fs.heal();
        fs.inject(Fault::sticky(FsOp::ReadNowait, Failure::WouldBlock));
        assert_eq!(a.read_at_nowait(&mut buf, 0).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(a.read_at(&mut buf, 0).is_ok());
    }

    #[test]
    fn after_a_failed_sync_the_next_one_saves_nothing() {
        let memory = MemFs::new();
        let fs = ErrFs::over_memory(memory.clone());
        let a = file(&fs, "a");
        fs.sync_dir(Path::new("")).unwrap();
        a.write_all_at(b"lost", 0).unwrap();
        fs.inject(Fault::nth(FsOp::SyncData, 0, Failure::Io));
        assert!(a.sync_data().is_err());
        a.sync_data().unwrap();
        assert!(!memory.is_durable());
        let after = memory.crash(&mut Oldest);
        let a = after.open(Path::new("a"), OpenMode::Read).unwrap();
        assert_eq!(a.len().unwrap(), 0);
    }
}
