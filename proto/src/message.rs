//! The envelopes of the native protocol: what a frame carries.
//!
//! Payloads are MessagePack (rmp-serde): structs and struct variants are maps with short names,
//! enums are `{name: content}` or just the name, keys and values are `bin`, never arrays.
//!
//! # What is compatible with what
//!
//! - A field that is added later has a new name and `#[serde(default)]`. An old receiver ignores
//!   it, a new one reads an old message with the default: both ways work. So a field may be added
//!   only where ignoring it is right; otherwise add a variant.
//! - A variant that is added later is an error to an old receiver: [`FrameError::Payload`], which
//!   a server answers with [`ErrorCode::Unsupported`](crate::ErrorCode) while the connection goes
//!   on.
//! - A frame kind that is added later is the same: [`FrameError::UnknownKind`].
//! - An error code that is added later arrives as [`ErrorCode::Other`](crate::ErrorCode).
//! - Names on the wire (`serde(rename)`) and kinds are never changed and never used again.
//! - A change of the frame's layout is a new version byte; the connection ends with
//!   [`FrameError::Version`].

use std::io::ErrorKind;

use bytes::{BufMut, BytesMut};
use rmp_serde::{decode, encode};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::frame::{self, Frame, FrameError, Kind};
use crate::{admin, raw};

/// What each side says first: the client on its own, the server in answer.
///
/// It is not obligatory: a client that needs no facts about the server starts with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Program and version, like `tinykv-server 0.1.0`.
    #[serde(rename = "a", default)]
    pub agent: String,
    /// The largest frame that the sender accepts, in bytes with its head; 0 if it does not say.
    #[serde(rename = "max", default)]
    pub frame_bytes_max: u64,
}

/// What a client asks for. Room for transactions is here: a family of
/// requests is a variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The raw API.
    #[serde(rename = "r")]
    Raw(raw::Request),
    /// The admin API of a cluster.
    #[serde(rename = "a")]
    Admin(admin::Request),
}

/// What a server answers to a request that was carried out. The variant is that of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The raw API.
    #[serde(rename = "r")]
    Raw(raw::Response),
    /// The admin API of a cluster.
    #[serde(rename = "a")]
    Admin(admin::Response),
}

/// All that one frame can carry, without its request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who is speaking. Id 0.
    Hello(Hello),
    /// A request. Its id is the client's choice, unique among its requests in flight.
    Request(Request),
    /// The answer to the request of the same id.
    Response(Response),
    /// The refusal of the request of the same id; id 0 if it concerns the connection, which the
    /// server then closes.
    Error(Error),
    /// Asks for a `Pong` of the same id.
    Ping,
    /// The answer to a `Ping`.
    Pong,
}

impl Message {
    /// The kind of the frame that carries this message.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Message::Hello(_) => Kind::Hello,
            Message::Request(_) => Kind::Request,
            Message::Response(_) => Kind::Response,
            Message::Error(_) => Kind::Error,
            Message::Ping => Kind::Ping,
            Message::Pong => Kind::Pong,
        }
    }

    /// Appends the message to `out` as one frame of at most `frame_bytes_max` bytes.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] if it would be larger. `out` is then as it was before.
    pub fn encode(
        &self,
        id: u64,
        frame_bytes_max: usize,
        out: &mut BytesMut,
    ) -> Result<(), FrameError> {
        frame::encode_with(self.kind(), id, frame_bytes_max, out, |out| match self {
            Message::Hello(hello) => encode_payload(hello, out),
            Message::Request(request) => encode_payload(request, out),
            Message::Response(response) => encode_payload(response, out),
            Message::Error(error) => encode_payload(error, out),
            Message::Ping | Message::Pong => Ok(()),
        })
    }

    /// Reads the message that a frame carries.
    ///
    /// # Errors
    /// [`FrameError::Payload`] if the payload is not what the frame's kind says. It concerns this
    /// frame only: the connection can go on.
    pub fn decode(frame: &Frame) -> Result<Message, FrameError> {
        Ok(match frame.kind {
            Kind::Hello => Message::Hello(decode_payload(frame)?),
            Kind::Request => Message::Request(decode_payload(frame)?),
            Kind::Response => Message::Response(decode_payload(frame)?),
            Kind::Error => Message::Error(decode_payload(frame)?),
            Kind::Ping => Message::Ping,
            Kind::Pong => Message::Pong,
        })
    }
}

/// Appends `payload` as MessagePack.
pub(crate) fn encode_payload<T: Serialize>(
    payload: &T,
    out: &mut BytesMut,
) -> Result<(), encode::Error> {
    let mut serializer = rmp_serde::Serializer::new(out.writer()).with_struct_map();
    payload.serialize(&mut serializer)
}

/// The deepest nesting of a payload, also within fields that are ignored.
const PAYLOAD_DEPTH_MAX: usize = 32;

/// Reads the whole payload of `frame` as a `T`.
fn decode_payload<'a, T: Deserialize<'a>>(frame: &'a Frame) -> Result<T, FrameError> {
    read_whole(&frame.payload).map_err(|reason| FrameError::Payload {
        kind: frame.kind,
        id: frame.id,
        reason: Box::new(reason),
    })
}

/// Reads a `T` that takes all of `payload`.
pub(crate) fn read_whole<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(payload);
    deserializer.set_max_depth(PAYLOAD_DEPTH_MAX);
    let value = T::deserialize(&mut deserializer)?;
    // The deserializer does not tell what is left, but that a marker cannot be read at the end.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(decode::Error::InvalidMarkerRead(end)) if end.kind() == ErrorKind::UnexpectedEof => {
            Ok(value)
        }
        _ => Err(decode::Error::custom("there are bytes behind the payload")),
    }
}
