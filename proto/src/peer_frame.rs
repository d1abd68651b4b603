//! The frames that stores send each other: how messages are cut out of a byte stream.
//!
//! One connection carries many regions' messages, many in one frame, and requests that a store
//! forwards with their answers. A frame has a checksum, since what it carries ends up in logs that
//! must agree; the length is checked against the limit before memory is taken for it. What a raft
//! message is stands elsewhere: here it is bytes.
//!
//! The caller of a connection says [`PeerFrame::Hello`] first, and the other side answers
//! [`PeerFrame::Welcome`] or [`PeerFrame::Refused`]; nothing else may come before.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mutant::mutant;
use serde::{Deserialize, Serialize};

use crate::message::{encode_payload, read_whole};

/// The version of the layout that this build speaks.
pub const PEER_VERSION: u8 = 1;

/// The default limit of a frame, in bytes with its head.
pub const PEER_FRAME_BYTES_MAX: usize = 64 << 20;

/// Bytes of length and checksum, which the length does not count.
const PREFIX_BYTES: usize = 8;

/// Bytes before the payload.
const HEAD_BYTES: usize = PREFIX_BYTES + 2;

/// What a store says about itself when a connection begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerHello {
    /// The cluster it belongs to.
    #[serde(rename = "c")]
    pub cluster_id: u64,
    /// Its own id.
    #[serde(rename = "from")]
    pub from: u64,
    /// The store that it takes the other side for.
    #[serde(rename = "to")]
    pub to: u64,
    /// Program and version, like `tinykv-server 0.1.0`.
    #[serde(rename = "a", default)]
    pub agent: String,
    /// The `HOST:PORT` where clients reach it by the native protocol; empty: nowhere.
    #[serde(rename = "n", default)]
    pub native: String,
    /// The `HOST:PORT` where other stores reach it, for those whose configuration does not name it;
    /// empty: nowhere.
    #[serde(rename = "p", default)]
    pub address: String,
    /// Names its disk: drawn by chance when the store was made. 0: it does not say.
    #[serde(rename = "d", default)]
    pub disk: u64,
    /// Whether the connection carries snapshots, and nothing else.
    #[serde(rename = "s", default)]
    pub snapshots: bool,
    /// A number that tells whether two stores began with the same regions; 0: it is not compared.
    #[serde(rename = "l", default)]
    pub layout: u64,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFrame {
    /// 1: who calls.
    Hello(PeerHello),
    /// 2: who answers, and that it takes messages from now on.
    Welcome(PeerHello),
    /// 3: why the connection ends.
    Refused(String),
    /// 4: raft messages, in order. Slices of the read buffer.
    Messages(Vec<Bytes>),
    /// 5: a request that is forwarded.
    Ask {
        /// The asking store's name for it.
        id: u64,
        /// How long the asking store waits, in milliseconds.
        timeout_ms: u32,
        /// What is asked. A slice of the read buffer.
        body: Bytes,
    },
    /// 6: the answer to the request of the same id.
    Answer {
        /// The asking store's name for it.
        id: u64,
        /// The answer. A slice of the read buffer.
        body: Bytes,
    },
    /// 7: a part of a snapshot. A slice of the read buffer.
    Snapshot(Bytes),
}

/// What is wrong with a frame. Every one ends the connection.
#[derive(Debug, thiserror::Error)]
pub enum PeerFrameError {
    /// It is larger than the limit.
    #[error("a peer's frame of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// The size of the frame with its head, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The other side speaks another version.
    #[error(
        "a peer speaks version {version} of the peer protocol, this build speaks 1: update the older one"
    )]
    Version {
        /// Its version.
        version: u8,
    },
    /// The bytes are not those that were sent, or not from a peer.
    #[error("a peer's frame is damaged, or this is no peer: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
}

impl PeerFrameError {
    fn damaged(reason: impl ToString) -> PeerFrameError {
        PeerFrameError::Damaged { reason: reason.to_string() }
    }
}

impl PeerFrame {
    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// [`PeerFrameError::TooLarge`] beyond `frame_bytes_max`. `out` is then as it was before.
    pub fn encode(&self, frame_bytes_max: usize, out: &mut BytesMut) -> Result<(), PeerFrameError> {
        match self {
            PeerFrame::Hello(hello) => {
                encode_with(1, frame_bytes_max, out, |out| put_hello(hello, out))
            }
            PeerFrame::Welcome(hello) => {
                encode_with(2, frame_bytes_max, out, |out| put_hello(hello, out))
            }
            PeerFrame::Refused(reason) => {
                encode_with(3, frame_bytes_max, out, |out| out.put_slice(reason.as_bytes()))
            }
            PeerFrame::Messages(messages) => {
                encode_messages(messages, frame_bytes_max, out, |message, out| {
                    out.put_slice(message);
                })
            }
            PeerFrame::Ask { id, timeout_ms, body } => {
                encode_with(5, frame_bytes_max, out, |out| {
                    out.put_u64(*id);
                    out.put_u32(*timeout_ms);
                    out.put_slice(body);
                })
            }
            PeerFrame::Answer { id, body } => encode_with(6, frame_bytes_max, out, |out| {
                out.put_u64(*id);
                out.put_slice(body);
            }),
            PeerFrame::Snapshot(part) => {
                encode_with(7, frame_bytes_max, out, |out| out.put_slice(part))
            }
        }
    }

    /// Takes the next frame from the front of `buffer`; none if it is not there whole.
    ///
    /// # Errors
    /// Each says that the stream is lost: close the connection.
    pub fn decode(
        buffer: &mut BytesMut,
        frame_bytes_max: usize,
    ) -> Result<Option<PeerFrame>, PeerFrameError> {
        let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
        let bytes = u64::from(u32::from_be_bytes(*length)) + PREFIX_BYTES as u64;
        if bytes < HEAD_BYTES as u64 {
            return Err(PeerFrameError::damaged("it is shorter than its head"));
        }
        if bytes > frame_bytes_max as u64 {
            return Err(PeerFrameError::TooLarge { bytes, limit: frame_bytes_max as u64 });
        }
        match buffer.get(PREFIX_BYTES) {
            None | Some(&PEER_VERSION) => {}
            Some(&version) => return Err(PeerFrameError::Version { version }),
        }
        // Fits: it is at most the limit, which is a usize.
        let bytes = bytes as usize;
        if buffer.len() < bytes {
            return Ok(None);
        }
        let mut payload = buffer.split_to(bytes).freeze();
        payload.advance(4);
        let checksum = payload.get_u32();
        if crc32c::crc32c(&payload) != checksum && !mutant!("peer-checksum-unchecked") {
            return Err(PeerFrameError::damaged("its checksum is wrong"));
        }
        payload.advance(1);
        let kind = payload.get_u8();
        PeerFrame::of(kind, payload).map(Some)
    }

    /// The frame of a kind and a payload whose checksum was right.
    fn of(kind: u8, mut payload: Bytes) -> Result<PeerFrame, PeerFrameError> {
        let hello = |payload: &Bytes| read_whole(payload).map_err(PeerFrameError::damaged);
        let need = |payload: &Bytes, bytes: usize| match payload.len() < bytes {
            true => Err(PeerFrameError::damaged("a field is cut off")),
            false => Ok(()),
        };
        Ok(match kind {
            1 => PeerFrame::Hello(hello(&payload)?),
            2 => PeerFrame::Welcome(hello(&payload)?),
            3 => PeerFrame::Refused(String::from_utf8_lossy(&payload).into_owned()),
            4 => PeerFrame::Messages(split_messages(payload)?),
            5 => {
                need(&payload, 12)?;
                let (id, timeout_ms) = (payload.get_u64(), payload.get_u32());
                PeerFrame::Ask { id, timeout_ms, body: payload }
            }
            6 => {
                need(&payload, 8)?;
                PeerFrame::Answer { id: payload.get_u64(), body: payload }
            }
            7 => PeerFrame::Snapshot(payload),
            kind => return Err(PeerFrameError::damaged(format!("there is no kind {kind}"))),
        })
    }
}

fn put_hello(hello: &PeerHello, out: &mut BytesMut) {
    encode_payload(hello, out).expect("writing numbers and text to memory does not fail");
}

/// Appends one frame with all messages, each written by `write`.
///
/// The payload is, for each message:
///
/// ```text
/// +---------------+---------+
/// | length u32 BE | message |
/// +---------------+---------+
/// ```
///
/// # Errors
/// [`PeerFrameError::TooLarge`] beyond `frame_bytes_max`. `out` is then as it was before.
pub fn encode_messages<M>(
    messages: impl IntoIterator<Item = M>,
    frame_bytes_max: usize,
    out: &mut BytesMut,
    mut write: impl FnMut(M, &mut BytesMut),
) -> Result<(), PeerFrameError> {
    encode_with(4, frame_bytes_max, out, |out| {
        for message in messages {
            let start = out.len();
            out.put_u32(0);
            write(message, out);
            // One that is beyond four bytes is beyond the frame's limit too, which fails.
            let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    })
}

/// The messages of a payload.
fn split_messages(mut payload: Bytes) -> Result<Vec<Bytes>, PeerFrameError> {
    let mut messages = Vec::new();
    while !payload.is_empty() {
        let length = payload.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
        match length {
            Some(length) if length <= payload.len() - 4 => {
                payload.advance(4);
                messages.push(payload.split_to(length));
            }
            _ => return Err(PeerFrameError::damaged("a message is cut off")),
        }
    }
    Ok(messages)
}

/// Appends a frame:
///
/// ```text
///  0               4                8         9      10
/// +---------------+----------------+---------+------+---------+
/// | length u32 BE | crc32c u32 BE  | version | kind | payload |
/// |               |                | u8 = 1  | u8   |         |
/// +---------------+----------------+---------+------+---------+
///                                  |<----- length bytes ----->|
/// ```
///
/// The checksum is that of the `length` bytes. Payloads: of `Hello` and `Welcome` MessagePack; of
/// `Refused` text; of `Messages` as in [`encode_messages`]; of `Ask` id u64 BE, milliseconds u32
/// BE, body; of `Answer` id u64 BE, body; of `Snapshot` the part.
fn encode_with(
    kind: u8,
    frame_bytes_max: usize,
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), PeerFrameError> {
    let start = out.len();
    out.put_u64(0);
    out.put_u8(PEER_VERSION);
    out.put_u8(kind);
    write(out);
    let bytes = out.len() - start;
    let limit = frame_bytes_max.min(u32::MAX as usize);
    match u32::try_from(bytes - PREFIX_BYTES) {
        Ok(length) if bytes <= limit => {
            let checksum = crc32c::crc32c(&out[start + PREFIX_BYTES..]);
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            out[start + 4..start + 8].copy_from_slice(&checksum.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(PeerFrameError::TooLarge { bytes: bytes as u64, limit: limit as u64 })
        }
    }
}
