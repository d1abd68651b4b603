//! Frames: their bytes, their limits, and what is said about wrong ones.

use bytes::{BufMut, BytesMut};
use tinykv_proto::frame::{FRAME_BYTES_MAX, FrameDecoder, FrameError, HEAD_BYTES, Kind};
use tinykv_proto::{Hello, Message};

/// A frame with any bytes in its head.
fn frame(length: u32, version: u8, kind: u8, id: u64, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u32(length);
    out.put_u8(version);
    out.put_u8(kind);
    out.put_u64(id);
    out.put_slice(payload);
    out
}

#[test]
fn a_frame_has_the_bytes_of_the_diagram() {
    let mut out = BytesMut::from("before");
    Message::Ping.encode(0x0102_0304_0506_0708, FRAME_BYTES_MAX, &mut out).unwrap();
    assert_eq!(&out[..], b"before\0\0\0\x0a\x01\x05\x01\x02\x03\x04\x05\x06\x07\x08");
    assert_eq!(out.len(), 6 + HEAD_BYTES);
}

#[test]
fn payloads_are_slices_of_the_read_buffer() {
    let mut buffer = frame(13, 1, 2, 5, b"abc");
    let place = buffer.as_ptr();
    let frame = FrameDecoder::default().decode(&mut buffer).unwrap().unwrap();
    assert_eq!((frame.kind, frame.id, &frame.payload[..]), (Kind::Request, 5, &b"abc"[..]));
    assert_eq!(frame.payload.as_ptr(), place.wrapping_add(14), "not copied");
}

#[test]
fn a_frame_at_the_limit_passes_and_one_above_does_not() {
    let mut decoder = FrameDecoder::new(20);
    assert!(decoder.decode(&mut frame(16, 1, 5, 0, b"123456")).unwrap().is_some());
    // Its length is enough: nothing else of it is needed.
    let error = decoder.decode(&mut BytesMut::from(&[0, 0, 0, 17][..])).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { bytes: 21, limit: 20 }));
    assert_eq!(error.request_id(), None);
    let error = decoder.decode(&mut BytesMut::from(&[0xff; 4][..])).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { bytes: 0x1_0000_0003, .. }));
    assert_eq!(
        error.to_string(),
        "a frame of 4294967299 bytes is larger than the limit of 20: send smaller requests or raise the limit"
    );
}

#[test]
fn a_message_above_the_limit_is_not_written() {
    let hello = Message::Hello(Hello { agent: "x".repeat(100), frame_bytes_max: 0 });
    let mut out = BytesMut::from("before");
    let error = hello.encode(1, 100, &mut out).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { limit: 100, .. }));
    assert_eq!(&out[..], b"before");
    let mut exact = BytesMut::new();
    hello.encode(1, usize::MAX, &mut exact).unwrap();
    hello.encode(1, exact.len(), &mut out).unwrap();
    assert_eq!(&out[6..], &exact[..]);
}

#[test]
fn a_stream_that_is_no_frames_is_refused() {
    let mut decoder = FrameDecoder::default();
    let error = decoder.decode(&mut frame(9, 1, 1, 1, b"")).unwrap_err();
    assert!(matches!(error, FrameError::TooShort { bytes: 13 }));
    let error = decoder.decode(&mut BytesMut::from("GET / HTTP/1.1\r\n")).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { .. }));
    // The version is judged before the rest of the frame is there.
    let error = decoder.decode(&mut BytesMut::from(&[0, 0, 0, 10, 2][..])).unwrap_err();
    assert!(matches!(error, FrameError::Version { version: 2 }));
    assert_eq!(error.request_id(), None);
}

#[test]
fn an_unknown_kind_loses_its_frame_only() {
    let mut decoder = FrameDecoder::default();
    let mut buffer = frame(13, 1, 99, 7, b"abc");
    buffer.unsplit(frame(10, 1, 5, 8, b""));
    let error = decoder.decode(&mut buffer).unwrap_err();
    assert!(matches!(error, FrameError::UnknownKind { kind: 99, id: 7 }));
    assert_eq!(error.request_id(), Some(7));
    let next = decoder.decode(&mut buffer).unwrap().unwrap();
    assert_eq!((next.kind, next.id), (Kind::Ping, 8));
}
