//! The folder of a bitcask: names, marker, manifest.
//!
//! ```text
//! LOCK            held by the process that has the folder open
//! FORMAT          which engine made the folder, in which version; never changes
//! MANIFEST        the segments that count, oldest first; replaced as a whole
//! 00000001.seg    a segment
//! 00000001.hint   its keys, for a fast start
//! NAME.tmp        a file that is being written, to be renamed to NAME
//! ```
//!
//! `FORMAT` and `MANIFEST` are lines of text, of which the last is the CRC of those before it:
//!
//! ```text
//! engine bitcask        segment 1 log
//! version 1             segment 3 merged
//! uid 00000000deadbeef  segment 4 log
//! crc 12345678          crc 12345678
//! ```
//!
//! A segment file that the manifest does not name is a leftover of a crash, and is removed.

use std::fmt::Write as _;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wal::{DirLock, File, Fs, OpenMode};

use crate::{Error, Result};

/// The version of the format that this code reads and writes.
const VERSION: &str = "1";

/// Most bytes in `FORMAT` or `MANIFEST`.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// How a segment came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Batches were appended to it in the order of their sequence numbers.
    Log,
    /// A merge wrote it.
    Merged,
}

/// A line of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: NonZeroU32,
    pub(super) origin: Origin,
}

/// The folder of a bitcask.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) path: PathBuf,
}

impl Folder {
    pub(super) fn segment(&self, id: NonZeroU32) -> PathBuf {
        self.path.join(format!("{id:08}.seg"))
    }

    pub(super) fn hint(&self, id: NonZeroU32) -> PathBuf {
        self.path.join(format!("{id:08}.hint"))
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.path.join("MANIFEST")
    }

    pub(super) fn format(&self) -> PathBuf {
        self.path.join("FORMAT")
    }

    /// Makes the folder and its missing parents, durably.
    pub(super) fn make(&self) -> Result<()> {
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
    pub(super) fn sync(&self) -> Result<()> {
        self.fs.sync_dir(&self.path).map_err(|e| failed("sync the folder", &self.path, e))
    }

    /// Opens a file.
    pub(super) fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        self.fs.open(path, mode).map_err(|e| failed("open the file", path, e))
    }

    /// Creates a file, instead of one of the same name that a crash may have left.
    pub(super) fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.remove(path)?;
        self.open(path, OpenMode::CreateNew)
    }

    /// Removes a file if it exists.
    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        match self.fs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove the file", path, error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a file under its name at once and durably: never a half of it is there.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
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

    /// The lines of `FORMAT` or `MANIFEST`; `None` if there is no such file.
    fn read_text(&self, path: &Path) -> Result<Option<Vec<String>>> {
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
    pub(super) fn lock(&self) -> Result<Box<dyn DirLock>> {
        let path = self.path.join("LOCK");
        self.fs.lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { folder: self.path.clone() },
            _ => failed("lock the folder with", &path, error),
        })
    }

    /// Checks or writes the marker of the format, and returns the folder's uid.
    pub(super) fn check_format(&self, uid: u64) -> Result<u64> {
        if let Some(found) = self.read_format()? {
            return Ok(found);
        }
        self.check_empty()?;
        let lines = format!("engine bitcask\nversion {VERSION}\nuid {uid:016x}\n");
        self.replace(&self.format(), &with_crc(lines))?;
        Ok(uid)
    }

    /// Checks the marker of the format, and returns the folder's uid; `None` if there is none.
    pub(super) fn read_format(&self) -> Result<Option<u64>> {
        let path = self.format();
        let Some(lines) = self.read_text(&path)? else { return Ok(None) };
        let field = |name: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.ok_or_else(|| corrupt(&path, 0, "the file lacks a line"))
        };
        let found = field("engine")?;
        if found != "bitcask" {
            return Err(Error::WrongEngine {
                folder: self.path.clone(),
                found: found.to_owned(),
                wanted: "bitcask".to_owned(),
            });
        }
        let version = field("version")?;
        if version != VERSION {
            return Err(Error::Format {
                folder: self.path.clone(),
                reason: format!(
                    "the data has format version {version}, and this program knows {VERSION}: \
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
    pub(super) fn list(&self) -> Result<Vec<PathBuf>> {
        self.fs.list(&self.path).map_err(|e| failed("list the folder", &self.path, e))
    }

    /// The segments that count, oldest first; none if the folder is new.
    pub(super) fn read_manifest(&self) -> Result<Vec<Listed>> {
        let path = self.manifest();
        let Some(lines) = self.read_text(&path)? else {
            let is_segment = |name: &PathBuf| name.extension().is_some_and(|e| e == "seg");
            return match self.list()?.iter().any(is_segment_with_data(self, is_segment)) {
                true => Err(corrupt(&path, 0, "the file is missing")),
                false => Ok(Vec::new()),
            };
        };
        let parse = |line: &String| {
            let (id, origin) = line.strip_prefix("segment ")?.split_once(' ')?;
            let origin = match origin {
                "log" => Origin::Log,
                "merged" => Origin::Merged,
                _ => return None,
            };
            Some(Listed { id: id.parse().ok()?, origin })
        };
        let listed: Option<Vec<_>> = lines.iter().map(parse).collect();
        listed.ok_or_else(|| corrupt(&path, 0, "a line is not understood"))
    }

    /// Replaces the manifest.
    pub(super) fn write_manifest(&self, segments: &[Listed]) -> Result<()> {
        let mut text = String::new();
        for listed in segments {
            let origin = match listed.origin {
                Origin::Log => "log",
                Origin::Merged => "merged",
            };
            let _ = writeln!(text, "segment {} {origin}", listed.id);
        }
        self.replace(&self.manifest(), &with_crc(text))
    }

    /// Removes what a crash left: files that are not listed. Returns how many there were.
    pub(super) fn sweep(&self, segments: &[Listed]) -> Result<usize> {
        let keep = |name: &Path| {
            let listed = |id: u32| segments.iter().any(|listed| listed.id.get() == id);
            let number = name.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
            match name.extension().and_then(|extension| extension.to_str()) {
                Some("tmp") => false,
                Some("seg" | "hint") => number.is_none_or(listed),
                _ => true,
            }
        };
        let mut removed = 0;
        for name in self.list()?.iter().filter(|name| !keep(name)) {
            self.remove(&self.path.join(name))?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// A segment without a manifest is a leftover of the very first start, unless it has frames.
fn is_segment_with_data<'a>(
    folder: &'a Folder,
    is_segment: impl Fn(&PathBuf) -> bool + 'a,
) -> impl Fn(&PathBuf) -> bool + 'a {
    move |name| {
        let mut byte = [0; 8];
        is_segment(name)
            && folder.fs.open(&folder.path.join(name), OpenMode::Read).is_ok_and(|file| {
                file.read_at(&mut byte, super::segment::SEGMENT_HEAD as u64).is_ok()
                    && byte != [0; 8]
            })
    }
}

fn with_crc(mut text: String) -> Vec<u8> {
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
pub(super) fn failed(action: &'static str, file: &Path, source: io::Error) -> Error {
    let file = file.to_path_buf();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { file, source }
        }
        _ => Error::Io { action, file, source },
    }
}

/// The error for damage.
pub(super) fn corrupt(file: &Path, offset: u64, reason: impl Into<String>) -> Error {
    Error::Corrupt { file: file.to_path_buf(), offset, reason: reason.into() }
}
