//! Reading the configuration: the command line over the file over the defaults.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches};
use toml::de::{DeTable, DeValue};

use super::{CommandLine, Config, Request, print};

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line, or what it asks for (`--help`). It prints itself.
    #[error("{0}")]
    Flags(Box<clap::Error>),
    /// The file cannot be read.
    #[error("{}: cannot read the configuration", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// A key that does not exist.
    #[error("{}:{line}: there is no key `{key}`{}", file.display(), nearest(near.as_deref()))]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The line in the file, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The key that looks most like it.
        near: Option<String>,
    },
    /// A value that its key does not take.
    #[error("{}:{line}: `{key}`: {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The line in the file, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Together(String),
}

/// The part of a message that names the nearest key.
fn nearest(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// Understands a command line and the file that it names.
pub(super) fn request(args: &[String]) -> Result<Request, ConfigError> {
    let flags = |error| ConfigError::Flags(Box::new(error));
    let parse = |args: &[String]| CommandLine::command().try_get_matches_from(args);
    let mut matches = parse(args).map_err(flags)?;
    let mut line = CommandLine::from_arg_matches(&matches).map_err(flags)?;
    if let Some(file) = line.config_file.clone() {
        // What is in the file goes before the flags, so that they override it.
        let mut all: Vec<String> = args.iter().take(1).cloned().collect();
        all.extend(flags_of_file(&file)?);
        all.extend(args.iter().skip(1).cloned());
        matches = parse(&all).map_err(flags)?;
        line = CommandLine::from_arg_matches(&matches).map_err(flags)?;
    }
    line.config.check().map_err(ConfigError::Together)?;
    if line.print_config {
        return Ok(Request::Print(print::print(&matches)));
    }
    Ok(Request::Run(Box::new(line.config)))
}

/// The flags that the keys of a file stand for.
fn flags_of_file(file: &Path) -> Result<Vec<String>, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    let line_of = |offset: usize| 1 + text[..offset].matches('\n').count();
    let table = DeTable::parse(&text).map_err(|error| ConfigError::Syntax {
        file: file.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let command = Config::command();
    let mut flags = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_of(key.span().start);
        let key = key.get_ref().as_ref();
        if !names(&command).any(|name| name == key) {
            return Err(ConfigError::UnknownKey {
                file: file.to_owned(),
                line,
                key: key.to_owned(),
                near: closest(&command, key),
            });
        }
        let wrong = |reason: String| ConfigError::Value {
            file: file.to_owned(),
            line,
            key: key.to_owned(),
            reason,
        };
        let flag = format!("--{key}={}", text_of(value.get_ref()).map_err(wrong)?);
        check_flag(&flag).map_err(wrong)?;
        flags.push((line, flag));
    }
    // In the file's order, so that of two names of one key the last counts.
    flags.sort();
    Ok(flags.into_iter().map(|(_, flag)| flag).collect())
}

/// The names of all keys.
pub(super) fn names(command: &Command) -> impl Iterator<Item = &str> {
    command
        .get_arguments()
        .filter(|arg| arg.get_id() != "help" && arg.get_id() != "version")
        .flat_map(|arg| {
            let aliases = arg.get_visible_aliases().unwrap_or_default();
            arg.get_long().into_iter().chain(aliases)
        })
}

/// The name that looks most like a key that does not exist.
fn closest(command: &Command, key: &str) -> Option<String> {
    let key = key.replace('_', "-");
    let scored = names(command).map(|name| (strsim::jaro_winkler(name, &key), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.6).then(|| best.1.to_owned())
}

/// A value as it would stand on a command line.
fn text_of(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        other => Err(format!("a string or a number is expected, not {} here", other.type_str())),
    }
}

/// Checks one flag by itself, so that an error belongs to its line.
fn check_flag(flag: &str) -> Result<(), String> {
    use std::error::Error;
    match Config::command().try_get_matches_from(["tinykv-server", flag]) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::ValueValidation => {
            Err(error.source().map_or_else(|| error.to_string(), ToString::to_string))
        }
        Err(error) => Err(error.to_string()),
    }
}
