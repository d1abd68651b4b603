//! Lines for people.
//!
//! ```text
//! 2024-02-29T23:59:59.999Z WARN  engine::merge   merge is behind segments=12 cf="my cf"
//! ```
//!
//! What a user wrote must not look like a record of ours: control characters are escaped, and a
//! message's further lines are marked with `  | `.

use std::fmt::Write;

use mutant::mutant;

use super::{Line, time};
use crate::filter::strip_crate_prefix;
use crate::level::{self, Level};

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Appends a line.
pub(super) fn append(line: &Line<'_>, coloured: bool, out: &mut String) {
    let paint = |code: &'static str| if coloured { code } else { "" };
    time::append(line.time, out);
    let level = line.record.level();
    let module = strip_crate_prefix(line.record.module());
    let (colour, plain) = (paint(colour(level)), paint(PLAIN));
    let name = level::record_name(level);
    write!(out, " {colour}{name:<5}{plain} {}{module}{plain} ", paint(DIM))
        .expect("writing to memory does not fail");
    append_message(&line.record.msg().to_string(), out);
    for field in line.fields {
        out.push(' ');
        out.push_str(paint(DIM));
        out.push_str(field.key);
        out.push('=');
        out.push_str(plain);
        append_value(&field.value, out);
    }
    out.push('\n');
}

/// The colour of a level.
fn colour(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "\x1b[31m",
        Level::Warning => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[36m",
        Level::Trace => DIM,
    }
}

/// Appends a message; marks its further lines.
fn append_message(message: &str, out: &mut String) {
    for (number, line) in message.lines().enumerate() {
        if number > 0 {
            out.push_str(if mutant!("log-line-forged") { "\n" } else { "\n  | " });
        }
        append_escaped(line, |c| c.is_control() && c != '\t', out);
    }
}

/// Appends a value; in quotes if one could not see where it ends.
fn append_value(value: &str, out: &mut String) {
    let bare = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(bare) {
        out.push_str(value);
        return;
    }
    out.push('"');
    append_escaped(value, |c| c.is_control() || matches!(c, '"' | '\\'), out);
    out.push('"');
}

/// Appends a text with the characters that `escape` wants escaped.
fn append_escaped(text: &str, escape: impl Fn(char) -> bool, out: &mut String) {
    for c in text.chars() {
        if escape(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}
