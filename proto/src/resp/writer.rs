//! Appending replies to a buffer, in the version that the connection speaks.
//!
//! Nothing is built in between: each method appends bytes. In RESP2 a type of RESP3 is written as
//! redis writes it there: a map as a flat array, a set and a push as an array, a boolean as an
//! integer, a double, a big number and a verbatim text as a bulk string, a bulk error as an error;
//! attributes are left out.

use std::io::Write as _;

use bytes::{BufMut, BytesMut};

use super::{Value, Version};

/// Appends replies to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
    version: Version,
}

impl<'a> Writer<'a> {
    /// Makes a writer that appends to `out`.
    pub fn new(out: &'a mut BytesMut, version: Version) -> Writer<'a> {
        Writer { out, version }
    }

    /// The version that is written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Writes in another version from now on: the answer to `HELLO` is in the one it chose.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Appends `+OK`.
    pub fn ok(&mut self) {
        self.out.put_slice(b"+OK\r\n");
    }

    /// Appends a text on one line; line ends in it become spaces.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// Appends an error on one line, like `ERR no such key`; line ends in it become spaces.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// Appends an error on one line that may hold bytes of a client's; line ends in it become
    /// spaces.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.line(b'-', text);
    }

    /// Appends a number.
    pub fn integer(&mut self, number: i64) {
        match number {
            0 => self.out.put_slice(b":0\r\n"),
            1 => self.out.put_slice(b":1\r\n"),
            _ => self.head(b':', number),
        }
    }

    /// Appends any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 32);
        self.head(b'$', length(bytes.len()));
        self.out.put_slice(bytes);
        self.out.put_slice(b"\r\n");
    }

    /// Appends the bulk string that is there, or null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Appends the null of a single value.
    pub fn null(&mut self) {
        self.out.put_slice(match self.version {
            Version::V2 => b"$-1\r\n",
            Version::V3 => b"_\r\n",
        });
    }

    /// Appends the null of an array.
    pub fn null_array(&mut self) {
        self.out.put_slice(match self.version {
            Version::V2 => b"*-1\r\n",
            Version::V3 => b"_\r\n",
        });
    }

    /// Begins an array: `len` values must follow.
    pub fn array(&mut self, len: usize) {
        self.head(b'*', length(len));
    }

    /// Begins a map: `len` times a key and a value must follow.
    pub fn map(&mut self, len: usize) {
        match self.version {
            Version::V2 => self.head(b'*', length(len.saturating_mul(2))),
            Version::V3 => self.head(b'%', length(len)),
        }
    }

    /// Begins a set: `len` values must follow.
    pub fn set(&mut self, len: usize) {
        match self.version {
            Version::V2 => self.array(len),
            Version::V3 => self.head(b'~', length(len)),
        }
    }

    /// Begins a message that answers no request: `len` values must follow.
    pub fn push(&mut self, len: usize) {
        match self.version {
            Version::V2 => self.array(len),
            Version::V3 => self.head(b'>', length(len)),
        }
    }

    /// Begins facts about the next value: if it gives true, `len` times a key and a value must
    /// follow, and then the value; if false, the connection cannot carry them and just the value
    /// must follow.
    #[must_use]
    pub fn attribute(&mut self, len: usize) -> bool {
        if self.version == Version::V3 {
            self.head(b'|', length(len));
        }
        self.version == Version::V3
    }

    /// Appends a floating-point number, in the shortest form that reads back equal.
    pub fn double(&mut self, number: f64) {
        let text = format_double(number);
        match self.version {
            Version::V2 => self.bulk(text.as_bytes()),
            Version::V3 => self.line(b',', text.as_bytes()),
        }
    }

    /// Appends yes or no.
    pub fn boolean(&mut self, yes: bool) {
        self.out.put_slice(match (self.version, yes) {
            (Version::V2, true) => b":1\r\n",
            (Version::V2, false) => b":0\r\n",
            (Version::V3, true) => b"#t\r\n",
            (Version::V3, false) => b"#f\r\n",
        });
    }

    /// Appends an integer of any length, given as decimal digits.
    pub fn big_number(&mut self, digits: &str) {
        match self.version {
            Version::V2 => self.bulk(digits.as_bytes()),
            Version::V3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Appends an error that may have any bytes.
    pub fn bulk_error(&mut self, text: &[u8]) {
        match self.version {
            Version::V2 => self.line(b'-', text),
            Version::V3 => {
                self.head(b'!', length(text.len()));
                self.out.put_slice(text);
                self.out.put_slice(b"\r\n");
            }
        }
    }

    /// Appends a text and the three bytes that name its format, like `txt`.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.version {
            Version::V2 => self.bulk(text),
            Version::V3 => {
                self.head(b'=', length(text.len().saturating_add(4)));
                self.out.put_slice(&format);
                self.out.put_u8(b':');
                self.out.put_slice(text);
                self.out.put_slice(b"\r\n");
            }
        }
    }

    /// Appends a whole tree of values.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Simple(text) => self.line(b'+', text),
            Value::Error(text) => self.line(b'-', text),
            Value::Integer(number) => self.integer(*number),
            Value::Bulk(bytes) => self.bulk(bytes),
            Value::Null => self.null(),
            Value::Array(values) => {
                self.array(values.len());
                self.values(values);
            }
            Value::Map(pairs) => {
                self.map(pairs.len());
                self.pairs(pairs);
            }
            Value::Set(values) => {
                self.set(values.len());
                self.values(values);
            }
            Value::Double(number) => self.double(*number),
            Value::Boolean(yes) => self.boolean(*yes),
            Value::BigNumber(digits) => match self.version {
                Version::V2 => self.bulk(digits),
                Version::V3 => self.line(b'(', digits),
            },
            Value::BulkError(text) => self.bulk_error(text),
            Value::Verbatim { format, text } => self.verbatim(*format, text),
            Value::Push(values) => {
                self.push(values.len());
                self.values(values);
            }
            Value::Attributed { attributes, value } => {
                if self.attribute(attributes.len()) {
                    self.pairs(attributes);
                }
                self.value(value);
            }
        }
    }

    /// Appends values one after the other.
    fn values(&mut self, values: &[Value]) {
        values.iter().for_each(|value| self.value(value));
    }

    /// Appends keys and values one after the other.
    fn pairs(&mut self, pairs: &[(Value, Value)]) {
        for (key, value) in pairs {
            self.value(key);
            self.value(value);
        }
    }

    /// Appends a type byte, a number and the line's end.
    fn head(&mut self, kind: u8, number: i64) {
        let mut digits = itoa::Buffer::new();
        self.out.put_u8(kind);
        self.out.put_slice(digits.format(number).as_bytes());
        self.out.put_slice(b"\r\n");
    }

    /// Appends a type byte and a text without line ends.
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.put_u8(kind);
        let start = self.out.len();
        self.out.put_slice(text);
        for byte in &mut self.out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.put_slice(b"\r\n");
    }
}

/// A length as the wire has it.
fn length(len: usize) -> i64 {
    i64::try_from(len).expect("memory holds less than 8 EiB")
}

/// A number in the shortest form that reads back equal: `0.1`, `3`, `1e300`, `inf`, `nan`.
fn format_double(number: f64) -> String {
    let mut text = Vec::new();
    let magnitude = number.abs();
    let plain = magnitude == 0.0 || (1e-5..1e17).contains(&magnitude);
    let written = if number.is_nan() {
        write!(text, "nan")
    } else if plain || number.is_infinite() {
        write!(text, "{number}")
    } else {
        write!(text, "{number:e}")
    };
    written.expect("writing to memory does not fail");
    String::from_utf8(text).expect("numbers are ASCII")
}
