//! What can go wrong when logging is set up. Nothing goes wrong later: a record that cannot be
//! written is counted.

use std::io;
use std::path::PathBuf;

/// The result of setting up logging.
pub type Result<T> = std::result::Result<T, Error>;

/// Why logging was not set up. The caller corrects the setting and starts again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A filter has a level that does not exist.
    #[error(
        "log filter: `{level}` in `{part}` is no level: use off, error, warn, info, debug or trace"
    )]
    Level {
        /// The part of the filter between two commas.
        part: String,
        /// What stands where the level should.
        level: String,
    },
    /// A filter names a module in a way that no module is named.
    #[error(
        "log filter: `{module}` in `{part}` is no module path: write it like `raft` or `engine::bitcask`"
    )]
    Module {
        /// The part of the filter between two commas.
        part: String,
        /// What stands where the module should.
        module: String,
    },
    /// A filter has nothing between two commas.
    #[error("log filter: part {number} of `{filter}` is empty: write it like `info,raft=debug`")]
    EmptyPart {
        /// The whole filter.
        filter: String,
        /// Which part, from 1.
        number: usize,
    },
    /// A filter gives one module, or everything, two levels.
    #[error("log filter: `{part}` says again what another part says: leave one of them out")]
    Twice {
        /// The second of the two parts.
        part: String,
    },
    /// A filter came from a place that is worth naming.
    #[error("{place}: {error}")]
    From {
        /// Where the filter was written: a flag, a variable or a key of the configuration.
        place: String,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// An option has a value that makes no sense.
    #[error("log option {option}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// The log file cannot be opened.
    #[error("{}: cannot open the log file", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The thread that writes the log cannot be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
    /// Logging was set up before in this process.
    #[error("logging is set up already")]
    AlreadyInstalled,
}
