//! What every byte stream must satisfy: the bodies of the fuzz targets, which the tests of the
//! crate run too (`tests/streams.rs`), on seeds and on streams from proptest.
//!
//! The first byte of an input picks the limits, the second how the rest is split.

mod reference;

use bytes::{Bytes, BytesMut};
use tinykv_proto::Message;
use tinykv_proto::frame::FrameDecoder;
use tinykv_proto::resp::{
    Limits, ProtocolError, ReplyDecoder, RequestDecoder, Value, Version, Writer,
};

/// Sizes of pieces that a stream is fed in, again and again; the first is all at once.
const SPLITS: [&[usize]; 6] = [&[usize::MAX], &[1], &[2], &[3, 1], &[7, 1, 2], &[64, 5]];

/// What a decoder made of a stream: what it gave out, and the error that ended it.
type Outcome<T, E> = (Vec<T>, Option<E>);

/// Feeds `stream` in pieces and collects what `decode` gives out, until an error.
fn feed<T, E>(
    stream: &[u8],
    pieces: &[usize],
    mut decode: impl FnMut(&mut BytesMut) -> Result<Option<T>, E>,
) -> Outcome<T, E> {
    let mut buffer = BytesMut::new();
    let mut given = Vec::new();
    let mut rest = stream;
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at(rest.len().min(*piece));
        buffer.extend_from_slice(now);
        rest = later;
        loop {
            match decode(&mut buffer) {
                Ok(Some(item)) => given.push(item),
                Ok(None) => break,
                Err(error) => return (given, Some(error)),
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (given, None)
}

/// The limits, the split and the stream that an input stands for.
fn unpack(data: &[u8]) -> Option<(Limits, &'static [usize], &[u8])> {
    let [limits, split, stream @ ..] = data else { return None };
    let limits = match limits % 3 {
        0 => Limits::default(),
        1 => Limits {
            bulk_bytes_max: 16,
            elements_max: 4,
            depth_max: 2,
            line_bytes_max: 24,
            total_bytes_max: 64,
        },
        _ => Limits {
            bulk_bytes_max: usize::MAX,
            elements_max: usize::MAX,
            depth_max: 3,
            line_bytes_max: 40,
            total_bytes_max: 1 << 20,
        },
    };
    Some((limits, SPLITS[usize::from(*split) % SPLITS.len()], stream))
}

/// Requests: any split and a simple parser of the whole agree, and no byte of a line is examined
/// twice.
pub fn resp_request(data: &[u8]) {
    let Some((limits, split, stream)) = unpack(data) else { return };
    let expected = reference::requests(stream, &limits);
    for pieces in [SPLITS[0], SPLITS[1], split] {
        let mut decoder = RequestDecoder::new(limits.clone());
        let (commands, error) = feed(stream, pieces, |buffer| decoder.decode(buffer));
        let words = |command: &tinykv_proto::resp::Command| -> Vec<Vec<u8>> {
            command.iter().map(<[u8]>::to_vec).collect()
        };
        let outcome: Outcome<_, ProtocolError> = (commands.iter().map(words).collect(), error);
        assert_eq!(outcome, expected, "split {pieces:?} against the reference");
        assert!(decoder.bytes_examined() <= stream.len() as u64, "bytes were examined twice");
    }
}

/// Replies: any split and a simple parser of the whole agree, no byte of a line is examined
/// twice, and what was read is written and read again as it was.
pub fn resp_reply(data: &[u8]) {
    let Some((limits, split, stream)) = unpack(data) else { return };
    // Not a number is not equal to itself, so values are compared as they are shown.
    let expected = format!("{:?}", reference::replies(stream, &limits));
    for pieces in [SPLITS[0], SPLITS[1], split] {
        let mut decoder = ReplyDecoder::new(limits.clone());
        let outcome = feed(stream, pieces, |buffer| decoder.decode(buffer));
        assert_eq!(format!("{outcome:?}"), expected, "split {pieces:?} against the reference");
        assert!(decoder.bytes_examined() <= stream.len() as u64, "bytes were examined twice");
        for value in &outcome.0 {
            round_trip(value);
        }
    }
}

/// Writes a value in both versions and reads it again: equal in RESP3, one value in RESP2.
fn round_trip(value: &Value) {
    for version in [Version::V2, Version::V3] {
        let mut wire = BytesMut::new();
        Writer::new(&mut wire, version).value(value);
        let mut decoder = ReplyDecoder::new(Limits::default());
        let again = decoder.decode(&mut wire).expect("what we write we can read");
        let again = again.expect("what we write is whole");
        assert!(wire.is_empty(), "one value was written");
        if version == Version::V3 {
            assert_eq!(format!("{again:?}"), format!("{value:?}"));
        }
    }
}

/// Frames: any split and a simple parser of the whole agree, and a message that was read is
/// written and read again as it was.
pub fn frame(data: &[u8]) {
    let [limit, split, stream @ ..] = data else { return };
    let limit = [1 << 20, 64, 20][usize::from(*limit) % 3];
    let split = SPLITS[usize::from(*split) % SPLITS.len()];
    let expected = format!("{:?}", reference::frames(&Bytes::copy_from_slice(stream), limit));
    for pieces in [SPLITS[0], SPLITS[1], split] {
        let mut decoder = FrameDecoder::new(limit);
        let (frames, error) = feed(stream, pieces, |buffer| decoder.decode(buffer));
        for frame in &frames {
            if let Ok(message) = Message::decode(frame) {
                let mut wire = BytesMut::new();
                // Names that are ignored are not written again, but absent ones are: it may grow.
                message.encode(frame.id, usize::MAX, &mut wire).expect("there is no limit");
                let again = FrameDecoder::new(usize::MAX).decode(&mut wire);
                let again = again.expect("what we write we can read").expect("it is whole");
                assert_eq!(again.id, frame.id);
                assert_eq!(Message::decode(&again).expect("we wrote it"), message);
            }
        }
        let outcome = (frames, error.map(|error| error.to_string()));
        assert_eq!(format!("{outcome:?}"), expected, "split {pieces:?} against the reference");
    }
}
