//! A log file that begins anew when it is full: by size, by age, or both.
//!
//! Knows no clock: the caller says what time it is. Lines are never split over two files. When a
//! rotation fails, writing goes on in the same file: a log that grows is better than none.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mutant::mutant;

use crate::error::{Error, Result};
use crate::options::FileOptions;

/// A log file that rotates.
#[derive(Debug)]
pub struct RotatingFile {
    options: FileOptions,
    file: File,
    /// Bytes in the file.
    bytes: u64,
    /// When the file was begun; none while it is empty.
    begun: Option<SystemTime>,
}

impl RotatingFile {
    /// Opens the file, to append to what is there.
    ///
    /// # Errors
    /// [`Error::Open`] if the folder or the file cannot be made or opened.
    pub fn open(options: FileOptions) -> Result<RotatingFile> {
        let attempt = || {
            if let Some(folder) = options.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = open_for_append(&options.path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) =
            attempt().map_err(|source| Error::Open { file: options.path.clone(), source })?;
        let bytes = metadata.len();
        // Not every file system knows when a file was made; its last change is the next best.
        let begun = metadata.created().or_else(|_| metadata.modified()).ok();
        let begun = begun.filter(|_| bytes > 0);
        Ok(RotatingFile { options, file, bytes, begun })
    }

    /// Appends whole lines at the time `now`; begins new files where needed.
    ///
    /// # Errors
    /// What could not be written is lost. A rotation that failed is an error too, but nothing is
    /// lost then.
    pub fn write_lines(&mut self, now: SystemTime, mut lines: &[u8]) -> io::Result<()> {
        let mut result = Ok(());
        while !lines.is_empty() {
            if self.is_full(now, line_len(lines)) {
                result = result.and(self.rotate());
            }
            let (fitting, rest) = lines.split_at(self.fitting(lines));
            self.file.write_all(fitting)?;
            self.bytes += fitting.len() as u64;
            self.begun.get_or_insert(now);
            lines = rest;
        }
        result
    }

    /// Whether the file takes no further line of `line` bytes. An empty file takes any line.
    fn is_full(&self, now: SystemTime, line: usize) -> bool {
        let too_big = self.options.bytes_max.is_some_and(|max| self.bytes + line as u64 > max);
        // A clock that was set back makes no file old.
        let age = self.begun.and_then(|begun| now.duration_since(begun).ok());
        let too_old = self.options.age_max.is_some_and(|max| age.is_some_and(|age| age >= max));
        self.bytes > 0 && (too_big || too_old)
    }

    /// How many bytes of `lines` fit the file: whole lines, at least one.
    fn fitting(&self, lines: &[u8]) -> usize {
        let Some(max) = self.options.bytes_max else { return lines.len() };
        let room = max.saturating_sub(self.bytes);
        if mutant!("log-line-split") {
            return lines.len().min(room.max(1) as usize);
        }
        let mut fitting = line_len(lines);
        while fitting < lines.len() {
            let next = fitting + line_len(&lines[fitting..]);
            if next as u64 > room {
                break;
            }
            fitting = next;
        }
        fitting
    }

    /// Renames the full files one number up and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        // Whatever happens: do not try again before another file's worth was written.
        self.bytes = 0;
        self.begun = None;
        let kept = self.options.files_kept;
        if kept == 0 {
            return self.file.set_len(0);
        }
        for number in (1..kept).rev() {
            let number = if mutant!("log-rotation-overwrites") { kept - number } else { number };
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.options.path, self.numbered(1))?;
        self.file = open_for_append(&self.options.path)?;
        Ok(())
    }

    /// The path of a full file.
    fn numbered(&self, number: usize) -> PathBuf {
        let mut path = OsString::from(&self.options.path);
        path.push(format!(".{number}"));
        PathBuf::from(path)
    }
}

/// Opens a file for appending, makes it if it is not there.
fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The length of the first line with its end.
fn line_len(lines: &[u8]) -> usize {
    lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |end| end + 1)
}
