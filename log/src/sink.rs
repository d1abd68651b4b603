//! The place that lines go to.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use crate::error::Result;
use crate::format::Style;
use crate::options::{Colour, Destination, Format};
use crate::rotate::RotatingFile;

/// An open destination.
pub(crate) enum Sink {
    Stderr,
    File(RotatingFile),
    Writer(Box<dyn Write + Send>),
}

impl Sink {
    /// Opens the destination.
    pub(crate) fn open(destination: Destination) -> Result<Sink> {
        Ok(match destination {
            Destination::Stderr => Sink::Stderr,
            Destination::File(options) => Sink::File(RotatingFile::open(options)?),
            Destination::Writer(writer) => Sink::Writer(writer),
        })
    }

    /// How lines look here.
    pub(crate) fn style(&self, format: Format) -> Style {
        match format {
            Format::Json => Style::Json,
            Format::Terminal { colour } => Style::Terminal {
                coloured: match colour {
                    Colour::Always => true,
                    Colour::Never => false,
                    Colour::Auto => self.takes_colours(),
                },
            },
        }
    }

    /// Writes whole lines and flushes them.
    pub(crate) fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stderr => io::stderr().lock().write_all(lines),
            Sink::File(file) => file.write_lines(SystemTime::now(), lines),
            Sink::Writer(writer) => writer.write_all(lines).and_then(|()| writer.flush()),
        }
    }

    /// Whether a person looks at it, one who did not forbid colours (<https://no-color.org>).
    fn takes_colours(&self) -> bool {
        matches!(self, Sink::Stderr)
            && io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}
