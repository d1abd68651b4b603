//! Counts what reaches the disk: each page of the page cache that is changed between two syncs is
//! written once, whole. Both logs run on such files while amplification is measured.

use std::collections::BTreeSet;
use std::io::{Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};
use wal::{DirLock, File, Fs, OpenMode, RealFs};

const PAGE: u64 = 4096;

/// What was written so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Bytes that were passed to write.
    pub(crate) passed: AtomicU64,
    /// Bytes of the pages that syncs wrote.
    pub(crate) synced: AtomicU64,
}

/// The pages of one file that are not synced.
#[derive(Debug)]
struct Dirty {
    counts: Arc<Counts>,
    pages: Mutex<BTreeSet<u64>>,
}

impl Dirty {
    fn new(counts: &Arc<Counts>) -> Dirty {
        Dirty { counts: Arc::clone(counts), pages: Mutex::default() }
    }

    fn wrote(&self, offset: u64, len: usize) {
        if len > 0 {
            self.counts.passed.fetch_add(len as u64, Relaxed);
            let last = (offset + len as u64 - 1) / PAGE;
            self.pages.lock().expect("no panic").extend(offset / PAGE..=last);
        }
    }

    fn synced(&self) {
        let pages = std::mem::take(&mut *self.pages.lock().expect("no panic"));
        self.counts.synced.fetch_add(pages.len() as u64 * PAGE, Relaxed);
    }
}

/// Real files that count, for both logs.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountingFs {
    pub(crate) counts: Arc<Counts>,
}

#[derive(Debug)]
struct CountingFile {
    inner: Arc<dyn File>,
    dirty: Dirty,
}

impl Fs for CountingFs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let inner = RealFs.open(path, mode)?;
        Ok(Arc::new(CountingFile { inner, dirty: Dirty::new(&self.counts) }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        RealFs.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        Fs::create_dir_all(&RealFs, dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        Fs::rename(&RealFs, from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        RealFs.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        RealFs.sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        RealFs.exists(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DirLock>> {
        RealFs.lock(path)
    }

    fn now(&self) -> Duration {
        RealFs.now()
    }
}

impl File for CountingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        let len = self.inner.write_at(buf, offset)?;
        self.dirty.wrote(offset, len);
        Ok(len)
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.inner.allocate(len)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }

    fn sync_data(&self) -> Result<()> {
        self.dirty.synced();
        self.inner.sync_data()
    }
}

type Inner = <DefaultFileSystem as FileSystem>::Handle;

/// An open file of raft-engine.
pub(crate) struct CountingHandle {
    inner: Arc<Inner>,
    dirty: Dirty,
}

/// Writes to one.
pub(crate) struct CountingWriter {
    inner: <DefaultFileSystem as FileSystem>::Writer,
    handle: Arc<CountingHandle>,
    at: u64,
}

impl CountingFs {
    fn handle(&self, inner: Inner) -> CountingHandle {
        CountingHandle { inner: Arc::new(inner), dirty: Dirty::new(&self.counts) }
    }
}

impl FileSystem for CountingFs {
    type Handle = CountingHandle;
    type Reader = <DefaultFileSystem as FileSystem>::Reader;
    type Writer = CountingWriter;

    fn create<P: AsRef<Path>>(&self, path: P) -> Result<CountingHandle> {
        Ok(self.handle(DefaultFileSystem.create(path)?))
    }

    fn open<P: AsRef<Path>>(&self, path: P, perm: Permission) -> Result<CountingHandle> {
        Ok(self.handle(DefaultFileSystem.open(path, perm)?))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> Result<()> {
        DefaultFileSystem.delete(path)
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> Result<()> {
        FileSystem::rename(&DefaultFileSystem, from, to)
    }

    fn new_reader(&self, handle: Arc<CountingHandle>) -> Result<Self::Reader> {
        DefaultFileSystem.new_reader(Arc::clone(&handle.inner))
    }

    fn new_writer(&self, handle: Arc<CountingHandle>) -> Result<CountingWriter> {
        let inner = DefaultFileSystem.new_writer(Arc::clone(&handle.inner))?;
        Ok(CountingWriter { inner, handle, at: 0 })
    }
}

impl Handle for CountingHandle {
    fn truncate(&self, offset: usize) -> Result<()> {
        self.inner.truncate(offset)
    }

    fn file_size(&self) -> Result<usize> {
        self.inner.file_size()
    }

    fn sync(&self) -> Result<()> {
        self.dirty.synced();
        self.inner.sync()
    }
}

impl Write for CountingWriter {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let len = self.inner.write(buf)?;
        self.handle.dirty.wrote(self.at, len);
        self.at += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

impl Seek for CountingWriter {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}

impl WriteExt for CountingWriter {
    fn truncate(&mut self, offset: usize) -> Result<()> {
        self.inner.truncate(offset)
    }

    fn allocate(&mut self, offset: usize, size: usize) -> Result<()> {
        self.inner.allocate(offset, size)
    }
}
