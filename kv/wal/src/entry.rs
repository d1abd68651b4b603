//! What the log stores for its user: [`WalEntry`].

use std::error;

/// Why an entry's bytes were refused by [`WalEntry::decode`].
pub type DecodeError = Box<dyn error::Error + Send + Sync>;

/// An entry of a group. The log looks at its index and term; the rest is the user's.
pub trait WalEntry: Sized {
    /// The position in its group; each entry of a group follows the one before without a gap.
    fn index(&self) -> u64;

    /// The raft term, or 0 where there is none.
    fn term(&self) -> u64;

    /// Appends the entry's bytes to `buf`.
    fn encode(&self, buf: &mut Vec<u8>);

    /// Reads back what [`WalEntry::encode`] wrote. The bytes were checked against their checksum.
    ///
    /// # Errors
    /// Where the bytes are not an entry.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A plain entry, for tests and tools that do not know the user's type: its payload is not looked
/// at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// The position in its group.
    pub index: u64,
    /// The raft term.
    pub term: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

impl WalEntry for RawEntry {
    fn index(&self) -> u64 {
        self.index
    }

    fn term(&self) -> u64 {
        self.term
    }

    fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.index.to_le_bytes());
        buf.extend_from_slice(&self.term.to_le_bytes());
        buf.extend_from_slice(&self.data);
    }

    fn decode(bytes: &[u8]) -> Result<RawEntry, DecodeError> {
        let number = |at: usize| -> Result<u64, DecodeError> {
            let bytes = bytes.get(at..at + 8).ok_or("an entry shorter than 16 bytes")?;
            Ok(u64::from_le_bytes(bytes.try_into()?))
        };
        Ok(RawEntry { index: number(0)?, term: number(8)?, data: bytes[16..].to_vec() })
    }
}
