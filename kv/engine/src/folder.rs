//! The data folder of an engine on disk: its marker, and files that are replaced as a whole.
//!
//! ```text
//! LOCK       held by the process that has the folder open
//! FORMAT     which engine made the folder, in which version; never changes
//! NAME.tmp   a file that is being written, to be renamed to NAME
//! ```
//!
//! `FORMAT` is lines of text, of which the last is the CRC of those before it:
//!
//! ```text
//! engine bitcask
//! version 1
//! uid 00000000deadbeef
//! crc 12345678
//! ```

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mutant::mutant;
use wal::{DirLock, File, Fs, OpenMode};

use crate::{Error, Result};

/// Most bytes in a file of lines.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// The data folder of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn format(&self) -> PathBuf {
        self.path.join("FORMAT")
    }

    /// Makes the folder and its missing parents, durably.
    pub(crate) fn make(&self) -> Result<()> {
        let failed = |error| failed("create the folder", &self.path, error);
        let parent = |path: &Path| path.parent().map(Path::to_path_buf);
        // The parent that is there, and above it nothing, may lack the name of its child: a
        // process that was killed here before made the child, but did not sync the parent.
        let mut unsynced = Vec::new();
        let mut next = parent(&self.path);
        while let Some(path) = next {
            let exists = self.fs.exists(&path).map_err(failed)?;
            next = parent(&path).filter(|_| !exists);
            unsynced.push(path);
        }
        self.fs.create_dir_all(&self.path).map_err(failed)?;
        unsynced.iter().rev().try_for_each(|path| self.fs.sync_dir(path)).map_err(failed)
    }

    /// Makes all names in the folder durable.
    pub(crate) fn sync(&self) -> Result<()> {
        if mutant!("folder-not-synced") {
            return Ok(());
        }
        self.fs.sync_dir(&self.path).map_err(|e| failed("sync the folder", &self.path, e))
    }

    /// Opens a file.
    pub(crate) fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        self.fs.open(path, mode).map_err(|e| failed("open the file", path, e))
    }

    /// Creates a file, instead of one of the same name that a crash may have left.
    pub(crate) fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.remove(path)?;
        self.open(path, OpenMode::CreateNew)
    }

    /// Removes a file if it exists.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        match self.fs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove the file", path, error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a file under its name at once and durably: never a half of it is there.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let file = self.create(&temporary)?;
        let written = file.write_all_at(bytes, 0).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Nothing refers to the file; if it stays, the next start removes it.
            let _ = self.fs.remove(&temporary);
            return Err(failed("write the file", path, error));
        }
        self.fs.rename(&temporary, path).map_err(|e| failed("rename the file to", path, e))?;
        self.sync()
    }

    /// The lines of a file that [`with_crc`] made; `None` if there is no such file.
    pub(crate) fn read_text(&self, path: &Path) -> Result<Option<Vec<String>>> {
        let file = match self.fs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open the file", path, error)),
        };
        let len = file.len().map_err(|e| failed("read the file", path, e))?;
        if len > TEXT_BYTES_MAX {
            return Err(corrupt(path, 0, "the file is too long"));
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|e| failed("read the file", path, e))?;
        check_text(&bytes).map(Some).ok_or_else(|| corrupt(path, 0, "the CRC of the file is wrong"))
    }

    /// Takes the lock of the folder.
    pub(crate) fn lock(&self) -> Result<Box<dyn DirLock>> {
        let path = self.path.join("LOCK");
        self.fs.lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { folder: self.path.clone() },
            _ => failed("lock the folder with", &path, error),
        })
    }

    /// Checks that this version of this engine made the folder, or marks a new one. Returns the
    /// folder's uid.
    pub(crate) fn check_format(&self, engine: &str, known: &str, uid: u64) -> Result<u64> {
        if let Some(found) = self.read_format(engine, known)? {
            return Ok(found);
        }
        self.check_empty()?;
        let lines = format!("engine {engine}\nversion {known}\nuid {uid:016x}\n");
        self.replace(&self.format(), &with_crc(lines))?;
        Ok(uid)
    }

    /// Checks that this version of this engine made the folder, and returns the folder's uid; `None` if there is none.
    pub(crate) fn read_format(&self, engine: &str, known: &str) -> Result<Option<u64>> {
        let path = self.format();
        let Some(lines) = self.read_text(&path)? else { return Ok(None) };
        let field = |name: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.ok_or_else(|| corrupt(&path, 0, "the file lacks a line"))
        };
        let found = field("engine")?;
        if found != engine {
            return Err(Error::WrongEngine {
                folder: self.path.clone(),
                found: found.to_owned(),
                wanted: engine.to_owned(),
            });
        }
        let version = field("version")?;
        if version != known {
            return Err(Error::Format {
                folder: self.path.clone(),
                reason: format!(
                    "the data has format version {version}, and this program knows {known}: \
                     use the program that wrote it, or a newer one"
                ),
            });
        }
        let uid = u64::from_str_radix(field("uid")?, 16);
        uid.map(Some).map_err(|_| corrupt(&path, 0, "the uid is not a number"))
    }

    /// Refuses a folder without a marker that holds files of somebody else.
    fn check_empty(&self) -> Result<()> {
        let names = self.list()?;
        let ours = |name: &PathBuf| {
            name.as_os_str() == "LOCK"
                || name.extension().is_some_and(|extension| extension == "tmp")
        };
        match names.iter().find(|name| !ours(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Format {
                folder: self.path.clone(),
                reason: format!(
                    "the folder is not empty (it has `{}`) and has no FORMAT file: use an empty \
                     folder, or `salvage` if it was a bitcask",
                    name.display()
                ),
            }),
        }
    }

    /// All names in the folder.
    pub(crate) fn list(&self) -> Result<Vec<PathBuf>> {
        self.fs.list(&self.path).map_err(|e| failed("list the folder", &self.path, e))
    }
}

/// Lines of text with their CRC as the last one.
pub(crate) fn with_crc(mut text: String) -> Vec<u8> {
    let crc = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "crc {crc:08x}");
    text.into_bytes()
}

fn check_text(bytes: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (lines, crc) = text.strip_suffix('\n')?.rsplit_once("crc ")?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    (crc == crc32c::crc32c(lines.as_bytes())).then(|| lines.lines().map(str::to_owned).collect())
}

/// The error for a failed call of the file system.
pub(crate) fn failed(action: &'static str, file: &Path, source: io::Error) -> Error {
    let file = file.to_path_buf();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { file, source }
        }
        _ => Error::Io { action, file, source },
    }
}

/// The error for damage.
pub(crate) fn corrupt(file: &Path, offset: u64, reason: impl Into<String>) -> Error {
    Error::Corrupt { file: file.to_path_buf(), offset, reason: reason.into() }
}
