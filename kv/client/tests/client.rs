//! The client library against a server that the test plays step by step, in virtual time.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/peer.rs"]
mod peer;

use std::sync::Arc;
use std::time::Duration;

use peer::{Peer, connect, connected, pipes};
use proto::raw::{Request, Response};
use proto::{ErrorCode, Message};
use tinykv_client::{Cause, Client, Error, Options, Scan};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// An error and its causes in one line.
fn text(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", text(source)))
}

fn spawn_get(client: &Client, key: &str) -> JoinHandle<tinykv_client::Result<Option<String>>> {
    let (raw, key) = (client.raw(), key.to_owned());
    tokio::spawn(async move {
        let value = raw.get(key).await?;
        Ok(value.map(|value| String::from_utf8(value.to_vec()).unwrap()))
    })
}

fn spawn_put(client: &Client) -> JoinHandle<tinykv_client::Result<()>> {
    let raw = client.raw();
    tokio::spawn(async move { raw.put("key", "value").await })
}

/// Takes `count` gets and returns their ids and keys.
async fn gets(peer: &mut Peer, count: usize) -> Vec<(u64, String)> {
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(peer.get().await);
    }
    taken
}

// Pipelining

#[tokio::test(start_paused = true)]
async fn requests_are_sent_before_earlier_ones_are_answered_in_any_order() {
    let (client, mut peer, _dock) = connected(Options::default()).await;
    let tasks: Vec<_> = (0..100).map(|n| spawn_get(&client, &format!("key {n}"))).collect();
    for (id, key) in gets(&mut peer, 100).await.into_iter().rev() {
        peer.value(id, &format!("value of {key}")).await;
    }
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap(), Some(format!("value of key {n}")));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded() {
    let options = Options { in_flight_max: 2, ..Options::default() };
    let (client, mut peer, _dock) = connected(options).await;
    let tasks: Vec<_> = (0..3).map(|n| spawn_get(&client, &n.to_string())).collect();
    let first = gets(&mut peer, 2).await;
    let third = tokio::time::timeout(SECOND, peer.next()).await;
    assert!(third.is_err(), "the third one waits");
    peer.value(first[1].0, "b").await;
    let (id, key) = peer.get().await;
    assert_eq!(key, "2");
    peer.value(id, "c").await;
    peer.value(first[0].0, "a").await;
    for (task, value) in tasks.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(task.await.unwrap().unwrap().as_deref(), Some(value));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_go_round_the_connections() {
    let (client, mut first, mut dock) =
        connected(Options { connections: 2, ..Options::default() }).await;
    let tasks = [spawn_get(&client, "a"), spawn_get(&client, "b")];
    let mut second = dock.greeted().await;
    let ((id_1, key_1), (id_2, key_2)) = tokio::join!(first.get(), second.get());
    assert_ne!(key_1, key_2);
    first.value(id_1, &key_1).await;
    second.value(id_2, &key_2).await;
    for (task, key) in tasks.into_iter().zip(["a", "b"]) {
        assert_eq!(task.await.unwrap().unwrap().as_deref(), Some(key));
    }
}

// Deadlines

#[tokio::test(start_paused = true)]
async fn a_read_without_an_answer_is_unfinished_and_a_write_undetermined() {
    let (client, mut peer, _dock) = connected(Options::default()).await;
    let start = Instant::now();
    let read = client.raw().with_timeout(2 * SECOND).get("key").await.unwrap_err();
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert!(matches!(read, Error::Unfinished { cause: Cause::Deadline { .. } }), "{read:?}");
    assert_eq!(text(&read), "the request was not finished: no answer within 2s");
    let write = client.raw().put("key", "value").await.unwrap_err();
    assert_eq!(start.elapsed(), 2 * SECOND + Options::default().timeout);
    assert!(matches!(write, Error::Undetermined { cause: Cause::Deadline { .. } }), "{write:?}");
    gets(&mut peer, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_left_is_unfinished() {
    let options = Options { in_flight_max: 1, timeout: 3 * SECOND, ..Options::default() };
    let (client, mut peer, _dock) = connected(options).await;
    let first = spawn_get(&client, "key");
    let (id, _) = peer.get().await;
    let write = client.raw().with_timeout(SECOND).put("key", "value").await.unwrap_err();
    assert!(matches!(write, Error::Unfinished { cause: Cause::Deadline { .. } }), "{write:?}");
    peer.value(id, "a").await;
    assert_eq!(first.await.unwrap().unwrap().as_deref(), Some("a"));
    let nothing = tokio::time::timeout(SECOND, peer.next()).await;
    assert!(nothing.is_err(), "the write stays unsent: {nothing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_goes_to_nobody() {
    let (client, mut peer, _dock) = connected(Options::default()).await;
    client.raw().with_timeout(SECOND).get("late").await.unwrap_err();
    let (late, _) = peer.get().await;
    let next = spawn_get(&client, "next");
    let (id, _) = peer.get().await;
    peer.value(late, "late").await;
    peer.value(late, "late again").await;
    peer.value(id, "right").await;
    assert_eq!(next.await.unwrap().unwrap().as_deref(), Some("right"));
}

// Cancellation

#[tokio::test(start_paused = true)]
async fn a_dropped_request_frees_its_slot_and_mixes_nothing_up() {
    let (client, mut peer, _dock) =
        connected(Options { in_flight_max: 1, ..Options::default() }).await;
    for n in 0..100 {
        let dropped = spawn_get(&client, "dropped");
        let (dropped_id, _) = peer.get().await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        let kept = spawn_get(&client, "kept");
        let (id, key) = peer.get().await;
        assert_eq!(key, "kept");
        if n % 2 == 0 {
            peer.value(dropped_id, "dropped").await;
        }
        peer.value(id, "kept").await;
        assert_eq!(kept.await.unwrap().unwrap().as_deref(), Some("kept"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_gives_up_connecting_does_not_stop_the_others() {
    let (client, peer, mut dock) = connected(Options::default()).await;
    drop(peer);
    // The connection is found dead by the first of them, which then connects.
    let first = spawn_get(&client, "first");
    let mut silent = dock.silent().await;
    let second = spawn_get(&client, "second");
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let mut peer = dock.greeted().await;
    let (id, key) = peer.get().await;
    assert_eq!(key, "second");
    peer.value(id, "value").await;
    assert_eq!(second.await.unwrap().unwrap().as_deref(), Some("value"));
    while silent.next().await.is_some() {}
}

// Reconnect

#[tokio::test(start_paused = true)]
async fn a_lost_connection_repeats_reads_but_not_writes() {
    let (client, mut peer, mut dock) = connected(Options::default()).await;
    let (read, write) = (spawn_get(&client, "key"), spawn_put(&client));
    peer.request().await;
    peer.request().await;
    drop(peer);
    let write = write.await.unwrap().unwrap_err();
    assert!(
        matches!(write, Error::Undetermined { cause: Cause::Disconnected { .. } }),
        "{write:?}"
    );
    let mut peer = dock.greeted().await;
    let (id, key) = peer.get().await;
    assert_eq!(key, "key");
    peer.value(id, "value").await;
    assert_eq!(read.await.unwrap().unwrap().as_deref(), Some("value"));
    let write = spawn_put(&client);
    let (id, _) = peer.request().await;
    peer.answer(id, Response::Done).await;
    write.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_the_server_to_come_back() {
    let (client, peer, mut dock) = connected(Options::default()).await;
    dock.refuse(3);
    drop(peer);
    tokio::task::yield_now().await;
    let write = spawn_put(&client);
    let mut peer = dock.greeted().await;
    let (id, _) = peer.request().await;
    peer.answer(id, Response::Done).await;
    write.await.unwrap().unwrap();
    assert_eq!(dock.attempts().len(), 1 + 3 + 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_to_connect_become_rare() {
    let options = Options { timeout: 60 * SECOND, retries: 1000, ..Options::default() };
    let (client, peer, dock) = connected(options).await;
    dock.refuse(usize::MAX);
    drop(peer);
    tokio::task::yield_now().await;
    let start = Instant::now();
    let tasks: Vec<_> = (0..20).map(|n| spawn_get(&client, &n.to_string())).collect();
    for task in tasks {
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
    assert_eq!(start.elapsed(), 60 * SECOND);
    let attempts = dock.attempts();
    assert!(attempts.len() < 7 + 120 + 2, "{} attempts of all 20 together", attempts.len());
    let late = attempts.windows(2).skip(10);
    assert!(late.into_iter().all(|pair| pair[1] - pair[0] >= SECOND / 2), "half a second apart");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_unreachable_at_once() {
    let (pipes, dock) = pipes();
    dock.refuse(1);
    let start = Instant::now();
    let error = connect(pipes).await.err().unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(matches!(&error, Error::Unreachable { address, .. } if address == "store"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_greet_is_unreachable_in_time() {
    let (pipes, mut dock) = pipes();
    let start = Instant::now();
    let (error, _peer) = tokio::join!(connect(pipes), dock.silent());
    assert_eq!(start.elapsed(), Options::default().connect_timeout);
    let error = text(&error.err().unwrap());
    assert_eq!(error, "cannot reach a tinykv server at store: no hello within 2s");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_asked_and_then_given_up() {
    let options = Options { timeout: 60 * SECOND, keepalive: 4 * SECOND, ..Options::default() };
    let (client, mut peer, mut dock) = connected(options).await;
    let start = Instant::now();
    // An answered ping keeps an idle connection.
    assert_eq!(peer.next().await, Some((0, Message::Ping)));
    peer.send(0, Message::Pong).await;
    let read = spawn_get(&client, "key");
    peer.get().await;
    assert_eq!(peer.next().await, Some((0, Message::Ping)));
    assert_eq!(peer.next().await, None, "the client hangs up");
    assert!(start.elapsed() <= 24 * SECOND, "{:?}", start.elapsed());
    let mut peer = dock.greeted().await;
    let (id, _) = peer.get().await;
    peer.value(id, "value").await;
    assert_eq!(read.await.unwrap().unwrap().as_deref(), Some("value"));
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_the_server_is_answered() {
    let (_client, mut peer, _dock) = connected(Options::default()).await;
    peer.send(7, Message::Ping).await;
    assert_eq!(peer.next().await, Some((7, Message::Pong)));
}

// Refusals

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_what_to_do() {
    let (client, mut peer, _dock) = connected(Options::default()).await;
    let refuse = |error: proto::Error| (error, spawn_put(&client));

    let (error, write) = refuse(proto::Error::reject(ErrorCode::InvalidRequest, "bad"));
    let (id, _) = peer.request().await;
    peer.send(id, Message::Error(error.clone())).await;
    assert!(matches!(write.await.unwrap(), Err(Error::Rejected(refused)) if refused == error));

    let (error, write) = refuse(proto::Error::redirect(ErrorCode::NotLeader, None, "not me"));
    let (id, _) = peer.request().await;
    peer.send(id, Message::Error(error)).await;
    let redirect = write.await.unwrap().unwrap_err();
    assert!(matches!(&redirect, Error::Redirect { address: None, .. }), "{redirect:?}");

    let (error, write) = refuse(proto::Error::undetermined(ErrorCode::Internal, "who knows"));
    let (id, _) = peer.request().await;
    peer.send(id, Message::Error(error)).await;
    let unknown = write.await.unwrap().unwrap_err();
    assert!(matches!(unknown, Error::Undetermined { cause: Cause::Server(_) }), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_after_the_pause_it_names() {
    let (client, mut peer, _dock) = connected(Options::default()).await;
    let write = spawn_put(&client);
    for _ in 0..3 {
        let (id, _) = peer.request().await;
        let busy = proto::Error::retry(ErrorCode::ServerIsBusy, 300, "busy");
        peer.send(id, Message::Error(busy)).await;
        let asked = Instant::now();
        let nothing = tokio::time::timeout(Duration::from_millis(299), peer.next()).await;
        assert!(nothing.is_err(), "{nothing:?} after {:?}", asked.elapsed());
    }
    let (id, _) = peer.request().await;
    peer.answer(id, Response::Done).await;
    write.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_busy_is_given_up_after_the_retries() {
    let (client, mut peer, _dock) = connected(Options { retries: 2, ..Options::default() }).await;
    let write = spawn_put(&client);
    for _ in 0..3 {
        let (id, _) = peer.request().await;
        let busy = proto::Error::retry(ErrorCode::ServerIsBusy, 0, "busy");
        peer.send(id, Message::Error(busy)).await;
    }
    let error = write.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Retry { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_the_connection_says_why() {
    let (pipes, mut dock) = pipes();
    let (error, ()) = tokio::join!(connect(pipes), async {
        let mut peer = dock.silent().await;
        let full = proto::Error::retry(ErrorCode::ServerIsBusy, 0, "too many connections");
        peer.send(0, Message::Error(full)).await;
    });
    let error = error.err().unwrap();
    assert!(matches!(error, Error::Retry { .. }), "{error:?}");
    assert_eq!(text(&error), "the server cannot do it now: too many connections");
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_servers_limit_is_not_sent() {
    let (pipes, mut dock) = pipes();
    let (client, mut peer) = tokio::join!(connect(pipes), async {
        let mut peer = dock.silent().await;
        let hello = proto::Hello { agent: String::new(), frame_bytes_max: 100 };
        peer.send(0, Message::Hello(hello)).await;
        peer.next().await.unwrap();
        peer
    });
    let client = client.unwrap();
    let error = client.raw().put("key", vec![0; 100]).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    let read = spawn_get(&client, "key");
    let (id, _) = peer.get().await;
    peer.value(id, "value").await;
    assert_eq!(read.await.unwrap().unwrap().as_deref(), Some("value"));
}

#[tokio::test(start_paused = true)]
async fn pages_become_smaller_until_they_fit_into_a_frame() {
    let (client, mut peer, _dock) = connected(Options::default()).await;
    let raw = client.raw();
    let mut pages = raw.pages(Scan::default(), 10);
    let (page, ()) = tokio::join!(pages.next(), async {
        for expected in [10, 5] {
            let (id, request) = peer.request().await;
            assert!(matches!(request, Request::Scan { limit, .. } if limit == expected));
            let error = proto::Error::reject(ErrorCode::InvalidRequest, "too large for a frame");
            peer.send(id, Message::Error(error)).await;
        }
        let (id, request) = peer.request().await;
        assert!(matches!(request, Request::Scan { limit: 2, .. }), "{request:?}");
        peer.answer(id, Response::Pairs(vec![("a".into(), "1".into())])).await;
    });
    assert_eq!(page.unwrap().unwrap().len(), 1);
    let (error, ()) = tokio::join!(pages.next(), async {
        for _ in 0..2 {
            let (id, _) = peer.request().await;
            let error = proto::Error::reject(ErrorCode::InvalidRequest, "too large for a frame");
            peer.send(id, Message::Error(error)).await;
        }
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)), "a single pair that does not fit: {error:?}");
}

#[test]
fn options_are_checked() {
    let good = Options::default();
    good.validate().unwrap();
    for bad in [
        Options { connections: 0, ..good.clone() },
        Options { in_flight_max: 0, ..good.clone() },
        Options { in_flight_max: usize::MAX, ..good.clone() },
        Options { timeout: Duration::ZERO, ..good.clone() },
        Options { connect_timeout: Duration::ZERO, ..good.clone() },
        Options { keepalive: Duration::ZERO, ..good.clone() },
        Options { backoff_min: 2 * SECOND, ..good.clone() },
        Options { frame_bytes_max: 1, ..good.clone() },
    ] {
        assert!(matches!(bad.validate(), Err(Error::Invalid(_))), "{bad:?}");
    }
}

#[test]
fn errors_can_be_kept_and_shared() {
    fn shared<T: Clone + Send + Sync + std::error::Error + 'static>() {}
    shared::<Error>();
    fn sent<T: Send>(_: T) {}
    sent(Arc::new(Request::GetTtl { cf: String::new(), key: "k".into() }));
}
