//! What a raft entry carries: the commands of several clients under one head.
//!
//! The head holds what must be the same on every replica: the time at which the commands are
//! carried out, chosen by the leader, and the epoch of the region that they were checked against.
//! When the entry is applied the region may have changed; then none of them is carried out.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proto::peer::Epoch;

/// The version of the layout.
const VERSION: u8 = 1;

/// Bytes before the commands.
const HEAD_BYTES: usize = 25;

/// Bytes that a command costs beside its own.
pub(crate) const COMMAND_OVERHEAD_BYTES: usize = 4;

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) epoch: Epoch,
    /// When the commands are carried out, in the unit of the state machine.
    pub(crate) time: u64,
    pub(crate) commands: Vec<Bytes>,
}

impl Envelope {
    /// ```text
    ///  0          1                 9                17            25
    /// +----------+-----------------+----------------+-------------+----------------
    /// | version  | conf_ver u64 BE | version u64 BE | time u64 BE | length u32 BE,
    /// | u8 = 1   | of the region's | epoch          |             | command; repeated
    /// +----------+-----------------+----------------+-------------+----------------
    /// ```
    pub(crate) fn encode(&self) -> Bytes {
        let bytes: usize = self.commands.iter().map(|it| COMMAND_OVERHEAD_BYTES + it.len()).sum();
        let mut out = BytesMut::with_capacity(HEAD_BYTES + bytes);
        out.put_u8(VERSION);
        out.put_u64(self.epoch.conf_ver);
        out.put_u64(self.epoch.version);
        out.put_u64(self.time);
        for command in &self.commands {
            let length = u32::try_from(command.len()).expect("commands are below the entry limit");
            out.put_u32(length);
            out.put_slice(command);
        }
        out.freeze()
    }

    /// Reads an entry; the commands are slices of it. None if it is not what `encode` makes, which
    /// every replica finds alike, so that none carries it out.
    pub(crate) fn decode(entry: &Bytes) -> Option<Envelope> {
        let mut rest = entry.clone();
        if rest.len() < HEAD_BYTES || rest.get_u8() != VERSION {
            return None;
        }
        let epoch = Epoch { conf_ver: rest.get_u64(), version: rest.get_u64() };
        let time = rest.get_u64();
        let mut commands = Vec::new();
        while !rest.is_empty() {
            if rest.len() < COMMAND_OVERHEAD_BYTES {
                return None;
            }
            let length = rest.get_u32() as usize;
            if length > rest.len() {
                return None;
            }
            commands.push(rest.split_to(length));
        }
        Some(Envelope { epoch, time, commands })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let envelope = Envelope {
            epoch: Epoch { conf_ver: 3, version: 4 },
            time: 5,
            commands: vec![Bytes::from_static(b"one"), Bytes::new()],
        };
        let bytes = envelope.encode();
        assert_eq!(Envelope::decode(&bytes), Some(envelope));
        for len in 0..bytes.len() {
            // Cut between two commands it is a shorter entry.
            let cut = Envelope::decode(&bytes.slice(..len));
            assert_eq!(cut.is_some(), len == HEAD_BYTES || len == HEAD_BYTES + 7, "cut at {len}");
        }
        assert_eq!(Envelope::decode(&Bytes::from_static(&[9; 40])), None);
    }
}
