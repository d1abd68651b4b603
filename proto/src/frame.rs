//! The frames of the native protocol: how messages are cut out of a byte stream.
//!
//! The decoder looks at the head only, so its work per call is constant however the input is
//! split, and it hands out the payload as a slice of the read buffer. The length is checked
//! against the limit as soon as its four bytes are there, before anything is allocated.
//! What the payload means is [`Message`](crate::Message).

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mutant::mutant;

/// The version of the frame layout that this build speaks.
pub const VERSION: u8 = 1;

/// Bytes before the payload, with those of the length.
pub const HEAD_BYTES: usize = 14;

/// The default limit of a frame, in bytes with its head.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Bytes of the length field, which the length does not count.
const LENGTH_BYTES: usize = 4;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 1: a [`Hello`](crate::Hello).
    Hello,
    /// 2: a [`Request`](crate::Request).
    Request,
    /// 3: a [`Response`](crate::Response).
    Response,
    /// 4: an [`Error`](crate::Error).
    Error,
    /// 5: nothing; asks for a `Pong` with the same id.
    Ping,
    /// 6: nothing.
    Pong,
}

impl Kind {
    /// The byte on the wire.
    fn to_byte(self) -> u8 {
        match self {
            Kind::Hello => 1,
            Kind::Request => 2,
            Kind::Response => 3,
            Kind::Error => 4,
            Kind::Ping => 5,
            Kind::Pong => 6,
        }
    }

    /// The kind that a byte on the wire stands for.
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Hello,
            2 => Kind::Request,
            3 => Kind::Response,
            4 => Kind::Error,
            5 => Kind::Ping,
            6 => Kind::Pong,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Hello => "hello",
            Kind::Request => "request",
            Kind::Response => "response",
            Kind::Error => "error",
            Kind::Ping => "ping",
            Kind::Pong => "pong",
        })
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: Kind,
    /// The request it belongs to; 0 for what concerns the connection.
    pub id: u64,
    /// MessagePack. A slice of the read buffer, which it keeps alive.
    pub payload: Bytes,
}

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A frame is larger than the limit. Ends the connection when it was received.
    #[error(
        "a frame of {bytes} bytes is larger than the limit of {limit}: send smaller requests or raise the limit"
    )]
    TooLarge {
        /// The size of the frame with its head, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The length leaves no room for the head: the stream is out of step. Ends the connection.
    #[error("a frame of {bytes} bytes is shorter than its head: this is not the native protocol")]
    TooShort {
        /// The size of the frame, in bytes.
        bytes: u64,
    },
    /// The frame has a layout that this build does not know. Ends the connection.
    #[error("frame version {version} is not known, this build speaks {VERSION}: upgrade one side")]
    Version {
        /// The version byte.
        version: u8,
    },
    /// The frame has a kind that this build does not know. It was consumed; the connection can go
    /// on after an answer to its id.
    #[error("frame kind {kind} is not known: the other side is newer")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
        /// The request it belongs to.
        id: u64,
    },
    /// The payload is not what the kind says. The connection can go on after an answer to its id.
    #[error("the payload of a {kind} frame is not understood: {reason}")]
    Payload {
        /// The frame's kind.
        kind: Kind,
        /// The request it belongs to.
        id: u64,
        /// What the decoder met.
        reason: Box<rmp_serde::decode::Error>,
    },
    /// A message could not be encoded.
    #[error("a message cannot be encoded")]
    Encode(#[from] rmp_serde::encode::Error),
}

impl FrameError {
    /// The id to answer when only one request is lost; none when the connection must end.
    #[must_use]
    pub fn request_id(&self) -> Option<u64> {
        match self {
            FrameError::UnknownKind { id, .. } | FrameError::Payload { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// Appends one frame whose payload `write` appends.
///
/// ```text
///  0               4         5      6                 14
/// +---------------+---------+------+-----------------+-------------------+
/// | length u32 BE | version | kind | request id      | payload           |
/// |               | u8 = 1  | u8   | u64 BE          | MessagePack       |
/// +---------------+---------+------+-----------------+-------------------+
///                 |<---------------- length bytes ---------------------->|
/// ```
pub(crate) fn encode_with(
    kind: Kind,
    id: u64,
    frame_bytes_max: usize,
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), rmp_serde::encode::Error>,
) -> Result<(), FrameError> {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(VERSION);
    out.put_u8(kind.to_byte());
    out.put_u64(id);
    if let Err(error) = write(out) {
        out.truncate(start);
        return Err(FrameError::Encode(error));
    }
    let bytes = out.len() - start;
    let limit = frame_bytes_max.min(u32::MAX as usize);
    match u32::try_from(bytes - LENGTH_BYTES) {
        Ok(length) if bytes <= limit => {
            out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(FrameError::TooLarge { bytes: bytes as u64, limit: limit as u64 })
        }
    }
}

/// Cuts frames out of a byte stream.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    /// The largest frame taken, in bytes with its head.
    frame_bytes_max: usize,
}

impl Default for FrameDecoder {
    /// A decoder with the default limit.
    fn default() -> FrameDecoder {
        FrameDecoder::new(FRAME_BYTES_MAX)
    }
}

impl FrameDecoder {
    /// Makes a decoder that refuses frames of more than `frame_bytes_max` bytes, head included.
    #[must_use]
    pub fn new(frame_bytes_max: usize) -> FrameDecoder {
        FrameDecoder { frame_bytes_max }
    }

    /// Takes the next frame from the front of `buffer`; none if it is not there whole.
    ///
    /// The payload is a slice of `buffer`: copy what is kept for long, or it keeps the whole
    /// read buffer alive.
    ///
    /// # Errors
    /// When [`FrameError::request_id`] of the error is some, the frame was consumed and decoding
    /// goes on. Otherwise the stream is lost: answer with id 0 and close the connection.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(length) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let bytes = u64::from(u32::from_be_bytes(*length)) + LENGTH_BYTES as u64;
        if bytes < HEAD_BYTES as u64 {
            return Err(FrameError::TooShort { bytes });
        }
        if bytes > self.frame_bytes_max as u64 && !mutant!("frame-limit-unchecked") {
            return Err(FrameError::TooLarge { bytes, limit: self.frame_bytes_max as u64 });
        }
        match buffer.get(LENGTH_BYTES) {
            None => return Ok(None),
            Some(&VERSION) => {}
            Some(&version) => return Err(FrameError::Version { version }),
        }
        // Fits: it is at most the limit, which is a usize.
        let bytes = bytes as usize;
        if buffer.len() < bytes {
            return Ok(None);
        }
        let mut payload = buffer.split_to(bytes).freeze();
        payload.advance(LENGTH_BYTES + 1);
        let kind = payload.get_u8();
        let id = payload.get_u64();
        match Kind::from_byte(kind) {
            Some(kind) => Ok(Some(Frame { kind, id, payload })),
            None => Err(FrameError::UnknownKind { kind, id }),
        }
    }
}
