//! The real file system: [`RealFs`].
//!
//! Every call is one system call at an explicit offset (`pread`, `pwrite`, `fdatasync`, ...), so
//! that a handle has no cursor and may be shared by any number of readers and a writer. Nothing
//! here retries: a short write or `EINTR` goes up to [`File::write_all_at`], a failed sync to the
//! owner of the file, who must stop writing to it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{DirLock, File, Fs, OpenMode};

/// How many zero bytes [`File::allocate`] writes at once where the file system cannot reserve.
const ZERO_FILL_BYTES: usize = 64 * 1024;

/// The files of the operating system. Relative paths start at the working directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

/// The room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskRoom {
    /// Used or not.
    pub total: u64,
    /// What may still be written, by one who is not the superuser.
    pub free: u64,
}

impl RealFs {
    /// The real file system, ready to be shared.
    #[must_use]
    pub fn shared() -> Arc<dyn Fs> {
        Arc::new(RealFs)
    }

    /// How much room there is on the disk of a file or folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn room(path: &Path) -> io::Result<DiskRoom> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(DiskRoom {
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
        })
    }
}

impl Fs for RealFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::Write => options.read(true).write(true),
            OpenMode::CreateNew => options.read(true).write(true).create_new(true),
        };
        Ok(Arc::new(RealFile { file: options.open(path)?, waits: AtomicBool::new(false) }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder(dir))? {
            names.push(PathBuf::from(entry?.file_name()));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(folder(dir))?.sync_all()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(folder(path))
    }

    /// `flock(2)` belongs to the open file, not to the process: a second lock is refused in this
    /// process as in any other, and the kernel releases it when the process dies.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Box::new(RealLock { file })),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn now(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// The folder that a path names: the empty path, the parent of a bare file name, is the working
/// directory.
fn folder(path: &Path) -> &Path {
    if path.as_os_str() == OsStr::new("") { Path::new(".") } else { path }
}

/// An open file.
#[derive(Debug)]
struct RealFile {
    file: fs::File,
    /// Set once the system told that it cannot say whether a read of this file would wait.
    waits: AtomicBool,
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    /// `preadv2` with `RWF_NOWAIT`. Where the system or the file system does not know the flag,
    /// every read may wait, and the answer is always `WouldBlock`.
    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.waits.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match read_cached(&self.file, buf, offset) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.waits.store(true, Ordering::Relaxed);
                Err(io::ErrorKind::WouldBlock.into())
            }
            other => other,
        }
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // Only written bytes are sure to have space. What is there already stays as it is.
        let zeros = vec![0; ZERO_FILL_BYTES];
        let mut end = self.len()?;
        while end < len {
            let count = (len - end).min(ZERO_FILL_BYTES as u64);
            self.write_all_at(&zeros[..count as usize], end)?;
            end += count;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reads what the page cache holds; `WouldBlock` where it holds nothing of it, `Unsupported`
/// where the system cannot tell.
#[cfg(target_os = "linux")]
fn read_cached(file: &fs::File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    let mut buffers = [io::IoSliceMut::new(buf)];
    match preadv2(file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
        Ok(count) => Ok(count),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_file: &fs::File, _buf: &mut [u8], _offset: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Holds the lock until it is dropped.
#[derive(Debug)]
struct RealLock {
    file: fs::File,
}

impl Drop for RealLock {
    /// Closing the file is not enough: a process that another thread is just starting has a copy
    /// of every open file until it runs its program, and the lock would last for as long.
    fn drop(&mut self) {
        // What fails here can only be that there is no lock any more.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

impl DirLock for RealLock {}

#[cfg(test)]
mod tests {
    use super::{FlockOperation, RealLock, fs};

    #[test]
    fn a_dropped_lock_is_free_though_a_copy_of_its_file_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("LOCK");
        let open = || fs::File::create(&path).unwrap();
        let lock =
            |file: &fs::File| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
        let first = open();
        lock(&first).unwrap();
        // As the child of a fork has it until it runs its program.
        let copy = first.try_clone().unwrap();
        let second = open();
        assert!(lock(&second).is_err());
        drop(RealLock { file: first });
        lock(&second).unwrap();
        drop(copy);
    }
}
