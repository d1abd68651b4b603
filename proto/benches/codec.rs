//! What the codecs cost: pipelines of commands, replies both ways, and frames.
//!
//! Bytes are copied into the buffer within the measurement, as a socket would do it. The last
//! group is a floor: only that copy.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tinykv_proto::frame::{FRAME_BYTES_MAX, FrameDecoder};
use tinykv_proto::resp::{Limits, ReplyDecoder, RequestDecoder, Version, Writer};
use tinykv_proto::{Message, Request, Response, raw};

/// `count` SETs of a 16-byte key and a 256-byte value, as redis-benchmark sends them.
fn pipeline(count: usize) -> Vec<u8> {
    let value = "v".repeat(256);
    let set = format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$256\r\n{value}\r\n");
    set.repeat(count).into_bytes()
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("resp requests");
    for count in [1, 16, 100] {
        let stream = pipeline(count);
        group.throughput(Throughput::Elements(count as u64));
        let mut decoder = RequestDecoder::new(Limits::default());
        let mut buffer = BytesMut::with_capacity(64 << 10);
        group.bench_function(format!("{count} SET of 256 B"), |b| {
            b.iter(|| {
                buffer.reserve(stream.len());
                buffer.extend_from_slice(&stream);
                let mut bytes = 0;
                while let Some(command) = decoder.decode(&mut buffer).expect("good commands") {
                    bytes += command[1].len() + command[2].len();
                }
                black_box(bytes)
            });
        });
        group.bench_function(format!("{count} copied only"), |b| {
            b.iter(|| {
                buffer.reserve(stream.len());
                buffer.extend_from_slice(&stream);
                black_box(buffer.split())
            });
        });
    }
    group.finish();
}

fn replies(c: &mut Criterion) {
    let mut group = c.benchmark_group("resp replies");
    group.throughput(Throughput::Elements(16));
    let value = Bytes::from("v".repeat(256));
    let mut out = BytesMut::with_capacity(64 << 10);
    group.bench_function("write 16 values of 256 B", |b| {
        b.iter(|| {
            out.clear();
            let mut writer = Writer::new(&mut out, Version::V2);
            (0..16).for_each(|_| writer.bulk(&value));
            black_box(out.len())
        });
    });
    group.bench_function("write 16 OK", |b| {
        b.iter(|| {
            out.clear();
            let mut writer = Writer::new(&mut out, Version::V2);
            (0..16).for_each(|_| writer.ok());
            black_box(out.len())
        });
    });
    let stream = format!("$256\r\n{}\r\n", "v".repeat(256)).repeat(16).into_bytes();
    let mut decoder = ReplyDecoder::new(Limits::default());
    let mut buffer = BytesMut::with_capacity(64 << 10);
    group.bench_function("read 16 values of 256 B", |b| {
        b.iter(|| {
            buffer.reserve(stream.len());
            buffer.extend_from_slice(&stream);
            while let Some(value) = decoder.decode(&mut buffer).expect("good replies") {
                black_box(value);
            }
        });
    });
    group.finish();
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frames");
    group.throughput(Throughput::Elements(16));
    let put = Message::Request(Request::Raw(raw::Request::Put {
        cf: "default".to_owned(),
        key: Bytes::from_static(b"key:000000000042"),
        value: Bytes::from("v".repeat(256)),
        ttl_ms: None,
    }));
    let got = Message::Response(Response::Raw(raw::Response::Value(Some("v".repeat(256).into()))));
    for (name, message) in [("put", put), ("value", got)] {
        let encode = |out: &mut BytesMut| {
            for id in 0..16 {
                message.encode(id, FRAME_BYTES_MAX, out).expect("far below the limit");
            }
        };
        let mut out = BytesMut::with_capacity(64 << 10);
        group.bench_function(format!("write 16 {name} of 256 B"), |b| {
            b.iter(|| {
                out.clear();
                encode(&mut out);
                black_box(out.len())
            });
        });
        let mut stream = BytesMut::new();
        encode(&mut stream);
        let mut decoder = FrameDecoder::default();
        let mut buffer = BytesMut::with_capacity(64 << 10);
        group.bench_function(format!("read 16 {name} of 256 B"), |b| {
            b.iter(|| {
                buffer.reserve(stream.len());
                buffer.extend_from_slice(&stream);
                while let Some(frame) = decoder.decode(&mut buffer).expect("good frames") {
                    black_box(Message::decode(&frame).expect("a good message"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, replies, frames);
criterion_main!(benches);
