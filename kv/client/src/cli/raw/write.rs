//! The raw commands that write.

use std::ffi::OsString;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use tinykv_client::Raw;

use super::{Ending, RangeArgs, TtlArg};
use crate::cli::input;
use crate::cli::output::{Output, complain};

/// Sets a key to a value
///
/// Prints nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw put user:1 ann --ttl 1h
  tinykv raw put photo @photo.jpg
  date | tinykv raw put now -
  tinykv raw put 'a\\x00b' '' --encoding escaped")]
pub(crate) struct Put {
    /// The key
    key: OsString,
    /// Its new value; `-` for stdin, `@FILE` for the content of a file
    #[arg(allow_hyphen_values = true)]
    value: OsString,
    #[command(flatten)]
    ttl: TtlArg,
}

impl Put {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let key = input::decoded(&self.key, out.encoding)?;
        let value = input::value(&self.value, out.encoding)?;
        self.ttl.apply(raw).put(key, value).await?;
        Ok(Ending::Done)
    }
}

/// Sets many keys atomically
///
/// Prints nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw batch-put user:1 ann user:2 bob
  tinykv raw batch-put user:1 ann user:2 bob --ttl 10s")]
pub(crate) struct BatchPut {
    /// A key and its value, as often as you like
    #[arg(required = true, num_args = 2.., value_names = ["KEY", "VALUE"])]
    pairs: Vec<OsString>,
    #[command(flatten)]
    ttl: TtlArg,
}

impl BatchPut {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let (pairs, []) = self.pairs.as_chunks() else {
            bail!("the last key has no value");
        };
        let pairs = pairs
            .iter()
            .map(|[key, value]| {
                Ok((input::decoded(key, out.encoding)?, input::value(value, out.encoding)?))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        self.ttl.apply(raw).batch_put(pairs).await?;
        Ok(Ending::Done)
    }
}

/// Removes a key
///
/// Prints nothing. An absent key is `Key not found` on stderr and exit code 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw del user:1")]
pub(crate) struct Del {
    /// The key
    key: OsString,
}

impl Del {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let existed = raw.delete(input::decoded(&self.key, out.encoding)?).await?;
        if out.json {
            out.json(&json!({ "deleted": u64::from(existed) }))?;
        } else if !existed {
            complain("Key not found");
        }
        Ok(if existed { Ending::Done } else { Ending::NotFound })
    }
}

/// Removes many keys atomically, and prints how many of them existed
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw batch-del user:1 user:2")]
pub(crate) struct BatchDel {
    /// The keys
    #[arg(required = true)]
    keys: Vec<OsString>,
}

impl BatchDel {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let deleted = raw.batch_delete(input::all_decoded(&self.keys, out.encoding)?).await?;
        if out.json {
            out.json(&json!({ "deleted": deleted }))?;
        } else {
            out.line(&deleted.to_string())?;
        }
        Ok(Ending::Done)
    }
}

/// Removes all keys of a range atomically
///
/// Prints nothing. Without a bound it does nothing but complain: every key needs --all.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw del-range --prefix session:
  tinykv raw del-range --start a --end b
  tinykv raw del-range --all --cf write")]
pub(crate) struct DelRange {
    #[command(flatten)]
    range: RangeArgs,
    /// Every key of the column family
    #[arg(long, conflicts_with_all = ["start", "end", "prefix"])]
    all: bool,
}

impl DelRange {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        if self.range.is_unbounded() && !self.all {
            bail!("say which keys: --prefix, --start, --end, or --all for every key");
        }
        let range = self.range.scan(out.encoding)?;
        raw.delete_range(range.start, range.end).await?;
        Ok(Ending::Done)
    }
}

/// Sets a key if its value is the expected one, atomically
///
/// Prints `swapped`, or what the value is instead; the exit code is then 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tinykv raw cas leader node-2 --expect node-1
  tinykv raw cas leader node-1 --absent
  tinykv raw cas leader node-2 --expect node-1 --json
                                     {\"swapped\":true,\"previous\":\"node-1\"}")]
pub(crate) struct Cas {
    /// The key
    key: OsString,
    /// Its new value; `-` for stdin, `@FILE` for the content of a file
    #[arg(allow_hyphen_values = true)]
    value: OsString,
    /// The value that the key must have now
    #[arg(long, value_name = "VALUE", required_unless_present = "absent")]
    expect: Option<OsString>,
    /// The key must be absent now
    #[arg(long, conflicts_with = "expect")]
    absent: bool,
    #[command(flatten)]
    ttl: TtlArg,
}

impl Cas {
    pub(super) async fn run(self, raw: Raw, out: &mut Output) -> anyhow::Result<Ending> {
        let key = input::decoded(&self.key, out.encoding)?;
        let expected = self
            .expect
            .as_ref()
            .map(|expected| input::decoded(expected, out.encoding))
            .transpose()?;
        let value = input::value(&self.value, out.encoding)?;
        let result = self.ttl.apply(raw).compare_and_swap(key, expected, value).await?;
        if out.json {
            let previous = result.previous.as_ref().map(|value| out.json_bytes(value));
            out.json(&json!({ "swapped": result.swapped, "previous": previous }))?;
        } else if result.swapped {
            out.line("swapped")?;
        } else if let Some(value) = &result.previous {
            let value = out.quoted(value);
            out.line(&format!("not swapped: the value is {value}"))?;
        } else {
            out.line("not swapped: the key is absent")?;
        }
        Ok(if result.swapped { Ending::Done } else { Ending::NotFound })
    }
}
