//! A connection that waits for each reply.

use std::io::{Read, Write};

use bytes::BytesMut;
use proto::resp::{Limits, ReplyDecoder, Value};

/// A stream of either kind.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A connection to a server that speaks RESP.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    decoder: ReplyDecoder,
    buffer: BytesMut,
}

impl Connection {
    /// Speaks over an open stream.
    pub(crate) fn new(stream: impl Stream + 'static) -> Connection {
        Connection {
            stream: Box::new(stream),
            decoder: ReplyDecoder::new(Limits::default()),
            buffer: BytesMut::new(),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Waits for one reply.
    pub(crate) fn reply(&mut self) -> Value {
        loop {
            if let Some(value) = self.decoder.decode(&mut self.buffer).unwrap() {
                return value;
            }
            let mut bytes = [0; 16 << 10];
            let count = self.stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the server closed the connection instead of answering");
            self.buffer.extend_from_slice(&bytes[..count]);
        }
    }

    /// Sends a command and waits for its reply.
    pub(crate) fn command(&mut self, words: &[Vec<u8>]) -> Value {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        self.send(&out);
        self.reply()
    }

    /// Runs a SCAN from its cursor to the end; gives all keys, sorted and each once, or the error.
    pub(crate) fn scan(&mut self, words: &[Vec<u8>]) -> Value {
        let mut words = words.to_vec();
        let mut all = Vec::new();
        loop {
            let reply = self.command(&words);
            let Value::Array(parts) = &reply else { return reply };
            let [Value::Bulk(cursor), Value::Array(keys)] = &parts[..] else { return reply };
            all.extend(keys.iter().map(|key| format!("{key:?}")));
            if &cursor[..] == b"0" {
                all.sort();
                all.dedup();
                return Value::Array(all.into_iter().map(|key| Value::Bulk(key.into())).collect());
            }
            words[1] = cursor.to_vec();
        }
    }

    /// Sends bytes and gives all that comes back until the server closes the connection.
    pub(crate) fn raw_until_end(&mut self, bytes: &[u8]) -> Vec<u8> {
        // The server may answer and close before it has read all.
        let _ = self.stream.write_all(bytes);
        let mut all = Vec::new();
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = self.stream.read(&mut some) {
            all.extend_from_slice(&some[..count]);
        }
        all
    }
}
