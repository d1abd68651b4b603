//! The native protocol, frame by frame.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/start.rs"]
mod start;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use proto::frame::FrameDecoder;
use proto::raw::{Request as Raw, Response as Answer, Ttl};
use proto::{Error, ErrorCode, Hello, Message, Request, Response};
use tinykv_server::Running;

/// A connection.
struct Native {
    socket: TcpStream,
    input: BytesMut,
}

impl Native {
    fn connect(server: &Running) -> Native {
        let socket = TcpStream::connect(server.addresses().native.unwrap()).unwrap();
        Native { socket, input: BytesMut::new() }
    }

    fn send(&mut self, id: u64, message: &Message) {
        let mut out = BytesMut::new();
        message.encode(id, 1 << 30, &mut out).unwrap();
        self.socket.write_all(&out).unwrap();
    }

    /// The next message; none at the end of the stream.
    fn receive(&mut self) -> Option<(u64, Message)> {
        loop {
            if let Some(frame) = FrameDecoder::default().decode(&mut self.input).unwrap() {
                return Some((frame.id, Message::decode(&frame).unwrap()));
            }
            let mut chunk = [0; 16 << 10];
            match self.socket.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => self.input.extend_from_slice(&chunk[..bytes]),
            }
        }
    }

    fn run(&mut self, request: Raw) -> Result<Answer, Error> {
        self.send(7, &Message::Request(Request::Raw(request)));
        match self.receive().unwrap() {
            (7, Message::Response(Response::Raw(answer))) => Ok(answer),
            (7, Message::Error(error)) => Err(error),
            other => panic!("{other:?} is no answer"),
        }
    }
}

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn cf() -> String {
    "default".into()
}

fn put(key: &str, value: &str) -> Raw {
    Raw::Put { cf: cf(), key: b(key), value: b(value), ttl_ms: None }
}

fn get(key: &str) -> Raw {
    Raw::Get { cf: cf(), key: b(key) }
}

fn scan(limit: u32, reverse: bool, keys_only: bool) -> Raw {
    Raw::Scan { cf: cf(), start: b("a"), end: Some(b("d")), limit, reverse, keys_only }
}

#[test]
fn the_whole_raw_api() {
    let server = start::start_memory(&[]);
    let mut client = Native::connect(&server);
    let mut run = |request| client.run(request).unwrap();
    assert_eq!(run(get("a")), Answer::Value(None));
    assert_eq!(run(put("a", "1")), Answer::Done);
    assert_eq!(run(put("b", "")), Answer::Done);
    assert_eq!(run(get("b")), Answer::Value(Some(b(""))));
    let in_lock = Raw::Get { cf: "lock".into(), key: b("a") };
    assert_eq!(run(in_lock), Answer::Value(None));
    let pairs = vec![(b("c"), b("3")), (b("d"), b("4"))];
    assert_eq!(run(Raw::BatchPut { cf: cf(), pairs, ttl_ms: None }), Answer::Done);
    let keys = vec![b("c"), b("x"), b("c")];
    let values = vec![Some(b("3")), None, Some(b("3"))];
    assert_eq!(run(Raw::BatchGet { cf: cf(), keys }), Answer::Values(values));
    let pair = |key, value| (b(key), b(value));
    let all = vec![pair("a", "1"), pair("b", ""), pair("c", "3")];
    assert_eq!(run(scan(10, false, false)), Answer::Pairs(all));
    assert_eq!(run(scan(2, true, true)), Answer::Pairs(vec![pair("c", ""), pair("b", "")]));
    let cas = |expected: Option<&str>, value| Raw::CompareAndSwap {
        cf: cf(),
        key: b("a"),
        expected: expected.map(b),
        value: b(value),
        ttl_ms: None,
    };
    let no = Answer::Swapped { swapped: false, previous: Some(b("1")) };
    assert_eq!(run(cas(None, "2")), no);
    let yes = Answer::Swapped { swapped: true, previous: Some(b("1")) };
    assert_eq!(run(cas(Some("1"), "2")), yes);
    let ttl = |key: &str| Raw::GetTtl { cf: cf(), key: b(key) };
    assert_eq!(run(ttl("a")), Answer::Ttl(Ttl::Forever));
    assert_eq!(run(ttl("x")), Answer::Ttl(Ttl::Absent));
    let expiring = Raw::Put { cf: cf(), key: b("e"), value: b("5"), ttl_ms: Some(100_000) };
    assert_eq!(run(expiring), Answer::Done);
    assert!(matches!(run(ttl("e")), Answer::Ttl(Ttl::Left(1..=100_000))));
    assert_eq!(run(Raw::Delete { cf: cf(), key: b("e") }), Answer::Deleted(1));
    let keys = vec![b("a"), b("x")];
    assert_eq!(run(Raw::BatchDelete { cf: cf(), keys }), Answer::Deleted(1));
    let range = Raw::DeleteRange { cf: cf(), start: b("c"), end: None };
    assert_eq!(run(range), Answer::Done);
    assert_eq!(run(scan(10, false, true)), Answer::Pairs(vec![pair("b", "")]));
}

#[test]
fn requests_that_break_a_rule() {
    let server = start::start_memory(&["--max-frame-size=64KiB"]);
    let mut client = Native::connect(&server);
    let mut code = |request| client.run(request).unwrap_err().code;
    assert_eq!(code(get("")), ErrorCode::InvalidRequest);
    assert_eq!(code(put("", "x")), ErrorCode::InvalidRequest);
    for cf in ["raft", "expiry", "nothing"] {
        let request = Raw::Get { cf: cf.into(), key: b("k") };
        assert_eq!(code(request), ErrorCode::UnknownColumnFamily);
    }
    let no_time = Raw::Put { cf: cf(), key: b("k"), value: b("v"), ttl_ms: Some(0) };
    assert_eq!(code(no_time), ErrorCode::InvalidRequest);
    // An answer that does not fit into a frame says so, and nothing else happens.
    for n in 0..3 {
        client.run(put(&format!("a{n}"), &"x".repeat(30_000))).unwrap();
    }
    let error = client.run(scan(10, false, false)).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.contains("max-frame-size"), "{error}");
    assert!(client.run(scan(2, false, false)).is_ok());
}

#[test]
fn frames_that_are_not_understood() {
    let server = start::start_memory(&["--max-frame-size=64KiB"]);
    let mut client = Native::connect(&server);
    client.send(0, &Message::Hello(Hello { agent: "test".into(), frame_bytes_max: 0 }));
    let Some((0, Message::Hello(hello))) = client.receive() else { panic!("no hello") };
    assert_eq!(hello.frame_bytes_max, 64 << 10);
    assert!(hello.agent.starts_with("tinykv-server "));
    client.send(3, &Message::Ping);
    assert_eq!(client.receive(), Some((3, Message::Pong)));
    // A payload that is no request, and a kind that there is not: the connection goes on.
    client.socket.write_all(&[0, 0, 0, 11, 1, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0xc1]).unwrap();
    client.socket.write_all(&[0, 0, 0, 10, 1, 99, 0, 0, 0, 0, 0, 0, 0, 6]).unwrap();
    for id in [5, 6] {
        let Some((found, Message::Error(error))) = client.receive() else { panic!("no error") };
        assert_eq!((found, error.code), (id, ErrorCode::Unsupported));
    }
    assert_eq!(client.run(get("k")), Ok(Answer::Value(None)));
    // A length beyond the limit ends it, with a word and without waiting for the bytes.
    client.socket.write_all(&[0x7f, 0xff, 0xff, 0xff]).unwrap();
    let Some((0, Message::Error(error))) = client.receive() else { panic!("no error") };
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert_eq!(client.receive(), None);
}

#[test]
fn a_pipeline_is_answered_by_id() {
    for flags in [&["--max-connection-inflight=1"][..], &[], &["--read-pool=naive"]] {
        let server = start::start_memory(flags);
        let mut client = Native::connect(&server);
        let mut out = BytesMut::new();
        let mut expected = BTreeMap::new();
        for id in 0..2000 {
            let (request, answer) = match id % 3 {
                0 => (put(&id.to_string(), "x"), Answer::Done),
                1 => (get("nothing"), Answer::Value(None)),
                _ => (scan(1, false, false), Answer::Pairs(Vec::new())),
            };
            let message = Message::Request(Request::Raw(request));
            message.encode(id, 1 << 20, &mut out).unwrap();
            expected.insert(id, Message::Response(Response::Raw(answer)));
        }
        let mut socket = client.socket.try_clone().unwrap();
        let sender = std::thread::spawn(move || socket.write_all(&out));
        let found: BTreeMap<_, _> = (0..2000).map(|_| client.receive().unwrap()).collect();
        assert_eq!(found, expected);
        sender.join().unwrap().unwrap();
    }
}
