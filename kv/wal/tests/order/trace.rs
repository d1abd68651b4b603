//! A file system that notes what is done: [`TraceFs`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tinykv_wal::{DirLock, File, Fs, Lsn, OpenMode};

/// A file, whatever its name is.
pub(crate) type FileId = usize;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Create {
        file: FileId,
        path: PathBuf,
    },
    /// The write of a block has returned.
    Block {
        file: FileId,
        lsn: u64,
    },
    /// Another write has returned.
    Write {
        file: FileId,
    },
    /// A file has become longer.
    Grows {
        file: FileId,
    },
    SyncBegins {
        file: FileId,
    },
    SyncEnds {
        file: FileId,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    DirSyncBegins {
        path: PathBuf,
    },
    DirSyncEnds {
        path: PathBuf,
    },
    /// A purge was asked for.
    Purge,
    /// A writer is told that a block is durable.
    Answer {
        lsn: u64,
    },
}

/// The lsn of a block that starts with these bytes.
pub(crate) fn lsn_of(bytes: &[u8]) -> Option<u64> {
    let is_block = bytes.starts_with(b"TKBK");
    let lsn = bytes.get(8..16).filter(|_| is_block)?;
    Some(u64::from_le_bytes(lsn.try_into().ok()?))
}

/// Passes everything on, and notes it.
#[derive(Clone, Debug)]
pub(crate) struct TraceFs {
    inner: Arc<dyn Fs>,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    events: Vec<Event>,
    /// The files by their present names.
    names: BTreeMap<PathBuf, FileId>,
    files: usize,
}

impl TraceFs {
    pub(crate) fn new(inner: Arc<dyn Fs>) -> TraceFs {
        TraceFs { inner, notes: Arc::default() }
    }

    fn note(&self, event: Event) {
        self.notes.lock().unwrap().events.push(event);
    }

    /// Notes that a purge was asked for.
    pub(crate) fn purge(&self) {
        self.note(Event::Purge);
    }

    /// Notes that a writer was answered.
    pub(crate) fn answer(&self, lsn: Lsn) {
        self.note(Event::Answer { lsn: lsn.0 });
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.notes.lock().unwrap().events.clone()
    }
}

impl Fs for TraceFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.inner.open(path, mode)?;
        let mut notes = self.notes.lock().unwrap();
        let known = notes.names.get(path).copied().filter(|_| mode != OpenMode::CreateNew);
        let id = known.unwrap_or(notes.files);
        if known.is_none() {
            notes.files += 1;
            notes.names.insert(path.to_owned(), id);
            notes.events.push(Event::Create { file: id, path: path.to_owned() });
        }
        Ok(Arc::new(TraceFile { file, id, fs: self.clone() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Noted first: whoever uses the new name comes later in the notes.
        let mut notes = self.notes.lock().unwrap();
        notes.events.push(Event::Rename { from: from.to_owned(), to: to.to_owned() });
        if let Some(file) = notes.names.remove(from) {
            notes.names.insert(to.to_owned(), file);
        }
        drop(notes);
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Event::Remove { path: path.to_owned() });
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.note(Event::DirSyncBegins { path: dir.to_owned() });
        self.inner.sync_dir(dir)?;
        self.note(Event::DirSyncEnds { path: dir.to_owned() });
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        self.inner.lock(path)
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }
}

#[derive(Debug)]
struct TraceFile {
    file: Arc<dyn File>,
    id: FileId,
    fs: TraceFs,
}

impl File for TraceFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let before = self.file.len()?;
        let written = self.file.write_at(buf, offset)?;
        if offset + written as u64 > before {
            self.fs.note(Event::Grows { file: self.id });
        }
        self.fs.note(match lsn_of(buf) {
            Some(lsn) => Event::Block { file: self.id, lsn },
            None => Event::Write { file: self.id },
        });
        Ok(written)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.note_length(len)?;
        self.file.allocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note_length(len)?;
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.note(Event::SyncBegins { file: self.id });
        self.file.sync_data()?;
        self.fs.note(Event::SyncEnds { file: self.id });
        Ok(())
    }
}

impl TraceFile {
    fn note_length(&self, len: u64) -> io::Result<()> {
        if len > self.file.len()? {
            self.fs.note(Event::Grows { file: self.id });
        }
        Ok(())
    }
}
