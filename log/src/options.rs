//! What a program chooses about its log. Free of serde: the program maps its configuration.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::filter::Filter;

/// The environment variable that a filter may come from.
pub const ENV: &str = "TINYKV_LOG";

/// How to log.
#[derive(Debug)]
pub struct Options {
    /// Which records.
    pub filter: Filter,
    /// In which form.
    pub format: Format,
    /// Where to.
    pub destination: Destination,
    /// How many bytes of records may wait to be written, at least 4 KiB. A record for which there
    /// is no room is dropped and counted; the log says later how many.
    pub queue_bytes_max: usize,
    /// Whether a panic in any thread is logged, instead of written to stderr as plain text.
    pub panic_hook: bool,
}

impl Default for Options {
    /// `info` as text on stderr, 4 MiB of queue, panics logged.
    fn default() -> Options {
        Options {
            filter: Filter::default(),
            format: Format::Terminal { colour: Colour::Auto },
            destination: Destination::Stderr,
            queue_bytes_max: 4 << 20,
            panic_hook: true,
        }
    }
}

/// The form of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line for people: `TIME LEVEL module message key=value`.
    Terminal {
        /// Whether levels have colours.
        colour: Colour,
    },
    /// A line of JSON for programs: `time`, `level`, `module`, `message`, then the record's keys.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal, unless the environment variable `NO_COLOR` is set to something.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where records go.
pub enum Destination {
    /// The standard error of the process.
    Stderr,
    /// A file that rotates.
    File(FileOptions),
    /// Anything else. It gets whole lines, many at once, from a thread of the log's own.
    Writer(Box<dyn Write + Send>),
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Stderr => f.write_str("Stderr"),
            Destination::File(options) => f.debug_tuple("File").field(options).finish(),
            Destination::Writer(_) => f.write_str("Writer"),
        }
    }
}

/// A log file and when to begin a new one.
///
/// The file that is full is renamed to `PATH.1`, the one before that to `PATH.2`, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file that is written. Its folder is made if it does not exist.
    pub path: PathBuf,
    /// A file is full before a record would make it larger, in bytes; none: it may grow.
    pub bytes_max: Option<u64>,
    /// A file is full so long after it was begun; none: it may grow old.
    pub age_max: Option<Duration>,
    /// How many full files are kept beside the one that is written; the oldest goes first.
    pub files_kept: usize,
}

impl FileOptions {
    /// A file of at most 100 MiB and any age, with ten older ones kept.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> FileOptions {
        let path = path.into();
        FileOptions { path, bytes_max: Some(100 << 20), age_max: None, files_kept: 10 }
    }

    /// Checks what cannot be right.
    fn validate(&self) -> Result<()> {
        let wrong = |option, reason| Err(Error::Option { option, reason });
        if self.path.file_name().is_none() {
            return wrong("path", "it names no file");
        }
        if self.bytes_max == Some(0) {
            return wrong("bytes_max", "it must be at least 1; leave it out for no limit");
        }
        if self.age_max == Some(Duration::ZERO) {
            return wrong("age_max", "it must be more than 0; leave it out for no limit");
        }
        Ok(())
    }
}

impl Options {
    /// Checks what cannot be right.
    ///
    /// # Errors
    /// [`Error::Option`] names the option and what to do.
    pub fn validate(&self) -> Result<()> {
        if self.queue_bytes_max < 4096 {
            let reason = "it must be at least 4096, room for a few records";
            return Err(Error::Option { option: "queue_bytes_max", reason });
        }
        match &self.destination {
            Destination::File(options) => options.validate(),
            Destination::Stderr | Destination::Writer(_) => Ok(()),
        }
    }
}
