//! `tinykv raw`: the whole raw API. `read` and `write` hold its commands, which the shell has too.

mod read;
mod write;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use tinykv_client::{Raw, Scan};

use crate::cli::encoding::Encoding;
use crate::cli::output::Output;
use crate::cli::{Global, duration, input};

/// Reads and writes through the whole raw API
///
/// Keys and values are bytes. Arguments stand for their own bytes, or for what --encoding says.
/// A value may also be `-` for all of stdin, or `@FILE` for the content of a file. Bytes are
/// printed escaped, so that no control character reaches a terminal; only `get` into a pipe
/// prints them as they are.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw put user:1 ann --ttl 1h
  tinykv raw put photo @photo.jpg            the content of a file
  tinykv raw get photo > copy.jpg            bytes as they are
  tinykv raw put 00ff 'c0ffee' --encoding hex
  tinykv raw scan --prefix user: --json")]
pub(crate) struct RawArgs {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The heading of the options that every raw command has.
const HEADING: &str = "Options of raw commands";

/// What holds for every raw command.
#[derive(Clone, Args)]
pub(crate) struct Settings {
    /// The column family: default, lock or write
    #[arg(long, default_value = "default", global = true, value_name = "NAME", help_heading = HEADING)]
    pub(crate) cf: String,
    /// How keys and values are written, in arguments and in output
    #[arg(long, value_enum, global = true, help_heading = HEADING)]
    pub(crate) encoding: Option<Encoding>,
}

/// A raw command.
#[derive(Subcommand)]
pub(crate) enum Command {
    Get(read::Get),
    #[command(visible_alias = "set")]
    Put(write::Put),
    #[command(visible_alias = "rm")]
    Del(write::Del),
    BatchGet(read::BatchGet),
    BatchPut(write::BatchPut),
    BatchDel(write::BatchDel),
    DelRange(write::DelRange),
    Scan(read::ScanArgs),
    Cas(write::Cas),
    Ttl(read::TtlArgs),
}

/// How a raw command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did what was asked for.
    Done,
    /// A key was absent, or a swap did not happen.
    NotFound,
}

impl RawArgs {
    pub(crate) async fn run(self, global: &Global, mut out: Output) -> anyhow::Result<ExitCode> {
        let raw = global.connect().await?.raw().with_cf(self.settings.cf);
        out.encoding = self.settings.encoding;
        let ending = self.command.run(raw, &mut out).await?;
        out.flush()?;
        Ok(match ending {
            Ending::Done => ExitCode::SUCCESS,
            Ending::NotFound => ExitCode::FAILURE,
        })
    }
}

impl Command {
    /// Carries the command out.
    pub(crate) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        match self {
            Command::Get(command) => command.run(raw, out).await,
            Command::Put(command) => command.run(raw, out).await,
            Command::Del(command) => command.run(raw, out).await,
            Command::BatchGet(command) => command.run(raw, out).await,
            Command::BatchPut(command) => command.run(raw, out).await,
            Command::BatchDel(command) => command.run(raw, out).await,
            Command::DelRange(command) => command.run(raw, out).await,
            Command::Scan(command) => command.run(raw, out).await,
            Command::Cas(command) => command.run(raw, out).await,
            Command::Ttl(command) => command.run(raw, out).await,
        }
    }
}

/// Which keys a command is about.
#[derive(Args)]
struct RangeArgs {
    /// The first key
    #[arg(long, value_name = "KEY")]
    start: Option<OsString>,
    /// The key after the last one
    #[arg(long, value_name = "KEY")]
    end: Option<OsString>,
    /// All keys that begin so
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["start", "end"])]
    prefix: Option<OsString>,
}

impl RangeArgs {
    /// Whether no bound was given.
    fn is_unbounded(&self) -> bool {
        self.start.is_none() && self.end.is_none() && self.prefix.is_none()
    }

    /// The scan of the whole range.
    fn scan(&self, encoding: Option<Encoding>) -> anyhow::Result<Scan> {
        if let Some(prefix) = &self.prefix {
            return Ok(Scan::prefix(input::decoded(prefix, encoding)?));
        }
        let bound = |key: &Option<OsString>| -> anyhow::Result<Option<Bytes>> {
            key.as_ref().map(|key| input::decoded(key, encoding)).transpose()
        };
        Ok(Scan {
            start: bound(&self.start)?.unwrap_or_default(),
            end: bound(&self.end)?,
            ..Scan::default()
        })
    }
}

/// How long a written key lives.
#[derive(Args)]
struct TtlArg {
    /// How long the key lives, like 500ms or 1h; forever without it
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
}

impl TtlArg {
    /// The API whose writes live so long.
    fn apply(&self, raw: Raw) -> Raw {
        match self.ttl {
            Some(ttl) => raw.with_ttl(ttl),
            None => raw,
        }
    }
}
