//! Turning a record into one line. Done in the caller's thread, so that values need not outlive
//! the call and the time is that of the event.

mod json;
mod terminal;
mod time;

use std::fmt;
use std::time::SystemTime;

use slog::{Key, OwnedKVList, Record};

/// How lines look, with everything about the destination decided.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    /// For people.
    Terminal {
        /// Whether to colour.
        coloured: bool,
    },
    /// For programs.
    Json,
}

/// A key with its value as text; `quoted` if it is text for JSON too, and not a number.
struct Field {
    key: Key,
    value: String,
    quoted: bool,
}

impl Style {
    /// Appends a record with its line end to `out`.
    pub(crate) fn append(
        self,
        time: SystemTime,
        record: &Record<'_>,
        inherited: &OwnedKVList,
        out: &mut String,
    ) {
        let fields = Fields::of(record, inherited);
        let line = Line { time, record, fields: &fields };
        match self {
            Style::Terminal { coloured } => terminal::append(&line, coloured, out),
            Style::Json => json::append(&line, out),
        }
    }
}

/// What a line is made of.
struct Line<'a> {
    time: SystemTime,
    record: &'a Record<'a>,
    fields: &'a [Field],
}

/// Collects the keys and values of a record, in the order written.
struct Fields(Vec<Field>);

impl Fields {
    /// Those of the record, and behind them those of its logger.
    fn of(record: &Record<'_>, inherited: &OwnedKVList) -> Vec<Field> {
        use slog::KV as _;
        let mut fields = Fields(Vec::new());
        // A value that cannot be shown is left out; the record counts more.
        let _ = record.kv().serialize(record, &mut fields);
        // slog hands out the last pair first.
        fields.0.reverse();
        let own = fields.0.len();
        let _ = inherited.serialize(record, &mut fields);
        fields.0[own..].reverse();
        fields.0
    }

    /// Adds a field.
    fn add(&mut self, key: Key, value: impl fmt::Display, quoted: bool) -> slog::Result {
        self.0.push(Field { key, value: value.to_string(), quoted });
        Ok(())
    }
}

/// Adds a value that JSON has a type for.
macro_rules! plain {
    ($($method:ident: $type:ty),+) => {
        $(fn $method(&mut self, key: Key, value: $type) -> slog::Result {
            self.add(key, value, false)
        })+
    };
}

impl slog::Serializer for Fields {
    plain!(
        emit_bool: bool, emit_u8: u8, emit_i8: i8, emit_u16: u16, emit_i16: i16, emit_u32: u32,
        emit_i32: i32, emit_u64: u64, emit_i64: i64, emit_usize: usize, emit_isize: isize
    );

    fn emit_f64(&mut self, key: Key, value: f64) -> slog::Result {
        // JSON has no infinities and no NaN.
        self.add(key, value, !value.is_finite())
    }

    fn emit_f32(&mut self, key: Key, value: f32) -> slog::Result {
        self.add(key, value, !value.is_finite())
    }

    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.add(key, "null", false)
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.add(key, "null", false)
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        self.add(key, value, true)
    }

    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.add(key, value, true)
    }
}
