//! A client of the Redis protocol for tests: it blocks, and shows replies as redis-cli would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::BytesMut;
use proto::resp::{Limits, ReplyDecoder, Value};

/// A connection.
pub(crate) struct Resp {
    pub(crate) socket: TcpStream,
    decoder: ReplyDecoder,
    input: BytesMut,
}

#[allow(dead_code, reason = "not every suite needs every helper")]
impl Resp {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Resp {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        Resp { socket, decoder: ReplyDecoder::new(Limits::default()), input: BytesMut::new() }
    }

    /// Sends a command.
    pub(crate) fn send(&mut self, words: &[&[u8]]) {
        self.socket.write_all(&encode(words)).unwrap();
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next reply; none at the end of the stream.
    pub(crate) fn receive(&mut self) -> Option<Value> {
        loop {
            if let Some(value) = self.decoder.decode(&mut self.input).unwrap() {
                return Some(value);
            }
            let mut chunk = [0; 16 << 10];
            match self.socket.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => self.input.extend_from_slice(&chunk[..bytes]),
            }
        }
    }

    /// Sends a command given as words, and shows the reply.
    pub(crate) fn run(&mut self, words: &str) -> String {
        let words: Vec<&[u8]> = words.split_whitespace().map(str::as_bytes).collect();
        self.run_words(&words)
    }

    /// Sends a command, and shows the reply.
    pub(crate) fn run_words(&mut self, words: &[&[u8]]) -> String {
        self.send(words);
        self.receive().map_or_else(|| "(closed)".to_owned(), |value| show(&value))
    }
}

/// A command as bytes.
pub(crate) fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A reply as text: `"bulk"`, `(nil)`, `(error) ...`, a number, `[a, b]`, `{k: v}`.
pub(crate) fn show(value: &Value) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let list = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(", ");
    match value {
        Value::Simple(line) => text(line),
        Value::Error(line) | Value::BulkError(line) => format!("(error) {}", text(line)),
        Value::Integer(number) => number.to_string(),
        Value::Bulk(bytes) => format!("\"{}\"", text(bytes)),
        Value::Null => "(nil)".to_owned(),
        Value::Array(values) => format!("[{}]", list(values)),
        Value::Set(values) => format!("~[{}]", list(values)),
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| format!("{}: {}", show(key), show(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Value::Verbatim { text: bytes, .. } => text(bytes),
        other => format!("{other:?}"),
    }
}
