//! Bytes from arguments, files and stdin.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use anyhow::Context;
use bytes::Bytes;

use crate::cli::encoding::Encoding;

/// The bytes of an argument. Arguments need not be UTF-8.
pub(crate) fn plain(argument: &OsStr) -> Bytes {
    Bytes::copy_from_slice(argument.as_bytes())
}

/// The bytes that an argument stands for; without an encoding those that it consists of.
pub(crate) fn decoded(argument: &OsStr, encoding: Option<Encoding>) -> anyhow::Result<Bytes> {
    let encoding = encoding.unwrap_or(Encoding::Text);
    encoding
        .decode(argument.as_bytes())
        .with_context(|| format!("`{}` is not {}", argument.display(), encoding.name()))
}

/// All of [`decoded`].
pub(crate) fn all_decoded(
    arguments: &[OsString],
    encoding: Option<Encoding>,
) -> anyhow::Result<Vec<Bytes>> {
    arguments.iter().map(|argument| decoded(argument, encoding)).collect()
}

/// A value: `-` stands for all of stdin and `@FILE` for the content of a file, both as they are;
/// anything else for itself in its encoding.
pub(crate) fn value(argument: &OsStr, encoding: Option<Encoding>) -> anyhow::Result<Bytes> {
    let bytes = argument.as_bytes();
    if bytes == b"-" {
        let mut value = Vec::new();
        std::io::stdin().lock().read_to_end(&mut value).context("cannot read stdin")?;
        return Ok(value.into());
    }
    if let Some(file) = bytes.strip_prefix(b"@") {
        let file = OsStr::from_bytes(file);
        let value =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        return Ok(value.into());
    }
    decoded(argument, encoding)
}
