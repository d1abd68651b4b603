//! The envelopes: round trips, sizes on the wire, and what is compatible with what.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tinykv_proto::frame::{FRAME_BYTES_MAX, FrameDecoder, FrameError, Kind};
use tinykv_proto::raw::{self, Ttl};
use tinykv_proto::{Action, Error, ErrorCode, Hello, Message, Request, Response};

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// One message of every variant.
fn messages() -> Vec<Message> {
    let cf = || "default".to_owned();
    let requests = [
        raw::Request::Get { cf: cf(), key: b("k") },
        raw::Request::BatchGet { cf: cf(), keys: vec![b("k"), b("")] },
        raw::Request::Put { cf: cf(), key: b("k"), value: b(""), ttl_ms: None },
        raw::Request::Put { cf: cf(), key: b("k"), value: b("v"), ttl_ms: Some(u64::MAX) },
        raw::Request::BatchPut { cf: cf(), pairs: vec![(b("k"), b("v"))], ttl_ms: Some(1) },
        raw::Request::Delete { cf: cf(), key: b("k") },
        raw::Request::BatchDelete { cf: cf(), keys: vec![] },
        raw::Request::DeleteRange { cf: cf(), start: b(""), end: None },
        raw::Request::DeleteRange { cf: cf(), start: b("a"), end: Some(b("b")) },
        raw::Request::Scan {
            cf: cf(),
            start: b("a"),
            end: Some(b("b")),
            limit: u32::MAX,
            reverse: true,
            keys_only: true,
        },
        raw::Request::CompareAndSwap {
            cf: cf(),
            key: b("k"),
            expected: Some(b("")),
            value: b("v"),
            ttl_ms: None,
        },
        raw::Request::GetTtl { cf: cf(), key: Bytes::from_static(&[0, 0xff, b'\r']) },
    ];
    let responses = [
        raw::Response::Value(None),
        raw::Response::Value(Some(b(""))),
        raw::Response::Values(vec![None, Some(b("")), Some(b("v"))]),
        raw::Response::Done,
        raw::Response::Deleted(u64::MAX),
        raw::Response::Pairs(vec![(b("k"), b("v"))]),
        raw::Response::Swapped { swapped: true, previous: None },
        raw::Response::Swapped { swapped: false, previous: Some(b("")) },
        raw::Response::Ttl(Ttl::Absent),
        raw::Response::Ttl(Ttl::Forever),
        raw::Response::Ttl(Ttl::Left(1)),
    ];
    let errors = [
        Error::reject(ErrorCode::InvalidRequest, "an empty key"),
        Error::retry(ErrorCode::ServerIsBusy, 20, "later"),
        Error::redirect(ErrorCode::NotLeader, Some("127.0.0.1:1".to_owned()), "there"),
        Error::redirect(ErrorCode::NotLeader, None, "somewhere"),
        Error::undetermined(ErrorCode::Other(999), "who knows"),
    ];
    let hello = Hello { agent: "test 1".to_owned(), frame_bytes_max: 7 };
    [Message::Ping, Message::Pong, Message::Hello(hello)]
        .into_iter()
        .chain(requests.into_iter().map(|r| Message::Request(Request::Raw(r))))
        .chain(responses.into_iter().map(|r| Message::Response(Response::Raw(r))))
        .chain(errors.into_iter().map(Message::Error))
        .collect()
}

fn encode(message: &Message, id: u64) -> BytesMut {
    let mut out = BytesMut::new();
    message.encode(id, FRAME_BYTES_MAX, &mut out).unwrap();
    out
}

#[test]
fn every_message_comes_back_as_it_was() {
    let mut wire = BytesMut::new();
    for (id, message) in messages().iter().enumerate() {
        message.encode(id as u64, FRAME_BYTES_MAX, &mut wire).unwrap();
    }
    let mut decoder = FrameDecoder::default();
    for (id, message) in messages().iter().enumerate() {
        let frame = decoder.decode(&mut wire).unwrap().unwrap();
        assert_eq!((frame.kind, frame.id), (message.kind(), id as u64));
        assert_eq!(&Message::decode(&frame).unwrap(), message);
    }
    assert!(wire.is_empty());
}

#[test]
fn keys_and_values_cost_their_bytes() {
    let value = Bytes::from(vec![0xff; 1000]);
    let put = raw::Request::Put { cf: "default".into(), key: b("key"), value, ttl_ms: None };
    let wire = encode(&Message::Request(Request::Raw(put)), 1);
    assert_eq!(wire.len() - 1000, 46, "what a put of a 3-byte key costs beside its value");
}

/// What `raw::Request::Delete` would be after somebody added a field and an option to it.
#[derive(Serialize, Deserialize)]
enum NewerRaw {
    #[serde(rename = "del")]
    Delete {
        cf: String,
        #[serde(rename = "k")]
        key: Bytes,
        #[serde(rename = "new", default)]
        new: Vec<u64>,
    },
    #[serde(rename = "brandnew")]
    BrandNew,
}

#[derive(Serialize, Deserialize)]
enum NewerRequest {
    #[serde(rename = "r")]
    Raw(NewerRaw),
}

fn frame_of(kind: Kind, payload: &impl Serialize) -> tinykv_proto::frame::Frame {
    let payload = Bytes::from(rmp_serde::to_vec_named(payload).unwrap());
    tinykv_proto::frame::Frame { kind, id: 3, payload }
}

#[test]
fn an_old_receiver_ignores_a_new_field() {
    let newer =
        NewerRequest::Raw(NewerRaw::Delete { cf: "lock".into(), key: b("k"), new: vec![1] });
    let old = Request::Raw(raw::Request::Delete { cf: "lock".into(), key: b("k") });
    let got = Message::decode(&frame_of(Kind::Request, &newer)).unwrap();
    assert_eq!(got, Message::Request(old));
}

#[test]
fn a_new_receiver_reads_an_old_message_with_the_default() {
    let old = Request::Raw(raw::Request::Delete { cf: "lock".into(), key: b("k") });
    let bytes = rmp_serde::to_vec_named(&old).unwrap();
    let NewerRequest::Raw(NewerRaw::Delete { key, new, .. }) =
        rmp_serde::from_slice(&bytes).unwrap()
    else {
        panic!("a delete is a delete");
    };
    assert_eq!((key, new), (b("k"), vec![]));
}

#[test]
fn a_new_variant_is_a_typed_error_that_names_the_request() {
    let frame = frame_of(Kind::Request, &NewerRequest::Raw(NewerRaw::BrandNew));
    let error = Message::decode(&frame).unwrap_err();
    assert!(matches!(error, FrameError::Payload { kind: Kind::Request, id: 3, .. }));
    assert_eq!(error.request_id(), Some(3));
}

#[test]
fn an_unknown_code_and_a_missing_action_still_make_an_error() {
    #[derive(Serialize)]
    struct Sparse {
        c: u16,
    }
    let got = Message::decode(&frame_of(Kind::Error, &Sparse { c: 4711 })).unwrap();
    let expected =
        Error { code: ErrorCode::Other(4711), message: String::new(), action: Action::Reject };
    assert_eq!(got, Message::Error(expected));
}

#[test]
fn bytes_behind_a_payload_are_refused() {
    let whole = encode(&Message::Hello(Hello::default()), 0);
    let mut payload = whole[14..].to_vec();
    payload.push(0xc0);
    let frame =
        tinykv_proto::frame::Frame { kind: Kind::Hello, id: 0, payload: Bytes::from(payload) };
    assert!(matches!(Message::decode(&frame), Err(FrameError::Payload { .. })));
}

#[test]
fn every_code_has_a_number_of_its_own() {
    for number in 0..=u16::MAX {
        assert_eq!(u16::from(ErrorCode::from(number)), number);
    }
}

#[test]
fn the_example_of_the_documentation_is_what_is_written() {
    let page = include_str!("../../docs/formats.md");
    let example = page.split("whole, with id 7:").nth(1).unwrap().split("```").nth(1).unwrap();
    // The lines of bytes are the first and the third that are not empty.
    let lines: Vec<&str> = example.lines().filter(|line| !line.is_empty()).collect();
    let get = raw::Request::Get { cf: "default".into(), key: b("k") };
    let wire = encode(&Message::Request(Request::Raw(get)), 7);
    let shown = [lines[0], lines[2]].join(" ");
    let bytes: Vec<u8> =
        shown.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(bytes, wire);
}
