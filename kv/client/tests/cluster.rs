//! A client of several servers that the test plays, in virtual time: it finds the one in charge, and
//! repeats only what may be repeated.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "not every suite needs every helper")]

#[path = "support/peer.rs"]
mod peer;

use std::time::Duration;

use peer::{Dock, Peer, pipes};
use proto::raw::Response;
use proto::{ErrorCode, Message};
use tinykv_client::{Cause, Client, Error, Options};
use tokio::task::JoinHandle;

/// A client of servers `a`, `b` and `c`, connected to `a`.
async fn connected() -> (Client, Peer, Dock) {
    let (pipes, mut dock) = pipes();
    let (client, peer) =
        tokio::join!(Client::connect_with(pipes, "a, b,c", Options::default()), dock.greeted());
    assert_eq!(peer.address, "a");
    (client.unwrap(), peer, dock)
}

fn put(client: &Client) -> JoinHandle<tinykv_client::Result<()>> {
    let raw = client.raw();
    tokio::spawn(async move { raw.put("key", "value").await })
}

fn get(client: &Client) -> JoinHandle<tinykv_client::Result<Option<bytes::Bytes>>> {
    let raw = client.raw();
    tokio::spawn(async move { raw.get("key").await })
}

/// Answers the next request: the server `to` is in charge.
async fn redirect(peer: &mut Peer, to: Option<&str>) {
    let (id, _) = peer.request().await;
    let error = proto::Error::redirect(ErrorCode::NotLeader, to.map(str::to_owned), "not me");
    peer.send(id, Message::Error(error)).await;
}

async fn done(peer: &mut Peer) {
    let (id, _) = peer.request().await;
    peer.answer(id, Response::Done).await;
}

/// What happens while a call goes on; a call that ends before has failed.
async fn during<T>(
    call: &mut JoinHandle<tinykv_client::Result<()>>,
    event: impl Future<Output = T>,
) -> T {
    tokio::select! {
        biased;
        value = event => value,
        result = call => panic!("the call is over: {result:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_named_is_followed_and_remembered() {
    let (client, mut a, mut dock) = connected().await;
    let mut write = put(&client);
    redirect(&mut a, Some("d")).await;
    let mut d = during(&mut write, dock.greeted()).await;
    assert_eq!(d.address, "d", "also one that the user did not name");
    during(&mut write, done(&mut d)).await;
    write.await.unwrap().unwrap();
    let mut write = put(&client);
    during(&mut write, done(&mut d)).await;
    write.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn servers_that_name_each_other_are_given_up() {
    let (client, mut a, mut dock) = connected().await;
    let mut write = put(&client);
    redirect(&mut a, Some("b")).await;
    let mut b = during(&mut write, dock.greeted()).await;
    let names = async {
        loop {
            redirect(&mut b, Some("a")).await;
            redirect(&mut a, Some("b")).await;
        }
    };
    let result = tokio::select! { result = write => result.unwrap(), () = names => unreachable!() };
    assert!(matches!(result, Err(Error::Redirect { .. })), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn where_none_is_in_charge_all_are_asked_until_one_is() {
    let (client, mut a, mut dock) = connected().await;
    let mut write = put(&client);
    redirect(&mut a, None).await;
    let mut b = dock.greeted().await;
    assert_eq!(b.address, "b");
    during(&mut write, redirect(&mut b, None)).await;
    during(&mut write, redirect(&mut a, Some("c"))).await;
    let mut c = during(&mut write, dock.greeted()).await;
    done(&mut c).await;
    write.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_left() {
    let (client, a, mut dock) = connected().await;
    drop(a);
    dock.refuse(1);
    let read = get(&client);
    let mut b = dock.greeted().await;
    assert_eq!(b.address, "b");
    let (id, _) = b.request().await;
    b.value(id, "value").await;
    assert_eq!(read.await.unwrap().unwrap().as_deref(), Some(&b"value"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_read_without_an_answer_is_asked_elsewhere_and_a_write_is_not() {
    let (client, mut a, mut dock) = connected().await;
    let write = put(&client);
    a.request().await;
    let result = write.await.unwrap();
    let is_deadline = |cause: &Cause| matches!(cause, Cause::Deadline { .. });
    assert!(
        matches!(&result, Err(Error::Undetermined { cause }) if is_deadline(cause)),
        "{result:?}"
    );
    // The next request goes to the next server.
    let started = tokio::time::Instant::now();
    let read = get(&client);
    let mut b = dock.greeted().await;
    b.request().await;
    let (id, _) = a.request().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    a.value(id, "value").await;
    assert_eq!(read.await.unwrap().unwrap().as_deref(), Some(&b"value"[..]));
}

#[tokio::test(start_paused = true)]
async fn the_first_that_answers_is_enough_to_connect() {
    let (pipes, mut dock) = pipes();
    dock.refuse(2);
    let connecting = Client::connect_with(pipes.clone(), "a,b,c", Options::default());
    let (client, peer) = tokio::join!(connecting, dock.greeted());
    assert_eq!(peer.address, "c");
    drop(client.unwrap());
    dock.refuse(3);
    let result = Client::connect_with(pipes.clone(), "a,b,c", Options::default()).await;
    assert!(matches!(result, Err(Error::Unreachable { .. })));
    let result = Client::connect_with(pipes, " , ", Options::default()).await;
    assert!(matches!(result, Err(Error::Invalid(_))));
}
