//! The file-system seam: the traits [`Fs`] and [`File`].
//!
//! The contract is what POSIX promises after a power loss, and no more:
//!
//! - Bytes written to a file are durable once [`File::sync_data`] returned; before that any subset
//!   of the written 512-byte sectors may be on the disk, in any order.
//! - A created, renamed or removed name is durable once [`Fs::sync_dir`] of its folder returned;
//!   before that each such change may or may not have happened, in any order.
//! - A failed sync leaves the unsynced bytes undefined. It must never be retried: the kernel marks
//!   the pages clean (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).

mod choose;
mod damage;
mod err;
mod mem;
mod real;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use choose::{Choose, Enumerate, Seeded};
pub use damage::Damage;
pub use err::{ErrFs, Failure, Fault, FsOp};
pub use mem::{CrashPoint, CrashStates, MemFs};
pub use real::{DiskRoom, RealFs};

/// How [`Fs::open`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reads an existing file.
    Read,
    /// Reads and writes an existing file.
    Write,
    /// Reads and writes a new file; fails with `AlreadyExists` if there is one.
    CreateNew,
}

/// A file system, or a stand-in for one.
///
/// Paths are plain paths; a relative one is relative to wherever the implementation roots them.
pub trait Fs: Debug + Send + Sync + 'static {
    /// Opens a file. A file stays readable through its handle after it was renamed or removed.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// Lists the names in a folder (files and folders), sorted, without their parent.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a folder and its missing parents. It is no error if it exists.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, replacing the target if there is one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes all creations, renames and removals in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether a file or folder of this name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Takes the exclusive lock file `path`, creating it if needed; fails with `WouldBlock` if
    /// another holder, in this process or another, has it. Dropping the lock releases it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>>;

    /// The time since some fixed moment, for measuring how long the disk takes. Always zero where
    /// there is no disk.
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// An open file. All methods take `&self`: readers and a writer may share the handle.
pub trait File: Debug + Send + Sync + 'static {
    /// Reads at most `buf.len()` bytes at `offset`; 0 at or after the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Like [`File::read_at`], but fails with `WouldBlock` where the bytes are not in memory and
    /// the disk would have to be asked.
    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buf, offset)
    }

    /// Writes at most `buf.len()` bytes at `offset`, growing the file if needed.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Reserves disk space so that the file has at least `len` bytes; new bytes read as zeros.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The length of the file in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes all bytes written before the call durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Fills `buf` from `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    buf = &buf[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An exclusive lock on a folder, released when it is dropped.
pub trait DirLock: Debug + Send + Sync + 'static {}
