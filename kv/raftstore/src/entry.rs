//! A raft entry as the wal stores it.

use bytes::Bytes;
use raft::{Entry, Index, Payload, Term};
use wal::{DecodeError, WalEntry};

/// A raft entry in the wal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry(pub Entry);

/// Bytes before the payload.
const HEAD_BYTES: usize = 17;

impl WalEntry for LogEntry {
    fn index(&self) -> u64 {
        self.0.index.0
    }

    fn term(&self) -> u64 {
        self.0.term.0
    }

    /// ```text
    ///  0              8             16       17
    /// +--------------+-------------+--------+------------------------------------+
    /// | index u64 BE | term u64 BE | kind   | 0: a command, see `envelope`       |
    /// |              |             | u8     | 1: a membership change, MessagePack|
    /// +--------------+-------------+--------+------------------------------------+
    /// ```
    fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0.index.0.to_be_bytes());
        buf.extend_from_slice(&self.0.term.0.to_be_bytes());
        match &self.0.payload {
            Payload::Normal(command) => {
                buf.push(0);
                buf.extend_from_slice(command);
            }
            Payload::Change(change) => {
                buf.push(1);
                rmp_serde::encode::write(buf, &**change).expect("writing to memory does not fail");
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<LogEntry, DecodeError> {
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk().ok_or("an entry without a head")?;
        let number = |at: usize| {
            let bytes = head[at..at + 8].try_into().expect("eight bytes are eight bytes");
            u64::from_be_bytes(bytes)
        };
        let rest = &bytes[HEAD_BYTES..];
        let payload = match head[16] {
            0 => Payload::Normal(Bytes::copy_from_slice(rest)),
            1 => {
                let change: raft::confchange::Change = rmp_serde::from_slice(rest)?;
                Payload::Change(change.into())
            }
            kind => return Err(format!("an entry of the unknown kind {kind}").into()),
        };
        Ok(LogEntry(Entry { index: Index(number(0)), term: Term(number(8)), payload }))
    }
}
