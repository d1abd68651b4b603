//! What the program prints: text for people, JSON for programs, bytes for pipes.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};
use tinykv_client::Error;

use crate::cli::encoding::{Encoding, escape};

/// Where results go, and in which form.
pub(crate) struct Output {
    out: Box<dyn Write>,
    /// Whether a person reads it.
    pub(crate) terminal: bool,
    /// Whether a program reads JSON.
    pub(crate) json: bool,
    /// The encoding that was asked for.
    pub(crate) encoding: Option<Encoding>,
}

impl Output {
    /// Prints to stdout.
    pub(crate) fn stdout(json: bool) -> Output {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Output { out: Box::new(io::BufWriter::new(stdout)), terminal, json, encoding: None }
    }

    /// Prints a value alone: as it is into a pipe, and escaped on a terminal, where control bytes
    /// would do harm. `newline` tells whether a line end follows even what goes into a pipe as
    /// it is.
    pub(crate) fn value(&mut self, value: &[u8], newline: bool) -> io::Result<()> {
        let default = if self.terminal { Encoding::Escaped } else { Encoding::Text };
        self.out.write_all(&self.encoding.unwrap_or(default).encode(value))?;
        if newline || self.terminal || self.encoding.is_some() {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Prints a key, and a tab and its value if there is one: a line each, so escaped unless
    /// another encoding was asked for.
    pub(crate) fn pair(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        let encoding = self.encoding.unwrap_or(Encoding::Escaped);
        self.out.write_all(&encoding.encode(key))?;
        if let Some(value) = value {
            self.out.write_all(b"\t")?;
            self.out.write_all(&encoding.encode(value))?;
        }
        self.out.write_all(b"\n")
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Prints a JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{value}")
    }

    /// The JSON form of bytes: a string in the encoding that was asked for. Without one it is a
    /// string if they are UTF-8, and `{"base64": "..."}` if they are not.
    pub(crate) fn json_bytes(&self, bytes: &[u8]) -> Value {
        match (self.encoding, std::str::from_utf8(bytes)) {
            (None | Some(Encoding::Text), Ok(text)) => text.into(),
            (None | Some(Encoding::Text), Err(_)) => {
                json!({ "base64": text(Encoding::Base64, bytes) })
            }
            (Some(encoding), _) => text(encoding, bytes).into(),
        }
    }

    /// Bytes within a sentence.
    pub(crate) fn quoted(&self, bytes: &[u8]) -> String {
        match self.encoding {
            None | Some(Encoding::Text) => escape(bytes),
            Some(encoding) => text(encoding, bytes),
        }
    }

    /// Hands everything printed so far to the system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Bytes in an encoding that is text.
fn text(encoding: Encoding, bytes: &[u8]) -> String {
    String::from_utf8_lossy(&encoding.encode(bytes)).into_owned()
}

/// Prints a line to stderr. An error there has nowhere to go.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints an error to stderr, with what the user can do.
pub(crate) fn error(error: &anyhow::Error, json: bool) {
    let client_error = error.downcast_ref::<Error>();
    if json {
        let kind = client_error.map_or("failed", Error::kind);
        complain(
            &json!({ "error": { "kind": kind, "message": format!("{error:#}") } }).to_string(),
        );
        return;
    }
    complain(&format!("tinykv: {error:#}"));
    match client_error {
        Some(Error::Unreachable { address, .. }) => complain(&format!(
            "Is it running? Start one with:  tinykv-server --addr {address}  \
             (in the source folder: make run)"
        )),
        Some(Error::Protocol { .. }) => {
            complain("Is this the native address of a tinykv-server of this version?");
        }
        _ => {}
    }
}
