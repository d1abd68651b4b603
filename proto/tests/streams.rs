//! Properties of the codecs on any stream: however it is split, the outcome is that of a simple
//! parser of the whole; nothing is examined twice; what was read can be written.
//!
//! The bodies are those of the fuzz targets. Here they run on the seeds in `fuzz/seeds`, on
//! streams made by proptest, and on such streams after a little damage. All is drawn from one
//! seed: `SEED=7 cargo test -p tinykv-proto --test streams` runs another, and a failure prints
//! the one it had.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(clippy::print_stdout, reason = "a failure shows how to replay it")]

/// The bodies of the fuzz targets.
#[path = "../fuzz/src/lib.rs"]
pub mod bodies;

use std::fs;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tinykv_proto::resp::{Value, Version, Writer};
use tinykv_proto::{Hello, Message, Request, raw};

/// Runs `body` on what `strategy` makes.
fn check<S: Strategy>(cases: u32, strategy: S, body: impl Fn(S::Value)) {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("replay: SEED={seed} cargo test -p tinykv-proto --test streams");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&strategy, |value| {
            body(value);
            Ok(())
        })
        .unwrap();
}

/// Runs `body` on every seed of a target.
fn run_seeds(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let stream = fs::read(&path).unwrap();
        // With every limit, and cut off at every byte.
        for limits in 0..3 {
            for end in 2..=stream.len() {
                let mut input = stream[..end].to_vec();
                input[0] = limits;
                body(&input);
            }
        }
        count += 1;
    }
    assert!(count >= 10, "the seeds of {target} are there");
}

#[test]
fn seeds_of_requests() {
    run_seeds("resp_request", bodies::resp_request);
}

#[test]
fn seeds_of_replies() {
    run_seeds("resp_reply", bodies::resp_reply);
}

#[test]
fn seeds_of_frames() {
    run_seeds("frame", bodies::frame);
}

/// A stream, and a few bytes of it to be replaced.
type Damaged = (Vec<u8>, Vec<(Index, u8)>);

/// Puts limits and a split in front of a stream, and damages the stream.
fn damaged(stream: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let likely = select(b"\r\n*$:+-_,#(!=%~>|0123456789 \"'\\x".to_vec());
    let byte = prop_oneof![4 => likely, 1 => any::<u8>()];
    let damage = prop_oneof![Just(Vec::new()).boxed(), vec((any::<Index>(), byte), 1..3).boxed()];
    (0..3_u8, any::<u8>(), (stream, damage)).prop_map(|(limits, split, damaged)| {
        let (mut stream, damage): Damaged = damaged;
        for (index, byte) in damage {
            if !stream.is_empty() {
                let at = index.index(stream.len());
                stream[at] = byte;
            }
        }
        [vec![limits, split], stream].concat()
    })
}

/// A command as a client sends it, or a line.
fn command() -> impl Strategy<Value = Vec<u8>> {
    let words = vec(vec(any::<u8>(), 0..20), 0..6).prop_map(|words| {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(&word);
            out.extend_from_slice(b"\r\n");
        }
        out
    });
    let line = "[a-z0-9 \t\"'\\\\x]{0,30}\r?\n".prop_map(String::into_bytes);
    prop_oneof![3 => words, 1 => line]
}

/// Any reply.
fn value() -> impl Strategy<Value = Value> {
    let text = || "[ -~]{0,12}".prop_map(|text| Bytes::from(text.into_bytes()));
    let bytes = || vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let leaf = prop_oneof![
        text().prop_map(Value::Simple),
        text().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "-?[0-9]{1,40}".prop_map(|digits| Value::BigNumber(digits.into())),
        bytes().prop_map(Value::BulkError),
        (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Value::Verbatim { format, text }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let pairs = || vec((inner.clone(), inner.clone()), 0..3);
        let values = || vec(inner.clone(), 0..4);
        prop_oneof![
            values().prop_map(Value::Array),
            values().prop_map(Value::Set),
            values().prop_map(Value::Push),
            pairs().prop_map(Value::Map),
            (pairs(), inner.clone()).prop_map(|(attributes, value)| Value::Attributed {
                attributes,
                value: Box::new(value)
            }),
        ]
    })
}

/// A reply as a server sends it.
fn written(value: &Value, version: Version) -> Vec<u8> {
    let mut out = BytesMut::new();
    Writer::new(&mut out, version).value(value);
    out.to_vec()
}

#[test]
fn requests_however_split_and_damaged() {
    let stream = vec(command(), 0..4).prop_map(|commands| commands.concat());
    check(2000, damaged(stream), |input| bodies::resp_request(&input));
}

#[test]
fn replies_however_split_and_damaged() {
    let version = select(vec![Version::V2, Version::V3]);
    let stream = (vec(value(), 0..4), version).prop_map(|(values, version)| {
        values.iter().flat_map(|value| written(value, version)).collect()
    });
    check(1000, damaged(stream), |input| bodies::resp_reply(&input));
}

#[test]
fn frames_however_split_and_damaged() {
    let bytes = || vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let message = prop_oneof![
        Just(Message::Ping),
        ".{0,8}".prop_map(|agent| Message::Hello(Hello { agent, frame_bytes_max: 9 })),
        (bytes(), bytes(), any::<Option<u64>>()).prop_map(|(key, value, ttl_ms)| {
            let cf = "default".to_owned();
            Message::Request(Request::Raw(raw::Request::Put { cf, key, value, ttl_ms }))
        }),
    ];
    let stream = vec((message, any::<u64>()), 0..4).prop_map(|messages| {
        let mut out = BytesMut::new();
        for (message, id) in messages {
            message.encode(id, 1 << 20, &mut out).unwrap();
        }
        out.to_vec()
    });
    check(2000, damaged(stream), |input| bodies::frame(&input));
}

#[test]
fn noise() {
    let noise = || vec(any::<u8>(), 0..200);
    check(1000, noise(), |input| {
        bodies::resp_request(&input);
        bodies::resp_reply(&input);
        bodies::frame(&input);
    });
}

#[test]
fn values_come_back_as_they_were() {
    check(1000, value(), |value| {
        let wire = written(&value, Version::V3);
        let mut buffer = BytesMut::from(&wire[..]);
        let mut decoder = tinykv_proto::resp::ReplyDecoder::new(Default::default());
        let again = decoder.decode(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty());
        // Not a number is not equal to itself.
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
    });
}
