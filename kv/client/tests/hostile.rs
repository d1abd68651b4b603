//! A server that breaks the rules of the protocol costs a typed error: never a panic, a hang, or
//! an answer that belongs to another request.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "a part of the peer is for another suite")]

#[path = "support/peer.rs"]
mod peer;

use bytes::Bytes;
use peer::{connect, connected, pipes};
use proto::Message;
use proto::raw::{Request, Response};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tinykv_client::{Cause, Error, Options, Scan};

fn once() -> Options {
    Options { retries: 0, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_hello_is_refused() {
    let answers: [&[u8]; 6] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-ERR unknown command\r\n",
        b"\xff\xff\xff\xff\x01\x01",
        b"\x00\x00\x00\x01\x01",
        b"\x00\x00\x00\x0a\x63\x01\x00\x00\x00\x00\x00\x00\x00\x00",
        // A pong.
        b"\x00\x00\x00\x0a\x01\x06\x00\x00\x00\x00\x00\x00\x00\x00",
    ];
    for answer in answers {
        let (pipes, mut dock) = pipes();
        let (result, _peer) = tokio::join!(connect(pipes), async {
            let mut peer = dock.silent().await;
            peer.bytes(answer).await;
            peer
        });
        let error = result.err().unwrap();
        assert!(matches!(error, Error::Protocol { .. }), "{}: {error:?}", answer.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_no_request_ends_the_connection() {
    for id in [0, 2, u64::MAX] {
        let (client, mut peer, _dock) = connected(once()).await;
        let raw = client.raw();
        let (error, _) = tokio::join!(raw.get("key"), async {
            peer.get().await;
            peer.value(id, "forged").await;
            assert_eq!(peer.next().await, None, "the client hangs up");
        });
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{id}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_ends_the_connection() {
    let (client, mut peer, _dock) = connected(once()).await;
    let raw = client.raw();
    let (error, _) = tokio::join!(raw.put("key", "value"), async {
        peer.request().await;
        let request = Request::Get { cf: "default".to_owned(), key: "key".into() };
        peer.send(1, Message::Request(proto::Request::Raw(request))).await;
        assert_eq!(peer.next().await, None, "the client hangs up");
    });
    let error = error.unwrap_err();
    assert!(
        matches!(error, Error::Undetermined { cause: Cause::Protocol { .. } }),
        "a write that was sent: {error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_is_refused_and_the_connection_goes_on() {
    let (client, mut peer, _dock) = connected(once()).await;
    let raw = client.raw();
    let (error, _) = tokio::join!(raw.get("key"), async {
        let (id, _) = peer.get().await;
        peer.answer(id, Response::Done).await;
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    let (error, _) = tokio::join!(raw.put("key", "value"), async {
        let (id, _) = peer.request().await;
        peer.answer(id, Response::Deleted(1)).await;
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Undetermined { .. }), "{error:?}");
    let (error, _) = tokio::join!(raw.batch_get(["a", "b"]), async {
        let (id, _) = peer.request().await;
        peer.answer(id, Response::Values(vec![None])).await;
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "one value for two keys: {error:?}");
    let (value, _) = tokio::join!(raw.get("key"), async {
        let (id, _) = peer.get().await;
        peer.value(id, "value").await;
    });
    assert_eq!(value.unwrap().as_deref(), Some(&b"value"[..]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_decoded_costs_one_request() {
    let (client, mut peer, _dock) = connected(once()).await;
    let raw = client.raw();
    let (error, _) = tokio::join!(raw.get("key"), async {
        peer.get().await;
        // A response of id 1 whose payload is a number.
        peer.bytes(b"\x00\x00\x00\x0b\x01\x03\x00\x00\x00\x00\x00\x00\x00\x01\x07").await;
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    let (value, _) = tokio::join!(raw.get("key"), async {
        let (id, _) = peer.get().await;
        peer.value(id, "value").await;
    });
    assert_eq!(value.unwrap().as_deref(), Some(&b"value"[..]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_beyond_the_limit_ends_the_connection() {
    let options = Options { frame_bytes_max: 100, ..once() };
    let (client, mut peer, _dock) = connected(options).await;
    let raw = client.raw();
    let (error, _) = tokio::join!(raw.get("key"), async {
        let (id, _) = peer.get().await;
        peer.value(id, &"x".repeat(100)).await;
        assert_eq!(peer.next().await, None, "the client hangs up");
    });
    assert!(error.unwrap_err().to_string().contains("larger than the limit"));
}

#[tokio::test(start_paused = true)]
async fn pairs_that_were_not_asked_for_are_refused() {
    let pair = |key: &'static str| (Bytes::from(key), Bytes::new());
    let cases = [
        (false, vec![pair("a")], "outside the range"),
        (false, vec![pair("y")], "outside the range"),
        (false, vec![pair("d"), pair("c")], "not in the order"),
        (false, vec![pair("c"), pair("c")], "not in the order"),
        (true, vec![pair("c"), pair("d")], "not in the order"),
        (false, vec![pair("c"), pair("d"), pair("e"), pair("f")], "more pairs"),
    ];
    let (client, mut peer, _dock) = connected(once()).await;
    for (reverse, pairs, complaint) in cases {
        let scan =
            Scan { start: "b".into(), end: Some("x".into()), limit: 3, reverse, keys_only: false };
        let mut pages = client.raw().pages(scan, 3);
        let (error, _) = tokio::join!(pages.next(), async {
            let (id, _) = peer.request().await;
            peer.answer(id, Response::Pairs(pairs)).await;
        });
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        assert!(error.to_string().contains(complaint), "{error}");
    }
}

/// Replay: `SEED=... cargo test -p tinykv-client --test hostile random`.
#[tokio::test(start_paused = true)]
async fn random_answers_never_panic_nor_hang() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    for _ in 0..500 {
        let mut answer: Vec<u8> = (0..rng.random_range(0..64)).map(|_| rng.random()).collect();
        if rng.random() {
            // A head that is right, so that payloads are met as well.
            let kind = rng.random_range(1..=6);
            let length = 10 + answer.len() as u8;
            let head = [0, 0, 0, length, 1, kind, 0, 0, 0, 0, 0, 0, 0, rng.random_range(0..3)];
            answer.splice(0..0, head);
        }
        let (client, mut peer, _dock) = connected(once()).await;
        let raw = client.raw();
        let (result, _peer) = tokio::join!(raw.get("key"), async {
            peer.get().await;
            peer.bytes(&answer).await;
            peer
        });
        let error = result.err();
        assert!(error.is_some(), "{} is no value", answer.escape_ascii());
    }
}
