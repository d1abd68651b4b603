//! The raw commands that read.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tinykv_client::{Raw, Scan, Ttl};

use super::{Ending, RangeArgs};
use crate::cli::input;
use crate::cli::output::{Output, complain};

/// Pairs that one request of a scan asks for.
const PAGE: u32 = 1000;

/// Prints the value of a key
///
/// Into a pipe or a file the bytes go as they are, without a line end. An absent key is `Key not
/// found` on stderr and exit code 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw get photo > photo.jpg
  tinykv raw get 00ff --encoding hex
  tinykv raw get user:1 --cf write --json")]
pub(crate) struct Get {
    /// The key
    key: OsString,
}

impl Get {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let key = input::decoded(&self.key, out.encoding)?;
        let value = raw.get(key.clone()).await?;
        if out.json {
            let found = value.as_ref().map(|value| out.json_bytes(value));
            out.json(&json!({ "key": out.json_bytes(&key), "value": found }))?;
        } else if let Some(value) = &value {
            out.value(value, false)?;
        } else {
            complain("Key not found");
        }
        Ok(if value.is_some() { Ending::Done } else { Ending::NotFound })
    }
}

/// Prints keys and their values, read at one moment
///
/// A line each: the key, a tab, the value. Absent keys are named on stderr, and the exit code
/// is 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw batch-get user:1 user:2
  tinykv raw batch-get user:1 user:2 --json      a JSON object each, value null if absent")]
pub(crate) struct BatchGet {
    /// The keys
    #[arg(required = true)]
    keys: Vec<OsString>,
}

impl BatchGet {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let keys = input::all_decoded(&self.keys, out.encoding)?;
        let values = raw.batch_get(keys.iter().cloned()).await?;
        let mut ending = Ending::Done;
        for (key, value) in keys.iter().zip(&values) {
            if value.is_none() {
                ending = Ending::NotFound;
            }
            if out.json {
                let value = value.as_ref().map(|value| out.json_bytes(value));
                out.json(&json!({ "key": out.json_bytes(key), "value": value }))?;
            } else if let Some(value) = value {
                out.pair(key, Some(value))?;
            } else {
                complain(&format!("Key not found: {}", out.quoted(key)));
            }
        }
        Ok(ending)
    }
}

/// Prints the keys of a range in order, with their values
///
/// A line each: the key, a tab, the value; with --json an object each. Reads page by page, so
/// that a large range needs little memory; keys that are written meanwhile may be missed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw scan --prefix user:
  tinykv raw scan --start a --end n --limit 10
  tinykv raw scan --reverse --limit 1            the last key there is
  tinykv raw scan --keys-only | wc -l            how many keys there are")]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// How many keys at most
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
    /// Begin at the large end
    #[arg(long)]
    reverse: bool,
    /// Leave the values out
    #[arg(long)]
    keys_only: bool,
}

impl ScanArgs {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let scan = Scan {
            limit: self.limit.unwrap_or(u32::MAX),
            reverse: self.reverse,
            keys_only: self.keys_only,
            ..self.range.scan(out.encoding)?
        };
        let mut pages = raw.pages(scan, PAGE);
        while let Some(page) = pages.next().await? {
            for (key, value) in page {
                let value = (!self.keys_only).then_some(&value);
                match (out.json, value) {
                    (false, value) => out.pair(&key, value.map(|value| &value[..]))?,
                    (true, None) => out.json(&json!({ "key": out.json_bytes(&key) }))?,
                    (true, Some(value)) => out.json(
                        &json!({ "key": out.json_bytes(&key), "value": out.json_bytes(value) }),
                    )?,
                }
            }
            out.flush()?;
        }
        Ok(Ending::Done)
    }
}

/// Prints how long a key lives
///
/// An absent key is `Key not found` on stderr and exit code 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw ttl user:1                    59m 58s 12ms, or: never expires
  tinykv raw ttl user:1 --json             {\"key\":\"user:1\",\"found\":true,\"ttl_ms\":3598012}")]
pub(crate) struct TtlArgs {
    /// The key
    key: OsString,
}

impl TtlArgs {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let key = input::decoded(&self.key, out.encoding)?;
        let ttl = raw.ttl(key.clone()).await?;
        let left = match ttl {
            Ttl::Left(ms) => Some(ms),
            Ttl::Absent | Ttl::Forever => None,
        };
        let found = ttl != Ttl::Absent;
        if out.json {
            let key = out.json_bytes(&key);
            out.json(&json!({ "key": key, "found": found, "ttl_ms": left }))?;
        } else if let Some(ms) = left {
            out.line(&humantime::format_duration(Duration::from_millis(ms)).to_string())?;
        } else if found {
            out.line("never expires")?;
        } else {
            complain("Key not found");
        }
        Ok(if found { Ending::Done } else { Ending::NotFound })
    }
}
